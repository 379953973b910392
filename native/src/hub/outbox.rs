//! Owns the bounded queue from the hub to one connection; knows nothing of sockets and makes no system call.
//!
//! Everybody appends, only the connection's own task takes out. What is queued is already in the connection's framing,
//! one message behind the other, so that a task writes many messages with one system call.

use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};

use mist_core::{CloseReason, Limits, SessionId, dropped_notice};
use parking_lot::{Mutex, MutexGuard};

use super::framing::{Framing, PING, write_frame};
use super::spare::Spare;

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The broker closed the session.
    Broker(CloseReason),
    /// The server shuts down.
    Shutdown,
    /// The client broke the rules of WebSocket; the close code says which.
    Protocol(u16),
    /// The client has closed its side; with this close code, if it said goodbye as a WebSocket does.
    PeerLeft(Option<u16>),
    /// Its socket stood still, its peer fell silent, or the time to close in good order is over: cut it.
    Dead,
}

/// Whole messages in one framing; `ends[i]` is where message `i` ends.
#[derive(Clone, Copy)]
pub(crate) struct Segment<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) ends: &'a [u32],
}

/// Bytes of answers that may wait for a client which asks without reading. Then it is not read from any more.
const REPLY_BYTES: usize = 1 << 20;

#[derive(Debug)]
pub(crate) struct Outbox {
    pub(crate) session: SessionId,
    pub(crate) framing: Framing,
    state: Mutex<State>,
    /// Whether the client is told of dropped messages.
    tells_drops: AtomicBool,
    /// Whether the socket took bytes, and whether bytes came in, since the watch last looked.
    has_moved: AtomicBool,
    was_heard: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    queued: Vec<u8>,
    messages: usize,
    reply_bytes: usize,
    /// What the connection has taken and not finished writing.
    taken_bytes: usize,
    taken_messages: usize,
    waker: Option<Waker>,
    /// Whether the connection sleeps with nothing to write, so that appending must wake it.
    is_asleep: bool,
    /// Whether the socket takes nothing at the moment.
    is_blocked: bool,
    /// Messages dropped since the connection last took what was queued, and in this episode.
    dropped: u64,
    dropped_in_episode: u64,
    ending: Option<Ending>,
    /// Seconds counted by the watch.
    stalled: u32,
    silent: u32,
    ending_for: u32,
    dropped_at_last_look: u64,
}

/// What a connection finds when it asks for more to write.
pub(crate) enum Taken {
    /// More bytes are in the buffer.
    Some,
    /// Nothing to write; the task will be woken.
    Nothing,
    /// Nothing to write, and nothing will be again.
    Ended(Ending),
}

/// What the watch is to do about a connection.
pub(crate) enum Concern {
    /// It has just begun to lose messages.
    Dropping,
    /// It has caught up after losing this many.
    CaughtUp(u64),
    /// Its socket took nothing for this many seconds.
    Stalled(u32),
    /// Nothing was heard from it for this many seconds.
    Silent(u32),
    /// It was to end this many seconds ago.
    Ending(u32),
}

impl Outbox {
    pub(crate) fn new(session: SessionId, framing: Framing) -> Self {
        Self {
            session,
            framing,
            state: Mutex::new(State::default()),
            tells_drops: AtomicBool::new(false),
            has_moved: AtomicBool::new(false),
            was_heard: AtomicBool::new(false),
        }
    }

    /// Appends what fits of a segment; returns how many messages did. The rest is dropped and counted.
    ///
    /// A sleeping connection's waker goes to `woken`: the caller wakes it once it holds no lock.
    pub(crate) fn append(
        &self,
        segment: Segment<'_>,
        limits: &Limits,
        spare: &mut Spare,
        woken: &mut Vec<Waker>,
    ) -> usize {
        let mut state = self.state.lock();
        let fitting = state.fitting(segment, limits);
        if fitting > 0 {
            let end = segment.ends[fitting - 1] as usize;
            state.room(spare).extend_from_slice(&segment.bytes[..end]);
            state.messages += fitting;
            state.wake(woken);
        }
        fitting
    }

