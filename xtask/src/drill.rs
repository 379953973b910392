//! Owns `cargo xtask drill`: runs the drills that stand among the tests, short or long, and prints the figures they report.
//!
//! It does not know what a drill does; a figure is a line `figure | DRILL | NAME | VALUE` on stderr.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::services;
use crate::tools::{build_mist, cargo, spelled};

/// The arguments of `cargo xtask drill`.
#[derive(Args)]
pub(crate) struct Drill {
    /// Only the drill NAME, or those whose name contains it
    #[arg(value_name = "NAME")]
    name: Option<String>,

    /// The long form: two hours for all of them, in a release build
    #[arg(long)]
    long: bool,

    /// Say which drills there are, and run none
    #[arg(long)]
    list: bool,
}

/// Tests that make up a drill.
struct Tests {
    drill: &'static str,
    about: &'static str,
    /// The package, the program of tests, and what their names start with.
    tests: [&'static str; 3],
    /// A variable of the environment, and its values in the short form and the long one.
    size: Option<(&'static str, &'static str, &'static str)>,
}

const fn of_protocol(drill: &'static str, about: &'static str, filter: &'static str) -> Tests {
    Tests {
        drill,
        about,
        tests: ["mist-tests", "protocol", filter],
        size: Some(("MIST_DRILL", "short", "long")),
    }
}

const fn of_server(drill: &'static str, about: &'static str, filter: &'static str) -> Tests {
    let tests = ["mist-pubsub", "it", filter];
    Tests {
        drill,
        about,
        tests,
        size: None,
    }
}

#[rustfmt::skip]
const DRILLS: &[Tests] = &[
    Tests {
        drill: "simulation",
        about: "histories of a broker from a seed, beside a model (2,000; long 200,000)",
        tests: ["mist-pubsub-core", "it", "simulation::every_history"],
        size: Some(("MIST_SEEDS", "2000", "200000")),
    },
    Tests {
        size: Some(("MIST_KILLS", "5", "200")),
        ..of_server("kill", "kill -9 during writes, per token store (5; long 200)", "cli::crash::")
    },
    of_server("stores", "a full disk, a read-only folder, a database stopped, frozen and back", "stores::failures::"),
    of_server("clients", "the Rust client behind a proxy that cuts and falls silent", "client::resuming::"),
    of_protocol("survival", "what killed the original; descriptors that run out", "survival::"),
    of_protocol("network", "a proxy that cuts, stalls and half-closes", "drills::network::"),
    of_protocol("crowd", "many connections, many subscriptions, few descriptors", "drills::crowd::"),
    of_protocol("slow-writers", "half messages, half requests, a line without an end", "drills::slow_writers::"),
    of_protocol("stalled", "readers that take nothing, and the limit on all outboxes", "drills::stalled::"),
    of_protocol("stopping", "SIGTERM under load (5; long 50)", "drills::stopping::"),
    of_protocol("reloading", "SIGHUP under load (seconds; long half a minute)", "drills::reloading::"),
    of_protocol("log", "a log that nobody reads, and one that strangers want to fill", "drills::log::"),
    of_protocol(
        "guessing",
        "wrong tokens from one address, beside honest clients from there (3 s; long a minute)",
        "drills::guessing::",
    ),
    of_protocol("rates", "floods held to a rate, beside ten healthy clients (4 s; long a minute)", "drills::rates::"),
    of_protocol("hostile", "twenty that say anything, beside one that waits for answers", "drills::hostile::"),
    of_protocol("memory", "what a burst leaves behind, and what one client can make the server keep", "drills::memory::"),
    of_protocol("cluster", "nodes, NATS and links that go away, fall silent and come back (each 200 times)", "cluster::"),
    of_protocol("churn", "coming and going (seconds; long 3 minutes)", "drills::churn::"),
];

/// Runs the drills and prints a table of their figures.
pub(crate) fn run(args: &Drill) -> Result<ExitCode> {
    let wanted = |tests: &&Tests| {
        let name = args.name.as_deref().unwrap_or_default();
        tests.drill.contains(name)
    };
    let chosen: Vec<&Tests> = DRILLS.iter().filter(wanted).collect();
    if chosen.is_empty() {
        let known: Vec<_> = DRILLS.iter().map(|tests| tests.drill).collect();
        bail!("no drill has such a name; there are {}", known.join(", "));
    }
    if args.list {
        for tests in chosen {
            eprintln!("{:12}  {}", tests.drill, tests.about);
        }
        return Ok(ExitCode::SUCCESS);
    }
    build_mist(args.long)?;
    let needs_services =
        |tests: &&Tests| tests.tests[0] == "mist-pubsub" || tests.drill == "cluster";
    if chosen.iter().any(needs_services) {
        services::fetch()?;
    }
    let mut table = Vec::new();
    let mut failed = Vec::new();
    for tests in chosen {
        eprintln!("\n==> {}: {}", tests.drill, tests.about);
        let mut command = command(tests, args.long);
        let start = Instant::now();
        let (figures, is_well) = watch(&mut command)?;
        let outcome = if is_well { "passed" } else { "FAILED" };
        let seconds = start.elapsed().as_secs();
        table.push([tests.drill.into(), outcome.into(), format!("{seconds} s")]);
        table.extend(figures);
        if !is_well {
            failed.push(spelled(&command));
        }
    }
    let form = if args.long {
        "long form, release build"
    } else {
        "short form, debug build"
    };
    eprintln!("\n{form}, {}", machine());
    for [drill, name, value] in table {
        eprintln!("| {drill} | {name} | {value} |");
    }
    match failed.is_empty() {
        true => Ok(ExitCode::SUCCESS),
        false => bail!("failed: {}", failed.join("; ")),
    }
}

fn command(tests: &Tests, is_long: bool) -> Command {
    let [package, binary, filter] = tests.tests;
    let mut command = cargo(["test", "--package", package, "--test", binary]);
    if is_long {
        // The figures are those of what users run.
        command.arg("--release");
    }
    command.args([filter, "--", "--nocapture", "--test-threads=1"]);
    if let Some((name, short, long)) = tests.size {
        command.env(name, if is_long { long } else { short });
    }
    command
}

/// Runs a command, passes on what it says, and collects the figures among it.
fn watch(command: &mut Command) -> Result<(Vec<[String; 3]>, bool)> {
    let mut child = command
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{}`", spelled(command)))?;
    let mut figures = Vec::new();
    let said = child.stderr.take().context("stderr is piped")?;
    for line in BufReader::new(said).lines() {
        let line = line?;
        eprintln!("{line}");
        // The test runner may have begun the line.
        if let Some((_, figure)) = line.split_once("figure | ") {
            let mut cells = figure.splitn(3, " | ").map(str::to_owned);
            let mut cell = || cells.next().unwrap_or_default();
            figures.push([cell(), cell(), cell()]);
        }
    }
    Ok((figures, child.wait()?.success()))
}

/// The machine and the day, in a line.
fn machine() -> String {
    let value = |file: &str, key: &str| {
        let text = fs::read_to_string(file).ok()?;
        let line = text.lines().find(|line| line.starts_with(key))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let model = value("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".into());
    let memory = value("/proc/meminfo", "MemTotal").unwrap_or_default();
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let day = Command::new("date").args(["-u", "+%Y-%m-%d"]).output();
    let day = day.map_or_else(
        |_| String::new(),
        |day| String::from_utf8_lossy(&day.stdout).trim().to_owned(),
    );
    format!("{processors} × {model}, {memory}, {day}")
}
