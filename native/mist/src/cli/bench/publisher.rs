//! Owns the writing side: one publisher, which sends as much as its readers, the clock and the count allow; knows
//! nothing of what becomes of it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mist_net::transport::{Reader, Writer};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::inbox::{Gate, Inbox};
use super::message::{Heard, Kind, Mark, PING, data_finder, read};
use super::plan::Publishing;
use super::schedule::{Delays, Schedule, Ticker};
use crate::cli::connect::refused;
use crate::cli::exit::{Code, Stop};

/// How many bytes are written at once.
const BATCH: usize = 64 << 10;

/// How far away a moment is that does not come.
const NEVER: Duration = Duration::from_secs(86_400 * 365);
/// How many pings are written at once.
const PINGS: u64 = 1024;

/// What a publisher is to do.
#[derive(Clone, Debug, Default)]
pub(super) struct Order {
    pub(super) count: Option<u64>,
    pub(super) until: Option<Instant>,
    /// Messages per second.
    pub(super) rate: Option<f64>,
}

/// A ping on its way.
struct Asked {
    /// How many messages stand before it.
    sent: u64,
    /// Its number, where pings are what is measured.
    number: Option<u64>,
}

/// What a publisher and the task that reads its answers share.
pub(super) struct Outgoing {
    /// What the server has taken, as its pongs show.
    gate: Gate,
    asked: Mutex<VecDeque<Asked>>,
    /// Told at each pong.
    pub(super) progress: Arc<Notify>,
    sent: AtomicU64,
    /// When something was last written, or a pong came.
    pub(super) active_at: Mutex<Option<Instant>>,
    pub(super) delays: Option<Arc<Mutex<Delays>>>,
}

impl Outgoing {
    pub(super) fn new(progress: &Arc<Notify>, delays: Option<Arc<Mutex<Delays>>>) -> Arc<Self> {
        Arc::new(Self {
            gate: Gate::new(vec![Arc::clone(progress)]),
            asked: Mutex::default(),
            progress: Arc::clone(progress),
            sent: AtomicU64::new(0),
            active_at: Mutex::default(),
            delays,
        })
    }

    /// Reads answers for as long as the connection lasts.
    pub(super) async fn receive(self: Arc<Self>, mut reader: Reader) -> Stop {
        let data = data_finder();
        loop {
            if let Err(reason) = reader.read().await {
                return lost(reason);
            }
            let (now, mut result) = (Instant::now(), Ok(()));
            reader
                .received()
                .each(|message| match read(message, &data) {
                    Heard::Pong => self.pong(now),
                    Heard::Error(command, reason) => result = Err(refused(&command, &reason)),
                    _ => {}
                });
            if let Err(stop) = result {
                return stop;
            }
        }
    }

    fn pong(&self, now: Instant) {
        let Some(asked) = self.asked.lock().pop_front() else {
            return;
        };
        if let (Some(number), Some(delays)) = (asked.number, &self.delays) {
            delays.lock().arrived(number, now);
        }
        *self.active_at.lock() = Some(now);
        self.gate.settle_up_to(asked.sent);
    }

    /// How many messages were written.
    pub(super) fn messages(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Whether a pong is to come.
    pub(super) fn is_waiting(&self) -> bool {
        !self.asked.lock().is_empty()
    }

    /// How far the server has come, for noticing that it stands still.
    pub(super) fn settled(&self) -> u64 {
        self.gate.settled()
    }
}

async fn unless_halted(halt: &CancellationToken, work: impl Future) {
    tokio::select! {
        _ = work => {}
        () = halt.cancelled() => {}
    }
}

fn lost(reason: String) -> Stop {
    Stop::new(
        Code::CannotConnect,
        format!("a publisher's connection is lost: {reason}"),
    )
}

/// A connection that publishes.
pub(super) struct Publisher {
    pub(super) writer: Writer,
    pub(super) outgoing: Arc<Outgoing>,
    pub(super) publishing: Publishing,
    /// All subscribers; the reach of messages names them by place.
    pub(super) inboxes: Arc<[Arc<Inbox>]>,
    /// Those of them that this publisher can reach.
    pub(super) readers: Vec<usize>,
    pub(super) id: u32,
    pub(super) size: usize,
    pub(super) window: u64,
    pub(super) halt: CancellationToken,
}

impl Publisher {
    /// Publishes until the order is carried out or everything is to stop; returns once the server has taken it all.
    pub(super) async fn publish(mut self, order: Order) -> Result<Self, Stop> {
        let start = Instant::now();
        let schedule = order.rate.map(|rate| Schedule::new(start, rate));
        let count = order.count.unwrap_or(u64::MAX);
        let until = order.until.unwrap_or(start + NEVER);
        // Little room makes for small writes: rather wait until half of it is free.
        let enough = (self.window / self.sharing() / 2).max(1);
        let mut done = 0;
        while done < count && Instant::now() < until && !self.halt.is_cancelled() {
            let mut allowed = count - done;
            if let Some(schedule) = schedule {
                allowed = allowed.min(schedule.count(Instant::now()) - done);
                if allowed == 0 {
                    let next = schedule.due(done).min(until);
                    unless_halted(&self.halt, tokio::time::sleep_until(next)).await;
                    continue;
                }
            }
            let room = self.room();
            if room < enough.min(allowed) {
                let progress = self.outgoing.progress.notified();
                unless_halted(&self.halt, tokio::time::timeout_at(until, progress)).await;
                continue;
            }
            done += self.write_some(allowed.min(room)).await?;
        }
        self.settle().await?;
        Ok(self)
    }