    /// Like [`Outbox::append`] for the only receiver: when its outbox is empty it gets the buffer itself.
    pub(crate) fn append_or_swap(
        &self,
        bytes: &mut Vec<u8>,
        ends: &[u32],
        limits: &Limits,
        spare: &mut Spare,
        woken: &mut Vec<Waker>,
    ) -> usize {
        let mut state = self.state.lock();
        if state.queued.is_empty()
            && state.taken_bytes == 0
            && state.ending.is_none()
            && ends.len() <= limits.outbox_messages
            && (bytes.len() <= limits.outbox_bytes || ends.len() == 1)
        {
            std::mem::swap(&mut state.queued, bytes);
            if bytes.capacity() == 0 {
                *bytes = spare.take();
            }
            state.messages = ends.len();
            state.wake(woken);
            return ends.len();
        }
        drop(state);
        self.append(Segment { bytes, ends }, limits, spare, woken)
    }

    /// Appends an answer to the session's own request; it is never dropped.
    ///
    /// Where the client does not read its answers, it is not read from any more instead.
    pub(crate) fn append_reply(&self, spare: &mut Spare, woken: &mut Vec<Waker>, message: &[u8]) {
        if let Some(mut state) = self.write_reply(spare, |out| self.framing.write(message, out)) {
            state.wake(woken);
        }
    }

    /// Like [`Outbox::append_reply`], by the connection itself: it is awake, and writes next.
    pub(crate) fn append_own_reply(&self, spare: &mut Spare, message: &[u8]) {
        self.write_reply(spare, |out| self.framing.write(message, out));
    }

    /// Appends bytes that are framed already, by the connection itself.
    pub(crate) fn append_own_frames(&self, spare: &mut Spare, frames: &[u8]) {
        self.write_reply(spare, |out| out.extend_from_slice(frames));
    }

    /// Appends a ping, to which a WebSocket client must answer.
    pub(crate) fn append_ping(&self, spare: &mut Spare, woken: &mut Vec<Waker>) {
        if let Some(mut state) = self.write_reply(spare, |out| write_frame(PING, b"", out)) {
            state.wake(woken);
        }
    }

    fn write_reply(
        &self,
        spare: &mut Spare,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Option<MutexGuard<'_, State>> {
        let mut state = self.state.lock();
        if state.ending.is_some() {
            return None;
        }
        let queued = state.room(spare);
        let before = queued.len();
        write(queued);
        let length = queued.len() - before;
        state.reply_bytes += length;
        state.messages += 1;
        Some(state)
    }

    /// Whether so many answers wait that no further request should be taken from this connection for now.
    pub(crate) fn is_congested(&self) -> bool {
        self.state.lock().reply_bytes > REPLY_BYTES
    }

    /// Ends the connection once what is queued is written; a dead one at once. Returns whom to wake.
    #[must_use]
    pub(crate) fn end(&self, ending: Ending) -> Option<Waker> {
        let mut state = self.state.lock();
        if state.ending.is_none() || ending == Ending::Dead {
            state.ending = Some(ending);
        }
        state.is_asleep = false;
        state.waker.clone()
    }

    /// Like [`Outbox::end`], by somebody who holds no lock.
    pub(crate) fn end_now(&self, ending: Ending) {
        if let Some(waker) = self.end(ending) {
            waker.wake();
        }
    }

