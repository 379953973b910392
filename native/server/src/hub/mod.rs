//! Owns the one broker of a server and the outboxes of its connections; the only place that carries out outputs.
//!
//! Knows nothing of sockets. The hot path is [`Hub::handle`]: scan, decide under the read lock, gather runs of messages to
//! the same receivers, append each run to their outboxes; then, outside all locks, wake each touched connection once.

mod line;
mod long;
mod run;
mod store;
mod tokens;
mod turns;
pub(crate) mod unfinished;
mod watch;
pub(crate) mod worker;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use mist_core::message::{Command, Messages};
use mist_core::{
    Access, AuthRequest, Broker, Credentials, CustomRequest, Limits, Listing, Output, SessionId,
    Stats, Verdict,
};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use self::line::{Line, Place};
use self::run::Batch;
use self::store::Store;
use self::unfinished::Unfinished;
use self::worker::{Errand, Outgoing, READ_BYTES, Tools, with_worker};
use crate::admission::address_limit::AddressLimiter;
use crate::admission::peer::Peer;
use crate::admission::token_throttle::TokenThrottle;
use crate::auth::Authenticator;
use crate::command::CommandHandler;
use crate::log_limit::{Kind, LogLimit};
use crate::outbox::{Appended, Backlog, Ending, Framing, Outbox, Segment, SharedBytes};
use mist_net::lock::{Mutex, RwLock};

pub(crate) struct Hub {
    shared: RwLock<Shared>,
    pub(crate) limits: Limits,
    /// Whether clients must authenticate.
    pub(crate) is_scoped: bool,
    /// Those for sessions that have still to authenticate.
    early_limits: Limits,
    throttle: Mutex<TokenThrottle>,
    store: Store,
    commands: HashMap<String, Arc<dyn CommandHandler>>,
    /// Everything that runs for this server; a shutdown waits for it.
    pub(crate) tasks: TaskTracker,
    pub(crate) counters: Counters,
    pub(crate) backlog: Arc<Backlog>,
    pub(crate) unfinished: Arc<Unfinished>,
    pub(crate) open_connections: AtomicUsize,
    pub(crate) address_limiter: Arc<AddressLimiter>,
    pub(crate) log: Arc<LogLimit>,
    is_ending: AtomicBool,
    line: Line,
    /// Long answers are put together one at a time, so that not many are in memory at once.
    long_answers: Semaphore,
}

struct Shared {
    broker: Broker,
    /// By slot of the session.
    outboxes: Vec<Option<Arc<Outbox>>>,
}

/// Figures since the start.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) published: AtomicU64,
    pub(crate) delivered: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) unreadable: AtomicU64,
    pub(crate) refused_connections: AtomicU64,
    pub(crate) refused_tokens: AtomicU64,
    pub(crate) turned_away_tokens: AtomicU64,
    pub(crate) failed_handshakes: AtomicU64,
    pub(crate) of_host: Vec<HostCounter>,
}

/// A figure that the host counts and the server shows.
#[derive(Debug)]
pub(crate) struct HostCounter {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) value: Arc<AtomicU64>,
}

/// How a connection came.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Arrival {
    /// Where from, if that is an internet address.
    pub(crate) peer: Option<Peer>,
    /// How long it took until its session is opened.
    pub(crate) took: Duration,
}

/// Whether a connection may be read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// All messages were handled.
    Open,
    /// This many bytes of the input must wait, until the host has answered or the client has read its answers.
    Paused(usize),
    /// This many bytes must wait until others have had their turn on this thread.
    Spent(usize),
    /// This many bytes ask for much, or [`Outgoing::walk`] in front of them: they have to stand in line.
    Long(usize),
}

/// Whether two texts are the same. Where they are not, as with a number that goes up, most differ in the last few bytes.
fn is_same_text(one: &[u8], other: &[u8]) -> bool {
    one.last_chunk::<8>() == other.last_chunk() && one == other
}

/// Whether two lists are the same, which most often have one entry.
fn are_same_targets(one: &[u32], other: &[u32]) -> bool {
    match (one, other) {
        ([one], [other]) => one == other,
        _ => one == other,
    }
}

