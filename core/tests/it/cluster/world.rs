//! Brokers, their nodes, their clients, and the bus between them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use mist_core::cluster::{Node, NodeId, Output as NodeOutput, Status, Way};
use mist_core::{Broker, Config, Credentials, Others, Output, SessionId};

use crate::dice::Dice;

/// What clients subscribe to.
pub(super) const SETS: [&[&str]; 8] = [
    &["a"],
    &["b"],
    &["c", "d"],
    &["a", "b"],
    &["b", "c", "d"],
    &["d"],
    &["e\u{e9}"],
    &["a", "c", "d", "e\u{e9}"],
];
const TAGS: [&str; 5] = ["a", "b", "c", "d", "e\u{e9}"];
/// What the bus takes at once: little, so that large messages go in pieces.
const MOST: usize = 4096 + 600;

struct Client {
    node: usize,
    session: SessionId,
    sets: BTreeSet<usize>,
    /// The last message of each publisher that it got.
    last: BTreeMap<usize, u64>,
    got: BTreeSet<(usize, u64)>,
}

struct Server {
    broker: Broker,
    node: Node,
    link: SessionId,
    is_there: bool,
    /// Lines that the link's session has got and its node has not.
    outward: Vec<u8>,
    /// For so many envelopes more nothing is taken.
    stalled: usize,
    missed: u64,
    life: u64,
    /// When each client of this server began to be relied upon: see [`World::check_counts`].
    began: u64,
}

pub(super) struct World {
    seed: u64,
    now: Duration,
    servers: Vec<Server>,
    clients: Vec<Option<Client>>,
    /// Envelopes on their way: from, to, and which way. Each is in order by itself.
    ways: BTreeMap<(usize, usize, bool), VecDeque<Vec<u8>>>,
    ids: BTreeMap<NodeId, usize>,
    published: u64,
    /// The tags of each message, by its publisher and number.
    messages: BTreeMap<(usize, u64), BTreeSet<&'static str>>,
    has_lost: bool,
    /// For how many milliseconds something may have been on its way.
    idle: u64,
}

