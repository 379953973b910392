//! Questions to the host on behalf of a session, which waits for the answer; and the host's custom commands.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::Broker;
use super::output::{CustomReply, CustomRequest, Output};
use super::session::{About, Question, Role, SessionId};
use crate::auth::{AuthReply, AuthRequest, Grants};
use crate::error::{ErrorCode, ServerError};
use crate::message::{Data, Message, Refusal, Reply};

impl Broker {
    /// Answers [`Output::Ask`]; `request` is the one that was asked.
    ///
    /// The reply to a change is `Ok(None)`. Grants of connected sessions change at once, also when the session that asked has gone meanwhile. Of two
    /// requests that change one token, the one that the store carried out last must be answered last: grants follow the
    /// answers. A login that was looked up meanwhile is looked up again.
    pub fn handle_auth_reply(
        &mut self,
        session: SessionId,
        request: &AuthRequest,
        reply: AuthReply,
    ) {
        if let (AuthRequest::Edit(edit), Ok(_)) = (request, &reply) {
            let revocation = self.apply_edit(edit);
            if !self.begin(revocation.then_answer(session)) {
                return;
            }
        }
        if let Some(question) = self.answer(session) {
            self.finish_question(session, &question, reply);
        }
    }

    /// Tells a session what came of its question, and takes what it said meanwhile.
    pub(super) fn finish_question(
        &mut self,
        session: SessionId,
        question: &Question,
        reply: AuthReply,
    ) {
        let id = question.id.as_deref();
        match &question.about {
            About::Admin(request) => {
                self.finish_admin(session, &question.command, id, request, reply);
            }
            About::Login {
                token,
                changes,
                is_later,
            } => {
                let is_stale = self
                    .holders
                    .get(&**token)
                    .is_some_and(|holders| holders.changes != *changes);
                match is_stale {
                    true => self.look_up(session, token.clone(), id, *is_later),
                    false => self.finish_log_in(session, token, id, *is_later, reply),
                }
                // Last, so that what is known of the token is not forgotten in between.
                self.note_answered(token);
            }
            About::Renewal => self.acknowledge_login(session, id),
            About::Presented { .. } | About::Custom | About::Tokens => {}
        }
        self.handle_backlog(session, question);
    }

    pub(super) fn custom(
        &mut self,
        session: SessionId,
        message: &Message<'_>,
    ) -> Result<(), Refusal> {
        let name = message.command_name();
        if !self.commands.iter().any(|command| *command == name) {
            return Err(Refusal::Unknown);
        }
        let tags = self.checked_tags(message)?;
        let request = CustomRequest {
            command: name.into_owned(),
            tags: tags.into_iter().map(Cow::into_owned).collect(),
            data: message.data().unwrap_or_default().into_owned(),
            caller: self.caller(session),
        };
        self.ask(
            session,
            &request.command,
            message.id_literal(),
            About::Custom,
        );
        self.outputs.push_back(Output::Custom { session, request });
        Ok(())
    }

    /// What the token of a session allows, also where access is open.
    fn caller(&self, session: SessionId) -> Grants {
        match self.session(session).map(|state| &state.role) {
            Some(Role::Token { token, .. }) => self.grants_of(token).clone(),
            Some(Role::Admin) => Grants {
                admin: true,
                ..Grants::default()
            },
            _ => Grants::default(),
        }
    }

    /// Answers [`Output::Custom`]: with nothing, a message, or an error's text.
    pub fn handle_custom_reply(
        &mut self,
        session: SessionId,
        reply: Result<Option<CustomReply>, String>,
    ) {
        let Some(question) = self.answer(session) else {
            return;
        };
        let id = question.id.as_deref();
        match reply {
            Ok(None) => self.acknowledge(session, &question.command, &[], id),
            Ok(Some(reply)) => {
                let tags: Vec<_> = reply.tags.iter().map(String::as_str).collect();
                let message = Reply {
                    command: &question.command,
                    tags: &tags,
                    data: Data::Text(&reply.data),
                    id,
                    ..Reply::default()
                };
                self.send(session, message.encode());
            }
            Err(text) => {
                let error = ServerError::new(ErrorCode::Refused, text);
                self.send_error(session, &question.command, &error, id);
            }
        }
        self.handle_backlog(session, &question);
    }

    /// Whether the session waits for an answer from the host, so that nothing more should be read from it.
    #[must_use]
    pub fn is_waiting(&self, session: SessionId) -> bool {
        self.session(session)
            .is_some_and(|state| state.question.is_some())
    }

    pub(super) fn question_mut(&mut self, session: SessionId) -> Option<&mut Question> {
        self.session_mut(session)?.question.as_deref_mut()
    }

    /// Notes that the session waits.
    pub(super) fn ask(
        &mut self,
        session: SessionId,
        command: &str,
        id: Option<&str>,
        about: About,
    ) {
        if let Some(state) = self.session_mut(session) {
            state.question = Some(Box::new(Question {
                command: command.into(),
                id: id.map(String::from),
                about,
                backlog: Vec::new(),
            }));
        }
    }

    /// Ends the session's waiting.
    pub(super) fn answer(&mut self, session: SessionId) -> Option<Box<Question>> {
        self.session_mut(session)?.question.take()
    }

    pub(super) fn handle_backlog(&mut self, session: SessionId, question: &Question) {
        if !question.backlog.is_empty() {
            self.handle_message(session, &question.backlog);
        }
    }
}
