//! Tokens: presenting one, administering them, and what the host answers.

use mist_core::{
    Access, AuthReply, AuthRequest, CustomRequest, Grants, TokenChange, TokenError, TokenStorage,
};

use super::reply::{Refusal, Reply, refusal};
use super::sent::Request;
use super::{Answer, Event, Model, Question, Role, Tags, Waiting, some_text};

pub(super) const AUTH_NOT_FIRST: &str =
    "Unable to auth - auth must be the first message of a connection";

impl Model {
    pub(super) fn ask(
        &mut self,
        session: usize,
        question: Question,
        command: &str,
        id: Option<&str>,
    ) {
        self.questions.push((session, question.clone()));
        self.sessions[session].waiting = Some(Waiting {
            question,
            command: command.to_owned(),
            id: id.map(str::to_owned),
            is_stale: false,
            is_later: false,
        });
    }

    pub(super) fn log_in(&mut self, session: usize, token: &str, id: Option<&str>, is_later: bool) {
        let is_server = self
            .token
            .as_deref()
            .is_some_and(|server| server == token && !token.is_empty());
        if is_server && is_later {
            return self.complain(session, "auth", id, AUTH_NOT_FIRST.to_owned());
        }
        if is_server {
            self.sessions[session].role = Role::Admin;
            self.sessions[session].is_revoked = false;
        } else if self.token_storage == TokenStorage::Host {
            let request = AuthRequest::Authenticate {
                token: token.to_owned(),
            };
            self.ask(session, Question::Auth(request), "auth", id);
            if let Some(waiting) = &mut self.sessions[session].waiting {
                waiting.is_later = is_later;
            }
            return;
        } else if self.token_storage == TokenStorage::Memory || self.access == Access::Scoped {
            let is_known = self.tokens.contains_key(token);
            return self.finish_log_in(session, token, id, is_known, is_later);
        }
        self.acknowledge(session, &auth(id), &[]);
    }

    fn finish_log_in(
        &mut self,
        session: usize,
        token: &str,
        id: Option<&str>,
        is_known: bool,
        is_later: bool,
    ) {
        if is_later && let Role::Token(held) = &self.sessions[session].role {
            // A registered token is a subject of its own.
            if !is_known || held != token {
                return self.complain(session, "auth", id, AUTH_NOT_FIRST.to_owned());
            }
        }
        if !is_known {
            let text = "not authorized - the token is not valid; going on without admin commands";
            return self.complain(session, "auth", id, text.to_owned());
        }
        if self.access == Access::Scoped {
            self.sessions[session].role = Role::Token(token.to_owned());
            self.sessions[session].is_revoked = false;
        }
        self.acknowledge(session, &auth(id), &[]);
    }

    pub(super) fn administer(&mut self, session: usize, request: &Request) -> Result<(), Refusal> {
        if self.token_storage == TokenStorage::None {
            return Err(refusal("Unknown Command"));
        }
        if self.sessions[session].role != Role::Admin {
            return Err(refusal(
                "not authorized - this command needs the server's token, sent by auth as the first message",
            ));
        }
        if request.data.is_empty() {
            return Err(refusal(format!(
                "Unable to {} - missing token (send it as data)",
                request.command
            )));
        }
        self.check_tags(request)?;
        let token = request.data.clone();
        let tags: Tags = request.tags.iter().cloned().collect();
        let tags = tags.into_iter().collect();
        let question = match request.command.as_str() {
            "register" => AuthRequest::Change(TokenChange::Register { token, tags }),
            "unregister" => AuthRequest::Change(TokenChange::Unregister { token }),
            "set" => AuthRequest::Change(TokenChange::Set { token, tags }),
            "unset" => AuthRequest::Change(TokenChange::Unset { token, tags }),
            _ => AuthRequest::Lookup { token },
        };
        if self.token_storage == TokenStorage::Host {
            self.ask(
                session,
                Question::Auth(question),
                &request.command,
                request.id.as_deref(),
            );
        } else {
            let reply = self.apply(&question);
            self.finish_admin(
                session,
                &request.command,
                request.id.as_deref(),
                &question,
                reply,
            );
        }
        Ok(())
    }

    fn finish_admin(
        &mut self,
        session: usize,
        command: &str,
        id: Option<&str>,
        question: &AuthRequest,
        reply: AuthReply,
    ) {
        let request = Request {
            command: command.to_owned(),
            id: id.map(str::to_owned),
            ..Request::default()
        };
        match (question, reply) {
            (_, Err(error)) => self.complain(session, command, id, error.to_string()),
            (AuthRequest::Change(change), Ok(_)) => {
                self.acknowledge(session, &request, change.tags());
            }
            (_, Ok(granted)) => self.send(
                session,
                &Reply {
                    command: command.to_owned(),
                    tags: granted.map_or(Vec::new(), |grants| grants.subscribe),
                    id: id.map(str::to_owned),
                    ..Reply::default()
                },
            ),
        }
    }

