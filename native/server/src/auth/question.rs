//! Owns what the stores that come with the program are asked, and what they answer.

#[cfg(any(feature = "sqlite", feature = "postgres"))]
use std::collections::BTreeSet;

use mist_core::{Grants, ListedToken, TokenEdit, TokenError, TokenName, TokenPage};

/// What a store is asked.
pub(super) enum Question {
    Lookup(String),
    Edit(TokenEdit),
    /// The tokens behind this one, and how many at most.
    List(String, usize),
}

/// What it answers.
pub(super) type Answer = Result<Told, TokenError>;

/// What there is to tell.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// The tags of a token, none for a change.
    Tags(Vec<String>),
    /// Some tokens.
    Page(TokenPage),
}

impl Told {
    /// Tokens with their tags, in their order, of which there may be more.
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

/// How a store that keeps each tag for itself gets from those that it keeps with a token to others.
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

/// A token as the tags say that are kept for it.
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
            Self::Edit(edit) => &edit.token,
            Self::List(after, _) => after,
        }
    }
}
