//! The public behaviour of the core, compared with oracles that are written as plainly as can be.

mod dice;
mod json;
mod lines;
mod model;
mod scanner;
mod simulation;
mod text;
