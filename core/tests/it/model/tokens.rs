//! Tokens: presenting one, administering them, and what the host answers.

use mist_core::{
    Access, AuthReply, AuthRequest, CustomRequest, DisconnectReason, EditKind, Grants, NEVER,
    Rights, TokenEdit, TokenError, TokenStorage,
};
use serde_json::json;

use super::reply::{Refusal, Reply, refusal};
use super::sent::Request;
use super::{Answer, Event, Kept, Model, Question, Role, Tags, Waiting, some_text};

pub(super) const AUTH_NOT_FIRST: &str =
    "Unable to auth - auth must be the first message of a connection";

/// For how many seconds a broker with tokens in its memory knows of one that has ended.
const REMEMBERED: u64 = 3_600;

const EXPIRED: &str = "not authorized - the token has expired: present a new one";

impl Kept {
    pub(super) fn grants(&self, token: &str) -> Grants {
        let mut grants = Grants::default();
        token.clone_into(&mut grants.subject);
        grants.subscribe = self.subscribe.iter().cloned().collect();
        grants.publish = self.publish.iter().cloned().collect();
        grants.expires_at = self.expires_at;
        grants
    }

    /// The sets that rights are about.
    fn sets(&mut self, rights: Rights) -> Vec<&mut Tags> {
        match rights {
            Rights::Subscribe => vec![&mut self.subscribe],
            Rights::Publish => vec![&mut self.publish],
            Rights::Both => vec![&mut self.subscribe, &mut self.publish],
        }
    }

    fn is_over(&self, now: u64) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}

