//! The commands of those who have shown the server's token: what tokens there are, and what they grant.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use super::Broker;
use super::output::Output;
use super::session::{About, Role, SessionId};
use crate::auth::{AuthReply, AuthRequest, TokenChange, TokenStorage};
use crate::error::TokenError;
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
            Some(Role::Token { token, .. }) if self.grants_of(token).admin => {}
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
        let reply = self.answer_from_table(&request)?;
        if let (AuthRequest::Change(change), Ok(_)) = (&request, &reply) {
            let revocation = self.apply_change(change);
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

    /// Does what the host does where the broker does not keep the tokens itself.
    fn answer_from_table(&mut self, request: &AuthRequest) -> Result<AuthReply, Refusal> {
        let change = match request {
            AuthRequest::Change(change) => change,
            AuthRequest::Lookup { token } | AuthRequest::Authenticate { token } => {
                let found = self.table.find(token).ok_or(TokenError::NotFound);
                return Ok(found.map(Some));
            }
        };
        let bytes = self.table.bytes_with(change);
        let limit = self.limits.token_total_bytes;
        LIMIT.token_total_bytes.check(bytes, limit)?;
        Ok(self.table.apply(change).map(|()| None))
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
            Command::Register => AuthRequest::Change(TokenChange::Register { token, tags }),
            Command::Unregister => AuthRequest::Change(TokenChange::Unregister { token }),
            Command::Set => AuthRequest::Change(TokenChange::Set { token, tags }),
            Command::Unset => AuthRequest::Change(TokenChange::Unset { token, tags }),
            _ => AuthRequest::Lookup { token },
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
        let granted = match reply {
            Ok(granted) => granted.unwrap_or_default(),
            Err(error) => return self.send_error(session, command, &error.to_error(), id),
        };
        if let AuthRequest::Change(change) = request {
            let tags: Vec<_> = change.tags().iter().map(String::as_str).collect();
            return self.acknowledge(session, command, &tags, id);
        }
        // In whatever order the store keeps them.
        let mut tags: Vec<_> = granted.subscribe.iter().map(String::as_str).collect();
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
