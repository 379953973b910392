//! `cargo xtask`: what one types to run, check and measure mist.
//!
//! This file owns the command line only; each command lives in its own module and knows nothing
//! of the others.

#![forbid(unsafe_code)]

mod bench;
mod check;
mod crates;
mod dist;
mod drill;
mod fuzz;
mod serve;
mod services;
mod steps;
mod tools;
mod wasm;
mod web;

use std::io::Write as _;
use std::process::{Command, ExitCode};

use clap::{CommandFactory as _, Parser, Subcommand};

/// Runs, checks and measures mist; without a command it says what there is.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    task: Option<Task>,
}

// The first line of each says how long it takes on two cores: the first time, and again.
#[derive(Subcommand)]
enum Task {
    /// Build the page and the server, and start it on its default listeners (5 min; then seconds)
    ///
    /// They are tcp://localhost:1445, http://localhost:8080 and ws://localhost:8888. Ctrl-C ends it.
    /// Without Node there is a plain page only.
    Run(serve::Run),

    /// Run the quick steps: format, lints, spelling, documentation, unit tests (5 min; then under one)
    Check(check::Names),

    /// Run all steps, or those named (30 min; then 10)
    ///
    /// Needs rustup and nothing else: the components and targets that are missing are installed, and as root
    /// on Debian the packages with what tests start, such as PostgreSQL. Without Node the npm package and the page
    /// are left out.
    /// Stops at the first failure with a non-zero exit code.
    Test(check::Names),

    /// Build the npm package: the core for pages, its glue, its types, into wasm/npm/dist (2 min; then seconds)
    ///
    /// Needs Node 20.19 or later with npm; installs what else is missing.
    Wasm(wasm::Wasm),

    /// Build the page that the server has at /, into native/server/page/dist (2 min; then seconds)
    ///
    /// The next build of the server takes it in. Needs what `wasm` needs.
    Web,

    /// Pack what is handed out, into dist: npm package, page, crates, programs, their sums (15 min); --check (15 min)
    Dist(dist::Dist),

    /// Say what is missing for a release, and what is left to do by hand (minutes)
    Release {
        /// Only look; pushing the tag is what releases
        #[arg(long, required = true)]
        dry_run: bool,
    },

    /// Run the drills: crowds, floods, kills, bad networks; --long for the long form (3 min; long 30)
    ///
    /// Prints a table of what they measured.
    Drill(drill::Drill),

    /// Feed any bytes to what reads the bytes of strangers, and keep every input that fails (15 min)
    ///
    /// Needs a C++ compiler. The ordinary test run replays what is kept in tests/fuzz/corpus.
    Fuzz(fuzz::Fuzz),

    /// Measure the server beside others; bench --help has the rest (20 min; --quick 2)
    #[command(disable_help_flag = true)]
    Bench(bench::Bench),

    /// Find programs that tests and benchmarks start, install those that are missing, print where they are (seconds)
    Fetch(services::Fetch),
}

fn main() -> ExitCode {
    let done = |()| ExitCode::SUCCESS;
    let outcome = match Cli::parse().task {
        None => list().map(done),
        Some(Task::Run(run)) => serve::run(&run),
        Some(Task::Check(args)) => check::check(&args),
        Some(Task::Test(args)) => check::test(&args),
        Some(Task::Wasm(args)) => wasm::run(&args).map(done),
        Some(Task::Dist(args)) => dist::run(&args),
        Some(Task::Release { .. }) => {
            let mut check = Command::new(tools::root().join("packaging/release-check.sh"));
            tools::become_it(tools::without_package(&mut check))
        }
        Some(Task::Drill(args)) => drill::run(&args),
        Some(Task::Fuzz(args)) => fuzz::run(&args),
        Some(Task::Web) => web::build().map(done),
        Some(Task::Bench(args)) => bench::run(&args),
        Some(Task::Fetch(args)) => services::run(&args).map(done),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Says what there is.
fn list() -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for task in Cli::command().get_subcommands() {
        let about = task
            .get_about()
            .map(ToString::to_string)
            .unwrap_or_default();
        writeln!(out, "cargo xtask {:6} {about}", task.get_name())?;
    }
    writeln!(
        out,
        "\nSteps of `test`, and which of them `check` has:\n{}",
        check::list().trim_end()
    )?;
    Ok(())
}
