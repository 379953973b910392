//! The commands of administrators: which tokens there are, and what they grant.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use super::Broker;
use super::output::Output;
use super::session::{About, Role, SessionId};
use crate::auth::{AuthReply, AuthRequest, EditKind, Grants, TokenEdit, TokenName, TokenStorage};
use crate::error::TokenError;
use crate::limits::LIMIT;
use crate::message::{Command, Message, Refusal, Reply, Writer, write_tags};
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
        check_fields(message)?;
        if message.command() == Command::Tokens {
            self.begin_token_list(session, message);
            return Ok(());
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
        if let (AuthRequest::Edit(edit), Ok(_)) = (&request, &reply) {
            let revocation = self.apply_edit(edit);
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
        let edit = match request {
            AuthRequest::Edit(edit) => edit,
            AuthRequest::Authenticate { token } | AuthRequest::Lookup { token } => {
                let granted = self.table.find(token);
                return Ok(granted.ok_or(TokenError::NotFound).map(Some));
            }
        };
        let limit = self.limits.token_total_bytes;
        let check = |bytes| LIMIT.token_total_bytes.check(bytes, limit);
        Ok(self.table.edit(edit, check)?.map(|()| None))
    }

    fn auth_request(&self, message: &Message<'_>) -> Result<AuthRequest, Refusal> {
        let command = message.command();
        let name = match (message.data().map(Cow::into_owned), message.sha256()) {
            (Some(token), None) => TokenName::Token(token),
            (None, Some(Some(hash))) => TokenName::Hash(hash),
            (None, None) => {
                return Err(Refusal::MissingToken(command.name().unwrap_or_default()));
            }
            _ => {
                let wanted = "the 64 digits that `tokens` shows, without data";
                return Err(Refusal::InvalidValue("sha256", wanted));
            }
        };
        if let TokenName::Token(token) = &name {
            self.check_token_size(token)?;
        }
        let mut tags: Vec<_> = self
            .checked_tags(message)?
            .into_iter()
            .map(Cow::into_owned)
            .collect();
        sort(&mut tags);
        tags.dedup();
        let kind = match command {
            Command::Register => EditKind::Register,
            Command::Unregister => EditKind::Unregister,
            Command::End => EditKind::End,
            Command::Set => EditKind::Set,
            Command::Unset => EditKind::Unset,
            _ => return Ok(AuthRequest::Lookup { token: name.text() }),
        };
        let Some(rights) = message.rights() else {
            let wanted = "subscribe, publish or both";
            return Err(Refusal::InvalidValue("rights", wanted));
        };
        let Some(ttl) = message.ttl() else {
            let wanted =
                "whole seconds, or a time such as 90s, 15m, 12h or 30d, and more than 0; or never";
            return Err(Refusal::InvalidValue("ttl", wanted));
        };
        Ok(AuthRequest::Edit(TokenEdit {
            kind,
            name,
            tags,
            rights,
            expires_at: ttl.map(|ttl| self.now.saturating_add(ttl)),
            now: self.now,
        }))
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
        if let AuthRequest::Edit(edit) = request {
            let tags: Vec<_> = edit.tags.iter().map(String::as_str).collect();
            return self.acknowledge(session, command, &tags, id);
        }
        if granted.is_over(self.now) {
            let error = TokenError::NotFound.to_error();
            return self.send_error(session, command, &error, id);
        }
        // The store keeps them in whatever order.
        let Grants {
            subscribe,
            publish,
            expires_at,
            ..
        } = granted.sorted();
        let mut tags: Vec<_> = subscribe
            .iter()
            .chain(&publish)
            .map(String::as_str)
            .collect();
        sort(&mut tags);
        tags.dedup();
        let values: [(_, Writer<'_>); 2] = [
            ("subscribe", &|out| write_tags(out, &subscribe)),
            ("publish", &|out| write_tags(out, &publish)),
        ];
        let count = self.expires_in(expires_at);
        let reply = Reply {
            command,
            tags: &tags,
            // Most tokens have both rights to all of their tags.
            values: if subscribe == publish { &[] } else { &values },
            counts: count.as_slice(),
            id,
            ..Reply::default()
        };
        self.send(session, reply.encode());
    }
}

/// Refuses a field that the command does not take, since it is a slip: with `"right":"subscribe"` a token would get both
/// rights.
fn check_fields(message: &Message<'_>) -> Result<(), Refusal> {
    let (fields, taken): (&[_], _) = match message.command() {
        Command::Register => (&["rights", "ttl"], "data, tags, rights and ttl"),
        Command::Set => (
            &["rights", "ttl", "sha256"],
            "data or sha256, tags, rights and ttl",
        ),
        Command::Unset => (&["rights", "sha256"], "data or sha256, tags and rights"),
        Command::Unregister | Command::End => (&["sha256"], "data or sha256"),
        _ => (&[], "data"),
    };
    match message.other_field(fields) {
        Some(field) => Err(Refusal::UnknownField(field, taken)),
        None => Ok(()),
    }
}
