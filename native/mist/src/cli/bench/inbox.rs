//! Owns the reading side: one task per subscriber that counts and checks what arrives, and how far it has read; knows
//! nothing of why it is sent.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use memchr::memmem::Finder;
use mist_net::transport::{Connection, Reader};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::flow::Flow;
use super::link::Opener;
use super::message::{Heard, Kind, PING, data_finder, read};
use super::schedule::Delays;
use crate::cli::connect::refused;
use crate::cli::exit::{Code, Stop};

/// How far one reader is behind: what was sent to it, and what it has read or knows to be dropped.
#[derive(Debug, Default)]
pub(super) struct Gate {
    pub(super) sent: AtomicU64,
    settled: AtomicU64,
    /// Told when the reader has read on.
    waiting: Vec<Arc<Notify>>,
}

impl Gate {
    pub(super) fn new(waiting: Vec<Arc<Notify>>) -> Self {
        Self {
            waiting,
            ..Self::default()
        }
    }

    /// How much one of the publishers may send so that at most `window` messages are on their way.
    pub(super) fn room(&self, window: u64) -> u64 {
        let behind = self
            .sent
            .load(Ordering::Relaxed)
            .saturating_sub(self.settled());
        let free = window.saturating_sub(behind);
        // All of them may look at the same time.
        (free / self.sharing()).max(free.min(1))
    }

    /// How many publishers share the window.
    pub(super) fn sharing(&self) -> u64 {
        self.waiting.len().max(1) as u64
    }

    pub(super) fn settled(&self) -> u64 {
        self.settled.load(Ordering::Relaxed)
    }

    pub(super) fn settle_up_to(&self, count: u64) {
        self.settled.store(count, Ordering::Relaxed);
        self.tell();
    }

    fn settle(&self, count: u64) {
        self.settled.fetch_add(count, Ordering::Relaxed);
        self.tell();
    }

    fn tell(&self) {
        self.waiting
            .iter()
            .for_each(|publisher| publisher.notify_one());
    }
}

/// What one subscriber has received.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) flows: HashMap<u32, Flow>,
    /// Messages, each counted once.
    pub(super) received: u64,
    pub(super) bytes: u64,
    /// Messages that the server said it dropped.
    pub(super) dropped: u64,
    pub(super) first: Option<Instant>,
    pub(super) last: Option<Instant>,
}

impl Tally {
    /// Whether every publisher that was heard of has said how many messages there were.
    pub(super) fn is_complete(&self) -> bool {
        !self.flows.is_empty() && self.flows.values().all(|flow| flow.promised.is_some())
    }

    /// Sums something up over all publishers.
    pub(super) fn sum(&self, of: impl Fn(&Flow) -> u64) -> u64 {
        self.flows.values().map(of).sum()
    }
}

/// A subscriber, as everybody but its task sees it.
pub(super) struct Inbox {
    pub(super) gate: Gate,
    pub(super) tally: Mutex<Tally>,
    /// The pings that were asked for, and that the server has answered.
    asked: watch::Sender<u32>,
    answered: watch::Sender<u32>,
    delays: Option<Arc<Mutex<Delays>>>,
    /// How many messages are counted; those that follow are only checked.
    most: u64,
}

impl Inbox {
    pub(super) fn new(gate: Gate, delays: Option<Arc<Mutex<Delays>>>, most: u64) -> Arc<Self> {
        Arc::new(Self {
            gate,
            tally: Mutex::default(),
            asked: watch::Sender::new(0),
            answered: watch::Sender::new(0),
            delays,
            most,
        })
    }

    /// Opens the connection and reads from it until it ends; `started` is told once the subscriptions are live.
    pub(super) async fn open(
        self: &Arc<Self>,
        opener: &Opener,
        sets: &[Vec<String>],
    ) -> Result<Connection, Stop> {
        let data = data_finder();
        let mut complaint = Ok(());
        let early = |message: &[u8]| {
            let mut round = Round::default();
            if let Err(stop) = self.take(&mut self.tally.lock(), &mut round, read(message, &data)) {
                complaint = Err(stop);
            }
            self.gate.settle(round.settled);
        };
        let link = opener.open(sets, early).await?;
        complaint.map(|()| link)
    }

    /// Reads, checks and counts for as long as the connection lasts.
    pub(super) async fn receive(self: Arc<Self>, mut link: Connection) -> Stop {
        let mut asked = self.asked.subscribe();
        let data = data_finder();
        let lost = |reason| {
            Stop::new(
                Code::CannotConnect,
                format!("a subscriber's connection is lost: {reason}"),
            )
        };
        loop {
            tokio::select! {
                read = link.reader.read() => {
                    let pongs = match read.map_err(lost).and_then(|()| self.take_all(&link.reader, &data)) {
                        Ok(pongs) => pongs,
                        Err(stop) => return stop,
                    };
                    if pongs > 0 {
                        self.answered.send_modify(|answered| *answered += pongs);
                    }
                }
                // The sender lives as long as this does.
                _ = asked.changed() => {
                    asked.mark_unchanged();
                    if let Err(reason) = link.writer.send(PING.to_vec()).await {
                        return lost(reason);
                    }
                }
            }
        }
    }

    fn take_all(&self, reader: &Reader, data: &Finder<'_>) -> Result<u32, Stop> {
        let now = Instant::now();
        let (mut round, mut result) = (
            Round {
                now: Some(now),
                ..Round::default()
            },
            Ok(()),
        );
        let mut tally = self.tally.lock();
        let mut delays = self.delays.as_ref().map(|delays| delays.lock());
        reader.received().each(|message| {
            let heard = read(message, data);
            if let (Heard::Message(mark, _), Some(delays)) = (&heard, &mut delays) {
                delays.arrived(mark.number, now);
            }
            if let Err(stop) = self.take(&mut tally, &mut round, heard) {
                result = Err(stop);
            }
        });
        drop((tally, delays));
        if round.settled > 0 {
            self.gate.settle(round.settled);
        }
        result.map(|()| round.pongs)
    }

    fn take(&self, tally: &mut Tally, round: &mut Round, heard: Heard) -> Result<(), Stop> {
        match heard {
            Heard::Message(mark, size) => {
                let now = *round.now.get_or_insert_with(Instant::now);
                let flow = tally.flows.entry(mark.publisher).or_default();
                if mark.kind == Kind::End {
                    flow.promised = Some(mark.number);
                } else if flow.take(mark.number) && tally.received < self.most {
                    tally.received += 1;
                    tally.bytes += size as u64;
                    round.settled += 1;
                    tally.first.get_or_insert(now);
                    tally.last = Some(now);
                }
            }
            Heard::Dropped(count) => {
                tally.dropped += count;
                round.settled += count;
            }
            Heard::Pong => round.pongs += 1,
            Heard::Error(command, reason) => return Err(refused(&command, &reason)),
            Heard::Answer | Heard::Other => {}
        }
        Ok(())
    }

    /// Waits until everything that the server has queued for this subscriber is here: messages and what is said of
    /// those that were dropped.
    pub(super) async fn barrier(&self) {
        // A notice of dropped messages may come right behind the first pong, so that it takes a second.
        for _ in 0..2 {
            let mut answered = self.answered.subscribe();
            let mut due = 0;
            self.asked.send_modify(|asked| {
                *asked += 1;
                due = *asked;
            });
            // Ends only with the generator.
            let _ = answered.wait_for(|answered| *answered >= due).await;
        }
    }
}

/// What one read amounts to.
#[derive(Default)]
struct Round {
    now: Option<Instant>,
    settled: u64,
    pongs: u32,
}
