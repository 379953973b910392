//! Owns `cargo xtask run`: build the server, become it.
//!
//! It does not know the server's flags; those after `--` are passed on as they are.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::Result;
use clap::Args;

use crate::tools;

/// The arguments of `cargo xtask run`.
#[derive(Args)]
pub(crate) struct Run {
    /// Build without optimisation (the default is a release build)
    #[arg(long)]
    debug: bool,

    /// Flags for the server, such as `-- --listeners tcp://127.0.0.1:9000 -v`
    #[arg(last = true, value_name = "MIST FLAGS")]
    flags: Vec<OsString>,
}

/// Builds the server and runs it until it ends.
///
/// # Errors
///
/// When the build fails or the server cannot be started.
pub(crate) fn run(args: &Run) -> Result<ExitCode> {
    let program = tools::build_mist(!args.debug)?;
    let mut server = Command::new(program);
    server.arg("--server").args(&args.flags);
    become_it(&mut server)
}

/// The process turns into the server: signals reach it directly, its exit code is ours, and
/// nothing can be left behind.
#[cfg(unix)]
fn become_it(server: &mut Command) -> Result<ExitCode> {
    use std::os::unix::process::CommandExt as _;

    let error = server.exec();
    Err(anyhow::Error::new(error).context(format!("cannot start `{}`", tools::spelled(server))))
}

/// Where a process cannot turn into another, Ctrl-C reaches the whole console group anyway.
#[cfg(not(unix))]
fn become_it(server: &mut Command) -> Result<ExitCode> {
    use anyhow::Context as _;

    let status = server
        .status()
        .with_context(|| format!("cannot start `{}`", tools::spelled(server)))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
