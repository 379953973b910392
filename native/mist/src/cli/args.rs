//! Owns what can be typed after `mist`; knows nothing of what the commands do.

use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use mist::Access;

use super::bench::{BenchArgs, LatencyArgs};
use super::help;
use crate::config::{self, LogLevel};

/// Version and commit, as `-v` prints them after the name.
pub(crate) const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("MIST_COMMIT"), ")");

/// Tagged publish/subscribe: a server, and commands that talk to one.
///
/// A message carries tags; a subscription is a set of tags; a message is delivered
/// when all of the subscription's tags are on it.
#[derive(Debug, Parser)]
#[command(
    name = "mist",
    version = VERSION,
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
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What only a server needs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Server")]
pub(crate) struct ServerArgs {
    /// Run a server
    #[arg(long)]
    pub(crate) server: bool,
    /// Where to listen: tcp://, tls://, http://, https://, ws://, wss:// with HOST:PORT, or
    /// unix:///PATH?mode=0600; a comma list and/or repeated
    /// [default: tcp://localhost:1445, http://localhost:8080, ws://localhost:8888]
    #[arg(long, value_name = "URI", num_args = 1..)]
    pub(crate) listeners: Vec<String>,
    /// The certificate for tls://, https:// and wss://, in PEM, followed by those that vouch for it;
    /// read again on SIGHUP [default: one made at each start]
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The certificate's private key, in PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Where tokens are stored: memory://, sqlite:///FILE, scribble://?db=FOLDER or
    /// postgres://USER:PASSWORD@HOST:PORT?db=NAME; needs a token
    #[arg(long, value_name = "URI")]
    pub(crate) authenticator: Option<String>,
    /// Who may use the basic commands: open (everybody) or scoped (tokens, within their tags)
    /// [default: open]
    #[arg(long, value_name = "MODE", value_parser = config::access)]
    pub(crate) access: Option<Access>,
    /// Let the pages of an origin talk to the http and ws listeners: https://example.com,
    /// https://*.example.com, null, or * for all; a comma list and/or repeated
    /// [default: pages of the same host, and of this machine where it listens on loopback]
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) allow_origin: Vec<String>,
    /// A name that the http and ws listeners go by, as mist.example.com or *.example.com; those on
    /// loopback refuse requests for other names, with this flag all do; a comma list and/or repeated
    /// [default: localhost and IP addresses]
    #[arg(long, value_name = "HOST")]
    pub(crate) allow_host: Vec<String>,
    /// Networks of proxies that are believed about whom they ask for, by X-Forwarded-For or Forwarded:
    /// 10.0.0.0/8 or an address; a comma list and/or repeated [default: none]
    #[arg(long, value_name = "CIDR")]
    pub(crate) trusted_proxies: Vec<String>,
    /// Do not serve the page at /, which everybody gets who reaches an http or ws listener, also with
    /// --access scoped
    #[arg(long)]
    pub(crate) no_page: bool,
    /// Do not serve the figures at /metrics, which everybody gets as well
    #[arg(long)]
    pub(crate) no_metrics: bool,
    /// Settings from a file of YAML, JSON or TOML, as .yml, .yaml, .json or .toml in its name says, or its
    /// text shows
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Change a limit, repeatable
    #[arg(
        long = "limit",
        alias = "limits",
        value_name = "NAME=VALUE",
        value_delimiter = ',',
        value_parser = config::limit,
        help = help::limit()
    )]
    pub(crate) limits: Vec<(String, u64)>,
}

