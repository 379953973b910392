//! Owns the flags that commands share: which server to talk to, and how its answer is printed.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::config::{LogFormat, LogLevel};

/// What servers and commands share.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Common options")]
pub(crate) struct SharedArgs {
    /// The server's token; for commands, the token to present to the server
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
    /// How log lines are written: text, or json for one object in each line [default: text]
    #[arg(long, global = true, value_name = "FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
    /// Print only data and errors
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
}

/// Which server to talk to.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct HostArgs {
    /// The server: HOST:PORT, tcp://, tls://, ws://, wss://, http:// or https:// with HOST:PORT (the last
    /// two speak WebSocket), or unix:///PATH; the default ports are those of mist, not of the web: 1445,
    /// 1446, 8888, 8889, 8080 and 8443 [default: 127.0.0.1:1445]
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Option<String>,
    /// Trust the certificates in this PEM file in addition to those of the system
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Trust the server that has the certificate with this SHA-256, and no other; a server that has made its
    /// own prints it at the start
    #[arg(long, value_name = "SHA256", conflicts_with_all = ["ca", "insecure"])]
    pub(crate) fingerprint: Option<String>,
    /// Do not verify the server's certificate; anybody in between can then read and change everything
    #[arg(long)]
    pub(crate) insecure: bool,
}

/// How an answer is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Answer {
    /// Words for people
    #[default]
    Plain,
    /// One JSON object
    Json,
}

#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct AnswerArgs {
    /// How the answer is printed
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Answer,
}

impl AnswerArgs {
    pub(crate) fn is_json(self) -> bool {
        self.output == Answer::Json
    }
}

/// What a question to a server takes.
#[derive(Clone, Debug, Args)]
pub(crate) struct AskArgs {
    #[command(flatten)]
    pub(crate) host: HostArgs,
    #[command(flatten)]
    pub(crate) answer: AnswerArgs,
}
