//! Owns the bounded queue from the hub to one connection; knows nothing of sockets and makes no system call.
//!
//! An [`Outbox`] is appended to by anybody ([`append`](Outbox::append), [`append_reply`](Outbox::append_reply)),
//! emptied by its connection ([`take`](Outbox::take)), looked at by the watch once a second ([`look`](Outbox::look))
//! and ended once ([`end`](Outbox::end)). What waits in all of them is bounded too, by a [`Backlog`] that they share.
//!
//! Everybody appends, only the connection's own task takes out. What is queued is already in the connection's framing,
//! one message behind the other, so that a task writes many messages with one system call.

mod backlog;
mod framing;
pub(crate) mod liveness;
mod queue;
mod spare;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Waker};

use mist_core::{DisconnectReason, SessionId, dropped_notice};
use mist_net::lock::Mutex;
use std::sync::MutexGuard;

pub(crate) use self::backlog::{Backlog, Room};
use self::framing::PING;
pub(crate) use self::framing::{CLOSE, Framing, TEXT, write_frame};
use self::queue::{Queue, Tally};
pub(crate) use self::queue::{SHARED_FROM_BYTES, SharedBytes, SharedPart, Writing};
pub(crate) use self::spare::Spare;
use crate::admission::peer::Peer;
use crate::admission::rates::allowance::Allowance;

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The broker closed the session.
    Broker(DisconnectReason),
    /// The server shuts down.
    Shutdown,
    /// The server will shut down, and has sent this client away already.
    Drained,
    /// It came too soon after others.
    RateExceeded,
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
    /// The same bytes, where outboxes are to share them.
    pub(crate) shared: Option<&'a SharedPart>,
}

/// Bytes of answers that may wait for a client which asks without reading. Then it is not read from any more.
const REPLY_BYTES: usize = 1 << 20;

/// What an outbox took. The bytes are the caller's to add to the [`Backlog`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Appended {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

#[derive(Debug)]
pub(crate) struct Outbox {
    pub(crate) session: SessionId,
    pub(crate) framing: Framing,
    pub(crate) peer: Option<Peer>,
    /// What its connection may do in a second, where there is a bound for that, or was.
    pub(crate) allowance: OnceLock<Box<Allowance>>,
    /// The number of the listener that the connection came to.
    pub(crate) listener: u16,
    /// Whether the connection is for one request over HTTP.
    pub(crate) is_request: bool,
    /// Whether the session is that of a cluster's node: it gets no notices.
    pub(crate) is_link: bool,
    backlog: Arc<Backlog>,
    state: Mutex<State>,
    /// Whether the client is told of dropped messages.
    tells_drops: AtomicBool,
    /// Whether the socket took bytes, and whether bytes came in, since the watch last looked.
    has_moved: AtomicBool,
    was_heard: AtomicBool,
    /// Bytes that have come of a message that is not whole, if they count.
    unfinished: AtomicUsize,
    /// Whether an answer is being put together that takes long.
    is_gathering: AtomicBool,
    /// Seconds that are left to authenticate; 0 when that is done, or need not be. The broker knows whether it must be,
    /// but reading from the socket and the watch do without its lock.
    probation: AtomicU32,
}

#[derive(Debug, Default)]
struct State {
    queue: Queue,
    /// What the connection has taken and not finished writing.
    taken: Tally,
    waker: Option<Waker>,
    /// Whether the connection sleeps with nothing to write, so that appending must wake it.
    is_asleep: bool,
    /// Whether the socket takes nothing at the moment.
    is_blocked: bool,
    /// Messages dropped that the client was not told of yet, and in this episode.
    dropped: u64,
    dropped_in_episode: u64,
    ending: Option<Ending>,
    /// Seconds counted by the watch.
    stalled: u32,
    silent: u32,
    throttled: u32,
    ending_for: u32,
    dropped_at_last_look: u64,
}

/// What a connection finds when it asks for more to write.
pub(crate) enum Taken {
    /// More bytes are in the buffer.
    Bytes,
    /// Nothing to write; the task will be woken.
    Nothing,
    /// Nothing to write, and nothing will be again.
    Ended(Ending),
}

impl Outbox {
    pub(crate) fn new(
        session: SessionId,
        framing: Framing,
        peer: Option<Peer>,
        backlog: Arc<Backlog>,
    ) -> Self {
        Self {
            session,
            framing,
            peer,
            allowance: OnceLock::new(),
            listener: 0,
            is_request: false,
            is_link: false,
            backlog,
            state: Mutex::new(State::default()),
            tells_drops: AtomicBool::new(false),
            has_moved: AtomicBool::new(false),
            was_heard: AtomicBool::new(false),
            unfinished: AtomicUsize::new(0),
            is_gathering: AtomicBool::new(false),
            probation: AtomicU32::new(0),
        }
    }