impl Model {
    /// Takes the time.
    pub(crate) fn tell_time(&mut self, now: u64) {
        self.now = now;
        if self.token_storage == TokenStorage::Memory {
            self.tokens
                .retain(|_, kept| kept.expires_at.is_none_or(|end| end + REMEMBERED > now));
        }
        for session in 0..self.sessions.len() {
            let Role::Token(token) = &self.sessions[session].role else {
                continue;
            };
            // One that is forgotten has ended.
            if self
                .tokens
                .get(token)
                .is_some_and(|kept| !kept.is_over(now))
            {
                continue;
            }
            let state = &mut self.sessions[session];
            (state.role, state.is_revoked) = (Role::Anonymous, true);
            for set in std::mem::take(&mut state.sets) {
                Self::note_gone(&mut self.walks, session, &set);
            }
            self.events[session].push(Event::Revoked);
            self.complain(session, "auth", None, EXPIRED.to_owned());
        }
    }

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
            let grants = self.find(token);
            return self.finish_log_in(session, token, id, grants, is_later);
        }
        self.acknowledge(session, &auth(id), &[]);
    }

    fn finish_log_in(
        &mut self,
        session: usize,
        token: &str,
        id: Option<&str>,
        grants: Option<Grants>,
        is_later: bool,
    ) {
        let end = grants.as_ref().and_then(|grants| grants.expires_at);
        if end.is_some_and(|end| end <= self.now) {
            return self.complain(session, "auth", id, EXPIRED.to_owned());
        }
        let is_known = grants.is_some();
        if is_later && let Role::Token(held) = &self.sessions[session].role {
            // A registered token is a subject of its own.
            if !is_known || held != token {
                return self.complain(session, "auth", id, AUTH_NOT_FIRST.to_owned());
            }
        }
        if !is_known {
            let text = "not authorized - the token is not valid";
            return self.complain(session, "auth", id, text.to_owned());
        }
        if self.access == Access::Scoped {
            self.sessions[session].role = Role::Token(token.to_owned());
            self.sessions[session].is_revoked = false;
            if let Some(end) = end.filter(|_| id.is_some()) {
                let reply = Reply {
                    command: "auth".to_owned(),
                    data: Some("\"success\"".to_owned()),
                    rest: self.expires_in(end),
                    id: id.map(str::to_owned),
                    ..Reply::default()
                };
                return self.send(session, &reply);
            }
        }
        self.acknowledge(session, &auth(id), &[]);
    }

    fn expires_in(&self, end: u64) -> String {
        format!(",\"expires_in\":{}", end.saturating_sub(self.now))
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
        if let Some(taken) = request.fields()
            && !request.rights.is_empty()
            && !taken.contains("rights")
        {
            return Err(refusal(format!(
                "unknown field 'rights' - this command takes {taken}"
            )));
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
        let kind = match request.command.as_str() {
            "register" => Some(EditKind::Register),
            "unregister" => Some(EditKind::Unregister),
            "end" => Some(EditKind::End),
            "set" => Some(EditKind::Set),
            "unset" => Some(EditKind::Unset),
            _ => None,
        };
        let question = match kind {
            Some(kind) => {
                let mut edit = TokenEdit::new(kind, token);
                edit.tags = tags;
                edit.rights = match request.rights {
                    "" | "both" => Rights::Both,
                    "subscribe" => Rights::Subscribe,
                    "publish" => Rights::Publish,
                    _ => return Err(refusal("rights must be subscribe, publish or both")),
                };
                edit.now = self.now;
                edit.expires_at = match request.ttl {
                    "" => None,
                    "5" | "\"5s\"" => Some(self.now + 5),
                    "\"1m\"" => Some(self.now + 60),
                    "\"never\"" => Some(NEVER),
                    _ => {
                        return Err(refusal(
                            "ttl must be whole seconds, or a time such as 90s, 15m, 12h or 30d, and more than 0; or never",
                        ));
                    }
                };
                AuthRequest::Edit(edit)
            }
            None => AuthRequest::Lookup { token },
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
            (AuthRequest::Edit(edit), Ok(_)) => {
                self.acknowledge(session, &request, &edit.tags);
            }
            (_, Ok(granted)) => {
                let granted = granted.unwrap_or_default();
                if granted.expires_at.is_some_and(|end| end <= self.now) {
                    let text = TokenError::NotFound.to_string();
                    return self.complain(session, command, id, text);
                }
                let tags: Tags = granted
                    .subscribe
                    .iter()
                    .chain(&granted.publish)
                    .cloned()
                    .collect();
                let mut rest = String::new();
                if granted.subscribe != granted.publish {
                    let (subscribe, publish) = (json!(granted.subscribe), json!(granted.publish));
                    rest = format!(",\"subscribe\":{subscribe},\"publish\":{publish}");
                }
                if let Some(end) = granted.expires_at {
                    rest += &self.expires_in(end);
                }
                let reply = Reply {
                    command: command.to_owned(),
                    tags: tags.into_iter().collect(),
                    rest,
                    id: id.map(str::to_owned),
                    ..Reply::default()
                };
                self.send(session, &reply);
            }
        }
    }

    /// Carries a request out on the table of tokens, and what follows from it for sessions.
    fn apply(&mut self, request: &AuthRequest) -> AuthReply {
        let edit = match request {
            AuthRequest::Edit(edit) => edit,
            AuthRequest::Authenticate { token } => return Ok(self.find(token)),
            AuthRequest::Lookup { token } => {
                return self.find(token).map(Some).ok_or(TokenError::NotFound);
            }
        };
        let reply = self.edit(edit);
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
        Some(self.tokens.get(token)?.grants(token))
    }

    fn edit(&mut self, edit: &TokenEdit) -> Result<(), TokenError> {
        let token = edit.token()?;
        let is_over = |kept: &Kept| kept.is_over(edit.now);
        match edit.kind {
            EditKind::Register => {
                if self.tokens.get(token).is_some_and(|kept| !is_over(kept)) {
                    return Err(TokenError::Exists);
                }
                let mut kept = Kept {
                    expires_at: edit.expires_at.filter(|&end| end != NEVER),
                    ..Kept::default()
                };
                for set in kept.sets(edit.rights) {
                    set.extend(edit.tags.iter().cloned());
                }
                self.tokens.insert(token.to_owned(), kept);
            }
            EditKind::Unregister | EditKind::End => {
                let role = Role::Token(token.to_owned());
                for (session, events) in self.sessions.iter().zip(&mut self.events) {
                    if session.role == role {
                        events.push(Event::Revoked);
                    }
                }
                self.tokens.insert(token.to_owned(), Kept::default());
                self.revoke(token);
                self.tokens.remove(token);
                for session in 0..self.sessions.len() {
                    let state = &mut self.sessions[session];
                    if state.role != role {
                        continue;
                    }
                    (state.role, state.is_revoked) = (Role::Anonymous, true);
                    if edit.kind == EditKind::End && !state.is_closing {
                        let text = "an administrator has ended the token; closing";
                        self.complain(session, "", None, text.to_owned());
                        self.close(session, DisconnectReason::TokenEnded);
                    }
                }
            }
            EditKind::Set => {
                let kept = self.tokens.get_mut(token);
                let kept = kept
                    .filter(|kept| !is_over(kept))
                    .ok_or(TokenError::NotFound)?;
                for set in kept.sets(edit.rights) {
                    set.extend(edit.tags.iter().cloned());
                }
                let end = edit.expires_at.or(kept.expires_at);
                kept.expires_at = end.filter(|&end| end != NEVER);
            }
            EditKind::Unset => {
                let kept = self.tokens.get_mut(token);
                let kept = kept
                    .filter(|kept| !is_over(kept))
                    .ok_or(TokenError::NotFound)?;
                for set in kept.sets(edit.rights) {
                    set.retain(|tag| !edit.tags.contains(tag));
                }
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
            let grants = &self.tokens[token].subscribe;
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
                let grants = reply.clone().expect("the store of the model works");
                self.finish_log_in(session, request.token(), id, grants, waiting.is_later);
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
