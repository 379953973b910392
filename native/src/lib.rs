//! Tagged publish/subscribe as a library: an embeddable server and a client.

pub mod auth;
pub mod client;
pub mod command;
mod drive;
mod hub;
mod listener;
mod server;

pub use client::{Client, ClientError};
pub use listener::{Acceptor, Address, ListenError, Listener, ListenerFactory};
pub use mist_core::{Access, Limits, Stats};
pub use server::{AuthenticatorFactory, BindError, Handle, Server, ServerBuilder};
