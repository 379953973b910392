//! The answer to `tokens`: what is registered, a part at a time, and how many sessions go by each.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use super::Broker;
use super::output::Output;
use super::session::{About, SessionId};
use crate::auth::{ListedToken, TokenName, TokenPage, TokenStorage};
use crate::error::TokenError;
use crate::message::{Data, Message, Reply, Writer, write_registered};

/// Tokens in one answer.
const TOKENS: usize = 256;
/// Bytes that are written before an answer ends with the token that is being written.
const BYTES: usize = 256 << 10;

impl Broker {
    pub(super) fn begin_token_list(&mut self, session: SessionId, message: &Message<'_>) {
        let command = message.command_name();
        let after = message.data().map_or_else(String::new, Cow::into_owned);
        self.ask(session, &command, message.id_literal(), About::Tokens);
        if self.token_storage == TokenStorage::Host {
            let request = Output::ListTokens {
                session,
                after,
                most: TOKENS,
            };
            return self.outputs.push_back(request);
        }
        let page = self.table.list(&after, TOKENS);
        let sessions: Vec<_> = page
            .tokens
            .iter()
            .map(|listed| self.sessions_of(&listed.name))
            .collect();
        self.handle_token_list(session, Ok((page, sessions)));
    }

    /// How many sessions go by a token that is known by itself.
    #[must_use]
    pub fn sessions_of(&self, name: &TokenName) -> usize {
        match name {
            TokenName::Token(token) => {
                let holders = self.holders.get(&**token);
                holders.map_or(0, |holders| holders.sessions.len())
            }
            TokenName::Hash(_) => 0,
        }
    }

    /// Answers [`Output::ListTokens`]; with the tokens comes how many sessions go by each.
    pub fn handle_token_list(
        &mut self,
        session: SessionId,
        reply: Result<(TokenPage, Vec<usize>), TokenError>,
    ) {
        let Some(question) = self.answer(session) else {
            return;
        };
        let id = question.id.as_deref();
        match reply {
            Ok((page, sessions)) => {
                let (registered, next) = write_page(page, &sessions, self.now);
                let write: Writer<'_> = &|out| out.extend_from_slice(&registered);
                let answer = Reply {
                    command: &question.command,
                    data: Data::Text(&next),
                    values: &[("registered", write)],
                    id,
                    ..Reply::default()
                };
                self.send(session, answer.encode());
            }
            Err(error) => self.send_error(session, &question.command, &error.to_error(), id),
        }
        self.handle_backlog(session, &question);
    }
}

/// Writes as many tokens as an answer has room for; returns also what the next part is to be asked for with.
fn write_page(page: TokenPage, sessions: &[usize], now: u64) -> (Vec<u8>, String) {
    let mut out = b"[".to_vec();
    let mut next = page.next.unwrap_or_default();
    let last = page.tokens.len().saturating_sub(1);
    for (index, ListedToken { name, grants }) in page.tokens.into_iter().enumerate() {
        // Nobody finds it any more.
        if grants.is_over(now) {
            continue;
        }
        if out.len() > 1 {
            out.push(b',');
        }
        let expires_in = grants.expires_at.map(|end| end.saturating_sub(now));
        let sessions = sessions.get(index).copied().unwrap_or_default();
        write_registered(&mut out, &name, &grants.sorted(), expires_in, sessions);
        if out.len() > BYTES && index < last {
            next = name.text();
            break;
        }
    }
    out.push(b']');
    (out, next)
}
