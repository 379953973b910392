//! Owns how the benchmarks in `tests/compare` are built and started. It does not know what they measure.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::{Result, bail};

use crate::services;
use crate::steps::Outcome;
use crate::tools::{become_it, build, without_package};

#[derive(clap::Args)]
pub(crate) struct Bench {
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "ARGUMENTS"
    )]
    args: Vec<OsString>,
}

/// Becomes the benchmark, optimised: a slow generator measures itself.
pub(crate) fn run(args: &Bench) -> Result<ExitCode> {
    // Only time is measured beside the crate `a-tree`, which compiles slowly.
    let is_core = args.args.first().is_some_and(|first| first == "core");
    let features: &[&str] = if is_core {
        &["--features", "a-tree"]
    } else {
        &[]
    };
    let mut bench = Command::new(build("mist-compare", "mist-compare", true, features)?);
    become_it(without_package(&mut bench).args(&args.args))
}

/// Whether the core needs no more instructions than it did, as a step of a longer check.
pub(crate) fn instructions() -> Result<Outcome> {
    if !cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        return Ok(Outcome::Skipped(
            "the baseline is one of x86_64 and Linux".into(),
        ));
    }
    if let Err(error) = services::find("valgrind") {
        return Ok(Outcome::Skipped(format!("{error:#}")));
    }
    let mut bench = Command::new(build("mist-compare", "mist-compare", true, &[])?);
    if !without_package(&mut bench)
        .arg("instructions")
        .status()?
        .success()
    {
        bail!("the core needs more instructions than its baseline allows");
    }
    Ok(Outcome::Done)
}
