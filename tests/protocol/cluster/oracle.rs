//! Owns random traffic over a whole cluster against an oracle: every match once, each publisher's in its order, nothing to
//! oneself. Subscriptions are made and given up before the traffic, and in the middle of it.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use mist_tests::client::{Client, Kind, tags_json};
use mist_tests::http::ask;
use mist_tests::nats::{Nats, VERSIONS, Version};
use mist_tests::within;
use tokio::task::JoinSet;

use super::{Ear, Node, WAYS, Way, settle};
use crate::drills::{figure, sized};

const CLIENTS: usize = 30;
/// Messages of each publisher in a round.
const EACH: usize = 30;
/// What everybody subscribes to, and nothing but the last message of a publisher in a round carries.
const END: &str = "end";
const TAGS: [&str; 12] = [
    "a",
    "b",
    "c",
    "d",
    "e",
    "f",
    "G",
    "",
    "é",
    "日本 🎈",
    "line:7",
    "x y",
];

type Set = BTreeSet<&'static str>;

/// One who hears, and, except over HTTP, publishes over the same connection.
struct Member {
    node: usize,
    mouth: Mouth,
    held: BTreeSet<Set>,
}

enum Mouth {
    Socket(Client),
    Events(Ear),
}

/// What one publisher says in a round.
type Plan = Vec<Vec<&'static str>>;

/// What a member has heard in a round, and the sets that it held all the time, and at any time.
struct Heard {
    member: Member,
    messages: Vec<String>,
    always: BTreeSet<Set>,
    ever: BTreeSet<Set>,
}

fn some_tags(dice: &mut Rng, most: usize) -> Vec<&'static str> {
    // Repetition is wanted: a set does not care.
    let count = 1 + dice.usize(..most);
    (0..count)
        .map(|_| *dice.choice(&TAGS).expect("one of them"))
        .collect()
}

fn some_set(dice: &mut Rng) -> Set {
    some_tags(dice, 3).into_iter().collect()
}

