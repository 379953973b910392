//! Owns what can be typed after `mist bench` and `mist latency`, and what of it does not go together.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::message::MARK;
use crate::cli::exit::Stop;
use crate::cli::host::{AnswerArgs, HostArgs};
use crate::cli::values::{duration, rate, whole};

/// How long each scenario is measured unless something else is said.
const DURATION: Duration = Duration::from_secs(2);
/// Subscriptions in `match`.
const SUBSCRIPTIONS: u32 = 10_000;
/// How many connections one flag may ask for.
const CONNECTIONS: u32 = 100_000;

/// How many publish to how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// Publishers alone
    Pub,
    /// Subscribers alone, for the messages of `mist bench pub`
    Sub,
    /// One publisher, one subscriber
    Pipe,
    /// One publisher, many subscribers
    FanOut,
    /// Many publishers with a subscriber each
    Pairs,
    /// Many subscriptions, few of which match
    Match,
    /// All but sub, one after the other
    #[default]
    All,
}

impl Scenario {
    /// What `all` is.
    const EACH: [Self; 5] = [
        Self::Pub,
        Self::Pipe,
        Self::FanOut,
        Self::Pairs,
        Self::Match,
    ];

    /// The name, as it is typed.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pub => "pub",
            Self::Sub => "sub",
            Self::Pipe => "pipe",
            Self::FanOut => "fan-out",
            Self::Pairs => "pairs",
            Self::Match => "match",
            Self::All => "all",
        }
    }
}

/// Whether a publisher's messages all have the same tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TagSets {
    /// Each message has other tags than the one before
    Varying,
    /// All messages of a publisher have the same tags
    Repeating,
}

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// What to measure
    #[arg(value_enum, default_value_t)]
    pub(super) scenario: Scenario,
    #[command(flatten)]
    pub(crate) host: HostArgs,
    /// Bytes of data in a message; a comma list measures each
    #[arg(long, value_name = "BYTES", value_delimiter = ',', default_value = "128", value_parser = size)]
    pub(super) size: Vec<usize>,
    /// Publishers in pub; subscribers in sub, fan-out and match; pairs in pairs; in all, each of these
    #[arg(long, value_name = "N", value_parser = whole(1, Some(CONNECTIONS)))]
    clients: Option<u32>,
    /// Connections that publish
    #[arg(long, value_name = "N", value_parser = whole(1, Some(CONNECTIONS)))]
    publishers: Option<u32>,
    /// Connections that subscribe
    #[arg(long, value_name = "N", value_parser = whole(1, Some(CONNECTIONS)))]
    subscribers: Option<u32>,
    /// Tags on each message [default: 1; 2 when they vary; 8 in match]
    #[arg(long, value_name = "N", value_parser = whole(1, Some(64_u32)))]
    tags: Option<u32>,
    /// Whether messages one after the other have the same tags [default: repeating; varying in match]
    #[arg(long, value_enum, value_name = "HOW")]
    tag_sets: Option<TagSets>,
    /// Subscriptions of all subscribers together, in match: one for each at least [default: 10000]
    #[arg(long, value_name = "N", value_parser = whole(1, Some(10_000_000_u32)))]
    subscriptions: Option<u32>,
    /// The tag by which pub and sub find each other [default: bench]
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// End after N messages of all publishers together; in sub, N that each subscriber has had
    #[arg(short = 'n', long, value_name = "N", value_parser = whole(1_u64, None))]
    pub(super) count: Option<u64>,
    /// End after this time, as in 5s or 500ms [default: 2s for each scenario, unless --count is given]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    duration: Option<Duration>,
    /// Publish at most so many messages per second, all publishers together, as in 5000/s
    #[arg(long, value_name = "N/s", value_parser = rate)]
    pub(super) rate: Option<f64>,
    /// Messages that each subscriber may have still to read [default: 8192, or 2 MiB of them]
    #[arg(long, value_name = "N", value_parser = whole(1_u64, None))]
    pub(super) window: Option<u64>,
    /// How long to publish before anything is measured
    #[arg(long, value_name = "TIME", default_value = "200ms", value_parser = duration)]
    pub(super) warm_up: Duration,
    /// Threads that make and read the messages
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole(1, Some(1024_u16)))]
    pub(super) threads: u16,
    #[command(flatten)]
    pub(super) print: PrintArgs,
}

