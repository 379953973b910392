//! `cargo xtask bench`: mist beside other brokers (`peers`), and its core by itself (`core`).
//!
//! This file owns the command line only. Tables go to standard output, progress to standard error.

mod core;
mod numbers;
#[cfg(target_os = "linux")]
mod peers;
#[cfg(target_os = "linux")]
mod record;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, Subcommand};

/// Measure the server, next to others, and check every message while doing so
///
/// The main figure is the processor time that the server uses for one delivered message. It
/// depends on the machine; compare figures of one run with each other only.
#[derive(Parser)]
#[command(bin_name = "cargo xtask bench", max_term_width = 100)]
#[command(args_conflicts_with_subcommands = true)]
struct Bench {
    #[command(subcommand)]
    part: Option<Part>,

    #[cfg(target_os = "linux")]
    #[command(flatten)]
    peers: peers::Args,
}

/// What else there is to measure than servers.
#[derive(Subcommand)]
enum Part {
    /// Measure the core by itself: reading, matching, subscribing, next to others that do the same
    ///
    /// Every answer is compared with one found by looking at all subscriptions. Takes three minutes.
    Core(core::Args),

    /// Measure what a cluster costs: nodes beside a server on its own, and beside three servers of NATS
    ///
    /// Takes three minutes.
    #[cfg(target_os = "linux")]
    Cluster(peers::cluster::Args),

    /// Count the instructions of the core under callgrind, and compare them with the baseline
    ///
    /// Fails when something needs 20 % more; a step of `cargo xtask test`. Needs valgrind, which is installed as root
    /// on Debian.
    Instructions {
        /// Make what is counted now the baseline
        #[arg(long)]
        record: bool,
    },

    /// Does what `instructions` counts
    #[command(hide = true)]
    Counted,

    /// The least a server can do; `peers` compares with it
    #[cfg(target_os = "linux")]
    #[command(hide = true)]
    Relay {
        /// Where to listen
        address: std::net::SocketAddr,
    },

    /// Becomes another program, on some processors and for as long as the benchmark lives
    #[cfg(target_os = "linux")]
    #[command(hide = true)]
    Confined(peers::machine::Confined),
}

fn main() -> ExitCode {
    run(Bench::parse()).unwrap_or_else(|error| {
        eprintln!("bench: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(args: Bench) -> Result<ExitCode> {
    match args.part {
        Some(Part::Core(args)) => core::run(&args)?,
        #[cfg(target_os = "linux")]
        Some(Part::Cluster(args)) => peers::cluster::run(&args)?,
        Some(Part::Instructions { record }) => return core::instructions::run(record),
        Some(Part::Counted) => core::counted::run()?,
        #[cfg(target_os = "linux")]
        Some(Part::Relay { address }) => peers::relay::run(address)?,
        #[cfg(target_os = "linux")]
        Some(Part::Confined(args)) => return args.run(),
        #[cfg(target_os = "linux")]
        None => return peers::run(&args.peers),
        #[cfg(not(target_os = "linux"))]
        None => anyhow::bail!("servers are compared on Linux only; `core` runs everywhere"),
    }
    Ok(ExitCode::SUCCESS)
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// A call of cargo from the top folder.
fn cargo<const N: usize>(args: [&str; N]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(root());
    command
}

/// What a program printed that has to end well.
fn output(command: &mut Command) -> Result<String> {
    let command = command.stderr(std::process::Stdio::inherit());
    let ended = command
        .output()
        .with_context(|| format!("cannot start {command:?}"))?;
    ensure!(ended.status.success(), "{command:?}: {}", ended.status);
    Ok(String::from_utf8(ended.stdout)?.trim().to_owned())
}

/// Where a program is that tests and benchmarks start; it is fetched when it is missing.
fn fetch(program: &str) -> Result<String> {
    output(&mut cargo([
        "run",
        "--quiet",
        "--package",
        "xtask",
        "fetch",
        program,
    ]))
}

fn print(text: &str) -> Result<()> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}
