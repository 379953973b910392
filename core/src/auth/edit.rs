//! Owns what an administrator may change about a token, and what that makes of the tags that a store keeps with it.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::grants::{self, Grants};
use super::listed::TokenName;
use super::rights::Rights;
use crate::error::TokenError;

/// What a [`TokenEdit`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EditKind {
    /// Create the token.
    Register,
    /// Remove the token; removing an unknown one succeeds.
    Unregister,
    /// The same, and close the sessions that go by it.
    End,
    /// Add rights to tags, and set whether and when the token ends, if that is said.
    Set,
    /// Take rights to tags away.
    Unset,
}

/// A change of a token, as an administrator asks for it.
///
/// A store need not know what it means: [`TokenEdit::apply`] says what to keep.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenEdit {
    /// What is done.
    pub kind: EditKind,
    /// The token, or its hash if the store lists it by that; [`TokenEdit::token`] is for stores that do not.
    pub name: TokenName,
    /// The tags, sorted.
    pub tags: Vec<String>,
    /// The rights to these tags.
    pub rights: Rights,
    /// When the token is to end, in seconds since 1970, or [`NEVER`]; without it, it does not end, or when it would anyhow.
    pub expires_at: Option<u64>,
    /// The time it is made, in seconds since 1970: what has ended before it is as good as gone.
    pub now: u64,
}

/// The end of a token that does not end.
pub const NEVER: u64 = u64::MAX;

impl TokenEdit {
    /// An edit of no tags, for both rights, that leaves the token's end as it is.
    #[must_use]
    pub fn new(kind: EditKind, token: impl Into<String>) -> Self {
        Self {
            kind,
            name: TokenName::Token(token.into()),
            tags: Vec::new(),
            rights: Rights::Both,
            expires_at: None,
            now: 0,
        }
    }

    /// The token, for a store that keeps tokens themselves.
    ///
    /// # Errors
    /// [`TokenError::Invalid`] if the token is named by its hash.
    pub fn token(&self) -> Result<&str, TokenError> {
        match &self.name {
            TokenName::Token(token) => Ok(token),
            TokenName::Hash(_) => {
                let why = "this store keeps the tokens themselves: send the token as data, not its sha256";
                Err(TokenError::Invalid(why.into()))
            }
        }
    }

    /// Whether the token is gone afterwards, whatever is kept with it.
    #[must_use]
    pub fn removes(&self) -> bool {
        matches!(self.kind, EditKind::Unregister | EditKind::End)
    }

    /// Says which tags a store is to keep with the token, sorted, by those that it keeps now; none where there is no token,
    /// or is to be none. Between reading those and keeping these nobody else may change the token.
    ///
    /// # Errors
    /// [`TokenError::Exists`] and [`TokenError::NotFound`]; then all stays as it is.
    pub fn apply(&self, kept: Option<Vec<String>>) -> Result<Option<Vec<String>>, TokenError> {
        if self.removes() {
            return Ok(None);
        }
        let granted = kept
            .map(grants::read)
            .filter(|granted| !granted.is_over(self.now));
        let mut grants = match (self.kind, granted) {
            (EditKind::Register, Some(_)) => return Err(TokenError::Exists),
            (EditKind::Register, None) => Grants::default(),
            (_, granted) => granted.ok_or(TokenError::NotFound)?,
        };
        self.change(&mut grants);
        Ok(Some(grants::write(grants)))
    }

    /// Changes what a token grants that is there before and after.
    pub(crate) fn change(&self, grants: &mut Grants) {
        if self.kind == EditKind::Unset {
            return grants.remove(&self.tags, self.rights);
        }
        grants.add(&self.tags, self.rights);
        let end = self.expires_at.or(grants.expires_at);
        grants.expires_at = end.filter(|&end| end != NEVER);
    }
}

/// Shows what is changed, never the token.
impl fmt::Debug for TokenEdit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}(…)", self.kind)
    }
}
