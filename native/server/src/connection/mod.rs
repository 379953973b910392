//! Owns the life of one connection: read, hand to the hub, write the outbox, end in good order.
//!
//! The only such loop: TCP, WebSocket and whatever a custom listener accepts differ in how bytes become lines. It is a
//! hand-written future, so that a connection at rest costs what its fields cost and owns no buffers.

mod frames;
mod read;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use mist_core::{Credentials, DisconnectReason};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio::time::Sleep;

use self::frames::Frames;
use crate::hub::handle::Flow;
use crate::hub::worker::{Tools, Worker, with_worker};
use crate::hub::{Arrival, Hub};
use crate::outbox::{CLOSE, Ending, Framing, Outbox, Taken, Writing, write_frame};

/// Up to here an incomplete line is put in front of what is read next; a longer one is collected apart.
const SHORT_CARRY: usize = 8 << 10;

/// How bytes become lines.
enum Inbound {
    Lines,
    Frames(Box<Frames>),
}

/// How a client begins that expects TLS; no message begins so.
const TLS_HELLO: [u8; 2] = [0x16, 3];

/// Stands for a closing frame without a code, as RFC 6455 has it; such a code is never sent.
const NO_CODE: u16 = 1005;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// Everything is written and the client was told to close; what it still sends is thrown away.
    ///
    /// Closing the socket with input unread would make the kernel reset it, and the client would lose our last words.
    Lingering,
}

/// One connection; completes when it has ended.
pub(crate) struct Connection<S> {
    hub: Arc<Hub>,
    outbox: Arc<Outbox>,
    stream: S,
    inbound: Inbound,
    phase: Phase,
    /// Whether `carry` holds whole lines that wait for an answer of the host, for the client to read its answers, or for
    /// others to have their turn.
    is_paused: bool,
    /// Lines that stand in line, and come back when they have to wait for something else; `carry` is what is behind them.
    in_line: Option<oneshot::Receiver<(Vec<u8>, Flow)>>,
    /// Whether it waits until there is more room on the way to the other nodes of a cluster.
    waits_for_link: bool,
    /// Until when it is not read from, since it did too much in a second.
    pause: Option<Pin<Box<Sleep>>>,
    /// How much of what is kept is counted; what stands in line is counted there.
    unfinished: usize,
    /// How the connection ends once what is paused is done: the client has sent all it will.
    at_end: Option<Ending>,
    has_left: bool,
    /// An incomplete line, or what is paused.
    carry: Vec<u8>,
    writing: Writing,
    written: usize,
}

/// What a step found out.
enum Step {
    Again,
    /// There is more, and others have their turn before it.
    Yield,
    Wait,
    Gone,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// A connection that speaks JSON lines.
    pub(crate) fn lines(hub: Arc<Hub>, stream: S, token: Option<&str>, arrival: Arrival) -> Self {
        Self::new(hub, stream, Inbound::Lines, Credentials { token }, arrival)
    }

    /// A connection that has been upgraded to WebSocket; `ahead` was read behind the request.
    pub(crate) fn frames(
        hub: Arc<Hub>,
        stream: S,
        ahead: Vec<u8>,
        token: Option<&str>,
        arrival: Arrival,
    ) -> Self {
        let inbound = Inbound::Frames(Box::new(Frames::new(ahead)));
        let mut connection = Self::new(hub, stream, inbound, Credentials { token }, arrival);
        with_worker(|worker| connection.take_in(worker, 0));
        connection.note_unfinished();
        connection
    }

    /// The connection of a cluster's node.
    #[cfg(feature = "cluster")]
    pub(crate) fn of_link(hub: Arc<Hub>, stream: S) -> Self {
        let outbox = hub.connect_link();
        Self::of(hub, stream, Inbound::Lines, outbox, false)
    }

    pub(crate) fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    fn new(
        hub: Arc<Hub>,
        stream: S,
        inbound: Inbound,
        credentials: Credentials<'_>,
        arrival: Arrival,
    ) -> Self {
        let framing = match inbound {
            Inbound::Lines => Framing::Lines,
            Inbound::Frames(_) => Framing::Frames,
        };
        let outbox = hub.connect(credentials, framing, arrival);
        let is_paused = credentials.token.is_some() && hub.is_waiting(&outbox);
        Self::of(hub, stream, inbound, outbox, is_paused)
    }

