//! Owns the list of scenarios: what is measured, over what, with which servers.
//!
//! How a scenario is done is the business of `trial`.

use anyhow::{Result, bail};

use super::server::{Kind, Transport};

/// What is measured.
#[derive(Clone, Copy)]
pub(crate) enum Work {
    /// Publishers at full speed, each with its own subscribers.
    Fan(Shape),
    /// So many subscriptions, few of which match.
    Match(usize),
    /// Messages that match so many different subscriptions.
    Sets(usize),
    /// One processor and two.
    Scale(Scaled),
    /// Many idle connections.
    Memory,
    /// Connecting, subscribing, closing.
    Connect,
    /// The time from publishing to arrival at a low rate.
    Latency,
    /// The time of a ping beside a flood.
    PingInFlood,
    /// Healthy readers beside one that reads nothing.
    Stalled,
}

/// What a server does with one processor and with two.
#[derive(Clone, Copy)]
pub(crate) enum Scaled {
    /// Publishers at full speed, each with its own subscribers.
    Fan(Shape),
    /// Several publishers and many subscriptions, few of which match.
    Match,
}

/// Who publishes to how many, and with which tags.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    /// Publishers.
    pub(crate) publishers: usize,
    /// The groups of subscribers that a publisher speaks to in turn.
    pub(crate) groups: usize,
    /// Subscribers of each group.
    pub(crate) subscribers: usize,
    /// What the messages carry.
    pub(crate) tags: Tags,
}

/// The tags of a publisher's messages to one group.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tags {
    /// One, always the same.
    One,
    /// Two, always the same.
    Repeating,
    /// Two, of which the second is another one than in the last message.
    Varying,
    /// Two out of order, of which one has never been there before.
    Unsorted,
}

/// A scenario.
pub(crate) struct Scenario {
    /// Its name for `--only`.
    pub(crate) name: &'static str,
    /// What it is, in a few words.
    pub(crate) about: &'static str,
    /// What it does.
    pub(crate) work: Work,
    /// Over what.
    pub(crate) transport: Transport,
    /// Whether it is repeated for each payload size, or done with one size only.
    pub(crate) is_sized: bool,
    /// Which servers it can be done with.
    kinds: &'static [Kind],
}

impl Shape {
    /// Each publisher has its own subscribers and one tag that they ask for.
    pub(crate) const fn plain(publishers: usize, subscribers: usize) -> Self {
        Self {
            publishers,
            groups: 1,
            subscribers,
            tags: Tags::One,
        }
    }
}

const fn fan(publishers: usize, subscribers: usize) -> Work {
    Work::Fan(Shape::plain(publishers, subscribers))
}

const fn tagged(publishers: usize, subscribers: usize, tags: Tags) -> Work {
    let plain = Shape::plain(publishers, subscribers);
    Work::Fan(Shape { tags, ..plain })
}

const fn repeating(publishers: usize, subscribers: usize) -> Work {
    tagged(publishers, subscribers, Tags::Repeating)
}

const fn varying(publishers: usize, subscribers: usize) -> Work {
    tagged(publishers, subscribers, Tags::Varying)
}

const ALL: &[Kind] = &[
    Kind::Mist,
    Kind::Other,
    Kind::Nats,
    Kind::DebianNats,
    Kind::Redis,
    Kind::Mosquitto,
    Kind::Relay,
];
const BROKERS: &[Kind] = &[
    Kind::Mist,
    Kind::Other,
    Kind::Nats,
    Kind::DebianNats,
    Kind::Redis,
    Kind::Mosquitto,
];
/// The payload of scenarios that are not repeated for each size.
pub(crate) const ONE_SIZE: usize = 128;

const MIST: &[Kind] = &[Kind::Mist, Kind::Other];

/// Those that have more than one thread for messages, and those that speak WebSocket.
const MIST_AND_NATS: &[Kind] = &[Kind::Mist, Kind::Other, Kind::Nats, Kind::DebianNats];

const MATCH: &str = "so many sets of two, one publish in twenty matches one";
const SETS: &str = "47 tags, so many sets of two that match, each of another connection";
const REPEATING: &str = "two tags, always the same";
const VARYING: &str = "two tags, 1,024 sets in turn";

impl Scenario {
    const fn new(name: &'static str, work: Work, about: &'static str) -> Self {
        let is_sized = matches!(work, Work::Fan(_));
        let transport = Transport::Tcp;
        let kinds = BROKERS;
        Self {
            name,
            about,
            work,
            transport,
            is_sized,
            kinds,
        }
    }

    /// Whether `kind` takes part with payloads of `size` bytes. What has two tags is compared with
    /// peers at one size only, to save time.
    pub(crate) fn is_for(&self, kind: Kind, size: usize) -> bool {
        let is_plain = !matches!(self.work, Work::Fan(Shape { tags, .. }) if tags != Tags::One);
        self.kinds.contains(&kind) && (is_plain || size == ONE_SIZE || MIST.contains(&kind))
    }

    const fn with(self, kinds: &'static [Kind]) -> Self {
        Self { kinds, ..self }
    }

    const fn over_websocket(self) -> Self {
        let transport = Transport::WebSocket;
        Self { transport, ..self }
    }
}

