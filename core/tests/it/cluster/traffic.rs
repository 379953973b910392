//! How many bytes nodes send each other to say what they need, beside messages, while subscriptions come and go.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use mist_core::cluster::{Node, NodeId, Output, Way};
use mist_core::{Broker, Config, Credentials, SessionId};

use super::copies::{MIXES, Mix, SUBSCRIPTIONS, Zipf, node};
use crate::dice::Dice;

const NODES: usize = 3;
const TICK: Duration = Duration::from_millis(20);
const TICKS: u32 = 300;
/// So many subscriptions come and go in each tick, a hundredth of all in a second; and so many messages for each of them.
const CHANGES: usize = SUBSCRIPTIONS / 100 / 50;
const MESSAGES: usize = 100;

struct Site {
    node: Node,
    broker: Broker,
    client: SessionId,
    held: VecDeque<Vec<String>>,
}

impl Site {
    fn new(at: usize) -> Self {
        let mut broker = Broker::new(Config::default(), at as u64);
        broker.connect_link();
        let client = broker.connect(Credentials::default());
        Self {
            node: node(at),
            broker,
            client,
            held: VecDeque::new(),
        }
    }

    fn say(&mut self, command: &str, tags: &[String]) {
        let line = format!(r#"{{"command":"{command}","tags":{tags:?}}}"#);
        self.broker.handle_message(self.client, line.as_bytes());
    }

    fn subscribe(&mut self, tags: Vec<String>) {
        self.say("subscribe", &tags);
        self.held.push_back(tags);
    }

    fn unsubscribe(&mut self) {
        let tags = self.held.pop_front().expect("there are many");
        self.say("unsubscribe", &tags);
    }
}

/// Bytes on the bus by the kinds of envelopes, once for each that was handed to it.
type Bytes = BTreeMap<String, usize>;

fn carry(now: Duration, sites: &mut [Site], bytes: &mut Bytes) {
    loop {
        let mut sent: Vec<(NodeId, Way, Vec<u8>)> = Vec::new();
        for site in &mut *sites {
            while let Some(output) = site.node.poll_output() {
                if let Output::Send { way, payload } = output {
                    sent.push((site.node.id(), way, payload));
                }
            }
        }
        if sent.is_empty() {
            return;
        }
        for (from, way, payload) in sent {
            let head = String::from_utf8_lossy(&payload[..payload.len().min(40)]).into_owned();
            let kind = head.split([' ', '=']).nth(1).expect(&head);
            *bytes.entry(kind.to_owned()).or_default() += payload.len();
            for site in &mut *sites {
                let id = site.node.id();
                if id != from && (way == Way::All || way == Way::Node(id)) {
                    site.node.handle_envelope(now, way, &payload);
                }
            }
        }
    }
}

fn churn(mix: Mix) -> Bytes {
    let zipf = Zipf::new(mix.tags);
    let mut dice = Dice::new(17);
    let mut sites: Vec<_> = (0..NODES).map(Site::new).collect();
    for site in &mut sites {
        for _ in 0..SUBSCRIPTIONS {
            site.subscribe(zipf.set(mix.subscribed, &mut dice));
        }
        site.node.handle_joined(Duration::ZERO, 1 << 20);
    }
    let mut bytes = Bytes::new();
    let mut now = Duration::ZERO;
    for tick in 0..200 + TICKS {
        if tick == 200 {
            // All know of each other.
            bytes.clear();
        }
        now += TICK;
        for site in &mut sites {
            for _ in 0..CHANGES {
                site.subscribe(zipf.set(mix.subscribed, &mut dice));
                site.unsubscribe();
            }
            let needs = site.broker.take_needs();
            site.node.handle_needs(&needs);
            site.node.handle_time(now);
            if tick >= 200 {
                let lines = (0..CHANGES * MESSAGES).map(|_| {
                    let tags = zipf.set(mix.published, &mut dice);
                    let data = "x".repeat(64);
                    format!("{{\"command\":\"publish\",\"tags\":{tags:?},\"data\":\"{data}\"}}\n")
                });
                site.node
                    .handle_messages(lines.collect::<String>().as_bytes());
            }
        }
        carry(now, &mut sites, &mut bytes);
    }
    bytes
}

#[test]
fn what_nodes_say_of_their_needs_is_little_beside_messages() {
    for mix in MIXES {
        let bytes = churn(mix);
        let of = |kinds: &[&str]| -> usize {
            let found = kinds.iter().filter_map(|kind| bytes.get(*kind));
            found.sum()
        };
        let messages = of(&["messages", "piece"]);
        // Heartbeats are more often while there is something to tell.
        let needs = of(&["added", "summary", "want", "status", "hello"]);
        let part = needs as f64 / messages as f64;
        eprintln!(
            "{}: {:.2} % of {messages} bytes: {bytes:?}",
            mix.name,
            part * 100.0
        );
        assert!(messages > 0 && needs > 0, "{bytes:?}");
        assert!(part <= 0.01, "{}: {bytes:?}", mix.name);
    }
}