/// Where a part of a text stands in it.
fn place_in(whole: &[u8], part: &str) -> Range<usize> {
    let start = part.as_ptr().addr().wrapping_sub(whole.as_ptr().addr());
    start..start + part.len()
}

/// What a connection takes that has had traffic, roughly.
const CONNECTION_BYTES: usize = 4 << 10;

/// Parts of a long list that are gathered in a turn.
const LIST_PARTS_AT_ONCE: usize = 12;
/// Pairs and tag sets that matching looks at for one connection before others have their turn on the thread, and with the
/// broker: some tenths of a millisecond.
pub(crate) const WALKED_AT_ONCE: usize = 100_000;
/// The same for commands of who does not stand in line yet.
const COMMANDS_AT_ONCE: usize = 20_000;
/// What a receipt counts there. Whoever waits for the receipts of a hundred messages does not have to stand in line.
const RECEIPT_COST: usize = 200;
/// What else costs in this unit: a command that changes the broker and each byte of its tags, one that is answered and each
/// tag that it looks at, a publish that is decided already, and the bytes of a message. Commands that are no publishes are
/// made dearer than they are: they need no large batches, and others should not wait for them.
const CHANGE_COST: usize = 2000;
const CHANGE_BYTE_COST: usize = 4;
const REPLY_COST: usize = 600;
const LOOK_COST: usize = 3;
const REPEAT_COST: usize = 8;
const BYTES_PER_COST: usize = 16;

impl Hub {
    pub(crate) fn new(
        broker: Broker,
        authenticator: Option<Arc<dyn Authenticator>>,
        commands: HashMap<String, Arc<dyn CommandHandler>>,
    ) -> Self {
        let log = Arc::<LogLimit>::default();
        let limits = broker.limits().clone();
        Self {
            is_scoped: broker.access() == Access::Scoped,
            early_limits: limits.before_authentication(),
            throttle: Mutex::new(TokenThrottle::new(limits.failed_tokens)),
            shared: RwLock::new(Shared {
                broker,
                outboxes: Vec::new(),
            }),
            store: Store::new(authenticator, Arc::clone(&log)),
            commands,
            tasks: TaskTracker::new(),
            counters: Counters::default(),
            backlog: Arc::default(),
            unfinished: Arc::new(Unfinished::new(limits.input_total_bytes)),
            open_connections: AtomicUsize::new(0),
            address_limiter: Arc::new(AddressLimiter::new(limits.connections_per_address)),
            log,
            is_ending: AtomicBool::new(false),
            line: Line::default(),
            long_answers: Semaphore::new(1),
            limits,
        }
    }

    /// Opens a session and its outbox.
    pub(crate) fn connect(
        self: &Arc<Self>,
        credentials: Credentials<'_>,
        framing: Framing,
        arrival: Arrival,
    ) -> Arc<Outbox> {
        self.connect_by(|broker| broker.connect(credentials), framing, arrival)
    }

    /// Opens a session of the program's own that gets every message, and its outbox.
    pub(crate) fn connect_tap(self: &Arc<Self>) -> Arc<Outbox> {
        let arrival = Arrival {
            peer: None,
            took: Duration::ZERO,
        };
        self.connect_by(Broker::connect_tap, Framing::Lines, arrival)
    }

    fn connect_by(
        self: &Arc<Self>,
        connect: impl FnOnce(&mut Broker) -> SessionId,
        framing: Framing,
        arrival: Arrival,
    ) -> Arc<Outbox> {
        with_worker(|worker| {
            self.exclusively(&mut worker.tools, |shared| {
                let session = connect(&mut shared.broker);
                let backlog = Arc::clone(&self.backlog);
                let outbox = Arc::new(Outbox::new(session, framing, arrival.peer, backlog));
                if shared.broker.needs_token(session) {
                    let took = u32::try_from(arrival.took.as_secs()).unwrap_or(u32::MAX);
                    let seconds = self.limits.authentication_seconds;
                    let left = (seconds > 0).then(|| seconds.saturating_sub(took));
                    outbox.begin_probation(left);
                }
                if shared.outboxes.len() <= session.slot() {
                    shared.outboxes.resize(session.slot() + 1, None);
                }
                shared.outboxes[session.slot()] = Some(Arc::clone(&outbox));
                // Under the lock that `end_all` takes, so that no connection slips through between the two.
                if self.is_ending.load(Ordering::Relaxed) {
                    // Nobody waits on it yet.
                    let _ = outbox.end(Ending::Shutdown);
                }
                outbox
            })
        })
    }

