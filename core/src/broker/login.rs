//! Presenting a token: from the words of a client to the grants that its session is held to.

use alloc::string::String;
use alloc::vec::Vec;

use super::Broker;
use super::holders::Holders;
use super::output::{DisconnectReason, Output, TokenCheck};
use super::revocation::Revocation;
use super::session::{About, Phase, Role, Session, SessionId};
use crate::auth::{Access, AuthReply, AuthRequest, Grants, NO_GRANTS, TokenStorage};
use crate::error::TokenError;
use crate::limits::LIMIT;
use crate::message::{Refusal, too_many_wrong_tokens};

impl Broker {
    /// Whether a token is no longer than one may be.
    pub(super) fn check_token_size(&self, token: &str) -> Result<(), Refusal> {
        let limit = self.limits.token_bytes;
        Ok(LIMIT.token_bytes.check(token.len(), limit)?)
    }

    /// Takes a token that a client presents.
    ///
    /// A session with a token may later present another of the same subject, and then has the grants of that one.
    pub(super) fn log_in(
        &mut self,
        session: SessionId,
        token: &str,
        id: Option<&str>,
        is_later: bool,
    ) {
        if let Err(refusal) = self.check_token_size(token) {
            return self.send_error(session, "auth", &refusal.to_error(), id);
        }
        let is_checked =
            self.asks_host || self.token.is_some() || self.token_storage != TokenStorage::None;
        if self.is_guarded && is_checked {
            let token = token.into();
            self.ask(session, "auth", id, About::Presented { token, is_later });
            self.outputs.push_back(Output::TokenPresented { session });
        } else {
            self.check(session, token, id, is_later);
        }
    }

    /// The token of [`Output::TokenPresented`], for a host that wants to know whether it has come before.
    #[must_use]
    pub fn presented_token(&self, session: SessionId) -> Option<&str> {
        match &self.session(session)?.question.as_ref()?.about {
            About::Presented { token, .. } => Some(token),
            _ => None,
        }
    }

    /// Answers [`Output::TokenPresented`] without looking at the token: the session is told to try again later, and
    /// closed.
    pub fn turn_away(&mut self, session: SessionId) {
        if self.presented_token(session).is_none() {
            return;
        }
        let _ = self.answer(session);
        if let Some(state) = self.session_mut(session) {
            state.phase = Phase::Closing;
        }
        self.send_error(session, "", &too_many_wrong_tokens(), None);
        let reason = DisconnectReason::TurnedAway;
        self.outputs.push_back(Output::Close { session, reason });
    }

    /// Answers [`Output::TokenPresented`].
    pub fn check_token(&mut self, session: SessionId) {
        if self.presented_token(session).is_none() {
            return;
        }
        let Some(question) = self.answer(session) else {
            return;
        };
        if let About::Presented { token, is_later } = &question.about {
            self.check(session, token, question.id.as_deref(), *is_later);
        }
        self.handle_backlog(session, &question);
    }

    fn check(&mut self, session: SessionId, token: &str, id: Option<&str>, is_later: bool) {
        // Its own token may have been taken from it while this one waited.
        let is_later = is_later && self.goes_by_token(session);
        let is_server = self.token.as_ref().is_some_and(|secret| secret.is(token));
        if is_server && is_later {
            self.note_checked(session, TokenCheck::Valid);
            let refusal = Refusal::AuthNotFirst;
            return self.send_error(session, "auth", &refusal.to_error(), id);
        }
        if is_server {
            self.set_role(session, Role::Admin);
            self.note_checked(session, TokenCheck::Valid);
            return self.acknowledge_login(session, id);
        }
        let is_checked = self.asks_host || self.token_storage != TokenStorage::None;
        match is_checked || self.access == Access::Scoped {
            true => self.look_up(session, token.into(), id, is_later),
            // Nothing to check against: like the original, take it without a word.
            false => self.acknowledge_login(session, id),
        }
    }

