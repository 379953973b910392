//! Owns what can be typed after `mist`; knows nothing of what the commands do.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::ArgValueCompleter;
use mist::client::Rights;

use super::bench::{BenchArgs, LatencyArgs};
use super::format::Format;
use super::host::{AnswerArgs, AskArgs, HostArgs, SharedArgs};
use super::server_args::ServerArgs;
use super::tags::TagsArgs;
use super::values::{Life, duration, life, pause, rate, whole};
use super::{complete, help};

/// Tagged publish/subscribe: a server, and commands that talk to one.
///
/// A message carries tags; a subscription is a set of tags; a message is delivered
/// when all of the subscription's tags are on it.
#[derive(Debug, Parser)]
#[command(
    name = "mist",
    version = help::VERSION,
    disable_version_flag = true,
    after_help = help::ROOT,
    max_term_width = 100
)]
pub(crate) struct Cli {
    /// Print version and commit
    #[arg(short = 'v', short_alias = 'V', long, action = ArgAction::Version)]
    version: Option<bool>,
    #[command(flatten)]
    pub(crate) shared: SharedArgs,
    /// Run a server, as `mist serve` does
    #[arg(long, help_heading = "Server")]
    pub(crate) server: bool,
    #[command(flatten)]
    pub(crate) settings: ServerArgs,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a server
    #[command(visible_alias = "server", after_help = help::SERVE)]
    Serve(Box<ServerArgs>),
    /// Ask a server for a sign of life
    #[command(after_help = help::PING)]
    Ping(PingArgs),
    /// Print the messages that carry all of some tags
    #[command(visible_alias = "sub", after_help = help::SUBSCRIBE)]
    Subscribe(SubscribeArgs),
    /// Send a message
    #[command(visible_alias = "pub", aliases = ["message", "send"], after_help = help::PUBLISH)]
    Publish(PublishArgs),
    /// List the tags that have subscribers
    #[command(alias = "list", after_help = help::LISTALL)]
    Listall(AskArgs),
    /// Count connections and subscribers
    #[command(after_help = help::WHO)]
    Who(AskArgs),
    /// List the nodes of a server's cluster
    #[command(after_help = help::NODES)]
    Nodes(AskArgs),
    /// Measure how many messages a server delivers
    #[command(after_help = help::BENCH)]
    Bench(BenchArgs),
    /// Measure the latency of messages
    #[command(after_help = help::LATENCY)]
    Latency(LatencyArgs),
    /// Manage tokens and the tags they grant (needs the server's token)
    #[command(after_help = help::TOKEN)]
    Token {
        #[command(subcommand)]
        command: TokenCommand,
    },
    /// Check a config file and print the resulting settings
    #[command(after_help = help::CHECK_CONFIG)]
    CheckConfig {
        /// A file of YAML, JSON or TOML
        file: PathBuf,
        #[command(flatten)]
        answer: AnswerArgs,
    },
    /// Print the completion script of a shell
    #[command(after_help = help::COMPLETIONS)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print a manual page
    #[command(after_help = help::MAN)]
    Man {
        /// The command to print the page of, else the program's own page
        #[arg(value_name = "COMMAND")]
        command: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct PingArgs {
    #[command(flatten)]
    pub(crate) ask: AskArgs,
    /// Ping N times, and print how long each took
    #[arg(short, long, value_name = "N", value_parser = whole(1_u64, None))]
    pub(crate) count: Option<u64>,
    /// Ping at this interval, as in 5s or 500ms; without --count until Ctrl-C [default: 1s]
    #[arg(short, long, value_name = "TIME", value_parser = pause)]
    pub(crate) interval: Option<Duration>,
}

impl PingArgs {
    /// Whether there are to be several.
    pub(crate) fn is_series(&self) -> bool {
        self.count.is_some() || self.interval.is_some()
    }
}

#[derive(Debug, Args)]
pub(crate) struct SubscribeArgs {
    #[command(flatten)]
    pub(crate) host: HostArgs,
    #[command(flatten)]
    pub(crate) tags: TagsArgs,
    /// One more subscription, with these tags, a comma list; repeatable
    #[arg(long, value_name = "TAGS", add = ArgValueCompleter::new(complete::tag_list))]
    pub(crate) also: Vec<String>,
    /// End after N messages
    #[arg(short = 'n', long, value_name = "N", value_parser = whole(1_u64, None))]
    pub(crate) count: Option<u64>,
    /// End after this time, as in 10, 10s or 500ms, with exit code 124
    #[arg(short = 'W', long, value_name = "TIME", value_parser = duration)]
    pub(crate) wait: Option<Duration>,
    /// End when nothing has arrived for this time, with exit code 124
    #[arg(long, value_name = "TIME", value_parser = pause)]
    pub(crate) idle: Option<Duration>,
    /// Print each message in this format, with {time}, {tags} and {data}, or as JSON {tags:json} and so on;
    /// \n, \t, {{ and }} have their usual meaning
    #[arg(
        short = 'F',
        long,
        value_parser = Format::parse,
        conflicts_with_all = ["output", "timestamps", "show_tags"]
    )]
    pub(crate) format: Option<Format>,
    /// Run a shell command for each message, instead of printing it: the data is on its stdin, the
    /// tags are in MIST_TAGS, with commas
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["output", "timestamps", "show_tags", "format"])]
    pub(crate) exec: Option<String>,
    /// Run up to N of these commands at the same time; they may then end in another order
    #[arg(long, value_name = "N", requires = "exec", default_value_t = 1, value_parser = whole(1_usize, Some(1024)))]
    pub(crate) exec_jobs: usize,
    /// How messages are printed
    #[arg(short = 'o', long, value_enum, default_value_t)]
    pub(crate) output: Output,
    /// Add the time of arrival, UTC
    #[arg(long)]
    pub(crate) timestamps: bool,
    /// Add the message's tags
    #[arg(long)]
    pub(crate) show_tags: bool,
}

