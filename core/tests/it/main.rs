//! The public behaviour of the core, compared with oracles that are written as plainly as can be.

mod dice;
mod grants;
mod json;
mod limits;
mod lines;
mod model;
mod scanner;
mod sessions;
mod simulation;
mod text;