    /// Finds out what a presented token may do, from the host where it is not in the table.
    pub(super) fn look_up(
        &mut self,
        session: SessionId,
        token: String,
        id: Option<&str>,
        is_later: bool,
    ) {
        let found = self.table.find(&token);
        if found.is_some() || !self.asks_host {
            return self.finish_log_in(session, &token, id, is_later, Ok(found));
        }
        let request = AuthRequest::Authenticate {
            token: token.clone(),
        };
        let holders = self.holders.entry(token.as_str().into()).or_default();
        holders.asked_about += 1;
        let changes = holders.changes;
        let about = About::Login {
            token,
            changes,
            is_later,
        };
        self.ask(session, "auth", id, about);
        self.outputs.push_back(Output::Ask { session, request });
    }

    pub(super) fn finish_log_in(
        &mut self,
        session: SessionId,
        token: &str,
        id: Option<&str>,
        is_later: bool,
        reply: AuthReply,
    ) {
        // The token may have been taken from it meanwhile.
        let held = match self.session(session).map(|state| &state.role) {
            Some(Role::Token { token, .. }) if is_later => Some(self.grants_of(token)),
            _ => None,
        };
        let is_later = held.is_some();
        let reply = match reply {
            Ok(Some(grants)) if grants.is_over(self.now) => Err(TokenError::Expired),
            reply => reply,
        };
        let refusal = match reply {
            Ok(Some(grants)) if held.is_some_and(|held| held.subject != grants.subject) => {
                self.note_checked(session, TokenCheck::Valid);
                Refusal::AuthNotFirst
            }
            Ok(Some(grants)) => {
                self.note_checked(session, TokenCheck::Valid);
                // What it had before must go where access is open, too.
                let is_held = self.access == Access::Scoped || grants.admin || is_later;
                let revocation = match is_held {
                    true => self.hold(session, token, grants.sorted()),
                    false => Revocation::default(),
                };
                if is_later {
                    if !self.begin(revocation.then_answer(session)) {
                        return self.ask(session, "auth", id, About::Renewal);
                    }
                } else {
                    self.begin(revocation);
                }
                return self.acknowledge_login(session, id);
            }
            Ok(None) | Err(TokenError::NotFound | TokenError::Invalid(_)) => {
                self.note_checked(session, TokenCheck::Wrong);
                match is_later {
                    true => Refusal::AuthNotFirst,
                    false => Refusal::WrongToken,
                }
            }
            Err(error) => {
                // Presenting an expired token is no guess, but it is refused.
                self.note_checked(session, TokenCheck::Unknown);
                match error {
                    TokenError::Expired => Refusal::TokenExpired,
                    _ => Refusal::StoreUnavailable,
                }
            }
        };
        self.send_error(session, "auth", &refusal.to_error(), id);
    }

    fn note_checked(&mut self, session: SessionId, check: TokenCheck) {
        if self.is_guarded {
            let checked = Output::TokenChecked { session, check };
            self.outputs.push_back(checked);
        }
    }

    fn set_role(&mut self, session: SessionId, role: Role) {
        let Some(state) = self.session_mut(session) else {
            return;
        };
        let former = core::mem::replace(&mut state.role, role);
        self.let_go(former);
    }

    /// Notes that a session uses a token, and the token's grants for all sessions that use it. Returns the sessions whose
    /// subscriptions must be checked, since they may have fewer grants than before.
    fn hold(&mut self, session: SessionId, token: &str, grants: Grants) -> Revocation {
        let loses = match self.session(session).map(|state| &state.role) {
            Some(Role::Token { token, .. }) => {
                !grants.cover_subscriptions_of(self.grants_of(token))
            }
            _ => false,
        };
        // First, since the session may go by the same token already.
        self.set_role(session, Role::Anonymous);
        let holders = self.holders.entry(token.into()).or_default();
        let place = holders.sessions.len() as u32;
        // A store that others write to may have taken something away meanwhile.
        let mut sessions = match grants.cover_subscriptions_of(&holders.grants) {
            true => Vec::new(),
            false => holders.sessions.clone(),
        };
        if loses {
            sessions.push(session);
        }
        self.set_grants(token, grants);
        if let Some(holders) = self.holders.get_mut(token) {
            holders.sessions.push(session);
        }
        self.set_role(
            session,
            Role::Token {
                token: token.into(),
                place,
            },
        );
        Revocation::of(sessions)
    }

