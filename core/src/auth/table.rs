//! Owns the token store in memory; knows nothing of sessions and of what tags mean.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Bound;

use super::grants::{Grants, add, remove};
use super::rights;
use super::{ListedToken, TokenChange, TokenName, TokenPage};
use crate::ends::Ends;
use crate::error::TokenError;

/// The token store in memory.
#[derive(Clone)]
pub(crate) struct TokenTable {
    /// Each with its tags, sorted and without duplicates.
    tokens: BTreeMap<String, Vec<String>>,
    /// Those that end, by when they do.
    ends: Ends,
    /// What all of them take.
    bytes: usize,
}

/// Bytes that a token and each of its tags take besides their texts, roughly.
const ENTRY_BYTES: usize = 80;
const TAG_BYTES: usize = 40;
/// Seconds for which it is known of a token that it has ended; later it is one that never was.
const REMEMBERED: u64 = 3_600;

/// Bytes that tags take with a token, roughly.
fn weight(tags: &[String]) -> usize {
    tags.iter().map(|tag| TAG_BYTES + tag.len()).sum()
}

/// Bytes that a token takes with its tags, roughly.
fn weight_of(token: &str, tags: &[String]) -> usize {
    // One that ends is in two places.
    let places = 1 + usize::from(rights::end(tags).is_some());
    places * (ENTRY_BYTES + token.len()) + weight(tags)
}

impl TokenTable {
    pub(crate) fn new() -> Self {
        Self {
            tokens: BTreeMap::new(),
            ends: Ends::default(),
            bytes: 0,
        }
    }

    /// Bytes that all tokens and their tags take, with what a change may add.
    pub(crate) fn bytes_with(&self, change: &TokenChange) -> usize {
        match change {
            TokenChange::Register { token, tags } => self.bytes + weight_of(token, tags),
            TokenChange::Set { tags, .. } => self.bytes + weight(tags),
            _ => 0,
        }
    }

    /// What a token grants, if it is registered.
    pub(crate) fn find(&self, token: &str) -> Option<Grants> {
        let tags = self.tokens.get(token)?;
        Some(Grants::of_token(token, tags.clone()))
    }

    /// The tokens behind one in the order of their texts.
    pub(crate) fn list(&self, after: &str, most: usize) -> TokenPage {
        let behind = (Bound::Excluded(after), Bound::Unbounded);
        let tokens = self.tokens.range::<str, _>(behind).take(most);
        let tokens: Vec<_> = tokens
            .map(|(token, tags)| ListedToken {
                name: TokenName::Token(token.clone()),
                grants: Grants::of_token("", tags.clone()),
            })
            .collect();
        let last = tokens.last().filter(|_| tokens.len() == most);
        let next = last.map(|listed| listed.name.text());
        TokenPage { tokens, next }
    }

    pub(crate) fn apply(&mut self, change: &TokenChange) -> Result<(), TokenError> {
        let token = change.token();
        let mut tags = self.take(token);
        let result = match (change, &mut tags) {
            (TokenChange::Register { .. }, Some(_)) => Err(TokenError::Exists),
            (TokenChange::Register { tags: new, .. }, none) => {
                add(none.insert(Vec::new()), new);
                Ok(())
            }
            (TokenChange::Unregister { .. }, tags) => {
                *tags = None;
                Ok(())
            }
            (_, None) => Err(TokenError::NotFound),
            (TokenChange::Set { tags: new, .. }, Some(tags)) => {
                add(tags, new);
                Ok(())
            }
            (TokenChange::Unset { tags: old, .. }, Some(tags)) => {
                remove(tags, old);
                Ok(())
            }
        };
        if let Some(tags) = tags {
            self.put(token, tags);
        }
        result
    }

    fn take(&mut self, token: &str) -> Option<Vec<String>> {
        let tags = self.tokens.remove(token)?;
        self.bytes -= weight_of(token, &tags);
        if let Some(end) = rights::end(&tags) {
            self.ends.remove(end, token);
        }
        Some(tags)
    }

    fn put(&mut self, token: &str, tags: Vec<String>) {
        self.bytes += weight_of(token, &tags);
        if let Some(end) = rights::end(&tags) {
            self.ends.insert(end, token);
        }
        self.tokens.insert(token.into(), tags);
    }

    /// Forgets a token that ended long ago; returns whether there was one.
    pub(crate) fn forget_one(&mut self, now: u64) -> bool {
        let first = self.ends.first();
        let Some((_, token)) = first.filter(|(end, _)| end.saturating_add(REMEMBERED) <= now)
        else {
            return false;
        };
        let token = String::from(token);
        let _ = self.take(&token);
        true
    }
}

/// Shows how many tokens there are, never which.
impl fmt::Debug for TokenTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenTable({} tokens)", self.tokens.len())
    }
}