impl ServerArgs {
    /// The first of these flags that was given, to say that it does not go with a command.
    pub(crate) fn given(&self) -> Option<&'static str> {
        [
            ("--server", self.server),
            ("--listeners", !self.listeners.is_empty()),
            ("--tls-cert", self.tls_cert.is_some()),
            ("--tls-key", self.tls_key.is_some()),
            ("--authenticator", self.authenticator.is_some()),
            ("--access", self.access.is_some()),
            ("--allow-origin", !self.allow_origin.is_empty()),
            ("--allow-host", !self.allow_host.is_empty()),
            ("--trusted-proxies", !self.trusted_proxies.is_empty()),
            ("--no-page", self.no_page),
            ("--no-metrics", self.no_metrics),
            ("--config", self.config.is_some()),
            ("--limit", !self.limits.is_empty()),
        ]
        .iter()
        .find_map(|&(name, given)| given.then_some(name))
    }
}

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
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Ask a server for a sign of life
    #[command(after_help = help::PING)]
    Ping(HostArgs),
    /// Print the messages that carry all of some tags
    #[command(visible_alias = "sub", after_help = help::SUBSCRIBE)]
    Subscribe(SubscribeArgs),
    /// Send a message
    #[command(visible_alias = "pub", aliases = ["message", "send"], after_help = help::PUBLISH)]
    Publish(PublishArgs),
    /// List the tags that somebody subscribes to
    #[command(alias = "list", after_help = help::LISTALL)]
    Listall(HostArgs),
    /// Count connections and subscribers
    #[command(after_help = help::WHO)]
    Who(HostArgs),
    /// Measure how many messages a server passes on
    #[command(after_help = help::BENCH)]
    Bench(BenchArgs),
    /// Measure how long messages take through a server
    #[command(after_help = help::LATENCY)]
    Latency(LatencyArgs),
    /// Manage tokens and the tags they grant (needs the server's token)
    #[command(after_help = help::TOKEN)]
    Token {
        #[command(subcommand)]
        command: TokenCommand,
    },
    /// Check a config file and print what would be used
    #[command(after_help = help::CHECK_CONFIG)]
    CheckConfig {
        /// A file of YAML, JSON or TOML
        file: PathBuf,
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

/// Which server to talk to.
#[derive(Clone, Debug, Args)]
pub(crate) struct HostArgs {
    /// The server: HOST:PORT, tcp://, tls://, ws:// or wss:// with HOST:PORT, or unix:///PATH
    /// [default: 127.0.0.1:1445]
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Option<String>,
    /// Trust the certificates in this PEM file, besides those that the system trusts
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Do not check the server's certificate; anybody in between can read and change everything
    #[arg(long)]
    pub(crate) insecure: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TagsArgs {
    /// Tags, a comma list and/or repeated; blanks belong to the tag
    #[arg(long, value_name = "TAGS")]
    pub(crate) tags: Vec<String>,
    /// One tag taken as it is, commas included; repeatable
    #[arg(long, value_name = "TAG")]
    pub(crate) tag: Vec<String>,
}

impl TagsArgs {
    /// All tags, in the order given.
    pub(crate) fn all(&self) -> Vec<String> {
        let lists = self.tags.iter().flat_map(|list| split_tags(list));
        lists.chain(self.tag.iter().cloned()).collect()
    }
}

/// Splits a comma list of tags. Empty items are slips, not the empty tag.
pub(crate) fn split_tags(list: &str) -> Vec<String> {
    let items = list.split(',').filter(|tag| !tag.is_empty());
    items.map(str::to_owned).collect()
}

#[derive(Debug, Args)]
pub(crate) struct SubscribeArgs {
    #[command(flatten)]
    pub(crate) host: HostArgs,
    #[command(flatten)]
    pub(crate) tags: TagsArgs,
    /// One more subscription, with these tags, a comma list; repeatable
    #[arg(long, value_name = "TAGS")]
    pub(crate) also: Vec<String>,
    /// End after N messages
    #[arg(short = 'n', long, value_name = "N", value_parser = whole(1_u64, None))]
    pub(crate) count: Option<u64>,
    /// End after this time, as in 10, 10s or 500ms, with exit code 124
    #[arg(short = 'W', long, value_name = "TIME", value_parser = duration)]
    pub(crate) wait: Option<Duration>,
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
    /// The message's data; - reads all of stdin
    #[arg(
        long,
        value_name = "DATA",
        allow_hyphen_values = true,
        conflicts_with = "text"
    )]
    pub(crate) data: Option<String>,
    /// The message's data, as with --data
    #[arg(value_name = "DATA")]
    pub(crate) text: Option<String>,
    /// Send each line of stdin as one message
    #[arg(long, conflicts_with_all = ["data", "text", "count"])]
    pub(crate) stdin_line: bool,
    /// Send the message N times
    #[arg(short = 'n', long, value_name = "N", value_parser = whole(1_u64, None))]
    pub(crate) count: Option<u64>,
    /// Send at most so many messages per second, as in 50 or 50/s
    #[arg(long, value_name = "N/s", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// Wait for the server to say to how many connections it delivered, and print that on stderr
    #[arg(long)]
    pub(crate) ack: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Register a token with the tags it grants
    Add(TokenTagsArgs),
    /// Remove a token; what it allowed ends at once
    Rm(TokenArgs),
    /// Add tags to a token
    Set(TokenTagsArgs),
    /// Take tags from a token; what they allowed ends at once
    Unset(TokenTagsArgs),
    /// Print the tags of a token, one per line
    Tags(TokenArgs),
    /// Print a new random token; no server is asked
    Gen,
}

