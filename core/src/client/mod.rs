//! Owns one client's side of the protocol: its connection's life, its requests and its wanted subscriptions; cannot
//! open a socket, read a clock or draw a random number.
//!
//! Verbs go in, each with the time since an arbitrary start; outputs are taken out with [`Client::poll_output`], and
//! [`Client::poll_timeout`] says when to call [`Client::handle_timeout`]. A host in five lines:
//!
//! ```text
//! loop: drain poll_output: Connect → dial, then handle_open or handle_close · Send → write · Disconnect → close
//!                          Answer → whoever asked · Event → the application
//!       wait for: bytes → handle_lines or handle_frame · the end of the socket → handle_close
//!                 poll_timeout → handle_timeout · the application → subscribe, publish, request, close
//! ```
//!
//! What the application can rely on: every request is answered exactly once, with the server's answer or with an
//! error. Wanted subscriptions survive lost connections: the next one presents its token, restores them all, and only
//! then is [`Event::Open`]. A request that waits for an answer when the connection is lost fails, except that a
//! subscription goes on waiting for the next connection, until its deadline.

mod event;
mod requests;
mod retry;
mod subscriptions;
#[cfg(test)]
mod tests;

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

pub use event::{
    CloseReason, Delivery, Event, Output, Reply, RequestError, RequestId, State, SubscriptionId,
};
pub use requests::Offline;
use requests::{Awaits, Buffer, Buffered, Errand, Name, Requests, Waiting, name};
pub use retry::Backoff;
use retry::Random;
use subscriptions::{OnWire, Slot, Subscriptions, tag_set};

use crate::limits::Limits;
use crate::message::{Command, Message, Messages, Request, Scan, encode_publish, encode_request};

/// What a client can be told about its work.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// How long to wait for the answer to a request.
    pub request_timeout: Duration,
    /// How long to wait for a connection, and for each step of restoring its subscriptions.
    pub connect_timeout: Duration,
    /// After how long without a message to ask for a sign of life; `None` never asks.
    pub heartbeat: Option<Duration>,
    /// How long to wait for that sign before the connection counts as lost.
    pub heartbeat_timeout: Duration,
    /// When to try again after a connection is lost; `None` never tries.
    pub reconnect: Option<Backoff>,
    /// What happens to a publish while there is no connection.
    pub offline: Offline,
    /// Bytes in the largest message that is accepted from the server.
    pub message_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            heartbeat: Some(Duration::from_secs(25)),
            heartbeat_timeout: Duration::from_secs(10),
            reconnect: Some(Backoff::default()),
            offline: Offline::Reject,
            message_bytes: 64 << 20,
        }
    }
}

