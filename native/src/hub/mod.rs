//! Owns the one broker of a server and the outboxes of its connections; the only place that carries out outputs.
//!
//! Knows nothing of sockets. The hot path is [`Hub::handle`]: scan, decide under the read lock, write the body once,
//! append it to outboxes; then, outside all locks, wake each touched connection once.

pub(crate) mod framing;
pub(crate) mod outbox;
mod spare;
mod watch;
pub(crate) mod worker;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use mist_core::message::{Command, Messages};
use mist_core::{Broker, Credentials, Limits, Output, SessionId, Stats};
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio_util::task::TaskTracker;

use self::framing::Framing;
use self::outbox::{Ending, Outbox};
use self::worker::{Batch, Errand, Tools, with_worker};
use crate::auth::{self, Authenticator};
use crate::command::CommandHandler;

pub(crate) struct Hub {
    shared: RwLock<Shared>,
    pub(crate) limits: Limits,
    authenticator: Option<Arc<dyn Authenticator>>,
    commands: HashMap<String, Arc<dyn CommandHandler>>,
    /// Everything that runs for this server; a shutdown waits for it.
    pub(crate) tasks: TaskTracker,
    pub(crate) counters: Counters,
    pub(crate) open_connections: AtomicUsize,
    is_ending: AtomicBool,
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
}

/// Whether a connection may be read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// All messages were handled.
    Open,
    /// This many bytes of the input must wait, until the host has answered or the client has read its answers.
    Paused(usize),
}

/// Exclusive commands that are handled before others get the broker in between.
const EXCLUSIVE_AT_ONCE: u32 = 64;
/// Appends after which writers get the broker in between.
const APPENDS_AT_ONCE: usize = 1024;

impl Hub {
    pub(crate) fn new(
        broker: Broker,
        authenticator: Option<Arc<dyn Authenticator>>,
        commands: HashMap<String, Arc<dyn CommandHandler>>,
    ) -> Self {
        Self {
            limits: broker.limits().clone(),
            shared: RwLock::new(Shared {
                broker,
                outboxes: Vec::new(),
            }),
            authenticator,
            commands,
            tasks: TaskTracker::new(),
            counters: Counters::default(),
            open_connections: AtomicUsize::new(0),
            is_ending: AtomicBool::new(false),
        }
    }

