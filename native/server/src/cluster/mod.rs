//! Owns a server's part in a cluster: carries envelopes between its [`Node`] and NATS, and messages between the node and its
//! session in the hub. What is sent to whom, and in which order it is taken, the node decides.

mod bus;
mod foreign;
mod membership;
mod pipe;
mod settings;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mist_core::cluster::{ANSWER_WITHIN, Answers, Node, NodeId, Output, QuestionId, Status, Way};
use mist_core::message::dropped_lines;
use mist_core::{Elsewhere, Others};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use self::bus::{Bus, Heard};
pub(crate) use self::membership::Membership;
use self::pipe::Pipe;
use self::settings::Settings;
use crate::connection::Connection;
use crate::hub::{Call, Gathered, Hub, counted_line};
use crate::log_limit::Kind;

/// How often the node is told the time, and what is needed here: so late others know of a subscription.
const TICK: Duration = Duration::from_millis(20);
/// After how many ticks its status is taken anew.
const TICKS_PER_STATUS: u32 = 25;
/// How often the tokens in use are asked about again: that one has changed may have been lost.
const ASK_AGAIN: Duration = Duration::from_secs(30);
/// How soon after that they are asked about again because something was missed.
const GAPS_APART: Duration = Duration::from_secs(1);
/// How soon clients are told again that something was missed.
const TOLD_APART: Duration = Duration::from_millis(100);
/// What is published on the way out is sent for so long, at most.
const GOODBYE: Duration = Duration::from_millis(500);

/// A cluster to join.
#[derive(Debug)]
pub(crate) struct Cluster {
    settings: Settings,
    membership: Arc<Membership>,
}

/// Looks whether a server could join by this URI.
pub(crate) fn check(uri: &str) -> Result<(), String> {
    let settings = Settings::parse(uri)?;
    bus::check(&settings)
}

impl Cluster {
    pub(crate) fn new(uri: &str, is_optional: bool) -> Result<Self, String> {
        let settings = Settings::parse(uri)?;
        bus::check(&settings)?;
        let membership = Arc::new(Membership::new(settings.shown(), is_optional));
        Ok(Self {
            settings,
            membership,
        })
    }

    pub(crate) fn membership(&self) -> Arc<Membership> {
        Arc::clone(&self.membership)
    }

    /// Takes part in the cluster until `stop`, and then says goodbye.
    pub(crate) async fn run(self, hub: Arc<Hub>, stop: CancellationToken) {
        let mut id = [0; 8];
        if let Err(error) = getrandom::fill(&mut id) {
            return tracing::error!(
                "not joining the cluster: the system provides no randomness - {error}"
            );
        }
        let start = Instant::now();
        let status = status(&hub, &self.settings.node, start);
        let limit = hub.in_force().limits.message_bytes;
        let node = Node::new(NodeId(u64::from_ne_bytes(id)), status, limit);
        let bus = match Bus::connect(&self.settings, node.id()).await {
            Ok(bus) => bus,
            Err(why) => return tracing::error!("not joining the cluster: {why}"),
        };
        let (pipe, calls) = (Pipe::default(), hub.others.open());
        let (answered, answers) = mpsc::unbounded_channel();
        let connection = Connection::of_link(Arc::clone(&hub), pipe.stream());
        let connection = hub.tasks.spawn(connection);
        let member = Member {
            hub,
            node,
            bus,
            pipe,
            start,
            name: self.settings.node,
            membership: self.membership,
            ticks: 0,
            asked_tokens: start,
            may_tokens_differ: false,
            untold: 0,
            told: start,
            questions: HashMap::new(),
            answered,
        };
        member.run(calls, answers, stop).await;
        let _ = connection.await;
    }
}

/// What the others are told of this server.
fn status(hub: &Hub, name: &str, start: Instant) -> Status {
    let stats = hub.stats();
    Status {
        name: name.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime: start.elapsed().as_secs(),
        connections: stats.sessions as u64,
        connections_total: stats.sessions_total,
        subscribers: stats.subscribers as u64,
        subscriptions: stats.subscriptions as u64,
        published: hub.published(),
        waiting_bytes: hub.waiting_for_others() as u64,
        ..Status::default()
    }
}

/// The answer of this node to a question of another.
struct Answered {
    asker: NodeId,
    question: QuestionId,
    body: Vec<u8>,
}

/// Who waits for answers.
enum Asker {
    /// A command.
    Command(oneshot::Sender<Gathered>),
    /// The publisher of a message, by its number.
    Publisher(u64),
}

