//! Owns the check that the core needs no more instructions than it did: counting, the baseline, the comparison.
//!
//! What is counted is in `tests/speed`. Instructions are the same on a busy machine and on one at rest.

mod baseline;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::core;
use crate::services;
use crate::steps::Step;
use crate::tools::{self, spelled};
use baseline::{Case, Comparison, read, write};

/// The arguments of `cargo xtask bench instructions`.
#[derive(Args)]
pub(crate) struct Instructions {
    /// Make what is counted now the baseline
    #[arg(long)]
    record: bool,
}

/// The function that counts: `tests/speed/src/bin/mist-speed/counted.rs` calls it once for each case.
const WATCHED: &str = "mist_speed::counted::watched";

/// Counts, and compares with the baseline or replaces it.
///
/// # Errors
///
/// When nothing can be counted here.
pub(crate) fn run(args: &Instructions) -> Result<ExitCode> {
    if let Some(reason) = obstacle()? {
        bail!("{reason}");
    }
    let now = count()?;
    if args.record {
        let file = baseline_file();
        fs::write(&file, write(&now, &compiler()?))
            .with_context(|| format!("cannot write {}", file.display()))?;
        eprintln!("{} cases in {}", now.len(), file.display());
        return Ok(ExitCode::SUCCESS);
    }
    let comparison = compare(&now)?;
    super::print(&comparison.table())?;
    eprint!("{}", comparison.advice());
    Ok(match comparison.has_failed() {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

/// The same as a step of a longer check.
///
/// # Errors
///
/// When something needs more instructions than it may.
pub(crate) fn step() -> Result<Step> {
    if let Some(reason) = obstacle()? {
        return Ok(Step::Skip(reason));
    }
    let comparison = compare(&count()?)?;
    eprint!("{}{}", comparison.table(), comparison.advice());
    if comparison.has_failed() {
        bail!("the core needs more instructions than its baseline allows");
    }
    Ok(Step::Done)
}

/// Why nothing can be counted here, if so; what is missing is installed where that can be done.
fn obstacle() -> Result<Option<String>> {
    if !cfg!(target_arch = "x86_64") {
        return Ok(Some("the baseline is one of x86_64".into()));
    }
    Ok(match services::fetch_valgrind()? {
        Step::Done => None,
        Step::Skip(reason) => Some(reason),
    })
}

fn baseline_file() -> PathBuf {
    tools::root().join("tests/speed/instructions.txt")
}

fn compare(now: &[Case]) -> Result<Comparison> {
    let file = baseline_file();
    let text =
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let known = read(&text).with_context(|| format!("in {}", file.display()))?;
    Ok(Comparison::new(&known, now))
}

/// The version of the compiler, since another one makes other instructions.
fn compiler() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let printed = Command::new(rustc)
        .arg("--version")
        .current_dir(tools::root())
        .output()
        .context("cannot ask rustc for its version")?;
    Ok(String::from_utf8_lossy(&printed.stdout).trim().to_owned())
}

/// Runs all cases under callgrind.
fn count() -> Result<Vec<Case>> {
    let program = core::build(false)?;
    let folder = std::env::temp_dir().join(format!("mist-instructions-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let counted = count_in(&folder, &program);
    fs::remove_dir_all(&folder)?;
    counted
}

fn count_in(folder: &Path, program: &Path) -> Result<Vec<Case>> {
    let out = folder.join("out");
    let log = folder.join("log");
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--tool=callgrind", "--collect-atstart=no"])
        .arg(format!("--toggle-collect={WATCHED}"))
        .arg(format!("--dump-after={WATCHED}"))
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(format!("--log-file={}", log.display()))
        .arg(program)
        .arg("instructions")
        .stderr(Stdio::inherit());
    let ended = valgrind
        .output()
        .with_context(|| format!("cannot start `{}`", spelled(&valgrind)))?;
    if !ended.status.success() {
        let said = fs::read_to_string(&log).unwrap_or_default();
        bail!("`{}` failed: {}\n{said}", spelled(&valgrind), ended.status);
    }
    let names = String::from_utf8(ended.stdout).context("what was counted is not text")?;
    let cases = names.lines().enumerate().map(|(number, line)| {
        let dump = folder.join(format!("out.{}", number + 1));
        let dump = fs::read_to_string(&dump)
            .with_context(|| format!("callgrind saw fewer calls of {WATCHED} than there are"))?;
        let counted = baseline::total(&dump).context("callgrind wrote no totals")?;
        let (times, name) = line.split_once(' ').context("a case has no name")?;
        Ok(Case {
            name: name.into(),
            count: counted as f64 / times.parse::<f64>()?,
        })
    });
    cases.collect()
}
