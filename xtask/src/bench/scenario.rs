//! Owns the list of scenarios: what is measured, over what, with which servers.
//!
//! How a scenario is done is the business of `trial`.

use super::server::{Kind, Transport};

/// What is measured.
#[derive(Clone, Copy)]
pub(crate) enum Work {
    /// Publishers at full speed, each with its own subscribers.
    Fan(Shape),
    /// Many subscriptions, few of which match.
    Match,
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

/// Who publishes to how many, and with how many tag sets in turn.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    /// Publishers.
    pub(crate) publishers: usize,
    /// Subscribers of each publisher.
    pub(crate) subscribers: usize,
    /// Each message carries a second tag, taken in turn from so many; none: one tag only.
    pub(crate) rotation: Option<usize>,
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
    /// Whether it is repeated for each payload size, or done with 128 bytes only.
    pub(crate) is_sized: bool,
    /// Which servers it can be done with.
    pub(crate) kinds: &'static [Kind],
}

const fn fan(publishers: usize, subscribers: usize) -> Work {
    Work::Fan(Shape {
        publishers,
        subscribers,
        rotation: None,
    })
}

const fn rotating(subscribers: usize, rotation: usize) -> Work {
    Work::Fan(Shape {
        publishers: 1,
        subscribers,
        rotation: Some(rotation),
    })
}

const ALL: &[Kind] = &[
    Kind::Mist,
    Kind::Other,
    Kind::Nats,
    Kind::Redis,
    Kind::Relay,
];
const BROKERS: &[Kind] = &[Kind::Mist, Kind::Other, Kind::Nats, Kind::Redis];
const MIST: &[Kind] = &[Kind::Mist, Kind::Other];

impl Scenario {
    const fn new(name: &'static str, work: Work, about: &'static str) -> Self {
        let is_sized = matches!(work, Work::Fan(Shape { rotation: None, .. }));
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
        .with(MIST)
        .over_websocket(),
    Scenario::new("ws-fan-100", fan(1, 100), "WebSocket, 100 subscribers")
        .with(MIST)
        .over_websocket(),
    Scenario::new("same-tags-1", rotating(1, 1), "two tags, always the same"),
    Scenario::new("many-tags-1", rotating(1, 64), "two tags, 64 sets in turn"),
    Scenario::new(
        "same-tags-100",
        rotating(100, 1),
        "the same, 100 subscribers",
    ),
    Scenario::new(
        "many-tags-100",
        rotating(100, 64),
        "the same, 100 subscribers",
    ),
    Scenario::new("match-100k", Work::Match, "100,000 sets of two, few match"),
    Scenario::new("memory", Work::Memory, "10,000 connections, one set each"),
    Scenario::new("ws-memory", Work::Memory, "WebSocket, 10,000 connections")
        .with(MIST)
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
