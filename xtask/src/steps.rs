//! Owns how a list of steps is run, timed and summed up.
//!
//! It does not know what any step does.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;

/// What became of a step.
enum Outcome {
    Done,
    /// Could not be done here, for the reason given.
    Skipped(String),
    Failed,
}

/// Runs steps one after the other and stops doing anything at the first that fails.
pub(crate) struct Steps {
    task: &'static str,
    started: Instant,
    taken: Vec<(String, Outcome, Duration)>,
}

/// What a step answers when it did not fail.
pub(crate) enum Step {
    /// It did its work.
    Done,
    /// It could not do its work on this machine, for the reason given.
    Skip(String),
}

impl Steps {
    /// Starts the list of `cargo xtask <task>`.
    pub(crate) fn new(task: &'static str) -> Self {
        Self {
            task,
            started: Instant::now(),
            taken: Vec::new(),
        }
    }

    /// Whether a step has failed.
    fn has_failed(&self) -> bool {
        matches!(self.taken.last(), Some((_, Outcome::Failed, _)))
    }

    /// Does `work` under the name `name`, unless an earlier step failed.
    pub(crate) fn step(&mut self, name: &str, work: impl FnOnce() -> Result<Step>) {
        if self.has_failed() {
            return;
        }
        eprintln!("\n==> {name}");
        let started = Instant::now();
        let outcome = match work() {
            Ok(Step::Done) => Outcome::Done,
            Ok(Step::Skip(reason)) => {
                eprintln!("!!! NOT DONE: {reason}");
                Outcome::Skipped(reason)
            }
            Err(error) => {
                eprintln!("!!! {error:#}");
                Outcome::Failed
            }
        };
        let took = started.elapsed();
        eprintln!("--- {name}: {:.1} s", took.as_secs_f64());
        self.taken.push((name.to_owned(), outcome, took));
    }

    /// Prints the summary and returns the exit code of the whole.
    pub(crate) fn finish(self) -> ExitCode {
        let failed = self.has_failed();
        let mut skipped = 0;
        eprintln!("\ncargo xtask {}", self.task);
        for (name, outcome, took) in &self.taken {
            let seconds = took.as_secs_f64();
            match outcome {
                Outcome::Done => eprintln!("  ok       {seconds:>7.1} s  {name}"),
                Outcome::Failed => eprintln!("  FAILED   {seconds:>7.1} s  {name}"),
                Outcome::Skipped(reason) => {
                    skipped += 1;
                    eprintln!("  NOT DONE {seconds:>7.1} s  {name} ({reason})");
                }
            }
        }
        let verdict = match (failed, skipped) {
            (true, _) => "FAILED".to_owned(),
            (false, 0) => "all is well".to_owned(),
            (false, n) => format!("well, but {n} not done on this machine"),
        };
        let seconds = self.started.elapsed().as_secs_f64();
        eprintln!("  {verdict}, {seconds:.1} s in all");
        if failed {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        }
    }
}
