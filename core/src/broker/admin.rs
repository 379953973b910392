//! Tokens: presenting one, administering them, and what a change means for sessions that are connected.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Broker, CloseReason, Output, TokenCheck};
use crate::auth::{Access, AuthReply, AuthRequest, Authenticator, Grants, NO_GRANTS};
use crate::error::{Refusal, TOO_MANY_WRONG_TOKENS, TokenError};
use crate::message::{Command, Message, Reply};
use crate::session::{About, Role, Session, SessionId};
use crate::sort::sort;
use crate::text::text;

impl Broker {
    /// Answers [`Output::Ask`]; `request` is the one that was asked.
    ///
    /// Grants of connected sessions change at once, also when the session that asked has gone meanwhile. Of two
    /// requests that change one token, the one that the store carried out last must be answered last: grants follow the
    /// answers. A login that was looked up meanwhile is looked up again.
    pub fn handle_auth_reply(
        &mut self,
        session: SessionId,
        request: &AuthRequest,
        reply: AuthReply,
    ) {
        self.logging_in.retain(|&other| other != session);
        let question = self.answer(session);
        if reply.is_ok() {
            self.apply_change(request);
        }
        let Some(question) = question else { return };
        let id = question.id.as_deref();
        match &question.about {
            About::Admin(request) => {
                self.finish_admin(session, &question.command, id, request, reply)
            }
            About::Login {
                token,
                is_stale: true,
            } => self.look_up(session, token.clone(), id),
            About::Login { token, .. } => self.finish_log_in(session, token, id, reply),
            About::Presented(_) | About::Custom => {}
        }
        self.handle_backlog(session, &question);
    }

    /// Takes a token that a client presents.
    pub(super) fn log_in(&mut self, session: SessionId, token: &str, id: Option<&str>) {
        if self.is_guarded && (self.token.is_some() || self.authenticator != Authenticator::None) {
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
            state.is_closing = true;
        }
        self.send_error(session, "", TOO_MANY_WRONG_TOKENS, None);
        let reason = CloseReason::TurnedAway;
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
        match (self.authenticator, self.access) {
            // Nothing to check against: like the original, take it without a word.
            (Authenticator::None, Access::Open) => self.acknowledge(session, "auth", &[], id),
            (Authenticator::None, Access::Scoped) => {
                self.finish_log_in(session, token, id, Err(TokenError::NotFound));
            }
            (Authenticator::Memory, _) => {
                let token = String::from(token);
                let reply = self.table.apply(&AuthRequest::Tags {
                    token: token.clone(),
                });
                self.finish_log_in(session, &token, id, reply);
            }
            (Authenticator::Host, _) => self.look_up(session, token.into(), id),
        }
    }

    /// Asks the host for a presented token's tags.
    fn look_up(&mut self, session: SessionId, token: String, id: Option<&str>) {
        let request = AuthRequest::Tags {
            token: token.clone(),
        };
        let is_stale = false;
        self.ask(session, "auth", id, About::Login { token, is_stale });
        self.logging_in.push(session);
        self.outputs.push_back(Output::Ask { session, request });
    }

    fn finish_log_in(
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
        self.send_error(session, "auth", &text![refusal], id);
    }

    fn note_checked(&mut self, session: SessionId, check: TokenCheck) {
        if let Some(state) = self.session_mut(session) {
            state.is_admitted |= check == TokenCheck::Valid;
        }
        if self.is_guarded {
            let checked = Output::TokenChecked { session, check };
            self.outputs.push_back(checked);
        }
    }

    fn set_role(&mut self, session: SessionId, role: Role) {
        let Some(state) = self.session_mut(session) else {
            return;
        };
        if let Role::Token(former) = core::mem::replace(&mut state.role, role) {
            self.let_go(&former, session);
        }
    }

    /// Notes that a session goes by a token, and what the store says the token grants, to all who go by it.
    fn hold(&mut self, session: SessionId, token: &str, grants: Grants) {
        // First, since the session may go by the same token already.
        self.set_role(session, Role::Token(token.into()));
        let holders = self.holders.entry(token.into()).or_default();
        holders.sessions.push(session);
        if holders.grants != grants {
            holders.grants = grants;
            // A store that others write to may have taken something away meanwhile.
            for other in holders.sessions.clone() {
                self.remove_ungranted(other);
            }
        }
    }

    /// Whether the session may use commands at all.
    pub(super) fn check_access(&self, session: SessionId) -> Result<(), Refusal> {
        self.session(session)
            .map_or(Ok(()), |state| self.check_state(state))
    }

    pub(super) fn check_state(&self, state: &Session) -> Result<(), Refusal> {
        match (self.access, &state.role) {
            (Access::Scoped, Role::Anonymous) => Err(Refusal::Unauthenticated),
            _ => Ok(()),
        }
    }

    /// The grants a session is held to; none when it may do everything.
    pub(super) fn grants(&self, state: &Session) -> Option<&Grants> {
        match &state.role {
            Role::Token(token) => {
                let holders = self.holders.get(token);
                Some(holders.map_or(&NO_GRANTS, |holders| &holders.grants))
            }
            _ => None,
        }
    }

