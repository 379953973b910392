//! The program behind `cargo xtask bench core` and `cargo xtask bench instructions`.
//!
//! This file owns the command line only. Tables go to standard output, progress to standard error.

mod allocator;
mod clock;
mod costs;
mod counted;
mod growth;
mod matching;
mod memory;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;

use clock::Plan;
use report::Report;

/// What is to be measured.
#[derive(Debug, Default)]
struct Args {
    is_quick: bool,
    only: Vec<String>,
    json: Option<PathBuf>,
}

impl Args {
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| name.contains(only.as_str()))
    }
}

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let outcome = match words.next().as_deref() {
        Some("core") => parse(words).and_then(|args| measure(&args)),
        Some("instructions") => counted::run(),
        _ => Err("say `core` or `instructions`; `cargo xtask bench --help` has the rest".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mist-speed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Args, String> {
    let mut args = Args::default();
    while let Some(word) = words.next() {
        let mut value = || {
            let value = words.next();
            value.ok_or_else(|| format!("{word} needs a value"))
        };
        match word.as_str() {
            "--quick" => args.is_quick = true,
            "--only" => args.only.push(value()?),
            "--json" => args.json = Some(value()?.into()),
            _ => {
                return Err(format!(
                    "there is no {word}: --quick, --only NAME, --json FILE"
                ));
            }
        }
    }
    Ok(args)
}

fn measure(args: &Args) -> Result<(), String> {
    let plan = Plan::new(args.is_quick);
    let mut report = Report::default();
    matching::run(args, &plan, &mut report)?;
    growth::run(args, &plan, &mut report)?;
    costs::run(args, &plan, &mut report)?;
    memory::run(args, &plan, &mut report);
    if report.is_empty() {
        return Err(format!("nothing is called {}", args.only.join(" or ")));
    }
    if let Some(file) = &args.json {
        std::fs::write(file, report.json())
            .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    }
    report::print(&report.markdown())
}