    /// Tells a client that its message was over the limit, and ends its session.
    pub(crate) fn handle_too_long(
        self: &Arc<Self>,
        session: SessionId,
        bytes: usize,
        tools: &mut Tools,
    ) {
        self.counters.unreadable.fetch_add(1, Ordering::Relaxed);
        self.exclusively(tools, |shared| {
            shared.broker.handle_too_long(session, bytes)
        });
    }

    /// Closes a session. From now on nothing is delivered to it; when it holds many subscriptions, they are removed by and
    /// by.
    pub(crate) fn disconnect(self: &Arc<Self>, session: SessionId) {
        let is_done = self.disconnect_some(session);
        self.throttle.lock().forget(session);
        if is_done {
            return;
        }
        self.stand_in_line(Place::Back, move |hub| hub.disconnect_some(session));
    }

    fn disconnect_some(&self, session: SessionId) -> bool {
        let mut shared = self.shared.write();
        // First of all, so that the slot is never delivered to once it is free.
        shared.outboxes[session.slot()] = None;
        shared.broker.disconnect_some(session)
    }

    /// Has work done in turns on the thread for that, until it returns true.
    fn stand_in_line(
        self: &Arc<Self>,
        place: Place,
        mut turn: impl FnMut(&Arc<Self>) -> bool + Send + 'static,
    ) {
        let hub = Arc::clone(self);
        // A shutdown waits for it.
        let token = self.tasks.token();
        self.line.stand(place, move || {
            let _token = &token;
            hub.shared.give_way();
            turn(&hub)
        });
    }

    /// Handles messages of one connection in their order.
    pub(crate) fn handle(
        self: &Arc<Self>,
        own: &Outbox,
        messages: Messages<'_>,
        tools: &mut Tools,
    ) -> Flow {
        self.handle_some(own, messages, COMMANDS_AT_ONCE, tools)
    }

