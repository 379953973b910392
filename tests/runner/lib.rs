//! The runner of the language-neutral transcripts, and the tools that tests of a real server share.
//!
//! A transcript is a text file that says what clients send and what they receive ([`transcript`] has the format).
//! [`run`] plays it at one of three doors ([`door`]): the broker itself, a server over TCP, a server over WebSocket.

pub mod bare;
pub mod door;
pub mod process;
pub mod run;
pub mod transcript;
pub mod wire;
