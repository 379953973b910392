//! Owns `cargo xtask run`: build the page and the server, become it.
//!
//! It does not know the server's flags; those after `--` are passed on as they are.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::Result;
use clap::Args;

use crate::{tools, web};

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

/// Builds the page and the server, and runs it until it ends. A server serves a plain page where the page cannot be built.
pub(crate) fn run(args: &Run) -> Result<ExitCode> {
    if let Err(error) = web::build() {
        eprintln!("!!! without the new page: {error:#}");
    }
    let program = tools::build_mist(!args.debug)?;
    let mut server = Command::new(program);
    server.arg("--server").args(&args.flags);
    tools::become_it(&mut server)
}
