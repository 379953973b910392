//! The `mist` program: a server, and the commands that talk to one.

#![deny(unsafe_code)]

mod cli;
mod config;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
