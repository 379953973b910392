//! The protocol, held against the broker and the real server: transcripts, vectors, and what they cannot say.
//!
//! What needs signals, open files or memory by number is for Unix.

mod client;
#[cfg(target_os = "linux")]
mod cluster;
mod data;
mod document;
#[cfg(unix)]
mod drills;
mod framing;
mod grants;
mod hosted;
mod layers;
#[cfg(unix)]
mod lifecycle;
mod liveness;
mod matching;
mod order;
#[cfg(target_os = "linux")]
mod proxies;
#[cfg(unix)]
mod readme;
mod security;
#[cfg(unix)]
mod slow;
#[cfg(unix)]
mod survival;
mod transcripts;
mod vectors;
mod websocket;
