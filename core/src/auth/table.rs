//! Owns the token store in memory; knows nothing of sessions and of what tags mean.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Bound;

use super::rights;
use super::{Grants, ListedToken, TokenEdit, TokenName, TokenPage};
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

    /// Makes a change. `check` is told the bytes that all tokens and their tags will then take, if those are more than now,
    /// and may refuse it.
    pub(crate) fn edit<E>(
        &mut self,
        edit: &TokenEdit,
        check: impl FnOnce(usize) -> Result<(), E>,
    ) -> Result<Result<(), TokenError>, E> {
        let token = match edit.token() {
            Ok(token) => token,
            Err(error) => return Ok(Err(error)),
        };
        let kept = self.tokens.get(token);
        let before = kept.map_or(0, |tags| weight_of(token, tags));
        let tags = match edit.apply(kept.cloned()) {
            Ok(tags) => tags,
            Err(error) => return Ok(Err(error)),
        };
        let after = tags.as_ref().map_or(0, |tags| weight_of(token, tags));
        if after > before {
            check(self.bytes - before + after)?;
        }
        self.take(token);
        if let Some(tags) = tags {
            self.put(token, tags);
        }
        Ok(Ok(()))
    }

    fn take(&mut self, token: &str) {
        let Some(tags) = self.tokens.remove(token) else {
            return;
        };
        self.bytes -= weight_of(token, &tags);
        if let Some(end) = rights::end(&tags) {
            self.ends.remove(end, token);
        }
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
        self.take(&token);
        true
    }
}

/// Shows how many tokens there are, never which.
impl fmt::Debug for TokenTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenTable({} tokens)", self.tokens.len())
    }
}