/// How results are told.
#[derive(Debug, Args)]
pub(crate) struct PrintArgs {
    #[command(flatten)]
    pub(super) answer: AnswerArgs,
    /// Write the figures to a file, too, as comma-separated values
    #[arg(long, value_name = "FILE")]
    pub(super) csv: Option<PathBuf>,
    /// Show no progress bar; there is none when stderr is no terminal
    #[arg(long)]
    pub(super) no_progress: bool,
    /// Print figures and errors only: no heading, no notes, no progress
    #[arg(short, long)]
    pub(super) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LatencyArgs {
    #[command(flatten)]
    pub(crate) host: HostArgs,
    /// Messages per second, as in 1000/s
    #[arg(long, value_name = "N/s", default_value = "1000/s", value_parser = rate)]
    pub(super) rate: f64,
    /// Connections that subscribe; the times of all are taken together [default: 1]
    #[arg(long, value_name = "N", value_parser = whole(1, Some(CONNECTIONS)), conflicts_with = "ping")]
    pub(super) subscribers: Option<u32>,
    /// Bytes of data in a message [default: 128]
    #[arg(long, value_name = "BYTES", value_parser = size, conflicts_with = "ping")]
    pub(super) size: Option<usize>,
    /// For how long to publish, as in 5s or 500ms
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub(super) duration: Duration,
    /// Measure pings and their pongs only
    #[arg(long)]
    pub(super) ping: bool,
    #[command(flatten)]
    pub(super) print: PrintArgs,
}

fn size(text: &str) -> Result<usize, String> {
    match text.trim().parse() {
        Ok(size) if (MARK..=1 << 30).contains(&size) => Ok(size),
        Ok(size) if size < MARK => Err(format!(
            "write {MARK} or more, for the mark by which each message is recognised"
        )),
        Ok(_) => {
            Err("write 1073741824 or less; a server takes 4 MiB unless it is told otherwise".into())
        }
        Err(_) => Err(format!("'{text}' is not a number of bytes; write 128")),
    }
}

/// How much of everything one scenario has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) scenario: Scenario,
    pub(super) publishers: usize,
    pub(super) subscribers: usize,
    pub(super) tags: usize,
    pub(super) tag_sets: TagSets,
    /// Only in `match`, else one per subscriber.
    pub(super) subscriptions: usize,
}

impl Shape {
    pub(super) fn connections(&self) -> usize {
        self.publishers + self.subscribers
    }
}

impl BenchArgs {
    /// How long each scenario is measured; nothing when only the count ends it.
    pub(super) fn duration(&self) -> Option<Duration> {
        match (self.duration, self.count) {
            (None, None) => Some(DURATION),
            (given, _) => given,
        }
    }

    /// What the two halves have in common.
    pub(super) fn tag(&self) -> &str {
        self.tag.as_deref().unwrap_or("bench")
    }

    /// The time that was asked for, if any was.
    pub(super) fn given_duration(&self) -> Option<Duration> {
        self.duration
    }

    /// The scenarios to go through.
    pub(super) fn shapes(&self) -> Result<Vec<Shape>, Stop> {
        self.check(self.scenario)?;
        let one = [self.scenario];
        let each = match self.scenario {
            Scenario::All => &Scenario::EACH[..],
            _ => &one,
        };
        each.iter().map(|&scenario| self.shape(scenario)).collect()
    }

    /// Refuses what a scenario has no use for.
    fn check(&self, scenario: Scenario) -> Result<(), Stop> {
        use Scenario::{All, FanOut, Match, Pairs, Pipe, Pub, Sub};
        let publishing = &[Pub, Pipe, FanOut, Pairs, Match, All][..];
        let flags = [
            (
                "--clients",
                self.clients.is_some(),
                &[Pub, Sub, FanOut, Pairs, Match, All][..],
            ),
            (
                "--publishers",
                self.publishers.is_some(),
                &[Pub, FanOut, Pairs, Match, All],
            ),
            (
                "--subscribers",
                self.subscribers.is_some(),
                &[Sub, FanOut, Pairs, Match, All],
            ),
            (
                "--subscriptions",
                self.subscriptions.is_some(),
                &[Match, All],
            ),
            ("--tag", self.tag.is_some(), &[Pub, Sub]),
            ("--tags", self.tags.is_some(), publishing),
            ("--tag-sets", self.tag_sets.is_some(), publishing),
            ("--rate", self.rate.is_some(), publishing),
            ("--window", self.window.is_some(), publishing),
        ];
        for (flag, is_given, fitting) in flags {
            if is_given && !fitting.contains(&scenario) {
                let fitting: Vec<_> = fitting.iter().map(|one| one.name()).collect();
                return Err(Stop::usage(format!(
                    "{flag} does not go with '{}': leave it out, or take {}",
                    scenario.name(),
                    fitting.join(" or ")
                )));
            }
        }
        if scenario == Pairs
            && let (Some(publishers), Some(subscribers)) = (self.publishers, self.subscribers)
            && publishers != subscribers
        {
            return Err(Stop::usage(format!(
                "{publishers} publishers and {subscribers} subscribers are no pairs: write --clients N"
            )));
        }
        self.check_clients(scenario)
    }