    /// Notes that something that was so large is now another size, of what the connection has sent that is not whole,
    /// or is done in line.
    pub(crate) fn change_unfinished(&self, before: usize, now: usize) {
        // Wraps around to what a subtraction comes to.
        self.unfinished
            .fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
    }

    pub(crate) fn unfinished(&self) -> usize {
        self.unfinished.load(Ordering::Relaxed)
    }

    /// From now on the connection is not read from, until the answer to its last request is here.
    pub(crate) fn begin_gathering(&self) {
        self.is_gathering.store(true, Ordering::Relaxed);
    }

    /// Appends the answer that was waited for, and wakes the connection.
    pub(crate) fn end_gathering(&self, spare: &mut Spare, woken: &mut Vec<Waker>, message: &[u8]) {
        self.append_reply(spare, woken, message);
        self.is_gathering.store(false, Ordering::Release);
        woken.extend(self.state.lock().waker.clone());
    }

    pub(crate) fn is_gathering(&self) -> bool {
        self.is_gathering.load(Ordering::Acquire)
    }

    /// Appends what fits of a segment; returns what did. The rest is dropped and counted.
    ///
    /// A sleeping connection's waker goes to `woken`: the caller wakes it once it holds no lock.
    pub(crate) fn append(
        &self,
        segment: Segment<'_>,
        room: Room,
        spare: &mut Spare,
        woken: &mut Vec<Waker>,
    ) -> Appended {
        let mut state = self.state.lock();
        let dropped = std::mem::take(&mut state.dropped);
        let messages = state.fitting(segment, room);
        if messages == 0 {
            state.dropped += dropped;
            return Appended::default();
        }
        self.tell_gap(&mut state, spare, dropped);
        let bytes = segment.ends[messages - 1] as usize;
        match segment.shared {
            // A part that is small is not worth it.
            Some(shared) if bytes == segment.bytes.len() || bytes >= SHARED_FROM_BYTES => {
                state.queue.share(shared.first(bytes), messages);
            }
            _ => {
                let write = |tail: &mut Vec<u8>| tail.extend_from_slice(&segment.bytes[..bytes]);
                state.queue.write(spare, messages, write);
            }
        }
        state.wake(woken);
        Appended { messages, bytes }
    }

    /// Like [`Outbox::append`] for the only receiver: when its outbox is empty it gets the buffer itself.
    pub(crate) fn append_or_swap(
        &self,
        bytes: &mut Vec<u8>,
        ends: &[u32],
        room: Room,
        spare: &mut Spare,
        woken: &mut Vec<Waker>,
    ) -> Appended {
        let mut state = self.state.lock();
        if state.queue.is_empty()
            && state.taken.bytes == 0
            && state.ending.is_none()
            && ends.len() <= room.messages
            && (bytes.len() <= room.bytes || ends.len() == 1)
        {
            let taken = Appended {
                messages: ends.len(),
                bytes: bytes.len(),
            };
            state.queue.swap(bytes, ends.len());
            if bytes.capacity() == 0 {
                *bytes = spare.take();
            }
            state.wake(woken);
            return taken;
        }
        drop(state);
        let segment = Segment {
            bytes,
            ends,
            shared: None,
        };
        self.append(segment, room, spare, woken)
    }

    /// Appends an answer to the session's own request; it is never dropped.
    ///
    /// Where the client does not read its answers, it is not read from any more instead.
    pub(crate) fn append_reply(&self, spare: &mut Spare, woken: &mut Vec<Waker>, message: &[u8]) {
        if let Some(mut state) = self.write_reply(spare, |out| self.framing.write(message, out)) {
            state.wake(woken);
        }
    }

