//! The commands of those who have shown the server's token: what tokens there are, and what they grant.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use super::Broker;
use super::output::Output;
use super::session::{About, Role, SessionId};
use crate::auth::{AuthReply, AuthRequest, TokenStorage};
use crate::limits::LIMIT;
use crate::message::{Command, Message, Refusal, Reply};
use crate::sort::sort;

impl Broker {
    pub(super) fn administer(
        &mut self,
        session: SessionId,
        message: &Message<'_>,
    ) -> Result<(), Refusal> {
        if self.token_storage == TokenStorage::None {
            return Err(Refusal::Unknown);
        }
        match self.session(session).map(|state| &state.role) {
            Some(Role::Admin) => {}
            _ => return Err(Refusal::NotAuthorized),
        }
        let request = self.auth_request(message)?;
        let command = message.command_name();
        if self.token_storage == TokenStorage::Host {
            self.ask(
                session,
                &command,
                message.id_literal(),
                About::Admin(request.clone()),
            );
            self.outputs.push_back(Output::Ask { session, request });
            return Ok(());
        }
        let (bytes, limit) = (
            self.table.bytes_with(&request),
            self.limits.token_total_bytes,
        );
        LIMIT.token_total_bytes.check(bytes, limit)?;
        let reply = self.table.apply(&request);
        if reply.is_ok() {
            let revocation = self.apply_change(&request);
            if !self.begin(revocation.then_answer(session)) {
                self.ask(
                    session,
                    &command,
                    message.id_literal(),
                    About::Admin(request),
                );
                return Ok(());
            }
        }
        self.finish_admin(session, &command, message.id_literal(), &request, reply);
        Ok(())
    }

    fn auth_request(&self, message: &Message<'_>) -> Result<AuthRequest, Refusal> {
        let command = message.command();
        let Some(token) = message.data().map(Cow::into_owned) else {
            return Err(Refusal::MissingToken(command.name().unwrap_or_default()));
        };
        self.check_token_size(&token)?;
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

    pub(super) fn finish_admin(
        &mut self,
        session: SessionId,
        command: &str,
        id: Option<&str>,
        request: &AuthRequest,
        reply: AuthReply,
    ) {
        let told = match reply {
            Ok(told) => told,
            Err(error) => return self.send_error(session, command, &error.to_error(), id),
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
}
