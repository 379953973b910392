//! The runner of the language-neutral transcripts, and the tools that tests of a real server share.
//!
//! A transcript is a text file that says what clients send and what they receive ([`transcript`] has the format).
//! [`run`] plays it at one of the doors ([`door`]): the broker itself, or a server over TCP, TLS, a Unix socket, or WebSocket.

#![deny(unsafe_code)]

pub mod app;
pub mod bare;
pub mod certificate;
pub mod client;
pub mod door;
pub mod http;
#[cfg(target_os = "linux")]
pub mod nats;
pub mod player;
pub mod process;
pub mod proxy;
pub mod run;
pub mod site;
pub mod transcript;
pub mod wire;

use std::time::Duration;

/// How long anything may take before a test fails; nothing waits for it to pass.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A question, and its answer, which proves that everything before it has taken effect.
pub const PING: &str = r#"{"command":"ping"}"#;
/// The answer.
pub const PONG: &str = r#"{"command":"ping","data":"pong"}"#;

/// Waits for something that must not take too long.
pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("it took too long")
}

/// Runs the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
