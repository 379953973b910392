//! The mist server as a library: tagged publish/subscribe inside a program of one's own.
//!
//! A [`Server`] is described by a [`ServerBuilder`], takes its addresses when it is bound, and serves until it is told to
//! stop. A [`Handle`] publishes and looks at it from the same program meanwhile. What clients and server say to each other
//! is in `PROTOCOL.md` of the repository.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use mist_server::Server;
//!
//! let server = Server::builder().listen("tcp://127.0.0.1:0").bind().await?;
//! let handle = server.handle();
//! let running = tokio::spawn(server.run(std::future::pending()));
//! assert_eq!(handle.publish(&["bus", "late"], "12 min"), 0, "nobody listens yet");
//! # running.abort();
//! # Ok(()) }
//! ```
//!
//! A server logs through [`tracing`], on the threads that serve its clients: whoever writes the lines must not block
//! there. The `mist` program has them written by a thread of its own, behind a queue that loses lines when it is full.

#![forbid(unsafe_code)]

mod admission;
pub mod auth;
mod bind_error;
mod builder;
#[cfg(feature = "cluster")]
mod cluster;
pub mod command;
mod connection;
mod hub;
mod in_force;
mod listener;
mod log_limit;
mod outbox;
mod server;
mod shutdown;
mod system_limits;
mod tap;

pub use auth::AuthenticatorFactory;
pub use bind_error::{BindError, ListenError};
pub use builder::ServerBuilder;
pub use listener::acceptor::Acceptor;
pub use listener::certificate::CertificateError;
pub use listener::{Address, Listener, ListenerFactory};
pub use mist_core::{Access, Limits, Stats};
pub use mist_net::address::{AddressError, Endpoint, Scheme, without_secrets};
pub use mist_net::pem::PemError;
pub use server::{Handle, Server};
pub use tap::{Tap, Tapped};
