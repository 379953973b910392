//! The protocol, held against the broker and the real server: transcripts, vectors, and what they cannot say.

mod data;
mod document;
mod drills;
mod framing;
mod hosted;
mod lifecycle;
mod liveness;
mod matching;
mod order;
mod readme;
mod security;
mod slow;
mod survival;
mod transcripts;
mod vectors;
mod websocket;