    /// Opens a session and its outbox.
    pub(crate) fn connect(
        self: &Arc<Self>,
        credentials: Credentials<'_>,
        framing: Framing,
    ) -> Arc<Outbox> {
        with_worker(|worker| {
            self.exclusively(&mut worker.tools, |shared| {
                let session = shared.broker.connect(credentials);
                let outbox = Arc::new(Outbox::new(session, framing));
                if shared.outboxes.len() <= session.slot() {
                    shared.outboxes.resize(session.slot() + 1, None);
                }
                shared.outboxes[session.slot()] = Some(Arc::clone(&outbox));
                // Under the lock that `end_all` takes, so that no connection slips through between the two.
                if self.is_ending.load(Ordering::Relaxed) {
                    outbox.end(Ending::Shutdown);
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

    /// Closes a session; others get the broker in between when it holds many subscriptions.
    pub(crate) fn disconnect(&self, session: SessionId) {
        loop {
            let mut shared = self.shared.write();
            // First of all, so that the slot is never delivered to once it is free.
            shared.outboxes[session.slot()] = None;
            if shared.broker.disconnect_some(session) {
                break;
            }
        }
    }

    /// Handles messages of one connection in their order.
    pub(crate) fn handle(
        self: &Arc<Self>,
        own: &Outbox,
        mut messages: Messages<'_>,
        tools: &mut Tools,
    ) -> Flow {
        let mut lock = Lock::Free;
        let mut is_run = false;
        let mut flow = Flow::Open;
        let (mut published, mut delivered) = (0, 0);
        let Tools {
            scan,
            scratch,
            run_tags,
            batch,
            frames,
            spare,
            woken,
            errands,
        } = tools;
        while let Some(next) = messages.next(scan, &self.limits) {
            match next {
                Ok(message) => {
                    let has_id = message.id_literal().is_some();
                    if message.command() == Command::Publish {
                        published += 1;
                        // Messages with the same tags in a row are matched once and appended in one piece.
                        if is_run && !has_id && message.tags_text() == run_tags {
                            if !scratch.targets().is_empty() {
                                scratch.write_body(&message, &mut batch.bytes);
                                batch.bytes.push(b'\n');
                                batch.end_message();
                            }
                            continue;
                        }
                    }
                    if is_run {
                        delivered += self.deliver(
                            lock.read(&self.shared),
                            scratch.targets(),
                            batch,
                            frames,
                            spare,
                            woken,
                        );
                        is_run = false;
                        if scratch.targets().len() > APPENDS_AT_ONCE {
                            lock = Lock::Free;
                        }
                    }
                    let shared = lock.read(&self.shared);
                    match shared.broker.decide(own.session, &message, scratch) {
                        mist_core::Verdict::Deliver(receipt) => {
                            if !scratch.targets().is_empty() {
                                scratch.write_body(&message, &mut batch.bytes);
                                batch.bytes.push(b'\n');
                                batch.end_message();
                            }
                            if let Some(receipt) = receipt {
                                let count = self.deliver(
                                    shared,
                                    scratch.targets(),
                                    batch,
                                    frames,
                                    spare,
                                    woken,
                                );
                                delivered += count;
                                own.append_reply(
                                    spare,
                                    None,
                                    Tools::framed(own.framing, &receipt.reply(count)),
                                );
                            } else {
                                is_run = true;
                                run_tags.clear();
                                run_tags.push_str(message.tags_text());
                            }
                        }
                        mist_core::Verdict::Reply => {
                            own.append_reply(
                                spare,
                                None,
                                Tools::framed(own.framing, scratch.reply()),
                            );
                        }
                        mist_core::Verdict::Exclusive => {
                            if has_id {
                                own.tell_drops();
                            }
                            let shared = lock.write(&self.shared);
                            shared.broker.handle(own.session, &message);
                            delivered += self.execute(shared, batch, frames, spare, woken, errands);
                            if shared.broker.is_waiting(own.session) {
                                flow = Flow::Paused(messages.rest().len());
                            }
                        }
                    }
                    // Publishes without `id` are not answered, so they need no look.
                    if !is_run && own.is_congested() {
                        flow = Flow::Paused(messages.rest().len());
                    }
                }
                Err(unreadable) => {
                    if is_run {
                        delivered += self.deliver(
                            lock.read(&self.shared),
                            scratch.targets(),
                            batch,
                            frames,
                            spare,
                            woken,
                        );
                        is_run = false;
                    }
                    self.counters.unreadable.fetch_add(1, Ordering::Relaxed);
                    let shared = lock.write(&self.shared);
                    shared.broker.handle_unreadable(own.session, &unreadable);
                    self.execute(shared, batch, frames, spare, woken, errands);
                }
            }
            if flow != Flow::Open {
                break;
            }
        }
        if is_run {
            delivered += self.deliver(
                lock.read(&self.shared),
                scratch.targets(),
                batch,
                frames,
                spare,
                woken,
            );
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
        self.settle(tools);
        flow
    }

    /// Publishes a message of the host itself; returns how many outboxes took it.
    pub(crate) fn publish(&self, tags: &[&str], data: &str) -> usize {
        with_worker(|worker| {
            let Tools {
                scratch,
                batch,
                frames,
                spare,
                woken,
                ..
            } = &mut worker.tools;
            let shared = self.shared.read();
            shared.broker.route(tags, data, scratch, &mut batch.bytes);
            batch.bytes.push(b'\n');
            batch.end_message();
            let delivered = self.deliver(&shared, scratch.targets(), batch, frames, spare, woken);
            drop(shared);
            woken.drain(..).for_each(std::task::Waker::wake);
            self.counters.published.fetch_add(1, Ordering::Relaxed);
            self.counters
                .delivered
                .fetch_add(delivered as u64, Ordering::Relaxed);
            delivered
        })
    }

    /// Whether the session waits for an answer of the host.
    pub(crate) fn is_waiting(&self, session: SessionId) -> bool {
        self.shared.read().broker.is_waiting(session)
    }

    pub(crate) fn stats(&self) -> Stats {
        self.shared.read().broker.stats()
    }

    /// Ends all connections: what is queued is still written.
    pub(crate) fn end_all(&self, ending: Ending) {
        self.is_ending.store(true, Ordering::Relaxed);
        for outbox in self.outboxes() {
            outbox.end(ending);
        }
    }

    /// Cuts the connections that have nothing more to write and only wait for their peer.
    pub(crate) fn end_idle(&self) {
        for outbox in self.outboxes() {
            if outbox.is_written() {
                outbox.end(Ending::Dead);
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

    /// Gives a batch to its receivers and empties it; returns how many outboxes took how many messages, multiplied.
    fn deliver(
        &self,
        shared: &Shared,
        targets: &[u32],
        batch: &mut Batch,
        frames: &mut Batch,
        spare: &mut spare::Spare,
        woken: &mut Vec<std::task::Waker>,
    ) -> usize {
        let outbox = |&slot: &u32| shared.outboxes.get(slot as usize)?.as_deref();
        let mut delivered = 0;
        if let [only] = targets
            && let Some(outbox) = outbox(only).filter(|outbox| outbox.framing == Framing::Lines)
        {
            let Batch { bytes, ends } = batch;
            delivered = outbox.append_or_swap(bytes, ends, &self.limits, spare, woken);
            self.note_dropped(batch.ends.len() - delivered);
            batch.clear();
            return delivered;
        }
        let mut reached = 0;
        for outbox in targets.iter().filter_map(outbox) {
            if outbox.framing == Framing::Frames && frames.is_empty() {
                frames.frame(batch);
            }
            let segment = match outbox.framing {
                Framing::Lines => batch.segment(),
                Framing::Frames => frames.segment(),
            };
            reached += 1;
            delivered += outbox.append(segment, &self.limits, spare, woken);
        }
        self.note_dropped(reached * batch.ends.len() - delivered);
        batch.clear();
        frames.clear();
        delivered
    }

    fn note_dropped(&self, count: usize) {
        if count > 0 {
            self.counters
                .dropped
                .fetch_add(count as u64, Ordering::Relaxed);
        }
    }

    /// Does what the broker wants done; what must not be done under a lock is noted as an errand.
    fn execute(
        &self,
        shared: &mut Shared,
        batch: &mut Batch,
        frames: &mut Batch,
        spare: &mut spare::Spare,
        woken: &mut Vec<std::task::Waker>,
        errands: &mut Vec<Errand>,
    ) -> usize {
        let mut delivered = 0;
        while let Some(output) = shared.broker.poll_output() {
            match output {
                Output::Send { session, message } => {
                    shared.append_reply(session, &message, spare, woken);
                }
                Output::Deliver {
                    targets,
                    message,
                    receipt,
                } => {
                    let slots: Vec<u32> =
                        targets.iter().map(|target| target.slot() as u32).collect();
                    batch.bytes.extend_from_slice(&message);
                    batch.bytes.push(b'\n');
                    batch.end_message();
                    let count = self.deliver(shared, &slots, batch, frames, spare, woken);
                    delivered += count;
                    if let Some(receipt) = receipt {
                        shared.append_reply(receipt.session(), &receipt.reply(count), spare, woken);
                    }
                }
                Output::Ask { session, request } => errands.push(Errand::Ask(session, request)),
                Output::Custom { session, request } => {
                    errands.push(Errand::Custom(session, request))
                }
                Output::Close { session, reason } => {
                    if let Some(outbox) = shared.outbox(session) {
                        // Its connection is the one that runs, or is woken by what it was sent last.
                        outbox.end(Ending::Broker(reason));
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
        let Tools {
            batch,
            frames,
            spare,
            woken,
            errands,
            ..
        } = tools;
        self.execute(&mut shared, batch, frames, spare, woken, errands);
        drop(shared);
        self.settle(tools);
        result
    }

    /// Does what was put off while a lock was held.
    fn settle(self: &Arc<Self>, tools: &mut Tools) {
        tools.woken.drain(..).for_each(std::task::Waker::wake);
        for errand in tools.errands.drain(..) {
            let hub = Arc::clone(self);
            match errand {
                // Carried out to its end even when the session goes: nothing is left half done.
                Errand::Ask(session, request) => {
                    self.tasks.spawn(async move {
                        let reply = match &hub.authenticator {
                            Some(store) => auth::carry_out(&**store, &request).await,
                            None => Err(auth::TokenError::Unavailable("no authenticator".into())),
                        };
                        with_worker(|worker| {
                            hub.exclusively(&mut worker.tools, |shared| {
                                shared.broker.handle_auth_reply(session, &request, reply);
                                shared.nudge(session);
                            });
                        });
                    });
                }
                Errand::Custom(session, request) => {
                    self.tasks.spawn(async move {
                        let reply = match hub.commands.get(&request.command).cloned() {
                            Some(handler) => handler.handle(request).await,
                            None => Ok(None),
                        };
                        with_worker(|worker| {
                            hub.exclusively(&mut worker.tools, |shared| {
                                shared.broker.handle_custom_reply(session, reply);
                                shared.nudge(session);
                            });
                        });
                    });
                }
            }
        }
    }
}

impl Shared {
    fn outbox(&self, session: SessionId) -> Option<&Outbox> {
        let outbox = self.outboxes.get(session.slot())?.as_deref();
        outbox.filter(|outbox| outbox.session == session)
    }

    fn append_reply(
        &self,
        session: SessionId,
        message: &[u8],
        spare: &mut spare::Spare,
        woken: &mut Vec<std::task::Waker>,
    ) {
        if let Some(outbox) = self.outbox(session) {
            outbox.append_reply(spare, Some(woken), Tools::framed(outbox.framing, message));
        }
    }

    fn nudge(&self, session: SessionId) {
        if let Some(outbox) = self.outbox(session) {
            outbox.nudge();
        }
    }
}

/// How the broker is held while a batch of messages is handled.
enum Lock<'a> {
    Free,
    Read(RwLockReadGuard<'a, Shared>),
    Write(RwLockWriteGuard<'a, Shared>, u32),
}

impl<'a> Lock<'a> {
    fn read(&mut self, lock: &'a RwLock<Shared>) -> &Shared {
        *self = match std::mem::replace(self, Self::Free) {
            Self::Free => Self::Read(lock.read()),
            Self::Read(guard) => Self::Read(guard),
            Self::Write(guard, _) => Self::Read(RwLockWriteGuard::downgrade(guard)),
        };
        match self {
            Self::Read(guard) => guard,
            _ => unreachable!("the line above made it so"),
        }
    }

    fn write(&mut self, lock: &'a RwLock<Shared>) -> &mut Shared {
        let held = std::mem::replace(self, Self::Free);
        *self = match held {
            Self::Write(guard, times) if times < EXCLUSIVE_AT_ONCE => Self::Write(guard, times + 1),
            held => {
                drop(held);
                Self::Write(lock.write(), 0)
            }
        };
        match self {
            Self::Write(guard, _) => guard,
            _ => unreachable!("the lines above made it so"),
        }
    }
}
