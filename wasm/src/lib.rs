//! The edge between the core and JavaScript: numbers and strings in, calls of a host object out; decides nothing.
//!
//! What must be done outside is done in the middle of a call: a message goes to its port, everything else to
//! the host object, whose methods must only note what they are told. They run while the broker is borrowed,
//! so they cannot call it; and what an application does with the news comes after the call has returned.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
// Where the crate is only checked, for the end of a panic.
#[cfg(not(target_family = "wasm"))]
extern crate std;

mod broker;
#[cfg(target_family = "wasm")]
mod runtime;

use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

pub use broker::{Broker, BrokerHost};

/// The memory in which numbers are exchanged.
#[wasm_bindgen]
#[must_use]
pub fn linear_memory() -> JsValue {
    wasm_bindgen::memory()
}
