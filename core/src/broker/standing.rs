//! Whom a session speaks for, as far as that matters to bounds that the host keeps.

use super::Broker;
use super::session::{Role, SessionId};

/// Whom a session speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing<'a> {
    /// Nobody that is known.
    Stranger,
    /// The subject of its token; of a registered token that is the token itself, which must not be shown.
    Subject(&'a str),
    /// The server: it has shown the server's own token.
    Server,
}

impl Broker {
    /// Says whom a session speaks for. Where access is open, the tokens of sessions are not kept in mind, and those that
    /// have shown one are strangers, unless it was the server's.
    #[must_use]
    pub fn standing(&self, session: SessionId) -> Standing<'_> {
        match self.session(session).map(|state| &state.role) {
            Some(Role::Admin) => Standing::Server,
            Some(Role::Token { token, .. }) => Standing::Subject(&self.grants_of(token).subject),
            Some(Role::Anonymous | Role::Revoked) | None => Standing::Stranger,
        }
    }
}