    /// Wakes the connection to look again whether it still waits for an answer of the host.
    pub(crate) fn nudge(&self) {
        let waker = self.state.lock().waker.clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether all that was ever queued has been written.
    pub(crate) fn is_written(&self) -> bool {
        let state = self.state.lock();
        state.queued.is_empty() && state.taken_bytes == 0
    }

    pub(crate) fn is_shutting_down(&self) -> bool {
        self.state.lock().ending == Some(Ending::Shutdown)
    }

    /// From now on the client is told when messages for it were dropped.
    pub(crate) fn tell_drops(&self) {
        self.tells_drops.store(true, Ordering::Relaxed);
    }

    /// Exchanges the connection's written buffer for what is queued, or puts the connection to sleep.
    pub(crate) fn take(&self, buffer: &mut Vec<u8>, spare: &mut Spare, cx: &Context<'_>) -> Taken {
        let mut state = self.state.lock();
        state.keep_waker(cx);
        state.is_blocked = false;
        state.taken_bytes = 0;
        state.taken_messages = 0;
        buffer.clear();
        state.is_asleep = false;
        if state.ending == Some(Ending::Dead) {
            return Taken::Ended(Ending::Dead);
        }
        if state.dropped > 0 {
            let count = std::mem::take(&mut state.dropped);
            if self.tells_drops.load(Ordering::Relaxed) {
                // Behind all that was queued before the gap, before all that comes after it.
                let framing = self.framing;
                framing.write(&dropped_notice(count), state.room(spare));
                state.messages += 1;
            }
        }
        state.reply_bytes = 0;
        if state.queued.is_empty() {
            spare.put(std::mem::take(&mut state.queued));
            spare.put(std::mem::take(buffer));
            if let Some(ending) = state.ending {
                return Taken::Ended(ending);
            }
            state.is_asleep = true;
            return Taken::Nothing;
        }
        std::mem::swap(buffer, &mut state.queued);
        state.taken_bytes = buffer.len();
        state.taken_messages = std::mem::take(&mut state.messages);
        Taken::Some
    }

    /// Notes that the socket takes nothing for now; returns whether the connection is to be cut.
    pub(crate) fn block(&self, cx: &Context<'_>) -> bool {
        let mut state = self.state.lock();
        state.keep_waker(cx);
        state.is_blocked = true;
        state.ending == Some(Ending::Dead)
    }

    pub(crate) fn note_moved(&self) {
        self.has_moved.store(true, Ordering::Relaxed);
    }

    pub(crate) fn note_heard(&self) {
        self.was_heard.store(true, Ordering::Relaxed);
    }

    /// Counts one second; calls `tell` for everything the watch should know. Only the watch calls this.
    pub(crate) fn look(&self, mut tell: impl FnMut(Concern)) {
        let mut state = self.state.lock();
        let moved = self.has_moved.swap(false, Ordering::Relaxed);
        let heard = self.was_heard.swap(false, Ordering::Relaxed);
        state.stalled = if state.is_blocked && !moved {
            state.stalled + 1
        } else {
            0
        };
        state.silent = if heard { 0 } else { state.silent + 1 };
        // Time in which a slow reader still takes what it is owed does not count.
        state.ending_for = if state.ending.is_none() || moved {
            0
        } else {
            state.ending_for + 1
        };
        let dropped = state.dropped_in_episode;
        let before = std::mem::replace(&mut state.dropped_at_last_look, dropped);
        let concerns = [
            (before == 0 && dropped > 0).then_some(Concern::Dropping),
            (before > 0 && dropped == before).then(|| {
                state.dropped_in_episode = 0;
                state.dropped_at_last_look = 0;
                Concern::CaughtUp(dropped)
            }),
            (state.stalled > 0).then_some(Concern::Stalled(state.stalled)),
            (state.silent > 0).then_some(Concern::Silent(state.silent)),
            (state.ending_for > 0).then_some(Concern::Ending(state.ending_for)),
        ];
        drop(state);
        concerns.into_iter().flatten().for_each(&mut tell);
    }
}

impl State {
    /// How many messages of a segment fit; notes the others as dropped.
    fn fitting(&mut self, segment: Segment<'_>, limits: &Limits) -> usize {
        if self.ending.is_some() {
            return 0;
        }
        let used = self.queued.len() + self.taken_bytes;
        let room = limits.outbox_bytes.saturating_sub(used);
        let places = limits
            .outbox_messages
            .saturating_sub(self.messages + self.taken_messages);
        let count = segment.ends.len();
        if segment.bytes.len() <= room && count <= places {
            return count;
        }
        let mut fitting = segment
            .ends
            .partition_point(|&end| end as usize <= room)
            .min(places);
        if used == 0 {
            // A single message that is larger than the bound passes through an empty outbox.
            fitting = fitting.max(1);
        }
        let dropped = (count - fitting) as u64;
        self.dropped += dropped;
        self.dropped_in_episode += dropped;
        fitting
    }

