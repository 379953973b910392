//! Owns how the benchmarks of the core are started; what they measure is in `tests/speed`.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Result, bail};
use clap::Args;

use crate::tools::{self, call, cargo};

/// The arguments of `cargo xtask bench core`.
#[derive(Args)]
pub(crate) struct Core {
    /// Only what has NAME in its name, such as `match few`, `growth`, `scan`; may be repeated
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,

    /// Short turns and up to 10,000 subscriptions: shows that all works, measures little
    #[arg(long)]
    quick: bool,

    /// Write all figures to FILE
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Measures the core beside its rivals, and prints tables.
///
/// # Errors
///
/// When it cannot be built, or a contender answers wrongly.
pub(crate) fn run(args: &Core) -> Result<ExitCode> {
    let mut program = Command::new(build(true)?);
    program.arg("core");
    if args.quick {
        program.arg("--quick");
    }
    for name in &args.only {
        program.args(["--only", name]);
    }
    if let Some(file) = &args.json {
        program.arg("--json").arg(std::path::absolute(file)?);
    }
    tools::become_it(&mut program)
}

/// Builds the program that measures; only time is measured beside the crate `a-tree`, which compiles slowly.
pub(super) fn build(with_tree: bool) -> Result<PathBuf> {
    let mut build = cargo(["build", "--release", "--package", "mist-speed"]);
    if with_tree {
        build.args(["--features", "a-tree"]);
    }
    call(&mut build)?;
    let program = tools::built("mist-speed", true);
    if !Path::is_file(&program) {
        bail!("the build left no program at {}", program.display());
    }
    Ok(program)
}
