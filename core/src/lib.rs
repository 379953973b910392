//! placeholder
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;
pub mod client;
pub mod error;
pub mod index;
pub mod limits;
pub mod message;
pub mod tags;
