//! The mist server as a library: tagged publish/subscribe inside your own program.
//!
//! A [`ServerBuilder`] describes a [`Server`], which takes its addresses when it is bound and serves until it is told
//! to stop. Meanwhile the program publishes and reads figures through a [`Handle`]. `PROTOCOL.md` in the repository
//! specifies what clients and server say to each other.
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
//! A server logs through [`tracing`], on the threads that serve its clients, so a subscriber must not block. The `mist`
//! program writes the lines on a thread of their own, behind a queue that drops lines when it is full.

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