fn said(command: &str, tags: &[&str], data: &str) -> String {
    let tags = tags_json(tags);
    format!(r#"{{"command":"{command}","tags":{tags},"data":"{data}"}}"#)
}

/// A message as it arrives.
fn delivered(tags: &[&'static str], data: &str) -> String {
    let sorted: Vec<_> = tags.iter().copied().collect::<Set>().into_iter().collect();
    said("publish", &sorted, data)
}

/// `publisher:round:serial`.
fn data(publisher: usize, round: usize, serial: usize) -> String {
    format!("{publisher}:{round}:{serial}")
}

impl Member {
    async fn join(index: usize, nodes: &[Node], dice: &mut Rng) -> Self {
        let node = (index / WAYS.len()) % nodes.len();
        // What is empty cannot stand in the query of a URL.
        let held: BTreeSet<Set> = (0..4)
            .map(|_| some_set(dice))
            .filter(|set| !set.contains(""))
            .chain([Set::from([END])])
            .collect();
        let mut member = Self {
            node,
            mouth: match WAYS[index % WAYS.len()] {
                Way::Tcp => Mouth::Socket(nodes[node].place().connect(Kind::Tcp).await),
                Way::Ws => Mouth::Socket(nodes[node].place().connect(Kind::Ws).await),
                Way::Events => {
                    let sets: Vec<Vec<_>> = held
                        .iter()
                        .map(|set| set.iter().copied().collect())
                        .collect();
                    Mouth::Events(Ear::open(&nodes[node], Way::Events, &sets, false).await)
                }
            },
            held: held.clone(),
        };
        if let Mouth::Socket(client) = &mut member.mouth {
            for set in &held {
                let tags: Vec<_> = set.iter().copied().collect();
                client.subscribe(&tags).await;
            }
        }
        member
    }

    /// Makes or gives up a subscription, without waiting.
    async fn change(&mut self, dice: &mut Rng) {
        let Mouth::Socket(client) = &mut self.mouth else {
            return;
        };
        let held: Vec<_> = self.held.iter().filter(|set| !set.contains(END)).collect();
        let (command, set) = match dice.choice(&held) {
            Some(&set) if dice.bool() => ("unsubscribe", set.clone()),
            _ => ("subscribe", some_set(dice)),
        };
        // In any order.
        let tags: Vec<_> = set.iter().rev().copied().collect();
        client.send(&said(command, &tags, "")).await;
        match command {
            "subscribe" => self.held.insert(set),
            _ => self.held.remove(&set),
        };
    }

    /// Says what it has to say, changes its mind now and then if it is restless, and hears the others to their end.
    async fn talk(
        mut self,
        publisher: usize,
        round: usize,
        plan: Plan,
        ends: usize,
        mut mind: Option<Rng>,
    ) -> Heard {
        let (mut always, mut ever) = (self.held.clone(), self.held.clone());
        let mut messages = Vec::new();
        for (serial, tags) in plan.iter().enumerate() {
            if let Some(dice) = &mut mind {
                self.change(dice).await;
                always.retain(|set| self.held.contains(set));
                ever.extend(self.held.iter().cloned());
            }
            if let Mouth::Socket(client) = &mut self.mouth {
                client.publish(tags, &data(publisher, round, serial)).await;
                // Reading now and then keeps the outbox short.
                if serial % 10 == 9 {
                    messages.extend(client.until_pong().await);
                }
            }
        }
        let is_end = |message: &String| message.contains(r#""tags":["end"]"#);
        let mut left = ends - usize::from(matches!(self.mouth, Mouth::Socket(_)));
        left -= messages.iter().filter(|message| is_end(message)).count();
        while left > 0 {
            let message = match &mut self.mouth {
                Mouth::Socket(client) => client.recv().await,
                Mouth::Events(ear) => ear.hear().await,
            };
            left -= usize::from(is_end(&message));
            messages.push(message);
        }
        Heard {
            member: self,
            messages,
            always,
            ever,
        }
    }
}

/// Publishes over HTTP: each message when the last one is answered.
async fn post(address: std::net::SocketAddr, publisher: usize, round: usize, plan: Plan) {
    for (serial, tags) in plan.iter().enumerate() {
        let body = said("publish", tags, &data(publisher, round, serial));
        let (status, answer) = ask(address, "POST", "/publish", &body).await;
        assert_eq!(status, 200, "{answer}");
    }
}

impl Heard {
    /// Holds what came against what each publisher said; returns how many messages there were.
    fn check(&self, own: Option<usize>, round: usize, plans: &[Plan]) -> usize {
        let mut by_publisher: BTreeMap<usize, Vec<&String>> = BTreeMap::new();
        for message in &self.messages {
            let parsed: serde_json::Value = serde_json::from_str(message).expect(message);
            let data = parsed["data"].as_str().expect(message);
            let publisher = data.split(':').next().and_then(|word| word.parse().ok());
            let of_publisher = by_publisher.entry(publisher.expect(message));
            of_publisher.or_default().push(message);
        }
        for (publisher, plan) in plans.iter().enumerate() {
            let came = by_publisher.remove(&publisher).unwrap_or_default();
            let mut came = came.into_iter().peekable();
            for (serial, tags) in plan.iter().enumerate() {
                let set: Set = tags.iter().copied().collect();
                let matches =
                    |sets: &BTreeSet<Set>| sets.iter().any(|wanted| wanted.is_subset(&set));
                let message = delivered(tags, &data(publisher, round, serial));
                let is_others = own != Some(publisher);
                let is_next = came.peek().is_some_and(|next| **next == message);
                if is_next {
                    came.next();
                }
                let (must, may) = (matches(&self.always), matches(&self.ever));
                let is_right = match is_next {
                    true => is_others && may,
                    false => !(is_others && must),
                };
                assert!(
                    is_right,
                    "round {round}, at node {}: {message} {}; it held {:?} all the time, and {:?} at some time; next is {:?}",
                    self.member.node,
                    if is_next { "came" } else { "did not come" },
                    self.always,
                    self.ever,
                    came.peek()
                );
            }
            let rest: Vec<_> = came.collect();
            assert!(rest.is_empty(), "round {round}: twice, or late: {rest:?}");
        }
        assert!(by_publisher.is_empty(), "of nobody: {by_publisher:?}");
        self.messages.len()
    }
}

/// Has all of them talk for a round; returns them, and how many messages they heard.
async fn round(
    round: usize,
    nodes: &[Node],
    members: Vec<Member>,
    dice: &mut Rng,
) -> (Vec<Member>, usize) {
    let is_restless = round % 2 == 1;
    // The members come first, then one who posts at each node.
    let speakers = members.len() + nodes.len();
    let is_silent = |index: usize| {
        let member = members.get(index);
        member.is_some_and(|member| matches!(member.mouth, Mouth::Events(_)))
    };
    let plans: Vec<Plan> = (0..speakers)
        .map(|index| {
            let mut plan: Plan = (0..EACH).map(|_| some_tags(dice, 4)).collect();
            plan.push(vec![END]);
            if is_silent(index) { Plan::new() } else { plan }
        })
        .collect();
    let ends = plans.iter().filter(|plan| !plan.is_empty()).count();
    let mut talking = JoinSet::new();
    for (index, node) in nodes.iter().enumerate() {
        let publisher = members.len() + index;
        let plan = plans[publisher].clone();
        let address = node.process.address("http");
        talking.spawn(async move {
            post(address, publisher, round, plan).await;
            None
        });
    }
    for (index, member) in members.into_iter().enumerate() {
        let mind = (is_restless && index % 2 == 0).then(|| dice.fork());
        let plan = plans[index].clone();
        talking.spawn(async move {
            let heard = member.talk(index, round, plan, ends, mind).await;
            Some((index, heard))
        });
    }
    let mut members = BTreeMap::new();
    let mut count = 0;
    while let Some(done) = within(talking.join_next()).await {
        if let Some((index, heard)) = done.expect("nobody fails") {
            count += heard.check(Some(index), round, &plans);
            members.insert(index, heard.member);
        }
    }
    (members.into_values().collect(), count)
}

async fn holds(version: Version, count: usize, rounds: usize) {
    let Some(nats) = Nats::start(version, "") else {
        return;
    };
    let seed = Rng::new().u64(..);
    eprintln!("the seed is {seed}");
    let mut dice = Rng::with_seed(seed);
    let nodes = Node::start_all(count, &nats.uri()).await;
    let mut members = Vec::new();
    for index in 0..CLIENTS {
        members.push(Member::join(index, &nodes, &mut dice).await);
    }
    let mut heard = 0;
    for number in 0..rounds {
        for member in &mut members {
            member.change(&mut dice).await;
            if let Mouth::Socket(client) = &mut member.mouth {
                client.barrier().await;
            }
        }
        settle(&nodes).await;
        let (back, count) = round(number, &nodes, members, &mut dice).await;
        members = back;
        heard += count;
    }
    for node in &nodes {
        let state = node.state().await;
        assert_eq!((state.lost(), state.missed()), (0, 0), "{state:?}");
    }
    figure(
        "cluster",
        &format!("messages heard at {count} nodes, {version:?}'s NATS"),
        heard,
    );
}

/// Very many small messages at once, each on its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_burst_crosses_whole() {
    const PUBLISHERS: usize = 40;
    let each = sized(1000, 20_000);
    let Some(nats) = Nats::start(Version::Current, "") else {
        return;
    };
    let nodes = Node::start_all(2, &nats.uri()).await;
    let mut ear = Ear::open(&nodes[1], Way::Tcp, &[vec!["x"]], true).await;
    settle(&nodes).await;
    let mut talking = JoinSet::new();
    for publisher in 0..PUBLISHERS {
        let mut client = nodes[0].place().connect(Kind::of(publisher)).await;
        talking.spawn(async move {
            for serial in 0..each {
                client.publish(&["x"], &data(publisher, 0, serial)).await;
                if serial % 100 == 99 {
                    client.barrier().await;
                }
            }
        });
    }
    let mut next = [0; PUBLISHERS];
    for _ in 0..PUBLISHERS * each {
        let came = ear.hear().await;
        let publisher =
            (0..PUBLISHERS).find(|&one| came == said("publish", &["x"], &data(one, 0, next[one])));
        next[publisher.unwrap_or_else(|| panic!("{came} after {next:?}"))] += 1;
    }
    while let Some(done) = talking.join_next().await {
        done.expect("nobody fails");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_deliver_what_one_would() {
    for version in VERSIONS {
        holds(version, 3, sized(4, 200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn five_nodes_deliver_what_one_would() {
    for version in VERSIONS {
        holds(version, 5, sized(2, 200)).await;
    }
}
