//! Owns what tokens mean: the requests to a token store, the store in memory, and the grant rule.
//!
//! Knows nothing of sessions; a store that does I/O lives in the host and answers the same requests.

mod edit;
mod grants;
mod listed;
mod rights;
mod table;

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

use subtle::ConstantTimeEq;

pub use self::edit::{EditKind, NEVER, TokenEdit};
pub use self::grants::Grants;
pub(crate) use self::grants::NO_GRANTS;
pub use self::listed::{ListedToken, TokenName, TokenPage};
pub use self::rights::Rights;
pub(crate) use self::rights::{RESERVED, is_reserved};
pub(crate) use self::table::TokenTable;
use crate::error::TokenError;

/// Who may use the basic commands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Everybody; tokens only unlock admin commands.
    #[default]
    Open,
    /// Sessions with the server's token or a registered one, within the grants of that token.
    Scoped,
}

/// Where registered tokens are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenStorage {
    /// Nowhere: there are no admin commands.
    #[default]
    None,
    /// In this broker's memory.
    Memory,
    /// In a store of the host, which is asked by [`Output::Ask`](crate::Output::Ask).
    Host,
}

/// What is asked about tokens on behalf of a session.
#[derive(Clone, PartialEq, Eq)]
pub enum AuthRequest {
    /// Say what a token may do that a client presents.
    Authenticate {
        /// The token.
        token: String,
    },
    /// Say what is granted by a token that is registered.
    Lookup {
        /// The token.
        token: String,
    },
    /// Change what is registered, as [`TokenEdit::apply`] says.
    Edit(TokenEdit),
}

impl AuthRequest {
    /// The token that the request is about; empty if it is named by its hash.
    #[must_use]
    pub fn token(&self) -> &str {
        match self {
            Self::Authenticate { token } | Self::Lookup { token } => token,
            Self::Edit(edit) => edit.token().unwrap_or_default(),
        }
    }
}

/// Shows what is asked, never the token.
impl fmt::Debug for AuthRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authenticate { .. } => f.write_str("Authenticate(…)"),
            Self::Lookup { .. } => f.write_str("Lookup(…)"),
            Self::Edit(edit) => edit.fmt(f),
        }
    }
}

/// The answer to an [`AuthRequest`]: what the token may do; nothing for a change, and for a token that is not valid.
pub type AuthReply = Result<Option<Grants>, TokenError>;

/// A token that never shows itself.
#[derive(Clone)]
pub(crate) struct Secret(pub(crate) Box<str>);

impl Secret {
    /// Compares without telling by the time taken where the first difference is.
    pub(crate) fn is(&self, token: &str) -> bool {
        self.0.as_bytes().ct_eq(token.as_bytes()).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