    fn handle_some(
        self: &Arc<Self>,
        own: &Outbox,
        mut messages: Messages<'_>,
        commands_at_once: usize,
        tools: &mut Tools,
    ) -> Flow {
        let mut lock = Lock::Free;
        let mut flow = Flow::Open;
        let (mut published, mut delivered) = (0, 0);
        // What the broker looked at, and how much of that was for commands other than publishing.
        let (mut walked, mut for_commands) = (0, 0);
        let Tools { scan, scratch, out } = tools;
        let input = messages.rest();
        let mut limits = self.limits_of(own);
        // Where the tags that were decided last stand in the input, and whether somebody gets messages with them.
        let (mut decided, mut has_targets) = (0..0, false);
        loop {
            if (walked >= WALKED_AT_ONCE || for_commands >= commands_at_once)
                && !messages.rest().is_empty()
            {
                let waiting = messages.rest().len();
                flow = match for_commands >= COMMANDS_AT_ONCE {
                    true => Flow::Long(waiting),
                    false => Flow::Spent(waiting),
                };
                break;
            }
            let begin = input.len() - messages.rest().len();
            if messages.rest().len() > READ_BYTES {
                // What comes next may be one long message: nobody waits for its being read.
                lock = Lock::Free;
            }
            let Some(next) = messages.next(scan, limits) else {
                break;
            };
            let end = input.len() - messages.rest().len();
            walked += (end - begin) / BYTES_PER_COST;
            if let Ok(message) = &next
                && !decided.is_empty()
                && is_same_text(message.tags_text().as_bytes(), &input[decided.clone()])
                && message.command() == Command::Publish
                && message.id_literal().is_none()
                && !out.is_full()
            {
                // Messages with the same tags in a row are decided once.
                published += 1;
                walked += REPEAT_COST;
                if has_targets {
                    out.run.push(scratch, message, input, end);
                }
                continue;
            }
            decided = 0..0;
            let message = match next {
                Ok(message) => message,
                Err(unreadable) => {
                    walked += CHANGE_COST;
                    for_commands += CHANGE_COST;
                    self.counters.unreadable.fetch_add(1, Ordering::Relaxed);
                    delivered += self.deliver(lock.read(&self.shared), input, out);
                    let shared = lock.write(&self.shared);
                    shared.broker.handle_unreadable(own.session, &unreadable);
                    self.execute(shared, out);
                    continue;
                }
            };
            if out.is_full() {
                delivered += self.deliver(lock.read(&self.shared), input, out);
                out.appended = 0;
                lock = Lock::Free;
            }
            published += u64::from(message.command() == Command::Publish);
            if message.id_literal().is_some() {
                own.tell_drops();
            }
            let shared = lock.read(&self.shared);
            match shared.broker.decide(own.session, &message, scratch) {
                Verdict::Deliver(receipt) => {
                    walked += scratch.walked();
                    has_targets = !scratch.targets().is_empty();
                    // Messages to the same receivers in a row are appended in one piece, whatever their tags are.
                    if has_targets && !are_same_targets(&out.run.targets, scratch.targets()) {
                        delivered += self.deliver(shared, input, out);
                        scratch.exchange_targets(&mut out.run.targets);
                    }
                    let Some(receipt) = receipt else {
                        if has_targets {
                            out.run.push(scratch, &message, input, end);
                        }
                        decided = place_in(input, message.tags_text());
                        continue;
                    };
                    walked += REPLY_COST;
                    for_commands += RECEIPT_COST;
                    // What was published before is not counted in the answer.
                    delivered += self.deliver(shared, input, out);
                    let mut count = 0;
                    if has_targets {
                        out.run.push(scratch, &message, input, end);
                        count = self.deliver(shared, input, out);
                    }
                    delivered += count;
                    own.append_own_reply(&mut out.spare, &receipt.reply(count));
                }
                Verdict::Reply => {
                    let cost = REPLY_COST + LOOK_COST * scratch.walked();
                    walked += cost;
                    for_commands += cost;
                    own.append_own_reply(&mut out.spare, scratch.reply());
                }
                Verdict::Long(long) => {
                    walked += scratch.walked();
                    flow = Self::put_off(own, long, messages.rest().len(), out);
                }
                Verdict::Exclusive => {
                    let cost = CHANGE_COST + CHANGE_BYTE_COST * message.tags_text().len();
                    walked += cost;
                    for_commands += cost;
                    delivered += self.deliver(shared, input, out);
                    let shared = lock.write(&self.shared);
                    if let Some(long) = shared.broker.handle(own.session, &message) {
                        flow = Self::put_off(own, long, messages.rest().len(), out);
                    }
                    delivered += self.execute(shared, out);
                    limits = self.limits_of(own);
                    if shared.broker.is_waiting(own.session) {
                        flow = Flow::Paused(messages.rest().len());
                    }
                }
            }
            if own.is_congested() && out.walk.is_none() {
                flow = Flow::Paused(messages.rest().len());
            }
            if flow != Flow::Open {
                break;
            }
        }
        if !out.run.is_empty() {
            delivered += self.deliver(lock.read(&self.shared), input, out);
        }
        drop(lock);
        if published > 0 {
            self.counters
                .published
                .fetch_add(published, Ordering::Relaxed);
            self.counters
                .delivered
                .fetch_add(delivered as u64, Ordering::Relaxed);
        }
        self.settle(out);
        flow
    }

    /// The time for TLS handshakes and requests' heads; also to authenticate, where that must be done.
    pub(crate) fn handshake_seconds(&self) -> u32 {
        let Limits {
            handshake_seconds,
            authentication_seconds,
            ..
        } = self.limits;
        match authentication_seconds {
            seconds if self.is_scoped && seconds > 0 => handshake_seconds.min(seconds),
            _ => handshake_seconds,
        }
    }

