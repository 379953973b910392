//! Owns when a connection needs its next token, and what becomes of the connection without one; knows nothing of where
//! tokens come from.

use alloc::string::String;
use core::time::Duration;

use super::event::{Action, CloseReason, Event};
use super::requests::Errand;
use super::token::Renewal;
use super::{Client, Phase};
use crate::error::ServerError;
use crate::text::text;

/// The least time between a token that failed and the request for the next: the rate at which a server checks wrong ones.
const PAUSE: Duration = Duration::from_secs(1);

impl Client {
    /// Takes the token that [`Action::ObtainToken`] asked for.
    pub fn handle_token(&mut self, now: Duration, token: &str) {
        if !matches!(self.renewal, Renewal::Asked(_)) {
            return;
        }
        self.present(token, false);
        if matches!(self.phase, Phase::Expired) {
            self.restore(now, 1);
        }
    }

    /// Notes that there is no token, neither for [`Action::Connect`] nor for [`Action::ObtainToken`]; `reason` says
    /// why, for people. When it `is_final`, the client closes; otherwise it asks again after a pause of a second at
    /// least.
    pub fn handle_no_token(&mut self, now: Duration, reason: &str, is_final: bool) {
        let is_connecting = matches!(self.phase, Phase::Connecting { .. });
        if !is_connecting && !matches!(self.renewal, Renewal::Asked(_)) {
            return;
        }
        if !is_final {
            return self.token_failed(now, reason.into(), None);
        }
        self.end(CloseReason::NoToken(reason.into()));
        if !is_connecting {
            self.actions.push_back(Action::Disconnect);
        }
    }

    pub(super) fn present(&mut self, token: &str, is_static: bool) {
        let number = self.requests.add_errand(Errand::Auth { is_static });
        self.send("auth", &[], token, number);
        self.renewal = Renewal::Presented;
    }

    /// Notes that the server took the token, which ends in so many seconds.
    pub(super) fn token_taken(&mut self, now: Duration, expires_in: Option<u64>) {
        self.renewal_failures = 0;
        self.renewal = match expires_in {
            Some(seconds) if self.can_renew => {
                // Some time between three quarters and nine tenths of its life: early enough for another attempt, and
                // not at the same time as all clients that connected together.
                let thousandths = 750 + (((self.random.next() >> 32) * 150) >> 32);
                let millis = seconds.min(u64::from(u32::MAX)) * thousandths;
                // A source that gives the same token again leaves ever less of its life.
                let after = Duration::from_millis(millis).max(PAUSE);
                Renewal::Due(now.saturating_add(after))
            }
            _ => Renewal::None,
        };
    }

    /// Takes the server's refusal of the token.
    pub(super) fn token_refused(&mut self, now: Duration, error: ServerError, is_static: bool) {
        let is_open = matches!(self.phase, Phase::Open { .. });
        if !is_open {
            self.actions.push_back(Action::Disconnect);
            self.wire.clear();
        }
        if error.code.is_passing() && !is_open {
            return self.lose(now, error.text);
        }
        let reason = CloseReason::AuthRefused(error.clone());
        match is_static {
            true => self.end(reason),
            false => self.token_failed(now, reason.text(), Some(error)),
        }
    }

    /// Tells of a token that could not be had or was refused, and sees to another: on this connection while there is
    /// one.
    fn token_failed(&mut self, now: Duration, reason: String, error: Option<ServerError>) {
        self.event(Event::TokenFailed {
            reason: reason.clone(),
            error,
        });
        if !self.is_renewing() {
            return self.lose_for(now, reason, PAUSE);
        }
        let backoff = self.config.reconnect.unwrap_or_default();
        let more = backoff.delay(self.renewal_failures, self.random.next());
        self.renewal_failures = self.renewal_failures.saturating_add(1);
        self.renewal = Renewal::Due(now.saturating_add(PAUSE).saturating_add(more));
    }

    /// Notes that the token has ended on the open connection, and with it all that the server held for it.
    pub(super) fn token_expired(&mut self, now: Duration, error: ServerError) {
        if matches!(self.phase, Phase::Expired) {
            return;
        }
        if !self.can_renew {
            self.actions.push_back(Action::Disconnect);
            return self.end(CloseReason::AuthRefused(error));
        }
        self.requests.forget_subscribes();
        self.subscriptions.connection_lost();
        self.phase = Phase::Expired;
        self.event(Event::Connecting);
        match self.renewal {
            Renewal::None | Renewal::Due(_) => self.ask_for_token(now),
            Renewal::Asked(_) => {}
            // It crossed the news.
            Renewal::Presented => self.restore(now, 1),
        }
    }

    fn ask_for_token(&mut self, now: Duration) {
        self.renewal = Renewal::Asked(now.saturating_add(self.config.connect_timeout));
        self.actions.push_back(Action::ObtainToken);
    }

    /// Whether the connection goes on while the next token is seen to.
    fn is_renewing(&self) -> bool {
        matches!(self.phase, Phase::Open { .. } | Phase::Expired)
    }

    pub(super) fn renewal_due(&self) -> Option<Duration> {
        match self.renewal {
            Renewal::Due(time) | Renewal::Asked(time) if self.is_renewing() => Some(time),
            _ => None,
        }
    }

    pub(super) fn renew_if_due(&mut self, now: Duration) {
        if self.renewal_due().is_none_or(|due| now < due) {
            return;
        }
        if matches!(self.renewal, Renewal::Due(_)) {
            return self.ask_for_token(now);
        }
        let after = self.config.connect_timeout;
        self.token_failed(now, text!["no token within ", after], None);
    }
}