    /// Carries a request out on the table of tokens, and what follows from it for sessions.
    fn apply(&mut self, request: &AuthRequest) -> AuthReply {
        let change = match request {
            AuthRequest::Change(change) => change,
            AuthRequest::Authenticate { token } => return Ok(self.find(token)),
            AuthRequest::Lookup { token } => {
                return self.find(token).map(Some).ok_or(TokenError::NotFound);
            }
        };
        let reply = self.change(change);
        if reply.is_ok() {
            // Who is logging in with the token is looked up again.
            let waiting = self
                .sessions
                .iter_mut()
                .filter_map(|session| session.waiting.as_mut());
            for waiting in waiting.filter(|waiting| waiting.command == "auth") {
                let Question::Auth(asked) = &waiting.question else {
                    continue;
                };
                waiting.is_stale |= asked.token() == request.token();
            }
        }
        reply.map(|()| None)
    }

    fn find(&self, token: &str) -> Option<Grants> {
        let tags = self.tokens.get(token)?;
        Some(Grants::of_token(token, tags.iter().cloned().collect()))
    }

    fn change(&mut self, change: &TokenChange) -> Result<(), TokenError> {
        let token = change.token();
        match change {
            TokenChange::Register { tags, .. } => {
                if self.tokens.contains_key(token) {
                    return Err(TokenError::Exists);
                }
                self.tokens
                    .insert(token.to_owned(), tags.iter().cloned().collect());
            }
            TokenChange::Unregister { .. } => {
                let role = Role::Token(token.to_owned());
                for (session, events) in self.sessions.iter().zip(&mut self.events) {
                    if session.role == role {
                        events.push(Event::Revoked);
                    }
                }
                self.tokens.insert(token.to_owned(), Tags::new());
                self.revoke(token);
                self.tokens.remove(token);
                let revoked = self.sessions.iter_mut();
                for session in revoked.filter(|session| session.role == role) {
                    (session.role, session.is_revoked) = (Role::Anonymous, true);
                }
            }
            TokenChange::Set { tags, .. } => {
                let held = self.tokens.get_mut(token).ok_or(TokenError::NotFound)?;
                held.extend(tags.iter().cloned());
            }
            TokenChange::Unset { tags, .. } => {
                let held = self.tokens.get_mut(token).ok_or(TokenError::NotFound)?;
                held.retain(|tag| !tags.contains(tag));
                self.revoke(token);
            }
        }
        Ok(())
    }

    fn revoke(&mut self, token: &str) {
        for session in 0..self.sessions.len() {
            if self.sessions[session].role != Role::Token(token.to_owned()) {
                continue;
            }
            let grants = &self.tokens[token];
            let sets = &mut self.sessions[session].sets;
            let lost: Vec<_> = sets
                .iter()
                .filter(|set| set.is_disjoint(grants))
                .cloned()
                .collect();
            sets.retain(|set| !set.is_disjoint(grants));
            for set in lost {
                Self::note_gone(&mut self.walks, session, &set);
                let reply = Reply {
                    command: "unsubscribe".to_owned(),
                    tags: set.into_iter().collect(),
                    error: Some(
                        "subscription removed - the token no longer grants any of its tags"
                            .to_owned(),
                    ),
                    ..Reply::default()
                };
                self.send(session, &reply);
            }
        }
    }

    /// Answers the question at `at`; the host answers with what this returns.
    pub(crate) fn answer(&mut self, at: usize) -> (usize, Answer) {
        let (session, question) = self.questions.remove(at);
        let answer = match &question {
            Question::Auth(request) => Answer::Auth(request.clone(), self.apply(request)),
            Question::Custom(request) => Answer::Custom(custom_answer(request)),
        };
        let is_asked = |waiting: &Waiting| waiting.question == question;
        let state = &mut self.sessions[session];
        let Some(waiting) = state.waiting.take_if(|waiting| is_asked(waiting)) else {
            return (session, answer);
        };
        let id = waiting.id.as_deref();
        if waiting.is_stale {
            self.ask(session, question, "auth", id);
            if let Some(again) = &mut self.sessions[session].waiting {
                again.is_later = waiting.is_later;
            }
            return (session, answer);
        }
        match &answer {
            Answer::Auth(request, reply) if waiting.command == "auth" => {
                let is_known = matches!(reply, Ok(Some(_)));
                self.finish_log_in(session, request.token(), id, is_known, waiting.is_later);
            }
            Answer::Auth(request, reply) => {
                self.finish_admin(session, &waiting.command, id, request, reply.clone());
            }
            Answer::Custom(reply) => {
                let mut text = Reply {
                    command: waiting.command.clone(),
                    id: waiting.id.clone(),
                    ..Reply::default()
                };
                match reply {
                    Ok(None) if waiting.id.is_none() => text.command.clear(),
                    Ok(None) => text.data = Some("\"success\"".to_owned()),
                    Ok(Some((tags, data))) => {
                        text.tags.clone_from(tags);
                        text.data = some_text(data);
                    }
                    Err(error) => text.error = Some(error.clone()),
                }
                if !text.command.is_empty() {
                    self.send(session, &text);
                }
            }
        }
        while self.sessions[session].waiting.is_none() {
            let Some(sent) = self.sessions[session].backlog.pop_front() else {
                break;
            };
            self.say(session, &sent);
        }
        (session, answer)
    }
}

fn custom_answer(request: &CustomRequest) -> Result<Option<(Vec<String>, String)>, String> {
    match request.data.as_str() {
        "" => Ok(None),
        "x" => Err("no \"x\" here".to_owned()),
        data => Ok(Some((request.tags.clone(), data.to_owned()))),
    }
}

fn auth(id: Option<&str>) -> Request {
    Request {
        command: "auth".to_owned(),
        id: id.map(str::to_owned),
        ..Request::default()
    }
}