    /// The bounds for what a connection sends.
    pub(crate) fn limits_of(&self, outbox: &Outbox) -> &Limits {
        match outbox.is_on_probation() {
            true => &self.early_limits,
            false => &self.limits,
        }
    }

    /// Publishes a message of the host itself; returns how many outboxes took it.
    pub(crate) fn publish(&self, tags: &[&str], data: &str) -> usize {
        with_worker(|worker| {
            self.counters.published.fetch_add(1, Ordering::Relaxed);
            let Tools { scratch, out, .. } = &mut worker.tools;
            let shared = self.shared.read();
            let lines = &mut out.run.lines.bytes;
            if let Some(mut walk) = shared.broker.route(tags, data, scratch, lines) {
                drop(shared);
                let mut delivered = 0;
                while !self.publish_some(&mut walk, &mut delivered, &mut worker.tools) {
                    self.shared.give_way();
                }
                return delivered;
            }
            out.run.end_line();
            scratch.exchange_targets(&mut out.run.targets);
            let delivered = self.deliver(&shared, &[], out);
            drop(shared);
            out.wake_all();
            self.counters
                .delivered
                .fetch_add(delivered as u64, Ordering::Relaxed);
            delivered
        })
    }

    /// Whether a connection waits for an answer that takes long, or that the host has to find.
    pub(crate) fn is_waiting(&self, outbox: &Outbox) -> bool {
        outbox.is_gathering() || self.shared.read().broker.is_waiting(outbox.session)
    }

    /// Bytes that clients make the server keep, roughly.
    pub(crate) fn held_bytes(&self) -> usize {
        let stats = self.stats();
        let sessions = CONNECTION_BYTES * stats.sessions;
        stats.subscription_bytes + self.backlog.bytes() + self.unfinished.bytes() + sessions
    }

    pub(crate) fn stats(&self) -> Stats {
        self.shared.read().broker.stats()
    }

    /// Ends all connections: what is queued is still written.
    pub(crate) fn end_all(&self, ending: Ending) {
        self.is_ending.store(true, Ordering::Relaxed);
        for outbox in self.outboxes() {
            outbox.end_now(ending);
        }
    }

    /// Cuts the connections that have nothing more to write and only wait for their peer.
    pub(crate) fn end_idle(&self) {
        for outbox in self.outboxes() {
            if outbox.is_written() {
                outbox.end_now(Ending::Dead);
            }
        }
    }

    fn outboxes(&self) -> Vec<Arc<Outbox>> {
        self.shared
            .read()
            .outboxes
            .iter()
            .flatten()
            .cloned()
            .collect()
    }

    /// Gives the run to its receivers and empties it; returns how many messages outboxes took, each counted.
    fn deliver(&self, shared: &Shared, input: &[u8], out: &mut Outgoing) -> usize {
        let Outgoing {
            run,
            frames,
            appended,
            spare,
            woken,
            ..
        } = out;
        if run.is_empty() {
            return 0;
        }
        *appended += run.weight();
        let count = run.len();
        let outbox = |&slot: &u32| shared.outboxes.get(slot as usize)?.as_deref();
        let room = self.backlog.room(&self.limits);
        let mut reached = 0;
        let mut delivered = Appended::default();
        if let [only] = run.targets[..]
            && run.is_written()
            && let Some(outbox) = outbox(&only).filter(|outbox| outbox.framing == Framing::Lines)
        {
            reached = 1;
            let Batch { bytes, ends } = &mut run.lines;
            delivered = outbox.append_or_swap(bytes, ends, room, spare, woken);
        } else {
            let lines = run.segment(input);
            let is_shared = run.is_worth_sharing();
            let (mut shared_lines, mut shared_frames) = (None, None);
            for outbox in run.targets.iter().filter_map(outbox) {
                if outbox.framing == Framing::Frames && frames.ends.is_empty() {
                    frames.frame(lines);
                }
                let (segment, shared) = match outbox.framing {
                    Framing::Lines => (lines, &mut shared_lines),
                    Framing::Frames => (frames.segment(), &mut shared_frames),
                };
                if is_shared && shared.is_none() {
                    *shared = Some(SharedBytes::copy(segment.bytes, spare));
                }
                let shared = shared.as_ref();
                let segment = Segment { shared, ..segment };
                reached += 1;
                let appended = outbox.append(segment, room, spare, woken);
                delivered.messages += appended.messages;
                delivered.bytes += appended.bytes;
            }
            frames.clear();
        }
        run.clear();
        if delivered.bytes > 0 {
            self.backlog.add(delivered.bytes);
        }
        self.note_dropped(reached * count - delivered.messages);
        delivered.messages
    }

