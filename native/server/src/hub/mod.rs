//! Owns the one broker of a server and the outboxes of its connections; the only place that carries out outputs.
//!
//! Knows nothing of sockets. The hot path is [`Hub::handle`]: scan, decide under the read lock, gather runs of messages
//! to the same receivers, append each run to their outboxes; then, outside all locks, wake each touched connection
//! once.

mod changes;
mod counting;
mod deliver;
mod effects;
pub(crate) mod handle;
mod line;
mod link_room;
mod long;
mod nodes;
mod others;
mod receipts;
pub(crate) mod run;
mod store;
mod tokens;
mod turns;
pub(crate) mod unfinished;
mod watch;
pub(crate) mod worker;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::{ArcSwap, Guard};
use mist_core::{Access, Broker, Credentials, SessionId, Standing, Stats};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

#[cfg(feature = "cluster")]
pub(crate) use self::counting::counted_line;
use self::line::{Line, QueueEnd};
use self::link_room::LinkRoom;
use self::others::Others;
#[cfg(feature = "cluster")]
pub(crate) use self::others::{Call, Gathered};
use self::run::READ_BYTES;
use self::store::Store;
use self::unfinished::{COUNTED_FROM, Unfinished};
use self::worker::{Tools, with_worker};
use crate::admission::address_limit::AddressLimiter;
use crate::admission::peer::Peer;
use crate::admission::rates::Rates;
use crate::admission::rates::allowance::Allowance;
use crate::admission::token_throttle::TokenThrottle;
use crate::auth::Authenticators;
use crate::command::CommandHandler;
use crate::in_force::InForce;
use crate::log_limit::LogLimit;
use crate::outbox::{Backlog, Ending, Framing, Outbox};
use mist_net::lock::{Mutex, RwLock};

pub(crate) struct Hub {
    shared: RwLock<Shared>,
    in_force: ArcSwap<InForce>,
    /// Whether clients must authenticate.
    pub(crate) is_scoped: bool,
    throttle: Mutex<TokenThrottle>,
    store: Store,
    /// The addresses of the listeners, by their numbers.
    pub(crate) listeners: Vec<String>,
    commands: HashMap<String, Arc<dyn CommandHandler>>,
    /// Everything that runs for this server; a shutdown waits for it.
    pub(crate) tasks: TaskTracker,
    pub(crate) counters: Counters,
    pub(crate) backlog: Arc<Backlog>,
    pub(crate) unfinished: Arc<Unfinished>,
    pub(crate) open_connections: AtomicUsize,
    pub(crate) address_limiter: Arc<AddressLimiter>,
    pub(crate) rates: Arc<Rates>,
    pub(crate) log: Arc<LogLimit>,
    is_ending: AtomicBool,
    line: Line,
    /// The other nodes of a cluster.
    pub(crate) others: Others,
    /// The outbox of the session that leads to them.
    link: OnceLock<Arc<Outbox>>,
    pub(crate) link_room: LinkRoom,
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
    /// Whether it is for one request over HTTP.
    pub(crate) is_request: bool,
    /// The number of the listener that took it.
    pub(crate) listener: u16,
    /// Whether it is the session of a cluster's node.
    pub(crate) is_link: bool,
}

/// What a connection takes that has had traffic, roughly.
const CONNECTION_BYTES: usize = 4 << 10;

