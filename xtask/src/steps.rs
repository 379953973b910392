//! Owns how steps are chosen, run, timed and summed up.
//!
//! It does not know what any step does.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// One check, which goes by the same name in the list, in what is printed, and in `cargo xtask test NAME`.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) work: fn() -> Result<Outcome>,
}

pub(crate) const fn step(
    name: &'static str,
    about: &'static str,
    work: fn() -> Result<Outcome>,
) -> Step {
    Step { name, about, work }
}

/// What became of a step that did not fail.
pub(crate) enum Outcome {
    Done,
    /// It could not do its work on this machine, for the reason given.
    Skipped(String),
}

/// The steps with these names, in their order; those that are meant when none is given.
pub(crate) fn chosen<'a>(
    all: &'a [Step],
    names: &[String],
    meant: impl Fn(&Step) -> bool,
) -> Result<Vec<&'a Step>> {
    for name in names {
        if !all.iter().any(|step| step.name == name) {
            let known: Vec<_> = all.iter().map(|step| step.name).collect();
            bail!("no step is called '{name}'; there are {}", known.join(", "));
        }
    }
    let is_chosen = |step: &&Step| match names {
        [] => meant(step),
        names => names.iter().any(|name| name == step.name),
    };
    Ok(all.iter().filter(is_chosen).collect())
}

/// Runs steps one after the other and does nothing more once one has failed.
pub(crate) fn run(steps: &[&Step]) -> ExitCode {
    let started = Instant::now();
    let mut summary = Vec::new();
    let (mut skipped, mut failed) = (0, None);
    for step in steps {
        eprintln!("\n==> {}: {}", step.name, step.about);
        let started = Instant::now();
        let (sign, reason) = match (step.work)() {
            Ok(Outcome::Done) => ("ok", String::new()),
            Ok(Outcome::Skipped(reason)) => {
                eprintln!("!!! NOT DONE: {reason}");
                skipped += 1;
                ("NOT DONE", format!(" ({reason})"))
            }
            Err(error) => {
                eprintln!("!!! {error:#}");
                failed = Some(step.name);
                ("FAILED", String::new())
            }
        };
        let took = seconds(started.elapsed());
        summary.push(format!("  {sign:8} {took} s  {}{reason}", step.name));
        if failed.is_some() {
            break;
        }
    }
    let verdict = match (failed, skipped) {
        (Some(name), _) => format!("FAILED; only this again: cargo xtask test {name}"),
        (None, 0) => "all is well".to_owned(),
        (None, n) => format!("well, but {n} not done on this machine"),
    };
    let took = seconds(started.elapsed());
    eprintln!("\n{}\n  {took} s in all: {verdict}", summary.join("\n"));
    ExitCode::from(u8::from(failed.is_some()))
}

fn seconds(time: Duration) -> String {
    format!("{:>6.1}", time.as_secs_f64())
}
