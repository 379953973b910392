//! Owns how npm is found and called.
//!
//! It does not know what the scripts of any package do.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::call;

/// The oldest Node that will do: the first of its line that takes ES modules in `require`.
const NODE: (u32, u32) = (20, 19);

/// Says why npm cannot be used here, if so.
pub(crate) fn check() -> Result<()> {
    let (major, minor) = NODE;
    let remedy = format!("install Node {major}.{minor} or later, with npm (https://nodejs.org)");
    let Some(node) = version(Command::new("node")) else {
        bail!("there is no node here; {remedy}");
    };
    let mut numbers = node.trim_start_matches('v').split('.').map(str::parse);
    if let (Some(Ok(found)), Some(Ok(next))) = (numbers.next(), numbers.next())
        && (found, next) < NODE
    {
        bail!("node is {node}; {remedy}");
    }
    if version(npm()).is_none() {
        bail!("there is a node but no npm here; {remedy}");
    }
    Ok(())
}

fn version(mut program: Command) -> Option<String> {
    let output = program
        .arg("--version")
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

fn npm() -> Command {
    Command::new(if cfg!(windows) { "npm.cmd" } else { "npm" })
}

/// Installs what the package in `folder` needs, exactly as its lock file has it, unless that is there already.
pub(crate) fn install(folder: &Path) -> Result<()> {
    check()?;
    let lock = folder.join("package-lock.json");
    let lock = fs::metadata(&lock).with_context(|| format!("no {}", lock.display()))?;
    let installed = fs::metadata(folder.join("node_modules").join(".package-lock.json"));
    if let Ok(installed) = installed
        && installed.modified()? >= lock.modified()?
    {
        return Ok(());
    }
    let mut install = npm();
    install.args(["ci", "--no-audit", "--no-fund"]);
    call(install.current_dir(folder))
}

/// A call of one of the scripts of the package in `folder`.
pub(crate) fn run(folder: &Path, script: &str) -> Command {
    let mut run = npm();
    run.args(["run", "--silent", script]).current_dir(folder);
    run
}
