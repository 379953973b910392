//! Owns the load generator: one thread that publishes, reads and checks on many connections.
//!
//! What is published is appended to the streams of those who must receive it; what is read is
//! compared with them (see `stream`). A publisher waits while a reader of its messages is more than
//! the window behind, so that a healthy server never has a reason to drop anything. It knows no
//! protocol (see `wire`) and no scenario.

use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mio::{Events, Interest, Poll, Token};

use super::link::{self, Conn, PATIENCE};
use super::stream::Stream;
use super::wire::{Interlude, Role, Stamp, Subscription, Template, Wire};

/// How much a publisher writes at once, and how much is read at once.
const BATCH: usize = 64 * 1024;

/// One copy of a message that must arrive.
pub(crate) struct Delivery {
    /// The stream it goes to.
    pub(crate) stream: usize,
    /// Its bytes.
    pub(crate) template: Template,
}

/// What a publisher says, and what follows from it.
pub(crate) struct Message {
    /// The bytes the publisher writes.
    pub(crate) publish: Template,
    /// What must arrive.
    pub(crate) deliveries: Vec<Delivery>,
    /// What the publisher hears.
    pub(crate) reply: Option<Vec<u8>>,
    /// How many different sets of tags it goes through; 1 unless one of its tags varies.
    pub(crate) sets: u32,
}

struct Publisher {
    conn: usize,
    messages: Vec<Message>,
    turn: usize,
    published: u64,
    /// How many messages it may have published by now.
    allowed: u64,
}

/// Times from publishing to arrival.
pub(crate) struct Delays {
    /// When each message was due.
    pub(crate) due: Vec<Instant>,
    /// Nanoseconds, one per delivery.
    pub(crate) taken: Vec<u64>,
}

/// How a turn of the loop waits when there is nothing to do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Idle {
    /// Sleeps until something happens.
    Sleep,
    /// Looks again at once; for measuring times.
    Spin,
}

/// The load generator.
pub(crate) struct Load {
    wire: &'static dyn Wire,
    address: SocketAddr,
    window: u64,
    poll: Poll,
    events: Events,
    conns: Vec<Conn>,
    /// How far each connection has read its stream.
    positions: Vec<u64>,
    streams: Vec<Stream>,
    publishers: Vec<Publisher>,
    ready: Vec<usize>,
    /// Connections other than publishers that have something to say.
    speaking: Vec<usize>,
    chunk: Vec<u8>,
    last_progress: Instant,
    owed: u64,
    /// Whether answers to publishes may vary, as they do when a server gives up a subscriber.
    pub(crate) is_lenient_with_replies: bool,
    /// Set for measuring latency; supposes one publisher.
    pub(crate) delays: Option<Delays>,
}

impl Load {
    /// A generator for the server at `address` that lets no reader be `window` bytes behind.
    pub(crate) fn new(wire: &'static dyn Wire, address: SocketAddr, window: usize) -> Result<Self> {
        Ok(Self {
            wire,
            address,
            window: window as u64,
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            conns: Vec::new(),
            positions: Vec::new(),
            streams: Vec::new(),
            publishers: Vec::new(),
            ready: Vec::new(),
            speaking: Vec::new(),
            chunk: vec![0; BATCH],
            last_progress: Instant::now(),
            owed: 0,
            is_lenient_with_replies: false,
            delays: None,
        })
    }

    /// Has further connections go to another server, which speaks the same.
    pub(crate) fn turn_to(&mut self, address: SocketAddr) {
        self.address = address;
    }

    /// Adds a stream of deliveries.
    pub(crate) fn add_stream(&mut self) -> usize {
        self.push_stream(true)
    }

    fn push_stream(&mut self, is_counted: bool) -> usize {
        let capacity = usize::try_from(self.window).unwrap_or(BATCH);
        self.streams.push(Stream::new(2 * capacity, is_counted));
        self.streams.len() - 1
    }

    /// Opens a connection that subscribes and must receive `stream`.
    pub(crate) fn add_subscriber(&mut self, to: &[Subscription], stream: usize) -> Result<()> {
        let (socket, rest) = link::connect(self.wire, self.address, Role::Subscriber, to)
            .with_context(|| format!("subscriber {}", self.conns.len()))?;
        self.register(socket, rest, stream)?;
        Ok(())
    }