#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    #[command(flatten)]
    pub(crate) host: HostArgs,
    /// The token to manage; - reads it from stdin
    #[arg(value_name = "TOKEN")]
    pub(crate) subject: String,
}

#[derive(Debug, Args)]
pub(crate) struct TokenTagsArgs {
    #[command(flatten)]
    pub(crate) token: TokenArgs,
    #[command(flatten)]
    pub(crate) tags: TagsArgs,
}

/// Reads `5`, `5s`, `500ms`, `2m` or `1h`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is not a time; write 5s, 500ms or 2m");
    let unit = text.find(|c: char| c.is_ascii_alphabetic());
    let (number, unit) = text.split_at(unit.unwrap_or(text.len()));
    let unit = match unit {
        "" | "s" => 1.0,
        "ms" => 1e-3,
        "us" => 1e-6,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(wrong()),
    };
    let number = number.trim().parse::<f64>().map_err(|_| wrong())?;
    Duration::try_from_secs_f64(number * unit).map_err(|_| wrong())
}

/// Reads a whole number that is not less than `least`, and not more than `most` if there is a bound.
pub(super) fn whole<T>(
    least: T,
    most: Option<T>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: FromStr + PartialOrd + Display + Clone + Send + Sync + 'static,
{
    move |text| match (text.trim().parse(), &most) {
        (Ok(number), None) if number >= least => Ok(number),
        (Ok(number), Some(most)) if (&least..=most).contains(&&number) => Ok(number),
        (_, None) => Err(format!("write a whole number, {least} or more")),
        (_, Some(most)) => Err(format!("write a whole number from {least} to {most}")),
    }
}

pub(super) fn rate(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    match number.trim().parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(rate),
        _ => Err(format!("'{text}' is not a rate; write 50 or 50/s")),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn tags_keep_their_order_and_blanks_and_lose_empty_items() {
        let tags = TagsArgs {
            tags: vec!["b,a,".to_owned(), " c".to_owned()],
            tag: vec!["x,y".to_owned()],
        };
        assert_eq!(tags.all(), ["b", "a", " c", "x,y"]);
    }

    #[test]
    fn times_rates_and_counts_are_positive_numbers() {
        for (text, millis) in [
            ("1.5", 1500),
            ("5s", 5000),
            ("500ms", 500),
            ("2m", 120_000),
            ("1 h", 3_600_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["-1", "inf", "x", "", "s", "5d", "1e999"] {
            let error = duration(text).expect_err(text);
            assert!(error.contains("write 5s"), "{error}");
        }
        assert_eq!((rate("50"), rate("2.5/s")), (Ok(50.0), Ok(2.5)));
        let number = whole(1, Some(64_u32));
        assert_eq!(number(" 64"), Ok(64));
        for text in ["0", "65", "-1", "x", "", "1.5", "99999999999999999999"] {
            let error = number(text).expect_err(text);
            assert_eq!(error, "write a whole number from 1 to 64");
        }
        let error = whole(1_u64, None)("0").expect_err("too small");
        assert_eq!(error, "write a whole number, 1 or more");
        assert!(rate("0").is_err() && rate("5/m").is_err() && rate("NaN").is_err());
    }
}
