//! Many nodes on NATS, black box: real servers, real NATS of two versions, and clients of every kind.
//!
//! Owns what these tests share: a node, what it says of itself, and when a cluster is whole. It must not know any single
//! test.

mod apart;
mod asking;
mod coming;
mod credentials;
mod floods;
mod flow;
mod foreign;
mod garbage;
mod limits;
mod links;
mod oracle;
mod outages;
mod quick_start;
mod sizes;
mod tokens;
mod waiting;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::{Duration, Instant};

use mist_tests::PATIENCE;
use mist_tests::client::{Kind, Place};
use mist_tests::http::{Events, ask, gauges};
use mist_tests::process::{LISTENERS, Process};
use mist_tests::wire::{Incoming, Wire};

/// A server that is part of a cluster.
#[derive(Debug)]
struct Node {
    name: String,
    process: Process,
}

impl Node {
    /// Starts one that is called `name`, in a cluster at some URI.
    fn start(name: &str, cluster: &str, arguments: &[&str]) -> Self {
        let sign = if cluster.contains('?') { '&' } else { '?' };
        let uri = format!("{cluster}{sign}node={name}");
        let listeners = format!("{LISTENERS},http://127.0.0.1:0");
        let all: Vec<_> = [&["--cluster", &uri], arguments].concat();
        Self {
            name: name.to_owned(),
            process: Process::start_on(&listeners, &all),
        }
    }

    /// Starts so many, and waits until they have found each other.
    async fn start_all(count: usize, cluster: &str) -> Vec<Self> {
        let nodes: Vec<_> = ["a", "b", "c", "d", "e"][..count]
            .iter()
            .map(|name| Self::start(name, cluster, &[]))
            .collect();
        meet(&nodes).await;
        nodes
    }

    fn place(&self) -> Place {
        Place::of(&self.process)
    }

    async fn state(&self) -> State {
        let address = self.process.address("http");
        let gauges = gauges(&self.process).await;
        let (status, why) = ask(address, "GET", "/readyz", "").await;
        assert!([200, 503].contains(&status), "{status}: {why}");
        State {
            is_ready: status == 200,
            gauges,
        }
    }

    /// Waits until it says of itself that something is so.
    async fn until(&self, what: &str, holds: impl Fn(&State) -> bool) {
        let mut last = None;
        let so = poll(async || {
            let state = self.state().await;
            let so = holds(&state);
            last = Some(state);
            so
        });
        if !so.await {
            let state = last.expect("it was asked");
            panic!(
                "node {} never {what}: {state:#?}\n{}",
                self.name,
                self.process.log()
            );
        }
    }

    /// Waits until a line of its log has all of these words.
    async fn logs(&self, words: &[&str]) {
        let logged = poll(async || {
            let log = self.process.log();
            let mut lines = log.lines();
            lines.any(|line| words.iter().all(|word| line.contains(word)))
        });
        assert!(
            logged.await,
            "no line has {words:?}:\n{}",
            self.process.log()
        );
    }

    /// Waits until it says that NATS is there, and so many other nodes.
    async fn until_beside(&self, others: usize) {
        let what = format!("is ready beside {others} others");
        self.until(&what, |state| {
            state.is_ready && state.joined() == 1 && state.others() == others as u64
        })
        .await;
    }

    /// Waits until it says that NATS is away.
    async fn until_alone(&self) {
        self.until("says that NATS is away", |state| {
            !state.is_ready && state.joined() == 0 && state.others() == 0
        })
        .await;
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("node {} wrote:\n{}", self.name, self.process.log());
        }
    }
}

/// What a node says of itself.
#[derive(Debug)]
struct State {
    is_ready: bool,
    gauges: BTreeMap<String, u64>,
}

impl State {
    fn figure(&self, name: &str) -> u64 {
        let name = format!("mist_cluster_{name}");
        let found = self.gauges.get(&name);
        *found.unwrap_or_else(|| panic!("no {name} among {:?}", self.gauges))
    }

    /// How many other nodes are there.
    fn others(&self) -> u64 {
        self.figure("nodes")
    }

    /// Whether NATS is there.
    fn joined(&self) -> u64 {
        self.figure("joined")
    }

    /// Messages that were published while NATS was away.
    fn lost(&self) -> u64 {
        self.figure("messages_lost_total")
    }

    /// Messages of others that never came.
    fn missed(&self) -> u64 {
        self.figure("messages_missed_total")
    }
}

/// Waits until each of these nodes sees all others of them, and nobody else.
async fn meet(nodes: &[Node]) {
    for node in nodes {
        node.until_beside(nodes.len() - 1).await;
    }
}