    /// Publishes each message when it is due, `count` of them; or pings instead.
    pub(super) async fn keep(
        mut self,
        schedule: Schedule,
        count: u64,
        pings: bool,
    ) -> Result<Self, Stop> {
        let ticker = Ticker::start(schedule, count);
        let mut done = 0;
        while done < count && !self.halt.is_cancelled() {
            let now = Instant::now();
            let due = schedule.count(now).min(count) - done;
            if due == 0 {
                unless_halted(&self.halt, ticker.tick.notified()).await;
                continue;
            }
            let first = done;
            done += if pings {
                self.ping_some(first, due.min(PINGS)).await?
            } else {
                self.write_some(due).await?
            };
            self.note_late(first, done - first, now);
        }
        self.settle().await?;
        Ok(self)
    }

    /// Says in a message of its own how many there were.
    pub(super) async fn say_end(&mut self) -> Result<(), Stop> {
        let mark = Mark {
            kind: Kind::End,
            publisher: self.id,
            number: self.outgoing.messages(),
        };
        let mut line = Vec::new();
        self.publishing.templates[0].write(mark, self.size, &mut line);
        self.writer.send(line).await.map_err(lost)?;
        self.settle().await
    }

    fn note_late(&self, first: u64, count: u64, now: Instant) {
        if let Some(delays) = &self.outgoing.delays {
            let mut delays = delays.lock();
            (first..first + count).for_each(|number| delays.sent(number, now));
        }
    }

    /// How many messages may go out so that no reader is further behind than it may be.
    fn room(&self) -> u64 {
        let own = self.publishing.awaits_pongs.then_some(&self.outgoing.gate);
        let gates = self
            .readers
            .iter()
            .map(|&reader| &self.inboxes[reader].gate);
        let rooms = gates.chain(own).map(|gate| gate.room(self.window));
        rooms.min().unwrap_or(u64::MAX)
    }

    /// Among how many publishers the window of a reader is divided.
    fn sharing(&self) -> u64 {
        let gates = self
            .readers
            .iter()
            .map(|&reader| &self.inboxes[reader].gate);
        gates.map(Gate::sharing).max().unwrap_or(1)
    }

    async fn write_some(&mut self, most: u64) -> Result<u64, Stop> {
        let written = self.fill(most);
        self.write(written).await
    }

    /// Makes up to `most` messages, as many as go into one write; returns how many.
    fn fill(&self, most: u64) -> (Vec<u8>, u64) {
        let line = self.publishing.templates[0].bytes(self.size);
        let room = BATCH.min(line.saturating_mul(usize::try_from(most).unwrap_or(usize::MAX)));
        let mut buffer = Vec::with_capacity(room + line + PING.len());
        let first = self.outgoing.messages();
        let mut number = first;
        let (templates, reach) = (&self.publishing.templates, &self.publishing.reach);
        let is_alike = reach.len() == 1;
        while number - first < most && buffer.len() < BATCH {
            let turn = number as usize % templates.len();
            let mark = Mark {
                kind: Kind::Counted,
                publisher: self.id,
                number,
            };
            templates[turn].write(mark, self.size, &mut buffer);
            if !is_alike {
                self.expect(&reach[turn], 1);
            }
            number += 1;
        }
        if is_alike {
            self.expect(&reach[0], number - first);
        }
        (buffer, number - first)
    }

    fn expect(&self, readers: &[usize], count: u64) {
        for &reader in readers {
            self.inboxes[reader]
                .gate
                .sent
                .fetch_add(count, Ordering::Relaxed);
        }
    }

    async fn write(&mut self, (mut buffer, count): (Vec<u8>, u64)) -> Result<u64, Stop> {
        let sent = self.outgoing.messages() + count;
        self.outgoing.gate.sent.store(sent, Ordering::Relaxed);
        if self.publishing.awaits_pongs {
            self.ask(&mut buffer, sent, None);
        }
        self.writer.send(buffer).await.map_err(lost)?;
        self.outgoing.sent.store(sent, Ordering::Relaxed);
        *self.outgoing.active_at.lock() = Some(Instant::now());
        Ok(count)
    }

    async fn ping_some(&mut self, first: u64, count: u64) -> Result<u64, Stop> {
        let mut buffer = Vec::new();
        for number in first..first + count {
            self.ask(&mut buffer, number, Some(number));
        }
        self.writer.send(buffer).await.map_err(lost)?;
        self.outgoing.sent.store(first + count, Ordering::Relaxed);
        Ok(count)
    }

    fn ask(&self, buffer: &mut Vec<u8>, sent: u64, number: Option<u64>) {
        buffer.extend_from_slice(PING);
        self.outgoing.asked.lock().push_back(Asked { sent, number });
    }

    /// Waits until the server has taken everything.
    async fn settle(&mut self) -> Result<(), Stop> {
        let mut buffer = Vec::new();
        self.ask(&mut buffer, self.outgoing.messages(), None);
        self.writer.send(buffer).await.map_err(lost)?;
        while self.outgoing.is_waiting() {
            self.outgoing.progress.notified().await;
        }
        Ok(())
    }
}