    /// Like [`Outbox::append_reply`], by the connection itself, which is awake and writes next; or in line on its
    /// behalf, where it is nudged after each turn.
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
        if self.is_link {
            // A node would take it for a message, and hand it on.
            return None;
        }
        let mut state = self.state.lock();
        if state.ending.is_some() {
            return None;
        }
        let length = state.queue.write(spare, 1, write);
        state.queue.note_reply(length);
        self.backlog.add(length);
        Some(state)
    }

    /// Whether so many answers wait that no further request should be taken from this connection for now.
    pub(crate) fn is_congested(&self) -> bool {
        let state = self.state.lock();
        state.queue.tally().reply_bytes() + state.taken.reply_bytes() > REPLY_BYTES
    }

    /// Ends the connection once what is queued is written; a dead one at once. Returns the waker to call.
    #[must_use]
    pub(crate) fn end(&self, ending: Ending) -> Option<Waker> {
        let mut state = self.state.lock();
        if state.ending.is_none() || ending == Ending::Dead {
            state.ending = Some(ending);
        }
        state.is_asleep = false;
        state.waker.clone()
    }

    /// Like [`Outbox::end`], for callers that hold no lock.
    pub(crate) fn end_now(&self, ending: Ending) {
        self.end(ending).into_iter().for_each(Waker::wake);
    }

    /// Wakes the connection to look again whether it still waits for an answer of the host.
    pub(crate) fn nudge(&self) {
        let waker = self.state.lock().waker.clone();
        waker.into_iter().for_each(Waker::wake);
    }

    /// Whether all that was ever queued has been written.
    pub(crate) fn is_written(&self) -> bool {
        let state = self.state.lock();
        state.queue.is_empty() && state.taken.bytes == 0
    }

    /// Bytes that are not written yet.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.state.lock().waiting()
    }

    /// Whether it is to end, and has not yet.
    pub(crate) fn is_ending(&self) -> bool {
        self.state.lock().ending.is_some()
    }

    pub(crate) fn is_shutting_down(&self) -> bool {
        self.state.lock().ending == Some(Ending::Shutdown)
    }

    /// Notes that the client has sent an `id`: from now on it is told when messages for it were dropped.
    pub(crate) fn tell_drops(&self) {
        // Every append reads it, so it is written only once.
        if !self.tells_drops.load(Ordering::Relaxed) {
            self.tells_drops.store(true, Ordering::Relaxed);
        }
    }

    #[cfg(feature = "cluster")]
    pub(crate) fn tells_of_drops(&self) -> bool {
        !self.is_link && self.tells_drops.load(Ordering::Relaxed)
    }

    /// Exchanges what the connection has written for what is next, or puts the connection to sleep.
    pub(crate) fn take(&self, writing: &mut Writing, spare: &mut Spare, cx: &Context<'_>) -> Taken {
        let mut state = self.state.lock();
        state.keep_waker(cx);
        state.is_blocked = false;
        let taken = std::mem::take(&mut state.taken);
        if taken.bytes > 0 {
            self.backlog.remove(taken.bytes);
        }
        writing.clear(spare);
        state.is_asleep = false;
        if state.ending == Some(Ending::Dead) {
            return Taken::Ended(Ending::Dead);
        }
        let dropped = std::mem::take(&mut state.dropped);
        self.tell_gap(&mut state, spare, dropped);
        if state.queue.is_empty() {
            state.queue.rest(spare);
            writing.rest(spare);
            if let Some(ending) = state.ending {
                return Taken::Ended(ending);
            }
            state.is_asleep = true;
            return Taken::Nothing;
        }
        state.taken = state.queue.take(writing, spare);
        Taken::Bytes
    }

    /// Tells a client that wants to know of messages that were dropped: behind all that was queued before the gap,
    /// before all that comes after it.
    fn tell_gap(&self, state: &mut State, spare: &mut Spare, dropped: u64) {
        if dropped > 0 && self.tells_drops.load(Ordering::Relaxed) {
            let write = |out: &mut Vec<u8>| self.framing.write(&dropped_notice(dropped), out);
            self.backlog.add(state.queue.write(spare, 1, write));
        }
    }

    /// Notes that the socket takes nothing for now; returns whether the connection is to be cut.
    pub(crate) fn block(&self, cx: &Context<'_>) -> bool {
        let mut state = self.state.lock();
        state.keep_waker(cx);
        state.is_blocked = true;
        state.ending == Some(Ending::Dead)
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.backlog.remove(self.state.get_mut().waiting());
    }
}

impl State {
    /// Bytes that are not written yet.
    fn waiting(&self) -> usize {
        self.queue.tally().bytes + self.taken.bytes
    }

    /// How many messages of a segment fit; notes the others as dropped.
    fn fitting(&mut self, segment: Segment<'_>, room: Room) -> usize {
        if self.ending.is_some() {
            return 0;
        }
        let used = self.waiting();
        let free = room.bytes.saturating_sub(used);
        let places = room
            .messages
            .saturating_sub(self.queue.tally().messages() + self.taken.messages());
        let count = segment.ends.len();
        if segment.bytes.len() <= free && count <= places {
            return count;
        }
        let mut fitting = segment
            .ends
            .partition_point(|&end| end as usize <= free)
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
