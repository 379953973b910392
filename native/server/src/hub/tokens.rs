//! Owns what the hub does about the tokens that clients present: when they are checked, and what follows; knows no
//! token.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use mist_core::{AuthRequest, Broker, SessionId, TokenCheck, TokenError, TokenName, TokenPage};
use sha2::{Digest, Sha256};

use super::worker::{Errand, with_worker};
use super::{Hub, Shared, unix_seconds};
use crate::admission::peer::Peer;
use crate::admission::token_throttle::{Admission, TokenThrottle};
use crate::auth::Origin;
use crate::outbox::Outbox;

impl Hub {
    /// Has the broker check a token that a client presents, unless it has to wait or too many do.
    pub(super) fn admit_token(&self, shared: &mut Shared, session: SessionId) {
        let peer = shared.outbox(session).and_then(|outbox| outbox.peer);
        let admission = match (peer, shared.broker.presented_token(session)) {
            (Some(peer), Some(token)) => {
                let mut throttle = self.throttle.lock();
                throttle.present(session, peer, token, Instant::now())
            }
            _ => Admission::Look,
        };
        match admission {
            Admission::Look => shared.broker.check_token(session),
            Admission::Wait => {}
            Admission::TurnAway => self.turn_away(&mut shared.broker, session),
        }
    }

    /// Notes the result of a check; the errands are what is to be done about it.
    pub(super) fn note_checked(
        &self,
        outbox: &Outbox,
        check: TokenCheck,
        errands: &mut Vec<Errand>,
    ) {
        match check {
            TokenCheck::Valid => outbox.end_probation(),
            TokenCheck::Wrong => {
                self.counters.refused_tokens.fetch_add(1, Ordering::Relaxed);
            }
            TokenCheck::Unknown => {}
        }
        let mut throttle = self.throttle.lock();
        let settled = throttle.settle(outbox.session, check, Instant::now());
        errands.extend(settled.next.map(Errand::LookAtToken));
        if let Some(peer) = outbox.peer.filter(|_| settled.is_exhausted) {
            errands.push(Errand::SayThrottled(peer));
        }
    }

    /// Where a token comes from that a session presents.
    pub(super) fn origin(&self, session: SessionId) -> Origin {
        let shared = self.shared.read();
        let outbox = shared.outbox(session);
        Origin {
            address: outbox.and_then(|outbox| outbox.peer).map(Peer::address),
            listener: outbox
                .and_then(|outbox| self.listeners.get(usize::from(outbox.listener)).cloned()),
            voucher: None,
        }
    }

    /// Asks again what a token may do that others have changed, and has taken away what it may do no more.
    pub(crate) async fn token_changed(self: &Arc<Self>, token: &str) -> Result<(), TokenError> {
        // A store in the broker's memory is changed by the broker alone.
        if !self.store.is_there() {
            return Ok(());
        }
        // Even if no session uses it: the next one must not get what is cached.
        self.authenticators().forget(token);
        let voucher = with_worker(|worker| {
            self.exclusively(&mut worker.tools, |shared| {
                let granted = shared.broker.note_token_change(token);
                granted.map(|granted| granted.voucher)
            })
        });
        if voucher.is_none() {
            return Ok(());
        }
        let token = token.to_owned();
        let request = AuthRequest::Authenticate {
            token: token.clone(),
        };
        let origin = Origin {
            voucher,
            ..Origin::default()
        };
        let (reply, turn) = self
            .store
            .ask_in_turn(&self.tasks, request, origin, true)
            .await;
        let grants = match reply {
            Ok(grants) => grants,
            Err(TokenError::NotFound | TokenError::Expired | TokenError::Invalid(_)) => None,
            Err(error) => return Err(error),
        };
        self.answer(|broker| {
            broker.handle_token_change(&token, grants);
            None
        });
        drop(turn);
        Ok(())
    }

    /// As [`Hub::token_changed`], for all tokens of a subject.
    pub(crate) async fn subject_changed(self: &Arc<Self>, subject: &str) -> Result<(), TokenError> {
        if !self.store.is_there() {
            return Ok(());
        }
        // The subject of a token may be known only by the answer.
        let tokens =
            self.tokens_in_use(|_, grants| grants.is_none_or(|grants| grants.subject == subject));
        let mut result = Ok(());
        for token in tokens {
            // One without an answer must not keep the others from being changed.
            result = result.and(self.token_changed(&token).await);
        }
        result
    }

    /// Asks the store which tokens it keeps, and tells the broker, with how many sessions go by each.
    pub(super) async fn list_tokens(
        self: Arc<Self>,
        session: SessionId,
        after: String,
        most: usize,
    ) {
        let page = self.store.list(&self.tasks, after, most).await;
        let page = page.map(|page| {
            let sessions = self.sessions_of(&page);
            (page, sessions)
        });
        self.answer(|broker| {
            broker.handle_token_list(session, page);
            Some(session)
        });
    }

    /// How many sessions go by each token.
    fn sessions_of(&self, page: &TokenPage) -> Vec<usize> {
        let names = page.tokens.iter().map(|listed| &listed.name);
        let mut sessions: HashMap<_, usize> = names.clone().map(|name| (name.clone(), 0)).collect();
        let by_hash = |name: &TokenName| matches!(name, TokenName::Hash(_));
        if sessions.keys().any(by_hash) {
            self.tokens_in_use(|token, grants| {
                let name = TokenName::Hash(Sha256::digest(token).into());
                if grants.is_some()
                    && let Some(count) = sessions.get_mut(&name)
                {
                    *count += 1;
                }
                false
            });
        }
        let shared = self.shared.read();
        let count = |name| sessions[name] + shared.broker.sessions_of(name);
        names.map(count).collect()
    }

    /// Has a token checked that has waited.
    pub(super) fn look_at_token(self: &Arc<Self>, session: SessionId) {
        self.answer(|broker| {
            broker.check_token(session);
            Some(session)
        });
    }

    /// Has the next tokens checked, and refuses those that have waited too long.
    pub(super) fn release_tokens(self: &Arc<Self>, now: Instant) {
        for part in TokenThrottle::parts() {
            // The throttle is free for others between two parts.
            let due = self.throttle.lock().tick(part, now);
            for session in due.looks {
                self.look_at_token(session);
            }
            for session in due.turned_away {
                self.answer(|broker| {
                    self.turn_away(broker, session);
                    Some(session)
                });
            }
        }
    }

    /// Tells the broker the time, so that expired tokens are revoked.
    pub(super) fn tell_time(self: &Arc<Self>) {
        let now = unix_seconds();
        with_worker(|worker| {
            self.exclusively(&mut worker.tools, |shared| shared.broker.handle_time(now));
        });
    }

    fn turn_away(&self, broker: &mut Broker, session: SessionId) {
        let turned_away = &self.counters.turned_away_tokens;
        turned_away.fetch_add(1, Ordering::Relaxed);
        broker.turn_away(session);
    }
}
