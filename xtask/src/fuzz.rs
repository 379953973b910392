//! Owns `cargo xtask fuzz`: compiles the targets in `tests/fuzz` with coverage, and lets libFuzzer look for inputs that fail.
//!
//! It needs a C++ compiler and nothing else: the compiler's stable release can count coverage too. It knows no target
//! but by the folders of the corpus.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::tools::{call, cargo, root, spelled, target_folder};

/// What libFuzzer wants of the compiler: it sees which edges are passed, and what is compared with what.
const COVERAGE: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
    "-Cdebug-assertions",
    "-Coverflow-checks",
];

/// The arguments of `cargo xtask fuzz`.
#[derive(Args)]
pub(crate) struct Fuzz {
    /// Only this target
    #[arg(value_name = "TARGET")]
    target: Option<String>,

    /// Minutes for each target
    #[arg(long, default_value_t = 2.0, value_name = "N")]
    minutes: f64,

    /// Take the fewest inputs that reach all that was reached into the corpus
    #[arg(long)]
    keep: bool,
}

/// Runs the targets one after the other.
pub(crate) fn run(args: &Fuzz) -> Result<ExitCode> {
    let corpus = root().join("tests/fuzz/corpus");
    let mut targets = Vec::new();
    for entry in fs::read_dir(&corpus).context("the corpus of tests/fuzz")? {
        targets.push(entry?.file_name().to_string_lossy().into_owned());
    }
    targets.sort();
    if let Some(wanted) = &args.target {
        if !targets.contains(wanted) {
            bail!("no target '{wanted}'; there are {}", targets.join(", "));
        }
        targets.retain(|target| target == wanted);
    }
    let program = build()?;
    let mut table = Vec::new();
    let mut failed = Vec::new();
    for target in targets {
        eprintln!("\n==> {target}");
        let kept = corpus.join(&target);
        let found = target_folder().join("fuzz/corpus").join(&target);
        fs::create_dir_all(&found)?;
        let before = fs::read_dir(&kept)?.count();
        let (executions, is_well) = look(&program, &target, args.minutes, &found, &kept)?;
        if is_well && args.keep {
            let mut merge = engine(&program, &target);
            call(merge.arg("-merge=1").args([&kept, &found]))?;
        }
        let after = fs::read_dir(&kept)?.count();
        table.push(format!(
            "| {target} | {executions} executions | {before} → {after} inputs kept |"
        ));
        if !is_well {
            failed.push(target);
        }
    }
    eprintln!("\n{}", table.join("\n"));
    if !failed.is_empty() {
        bail!(
            "{} failed: the input is the newest file `crash-…`, `timeout-…` or `oom-…` in tests/fuzz/corpus, and \
             `cargo test -p mist-fuzz` replays it; commit it together with what mends it",
            failed.join(", ")
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Compiles the engine with all targets.
fn build() -> Result<PathBuf> {
    let version = Command::new("rustc").arg("-vV").output()?;
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("`rustc -vV` names no host")?;
    let folder = target_folder().join("fuzz");
    // With a target named, build scripts and macros are compiled without these flags.
    let mut build = cargo([
        "build",
        "--release",
        "--package",
        "mist-fuzz",
        "--bin",
        "fuzz",
    ]);
    build
        .args(["--features", "engine", "--target", host, "--target-dir"])
        .arg(&folder)
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_ENCODED_RUSTFLAGS", COVERAGE.join("\x1f"));
    call(&mut build)?;
    Ok(folder.join(host).join("release/fuzz"))
}

fn engine(program: &Path, target: &str) -> Command {
    let mut command = Command::new(program);
    command.env("MIST_FUZZ_TARGET", target);
    command
}

/// Looks for inputs that fail; says how many were tried, and whether all went well.
fn look(
    program: &Path,
    target: &str,
    minutes: f64,
    found: &Path,
    kept: &Path,
) -> Result<(String, bool)> {
    let mut command = engine(program, target);
    let artifacts = format!("-artifact_prefix={}/", kept.display());
    let time = format!("-max_total_time={}", (minutes * 60.0).ceil());
    command
        .args([artifacts, time])
        .args(["-timeout=30", "-print_final_stats=1", "-rss_limit_mb=2048"])
        .args([found, kept])
        .stderr(Stdio::piped());
    let said = command
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .with_context(|| format!("cannot start `{}`", spelled(&command)))?;
    let text = String::from_utf8_lossy(&said.stderr);
    let last: Vec<_> = text.lines().rev().take(40).collect();
    for line in last.iter().rev().filter(|line| !line.starts_with('#')) {
        eprintln!("{line}");
    }
    let executions = text
        .lines()
        .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"))
        .map_or("?", str::trim);
    Ok((executions.to_owned(), said.status.success()))
}