    fn note_dropped(&self, count: usize) {
        if count > 0 {
            self.counters
                .dropped
                .fetch_add(count as u64, Ordering::Relaxed);
        }
    }

    /// Does what the broker wants done; what must not be done under a lock is noted as an errand.
    fn execute(&self, shared: &mut Shared, out: &mut Outgoing) -> usize {
        let mut delivered = 0;
        while let Some(output) = shared.broker.poll_output() {
            match output {
                Output::Send { session, message } => shared.append_reply(session, &message, out),
                Output::Deliver {
                    targets,
                    message,
                    receipt,
                    ..
                } => {
                    let run = &mut out.run;
                    run.targets.clear();
                    run.targets
                        .extend(targets.iter().map(|target| target.slot() as u32));
                    run.lines.bytes.extend_from_slice(&message);
                    run.end_line();
                    let count = self.deliver(shared, &[], out);
                    delivered += count;
                    if let Some(receipt) = receipt {
                        shared.append_reply(receipt.session(), &receipt.reply(count), out);
                    }
                }
                Output::Ask { session, request } => out.errands.push(Errand::Ask(session, request)),
                Output::TokenPresented { session } => self.admit_token(shared, session),
                Output::TokenChecked { session, check } => {
                    if let Some(outbox) = shared.outbox(session) {
                        self.note_checked(outbox, check, &mut out.errands);
                    }
                }
                Output::Revoked { session } => {
                    if let Some(outbox) = shared.outbox(session) {
                        let seconds = self.limits.authentication_seconds;
                        outbox.begin_probation((seconds > 0).then_some(seconds));
                    }
                }
                Output::Proceed => out.errands.push(Errand::Proceed),
                Output::Custom { session, request } => {
                    out.errands.push(Errand::Custom(session, request));
                }
                Output::Close { session, reason } => {
                    if let Some(outbox) = shared.outbox(session) {
                        out.woken.extend(outbox.end(Ending::Broker(reason)));
                    }
                }
                _ => {}
            }
        }
        delivered
    }

    /// Changes the broker and carries out what follows from it.
    fn exclusively<T>(
        self: &Arc<Self>,
        tools: &mut Tools,
        change: impl FnOnce(&mut Shared) -> T,
    ) -> T {
        let mut shared = self.shared.write();
        let result = change(&mut shared);
        self.execute(&mut shared, &mut tools.out);
        drop(shared);
        self.settle(&mut tools.out);
        result
    }

    /// Does what was put off while a lock was held.
    fn settle(self: &Arc<Self>, out: &mut Outgoing) {
        out.wake_all();
        for errand in out.errands.drain(..) {
            let hub = Arc::clone(self);
            match errand {
                Errand::Ask(session, request) => {
                    self.tasks.spawn(hub.ask_store(session, request));
                }
                Errand::Custom(session, request) => {
                    self.tasks.spawn(hub.run_command(session, request));
                }
                Errand::LookAtToken(session) => {
                    self.tasks.spawn(async move { hub.look_at_token(session) });
                }
                Errand::Proceed => {
                    self.stand_in_line(Place::Front, |hub| {
                        hub.answer(Broker::proceed);
                        true
                    });
                }
                Errand::List(listing) => {
                    self.tasks.spawn(hub.list(listing));
                }
                Errand::SayThrottled(peer) => {
                    if self.log.admits(Kind::WrongTokens, Some(peer)) {
                        tracing::warn!(
                            %peer,
                            "too many wrong tokens from one address: those from there are looked at one a second now \
                             (failed-tokens)"
                        );
                    }
                }
            }
        }
    }