    /// Notes that a token may have been changed by others than the broker, so that what was asked about it meanwhile is
    /// asked again. Returns what it grants if a session goes by it: then the host asks what it may do now, and calls
    /// [`Broker::handle_token_change`].
    pub fn note_token_change(&mut self, token: &str) -> Option<&Grants> {
        // One in the table is changed by the broker alone.
        if self.table.find(token).is_some() {
            return None;
        }
        let holders = self.holders.get_mut(token)?;
        holders.changes = holders.changes.wrapping_add(1);
        (!holders.sessions.is_empty()).then_some(&holders.grants)
    }

    /// Takes what a token may do now, and takes away from the sessions that go by it what they may do no more, in
    /// parts; without grants, the token itself.
    pub fn handle_token_change(&mut self, token: &str, grants: Option<Grants>) {
        let Some(grants) = grants.map(Grants::sorted) else {
            let revocation = self.revoke_token(token);
            self.begin(revocation);
            return;
        };
        let Some(holders) = self.holders.get(token) else {
            return;
        };
        let sessions = match grants.cover_subscriptions_of(&holders.grants) {
            true => Vec::new(),
            false => holders.sessions.clone(),
        };
        self.set_grants(token, grants);
        self.begin(Revocation::of(sessions));
    }

    fn goes_by_token(&self, session: SessionId) -> bool {
        self.session(session)
            .is_some_and(|state| matches!(state.role, Role::Token { .. }))
    }

    /// Whether the session may present a token after its first message, and whether that must be one of the same
    /// subject.
    pub(super) fn later_login(&self, session: SessionId) -> Option<bool> {
        match self.session(session)?.role {
            Role::Revoked => Some(false),
            Role::Token { .. } => Some(true),
            Role::Anonymous | Role::Admin => None,
        }
    }

    /// Whether the session may use commands at all.
    pub(super) fn check_access(&self, session: SessionId) -> Result<(), Refusal> {
        self.session(session)
            .map_or(Ok(()), |state| self.check_state(state))
    }

    pub(super) fn check_state(&self, state: &Session) -> Result<(), Refusal> {
        match (self.access, &state.role) {
            (Access::Scoped, Role::Anonymous | Role::Revoked) => Err(Refusal::Unauthenticated),
            _ => Ok(()),
        }
    }

    /// The grants a session is held to; none when it may do everything.
    pub(super) fn grants(&self, state: &Session) -> Option<&Grants> {
        match &state.role {
            Role::Token { token, .. } if self.access == Access::Scoped => {
                Some(self.grants_of(token))
            }
            _ => None,
        }
    }

    pub(super) fn grants_of(&self, token: &str) -> &Grants {
        let holders = self.holders.get(token);
        holders.map_or(&NO_GRANTS, |holders| &holders.grants)
    }

    /// Notes that a session no longer goes by what it had presented.
    pub(super) fn let_go(&mut self, role: Role) {
        let Role::Token { token, place } = role else {
            return;
        };
        let Some(holders) = self.holders.get_mut(&token) else {
            return;
        };
        holders.sessions.swap_remove(place as usize);
        if let Some(&moved) = holders.sessions.get(place as usize)
            && let Some(Session {
                role: Role::Token { place: moved, .. },
                ..
            }) = self.session_mut(moved)
        {
            *moved = place;
        }
        self.forget_unused(&token);
    }

    /// Notes that the host is no longer asked about a session that presents a token.
    pub(super) fn note_answered(&mut self, token: &str) {
        if let Some(holders) = self.holders.get_mut(token) {
            holders.asked_about -= 1;
        }
        self.forget_unused(token);
    }

    /// Forgets a token that no session goes by, nor is about to.
    pub(super) fn forget_unused(&mut self, token: &str) {
        let is_unused = |holders: &Holders| holders.sessions.is_empty() && holders.asked_about == 0;
        if self.holders.get(token).is_some_and(is_unused)
            && let Some(holders) = self.holders.remove(token)
        {
            self.move_end(token, holders.grants.expires_at, None);
        }
    }
}
