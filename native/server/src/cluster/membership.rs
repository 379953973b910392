//! Owns what the rest of a server knows of its cluster: whether it has joined, and figures.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mist_core::Others;
use mist_core::cluster::{Figures, Node};
use mist_net::lock::Mutex;

/// After having joined, how long the others have to say that they are there before this server counts as ready.
const SETTLING: Duration = Duration::from_secs(1);
/// How long NATS may take to answer at the start before it is said that it does not.
const START: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(crate) struct Membership {
    servers: String,
    is_optional: bool,
    start: Instant,
    state: Mutex<State>,
    missed: AtomicU64,
    refused: AtomicU64,
    foreign_refused: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    figures: Figures,
    joined: Option<Instant>,
    /// Whether it has been said that NATS is there, or is not.
    is_announced: bool,
    others: Others,
}

impl Membership {
    pub(super) fn new(servers: String, is_optional: bool) -> Self {
        Self {
            servers,
            is_optional,
            start: Instant::now(),
            state: Mutex::default(),
            missed: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            foreign_refused: AtomicU64::new(0),
        }
    }

    /// The addresses of the NATS servers.
    pub(super) fn servers(&self) -> &str {
        &self.servers
    }

    pub(super) fn note(&self, node: &Node) {
        let mut state = self.state.lock();
        state.figures = node.figures();
        state.joined = match node.is_joined() {
            true => Some(state.joined.unwrap_or_else(Instant::now)),
            false => None,
        };
        if state.joined.is_some() || self.start.elapsed() >= START {
            let is_announced = std::mem::replace(&mut state.is_announced, true);
            if !is_announced && state.joined.is_none() {
                tracing::warn!(
                    "the cluster's NATS at {} does not answer: what is published here reaches this server's own clients alone",
                    self.servers
                );
            }
        }
    }

    /// Whether the others are not those that the broker was told of last.
    pub(super) fn is_new(&self, others: Others) -> bool {
        let mut state = self.state.lock();
        let before = std::mem::replace(&mut state.others, others);
        before != others
    }

    pub(super) fn miss(&self, messages: u64) {
        self.missed.fetch_add(messages, Ordering::Relaxed);
    }

    /// Counts what was not taken of what nodes said, or seemed to say.
    pub(super) fn refuse(&self, count: u64) {
        self.refused.fetch_add(count, Ordering::Relaxed);
    }

    /// Counts a message of a program that is no node, which was not taken.
    pub(super) fn refuse_foreign(&self) {
        self.foreign_refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Why this server is not ready for clients, if it is not.
    pub(crate) fn unready(&self) -> Option<String> {
        let joined = self.state.lock().joined;
        match joined {
            _ if self.is_optional => None,
            None => Some(format!(
                "waiting for the cluster's NATS at {}",
                self.servers
            )),
            Some(since) if since.elapsed() < SETTLING => {
                Some("waiting for the other nodes of the cluster".to_owned())
            }
            Some(_) => None,
        }
    }

    pub(crate) fn is_joined(&self) -> bool {
        self.state.lock().joined.is_some()
    }

    pub(crate) fn figures(&self) -> Figures {
        self.state.lock().figures
    }

    /// Messages of others that did not arrive.
    pub(crate) fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    /// What came from nodes, or seemed to, and was not taken.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Messages of programs on NATS that are no nodes, which were not taken.
    pub(crate) fn foreign_refused(&self) -> u64 {
        self.foreign_refused.load(Ordering::Relaxed)
    }
}