    /// Asks the token store, and tells the broker the answer. Goes on to its end even when the session goes, so that
    /// nothing is left half done.
    async fn ask_store(self: Arc<Self>, session: SessionId, request: AuthRequest) {
        let (reply, turn) = self.store.ask(&self.tasks, request.clone()).await;
        self.answer(|broker| {
            broker.handle_auth_reply(session, &request, reply);
            Some(session)
        });
        drop(turn);
    }

    /// Runs a custom command, to its end as well.
    async fn run_command(self: Arc<Self>, session: SessionId, request: CustomRequest) {
        let handler = self.commands.get(&request.command).cloned();
        let reply = self.tasks.spawn(async move {
            match handler {
                Some(handler) => handler.handle(request).await,
                None => Ok(None),
            }
        });
        let reply = reply.await.unwrap_or_else(|_| {
            if self.log.admits(Kind::CommandPanicked, None) {
                tracing::error!("the handler of a custom command panicked");
            }
            Err("the command failed".into())
        });
        self.answer(|broker| {
            broker.handle_custom_reply(session, reply);
            Some(session)
        });
    }

    /// Tells the broker what it waits for; `tell` says which session is read from again.
    fn answer(self: &Arc<Self>, tell: impl FnOnce(&mut Broker) -> Option<SessionId>) {
        let outbox = with_worker(|worker| {
            self.exclusively(&mut worker.tools, |shared| {
                tell(&mut shared.broker).and_then(|session| shared.outbox(session).cloned())
            })
        });
        // An answer without words wakes nobody by itself.
        if let Some(outbox) = outbox {
            outbox.nudge();
        }
    }

    /// Puts a long answer together.
    async fn list(self: Arc<Self>, listing: Listing) {
        let _permit = self.long_answers.acquire().await;
        // As long as far too much waits for readers, nothing is added to it that cannot be dropped.
        while self.backlog.bytes() > self.limits.outbox_total_bytes {
            sleep(Duration::from_millis(100)).await;
        }
        let session = listing.session();
        let (sender, gathered) = oneshot::channel();
        let mut state = Some((listing, sender));
        self.stand_in_line(Place::Back, move |hub| {
            // As many parts as take as long as anybody's turn, each under a lock of its own.
            let mut parts = 0..LIST_PARTS_AT_ONCE;
            let is_done = state.as_mut().is_none_or(|(listing, _)| {
                parts.any(|_| hub.shared.read().broker.list_some(listing))
            });
            if is_done && let Some((listing, sender)) = state.take() {
                let _ = sender.send(listing);
            }
            is_done
        });
        let encoded = match gathered.await {
            // This takes no lock, and time.
            Ok(listing) => spawn_blocking(move || listing.encode()).await.ok(),
            Err(_) => None,
        };
        let Some(outbox) = self.shared.read().outbox(session).cloned() else {
            return;
        };
        match encoded {
            Some(answer) => with_worker(|worker| {
                let Outgoing { spare, woken, .. } = &mut worker.tools.out;
                outbox.end_gathering(spare, woken, &answer);
                worker.tools.out.wake_all();
            }),
            // It panicked. Whoever waits for the answer must not wait for ever.
            None => outbox.end_now(Ending::Dead),
        }
    }
}

impl Shared {
    fn outbox(&self, session: SessionId) -> Option<&Arc<Outbox>> {
        let outbox = self.outboxes.get(session.slot())?.as_ref();
        outbox.filter(|outbox| outbox.session == session)
    }

    fn append_reply(&self, session: SessionId, message: &[u8], out: &mut Outgoing) {
        if let Some(outbox) = self.outbox(session) {
            outbox.append_reply(&mut out.spare, &mut out.woken, message);
        }
    }
}

