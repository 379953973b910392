//! The edge between the core and a page: numbers and texts in, a list of what is to be done out; decides nothing.
//!
//! The module imports nothing, so no code of the page runs inside a call of it. What a call wants done is written into its
//! memory, where the page reads it after the call (`effects`). A page loads every byte of this: the functions that it calls
//! are plain exports (`edge`), and one instance of the module is one broker, whose memory goes with it.

#![no_std]
#![deny(unsafe_code)]

extern crate alloc;
// Where the crate is only checked, for the end of a panic.
#[cfg(not(target_family = "wasm"))]
extern crate std;

mod broker;
#[cfg(target_family = "wasm")]
mod edge;
mod effects;
#[cfg(target_family = "wasm")]
mod runtime;

pub use broker::Broker;
pub use effects::Effects;
