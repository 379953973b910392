//! Tokens: presenting one, administering them, and what the host answers.

use mist_core::{Access, AuthReply, AuthRequest, CustomRequest, TokenError, TokenStorage};

use super::reply::{Refusal, Reply, refusal};
use super::sent::Request;
use super::{Answer, Event, Model, Question, Role, Tags, Waiting, some_text};

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
        });
    }

    pub(super) fn log_in(&mut self, session: usize, token: &str, id: Option<&str>) {
        let is_server = self
            .token
            .as_deref()
            .is_some_and(|server| server == token && !token.is_empty());
        if is_server {
            self.sessions[session].role = Role::Admin;
            self.sessions[session].is_revoked = false;
        } else if self.token_storage == TokenStorage::Host {
            let request = AuthRequest::Tags {
                token: token.to_owned(),
            };
            return self.ask(session, Question::Auth(request), "auth", id);
        } else if self.token_storage == TokenStorage::Memory || self.access == Access::Scoped {
            let is_known = self.tokens.contains_key(token);
            return self.finish_log_in(session, token, id, is_known);
        }
        self.acknowledge(session, &auth(id), &[]);
    }

    fn finish_log_in(&mut self, session: usize, token: &str, id: Option<&str>, is_known: bool) {
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
            "register" => AuthRequest::Register { token, tags },
            "unregister" => AuthRequest::Unregister { token },
            "set" => AuthRequest::Set { token, tags },
            "unset" => AuthRequest::Unset { token, tags },
            _ => AuthRequest::Tags { token },
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
            (AuthRequest::Tags { .. }, Ok(tags)) => self.send(
                session,
                &Reply {
                    command: command.to_owned(),
                    tags,
                    id: id.map(str::to_owned),
                    ..Reply::default()
                },
            ),
            (AuthRequest::Unregister { .. }, Ok(_)) => self.acknowledge(session, &request, &[]),
            (
                AuthRequest::Register { tags, .. }
                | AuthRequest::Set { tags, .. }
                | AuthRequest::Unset { tags, .. },
                Ok(_),
            ) => self.acknowledge(session, &request, tags),
        }
    }

    /// Carries a request out on the table of tokens, and what follows from it for sessions.
    fn apply(&mut self, request: &AuthRequest) -> AuthReply {
        let reply = self.change(request);
        if reply.is_ok() && !matches!(request, AuthRequest::Tags { .. }) {
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
        reply
    }

    fn change(&mut self, request: &AuthRequest) -> AuthReply {
        let token = request.token();
        match request {
            AuthRequest::Register { tags, .. } => {
                if self.tokens.contains_key(token) {
                    return Err(TokenError::Exists);
                }
                self.tokens
                    .insert(token.to_owned(), tags.iter().cloned().collect());
            }
            AuthRequest::Unregister { .. } => {
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
            AuthRequest::Set { tags, .. } => {
                let held = self.tokens.get_mut(token).ok_or(TokenError::NotFound)?;
                held.extend(tags.iter().cloned());
            }
            AuthRequest::Unset { tags, .. } => {
                let held = self.tokens.get_mut(token).ok_or(TokenError::NotFound)?;
                held.retain(|tag| !tags.contains(tag));
                self.revoke(token);
            }
            AuthRequest::Tags { .. } => {
                let held = self.tokens.get(token).ok_or(TokenError::NotFound)?;
                return Ok(held.iter().cloned().collect());
            }
        }
        Ok(Vec::new())
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
            return (session, answer);
        }
        match &answer {
            Answer::Auth(request, reply) if waiting.command == "auth" => {
                self.finish_log_in(session, request.token(), id, reply.is_ok());
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