    /// Refuses two numbers for the same connections.
    fn check_clients(&self, scenario: Scenario) -> Result<(), Stop> {
        use Scenario::{All, FanOut, Match, Pairs, Pub, Sub};
        let Some(clients) = self.clients else {
            return Ok(());
        };
        let others = [
            ("--publishers", self.publishers, &[Pub, Pairs, All][..]),
            (
                "--subscribers",
                self.subscribers,
                &[Sub, FanOut, Match, Pairs, All],
            ),
        ];
        for (flag, given, meant) in others {
            if let Some(other) = given.filter(|_| meant.contains(&scenario)) {
                return Err(Stop::usage(format!(
                    "--clients {clients} and {flag} {other} are about the same connections of '{}': leave one of them out",
                    scenario.name()
                )));
            }
        }
        Ok(())
    }

    fn shape(&self, scenario: Scenario) -> Result<Shape, Stop> {
        let (clients, publishers, subscribers) = (self.clients, self.publishers, self.subscribers);
        let (publishers, subscribers) = match scenario {
            Scenario::Pub => (publishers.or(clients).unwrap_or(1), 0),
            Scenario::Sub => (0, subscribers.or(clients).unwrap_or(1)),
            Scenario::Pipe => (1, 1),
            Scenario::Pairs => {
                let pairs = clients.or(publishers).or(subscribers).unwrap_or(10);
                (pairs, pairs)
            }
            Scenario::FanOut | Scenario::Match | Scenario::All => (
                publishers.unwrap_or(1),
                subscribers.or(clients).unwrap_or(10),
            ),
        };
        let is_match = scenario == Scenario::Match;
        let (subscribers, subscriptions) = match (is_match, self.subscriptions) {
            (true, given) => self.matched(subscribers, given)?,
            (false, _) => (subscribers, subscribers),
        };
        let tag_sets = self.tag_sets.unwrap_or(if is_match {
            TagSets::Varying
        } else {
            TagSets::Repeating
        });
        let least = match tag_sets {
            _ if is_match => 2,
            TagSets::Varying => 2,
            TagSets::Repeating => 1,
        };
        let tags = self.tags.unwrap_or(if is_match { 8 } else { least });
        // In a sweep, one tag is for the scenarios that can do with one.
        if tags < least && !(is_match && self.scenario == Scenario::All) {
            let why = if is_match {
                "match"
            } else {
                "--tag-sets varying"
            };
            return Err(Stop::usage(format!(
                "--tags {tags} is too few for {why}: write 2 or more"
            )));
        }
        Ok(Shape {
            scenario,
            publishers: publishers as usize,
            subscribers: subscribers as usize,
            tags: tags.max(least) as usize,
            tag_sets,
            subscriptions: subscriptions as usize,
        })
    }

    /// How many subscribers there are in `match`, and how many subscriptions they share: one each at least. If only one
    /// of the numbers was given, the other follows it.
    fn matched(&self, subscribers: u32, given: Option<u32>) -> Result<(u32, u32), Stop> {
        let Some(subscriptions) = given else {
            return Ok((subscribers, SUBSCRIPTIONS.max(subscribers)));
        };
        match self.subscribers.or(self.clients) {
            Some(more) if more > subscriptions => Err(Stop::usage(format!(
                "--subscriptions {subscriptions} is too few for {more} subscribers: write {more} or more, or \
                 --subscribers {subscriptions}"
            ))),
            Some(_) => Ok((subscribers, subscriptions)),
            None => Ok((subscribers.min(subscriptions), subscriptions)),
        }
    }
}