impl Hub {
    pub(crate) fn new(
        mut broker: Broker,
        in_force: InForce,
        authenticators: Authenticators,
        commands: HashMap<String, Arc<dyn CommandHandler>>,
    ) -> Self {
        let log = Arc::clone(&authenticators.context().log);
        let limits = &in_force.limits;
        broker.handle_time(unix_seconds());
        Self {
            is_scoped: broker.access() == Access::Scoped,
            throttle: Mutex::new(TokenThrottle::new(limits.failed_tokens)),
            shared: RwLock::new(Shared {
                broker,
                outboxes: Vec::new(),
            }),
            store: Store::new(authenticators),
            listeners: Vec::new(),
            commands,
            tasks: TaskTracker::new(),
            counters: Counters::default(),
            backlog: Arc::default(),
            unfinished: Arc::new(Unfinished::new(limits.input_total_bytes)),
            open_connections: AtomicUsize::new(0),
            address_limiter: Arc::new(AddressLimiter::new(limits.connections_per_address)),
            rates: Arc::new(Rates::new(limits)),
            log,
            is_ending: AtomicBool::new(false),
            line: Line::default(),
            others: Others::default(),
            link: OnceLock::new(),
            link_room: LinkRoom::default(),
            long_answers: Semaphore::new(1),
            in_force: ArcSwap::from_pointee(in_force),
        }
    }

    /// A hub without an authenticator, for tests.
    #[cfg(test)]
    pub(crate) fn of(config: mist_core::Config) -> Self {
        let in_force = InForce::new(config.limits.clone());
        let authenticators = Authenticators::default();
        Self::new(
            Broker::new(config, 1),
            in_force,
            authenticators,
            HashMap::new(),
        )
    }

    /// What is in force at the moment; cheap, and not to be kept for long.
    pub(crate) fn in_force(&self) -> Guard<Arc<InForce>> {
        self.in_force.load()
    }

