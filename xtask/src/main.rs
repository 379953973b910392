//! `cargo xtask`: what one types to run, check and measure mist.
//!
//! This file owns the command line only; each command lives in its own module and knows nothing
//! of the others.

mod check;
mod serve;
mod steps;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Runs, checks and measures mist.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the server and start it on its default listeners
    ///
    /// They are tcp://127.0.0.1:1445, http://127.0.0.1:8080 and ws://127.0.0.1:8888. Ctrl-C ends it.
    Run(serve::Run),

    /// Check everything: format, lints, all targets, all tests, the documentation
    ///
    /// Needs rustup and nothing else: the components and targets that are missing are installed.
    /// Stops at the first failure with a non-zero exit code.
    Test,

    /// Check the format, the lints and the documentation only
    Lint,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().task {
        Task::Run(run) => serve::run(&run),
        Task::Test => check::test(),
        Task::Lint => check::lint(),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