struct Member {
    hub: Arc<Hub>,
    node: Node,
    bus: Bus,
    pipe: Pipe,
    start: Instant,
    name: String,
    membership: Arc<Membership>,
    ticks: u32,
    /// When the tokens in use were asked about last, and whether something was missed since.
    asked_tokens: Instant,
    may_tokens_differ: bool,
    /// Messages of others that did not arrive, of which clients were not told yet; and when they were told last.
    untold: u64,
    told: Instant,
    /// Who waits for the answers to questions.
    questions: HashMap<QuestionId, Asker>,
    answered: mpsc::UnboundedSender<Answered>,
}

impl Member {
    async fn run(
        mut self,
        mut calls: mpsc::UnboundedReceiver<Call>,
        mut answers: mpsc::UnboundedReceiver<Answered>,
        stop: CancellationToken,
    ) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut lines, mut is_open) = (Vec::new(), true);
        loop {
            tokio::select! {
                more = self.pipe.take(&mut lines), if is_open && self.bus.has_room() => {
                    is_open = more;
                    self.hub.note_link_taken();
                    self.publish(&lines);
                }
                heard = self.bus.next(self.pipe.has_room()) => self.hear(heard),
                _ = ticks.tick() => self.tick(),
                Some(call) = calls.recv() => self.call(call),
                Some(Answered { asker, question, body }) = answers.recv() => {
                    self.node.answer(asker, question, &body);
                }
                () = stop.cancelled() => break,
            }
            self.carry_out();
        }
        self.node.handle_leaving();
        self.carry_out();
        // The session has been told to end as well; what it has still to say comes in time, or not at all.
        let _ = timeout(GOODBYE, self.bus.close()).await;
    }

    fn call(&mut self, call: Call) {
        match call {
            Call::Tell(body) => self.node.tell(&body),
            Call::Ask(body, sender) => {
                let question = self.node.ask(self.now(), &body);
                self.questions.insert(question, Asker::Command(sender));
            }
            Call::Counted(asker, question, delivered) => {
                let body = delivered.to_string();
                self.node.answer(asker, question, body.as_bytes());
            }
            Call::Uncounted(number) => {
                let names = self.node.peers().map(|status| status.name.clone());
                let elsewhere = Elsewhere {
                    silent: names.collect(),
                    ..Elsewhere::default()
                };
                self.hub.others.end_counting(number, elsewhere);
            }
        }
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn tick(&mut self) {
        if self.ticks.is_multiple_of(TICKS_PER_STATUS) {
            let mut status = status(&self.hub, &self.name, self.start);
            let on_the_way = self.pipe.waiting_bytes() + self.bus.waiting_bytes();
            status.waiting_bytes += on_the_way as u64;
            self.node.set_status(status);
        }
        self.ticks = self.ticks.wrapping_add(1);
        self.node.handle_needs(&self.hub.take_needs());
        self.node.handle_time(self.now());
        self.membership.note(&self.node);
        self.tell_others();
        let message_bytes = self.hub.in_force().limits.message_bytes;
        self.node.set_message_bytes(message_bytes);
        self.bus.set_message_bytes(message_bytes);
        self.hub.look_at_link();
        self.note_refused();
        self.tell_missed();
        let asked = self.asked_tokens.elapsed();
        if asked >= ASK_AGAIN || self.may_tokens_differ && asked >= GAPS_APART {
            self.ask_about_tokens();
        }
    }

    /// Counts messages of other nodes that this server has not taken from its node.
    fn note_refused(&mut self) {
        let messages = self.hub.others.take_refused();
        if messages == 0 {
            return;
        }
        self.membership.refuse(messages);
        self.untold += messages;
        if self.hub.log.admits(Kind::NodeOverLimits, None) {
            tracing::warn!(
                messages,
                "messages of other nodes are over the limits of this server, and were not taken: set the same limits at \
                 all nodes"
            );
        }
    }

    /// Tells clients of messages that did not arrive, at once where that was not done a moment ago: somebody else may be able
    /// to cause gaps.
    fn tell_missed(&mut self) {
        if self.untold > 0 && self.told.elapsed() >= TOLD_APART {
            self.told = Instant::now();
            self.hub.tell_missed(std::mem::take(&mut self.untold));
        }
    }

    fn ask_about_tokens(&mut self) {
        self.may_tokens_differ = false;
        self.asked_tokens = Instant::now();
        self.hub.others.ask_again();
    }

    /// Takes what clients of this node have published, and what was lost of it on the way.
    fn publish(&mut self, mut lines: &[u8]) {
        while let Some((range, lost)) = dropped_lines(lines) {
            self.publish_some(&lines[..range.start]);
            self.node.handle_dropped(lost);
            lines = &lines[range.end..];
        }
        self.publish_some(lines);
    }

    /// Takes messages, among which may be some that are to be counted.
    fn publish_some(&mut self, mut lines: &[u8]) {
        if self.hub.others.are_counted() {
            while let Some((range, length, number)) = counted_line(lines) {
                self.node.handle_messages(&lines[..range.start]);
                // Its number is in place of the end.
                let message = [&lines[range.start..][..length], b"}"].concat();
                let question = self.node.ask_to_count(self.now(), &message);
                self.questions.insert(question, Asker::Publisher(number));
                lines = &lines[range.end..];
            }
        }
        self.node.handle_messages(lines);
    }

    fn take_answers(&mut self, question: QuestionId, answers: Answers) {
        match self.questions.remove(&question) {
            Some(Asker::Command(sender)) => {
                let now = self.now();
                let silent = answers.silent.iter();
                let silent = silent.filter_map(|name| {
                    let (status, heard) = self.node.told_by(name)?;
                    Some((status.clone(), now.saturating_sub(heard)))
                });
                let _ = sender.send(Gathered {
                    silent: silent.collect(),
                    own: self.node.status().clone(),
                    answers,
                });
            }
            Some(Asker::Publisher(number)) => {
                let counts = answers.given.iter().map(|(_, body, _)| {
                    let text = std::str::from_utf8(body).unwrap_or_default();
                    text.parse::<u32>().map_or(0, |count| count as usize)
                });
                let elsewhere = Elsewhere {
                    delivered: counts.sum(),
                    nodes: answers.given.len(),
                    silent: answers.silent,
                };
                self.hub.others.end_counting(number, elsewhere);
            }
            None => {}
        }
    }

    fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Joined(most) => {
                tracing::info!("joined the cluster at {}", self.membership.servers());
                self.node.handle_joined(self.now(), most);
                self.ask_about_tokens();
            }
            Heard::Lost => {
                tracing::warn!(
                    "the cluster's NATS is away: what is published here reaches this server's own clients alone"
                );
                self.node.handle_lost();
                self.bus.clear();
            }
            Heard::All(payload) => self.receive(Way::All, payload),
            Heard::Own(payload) => self.receive(Way::Node(self.node.id()), payload),
            Heard::Foreign(payload) => {
                foreign::publish(&self.hub, &self.membership, &payload);
            }
            Heard::Nothing => {}
        }
        self.tell_others();
    }

    fn receive(&mut self, way: Way, payload: Bytes) {
        let now = self.now();
        if let Some(lines) = self.node.handle_envelope(now, way, &payload) {
            self.pipe.give(payload.slice_ref(lines));
        }
    }

    /// Tells the broker which other nodes there are.
    fn tell_others(&self) {
        let figures = self.node.figures();
        let others = Others {
            is_linked: figures.peers + figures.awaited > 0 || !self.node.is_joined(),
            nodes: figures.peers,
            connections_total: figures.connections_total,
            subscribers: figures.subscribers,
        };
        if self.membership.is_new(others) {
            self.hub.set_others(others);
        }
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Send { way, payload } => self.bus.queue(way, payload.into()),
                Output::Deliver(lines) => self.pipe.give(lines.into()),
                Output::Directory(directory) => self.hub.set_directory(directory),
                Output::Gap { node, messages } => {
                    self.membership.miss(messages);
                    if self.hub.log.admits(Kind::NodeGap, None) {
                        tracing::warn!(node, messages, "messages of another node did not arrive");
                    }
                    self.untold += messages;
                    self.tell_missed();
                    self.may_tokens_differ = true;
                }
                Output::Joined(status) => {
                    tracing::info!(
                        node = status.name,
                        version = status.version,
                        "a node has joined"
                    );
                }
                Output::Left {
                    node,
                    is_goodbye: true,
                } => tracing::info!(node, "a node has left"),
                Output::Left { node, .. } => tracing::warn!(node, "a node is silent"),
                Output::SameName(name) => tracing::warn!(
                    "two nodes are called '{name}': give each a name of its own (node=NAME)"
                ),
                Output::Unreadable(what) => {
                    self.membership.refuse(1);
                    if self.hub.log.admits(Kind::NodeGarbage, None) {
                        tracing::warn!("refused on the cluster's NATS: {what}");
                    }
                }
                Output::Told(body) => self.hub.others.hear(&body),
                Output::Asked {
                    asker,
                    question,
                    body,
                } => {
                    let (hub, answered) = (Arc::clone(&self.hub), self.answered.clone());
                    let status = self.node.own_status();
                    self.hub.tasks.spawn(async move {
                        // One that comes too late, or that there is none of, is not sent: the asker says who was silent.
                        let answer = hub.answer_node(body, status);
                        if let Ok(Some(body)) = timeout(ANSWER_WITHIN, answer).await {
                            let _ = answered.send(Answered {
                                asker,
                                question,
                                body,
                            });
                        }
                    });
                }
                Output::Answered { question, answers } => self.take_answers(question, answers),
                _ => {}
            }
        }
        self.membership.note(&self.node);
    }
}
