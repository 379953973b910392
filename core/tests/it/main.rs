//! The public behaviour of the core, compared with oracles that are written as plainly as can be.

mod json;
mod lines;
mod scanner;
mod text;