/// All scenarios.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario::new("pipe", fan(1, 1), "one publisher, one subscriber").with(ALL),
    Scenario::new("fan-10", fan(1, 10), "one publisher, 10 subscribers").with(ALL),
    Scenario::new("fan-100", fan(1, 100), "100 subscribers").with(ALL),
    Scenario::new("fan-1000", fan(1, 1000), "1,000 subscribers").with(ALL),
    Scenario::new("pairs-50", fan(50, 1), "50 times one to one").with(ALL),
    Scenario::new("ws-pipe", fan(1, 1), "WebSocket, one to one")
        .with(MIST_AND_NATS)
        .over_websocket(),
    Scenario::new("ws-fan-100", fan(1, 100), "WebSocket, 100 subscribers")
        .with(MIST_AND_NATS)
        .over_websocket(),
    Scenario::new("repeating-pipe", repeating(1, 1), REPEATING),
    Scenario::new("varying-pipe", varying(1, 1), VARYING),
    Scenario::new("repeating-fan-10", repeating(1, 10), REPEATING),
    Scenario::new("varying-fan-10", varying(1, 10), VARYING),
    Scenario::new("repeating-fan-100", repeating(1, 100), REPEATING),
    Scenario::new("varying-fan-100", varying(1, 100), VARYING),
    Scenario::new("repeating-fan-1000", repeating(1, 1000), REPEATING),
    Scenario::new("varying-fan-1000", varying(1, 1000), VARYING),
    Scenario::new("repeating-pairs-50", repeating(50, 1), REPEATING),
    Scenario::new("varying-pairs-50", varying(50, 1), VARYING),
    Scenario::new("repeating-ws-fan-100", repeating(1, 100), REPEATING)
        .with(MIST_AND_NATS)
        .over_websocket(),
    Scenario::new("varying-ws-fan-100", varying(1, 100), VARYING)
        .with(MIST_AND_NATS)
        .over_websocket(),
    Scenario::new(
        "alternating",
        Work::Fan(Shape {
            groups: 16,
            tags: Tags::Repeating,
            ..Shape::plain(1, 1)
        }),
        "one publisher, each message for another of 16 subscribers",
    ),
    Scenario::new(
        "unsorted",
        tagged(1, 1, Tags::Unsorted),
        "two tags out of order, one of them never seen before",
    ),
    Scenario::new("match-1k", Work::Match(1000), MATCH),
    Scenario::new("match-10k", Work::Match(10_000), MATCH),
    Scenario::new("match-100k", Work::Match(100_000), MATCH),
    Scenario::new("match-1m", Work::Match(1_000_000), MATCH),
    Scenario::new("sets-1", Work::Sets(1), SETS).with(MIST),
    Scenario::new("sets-10", Work::Sets(10), SETS).with(MIST),
    Scenario::new("sets-100", Work::Sets(100), SETS).with(MIST),
    Scenario::new("sets-1000", Work::Sets(1000), SETS).with(MIST),
    Scenario::new(
        "scale-fan",
        Work::Scale(Scaled::Fan(Shape {
            tags: Tags::Varying,
            ..Shape::plain(8, 50)
        })),
        "8 times one to 50, with one core and with two: deliveries",
    )
    .with(MIST_AND_NATS),
    Scenario::new(
        "scale-match",
        Work::Scale(Scaled::Match),
        "8 publishers, 100,000 sets of two, few match: publishes",
    )
    .with(MIST_AND_NATS),
    Scenario::new("memory", Work::Memory, "10,000 connections, one set each"),
    Scenario::new("ws-memory", Work::Memory, "WebSocket, 10,000 connections")
        .with(MIST_AND_NATS)
        .over_websocket(),
    Scenario::new("connect", Work::Connect, "connect, subscribe, close"),
    Scenario::new(
        "latency",
        Work::Latency,
        "1,000 messages/s, 100 subscribers",
    )
    .with(ALL),
    Scenario::new(
        "ping-in-flood",
        Work::PingInFlood,
        "ping beside a full pipe",
    ),
    Scenario::new(
        "stalled",
        Work::Stalled,
        "one of 10 subscribers reads nothing",
    ),
];

/// The scenarios with these names, or with names that contain them; all when none is given.
pub(crate) fn chosen(names: &[String]) -> Result<Vec<&'static Scenario>> {
    let is_whole = |name: &str| SCENARIOS.iter().any(|one| one.name == name);
    let fits = |one: &Scenario, name: &str| {
        one.name == name || !name.is_empty() && !is_whole(name) && one.name.contains(name)
    };
    for name in names {
        if !SCENARIOS.iter().any(|one| fits(one, name)) {
            bail!("--only '{name}' is in the name of no scenario; --list shows their names");
        }
    }
    let is_chosen = |one: &&Scenario| names.is_empty() || names.iter().any(|name| fits(one, name));
    Ok(SCENARIOS.iter().filter(is_chosen).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(only: &[&str]) -> Result<Vec<&'static str>> {
        let only: Vec<_> = only.iter().map(|&name| name.to_owned()).collect();
        Ok(chosen(&only)?.iter().map(|one| one.name).collect())
    }

    #[test]
    fn a_name_chooses_one_scenario_and_a_part_of_names_several() {
        assert_eq!(names(&[]).expect("all").len(), SCENARIOS.len());
        assert_eq!(names(&["pipe"]).expect("one"), ["pipe"]);
        assert_eq!(
            names(&["match-1", "pipe"]).expect("some"),
            ["pipe", "match-1k", "match-10k", "match-100k", "match-1m"]
        );
    }

    #[test]
    fn a_name_of_nothing_is_refused() {
        for only in [&["pipe", "nothing"][..], &["pipe,connect"], &[""]] {
            let error = names(only).expect_err("no scenario").to_string();
            assert!(error.contains(only[only.len() - 1]), "{error}");
            assert!(error.contains("--list"), "{error}");
        }
    }
}