    fn of(
        hub: Arc<Hub>,
        stream: S,
        inbound: Inbound,
        outbox: Arc<Outbox>,
        is_paused: bool,
    ) -> Self {
        Self {
            hub,
            outbox,
            stream,
            inbound,
            phase: Phase::Open,
            is_paused,
            in_line: None,
            waits_for_link: false,
            pause: None,
            unfinished: 0,
            at_end: None,
            has_left: false,
            carry: Vec::new(),
            writing: Writing::default(),
            written: 0,
        }
    }

    fn turn(&mut self, worker: &mut Worker, cx: &mut Context<'_>) -> Poll<()> {
        // What is read is answered in the same turn, and the socket is looked at once more unless it filled the buffer.
        for _ in 0..2 {
            if let Step::Gone = self.flush(&mut worker.tools, cx) {
                return Poll::Ready(());
            }
            let waits_for_link = self.waits_for_link(cx);
            let step = match self.phase {
                Phase::Open if waits_for_link => Step::Wait,
                Phase::Open if self.is_paused => self.resume(&mut worker.tools, cx),
                // All is read; what is owed is still being written.
                Phase::Open if self.at_end.is_some() => Step::Wait,
                Phase::Open => self.read(worker, cx),
                Phase::Lingering => self.discard(worker, cx),
            };
            match step {
                Step::Again => {}
                Step::Yield => break,
                Step::Wait => return Poll::Pending,
                Step::Gone => return Poll::Ready(()),
            }
        }
        if let Step::Gone = self.flush(&mut worker.tools, cx) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Writes until nothing is left or the socket takes no more.
    fn flush(&mut self, tools: &mut Tools, cx: &mut Context<'_>) -> Step {
        loop {
            loop {
                let left = &self.writing.bytes()[self.written..];
                if left.is_empty() {
                    break;
                }
                match Pin::new(&mut self.stream).poll_write(cx, left) {
                    Poll::Ready(Ok(count)) if count > 0 => {
                        self.written += count;
                        self.outbox.note_moved();
                    }
                    Poll::Ready(_) => return Step::Gone,
                    Poll::Pending if self.outbox.block(cx) => return Step::Gone,
                    Poll::Pending => return Step::Wait,
                }
            }
            // A plain socket has nothing to flush. One that encrypts keeps what it could not write; it counts as
            // written only when the system has it.
            match Pin::new(&mut self.stream).poll_flush(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Step::Gone,
                Poll::Pending if self.outbox.block(cx) => return Step::Gone,
                Poll::Pending => return Step::Wait,
            }
            self.written = 0;
            match self
                .outbox
                .take(&mut self.writing, &mut tools.out.spare, cx)
            {
                Taken::Bytes => {}
                Taken::Nothing => return Step::Wait,
                Taken::Ended(Ending::Dead) => return Step::Gone,
                Taken::Ended(ending) => match self.phase {
                    Phase::Open => {
                        self.phase = Phase::Lingering;
                        // Nothing more of it counts, so nothing is kept.
                        self.carry = Vec::new();
                        self.in_line = None;
                        if let Inbound::Frames(frames) = &mut self.inbound {
                            **frames = Frames::new(Vec::new());
                        }
                        self.set_unfinished(0);
                        self.say_goodbye(ending);
                    }
                    Phase::Lingering => return self.shut(ending, cx),
                },
            }
        }
    }

    /// Puts the closing frame in the place of what was written, where there is such a frame.
    fn say_goodbye(&mut self, ending: Ending) {
        let code: u16 = match ending {
            Ending::PeerLeft(None) | Ending::Dead => return,
            Ending::PeerLeft(Some(code)) => code,
            Ending::Shutdown => 1001,
            Ending::Drained => 1012,
            Ending::Protocol(code) => code,
            Ending::Broker(DisconnectReason::MessageTooLarge) => 1009,
            Ending::Broker(_) | Ending::RateExceeded => 1008,
        };
        let code = code.to_be_bytes();
        if self.outbox.framing == Framing::Frames {
            let payload = if ending == Ending::PeerLeft(Some(NO_CODE)) {
                &[][..]
            } else {
                &code
            };
            write_frame(CLOSE, payload, &mut self.writing.own);
        }
    }

    /// Closes the writing side, everything being written.
    fn shut(&mut self, ending: Ending, cx: &mut Context<'_>) -> Step {
        if matches!(ending, Ending::PeerLeft(_)) {
            // Before the client can see the end, so that its session no longer exists then.
            self.leave();
        }
        match Pin::new(&mut self.stream).poll_shutdown(cx) {
            Poll::Ready(Ok(())) if !matches!(ending, Ending::PeerLeft(_)) => Step::Wait,
            Poll::Pending => Step::Wait,
            Poll::Ready(_) => Step::Gone,
        }
    }

    /// A server that stops does not wait for clients that have no way to say goodbye.
    fn closes_abruptly(&self) -> bool {
        self.outbox.framing == Framing::Lines && self.outbox.is_shutting_down()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Connection<S> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        ready!(with_worker(|worker| self.turn(worker, cx)));
        Poll::Ready(())
    }
}

impl<S> Connection<S> {
    fn set_unfinished(&mut self, bytes: usize) {
        let before = std::mem::replace(&mut self.unfinished, bytes);
        if before != bytes {
            self.outbox.change_unfinished(before, bytes);
            self.hub.unfinished.change(before, bytes);
        }
    }

