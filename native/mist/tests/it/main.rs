//! The integration tests of the native package, in one binary.

mod cli;
mod client;
mod extend;
mod stores;
mod transport;
mod web;