    /// Opens a connection that publishes `messages` in turn, as far as it is allowed to.
    pub(crate) fn add_publisher(
        &mut self,
        tags: &[String],
        mut messages: Vec<Message>,
    ) -> Result<()> {
        let role = Role::Publisher(tags);
        let (socket, rest) =
            link::connect(self.wire, self.address, role, &[]).context("the publisher")?;
        let own = self.push_stream(false);
        let conn = self.register(socket, rest, own)?;
        for message in &mut messages {
            if message.reply.is_none() && !self.is_lenient_with_replies {
                let readers = |delivery: &Delivery| self.streams[delivery.stream].readers().len();
                let receivers = message.deliveries.iter().map(readers).sum();
                message.reply = self.wire.reply(receivers);
            }
        }
        self.publishers.push(Publisher {
            conn,
            messages,
            turn: 0,
            published: 0,
            allowed: 0,
        });
        Ok(())
    }

    /// Opens a connection that only pings; answers its stream for `ping` and `is_read`.
    pub(crate) fn add_pinger(&mut self) -> Result<usize> {
        let role = Role::Publisher(&[]);
        let (socket, rest) =
            link::connect(self.wire, self.address, role, &[]).context("the pinger")?;
        let own = self.push_stream(false);
        self.register(socket, rest, own)?;
        Ok(own)
    }

    fn register(
        &mut self,
        socket: std::net::TcpStream,
        rest: Vec<u8>,
        stream: usize,
    ) -> Result<usize> {
        let mut one = Conn::new(socket, stream)?;
        let conn = self.conns.len();
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll
            .registry()
            .register(&mut one.socket, Token(conn), both)?;
        self.positions.push(self.streams[stream].add_reader(conn));
        self.conns.push(one);
        self.last_progress = Instant::now();
        self.ready.push(conn);
        if !rest.is_empty() {
            self.take_off_frames(conn, &rest)?;
        }
        Ok(conn)
    }

    /// Lets each publisher publish up to `count` messages more.
    pub(crate) fn allow(&mut self, count: u64) {
        for publisher in &mut self.publishers {
            publisher.allowed = publisher.published.saturating_add(count);
        }
    }

    /// Lets each publisher publish one message more than it was allowed before.
    pub(crate) fn allow_one_more(&mut self) {
        for publisher in &mut self.publishers {
            publisher.allowed += 1;
        }
    }

    /// How many deliveries must have arrived once everything is read.
    pub(crate) fn owed(&self) -> u64 {
        self.owed
    }

    /// How many messages have been published.
    pub(crate) fn published(&self) -> u64 {
        self.publishers
            .iter()
            .map(|publisher| publisher.published)
            .sum()
    }

    /// How many of the deliveries owed have arrived.
    pub(crate) fn delivered(&self) -> u64 {
        let missing = |stream: &Stream| -> u64 {
            let all = stream.messages_before(stream.head());
            let readers = stream.readers().iter();
            readers
                .map(|&conn| all - stream.messages_before(self.positions[conn]))
                .sum()
        };
        let counted = self.streams.iter().filter(|stream| stream.is_counted());
        self.owed - counted.map(missing).sum::<u64>()
    }

    /// Whether all readers of `stream` have read all of it.
    pub(crate) fn is_read(&self, stream: usize) -> bool {
        self.streams[stream].is_read(&self.positions)
    }

    /// Pings on every connection that reads `stream`.
    pub(crate) fn ping(&mut self, stream: usize, role: Role<'_>) {
        self.streams[stream].push(&self.wire.pong(role), &self.positions);
        for &conn in self.streams[stream].readers() {
            self.wire.ping(&mut self.conns[conn].out);
            self.speaking.push(conn);
        }
    }

    /// Publishes for `time` as fast as the window allows. Then everything is on its way.
    pub(crate) fn run_for(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        self.allow(u64::MAX);
        while Instant::now() < end {
            self.turn(Idle::Sleep)?;
        }
        self.allow(0);
        Ok(())
    }

