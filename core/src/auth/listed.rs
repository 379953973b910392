//! Owns what a store says of the tokens that it keeps, a part at a time.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::Grants;

/// A part of the tokens that a store keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenPage {
    /// The tokens, in an order that is always the same, such as that of their names.
    pub tokens: Vec<ListedToken>,
    /// What the next part is to be asked for with, if there may be one: most often the name of the last token.
    pub next: Option<String>,
}

/// A token that a store keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedToken {
    /// How the store knows it.
    pub name: TokenName,
    /// What it grants; nobody looks at the subject.
    pub grants: Grants,
}

/// How a store knows a token.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum TokenName {
    /// By itself.
    Token(String),
    /// By the SHA-256 of its UTF-8.
    Hash([u8; 32]),
}

impl TokenName {
    /// As text: the token, or its hash in 64 hexadecimal digits.
    #[must_use]
    pub fn text(&self) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
        match self {
            Self::Token(token) => token.clone(),
            Self::Hash(hash) => {
                let bytes = hash.iter();
                bytes
                    .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
                    .collect()
            }
        }
    }
}

/// Shows which kind it is, never the token.
impl fmt::Debug for TokenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token(_) => "Token(…)",
            Self::Hash(_) => "Hash(…)",
        })
    }
}
