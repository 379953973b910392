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
    pub(super) fn log_in(&mut self, session: SessionId, token: &str, id: Option<&str>) {
        if let Err(refusal) = self.check_token_size(token) {
            return self.send_error(session, "auth", &refusal.to_error(), id);
        }
        if self.is_guarded && (self.token.is_some() || self.token_storage != TokenStorage::None) {
            self.ask(session, "auth", id, About::Presented(token.into()));
            self.outputs.push_back(Output::TokenPresented { session });
        } else {
            self.check(session, token, id);
        }
    }

    /// The token of [`Output::TokenPresented`], for a host that wants to know whether it has come before.
    #[must_use]
    pub fn presented_token(&self, session: SessionId) -> Option<&str> {
        match &self.session(session)?.question.as_ref()?.about {
            About::Presented(token) => Some(token),
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
        if let About::Presented(token) = &question.about {
            self.check(session, token, question.id.as_deref());
        }
        self.handle_backlog(session, &question);
    }

    fn check(&mut self, session: SessionId, token: &str, id: Option<&str>) {
        if self.token.as_ref().is_some_and(|secret| secret.is(token)) {
            self.set_role(session, Role::Admin);
            self.note_checked(session, TokenCheck::Valid);
            return self.acknowledge(session, "auth", &[], id);
        }
        match (self.token_storage, self.access) {
            // Nothing to check against: like the original, take it without a word.
            (TokenStorage::None, Access::Open) => self.acknowledge(session, "auth", &[], id),
            (TokenStorage::None, Access::Scoped) => {
                self.finish_log_in(session, token, id, Err(TokenError::NotFound));
            }
            (TokenStorage::Memory, _) => {
                let token = String::from(token);
                let reply = self.table.apply(&AuthRequest::Tags {
                    token: token.clone(),
                });
                self.finish_log_in(session, &token, id, reply);
            }
            (TokenStorage::Host, _) => self.look_up(session, token.into(), id),
        }
    }

    /// Asks the host for a presented token's tags.
    pub(super) fn look_up(&mut self, session: SessionId, token: String, id: Option<&str>) {
        let request = AuthRequest::Tags {
            token: token.clone(),
        };
        let holders = self.holders.entry(token.as_str().into()).or_default();
        holders.asked_about += 1;
        let changes = holders.changes;
        self.ask(session, "auth", id, About::Login { token, changes });
        self.outputs.push_back(Output::Ask { session, request });
    }

    pub(super) fn finish_log_in(
        &mut self,
        session: SessionId,
        token: &str,
        id: Option<&str>,
        reply: AuthReply,
    ) {
        let refusal = match reply {
            Ok(tags) => {
                if self.access == Access::Scoped {
                    self.hold(session, token, Grants::new(&tags));
                }
                self.note_checked(session, TokenCheck::Valid);
                return self.acknowledge(session, "auth", &[], id);
            }
            Err(TokenError::NotFound | TokenError::Invalid(_)) => {
                self.note_checked(session, TokenCheck::Wrong);
                Refusal::WrongToken
            }
            Err(_) => {
                self.note_checked(session, TokenCheck::Unknown);
                Refusal::StoreUnavailable
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

    /// Notes that a session goes by a token, and what the store says the token grants, to all who go by it.
    fn hold(&mut self, session: SessionId, token: &str, grants: Grants) {
        // First, since the session may go by the same token already.
        self.set_role(session, Role::Anonymous);
        let holders = self.holders.entry(token.into()).or_default();
        let place = holders.sessions.len() as u32;
        // A store that others write to may have taken something away meanwhile.
        let others = match holders.grants == grants {
            true => Vec::new(),
            false => holders.sessions.clone(),
        };
        holders.grants = grants;
        holders.sessions.push(session);
        self.set_role(
            session,
            Role::Token {
                token: token.into(),
                place,
            },
        );
        self.begin(Revocation::of(others));
    }

    /// Whether the session's token was taken from it, so that it may show another.
    pub(super) fn was_revoked(&self, session: SessionId) -> bool {
        self.session(session)
            .is_some_and(|state| matches!(state.role, Role::Revoked))
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
            Role::Token { token, .. } => {
                let holders = self.holders.get(token);
                Some(holders.map_or(&NO_GRANTS, |holders| &holders.grants))
            }
            _ => None,
        }
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
        if self.holders.get(token).is_some_and(is_unused) {
            self.holders.remove(token);
        }
    }
}
