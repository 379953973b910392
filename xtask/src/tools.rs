//! Owns how cargo, rustup and the built programs are found and called.
//!
//! It does not know which steps make up a check.

pub(crate) mod files;
pub(crate) mod npm;

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};

/// The top folder of the workspace.
pub(crate) fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}

/// A call of the cargo that runs us, from the top folder.
pub(crate) fn cargo<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    without_package(command.args(args).current_dir(root()));
    command
}

/// Removes from a command the variables that `cargo run` sets for the package it runs. Build scripts of the packages we
/// build next must not see them, or they would be rebuilt at each call of plain cargo.
pub(crate) fn without_package(command: &mut Command) -> &mut Command {
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    command
}

/// A call of rustup.
pub(crate) fn rustup<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new("rustup");
    command.args(args).current_dir(root());
    command
}

/// Runs `command` silently and says whether it ended well.
pub(crate) fn works(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs `command` with our own output.
pub(crate) fn call(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start `{}`", spelled(command)))?;
    if !status.success() {
        bail!("`{}` failed: {status}", spelled(command));
    }
    Ok(())
}

/// The command as one would type it.
pub(crate) fn spelled(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let program = program.file_stem().unwrap_or(program.as_os_str());
    let mut line = program.to_string_lossy().into_owned();
    for arg in command.get_args() {
        line.push(' ');
        line.push_str(&arg.to_string_lossy());
    }
    line
}

/// Whether the compiler in use has the standard library (or core) of `target`.
pub(crate) fn has_target(target: &str) -> bool {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let printed = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", target])
        .current_dir(root())
        .output();
    let Ok(printed) = printed else { return false };
    let folder = PathBuf::from(String::from_utf8_lossy(&printed.stdout).trim());
    printed.status.success() && folder.is_dir()
}

/// Where a program of the workspace is once it is built.
pub(crate) fn built(bin: &str, release: bool) -> PathBuf {
    let profile = if release { "release" } else { "debug" };
    let name = format!("{bin}{}", env::consts::EXE_SUFFIX);
    target_folder().join(profile).join(name)
}

/// Where cargo leaves what it builds.
pub(crate) fn target_folder() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root().join("target"), |folder| root().join(folder))
}

/// Builds the program `mist` and returns where it is.
pub(crate) fn build_mist(release: bool) -> Result<PathBuf> {
    build("mist-pubsub", "mist", release, &[])
}

/// Builds one program of the workspace and returns where it is.
pub(crate) fn build(package: &str, bin: &str, release: bool, options: &[&str]) -> Result<PathBuf> {
    let mut build = cargo(["build", "--package", package, "--bin", bin]);
    if release {
        build.arg("--release");
    }
    call(build.args(options))?;
    let program = built(bin, release);
    if !program.is_file() {
        bail!("the build left no program at {}", program.display());
    }
    Ok(program)
}

/// Turns this process into `command`: signals reach it directly, its exit code is ours, and nothing
/// can be left behind.
#[cfg(unix)]
pub(crate) fn become_it(command: &mut Command) -> Result<ExitCode> {
    use std::os::unix::process::CommandExt as _;

    let error = command.exec();
    Err(anyhow::Error::new(error).context(format!("cannot start `{}`", spelled(command))))
}

/// Runs `command` and hands on its exit code. Where a process cannot turn into another, Ctrl-C reaches
/// the whole console group anyway.
#[cfg(not(unix))]
pub(crate) fn become_it(command: &mut Command) -> Result<ExitCode> {
    let status = command
        .status()
        .with_context(|| format!("cannot start `{}`", spelled(command)))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
