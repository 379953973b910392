//! Owns the flags that say which server to talk to, and those that all commands share.

use std::path::PathBuf;

use clap::Args;

use crate::config::LogLevel;

/// What servers and commands share.
#[derive(Debug, Args)]
#[command(next_help_heading = "Common options")]
pub(crate) struct SharedArgs {
    /// The server's token; with a command, the token to show to the server
    #[arg(
        long,
        global = true,
        value_name = "TOKEN",
        conflicts_with = "token_file"
    )]
    pub(crate) token: Option<String>,
    /// Read the token from a file, which keeps it out of the list of processes
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// How much is logged: TRACE, DEBUG, INFO, WARN, ERROR or FATAL [default: INFO]
    #[arg(long, global = true, value_name = "LEVEL")]
    pub(crate) log_level: Option<LogLevel>,
    /// Say nothing but data and what went wrong
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
}

/// Which server to talk to.
#[derive(Clone, Debug, Args)]
pub(crate) struct HostArgs {
    /// The server: HOST:PORT, tcp://, tls://, ws://, wss://, http:// or https:// with HOST:PORT (the last
    /// two for WebSocket there), or unix:///PATH [default: 127.0.0.1:1445]
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Option<String>,
    /// Trust the certificates in this PEM file, besides those that the system trusts
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Do not check the server's certificate; anybody in between can read and change everything
    #[arg(long)]
    pub(crate) insecure: bool,
}
