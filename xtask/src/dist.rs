//! Owns `cargo xtask dist`: everything that is handed out, in `dist/`, and the checks of it on other systems.
//!
//! It does not know how any of it is built; the scripts for other systems are in `packaging/`.

use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};

use crate::steps::{self, Outcome, Step, step};
use crate::tools::{self, call};
use crate::web;

/// The arguments of `cargo xtask dist`.
#[derive(clap::Args)]
pub(crate) struct Dist {
    /// Pack nothing, but run what would be on the systems that it is for, as far as they can be had here
    #[arg(long)]
    check: bool,
    /// Only these checks
    #[arg(value_name = "CHECK", requires = "check")]
    names: Vec<String>,
}

const CHECKS: &[Step] = &[
    step("unit", "what systemd says of it", || script("unit")),
    step("image", "static, alone in a root", || script("image")),
    step("deb", "the Debian package", || script("deb")),
    step("aarch64", "under qemu", || script("aarch64")),
    step("windows", "tests under wine", || script("windows")),
    step("macos", "type-checked", || script("macos")),
];

/// Packs, or checks.
pub(crate) fn run(args: &Dist) -> Result<ExitCode> {
    match args.check {
        true => Ok(steps::run(&steps::chosen(CHECKS, &args.names, |_| true)?)),
        false => pack().map(|()| ExitCode::SUCCESS),
    }
}

/// Runs a check in `packaging/checks`; one that cannot be done here ends with 77 and says why on stdout.
pub(crate) fn script(name: &str) -> Result<Outcome> {
    let script = tools::root().join(format!("packaging/checks/{name}.sh"));
    let output = tools::without_package(&mut Command::new(&script))
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start {}", script.display()))?;
    match output.status.code() {
        Some(0) => Ok(Outcome::Done),
        Some(77) => {
            let reason = String::from_utf8_lossy(&output.stdout);
            Ok(Outcome::Skipped(reason.trim().to_owned()))
        }
        _ => bail!("{} failed: {}", script.display(), output.status),
    }
}

/// Packs everything; the page has to be there before the program that takes it in.
fn pack() -> Result<()> {
    web::build()?;
    let mut pack = Command::new(tools::root().join("packaging/pack.sh"));
    call(tools::without_package(&mut pack))
}
