//! Owns the receiving side of a connection: bytes become lines, what is incomplete or has to wait is carried over, and
//! what comes after the goodbye is thrown away.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use mist_core::message::Messages;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::sleep_until;

use super::frames::FramesEnd;
use super::{Connection, Inbound, NO_CODE, SHORT_CARRY, Step, TLS_HELLO};
use crate::hub::handle::Flow;
use crate::hub::run::READ_BYTES;
use crate::hub::unfinished::COUNTED_FROM;
use crate::hub::worker::{Tools, Worker};
use crate::log_limit::Kind;
use crate::outbox::{Ending, SHARED_FROM_BYTES};

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) fn read(&mut self, worker: &mut Worker, cx: &mut Context<'_>) -> Step {
        if self.outbox.unfinished() > 0 && self.hub.unfinished.is_full() {
            // The watch wakes it.
            self.hub.unfinished.note_waiting();
            return Step::Wait;
        }
        if self.is_interrupted() {
            self.take_in(worker, 0);
            self.note_unfinished();
            return Step::Yield;
        }
        let kept = if self.carry.len() <= SHORT_CARRY {
            self.carry.len()
        } else {
            0
        };
        let most = self.hub.read_bytes(&self.outbox, self.kept_bytes());
        let end = (kept + most).min(READ_BYTES);
        let room = worker.room();
        room[..kept].copy_from_slice(&self.carry[..kept]);
        let mut buffer = ReadBuf::new(&mut room[kept..end]);
        match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
            Poll::Pending => return Step::Wait,
            Poll::Ready(Err(_)) => return Step::Gone,
            Poll::Ready(Ok(())) => {}
        }
        let count = buffer.filled().len();
        if count == 0 {
            self.end_of_input(&mut worker.tools);
            return Step::Again;
        }
        let is_full = kept + count == READ_BYTES;
        self.outbox.note_heard();
        self.take_in(worker, count);
        self.note_unfinished();
        // One turn each, even if there is more to read.
        match is_full || self.is_paused || self.is_interrupted() {
            true => Step::Yield,
            false => Step::Again,
        }
    }

    /// Whether there is more to do about frames that have come, before more are read.
    pub(super) fn is_interrupted(&self) -> bool {
        matches!(&self.inbound, Inbound::Frames(frames) if frames.is_interrupted())
    }

    /// Takes what was read into the worker's input, behind what was carried over.
    pub(super) fn take_in(&mut self, worker: &mut Worker, count: usize) {
        let Worker {
            input,
            lines,
            tools,
        } = worker;
        let bytes = input.bytes();
        match &mut self.inbound {
            Inbound::Lines if self.carry.len() <= SHORT_CARRY => {
                let kept = self.carry.len();
                if kept == 0 && bytes.starts_with(&TLS_HELLO) {
                    let peer = self.outbox.peer;
                    if self.hub.log.admits(Kind::UnexpectedTls, peer) {
                        tracing::info!(
                            session = self.outbox.session.slot(),
                            peer = peer.map(display),
                            "closing a connection that speaks TLS, which this listener does not; tls:// and wss:// \
                             listeners do"
                        );
                    }
                    return self.outbox.end_now(Ending::Dead);
                }
                self.carry.clear();
                tools.out.read = (kept + count >= SHARED_FROM_BYTES).then(|| input.clone());
                self.consume(tools, &bytes[..kept + count]);
                tools.out.read = None;
            }
            Inbound::Lines => {
                let read = &bytes[..count];
                self.carry.extend_from_slice(read);
                if memchr::memchr(b'\n', read).is_some() || self.carry.len() > self.message_bytes()
                {
                    let carried = std::mem::take(&mut self.carry);
                    self.consume(tools, &carried);
                }
            }
            Inbound::Frames(frames) => {
                lines.clear();
                let mut output = Vec::new();
                frames.set_limit(self.hub.in_force().limits.message_bytes);
                let fed = frames.feed(&bytes[..count], lines, &mut output);
                // Whole messages that wait for their turn are no long one.
                let unfinished = match frames.is_interrupted() {
                    true => 0,
                    false => frames.unfinished(),
                };
                self.consume(tools, lines);
                lines.shrink_to(2 * READ_BYTES);
                // For the frames themselves the limit of authenticated sessions applies.
                if unfinished > 0 && !self.is_paused && unfinished > self.message_bytes() {
                    let session = self.outbox.session;
                    return self.hub.handle_too_long(session, unfinished, tools);
                }
                if let Err(FramesEnd::Closed(code)) = fed {
                    self.at_end = Some(Ending::PeerLeft(Some(code.unwrap_or(NO_CODE))));
                    return self.end_unless_paused();
                }
                if !output.is_empty() {
                    self.outbox.append_own_frames(&mut tools.out.spare, &output);
                    // Pongs wait for a client that does not read just as answers do.
                    self.is_paused |= self.outbox.is_congested();
                }
                match fed {
                    Ok(()) | Err(FramesEnd::Closed(_)) => {}
                    Err(FramesEnd::Protocol(code)) => self.outbox.end_now(Ending::Protocol(code)),
                    Err(FramesEnd::TooLong(bytes)) => {
                        self.hub.handle_too_long(self.outbox.session, bytes, tools);
                    }
                }
            }
        }
    }

    /// Counts what is kept of messages that are not whole, or wait.
    pub(super) fn note_unfinished(&mut self) {
        let bytes = self.kept_bytes();
        self.set_unfinished(if bytes < COUNTED_FROM { 0 } else { bytes });
    }

    fn kept_bytes(&self) -> usize {
        let in_frames = match &self.inbound {
            Inbound::Lines => 0,
            Inbound::Frames(frames) => frames.unfinished(),
        };
        in_frames + self.carry.len()
    }

    /// Handles the whole lines of `bytes` and carries over what is behind them, or what has to wait.
    pub(super) fn consume(&mut self, tools: &mut Tools, bytes: &[u8]) {
        if self.is_paused {
            self.carry.extend_from_slice(bytes);
            return;
        }
        let whole = memchr::memrchr(b'\n', bytes).map_or(0, |newline| newline + 1);
        tools.out.is_link_short = false;
        let waiting = match self
            .hub
            .handle(&self.outbox, Messages::lines(&bytes[..whole]), tools)
        {
            Flow::Open => 0,
            Flow::Paused(waiting) => {
                self.is_paused = true;
                waiting
            }
            Flow::Spent(waiting) => {
                self.is_paused = true;
                waiting
            }
            Flow::Long(waiting) => {
                self.is_paused = true;
                let lines = bytes[whole - waiting..whole].to_vec();
                let walk = tools.out.walk.take();
                self.in_line = Some(self.hub.handle_in_line(&self.outbox, walk, lines));
                0
            }
        };
        self.waits_for_link |= tools.out.is_link_short;
        let partial = bytes.len() - whole;
        // What is paused may be a token, on which it depends how long the rest may be.
        if partial > 0 && !self.is_paused && partial > self.message_bytes() {
            self.hub
                .handle_too_long(self.outbox.session, partial, tools);
            return;
        }
        let keep = &bytes[whole - waiting..];
        if keep.is_empty() {
            self.carry = Vec::new();
        } else {
            self.carry.extend_from_slice(keep);
        }
    }

    pub(super) fn message_bytes(&self) -> usize {
        if self.outbox.is_link {
            // A line of another node is refused as a whole, and the session goes on.
            return usize::MAX;
        }
        self.hub.in_force().limits_of(&self.outbox).message_bytes
    }

    /// Goes on with what was put off, if the reason is gone.
    pub(super) fn resume(&mut self, tools: &mut Tools, cx: &mut Context<'_>) -> Step {
        if let Some(in_line) = &mut self.in_line {
            let Poll::Ready(returned) = Pin::new(in_line).poll(cx) else {
                return Step::Wait;
            };
            // What it asked for has panicked.
            let Ok((mut waiting, flow)) = returned else {
                return Step::Gone;
            };
            self.in_line = None;
            waiting.append(&mut self.carry);
            // Where nothing is left, nothing is kept.
            self.carry = if waiting.is_empty() {
                Vec::new()
            } else {
                waiting
            };
            self.is_paused = flow != Flow::Open;
            if !self.is_paused && self.carry.len() > self.message_bytes() {
                let bytes = std::mem::take(&mut self.carry).len();
                self.hub.handle_too_long(self.outbox.session, bytes, tools);
            }
            self.note_unfinished();
            self.end_unless_paused();
            return Step::Again;
        }
        if self.outbox.is_congested() || self.hub.is_waiting(&self.outbox) {
            return Step::Wait;
        }
        if self.is_held_up(cx) {
            return Step::Wait;
        }
        self.is_paused = false;
        let carried = std::mem::take(&mut self.carry);
        self.consume(tools, &carried);
        self.note_unfinished();
        self.end_unless_paused();
        match self.is_paused {
            true => Step::Yield,
            false => Step::Again,
        }
    }

    pub(super) fn waits_for_link(&mut self, cx: &Context<'_>) -> bool {
        let session = self.outbox.session.slot();
        self.waits_for_link =
            self.waits_for_link && self.hub.link_room.poll(session, cx).is_pending();
        self.waits_for_link
    }

    /// Whether it has to wait, since its client did too much in a second; it is woken when that is over.
    fn is_held_up(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(allowance) = self.outbox.allowance.get() else {
            return false;
        };
        let Some(until) = allowance.until(Instant::now()) else {
            self.pause = None;
            return false;
        };
        if let Some(exceeded) = allowance.take_unsaid() {
            self.hub.say_held_up(self.outbox.peer, exceeded);
        }
        let pause = self
            .pause
            .get_or_insert_with(|| Box::pin(sleep_until(until.into())));
        // It may have to wait for something else after that.
        if pause.deadline() != until.into() {
            pause.as_mut().reset(until.into());
        }
        pause.as_mut().poll(cx).is_pending()
    }

    /// The client sends nothing more: its last line may lack a newline, and what it is owed is still written.
    pub(super) fn end_of_input(&mut self, tools: &mut Tools) {
        if let (Inbound::Lines, false) = (&self.inbound, self.carry.is_empty()) {
            let mut last = std::mem::take(&mut self.carry);
            last.push(b'\n');
            self.consume(tools, &last);
            self.note_unfinished();
        }
        self.at_end = Some(Ending::PeerLeft(None));
        self.end_unless_paused();
    }

    pub(super) fn end_unless_paused(&self) {
        if let (Some(ending), false) = (self.at_end, self.is_paused) {
            self.outbox.end_now(ending);
        }
    }

    /// Waits for the client's side to close; the watch sees to it that this ends.
    pub(super) fn discard(&mut self, worker: &mut Worker, cx: &mut Context<'_>) -> Step {
        let is_interrupted = self.is_interrupted();
        let mut buffer = ReadBuf::new(worker.room());
        let polled = match is_interrupted {
            true => Poll::Ready(Ok(())),
            false => Pin::new(&mut self.stream).poll_read(cx, &mut buffer),
        };
        match polled {
            Poll::Pending if self.closes_abruptly() => Step::Gone,
            Poll::Pending => Step::Wait,
            Poll::Ready(Err(_)) => Step::Gone,
            Poll::Ready(Ok(())) if buffer.filled().is_empty() && !is_interrupted => Step::Gone,
            Poll::Ready(Ok(())) => {
                let count = buffer.filled().len();
                match &mut self.inbound {
                    Inbound::Frames(frames) => {
                        let Worker { input, lines, .. } = worker;
                        lines.clear();
                        if frames.unfinished() > READ_BYTES {
                            // It is in the middle of a message and will not say goodbye.
                            return Step::Gone;
                        }
                        match frames.feed(&input.bytes()[..count], lines, &mut Vec::new()) {
                            Err(FramesEnd::Closed(_)) => Step::Gone,
                            _ if frames.is_interrupted() => Step::Yield,
                            _ => Step::Again,
                        }
                    }
                    Inbound::Lines => Step::Again,
                }
            }
        }
    }
}