/// The token for one connection.
#[derive(Clone, Copy)]
pub enum Token<'a> {
    /// The same at every attempt: once the server refuses it, there is no sense in trying again.
    Static(&'a str),
    /// Obtained for this attempt: once the server refuses it, another may do.
    Fresh(&'a str),
}

#[derive(Debug)]
enum Phase {
    Connecting {
        deadline: Duration,
    },
    /// Connected; `open` comes once nothing is unsettled.
    Restoring {
        unsettled: usize,
    },
    Open {
        since: Duration,
    },
    Waiting {
        until: Duration,
    },
    Closed(CloseReason),
}

/// One client of a server.
#[derive(Debug)]
pub struct Client {
    config: Config,
    limits: Limits,
    random: Random,
    phase: Phase,
    /// Attempts since the last connection that lasted.
    failures: u32,
    was_open: bool,
    requests: Requests,
    subscriptions: Subscriptions,
    buffer: Buffer,
    wire: Vec<u8>,
    outputs: VecDeque<Output>,
    /// When the last message came.
    heard: Duration,
    /// When the unanswered ping was sent.
    asked: Option<Duration>,
    is_held: bool,
    scan: Scan,
}

impl Client {
    /// Creates a client that begins to connect; `seed` is random, since it keeps clients from moving in step.
    #[must_use]
    pub fn new(config: Config, seed: u64, now: Duration) -> Self {
        let limits = Limits {
            message_bytes: config.message_bytes.min(1 << 30),
            // What the server let pass is not for its client to refuse.
            tags_per_message: usize::MAX,
            ..Limits::default()
        };
        let mut client = Self {
            limits,
            random: Random(seed),
            phase: Phase::Waiting { until: now },
            failures: 0,
            was_open: false,
            requests: Requests::default(),
            subscriptions: Subscriptions::new(seed),
            buffer: Buffer::default(),
            wire: Vec::new(),
            outputs: VecDeque::new(),
            heard: now,
            asked: None,
            is_held: false,
            scan: Scan::new(),
            config,
        };
        client.connect(now);
        client
    }

    /// Returns how the client stands with its server.
    #[must_use]
    pub fn state(&self) -> State {
        match self.phase {
            Phase::Connecting { .. } | Phase::Restoring { .. } => State::Connecting,
            Phase::Open { .. } => State::Open,
            Phase::Waiting { .. } => State::Waiting,
            Phase::Closed(_) => State::Closed,
        }
    }

    /// Whether the client is closed, as the error that its verbs then return.
    ///
    /// # Errors
    /// [`RequestError::Closed`].
    pub fn check_not_closed(&self) -> Result<(), RequestError> {
        match &self.phase {
            Phase::Closed(reason) => Err(RequestError::Closed {
                reason: reason.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// Returns the wanted tag sets, sorted; each set's tags are sorted too.
    pub fn subscriptions(&self) -> impl ExactSizeIterator<Item = &[String]> {
        self.subscriptions.sets().map(|tags| &**tags)
    }

    /// Returns how many bytes wait to be taken as [`Output::Send`]; a host that lets this grow without bound has none.
    #[must_use]
    pub fn unsent_bytes(&self) -> usize {
        self.wire.len()
    }

    /// Whether the client waits for an answer, so that a host which holds back deliveries should read on.
    #[must_use]
    pub fn expects_answer(&self) -> bool {
        matches!(self.phase, Phase::Restoring { .. }) || !self.requests.is_empty()
    }

    /// Wants messages that carry all of `tags`. The answer comes once the server holds the subscription.
    ///
    /// While there is no connection the subscription is kept for the next one. If the answer is an error, the
    /// subscription is not wanted any more.
    ///
    /// # Errors
    /// [`RequestError::MissingTags`] and [`RequestError::Closed`].
    pub fn subscribe<T: AsRef<str>>(
        &mut self,
        now: Duration,
        tags: impl IntoIterator<Item = T>,
    ) -> Result<(SubscriptionId, RequestId), RequestError> {
        self.check_not_closed()?;
        let tags = tag_set(tags);
        if tags.is_empty() {
            return Err(RequestError::MissingTags {
                command: "subscribe",
            });
        }
        let (subscription, slot) = self.subscriptions.add(tags);
        let request = self.add_request(
            now,
            Name::Borrowed("subscribe"),
            Awaits::Subscription(subscription),
        );
        match self.subscriptions.on_wire(slot) {
            Some(OnWire::Live) => {
                self.answer(request, |waiting| Ok(Reply::success(&waiting.command)))
            }
            on_wire => {
                self.subscriptions.set_waiting(subscription, Some(request));
                if on_wire == Some(OnWire::No) && self.is_connected() {
                    self.send_subscribe(slot, false);
                }
            }
        }
        Ok((subscription, request))
    }

    /// Gives up a local subscription; the last one for a tag set ends it on the server.
    ///
    /// Giving up one that is gone already succeeds.
    ///
    /// # Errors
    /// [`RequestError::Closed`].
    pub fn unsubscribe(
        &mut self,
        now: Duration,
        subscription: SubscriptionId,
    ) -> Result<RequestId, RequestError> {
        self.check_not_closed()?;
        let request = self.add_request(now, Name::Borrowed("unsubscribe"), Awaits::WireOrLoss);
        let left = self.subscriptions.remove(subscription);
        let is_held = left
            .as_ref()
            .is_some_and(|left| matches!(left.last, Some(OnWire::Asked(_) | OnWire::Live)));
        if let Some(left) = left {
            if let Some(waiting) = left.waiting {
                self.answer(waiting, |_| Err(RequestError::Unsubscribed));
            }
            if is_held {
                self.send_set(Command::Unsubscribe, &left.tags, request.0);
            }
        }
        if !is_held {
            self.answer(request, |waiting| Ok(Reply::success(&waiting.command)));
        }
        Ok(request)
    }

    /// Returns the newest local subscription for exactly these tags.
    #[must_use]
    pub fn find_subscription<T: AsRef<str>>(
        &self,
        tags: impl IntoIterator<Item = T>,
    ) -> Option<SubscriptionId> {
        let slot = self.subscriptions.find(&tag_set(tags))?;
        self.subscriptions.newest(slot)
    }

    /// Publishes without asking for an acknowledgement: at most once, and lost with the connection.
    ///
    /// # Errors
    /// [`RequestError::MissingTags`], [`RequestError::Closed`]; without a connection [`RequestError::Offline`] or
    /// [`RequestError::BufferFull`], as [`Config::offline`] has it.
    pub fn publish<T: AsRef<str>>(
        &mut self,
        now: Duration,
        tags: impl IntoIterator<Item = T>,
        data: &str,
    ) -> Result<(), RequestError> {
        if !matches!(self.phase, Phase::Open { .. }) {
            return self.keep(now, tags, data, None);
        }
        let start = self.wire.len();
        let count = encode_publish(tags, data, None, &mut self.wire);
        if count == 0 {
            self.wire.truncate(start);
            return Err(RequestError::MissingTags { command: "publish" });
        }
        self.wire.push(b'\n');
        Ok(())
    }

    /// Publishes and asks how many sessions took it ([`Reply::delivered`]).
    ///
    /// # Errors
    /// As [`Client::publish`].
    pub fn publish_acked<T: AsRef<str>>(
        &mut self,
        now: Duration,
        tags: impl IntoIterator<Item = T>,
        data: &str,
    ) -> Result<RequestId, RequestError> {
        let is_open = matches!(self.phase, Phase::Open { .. });
        let awaits = if is_open {
            Awaits::Wire
        } else {
            Awaits::Buffer
        };
        let request = self.add_request(now, Name::Borrowed("publish"), awaits);
        let result = if is_open {
            let start = self.wire.len();
            match encode_publish(tags, data, Some(request.0), &mut self.wire) {
                0 => {
                    self.wire.truncate(start);
                    Err(RequestError::MissingTags { command: "publish" })
                }
                _ => {
                    self.wire.push(b'\n');
                    Ok(())
                }
            }
        } else {
            self.keep(now, tags, data, Some(request))
        };
        if result.is_err() {
            self.requests.take(request);
        }
        result.map(|()| request)
    }

    /// Sends any command, numbered, so that it is answered.
    ///
    /// # Errors
    /// [`RequestError::Offline`] without a connection, [`RequestError::Closed`] after the end.
    pub fn request(
        &mut self,
        now: Duration,
        command: &str,
        tags: &[&str],
        data: &str,
    ) -> Result<RequestId, RequestError> {
        self.check_not_closed()?;
        if !matches!(self.phase, Phase::Open { .. }) {
            return Err(RequestError::Offline {
                command: command.into(),
            });
        }
        let request = self.add_request(now, name(command), Awaits::Wire);
        self.send(command, tags, data, request.0);
        Ok(request)
    }

    /// Takes the connection that [`Output::Connect`] asked for: presents the token, then restores the subscriptions.
    pub fn handle_open(&mut self, now: Duration, token: Option<Token<'_>>) {
        if !matches!(self.phase, Phase::Connecting { .. }) {
            return;
        }
        self.heard = now;
        self.asked = None;
        self.is_held = false;
        let mut unsettled = 0;
        if let Some(token) = token {
            let (token, is_static) = match token {
                Token::Static(token) => (token, true),
                Token::Fresh(token) => (token, false),
            };
            let number = self.requests.add_errand(Errand::Auth { is_static });
            self.send("auth", &[], token, number);
            unsettled += 1;
        }
        for slot in self.subscriptions.slots() {
            self.send_subscribe(slot, true);
            unsettled += 1;
        }
        self.phase = Phase::Restoring { unsettled };
        self.open_if_settled(now);
    }

    /// Takes whole lines from a stream.
    pub fn handle_lines(&mut self, now: Duration, bytes: &[u8]) {
        self.handle_messages(now, Messages::lines(bytes));
    }

    /// Takes one frame of a transport that keeps messages apart.
    pub fn handle_frame(&mut self, now: Duration, bytes: &[u8]) {
        self.handle_messages(now, Messages::frame(bytes));
    }

    /// Notes that the connection ended, or that the attempt failed; `reason` says why, for people.
    pub fn handle_close(&mut self, now: Duration, reason: &str) {
        if self.has_connection() {
            self.lose(now, reason.into());
        }
    }

    /// Notes that the host has stopped reading, or reads again: what is not read cannot count as a missed sign of life.
    pub fn hold(&mut self, now: Duration, is_held: bool) {
        if self.is_held && !is_held {
            self.heard = now;
            self.asked = None;
        }
        self.is_held = is_held;
    }

    /// Asks for a sign of life now: after sleep, or when the network changed. While waiting, tries at once.
    pub fn probe(&mut self, now: Duration) {
        match self.phase {
            Phase::Waiting { .. } => self.connect(now),
            Phase::Open { .. } if self.asked.is_none() => self.ask(now),
            _ => {}
        }
    }

    /// Ends the client. What was handed over before can still be taken and sent; requests without an answer fail.
    pub fn close(&mut self) {
        if matches!(self.phase, Phase::Closed(_)) {
            return;
        }
        let has_connection = self.has_connection();
        self.end(CloseReason::Requested);
        if has_connection {
            self.outputs.push_back(Output::Disconnect);
        }
    }

    /// Takes out the next thing for the host to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        match self.outputs.front() {
            // What was handed over goes out before the connection does.
            None | Some(Output::Disconnect) if !self.wire.is_empty() => {
                Some(Output::Send(core::mem::take(&mut self.wire)))
            }
            _ => self.outputs.pop_front(),
        }
    }

    /// Takes out the next thing for the host to do, except sending: for a host that is still writing, so that what is
    /// to be sent gathers.
    pub fn poll_control(&mut self) -> Option<Output> {
        match self.outputs.front() {
            Some(Output::Disconnect) if !self.wire.is_empty() => None,
            _ => self.outputs.pop_front(),
        }
    }

    /// Whether [`Client::poll_control`] has something to take out.
    #[must_use]
    pub fn has_control(&self) -> bool {
        !self.outputs.is_empty()
    }

    /// Returns when [`Client::handle_timeout`] is due; ask again after every verb.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        let phase = match self.phase {
            Phase::Connecting { deadline } => Some(deadline),
            Phase::Waiting { until } => Some(until),
            Phase::Restoring { .. } => Some(self.heard + self.config.connect_timeout),
            Phase::Open { .. } => self.heartbeat_due(),
            Phase::Closed(_) => None,
        };
        let kept = match self.config.offline {
            Offline::Buffer { max_age, .. } => {
                let oldest = self.buffer.publishes.front();
                oldest.map(|publish| publish.kept_at + max_age)
            }
            Offline::Reject => None,
        };
        let request = self.requests.next_deadline();
        [phase, kept, request].into_iter().flatten().min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Duration) {
        while let Some((request, waiting)) = self.requests.expired(now) {
            self.time_out(request, &waiting);
        }
        self.discard_old(now);
        match self.phase {
            Phase::Connecting { deadline } if now >= deadline => {
                let after = self.config.connect_timeout;
                self.outputs.push_back(Output::Disconnect);
                self.lose(now, alloc::format!("no connection within {after:?}"));
            }
            Phase::Restoring { .. } if now >= self.heard + self.config.connect_timeout => {
                let after = self.config.connect_timeout;
                self.outputs.push_back(Output::Disconnect);
                self.lose(
                    now,
                    alloc::format!("connected, but the server sent nothing for {after:?}"),
                );
            }
            Phase::Waiting { until } if now >= until => self.connect(now),
            Phase::Open { .. } if self.heartbeat_due().is_some_and(|due| now >= due) => {
                if self.asked.is_none() {
                    self.ask(now);
                } else {
                    let after = self.config.heartbeat_timeout;
                    self.outputs.push_back(Output::Disconnect);
                    self.lose(now, alloc::format!("no sign of life within {after:?}"));
                }
            }
            _ => {}
        }
    }
}

/// The life of the connection.
impl Client {
    fn is_connected(&self) -> bool {
        matches!(self.phase, Phase::Restoring { .. } | Phase::Open { .. })
    }

    fn has_connection(&self) -> bool {
        self.is_connected() || matches!(self.phase, Phase::Connecting { .. })
    }

    fn connect(&mut self, now: Duration) {
        self.phase = Phase::Connecting {
            deadline: now + self.config.connect_timeout,
        };
        self.event(Event::Connecting);
        self.outputs.push_back(Output::Connect);
    }

    fn open_if_settled(&mut self, now: Duration) {
        if !matches!(self.phase, Phase::Restoring { unsettled: 0 }) {
            return;
        }
        self.phase = Phase::Open { since: now };
        self.discard_old(now);
        while let Some(publish) = self.buffer.pop() {
            let is_wanted = publish
                .request
                .is_none_or(|request| self.requests.leaves_buffer(request));
            if is_wanted {
                self.wire.extend_from_slice(&publish.text);
                self.wire.push(b'\n');
            }
        }
        let resumed = self.was_open;
        self.was_open = true;
        self.event(Event::Open { resumed });
    }

    fn lose(&mut self, now: Duration, reason: String) {
        if let Phase::Open { since } = self.phase {
            let lasting = self.config.reconnect.unwrap_or_default().max;
            // A server that takes connections and drops them at once must not be hammered.
            if now.saturating_sub(since) >= lasting {
                self.failures = 0;
            }
        }
        self.wire.clear();
        self.subscriptions.connection_lost();
        for (request, waiting) in self.requests.connection_lost() {
            let command = waiting.command.into_owned();
            let result = match waiting.awaits {
                Awaits::WireOrLoss => Ok(Reply::success(&command)),
                _ => Err(RequestError::ConnectionLost {
                    command,
                    reason: reason.clone(),
                }),
            };
            self.outputs.push_back(Output::Answer { request, result });
        }
        let Some(backoff) = self.config.reconnect else {
            return self.end(CloseReason::Lost(reason));
        };
        let retry_in = backoff.delay(self.failures, self.random.next());
        self.failures = self.failures.saturating_add(1);
        self.phase = Phase::Waiting {
            until: now + retry_in,
        };
        self.event(Event::Waiting { reason, retry_in });
    }

    fn end(&mut self, reason: CloseReason) {
        for (request, _) in self.requests.take_all() {
            let result = Err(RequestError::Closed {
                reason: reason.clone(),
            });
            self.outputs.push_back(Output::Answer { request, result });
        }
        let mut discarded = 0;
        while let Some(publish) = self.buffer.pop() {
            discarded += usize::from(publish.request.is_none());
        }
        self.tell_discarded(discarded);
        self.event(Event::Closed {
            reason: reason.clone(),
        });
        self.phase = Phase::Closed(reason);
    }

    fn heartbeat_due(&self) -> Option<Duration> {
        if self.is_held {
            return None;
        }
        match self.asked {
            Some(asked) => Some(asked + self.config.heartbeat_timeout),
            None => Some(self.heard + self.config.heartbeat?),
        }
    }

    fn ask(&mut self, now: Duration) {
        let number = self.requests.add_errand(Errand::Ping);
        self.send("ping", &[], "", number);
        self.asked = Some(now);
    }
}

/// What comes in.
impl Client {
    fn handle_messages(&mut self, now: Duration, mut messages: Messages<'_>) {
        let mut scan = core::mem::take(&mut self.scan);
        let limits = self.limits.clone();
        while self.is_connected() {
            let Some(message) = messages.next(&mut scan, &limits) else {
                break;
            };
            self.heard = now;
            self.asked = None;
            match message {
                Ok(message) => self.handle_message(now, &message),
                Err(unreadable) => {
                    let error = unreadable.error.text(&limits);
                    self.event(Event::Unreadable { error });
                }
            }
        }
        self.scan = scan;
    }

    fn handle_message(&mut self, now: Duration, message: &Message<'_>) {
        let error = message.error();
        match (message.id_number(), error) {
            (Some(number), error) => self.handle_answer(now, number, error.as_deref(), message),
            (None, Some(error)) => self.handle_error(message, &error),
            (None, None) if message.command() == Command::Publish => {
                let delivery = self.subscriptions.delivery(message);
                self.event(Event::Message(delivery));
            }
            (None, None) if message.command_name() == "dropped" => {
                let count = message.data().and_then(|count| count.parse().ok());
                self.event(Event::Dropped {
                    count: count.unwrap_or(0),
                });
            }
            (None, None) => self.event(Event::Other(Reply::new(message))),
        }
    }

    fn handle_answer(
        &mut self,
        now: Duration,
        number: u64,
        error: Option<&str>,
        message: &Message<'_>,
    ) {
        if let Some(waiting) = self.requests.take_wire(number) {
            let result = match error {
                None => Ok(Reply::new(message)),
                Some(error) => Err(RequestError::Refused {
                    command: waiting.command.into_owned(),
                    error: error.into(),
                }),
            };
            let request = RequestId(number);
            self.outputs.push_back(Output::Answer { request, result });
            return;
        }
        match (self.requests.take_errand(number), error) {
            (Some(Errand::Auth { is_static }), Some(error)) => {
                self.outputs.push_back(Output::Disconnect);
                self.wire.clear();
                let reason = CloseReason::AuthRefused(error.into());
                if is_static {
                    for (request, _) in self.requests.connection_lost() {
                        let result = Err(RequestError::Closed {
                            reason: reason.clone(),
                        });
                        self.outputs.push_back(Output::Answer { request, result });
                    }
                    self.end(reason);
                } else {
                    self.lose(now, alloc::format!("{reason}"));
                }
            }
            (Some(Errand::Auth { .. }), None) => self.settle(now),
            (Some(Errand::Subscribe { slot, is_restore }), error) => {
                // The slot may be another set's by now; its number on the wire tells.
                if self.subscriptions.on_wire(slot) == Some(OnWire::Asked(number)) {
                    self.settle_subscription(slot, error);
                }
                if is_restore {
                    self.settle(now);
                }
            }
            // An answer that came after its deadline, or to a proof of life.
            (Some(Errand::Unsubscribe | Errand::Ping) | None, _) => {}
        }
    }

    fn settle(&mut self, now: Duration) {
        if let Phase::Restoring { unsettled } = &mut self.phase {
            *unsettled = unsettled.saturating_sub(1);
        }
        self.open_if_settled(now);
    }

    fn settle_subscription(&mut self, slot: Slot, error: Option<&str>) {
        if let Some(error) = error {
            return self.drop_set(slot, error);
        }
        self.subscriptions.set_on_wire(slot, OnWire::Live);
        for request in self.subscriptions.take_waiting(slot) {
            self.answer(request, |waiting| Ok(Reply::success(&waiting.command)));
        }
    }

    /// Stops wanting a set that the server does not hold, and tells those concerned.
    fn drop_set(&mut self, slot: Slot, error: &str) {
        let Some(dropped) = self.subscriptions.remove_set(slot) else {
            return;
        };
        for &request in &dropped.waiting {
            self.answer(request, |waiting| {
                Err(RequestError::Refused {
                    command: waiting.command.into_owned(),
                    error: error.into(),
                })
            });
        }
        if dropped.had_settled {
            self.event(Event::SubscriptionLost {
                tags: dropped.tags,
                error: error.into(),
            });
        }
    }

    /// Takes an error without a number: a refused publish, or a subscription that is gone.
    fn handle_error(&mut self, message: &Message<'_>, error: &str) {
        if matches!(message.command(), Command::Subscribe | Command::Unsubscribe) {
            let slot = self.subscriptions.find(&tag_set(message.tags()));
            // A set that was asked for since has its own answer coming.
            let is_live = |&slot: &Slot| self.subscriptions.on_wire(slot) == Some(OnWire::Live);
            if let Some(slot) = slot.filter(is_live) {
                return self.drop_set(slot, error);
            }
        }
        self.event(Event::Refused {
            command: message.command_name().into_owned(),
            tags: message.tags().map(Into::into).collect(),
            error: error.into(),
        });
    }
}

/// What goes out, and what is told.
impl Client {
    fn add_request(&mut self, now: Duration, command: Name, awaits: Awaits) -> RequestId {
        let deadline = now + self.config.request_timeout;
        self.requests.add(deadline, command, awaits)
    }

    fn send(&mut self, command: &str, tags: &[&str], data: &str, number: u64) {
        let request = Request {
            command,
            tags,
            data,
            id: Some(number),
        };
        encode_request(&request, &mut self.wire);
        self.wire.push(b'\n');
    }

    fn send_set(&mut self, command: Command, tags: &[String], number: u64) {
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        self.send(command.name().unwrap_or_default(), &tags, "", number);
    }

    fn send_subscribe(&mut self, slot: Slot, is_restore: bool) {
        if let Some(tags) = self.subscriptions.tags(slot) {
            let number = self
                .requests
                .add_errand(Errand::Subscribe { slot, is_restore });
            self.subscriptions.set_on_wire(slot, OnWire::Asked(number));
            self.send_set(Command::Subscribe, &tags, number);
        }
    }

    fn keep<T: AsRef<str>>(
        &mut self,
        now: Duration,
        tags: impl IntoIterator<Item = T>,
        data: &str,
        request: Option<RequestId>,
    ) -> Result<(), RequestError> {
        self.check_not_closed()?;
        let mut text = Vec::new();
        let number = request.map(|request| request.0);
        if encode_publish(tags, data, number, &mut text) == 0 {
            return Err(RequestError::MissingTags { command: "publish" });
        }
        let Offline::Buffer {
            messages, bytes, ..
        } = self.config.offline
        else {
            return Err(RequestError::Offline {
                command: "publish".into(),
            });
        };
        let kept = self.buffer.publishes.len();
        if kept >= messages || self.buffer.bytes + text.len() > bytes {
            return Err(RequestError::BufferFull {
                publishes: kept,
                bytes: self.buffer.bytes,
            });
        }
        self.buffer.push(Buffered {
            kept_at: now,
            text,
            request,
        });
        Ok(())
    }

    fn discard_old(&mut self, now: Duration) {
        let Offline::Buffer { max_age, .. } = self.config.offline else {
            return;
        };
        let Some(until) = now.checked_sub(max_age) else {
            return;
        };
        let mut discarded = 0;
        while let Some(publish) = self.buffer.pop_kept_until(until) {
            match publish.request {
                Some(request) => self.answer(request, |waiting| {
                    Err(RequestError::Timeout {
                        command: waiting.command.into_owned(),
                        after: max_age,
                    })
                }),
                None => discarded += 1,
            }
        }
        self.tell_discarded(discarded);
    }

    fn tell_discarded(&mut self, publishes: usize) {
        if publishes > 0 {
            self.event(Event::Discarded { publishes });
        }
    }

    fn time_out(&mut self, request: RequestId, waiting: &Waiting) {
        if let Awaits::Subscription(subscription) = waiting.awaits {
            self.subscriptions.set_waiting(subscription, None);
            if let Some(left) = self.subscriptions.remove(subscription)
                && matches!(left.last, Some(OnWire::Asked(_) | OnWire::Live))
            {
                let number = self.requests.add_errand(Errand::Unsubscribe);
                self.send_set(Command::Unsubscribe, &left.tags, number);
            }
        }
        let result = Err(RequestError::Timeout {
            command: waiting.command.clone().into_owned(),
            after: self.config.request_timeout,
        });
        self.outputs.push_back(Output::Answer { request, result });
    }

    fn answer(
        &mut self,
        request: RequestId,
        result: impl FnOnce(Waiting) -> Result<Reply, RequestError>,
    ) {
        if let Some(waiting) = self.requests.take(request) {
            let result = result(waiting);
            self.outputs.push_back(Output::Answer { request, result });
        }
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }
}
