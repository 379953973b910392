//! `cargo xtask`: what one types to run, check and measure mist.
//!
//! This file owns the command line only; each command lives in its own module and knows nothing
//! of the others.

#![forbid(unsafe_code)]

mod bench;
mod check;
mod dist;
mod drill;
mod fuzz;
mod serve;
mod services;
mod steps;
mod tools;
mod wasm;
mod web;

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
    /// Build the page and the server, and start it on its default listeners
    ///
    /// They are tcp://localhost:1445, http://localhost:8080 and ws://localhost:8888. Ctrl-C ends it.
    /// Without Node there is a plain page only.
    Run(serve::Run),

    /// Check everything: format, lints, all targets, all tests, the documentation
    ///
    /// Needs rustup and nothing else: the components and targets that are missing are installed, and as root
    /// on Debian the packages with what tests start, such as PostgreSQL. Without Node the npm package and the page
    /// are left out.
    /// Stops at the first failure with a non-zero exit code.
    Test,

    /// Check the format, the lints and the documentation only
    Lint,

    /// Build the npm package: the core for pages, its glue, its types, into wasm/npm/dist
    ///
    /// Needs Node 20.19 or later with npm; installs what else is missing.
    Wasm(wasm::Wasm),

    /// Build the page that the server has at /, into native/server/page/dist
    ///
    /// The next build of the server takes it in. Needs what `wasm` needs.
    Web,

    /// Build what is handed out, into dist: the npm package, the page, the server, their checksums
    Dist,

    /// Run the drills: crowds, floods, kills, bad networks; in the short form that `test` has, or the long one
    ///
    /// Prints a table of what they measured.
    Drill(drill::Drill),

    /// Feed any bytes to what reads the bytes of strangers, and keep every input that fails
    ///
    /// Needs a C++ compiler. The ordinary test run replays what is kept in tests/fuzz/corpus.
    Fuzz(fuzz::Fuzz),

    /// Measure the server, next to others, and check every message while doing so; `bench --help` has the rest
    #[command(disable_help_flag = true)]
    Bench(bench::Bench),

    /// Find programs that tests and benchmarks start, and install those that are missing; prints where they are
    Fetch(services::Fetch),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().task {
        Task::Run(run) => serve::run(&run),
        Task::Test => check::test(),
        Task::Lint => check::lint(),
        Task::Wasm(args) => wasm::run(&args).map(|()| ExitCode::SUCCESS),
        Task::Dist => dist::run().map(|()| ExitCode::SUCCESS),
        Task::Drill(args) => drill::run(&args),
        Task::Fuzz(args) => fuzz::run(&args),
        Task::Web => web::build().map(|()| ExitCode::SUCCESS),
        Task::Bench(args) => bench::run(&args),
        Task::Fetch(args) => services::run(&args).map(|()| ExitCode::SUCCESS),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