    /// Puts other settings in force, and another token that makes a session admin.
    pub(crate) fn change(self: &Arc<Self>, new: InForce, token: Option<&str>) {
        let limits = &new.limits;
        self.unfinished.set_limit(limits.input_total_bytes);
        self.address_limiter
            .set_limit(limits.connections_per_address);
        self.throttle.lock().set_free(limits.failed_tokens);
        let are_rates_changed = self.rates.set(limits);
        with_worker(|worker| {
            self.exclusively(&mut worker.tools, |shared| {
                shared.broker.set_limits(limits.clone());
                shared.broker.set_token(token);
            });
        });
        self.in_force.store(Arc::new(new));
        if are_rates_changed {
            // Connections that wait for the former rates must not wait any longer.
            self.outboxes().iter().for_each(|outbox| outbox.nudge());
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

    /// Opens the session of a cluster's node, and its outbox.
    #[cfg(feature = "cluster")]
    pub(crate) fn connect_link(self: &Arc<Self>) -> Arc<Outbox> {
        let arrival = Arrival {
            is_link: true,
            ..Arrival::default()
        };
        let outbox = self.connect_by(Broker::connect_link, Framing::Lines, arrival);
        outbox.tell_drops();
        let _ = self.link.set(Arc::clone(&outbox));
        outbox
    }

    /// Opens a session of the program's own that gets every message, and its outbox.
    pub(crate) fn connect_tap(self: &Arc<Self>) -> Arc<Outbox> {
        self.connect_by(Broker::connect_tap, Framing::Lines, Arrival::default())
    }

    fn connect_by(
        self: &Arc<Self>,
        connect: impl FnOnce(&mut Broker) -> SessionId,
        framing: Framing,
        arrival: Arrival,
    ) -> Arc<Outbox> {
        let is_held = self.rates.are_on() && !arrival.is_link;
        let allowance = is_held.then(|| {
            let own = (!arrival.is_request).then(Arc::default);
            self.rates.allowance(own, arrival.peer, Standing::Stranger)
        });
        with_worker(|worker| {
            self.exclusively(&mut worker.tools, |shared| {
                let session = connect(&mut shared.broker);
                let backlog = Arc::clone(&self.backlog);
                let mut outbox = Outbox::new(session, framing, arrival.peer, backlog);
                outbox.allowance = allowance.map(OnceLock::from).unwrap_or_default();
                outbox.listener = arrival.listener;
                outbox.is_request = arrival.is_request;
                outbox.is_link = arrival.is_link;
                let outbox = Arc::new(outbox);
                if shared.broker.needs_token(session) {
                    let took = u32::try_from(arrival.took.as_secs()).unwrap_or(u32::MAX);
                    let seconds = shared.broker.limits().authentication_seconds;
                    let left = (seconds > 0).then(|| seconds.saturating_sub(took));
                    outbox.begin_probation(left);
                }
                if shared.outboxes.len() <= session.slot() {
                    shared.outboxes.resize(session.slot() + 1, None);
                }
                shared.outboxes[session.slot()] = Some(Arc::clone(&outbox));
                // Under the lock that `end_all` takes, so that no connection slips through between the two.
                if self.is_ending.load(Ordering::Relaxed) {
                    // No task waits on it yet.
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

    /// Closes a session. From now on nothing is delivered to it; when it holds many subscriptions, they are removed by
    /// and by.
    pub(crate) fn disconnect(self: &Arc<Self>, session: SessionId) {
        let is_done = self.disconnect_some(session);
        self.throttle.lock().forget(session);
        if is_done {
            return;
        }
        self.stand_in_line(QueueEnd::Back, move |hub| hub.disconnect_some(session));
    }

    fn disconnect_some(&self, session: SessionId) -> bool {
        let mut shared = self.shared.write();
        // First of all, so that the slot is never delivered to once it is free.
        shared.outboxes[session.slot()] = None;
        shared.broker.disconnect_some(session)
    }

    /// Whether a session has shown the server's own token.
    pub(crate) fn is_server(&self, session: SessionId) -> bool {
        self.shared.read().broker.standing(session) == Standing::Server
    }

    /// What holds a connection to the rates, if there are any; they may have been set while it was open.
    pub(crate) fn allowance<'a>(&self, own: &'a Outbox) -> Option<&'a Allowance> {
        if !self.rates.are_on() || own.is_link {
            return own.allowance.get().map(|it| &**it);
        }
        if own.allowance.get().is_none() {
            let meter = (!own.is_request).then(Arc::default);
            let allowance = self.rates.allowance(meter, own.peer, Standing::Stranger);
            if own.allowance.set(allowance).is_ok() {
                // Only now: a login in the meantime finds the allowance there.
                let shared = self.shared.read();
                let allowance = own.allowance.get()?;
                allowance.speak_for(shared.broker.standing(own.session));
            }
        }
        own.allowance.get().map(|it| &**it)
    }

    /// How many bytes are read at once from a connection that keeps so many already. From one that may have to wait for
    /// a rate it is so little that it does not count as input which is kept.
    pub(crate) fn read_bytes(&self, own: &Outbox, kept: usize) -> usize {
        if !self.rates.are_on() || !self.allowance(own).is_some_and(Allowance::may_wait) {
            return READ_BYTES;
        }
        match (COUNTED_FROM - 1).saturating_sub(kept) {
            0 => COUNTED_FROM,
            room => room,
        }
    }

    /// The time for TLS handshakes and requests' heads; also to authenticate, where that must be done.
    pub(crate) fn handshake_seconds(&self) -> u32 {
        let limits = &self.in_force().limits;
        match limits.authentication_seconds {
            seconds if self.is_scoped && seconds > 0 => limits.handshake_seconds.min(seconds),
            _ => limits.handshake_seconds,
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

    /// Messages that clients of this server have published since it started.
    #[cfg(feature = "cluster")]
    pub(crate) fn published(&self) -> u64 {
        self.counters.published.load(Ordering::Relaxed)
    }

    /// Bytes of messages for the other nodes of the cluster that wait.
    #[cfg(feature = "cluster")]
    pub(crate) fn waiting_for_others(&self) -> usize {
        self.link.get().map_or(0, |link| link.waiting_bytes())
    }

    /// Notes that messages for other nodes were taken.
    #[cfg(feature = "cluster")]
    pub(crate) fn note_link_taken(&self) {
        self.link_room.note_taken();
        self.look_at_link();
    }

    /// Looks whether publishers should still wait for the way to the other nodes.
    #[cfg(feature = "cluster")]
    pub(crate) fn look_at_link(&self) {
        let limits = &self.in_force().limits;
        self.link_room
            .look(self.waiting_for_others(), limits.outbox_bytes);
    }

    /// Says which other nodes of the cluster there are.
    #[cfg(feature = "cluster")]
    pub(crate) fn set_others(&self, others: mist_core::Others) {
        self.shared.write().broker.set_others(others);
    }

    /// Says what they need.
    #[cfg(feature = "cluster")]
    pub(crate) fn set_directory(&self, directory: Arc<mist_core::Directory>) {
        self.shared.write().broker.set_directory(directory);
    }

    /// Takes what subscriptions need that have come or gone since the last time.
    #[cfg(feature = "cluster")]
    pub(crate) fn take_needs(&self) -> Vec<mist_core::NeedChange> {
        if !self.shared.read().broker.has_new_needs() {
            return Vec::new();
        }
        self.shared.write().broker.take_needs()
    }

    /// Tells the clients that can be told that so many messages were lost, of which some may have been for them.
    #[cfg(feature = "cluster")]
    pub(crate) fn tell_missed(&self, messages: u64) {
        let notice = mist_core::dropped_notice(messages);
        let shared = self.shared.read();
        let outboxes = shared.outboxes.iter().flatten();
        let told: Vec<_> = outboxes.filter(|it| it.tells_of_drops()).cloned().collect();
        drop(shared);
        with_worker(|worker| {
            let out = &mut worker.tools.out;
            for outbox in told {
                outbox.append_reply(&mut out.spare, &mut out.woken, &notice);
            }
            out.wake_all();
        });
    }

    /// Whether a connection waits for an answer that takes long, or that the host has to find.
    pub(crate) fn is_waiting(&self, outbox: &Outbox) -> bool {
        outbox.is_gathering() || self.shared.read().broker.is_waiting(outbox.session)
    }

    pub(crate) fn authenticators(&self) -> &Authenticators {
        self.store.authenticators()
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
        let shared = self.shared.read();
        shared.outboxes.iter().flatten().cloned().collect()
    }

    /// The outboxes of all sessions but the program's own.
    pub(crate) fn clients(&self) -> Vec<Arc<Outbox>> {
        let shared = self.shared.read();
        let outboxes = shared.outboxes.iter().flatten();
        let clients = outboxes.filter(|outbox| !shared.broker.is_tap(outbox.session));
        clients.cloned().collect()
    }
}

/// The time in seconds since 1970; before that it is nothing.
fn unix_seconds() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use mist_core::Config;
    use mist_core::message::Messages;

    use super::handle::Flow;
    use super::*;

    #[test]
    fn a_request_that_was_open_when_a_rate_was_set_is_refused_and_others_wait() {
        let hub = Arc::new(Hub::of(Config::default()));
        let connect = |is_request, address| {
            let arrival = Arrival {
                is_request,
                peer: Some(Peer::from(IpAddr::V4(Ipv4Addr::from_bits(address)))),
                ..Arrival::default()
            };
            hub.connect(Credentials::default(), Framing::Lines, arrival)
        };
        let (request, other) = (connect(true, 1), connect(false, 2));
        let mut config = Config::default();
        config.limits.publishes_per_second_per_address = 1;
        hub.change(InForce::new(config.limits), None);
        let lines = "{\"command\":\"publish\",\"tags\":[\"a\"]}\n".repeat(2);
        let publish = |own: &Outbox| {
            let messages = Messages::lines(lines.as_bytes());
            with_worker(|worker| hub.handle(own, messages, &mut worker.tools))
        };
        assert_eq!(publish(&request), Flow::Open);
        assert!(matches!(publish(&other), Flow::Paused(_)));
        assert_eq!((request.is_written(), other.is_written()), (false, true));
    }
}
