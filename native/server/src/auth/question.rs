//! Owns what the built-in stores are asked, and what they answer.

#[cfg(any(feature = "sqlite", feature = "postgres"))]
use std::collections::BTreeSet;

use mist_core::{Grants, ListedToken, TokenEdit, TokenError, TokenName, TokenPage};

/// A question to a store.
pub(super) enum Question {
    Lookup(String),
    Edit(TokenEdit),
    /// The tokens that follow this one, and how many at most.
    List(String, usize),
}

/// The answer to a question.
pub(super) type Answer = Result<Told, TokenError>;

/// The content of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// The tags of a token; none for a change.
    Tags(Vec<String>),
    /// A page of tokens.
    Page(TokenPage),
}

impl Told {
    /// A page of tokens with their tags; if it is full, there may be more.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(super) fn page(tokens: Vec<(TokenName, Vec<String>)>, most: usize) -> Self {
        let last = tokens.last().filter(|_| tokens.len() == most);
        Self::Page(TokenPage {
            next: last.map(|(name, _)| name.text()),
            tokens: tokens
                .into_iter()
                .map(|(name, tags)| listed(name, tags))
                .collect(),
        })
    }
}

/// The tags to remove and to add, for a store that keeps each tag by itself.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(super) struct Difference<'a> {
    pub(super) removed: Vec<&'a str>,
    pub(super) added: Vec<&'a str>,
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
impl<'a> Difference<'a> {
    pub(super) fn of(before: &'a [String], after: &'a [String]) -> Self {
        let set = |tags: &'a [String]| tags.iter().map(String::as_str).collect::<BTreeSet<_>>();
        let (before, after) = (set(before), set(after));
        Self {
            removed: before.difference(&after).copied().collect(),
            added: after.difference(&before).copied().collect(),
        }
    }
}

/// A token, with the grants that its tags say.
pub(super) fn listed(name: TokenName, tags: Vec<String>) -> ListedToken {
    ListedToken {
        name,
        grants: Grants::of_token("", tags),
    }
}

#[cfg(any(feature = "postgres", test))]
impl Question {
    pub(super) fn token(&self) -> &str {
        match self {
            Self::Lookup(token) => token,
            Self::Edit(edit) => edit.token().unwrap_or_default(),
            Self::List(after, _) => after,
        }
    }
}