    fn leave(&mut self) {
        if !self.has_left {
            self.has_left = true;
            self.set_unfinished(0);
            self.hub.disconnect(self.outbox.session);
        }
    }
}

impl<S> Drop for Connection<S> {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mist_core::{Access, Config};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn very_many_frames_of_a_stranger_are_answered_each() {
        const PINGS: usize = 20_000;
        let config = Config {
            access: Access::Scoped,
            token: Some("s3cret".to_owned()),
            is_guarded: true,
            ..Config::default()
        };
        let hub = Arc::new(Hub::of(config));
        let auth = br#"{"command":"auth","data":"s3cret","id":1}"#;
        let head = [0x81, 0x80 | auth.len() as u8, 0, 0, 0, 0];
        let pings = [0x89, 0x80, 0, 0, 0, 0].repeat(PINGS);
        let input = [&pings[..], &head, auth].concat();
        // None came right behind the request, or some, or all.
        for ahead in [0, 64 << 10, input.len()] {
            let (mut near, far) = tokio::io::duplex(1 << 20);
            let (ahead, input) = input.split_at(ahead);
            let arrival = Arrival::default();
            let connection =
                Connection::frames(Arc::clone(&hub), far, ahead.to_vec(), None, arrival);
            let connection = tokio::spawn(connection);
            near.write_all(input).await.expect("it is taken");
            let answer = br#"{"command":"auth","data":"success","id":1}"#;
            let mut came = vec![0; 2 * PINGS + 2 + answer.len()];
            let reading = timeout(Duration::from_secs(20), near.read_exact(&mut came));
            reading.await.expect("they come").expect("it is open");
            let answer = [&[0x81, answer.len() as u8], &answer[..]].concat();
            let at = memchr::memmem::find(&came, &answer).expect("it is let in");
            came.drain(at..at + answer.len());
            assert!(came == [0x8A, 0].repeat(PINGS));
            drop(near);
            connection.await.expect("it ends in order");
        }
    }

    #[tokio::test]
    async fn what_was_read_stays_as_it_is_until_a_slow_receiver_has_it() {
        let hub = Arc::new(Hub::of(Config::default()));
        let connect = |bytes| {
            let (near, far) = tokio::io::duplex(bytes);
            let arrival = Arrival::default();
            tokio::spawn(Connection::lines(Arc::clone(&hub), far, None, arrival));
            near
        };
        // It takes a little at a time, and the publisher's next bytes are read long before it has the first.
        let (mut receiver, mut publisher) = (connect(1 << 10), connect(1 << 20));
        let subscribe = "{\"command\":\"subscribe\",\"tags\":[\"x\"],\"id\":1}\n";
        let written = receiver.write_all(subscribe.as_bytes()).await;
        written.expect("it is open");
        let mut answer = [0; 1 << 10];
        let count = receiver.read(&mut answer).await.expect("it is open");
        assert!(answer[..count].ends_with(b"\"id\":1}\n"));
        let line = |number| {
            format!("{{\"command\":\"publish\",\"tags\":[\"x\"],\"data\":\"number {number}\"}}\n")
        };
        let lines: String = (0..10_000).map(line).collect();
        let written = publisher.write_all(lines.as_bytes()).await;
        written.expect("it is open");
        let mut came = vec![0; lines.len()];
        let reading = timeout(Duration::from_secs(20), receiver.read_exact(&mut came));
        reading.await.expect("they come").expect("it is open");
        assert!(came == lines.as_bytes());
    }
}