    fn room(&mut self, spare: &mut Spare) -> &mut Vec<u8> {
        if self.queued.capacity() == 0 {
            self.queued = spare.take();
        }
        &mut self.queued
    }

    fn wake(&mut self, woken: &mut Vec<Waker>) {
        if std::mem::take(&mut self.is_asleep) {
            woken.extend(self.waker.clone());
        }
    }

    fn keep_waker(&mut self, cx: &Context<'_>) {
        if !self
            .waker
            .as_ref()
            .is_some_and(|waker| waker.will_wake(cx.waker()))
        {
            self.waker = Some(cx.waker().clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use mist_core::{Broker, Config, Credentials};

    use super::*;

    fn outbox(framing: Framing) -> Outbox {
        let mut broker = Broker::new(Config::default(), 1);
        Outbox::new(broker.connect(Credentials::default()), framing)
    }

    fn limits(messages: usize, bytes: usize) -> Limits {
        let mut limits = Limits::default();
        limits.outbox_messages = messages;
        limits.outbox_bytes = bytes;
        limits
    }

    const THREE: Segment<'static> = Segment {
        bytes: b"aa\nbb\ncc\n",
        ends: &[3, 6, 9],
    };

    #[test]
    fn a_segment_is_cut_at_a_message_when_it_does_not_fit() {
        let mut spare = Spare::default();
        for (limits, expected, left) in [
            (limits(2, 100), 2, &b"aa\nbb\n"[..]),
            (limits(100, 8), 2, b"aa\nbb\n"),
            (limits(3, 9), 3, b"aa\nbb\ncc\n"),
            (limits(100, 1), 1, b"aa\n"),
        ] {
            let outbox = outbox(Framing::Lines);
            assert_eq!(
                outbox.append(THREE, &limits, &mut spare, &mut Vec::new()),
                expected
            );
            let mut buffer = Vec::new();
            let cx = Context::from_waker(Waker::noop());
            assert!(matches!(
                outbox.take(&mut buffer, &mut spare, &cx),
                Taken::Some
            ));
            assert_eq!(buffer, left);
        }
    }

    #[test]
    fn a_client_that_uses_ids_is_told_of_the_gap_where_it_is() {
        let outbox = outbox(Framing::Lines);
        outbox.tell_drops();
        let (mut spare, mut woken, mut buffer) = (Spare::default(), Vec::new(), Vec::new());
        let limits = limits(2, 100);
        let cx = Context::from_waker(Waker::noop());
        outbox.append(THREE, &limits, &mut spare, &mut woken);
        outbox.take(&mut buffer, &mut spare, &cx);
        assert_eq!(
            buffer,
            b"aa\nbb\n{\"command\":\"dropped\",\"data\":\"1\"}\n"
        );
        assert!(matches!(
            outbox.take(&mut buffer, &mut spare, &cx),
            Taken::Nothing
        ));
        assert_eq!(outbox.append(THREE, &limits, &mut spare, &mut woken), 2);
    }

    #[test]
    fn a_sleeping_connection_is_woken_once() {
        let outbox = outbox(Framing::Lines);
        let (mut spare, mut woken, mut buffer) = (Spare::default(), Vec::new(), Vec::new());
        let cx = Context::from_waker(Waker::noop());
        assert!(matches!(
            outbox.take(&mut buffer, &mut spare, &cx),
            Taken::Nothing
        ));
        let limits = Limits::default();
        outbox.append(THREE, &limits, &mut spare, &mut woken);
        outbox.append(THREE, &limits, &mut spare, &mut woken);
        assert_eq!(woken.len(), 1);
    }
}