    pub(super) fn administer(
        &mut self,
        session: SessionId,
        message: &Message<'_>,
    ) -> Result<(), Refusal> {
        if self.authenticator == Authenticator::None {
            return Err(Refusal::Unknown);
        }
        match self.session(session).map(|state| &state.role) {
            Some(Role::Admin) => {}
            _ => return Err(Refusal::NotAuthorized),
        }
        let request = self.auth_request(message)?;
        let command = message.command_name();
        if self.authenticator == Authenticator::Host {
            self.ask(
                session,
                &command,
                message.id_literal(),
                About::Admin(request.clone()),
            );
            self.outputs.push_back(Output::Ask { session, request });
            return Ok(());
        }
        let reply = self.table.apply(&request);
        if reply.is_ok() {
            self.apply_change(&request);
        }
        self.finish_admin(session, &command, message.id_literal(), &request, reply);
        Ok(())
    }

    fn auth_request(&self, message: &Message<'_>) -> Result<AuthRequest, Refusal> {
        let command = message.command();
        let Some(token) = message.data().map(Cow::into_owned) else {
            return Err(Refusal::MissingToken(command.name().unwrap_or_default()));
        };
        let mut tags: Vec<_> = self
            .checked_tags(message)?
            .into_iter()
            .map(Cow::into_owned)
            .collect();
        sort(&mut tags);
        tags.dedup();
        Ok(match command {
            Command::Register => AuthRequest::Register { token, tags },
            Command::Unregister => AuthRequest::Unregister { token },
            Command::Set => AuthRequest::Set { token, tags },
            Command::Unset => AuthRequest::Unset { token, tags },
            _ => AuthRequest::Tags { token },
        })
    }

    fn finish_admin(
        &mut self,
        session: SessionId,
        command: &str,
        id: Option<&str>,
        request: &AuthRequest,
        reply: AuthReply,
    ) {
        let told = match reply {
            Ok(told) => told,
            Err(error) => return self.send_error(session, command, &text![error], id),
        };
        let tags = match request {
            AuthRequest::Tags { .. } => &told,
            AuthRequest::Register { tags, .. }
            | AuthRequest::Set { tags, .. }
            | AuthRequest::Unset { tags, .. } => tags,
            AuthRequest::Unregister { .. } => &Vec::new(),
        };
        let mut tags: Vec<_> = tags.iter().map(String::as_str).collect();
        if !matches!(request, AuthRequest::Tags { .. }) {
            return self.acknowledge(session, command, &tags, id);
        }
        // In whatever order the store keeps them.
        sort(&mut tags);
        let reply = Reply {
            command,
            tags: &tags,
            id,
            ..Reply::default()
        };
        self.send(session, reply.encode());
    }

    /// Carries a change of a token over to the sessions that presented it, or are about to.
    fn apply_change(&mut self, request: &AuthRequest) {
        if matches!(request, AuthRequest::Tags { .. }) {
            return;
        }
        for session in self.logging_in.clone() {
            if let Some(About::Login { token, is_stale }) = self
                .question_mut(session)
                .map(|question| &mut question.about)
            {
                *is_stale |= token == request.token();
            }
        }
        let Some(holders) = self.holders.get_mut(request.token()) else {
            return;
        };
        let revoked = match request {
            AuthRequest::Set { tags, .. } => {
                holders.grants.add(tags);
                return;
            }
            AuthRequest::Unset { tags, .. } => {
                holders.grants.remove(tags);
                false
            }
            AuthRequest::Unregister { .. } => {
                holders.grants.clear();
                true
            }
            AuthRequest::Register { .. } | AuthRequest::Tags { .. } => return,
        };
        let sessions = holders.sessions.clone();
        for &session in &sessions {
            self.remove_ungranted(session);
        }
        if revoked {
            self.holders.remove(request.token());
            for session in sessions {
                if let Some(state) = self.session_mut(session) {
                    state.role = Role::Anonymous;
                }
            }
        }
    }

    /// Removes the subscriptions a session is no longer granted, and tells it which.
    fn remove_ungranted(&mut self, session: SessionId) {
        let Some(grants) = self.session(session).and_then(|state| self.grants(state)) else {
            return;
        };
        let mut lost: Vec<Vec<String>> = self
            .index
            .held(session.slot)
            .filter(|tags| !grants.allow_subscribe(tags))
            .map(|tags| tags.into_iter().map(String::from).collect())
            .collect();
        sort(&mut lost);
        for tags in lost {
            let tags: Vec<_> = tags.iter().map(String::as_str).collect();
            self.index.unsubscribe(session.slot, &tags);
            let reply = Reply {
                command: "unsubscribe",
                tags: &tags,
                error: &text![Refusal::Revoked],
                ..Reply::default()
            };
            self.send(session, reply.encode());
        }
    }

    /// Notes that a session no longer goes by a token.
    pub(super) fn let_go(&mut self, token: &str, session: SessionId) {
        let Some(holders) = self.holders.get_mut(token) else {
            return;
        };
        holders.sessions.retain(|&other| other != session);
        if holders.sessions.is_empty() {
            self.holders.remove(token);
        }
    }
}
