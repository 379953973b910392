//! Owns how messages and answers get into outboxes, and how the outputs of the broker are carried out under its lock.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use mist_core::{Output, SessionId, Standing};

use super::worker::{Errand, Outgoing};
use super::{Hub, Shared};
use crate::outbox::{Appended, Ending, Framing, Outbox, Segment, SharedBytes, SharedPart};

impl Hub {
    /// Gives the run to its receivers and empties it; returns how many messages outboxes took, each counted.
    pub(super) fn deliver(&self, shared: &Shared, input: &[u8], out: &mut Outgoing) -> usize {
        let Outgoing {
            run,
            frames,
            read,
            appended,
            spare,
            woken,
            is_link_short,
            ..
        } = out;
        if run.is_empty() {
            return 0;
        }
        *appended += run.weight();
        let count = run.len();
        let outbox = |&slot: &u32| shared.outboxes.get(slot as usize)?.as_deref();
        let room = self.backlog.room(shared.broker.limits());
        let mut reached = 0;
        let mut delivered = Appended::default();
        if let [only] = run.targets[..]
            && let Some(outbox) = outbox(&only)
            && (run.is_written() || outbox.framing == Framing::Frames)
        {
            reached = 1;
            let batch = match outbox.framing {
                Framing::Lines => &mut run.lines,
                Framing::Frames => {
                    frames.frame(run.segment(input));
                    &mut *frames
                }
            };
            delivered = outbox.append_or_swap(&mut batch.bytes, &batch.ends, room, spare, woken);
            frames.clear();
            if outbox.is_link {
                (reached, delivered.messages) = (0, 0);
                *is_link_short |= self.link_room.note(outbox.waiting_bytes(), room.bytes);
            }
        } else {
            let lines = run.segment(input);
            let is_shared = run.is_worth_sharing();
            let mut shared_lines = read.as_ref().and_then(|read| run.part_of(read));
            let mut shared_frames = None;
            for outbox in run.targets.iter().filter_map(outbox) {
                if outbox.framing == Framing::Frames && frames.ends.is_empty() {
                    frames.frame(lines);
                }
                let (segment, shared) = match outbox.framing {
                    Framing::Lines => (lines, &mut shared_lines),
                    Framing::Frames => (frames.segment(), &mut shared_frames),
                };
                if is_shared && shared.is_none() {
                    let copy = SharedBytes::copy(segment.bytes, spare);
                    *shared = Some(SharedPart::new(copy, 0, segment.bytes.len()));
                }
                let shared = shared.as_ref();
                let segment = Segment { shared, ..segment };
                let appended = outbox.append(segment, room, spare, woken);
                delivered.bytes += appended.bytes;
                // What other nodes do with it is not known here.
                if outbox.is_link {
                    *is_link_short |= self.link_room.note(outbox.waiting_bytes(), room.bytes);
                } else {
                    reached += 1;
                    delivered.messages += appended.messages;
                }
            }
            frames.clear();
        }
        run.clear();
        if delivered.bytes > 0 {
            self.backlog.add(delivered.bytes);
        }
        self.note_dropped(reached * count - delivered.messages);
        delivered.messages
    }

    pub(super) fn note_dropped(&self, count: usize) {
        if count > 0 {
            self.counters
                .dropped
                .fetch_add(count as u64, Ordering::Relaxed);
        }
    }

    /// Carries out the broker's outputs under the lock that they were made under. Otherwise another thread could deliver
    /// a message after the pong that follows an `unsubscribe`, or miss one after a `subscribe`. Work that must not be
    /// done under a lock becomes an errand. Returns how many messages outboxes took.
    pub(super) fn execute(&self, shared: &mut Shared, out: &mut Outgoing) -> usize {
        let mut delivered = 0;
        while let Some(output) = shared.broker.poll_output() {
            match output {
                Output::Send { session, message } => shared.append_reply(session, &message, out),
                Output::Deliver {
                    targets,
                    message,
                    receipt,
                    ..
                } => {
                    let run = &mut out.run;
                    run.targets.clear();
                    run.targets
                        .extend(targets.iter().map(|target| target.slot() as u32));
                    run.lines.bytes.extend_from_slice(&message);
                    run.end_line();
                    let count = self.deliver(shared, &[], out);
                    delivered += count;
                    if let Some(receipt) = receipt
                        && let Some(own) = shared.outbox(receipt.session())
                    {
                        self.answer_publish(shared, own, receipt, (&message, count), out);
                    }
                }
                Output::Ask { session, request } => out.errands.push(Errand::Ask(session, request)),
                Output::ListTokens {
                    session,
                    after,
                    most,
                } => out.errands.push(Errand::ListTokens(session, after, most)),
                Output::TokenPresented { session } => self.admit_token(shared, session),
                Output::TokenChecked { session, check } => {
                    if let Some(outbox) = shared.outbox(session) {
                        self.note_checked(outbox, check, &mut out.errands);
                        shared.hold_to_rates(outbox, out);
                    }
                }
                Output::Revoked { session } => {
                    if let Some(outbox) = shared.outbox(session) {
                        if self.is_scoped {
                            let seconds = shared.broker.limits().authentication_seconds;
                            outbox.begin_probation((seconds > 0).then_some(seconds));
                        }
                        if let Some(allowance) = outbox.allowance.get() {
                            allowance.speak_for(Standing::Stranger);
                        }
                    }
                }
                Output::SubjectChanged { session } => {
                    let standing = shared.broker.standing(session);
                    if let Some(outbox) = shared.outbox(session)
                        && let Some(allowance) = outbox.allowance.get()
                    {
                        allowance.speak_for(standing);
                    }
                }
                Output::Proceed => out.errands.push(Errand::Proceed),
                Output::Custom { session, request } => {
                    out.errands.push(Errand::Custom(session, request));
                }
                Output::Close { session, reason } => {
                    if let Some(outbox) = shared.outbox(session) {
                        out.woken.extend(outbox.end(Ending::Broker(reason)));
                    }
                }
                _ => {}
            }
        }
        delivered
    }
}

impl Shared {
    pub(super) fn outbox(&self, session: SessionId) -> Option<&Arc<Outbox>> {
        let outbox = self.outboxes.get(session.slot())?.as_ref();
        outbox.filter(|outbox| outbox.session == session)
    }

    /// Tells the rates the subject of a connection, and closes it if too many of the same subject have connected. An HTTP
    /// request learns it from the answer.
    fn hold_to_rates(&self, outbox: &Outbox, out: &mut Outgoing) {
        let Some(allowance) = outbox.allowance.get() else {
            return;
        };
        let standing = self.broker.standing(outbox.session);
        if let Err(exceeded) = allowance.log_in(standing, Instant::now())
            && !outbox.is_request
        {
            let notice = exceeded.answer("", None);
            outbox.append_reply(&mut out.spare, &mut out.woken, &notice);
            out.woken.extend(outbox.end(Ending::RateExceeded));
            out.errands.push(Errand::SayRefused(outbox.peer, exceeded));
        }
    }

    pub(super) fn append_reply(&self, session: SessionId, message: &[u8], out: &mut Outgoing) {
        if let Some(outbox) = self.outbox(session) {
            outbox.append_reply(&mut out.spare, &mut out.woken, message);
        }
    }
}
