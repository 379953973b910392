//! Owns what is noticed only with time: sockets that stand still, peers that fall silent, drops worth a line in the
//! log.
//!
//! One check of all outboxes a second replaces a timer per connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mist_core::{DisconnectReason, input_full, throttled_notice};
use tokio::time::{MissedTickBehavior, interval};
use tracing::field::display;

use super::Hub;
use super::worker::with_worker;
use crate::log_limit::Kind;
use crate::outbox::liveness::Concern;
use crate::outbox::{Ending, Framing, Outbox};

/// Seconds a client has to close its side after the server has closed the other; a server that stops is in a hurry.
const LINGER_SECONDS: u32 = 5;

/// Seconds for which a client that is held up may read nothing, besides those of everybody: it may write before it
/// reads.
const WRITING_SECONDS: u32 = 10;

impl Hub {
    /// Looks after all connections until dropped, and once a second after what else there is.
    pub(crate) async fn watch(self: Arc<Self>, also: impl Fn()) {
        let mut ticks = interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // First of all, so that connections that wait from now on are seen the next time.
            let has_waiting = self.unfinished.take_waiting();
            let (mut stalled, mut unfinished) = (Vec::new(), Vec::new());
            for outbox in self.outboxes() {
                if outbox.unfinished() > 0 {
                    unfinished.push(Arc::clone(&outbox));
                }
                if let Some(bytes) = self.watch_one(&outbox) {
                    stalled.push((bytes, outbox));
                }
            }
            self.relieve(stalled);
            self.relieve_input(&mut unfinished);
            if has_waiting {
                unfinished.iter().for_each(|outbox| outbox.nudge());
            }
            let now = Instant::now();
            self.tell_time();
            self.release_tokens(now);
            self.rates.forget_idle(now);
            self.log.tell(now);
            also();
        }
    }

    /// Cuts the stalled connections for which most waits, until all outboxes together are within half their bound.
    /// Readers that take anything at all are never cut.
    fn relieve(&self, mut stalled: Vec<(usize, Arc<Outbox>)>) {
        let mut total = self.backlog.bytes();
        let limit = self.in_force().limits.outbox_total_bytes;
        if total < limit {
            return;
        }
        stalled.sort_unstable_by_key(|&(bytes, _)| std::cmp::Reverse(bytes));
        for (bytes, outbox) in stalled {
            if total <= limit / 2 {
                break;
            }
            if self.log.admits(Kind::SocketStalled, outbox.peer) {
                tracing::warn!(
                    session = outbox.session.slot(),
                    peer = outbox.peer.map(display),
                    bytes,
                    total,
                    "closing a connection whose socket takes nothing: too much waits in all outboxes \
                     (outbox-total-bytes)"
                );
            }
            outbox.end_now(Ending::Dead);
            total = total.saturating_sub(bytes);
        }
    }

    /// Cuts the connections that have sent most of a message that is not whole, until all together are within half the
    /// bound. Each is told why, unless it is to end already: then its socket takes no last words, and what it has sent
    /// is kept until it is cut.
    fn relieve_input(&self, unfinished: &mut Vec<Arc<Outbox>>) {
        if self.unfinished.is_full() {
            let mut total = self.unfinished.bytes();
            let limit = self.unfinished.limit();
            unfinished.sort_by_cached_key(|outbox| outbox.unfinished());
            // The other nodes of a cluster are no single client.
            unfinished.retain(|outbox| !outbox.is_link);
            while total > limit / 2
                && let Some(outbox) = unfinished.pop()
            {
                let bytes = outbox.unfinished();
                if outbox.is_ending() {
                    outbox.end_now(Ending::Dead);
                    total = total.saturating_sub(bytes);
                    continue;
                }
                if self.log.admits(Kind::InputFull, outbox.peer) {
                    tracing::warn!(
                        session = outbox.session.slot(),
                        peer = outbox.peer.map(display),
                        bytes,
                        total,
                        "closing a connection with a message that is not whole: there is too much of such \
                         (input-total-bytes)"
                    );
                }
                with_worker(|worker| {
                    let out = &mut worker.tools.out;
                    outbox.append_reply(&mut out.spare, &mut out.woken, &input_full(limit));
                    let reason = DisconnectReason::MessageTooLarge;
                    out.woken.extend(outbox.end(Ending::Broker(reason)));
                    out.wake_all();
                });
                total = total.saturating_sub(bytes);
            }
        }
    }

    /// Returns how many bytes wait for a connection whose socket takes nothing.
    fn watch_one(self: &Arc<Self>, outbox: &Outbox) -> Option<usize> {
        if outbox.is_link {
            // It must not be cut; what it cannot take is dropped, and the others notice.
            return None;
        }
        let mut stalled = None;
        let (heartbeat, patience) = {
            let limits = &self.in_force().limits;
            (limits.heartbeat_seconds, limits.stall_seconds)
        };
        let (session, peer) = (outbox.session.slot(), outbox.peer.map(display));
        let may_say = |kind| self.log.admits(kind, outbox.peer);
        outbox.look(|concern| match concern {
            Concern::Dropping if may_say(Kind::SlowConsumer) => tracing::warn!(
                session,
                peer,
                "slow consumer: its outbox is full, newer messages for it are dropped"
            ),
            Concern::CaughtUp(dropped) if may_say(Kind::SlowConsumer) => {
                tracing::warn!(session, peer, dropped, "slow consumer: caught up");
            }
            Concern::Stalled(seconds, bytes)
                if seconds < patience
                    || outbox.is_throttled() && seconds < patience + WRITING_SECONDS =>
            {
                stalled = Some(bytes);
            }
            Concern::Stalled(seconds, _) => {
                if may_say(Kind::SocketStalled) {
                    tracing::warn!(
                        session,
                        peer,
                        seconds,
                        "closing a connection whose socket took nothing (stall-seconds)"
                    );
                }
                outbox.end_now(Ending::Dead);
            }
            Concern::Silent(seconds) if outbox.framing == Framing::Frames && heartbeat > 0 => {
                if seconds == heartbeat {
                    with_worker(|worker| {
                        let out = &mut worker.tools.out;
                        outbox.append_ping(&mut out.spare, &mut out.woken);
                        out.wake_all();
                    });
                } else if seconds > heartbeat + heartbeat.div_ceil(3) {
                    if may_say(Kind::SilentClient) {
                        tracing::info!(
                            session,
                            peer,
                            seconds,
                            "closing a connection that does not answer pings (heartbeat-seconds)"
                        );
                    }
                    outbox.end_now(Ending::Dead);
                }
            }
            Concern::Throttled => with_worker(|worker| {
                let out = &mut worker.tools.out;
                outbox.append_reply(&mut out.spare, &mut out.woken, &throttled_notice());
                out.wake_all();
            }),
            Concern::Unauthenticated => with_worker(|worker| {
                self.exclusively(&mut worker.tools, |shared| {
                    shared.broker.handle_unauthenticated(outbox.session);
                });
            }),
            Concern::Ending(seconds) if seconds > LINGER_SECONDS => outbox.end_now(Ending::Dead),
            _ => {}
        });
        stalled
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mist_core::Config;
    use tokio::io::AsyncWriteExt;
    use tokio::task::yield_now;
    use tokio::time::timeout;

    use super::*;
    use crate::connection::Connection;
    use crate::hub::Arrival;

    #[tokio::test]
    async fn who_takes_no_last_words_is_cut_once_its_message_has_to_go() {
        let mut config = Config::default();
        config.limits.input_total_bytes = 4 << 10;
        let hub = Arc::new(Hub::of(config));
        let (mut near, far) = tokio::io::duplex(1 << 10);
        let arrival = Arrival::default();
        let connection = tokio::spawn(Connection::lines(Arc::clone(&hub), far, None, arrival));
        // More answers than there is room for, and nobody reads them.
        let input = "{\"command\":\"ping\"}\n".repeat(100) + &"x".repeat(5 << 10);
        near.write_all(input.as_bytes()).await.expect("it is taken");
        while !hub.unfinished.is_full() {
            yield_now().await;
        }
        hub.relieve_input(&mut hub.outboxes());
        // It has its chance to say why.
        for _ in 0..10 {
            yield_now().await;
        }
        assert!(hub.unfinished.is_full() && !connection.is_finished());
        hub.relieve_input(&mut hub.outboxes());
        let ended = timeout(Duration::from_secs(20), connection).await;
        ended.expect("it is cut").expect("in good order");
        assert_eq!(hub.unfinished.bytes(), 0);
    }
}