/// Waits until every subscription that has been answered at any of these nodes counts at all of them: one that is made
/// behind it does.
async fn settle(nodes: &[Node]) {
    settle_as(None, nodes).await;
}

/// The same where one needs a token.
async fn settle_as(token: Option<&str>, nodes: &[Node]) {
    let connect = async |node: &Node| match token {
        Some(token) => node.place().admin(Kind::Ws, token).await,
        None => node.place().ws().await,
    };
    for node in nodes {
        let tag = format!("probe {:016x}", fastrand::u64(..));
        let mut reader = connect(node).await;
        reader.subscribe(&[&tag]).await;
        let mut unheard = BTreeMap::new();
        for other in nodes
            .iter()
            .filter(|other| other.process.id() != node.process.id())
        {
            let publisher = connect(other).await;
            unheard.insert(other.process.id().to_string(), publisher);
        }
        let start = Instant::now();
        while !unheard.is_empty() {
            for (who, publisher) in &mut unheard {
                publisher.publish(&[&tag], who).await;
            }
            let pause = Duration::from_millis(20);
            while let Ok(came) = tokio::time::timeout(pause, reader.wire.next()).await {
                let Incoming::Message(came) = came else {
                    panic!("{came:?}");
                };
                let came = String::from_utf8_lossy(&came).into_owned();
                unheard.retain(|who, _| !came.ends_with(&format!(r#""data":"{who}"}}"#)));
            }
            assert!(
                start.elapsed() < PATIENCE,
                "node {} hears nothing of {:?}\n{}",
                node.name,
                unheard.keys(),
                node.process.log()
            );
        }
    }
}

/// Asks again and again until the answer is yes; says whether it came to that.
async fn poll(mut holds: impl AsyncFnMut() -> bool) -> bool {
    let start = Instant::now();
    // Less busy than asking without a break, for there may be seconds of it.
    let mut turns = tokio::time::interval(Duration::from_millis(10));
    while !holds().await {
        if start.elapsed() > PATIENCE {
            return false;
        }
        turns.tick().await;
    }
    true
}

/// Over what somebody hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Tcp,
    Ws,
    Events,
}

const WAYS: [Way; 3] = [Way::Tcp, Way::Ws, Way::Events];

/// Somebody who hears messages, over any kind of connection.
#[derive(Debug)]
enum Ear {
    Wire(Wire),
    Events(Events),
}

impl Ear {
    /// Connects to a node, with subscriptions that are live once this is done. With `ids` they have one each, except over
    /// HTTP, where there are none.
    async fn open<T: AsRef<str>>(node: &Node, way: Way, sets: &[Vec<T>], ids: bool) -> Self {
        let place = node.place();
        let mut wire = match way {
            Way::Tcp => Wire::tcp(place.tcp).await,
            Way::Ws => Wire::ws(place.ws).await,
            Way::Events => {
                return Self::Events(Events::open(node.process.address("http"), sets).await);
            }
        }
        .expect("it listens");
        for (id, set) in sets.iter().enumerate() {
            let tags = mist_tests::client::tags_json(set);
            let id = if ids {
                format!(r#","id":{id}"#)
            } else {
                String::new()
            };
            let said = format!(r#"{{"command":"subscribe","tags":{tags}{id}}}"#);
            wire.send(&said).await.expect("taken");
            if ids {
                let answer = answer(&mut wire).await;
                assert!(answer.contains(r#""data":"success""#), "{answer}");
            }
        }
        if !ids {
            wire.send(mist_tests::PING).await.expect("taken");
            assert_eq!(answer(&mut wire).await, mist_tests::PONG);
        }
        Self::Wire(wire)
    }

    /// The next message, however long it takes; none at the end.
    async fn next(&mut self) -> Option<String> {
        match self {
            Self::Events(events) => events.next().await,
            Self::Wire(wire) => match wire.next().await {
                Incoming::Message(bytes) => {
                    Some(String::from_utf8(bytes).expect("a message is UTF-8"))
                }
                _ => None,
            },
        }
    }

    /// The next message, which must come.
    async fn hear(&mut self) -> String {
        let next = mist_tests::within(self.next()).await;
        next.expect("it is open")
    }
}

/// What comes next that is no message of somebody else: where others publish, one may come before the answer.
async fn answer(wire: &mut Wire) -> String {
    loop {
        let Incoming::Message(came) = wire.recv().await else {
            panic!("no answer");
        };
        let came = String::from_utf8(came).expect("a message is UTF-8");
        if !came.starts_with(r#"{"command":"publish""#) {
            return came;
        }
    }
}