fn server(at: usize, life: u64, seed: u64) -> Server {
    let mut broker = Broker::new(Config::default(), seed);
    let link = broker.connect_link();
    let id = NodeId((seed << 16 ^ (at as u64) << 8 ^ life).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let status = Status {
        name: format!("node-{at}"),
        version: "1".to_owned(),
        ..Status::default()
    };
    Server {
        broker,
        node: Node::new(id, status, 1 << 20),
        link,
        is_there: false,
        outward: Vec::new(),
        stalled: 0,
        missed: 0,
        life,
        began: 0,
    }
}

impl World {
    pub(super) fn new(nodes: usize, seed: u64) -> Self {
        let servers: Vec<_> = (0..nodes).map(|at| server(at, 0, seed)).collect();
        let ids = servers
            .iter()
            .enumerate()
            .map(|(at, it)| (it.node.id(), at));
        Self {
            seed,
            now: Duration::ZERO,
            ids: ids.collect(),
            servers,
            clients: Vec::new(),
            ways: BTreeMap::new(),
            published: 0,
            messages: BTreeMap::new(),
            has_lost: false,
            idle: 0,
        }
    }

    /// Has the next server join that has not.
    pub(super) fn join(&mut self) {
        if let Some(at) = self.servers.iter().position(|server| !server.is_there) {
            self.mend(at);
        }
    }

    pub(super) fn connect(&mut self, node: usize) {
        let session = self.servers[node].broker.connect(Credentials::default());
        self.clients.push(Some(Client {
            node,
            session,
            sets: BTreeSet::new(),
            last: BTreeMap::new(),
            got: BTreeSet::new(),
        }));
    }

    fn pick(&self, pick: usize) -> Option<usize> {
        let there: Vec<_> = (0..self.clients.len())
            .filter(|&at| self.clients[at].is_some())
            .collect();
        (!there.is_empty()).then(|| there[pick % there.len()])
    }

    fn say(&mut self, at: usize, line: &str) {
        let Some(Client { node, session, .. }) = self.clients[at] else {
            return;
        };
        self.servers[node]
            .broker
            .handle_message(session, line.as_bytes());
        self.deliver(node);
    }

    pub(super) fn subscribe(&mut self, pick: usize, set: usize) {
        if let Some(at) = self.pick(pick) {
            let line = format!(r#"{{"command":"subscribe","tags":{:?}}}"#, SETS[set]);
            self.say(at, &line);
            self.clients[at]
                .as_mut()
                .expect("it is there")
                .sets
                .insert(set);
        }
    }

    pub(super) fn unsubscribe(&mut self, pick: usize, set: usize) {
        if let Some(at) = self.pick(pick) {
            let line = format!(r#"{{"command":"unsubscribe","tags":{:?}}}"#, SETS[set]);
            self.say(at, &line);
            self.clients[at]
                .as_mut()
                .expect("it is there")
                .sets
                .remove(&set);
        }
    }

    pub(super) fn disconnect(&mut self, pick: usize) {
        if let Some(at) = self.pick(pick)
            && let Some(Client { node, session, .. }) = self.clients[at].take()
        {
            self.servers[node].broker.disconnect(session);
        }
    }

    /// Publishes a message with the tags whose bits are set; returns who it was, and its number.
    pub(super) fn publish(
        &mut self,
        pick: usize,
        tags: usize,
        is_large: bool,
    ) -> Option<(usize, u64)> {
        let at = self.pick(pick)?;
        self.published += 1;
        let number = self.published;
        let tags: BTreeSet<_> = TAGS
            .into_iter()
            .enumerate()
            .filter(|(bit, _)| tags >> bit & 1 != 0)
            .map(|(_, tag)| tag)
            .collect();
        let list = Vec::from_iter(&tags);
        let filling = "x".repeat(if is_large { 2000 } else { 0 });
        let line =
            format!(r#"{{"command":"publish","tags":{list:?},"data":"{at} {number} {filling}"}}"#);
        self.messages.insert((at, number), tags);
        self.say(at, &line);
        Some((at, number))
    }

    /// Does what a broker wants done.
    fn deliver(&mut self, at: usize) {
        let server = &mut self.servers[at];
        while let Some(output) = server.broker.poll_output() {
            let Output::Deliver {
                targets, message, ..
            } = output
            else {
                continue;
            };
            for target in targets {
                if target == server.link {
                    server.outward.extend_from_slice(&message);
                    server.outward.push(b'\n');
                    continue;
                }
                let is_it = |client: &&mut Client| client.node == at && client.session == target;
                let client = self
                    .clients
                    .iter_mut()
                    .flatten()
                    .find(is_it)
                    .expect("a client");
                let text = std::str::from_utf8(&message).expect("UTF-8");
                let data = text.split(r#""data":""#).nth(1).expect("data");
                let mut words = data.split(' ').map(|word| word.parse::<u64>());
                let publisher = words.next().and_then(Result::ok).expect("a publisher") as usize;
                let number = words.next().and_then(Result::ok).expect("a number");
                let tags = &self.messages[&(publisher, number)];
                let matches = |set: &usize| SETS[*set].iter().all(|tag| tags.contains(tag));
                assert!(client.sets.iter().any(matches), "it did not ask for that");
                let last = client.last.insert(publisher, number);
                assert!(last < Some(number), "{last:?} came before {number}");
                client.got.insert((publisher, number));
            }
        }
    }

    /// Has a server's node do what there is to do.
    fn work(&mut self, at: usize) {
        let server = &mut self.servers[at];
        let lines = std::mem::take(&mut server.outward);
        server.node.handle_messages(&lines);
        let needs = server.broker.take_needs();
        server.node.handle_needs(&needs);
        self.carry_out(at);
    }

    fn carry_out(&mut self, at: usize) {
        loop {
            let server = &mut self.servers[at];
            let figures = server.node.figures();
            server.broker.set_others(Others {
                is_linked: figures.peers + figures.awaited > 0 || !server.node.is_joined(),
                nodes: figures.peers,
                connections_total: figures.connections_total,
                subscribers: figures.subscribers,
            });
            let Some(output) = server.node.poll_output() else {
                return;
            };
            match output {
                NodeOutput::Send { way, payload } => {
                    assert!(payload.len() <= MOST, "too large an envelope");
                    let to = match way {
                        Way::All => (0..self.servers.len()).filter(|&to| to != at).collect(),
                        Way::Node(node) => Vec::from_iter(self.ids.get(&node).copied()),
                    };
                    let is_all = way == Way::All;
                    for to in to {
                        // Who is not there gets nothing.
                        if self.servers[to].is_there && self.servers[at].is_there {
                            let way = self.ways.entry((at, to, is_all)).or_default();
                            way.push_back(payload.clone());
                        }
                    }
                }
                NodeOutput::Deliver(lines) => {
                    let link = server.link;
                    server.broker.handle_message(link, &lines);
                    self.deliver(at);
                }
                NodeOutput::Gap { messages, .. } => server.missed += messages,
                NodeOutput::Directory(directory) => server.broker.set_directory(directory),
                NodeOutput::Unreadable(why) => panic!("{why}"),
                _ => {}
            }
        }
    }

    fn take(&mut self, from: usize, to: usize, is_all: bool) {
        let Some(payload) = self
            .ways
            .get_mut(&(from, to, is_all))
            .and_then(VecDeque::pop_front)
        else {
            return;
        };
        let server = &mut self.servers[to];
        if server.stalled > 0 {
            // As where a client of the bus is too slow.
            server.stalled -= 1;
            self.has_lost = true;
            return;
        }
        let way = match is_all {
            true => Way::All,
            false => Way::Node(server.node.id()),
        };
        if let Some(lines) = server.node.handle_envelope(self.now, way, &payload) {
            let link = server.link;
            server.broker.handle_message(link, lines);
            self.deliver(to);
        }
        self.carry_out(to);
    }

    fn work_all(&mut self) {
        (0..self.servers.len()).for_each(|at| self.work(at));
    }

    /// Carries some envelopes, the ways in any order.
    pub(super) fn carry(&mut self, count: usize, dice: &mut Dice) {
        self.work_all();
        for _ in 0..count {
            let ways: Vec<_> = self
                .ways
                .iter()
                .filter(|(_, way)| !way.is_empty())
                .map(|(way, _)| *way)
                .collect();
            if ways.is_empty() {
                return;
            }
            let (from, to, is_all) = dice.pick(&ways);
            self.take(from, to, is_all);
        }
    }

    pub(super) fn carry_all(&mut self) {
        self.idle = 0;
        loop {
            self.work_all();
            let ways: Vec<_> = self
                .ways
                .iter()
                .filter(|(_, way)| !way.is_empty())
                .map(|(way, _)| *way)
                .collect();
            if ways.is_empty() {
                return;
            }
            for (from, to, is_all) in ways {
                self.take(from, to, is_all);
            }
        }
    }

    pub(super) fn advance(&mut self, millis: u64) {
        // What the bus carries it carries within a second.
        self.idle += millis;
        if self.idle > 900 {
            self.carry_all();
        }
        self.now += Duration::from_millis(millis);
        for at in 0..self.servers.len() {
            self.work(at);
            self.servers[at].node.handle_time(self.now);
            self.carry_out(at);
        }
    }

    /// Loses an envelope.
    pub(super) fn lose(&mut self, dice: &mut Dice) {
        let ways: Vec<_> = self
            .ways
            .iter()
            .filter(|(_, way)| !way.is_empty())
            .map(|(way, _)| *way)
            .collect();
        if !ways.is_empty() {
            self.has_lost = true;
            let way = self.ways.get_mut(&dice.pick(&ways)).expect("it was there");
            let at = dice.below(way.len());
            way.remove(at);
        }
    }

    pub(super) fn cut(&mut self, at: usize) {
        if std::mem::take(&mut self.servers[at].is_there) {
            self.has_lost = true;
            self.ways.retain(|&(from, to, _), _| from != at && to != at);
            self.servers[at].node.handle_lost();
            self.carry_out(at);
        }
    }

    pub(super) fn mend(&mut self, at: usize) {
        if !std::mem::replace(&mut self.servers[at].is_there, true) {
            self.servers[at].node.handle_joined(self.now, MOST);
            self.carry_out(at);
        }
    }

    pub(super) fn stall(&mut self, at: usize, count: usize) {
        self.servers[at].stalled += count;
    }

    /// Ends a server as if it were killed, and starts another in its place.
    pub(super) fn restart(&mut self, at: usize) {
        self.cut(at);
        let old = self.servers[at].node.id();
        self.ids.remove(&old);
        let life = self.servers[at].life + 1;
        self.servers[at] = server(at, life, self.seed);
        self.servers[at].began = self.published;
        self.ids.insert(self.servers[at].node.id(), at);
        for client in &mut self.clients {
            if client.as_ref().is_some_and(|client| client.node == at) {
                *client = None;
            }
        }
        self.mend(at);
    }

    /// Has everything come that is on its way, and all that is amiss be mended.
    pub(super) fn settle(&mut self) {
        for at in 0..self.servers.len() {
            self.servers[at].stalled = 0;
            self.mend(at);
        }
        for _ in 0..8 {
            self.carry_all();
            self.advance(1100);
        }
        self.carry_all();
        for server in &self.servers {
            assert_eq!(
                server.node.figures().peers,
                self.servers.len() - 1,
                "all are there"
            );
        }
    }

    /// What was sent was taken, or is part of a gap.
    pub(super) fn check_counts(&self, is_calm: bool) {
        if is_calm {
            assert!(!self.has_lost);
            for server in &self.servers {
                assert_eq!(server.missed, 0, "nothing was lost");
            }
        }
    }

    /// Once all is quiet, every match arrives.
    pub(super) fn check_whole(&mut self, dice: &mut Dice) {
        for at in 0..self.servers.len() {
            self.connect(at);
        }
        for round in 0..20 {
            let missed: Vec<_> = self.servers.iter().map(|server| server.missed).collect();
            let Some((publisher, number)) =
                self.publish(dice.below(1 << 16), 1 + dice.below(31), round == 7)
            else {
                return;
            };
            self.carry_all();
            let tags = &self.messages[&(publisher, number)];
            for (at, client) in self.clients.iter().enumerate() {
                let Some(client) = client.as_ref().filter(|_| at != publisher) else {
                    continue;
                };
                let matches = |set: &usize| SETS[*set].iter().all(|tag| tags.contains(tag));
                let is_match = client.sets.iter().any(matches);
                let has_got = client.got.contains(&(publisher, number));
                assert_eq!(
                    has_got, is_match,
                    "client {at} of node {} and {tags:?}",
                    client.node
                );
            }
            let now: Vec<_> = self.servers.iter().map(|server| server.missed).collect();
            assert_eq!(missed, now, "there is no gap when all is quiet");
        }
    }
}
