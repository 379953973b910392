//! Owns the life of the connection: attempts, restoring, signs of life, the end; knows nothing of what is asked over it.

use alloc::string::String;
use core::time::Duration;

use super::event::{Action, CloseReason, Event, Reply, RequestError};
use super::requests::{Awaits, Errand, Offline};
use super::retry::SERVICE_RESTART;
use super::token::Renewal;
use super::{Client, Phase, Token};
use crate::text::text;

impl Client {
    /// Takes the connection that [`Action::Connect`] asked for: presents the token, restores the subscriptions,
    /// and waits for the answers; without either it asks for a sign of life.
    pub fn handle_open(&mut self, now: Duration, token: Option<Token<'_>>) {
        if !matches!(self.phase, Phase::Connecting { .. }) {
            return;
        }
        self.asked = None;
        self.is_reading_held = false;
        self.can_renew = matches!(token, Some(Token::Fresh(_)));
        self.renewal_failures = 0;
        match token {
            Some(Token::Static(token)) => self.present(token, true),
            Some(Token::Fresh(token)) => self.present(token, false),
            None => {}
        }
        self.restore(now, usize::from(token.is_some()));
    }

    /// Asks for all that is wanted; `unsettled` answers are still to come for what was asked before.
    pub(super) fn restore(&mut self, now: Duration, mut unsettled: usize) {
        self.heard = now;
        for slot in self.subscriptions.slots() {
            self.send_subscribe(slot, true);
            unsettled += 1;
        }
        if unsettled == 0 {
            // A system or a proxy takes connections for servers that are not there.
            self.send_ping(true);
            unsettled += 1;
        }
        self.phase = Phase::Restoring { unsettled };
    }

    /// Notes that the connection ended, or that the attempt failed; `reason` says why, for people. `code` is the one that a
    /// WebSocket was closed with: after 1012, service restart, the next attempt is put off for longer.
    pub fn handle_close(&mut self, now: Duration, code: Option<u16>, reason: &str) {
        if !self.has_connection() {
            return;
        }
        let pause = match (code, self.config.reconnect) {
            (Some(SERVICE_RESTART), Some(backoff)) => {
                backoff.pause_after_restart(self.random.next())
            }
            _ => Duration::ZERO,
        };
        self.lose_for(now, reason.into(), pause);
    }

    /// Notes that the host has stopped reading, or reads again: what is not read cannot count as a missed sign of life.
    pub fn hold(&mut self, now: Duration, is_held: bool) {
        if self.is_reading_held && !is_held {
            self.heard = now;
            self.asked = None;
        }
        self.is_reading_held = is_held;
    }

    /// Asks for a sign of life now: after sleep, or when the network changed. While waiting, tries at once.
    pub fn probe(&mut self, now: Duration) {
        match self.phase {
            Phase::Waiting { .. } => self.connect(now),
            Phase::Open { .. } if self.asked.is_none() => self.ask(now),
            _ => {}
        }
    }

    /// Ends the client. What was handed over before can still be taken and sent; requests without an answer fail.
    pub fn close(&mut self) {
        if matches!(self.phase, Phase::Closed(_)) {
            return;
        }
        let has_connection = self.has_connection();
        self.end(CloseReason::Requested);
        if has_connection {
            self.actions.push_back(Action::Disconnect);
        }
    }

