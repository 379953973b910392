//! How many copies of a message go over the bus: beside sending each to all nodes, and to those alone that need it.
//!
//! `MIST_NODES=128` prints the figures for so many nodes.

use std::env;
use std::time::Duration;

use mist_core::cluster::{Node, NodeId, Output, Status, Way};
use mist_core::{Broker, Config, Credentials};

use crate::dice::Dice;

pub(super) const SUBSCRIPTIONS: usize = 10_000;
const MESSAGES: usize = 400;
const TAGS: usize = 20_000;

/// A kind of subscriptions and messages.
#[derive(Clone, Copy)]
pub(super) struct Mix {
    pub(super) name: &'static str,
    /// How many tags subscriptions have at least and at most, and messages.
    pub(super) subscribed: (usize, usize),
    pub(super) published: (usize, usize),
    /// How many tags are in use: few are asked for by many.
    pub(super) tags: usize,
}

pub(super) const MIXES: [Mix; 2] = [
    Mix {
        name: "narrow",
        subscribed: (2, 3),
        published: (2, 4),
        tags: TAGS,
    },
    Mix {
        name: "broad",
        subscribed: (1, 2),
        published: (3, 6),
        tags: TAGS / 20,
    },
];

/// Draws tags of which the one of rank n is drawn as often as 1/n says.
pub(super) struct Zipf(Vec<f64>);

impl Zipf {
    pub(super) fn new(tags: usize) -> Self {
        let mut sum = 0.0;
        let sums = (1..=tags).map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        });
        Self(sums.collect())
    }

    fn draw(&self, dice: &mut Dice) -> String {
        let last = *self.0.last().expect("there are tags");
        let at = dice.below(1 << 53) as f64 / (1_u64 << 53) as f64 * last;
        format!("tag-{}", self.0.partition_point(|sum| *sum < at))
    }

    pub(super) fn set(&self, (least, most): (usize, usize), dice: &mut Dice) -> Vec<String> {
        let count = least + dice.below(most - least + 1);
        let mut tags = Vec::new();
        while tags.len() < count {
            let tag = self.draw(dice);
            if !tags.contains(&tag) {
                tags.push(tag);
            }
        }
        tags
    }
}

/// Copies of each message, on average.
struct Copies {
    broadcast: f64,
    directed: f64,
    needed: f64,
}

pub(super) fn node(at: usize) -> Node {
    let status = Status {
        name: format!("node-{at}"),
        ..Status::default()
    };
    Node::new(NodeId(at as u64 + 1), status, 1 << 20)
}

/// Carries what the sender and the others have to say to each other, until that is nothing.
fn exchange(now: Duration, sender: &mut Node, peers: &mut [(Node, Broker)]) {
    loop {
        let mut is_quiet = true;
        while let Some(output) = sender.poll_output() {
            let Output::Send { way, payload } = output else {
                continue;
            };
            is_quiet = false;
            for (peer, _) in &mut *peers {
                if way == Way::All || way == Way::Node(peer.id()) {
                    peer.handle_envelope(now, way, &payload);
                }
            }
        }
        for (peer, _) in &mut *peers {
            while let Some(output) = peer.poll_output() {
                if let Output::Send { way, payload } = output {
                    is_quiet = false;
                    sender.handle_envelope(now, way, &payload);
                }
            }
        }
        if is_quiet {
            return;
        }
    }
}

fn count(nodes: usize, mix: Mix) -> Copies {
    let zipf = Zipf::new(mix.tags);
    let mut dice = Dice::new(nodes as u64);
    let mut sender = node(0);
    sender.handle_joined(Duration::ZERO, 1 << 20);
    let mut peers = Vec::new();
    for at in 1..nodes {
        let mut broker = Broker::new(Config::default(), at as u64);
        broker.connect_link();
        // Subscribers of one node have much the same interests.
        let client = broker.connect(Credentials::default());
        for _ in 0..SUBSCRIPTIONS {
            let tags = zipf.set(mix.subscribed, &mut dice);
            let line = format!(r#"{{"command":"subscribe","tags":{tags:?}}}"#);
            broker.handle_message(client, line.as_bytes());
        }
        let mut peer = node(at);
        peer.handle_needs(&broker.take_needs());
        peer.handle_joined(Duration::ZERO, 1 << 20);
        peers.push((peer, broker));
    }
    for round in 0..4 {
        let now = Duration::from_secs(2 * round);
        sender.handle_time(now);
        peers.iter_mut().for_each(|(peer, _)| peer.handle_time(now));
        exchange(now, &mut sender, &mut peers);
    }
    let (mut directed, mut needed) = (0, 0);
    for _ in 0..MESSAGES {
        let tags = zipf.set(mix.published, &mut dice);
        let line = format!(r#"{{"command":"publish","tags":{tags:?},"data":"1"}}"#);
        sender.handle_messages(format!("{line}\n").as_bytes());
        while let Some(output) = sender.poll_output() {
            // Some only say what was sent before.
            let Output::Send { way, payload } = output else {
                continue;
            };
            if payload.ends_with(b"}\n") {
                directed += if way == Way::All { nodes - 1 } else { 1 };
            }
        }
        for (_, broker) in &mut peers {
            let publisher = broker.connect(Credentials::default());
            broker.handle_message(publisher, line.as_bytes());
            let mut is_needed = false;
            while let Some(output) = broker.poll_output() {
                is_needed |= matches!(output, mist_core::Output::Deliver { targets, .. } if !targets.is_empty());
            }
            needed += usize::from(is_needed);
            broker.disconnect(publisher);
        }
    }
    let each = |copies: usize| copies as f64 / MESSAGES as f64;
    Copies {
        broadcast: (nodes - 1) as f64,
        directed: each(directed),
        needed: each(needed),
    }
}

#[test]
fn copies_are_few_more_than_are_needed_and_never_more_than_to_all() {
    let asked = env::var("MIST_NODES")
        .ok()
        .and_then(|nodes| nodes.parse().ok());
    for nodes in asked.map_or(vec![3, 8], |nodes| vec![nodes]) {
        for mix in MIXES {
            let Copies {
                broadcast,
                directed,
                needed,
            } = count(nodes, mix);
            let name = mix.name;
            eprintln!(
                "{nodes} nodes, {name}: to all {broadcast}, directed {directed:.2}, needed {needed:.2}"
            );
            assert!(
                directed >= needed,
                "{nodes} {name}: somebody did not get a message"
            );
            assert!(directed <= broadcast, "{nodes} {name}: more than to all");
            if name == "narrow" {
                assert!(
                    directed <= 1.2 * needed,
                    "{nodes} {name}: {directed} where {needed} are needed"
                );
            }
        }
    }
}
