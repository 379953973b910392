//! Owns how a token store tells what others have changed in it; knows nothing of what follows from that.

use std::fmt;
use std::sync::Arc;

/// What others have changed in a token store.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Changed {
    /// A token, or what it grants.
    Token(String),
    /// The same, where the token itself is not known, or is not for all who hear of it: the SHA-256 of its UTF-8.
    Hash([u8; 32]),
    /// Nobody can say what: something was missed.
    Any,
}

/// Shows what is told, never the token.
impl fmt::Debug for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token(_) => "Token(…)",
            Self::Hash(_) => "Hash(…)",
            Self::Any => "Any",
        })
    }
}

/// The tokens that sessions of a server go by, or are about to, for a store that has to look whether they have changed.
#[derive(Clone)]
pub struct TokensInUse(Arc<dyn Fn() -> Vec<String> + Send + Sync>);

impl TokensInUse {
    /// Takes what lists them.
    #[must_use]
    pub fn new(list: impl Fn() -> Vec<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(list))
    }

    /// Lists them, each once and in no order. A server with 100,000 of them takes milliseconds for it.
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