/// How messages are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// The data, one message per line
    #[default]
    Plain,
    /// One JSON object per line: tags, data and, with --timestamps, time
    Json,
    /// The data as it came, nothing between messages
    Raw,
}

#[derive(Debug, Args)]
pub(crate) struct PublishArgs {
    #[command(flatten)]
    pub(crate) host: HostArgs,
    #[command(flatten)]
    pub(crate) tags: TagsArgs,
    /// The message's data; - reads all of stdin. Without data given, it is what is piped in, without its
    /// last line end
    #[arg(
        long,
        value_name = "DATA",
        allow_hyphen_values = true,
        conflicts_with = "text"
    )]
    pub(crate) data: Option<String>,
    /// The message's data, as with --data; several words are joined by blanks
    #[arg(last = true, value_name = "DATA")]
    pub(crate) text: Vec<String>,
    /// Send each line of stdin as one message
    #[arg(long, conflicts_with_all = ["data", "text", "count"])]
    pub(crate) stdin_line: bool,
    /// Send the message N times
    #[arg(short = 'n', long, value_name = "N", value_parser = whole(1_u64, None))]
    pub(crate) count: Option<u64>,
    /// Send at most this many messages per second, as in 50 or 50/s
    #[arg(long, value_name = "N/s", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// Wait for the number of connections that the message was delivered to, and print it on stderr
    #[arg(long)]
    pub(crate) ack: bool,
    #[command(flatten)]
    pub(crate) answer: AnswerArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Register a token with the tags it grants
    Add(TokenGrantArgs),
    /// Remove a token; what it granted is revoked at once
    Rm(TokenArgs),
    /// Remove a token, and with scoped access close the connections of this server that use it
    End(TokenArgs),
    /// Add tags to a token, or rights to them, or set when it ends
    Set(TokenGrantArgs),
    /// Remove tags from a token; what they granted is revoked at once
    Unset(TokenTagsArgs),
    /// Print the tags of a token, one per line, followed by the right to it if there is only one
    Tags(TokenArgs),
    /// Print the registered tokens, one per line: name, connections of this server with it, when it ends, tags. If the
    /// store keeps only hashes, the name is the first digits of the hash
    List(AskArgs),
    /// Print a new random token, without a server
    Gen(AnswerArgs),
}

#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    #[command(flatten)]
    pub(crate) ask: AskArgs,
    /// The token to manage, or its name in `mist token list`, such as sha256:c2b1ef52f7d0; - reads the token
    /// itself from stdin
    #[arg(value_name = "TOKEN")]
    pub(crate) subject: String,
}

#[derive(Debug, Args)]
pub(crate) struct TokenTagsArgs {
    #[command(flatten)]
    pub(crate) token: TokenArgs,
    #[command(flatten)]
    pub(crate) tags: TagsArgs,
    /// The rights to the tags
    #[arg(long, value_enum, default_value_t)]
    pub(crate) rights: RightsArg,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum RightsArg {
    /// To subscribe
    Subscribe,
    /// To publish
    Publish,
    /// Both
    #[default]
    Both,
}

impl From<RightsArg> for Rights {
    fn from(rights: RightsArg) -> Self {
        match rights {
            RightsArg::Subscribe => Self::Subscribe,
            RightsArg::Publish => Self::Publish,
            RightsArg::Both => Self::Both,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct TokenGrantArgs {
    #[command(flatten)]
    pub(crate) change: TokenTagsArgs,
    /// Let the token end after this time, as in 90s, 15m, 12h or 30d, or never [default: never; with set, as
    /// before]
    #[arg(long, value_name = "TIME", value_parser = life)]
    pub(crate) ttl: Option<Life>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }
}
