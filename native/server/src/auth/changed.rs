//! Owns how a token store reports changes by others; knows nothing of what follows from them.

use std::fmt;
use std::sync::Arc;

/// A change that something else has made in a token store.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Changed {
    /// A token, or what it grants.
    Token(String),
    /// The same, by the SHA-256 of the token's UTF-8: where the token itself is not known, or must not be seen by all
    /// that hear of the change.
    Hash([u8; 32]),
    /// Unknown: changes may have been missed.
    Any,
}

/// Shows the kind of change, never the token.
impl fmt::Debug for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token(_) => "Token(…)",
            Self::Hash(_) => "Hash(…)",
            Self::Any => "Any",
        })
    }
}

/// The tokens that sessions of a server use or are about to use, for a store that has to look for changes itself.
#[derive(Clone)]
pub struct TokensInUse(Arc<dyn Fn() -> Vec<String> + Send + Sync>);

impl TokensInUse {
    /// Wraps a function that lists them.
    #[must_use]
    pub fn new(list: impl Fn() -> Vec<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(list))
    }

    /// Lists them, each once, in any order. With 100,000 of them it takes milliseconds.
    #[must_use]
    pub fn list(&self) -> Vec<String> {
        (self.0)()
    }
}

impl fmt::Debug for TokensInUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokensInUse")
    }
}
