//! Owns what an administrator may change about a token, and what that means for the tags that a store keeps.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use super::TokenChange;
use super::grants::Grants;
use super::rights::{Rights, kept, kept_end, spellings};
use crate::error::TokenError;

/// What a [`TokenEdit`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EditKind {
    /// Create the token.
    Register,
    /// Remove the token; removing an unknown one succeeds.
    Unregister,
    /// Add rights to tags, and set when the token ends, if that is said.
    Set,
    /// Take rights to tags away.
    Unset,
}

/// A change of a token, as an administrator asks for it.
///
/// A store is told of it by [`TokenEdit::changes`], and needs to know nothing of rights and ends.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenEdit {
    /// What is done.
    pub kind: EditKind,
    /// The token.
    pub token: String,
    /// The tags, sorted.
    pub tags: Vec<String>,
    /// The rights to these tags.
    pub rights: Rights,
    /// When the token is to end, in seconds since 1970; without it, it does not end, or when it would anyhow.
    pub expires_at: Option<u64>,
    /// The time it is made, in seconds since 1970: what has ended before it is as good as gone.
    pub now: u64,
}

impl TokenEdit {
    /// An edit of no tags, for both rights, that leaves the token's end as it is.
    #[must_use]
    pub fn new(kind: EditKind, token: impl Into<String>) -> Self {
        Self {
            kind,
            token: token.into(),
            tags: Vec::new(),
            rights: Rights::Both,
            expires_at: None,
            now: 0,
        }
    }

    /// Whether [`TokenEdit::changes`] depends on what the token grants now.
    #[must_use]
    pub fn needs_grants(&self) -> bool {
        match self.kind {
            EditKind::Register | EditKind::Set => true,
            EditKind::Unset => self.rights != Rights::Both,
            EditKind::Unregister => false,
        }
    }

    /// What a store is told to do, in this order. `granted` is what the token grants now, if it is registered. In between
    /// the token grants no more than before or after all of them.
    ///
    /// # Errors
    /// [`TokenError::Exists`] and [`TokenError::NotFound`].
    pub fn changes(&self, granted: Option<&Grants>) -> Result<Vec<TokenChange>, TokenError> {
        let token = || self.token.clone();
        let is_over = granted.is_some_and(|granted| granted.is_over(self.now));
        // In order, since a token may have many tags.
        let in_force = || {
            let granted = granted.filter(|_| !is_over);
            granted
                .cloned()
                .map(Grants::sorted)
                .ok_or(TokenError::NotFound)
        };
        match self.kind {
            EditKind::Unregister => Ok(vec![TokenChange::Unregister { token: token() }]),
            EditKind::Register => {
                let mut changes = Vec::new();
                match granted {
                    Some(_) if !is_over => return Err(TokenError::Exists),
                    Some(_) => changes.push(TokenChange::Unregister { token: token() }),
                    None => {}
                }
                let mut tags = self.kept(self.expires_at.is_some());
                tags.extend(self.expires_at.map(kept_end));
                changes.push(TokenChange::Register {
                    token: token(),
                    tags,
                });
                Ok(changes)
            }
            EditKind::Set => {
                let granted = in_force()?;
                let ends = self.expires_at.or(granted.expires_at).is_some();
                let (mut added, mut removed) = (self.kept(ends), Vec::new());
                if let Some(end) = self
                    .expires_at
                    .filter(|_| self.expires_at != granted.expires_at)
                {
                    added.push(kept_end(end));
                    match granted.expires_at {
                        Some(former) => removed.push(kept_end(former)),
                        // It had no end so far, so that its tags may be kept as such.
                        None => {
                            let both = granted.subscribe.iter();
                            for tag in both.filter(|tag| granted.allow_publish(tag)) {
                                added.push(kept(tag, Rights::Both, true));
                                removed.push(tag.clone());
                            }
                        }
                    }
                }
                Ok(self.set_and_unset(added, removed))
            }
            EditKind::Unset => {
                let mut added = Vec::new();
                if let Some(rest) = self.rights.rest() {
                    let granted = in_force()?;
                    let has_rest = |tag: &&String| granted.allow(tag, rest);
                    let left = self.tags.iter().filter(has_rest);
                    added.extend(left.map(|tag| kept(tag, rest, false)));
                }
                let taken = self.tags.iter().flat_map(|tag| spellings(tag, self.rights));
                Ok(self.set_and_unset(added, taken.collect()))
            }
        }
    }

    /// How the tags are kept of a token that `ends`, or does not.
    fn kept(&self, ends: bool) -> Vec<String> {
        let tags = self.tags.iter();
        tags.map(|tag| kept(tag, self.rights, ends)).collect()
    }

    fn set_and_unset(&self, added: Vec<String>, removed: Vec<String>) -> Vec<TokenChange> {
        let mut changes = Vec::new();
        if !added.is_empty() || removed.is_empty() {
            changes.push(TokenChange::Set {
                token: self.token.clone(),
                tags: sorted(added),
            });
        }
        if !removed.is_empty() {
            changes.push(TokenChange::Unset {
                token: self.token.clone(),
                tags: sorted(removed),
            });
        }
        changes
    }
}

/// As stores expect tags.
fn sorted(mut tags: Vec<String>) -> Vec<String> {
    super::grants::add(&mut tags, &[]);
    tags
}

/// Shows what is changed, never the token.
impl fmt::Debug for TokenEdit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}(…)", self.kind)
    }
}