/// How the broker is held while a batch of messages is handled.
enum Lock<'a> {
    Free,
    Read(RwLockReadGuard<'a, Shared>),
    Write(RwLockWriteGuard<'a, Shared>),
}

impl<'a> Lock<'a> {
    fn read(&mut self, lock: &'a RwLock<Shared>) -> &Shared {
        *self = match std::mem::replace(self, Self::Free) {
            Self::Free => Self::Read(lock.read()),
            Self::Read(guard) => Self::Read(guard),
            Self::Write(guard) => {
                drop(guard);
                Self::Read(lock.read())
            }
        };
        match self {
            Self::Read(guard) => guard,
            _ => unreachable!("the line above made it so"),
        }
    }

    fn write(&mut self, lock: &'a RwLock<Shared>) -> &mut Shared {
        let held = std::mem::replace(self, Self::Free);
        *self = match held {
            Self::Write(guard) => Self::Write(guard),
            held => {
                drop(held);
                Self::Write(lock.write())
            }
        };
        match self {
            Self::Write(guard) => guard,
            _ => unreachable!("the lines above made it so"),
        }
    }
}

#[cfg(test)]
mod tests {
    use mist_core::Config;

    use super::*;

    #[test]
    fn who_makes_the_broker_look_at_much_lets_others_have_their_turn() {
        let broker = Broker::new(Config::default(), 1);
        let hub = Arc::new(Hub::new(broker, None, HashMap::new()));
        let connect = || hub.connect(Credentials::default(), Framing::Lines, Arrival::default());
        let (reader, publisher) = (connect(), connect());
        // How many turns it takes to handle an input.
        let handle = |own: &Outbox, input: &str| {
            let (mut left, mut turns) = (input.len(), 0);
            loop {
                let messages = Messages::lines(&input.as_bytes()[input.len() - left..]);
                turns += 1;
                match with_worker(|worker| {
                    hub.handle_some(own, messages, WALKED_AT_ONCE, &mut worker.tools)
                }) {
                    Flow::Open => return turns,
                    Flow::Paused(rest) | Flow::Spent(rest) | Flow::Long(rest) => {
                        assert!(rest > 0 && rest < left, "{rest} of {left}");
                        left = rest;
                    }
                }
            }
        };
        // Outside of the line, commands end a turn earlier, and go on there.
        let pings = "{\"command\":\"ping\"}\n".repeat(3000);
        let flow = with_worker(|worker| {
            hub.handle(
                &reader,
                Messages::lines(pings.as_bytes()),
                &mut worker.tools,
            )
        });
        let Flow::Long(left) = flow else {
            panic!("{flow:?}");
        };
        assert!(left > pings.len() * 9 / 10, "{left} of {}", pings.len());
        let in_line = hub.handle_in_line(&reader, None, pings.as_bytes()[..left].to_vec());
        let (left, flow) = in_line.blocking_recv().expect("nothing panics");
        assert_eq!((left.capacity(), flow), (0, Flow::Open));

        // Each message has all pairs of these.
        let tags: Vec<_> = (0..64).map(|number| format!("\"{number}\"")).collect();
        let pairs = tags
            .iter()
            .flat_map(|one| tags.iter().map(move |other| [one, other]));
        let subscribe: String = pairs
            .map(|[one, other]| format!("{{\"command\":\"subscribe\",\"tags\":[{one},{other}]}}\n"))
            .collect();
        let turns = handle(&reader, &subscribe);
        assert!(
            (60..130).contains(&turns),
            "{turns} turns for 4,096 commands"
        );
        let turns = handle(&reader, &pings);
        assert!((15..30).contains(&turns), "{turns} turns for 3,000 pings");

        // No two in a row have the same text of tags.
        let publish = |number: usize| {
            let (end, start) = tags.split_at(number % 2);
            let tags = [start, end].concat().join(",");
            format!("{{\"command\":\"publish\",\"tags\":[{tags}],\"data\":\"{number}\"}}\n")
        };
        let input: String = (0..150).map(publish).collect();
        let turns = handle(&publisher, &input);
        assert!((4..80).contains(&turns), "{turns} turns");
        assert_eq!(hub.counters.published.load(Ordering::Relaxed), 150);
        assert_eq!(hub.counters.delivered.load(Ordering::Relaxed), 150);
    }
}