    /// Returns when [`Client::handle_timeout`] is due; ask again after every verb.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        let phase = match self.phase {
            Phase::Connecting { deadline } => Some(deadline),
            Phase::Waiting { until } => Some(until),
            Phase::Restoring { .. } => Some(self.restoring_due()),
            Phase::Open { .. } => self.heartbeat_due(),
            Phase::Expired | Phase::Closed(_) => None,
        };
        let kept = match self.config.offline {
            Offline::Buffer { max_age, .. } => {
                let oldest = self.buffer.publishes.front();
                oldest.map(|publish| publish.kept_at.saturating_add(max_age))
            }
            Offline::Reject => None,
        };
        let request = self.requests.next_deadline();
        let due = [phase, kept, request, self.renewal_due()];
        due.into_iter().flatten().min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Duration) {
        while let Some(waiting) = self.requests.expired(now) {
            self.time_out(waiting);
        }
        self.discard_old(now);
        self.renew_if_due(now);
        match self.phase {
            Phase::Connecting { deadline } if now >= deadline => {
                let after = self.config.connect_timeout;
                self.actions.push_back(Action::Disconnect);
                self.lose(now, text!["no connection within ", after]);
            }
            Phase::Restoring { .. } if now >= self.restoring_due() => {
                let after = self.config.connect_timeout;
                self.actions.push_back(Action::Disconnect);
                self.lose(
                    now,
                    text!["connected, but the server sent nothing for ", after],
                );
            }
            Phase::Waiting { until } if now >= until => self.connect(now),
            Phase::Open { .. } if self.heartbeat_due().is_some_and(|due| now >= due) => {
                if self.asked.is_none() {
                    self.ask(now);
                } else {
                    let after = self.config.heartbeat_timeout;
                    self.actions.push_back(Action::Disconnect);
                    self.lose(now, text!["no sign of life within ", after]);
                }
            }
            _ => {}
        }
    }

    /// Whether the server can be asked for a subscription now; otherwise it is once the server has the token.
    pub(super) fn may_subscribe(&self) -> bool {
        matches!(self.phase, Phase::Restoring { .. } | Phase::Open { .. })
    }

    pub(super) fn is_connected(&self) -> bool {
        self.may_subscribe() || matches!(self.phase, Phase::Expired)
    }

    pub(super) fn has_connection(&self) -> bool {
        self.is_connected() || matches!(self.phase, Phase::Connecting { .. })
    }

    pub(super) fn connect(&mut self, now: Duration) {
        self.phase = Phase::Connecting {
            deadline: now.saturating_add(self.config.connect_timeout),
        };
        self.event(Event::Connecting);
        self.actions.push_back(Action::Connect);
    }

    pub(super) fn open_if_settled(&mut self, now: Duration) {
        if !matches!(self.phase, Phase::Restoring { unsettled: 0 }) {
            return;
        }
        self.phase = Phase::Open { since: now };
        self.discard_old(now);
        while let Some(publish) = self.buffer.pop() {
            let is_wanted = publish
                .request
                .is_none_or(|request| self.requests.leaves_buffer(request));
            if publish.request.is_none() {
                self.untaken = Some(self.requests.last());
            }
            if is_wanted {
                self.wire.extend_from_slice(&publish.text);
                self.wire.push(b'\n');
            }
        }
        let resumed = self.was_open;
        self.was_open = true;
        self.event(Event::Open { resumed });
    }

    pub(super) fn lose(&mut self, now: Duration, reason: String) {
        self.lose_for(now, reason, Duration::ZERO);
    }

    /// Loses the connection, and makes no other for `pause` and the time that the policy adds.
    pub(super) fn lose_for(&mut self, now: Duration, reason: String, pause: Duration) {
        if let Phase::Open { since } = self.phase {
            let lasting = self.config.reconnect.unwrap_or_default().max;
            // A server that takes connections and drops them at once must not be hammered.
            if now.saturating_sub(since) >= lasting {
                self.failures = 0;
            }
        }
        self.wire.clear();
        self.renewal = Renewal::None;
        if let Some(after) = self.untaken.take() {
            self.note_loss(after, || reason.clone());
        }
        self.subscriptions.connection_lost();
        for waiting in self.requests.connection_lost() {
            let request = waiting.request();
            let command = waiting.command.into_owned();
            let result = match waiting.awaits {
                Awaits::WireOrLoss => Ok(Reply::success(&command)),
                _ => Err(RequestError::ConnectionLost {
                    command,
                    reason: reason.clone(),
                }),
            };
            self.actions.push_back(Action::Answer { request, result });
        }
        let Some(backoff) = self.config.reconnect else {
            return self.end(CloseReason::Lost(reason));
        };
        let delay = backoff.delay(self.failures, self.random.next());
        let retry_in = pause.saturating_add(delay);
        self.failures = self.failures.saturating_add(1);
        self.phase = Phase::Waiting {
            until: now.saturating_add(retry_in),
        };
        self.event(Event::Waiting { reason, retry_in });
    }

    pub(super) fn end(&mut self, reason: CloseReason) {
        self.renewal = Renewal::None;
        for waiting in self.requests.take_all() {
            let request = waiting.request();
            let result = Err(RequestError::Closed {
                reason: reason.clone(),
            });
            self.actions.push_back(Action::Answer { request, result });
        }
        let mut discarded = 0;
        while let Some(publish) = self.buffer.pop() {
            discarded += usize::from(publish.request.is_none());
        }
        self.tell_discarded(discarded);
        self.event(Event::Closed {
            reason: reason.clone(),
        });
        self.phase = Phase::Closed(reason);
    }

    fn restoring_due(&self) -> Duration {
        self.heard.saturating_add(self.config.connect_timeout)
    }

    pub(super) fn heartbeat_due(&self) -> Option<Duration> {
        if self.is_reading_held {
            return None;
        }
        match self.asked {
            Some(asked) => Some(asked.saturating_add(self.config.heartbeat_timeout)),
            None => Some(self.heard.saturating_add(self.config.heartbeat?)),
        }
    }

    pub(super) fn ask(&mut self, now: Duration) {
        self.send_ping(false);
        self.asked = Some(now);
    }

    fn send_ping(&mut self, is_restore: bool) {
        let number = self.requests.add_errand(Errand::Ping { is_restore });
        self.send("ping", &[], "", number);
    }
}