    /// Publishes what is allowed, and waits until every message published has arrived.
    pub(crate) fn drain(&mut self) -> Result<()> {
        while !self.is_done() {
            self.turn(Idle::Sleep)?;
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.publishers
            .iter()
            .all(|one| one.published >= one.allowed)
            && self.conns.iter().all(|conn| conn.out.is_empty())
            && self
                .streams
                .iter()
                .all(|stream| stream.is_read(&self.positions))
    }

    /// Proves that nothing arrives beyond what was owed: pings everywhere and takes only pongs.
    pub(crate) fn prove_the_end(&mut self) -> Result<()> {
        self.drain()?;
        if !self.wire.pings_any_time() {
            return Ok(());
        }
        for stream in 0..self.streams.len() {
            let role = if self.streams[stream].is_counted() {
                Role::Subscriber
            } else {
                Role::Publisher(&[])
            };
            self.ping(stream, role);
        }
        self.drain().context("after the last message")
    }

    /// Does what can be done now: publishes, writes, waits, reads.
    pub(crate) fn turn(&mut self, idle: Idle) -> Result<()> {
        let mut has_more = false;
        for publisher in 0..self.publishers.len() {
            has_more |= self.fill(publisher);
            self.flush(self.publishers[publisher].conn)?;
        }
        for at in 0..self.speaking.len() {
            self.flush(self.speaking[at])?;
        }
        let conns = &self.conns;
        self.speaking.retain(|&conn| !conns[conn].out.is_empty());
        let wait = if has_more || !self.ready.is_empty() || idle == Idle::Spin {
            Duration::ZERO
        } else {
            Duration::from_millis(20)
        };
        self.wait(wait)?;
        for at in 0..self.ready.len() {
            self.read(self.ready[at])?;
        }
        let conns = &self.conns;
        self.ready.retain(|&conn| conns[conn].is_ready);
        if self.last_progress.elapsed() > PATIENCE && !self.is_done() {
            bail!(self.debts());
        }
        Ok(())
    }

    /// Builds the next batch of a publisher; answers whether there could be another one at once.
    fn fill(&mut self, publisher: usize) -> bool {
        let publisher = &mut self.publishers[publisher];
        let conn = &mut self.conns[publisher.conn];
        let own = conn.stream;
        if !conn.out.is_empty() {
            return false;
        }
        while publisher.published < publisher.allowed {
            if conn.out.len() >= BATCH {
                return true;
            }
            let message = &mut publisher.messages[publisher.turn];
            let reply_len = message.reply.as_ref().map_or(0, Vec::len) as u64;
            let mut has_room = self.streams[own].has_room(reply_len, self.window, &self.positions);
            for delivery in &message.deliveries {
                let len = delivery.template.len() as u64;
                let stream = &mut self.streams[delivery.stream];
                has_room &= stream.has_room(len, self.window, &self.positions);
            }
            if !has_room {
                return false;
            }
            let (flow, number) = (publisher.conn as u32, publisher.published as u32);
            let stamp = Stamp::new(flow, number, number % message.sets);
            conn.out.extend_from_slice(message.publish.stamp(stamp));
            for delivery in &mut message.deliveries {
                let stream = &mut self.streams[delivery.stream];
                stream.push(delivery.template.stamp(stamp), &self.positions);
                self.owed += stream.readers().len() as u64;
            }
            if let Some(reply) = &message.reply {
                self.streams[own].push(reply, &self.positions);
            }
            publisher.published += 1;
            publisher.turn += 1;
            if publisher.turn == publisher.messages.len() {
                publisher.turn = 0;
            }
        }
        false
    }

    fn flush(&mut self, conn: usize) -> Result<()> {
        if self.conns[conn].flush()? {
            self.last_progress = Instant::now();
        }
        Ok(())
    }

    fn wait(&mut self, time: Duration) -> Result<()> {
        match self.poll.poll(&mut self.events, Some(time)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        for event in &self.events {
            let Token(at) = event.token();
            let conn = &mut self.conns[at];
            conn.is_blocked &= !event.is_writable();
            if event.is_readable() && !conn.is_ready {
                conn.is_ready = true;
                self.ready.push(at);
            }
        }
        Ok(())
    }

    /// Reads once. One read per turn keeps every connection equally fresh.
    fn read(&mut self, conn: usize) -> Result<()> {
        let mut chunk = std::mem::take(&mut self.chunk);
        let outcome = match self.conns[conn].socket.read(&mut chunk) {
            Ok(0) => Err(anyhow::anyhow!("the server closed the connection")),
            Ok(n) => {
                // A short read means that the socket is empty; the next event tells of more.
                self.conns[conn].is_ready = n == chunk.len();
                self.last_progress = Instant::now();
                self.take_off_frames(conn, &chunk[..n])
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.conns[conn].is_ready = false;
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error.into()),
        };
        self.chunk = chunk;
        outcome.with_context(|| self.place(conn))
    }

    fn take_off_frames(&mut self, conn: usize, came: &[u8]) -> Result<()> {
        if !self.wire.is_framed() {
            return self.take(conn, came);
        }
        let mut came = came;
        while !came.is_empty() {
            let (piece, rest) = self.conns[conn].frames.split(came);
            self.take(conn, piece)?;
            came = rest;
        }
        Ok(())
    }

    /// Compares what came in with what must come.
    fn take(&mut self, conn: usize, came: &[u8]) -> Result<()> {
        let before = self.positions[conn];
        if self.conns[conn].carry.is_empty() {
            self.compare(conn, came)?;
        } else {
            let mut carry = std::mem::take(&mut self.conns[conn].carry);
            carry.extend_from_slice(came);
            self.compare(conn, &carry)?;
        }
        if self.delays.is_some() {
            self.note_delays(conn, before);
        }
        Ok(())
    }

    fn compare(&mut self, conn: usize, mut rest: &[u8]) -> Result<()> {
        let stream = &self.streams[self.conns[conn].stream];
        let position = &mut self.positions[conn];
        loop {
            let same = stream.agreeing(*position, rest);
            *position += same as u64;
            if same == rest.len() {
                return Ok(());
            }
            // What differs may share its first bytes with a message: go back to where that began.
            let into = usize::try_from(stream.bytes_into_message(*position))?;
            if into > same {
                bail!(difference(stream, *position, &rest[same..]));
            }
            *position -= into as u64;
            rest = &rest[same - into..];
            match self.wire.interlude(rest) {
                Interlude::Skip { len, reply } => {
                    rest = &rest[len..];
                    self.conns[conn].out.extend(reply);
                    self.speaking.push(conn);
                }
                Interlude::Incomplete => {
                    self.conns[conn].carry = rest.to_vec();
                    return Ok(());
                }
                Interlude::Foreign => bail!(difference(stream, *position, rest)),
            }
        }
    }

    fn note_delays(&mut self, conn: usize, before: u64) {
        let stream = &self.streams[self.conns[conn].stream];
        let Some(delays) = &mut self.delays else {
            return;
        };
        if !stream.is_counted() {
            return;
        }
        let now = Instant::now();
        let first = usize::try_from(stream.messages_before(before)).unwrap_or(0);
        let end = usize::try_from(stream.messages_before(self.positions[conn])).unwrap_or(0);
        for due in delays.due.get(first..end).unwrap_or(&[]) {
            let taken = now.saturating_duration_since(*due).as_nanos();
            delays.taken.push(u64::try_from(taken).unwrap_or(u64::MAX));
        }
    }

    /// Where a connection stands, for an error.
    fn place(&self, conn: usize) -> String {
        let stream = &self.streams[self.conns[conn].stream];
        let read = stream.messages_before(self.positions[conn]);
        let all = stream.messages_before(stream.head());
        format!("connection {conn}, which has {read} of {all} messages")
    }

    fn debts(&self) -> String {
        let debtors: Vec<_> = (0..self.conns.len())
            .filter(|&conn| {
                let head = self.streams[self.conns[conn].stream].head();
                self.positions[conn] != head || !self.conns[conn].out.is_empty()
            })
            .collect();
        let first = debtors
            .first()
            .map_or(String::new(), |&conn| self.place(conn));
        let seconds = PATIENCE.as_secs();
        let count = debtors.len();
        format!("nothing happens for {seconds} s; {count} connections lack messages; {first}")
    }
}

/// Says what came instead of what.
fn difference(stream: &Stream, position: u64, got: &[u8]) -> String {
    let (first, second) = stream.expected(position, 100);
    let expected = [first, second].concat();
    let got = &got[..got.len().min(100)];
    format!(
        "message {} differs: expected {:?}, got {:?}",
        stream.messages_before(position),
        String::from_utf8_lossy(&expected),
        String::from_utf8_lossy(got)
    )
}

#[cfg(test)]
mod tests;
