//! Tagged publish/subscribe as a library: an embeddable server and a client.

pub mod client;
mod server;

pub use mist_core::limits::Limits;
pub use server::{Access, BindError, Server, ServerBuilder};
