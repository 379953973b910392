//! The runner of the language-neutral transcripts, and the tools that tests of a real server share.
//!
//! A transcript is a text file that says what clients send and what they receive ([`transcript`] has the format).
//! [`run`] plays it at one of the doors ([`door`]): the broker itself, or a server over TCP, TLS, a Unix socket, or WebSocket.

#![forbid(unsafe_code)]

pub mod bare;
pub mod certificate;
pub mod door;
pub mod process;
pub mod run;
pub mod transcript;
pub mod wire;

/// Runs the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
