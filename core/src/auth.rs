//! Owns what tokens mean: the requests to a token store, the store in memory, and the grant rule.
//!
//! Knows nothing of sessions; a store that does I/O lives in the host and answers the same requests.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use subtle::ConstantTimeEq;

use crate::error::TokenError;
use crate::sort::sort;

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

/// What a session asks of the token store.
#[derive(Clone, PartialEq, Eq)]
pub enum AuthRequest {
    /// Create the token with these tags.
    Register {
        /// The new token.
        token: String,
        /// Its tags, sorted.
        tags: Vec<String>,
    },
    /// Remove the token and its tags; removing an unknown one succeeds.
    Unregister {
        /// The token to remove.
        token: String,
    },
    /// Add tags to a token.
    Set {
        /// The token.
        token: String,
        /// Tags to add, sorted.
        tags: Vec<String>,
    },
    /// Remove tags from a token.
    Unset {
        /// The token.
        token: String,
        /// Tags to remove, sorted.
        tags: Vec<String>,
    },
    /// Return a token's tags.
    Tags {
        /// The token.
        token: String,
    },
}

impl AuthRequest {
    /// The token the request is about.
    #[must_use]
    pub fn token(&self) -> &str {
        match self {
            Self::Register { token, .. }
            | Self::Unregister { token }
            | Self::Set { token, .. }
            | Self::Unset { token, .. }
            | Self::Tags { token } => token,
        }
    }
}

/// Shows what is asked, never the token.
impl fmt::Debug for AuthRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Register { .. } => "Register(…)",
            Self::Unregister { .. } => "Unregister(…)",
            Self::Set { .. } => "Set(…)",
            Self::Unset { .. } => "Unset(…)",
            Self::Tags { .. } => "Tags(…)",
        })
    }
}

/// What a token store answers: the token's tags for [`AuthRequest::Tags`], nothing for the others.
pub type AuthReply = Result<Vec<String>, TokenError>;

/// The token store in memory.
#[derive(Clone)]
pub(crate) struct TokenTable {
    tokens: HashMap<String, Grants, FixedState>,
    /// What all of them take.
    bytes: usize,
}

/// Bytes that a token and each of its tags take besides their texts, roughly.
const ENTRY_BYTES: usize = 80;
const TAG_BYTES: usize = 40;

/// Bytes that tags take with a token, roughly.
fn weight(tags: &[String]) -> usize {
    tags.iter().map(|tag| TAG_BYTES + tag.len()).sum()
}

impl TokenTable {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            tokens: HashMap::with_hasher(FixedState::with_seed(seed)),
            bytes: 0,
        }
    }

    /// Bytes that all tokens and their tags take, with what a request may add.
    pub(crate) fn bytes_with(&self, request: &AuthRequest) -> usize {
        match request {
            AuthRequest::Register { token, tags } => {
                self.bytes + ENTRY_BYTES + token.len() + weight(tags)
            }
            AuthRequest::Set { tags, .. } => self.bytes + weight(tags),
            _ => 0,
        }
    }

    pub(crate) fn apply(&mut self, request: &AuthRequest) -> AuthReply {
        match request {
            AuthRequest::Register { token, tags } => {
                if self.tokens.contains_key(token) {
                    return Err(TokenError::Exists);
                }
                self.bytes = self.bytes_with(request);
                self.tokens.insert(token.clone(), Grants::new(tags));
            }
            AuthRequest::Unregister { token } => {
                if let Some(grants) = self.tokens.remove(token) {
                    self.bytes -= ENTRY_BYTES + token.len() + weight(&grants.tags);
                }
            }
            AuthRequest::Set { token, tags } => self.change(token, |grants| grants.add(tags))?,
            AuthRequest::Unset { token, tags } => {
                self.change(token, |grants| grants.remove(tags))?;
            }
            AuthRequest::Tags { token } => return Ok(self.grants_of(token)?.tags.clone()),
        }
        Ok(Vec::new())
    }

    fn change(&mut self, token: &str, change: impl FnOnce(&mut Grants)) -> Result<(), TokenError> {
        let grants = self.grants_of(token)?;
        let before = weight(&grants.tags);
        change(grants);
        let after = weight(&grants.tags);
        self.bytes = self.bytes - before + after;
        Ok(())
    }

    fn grants_of(&mut self, token: &str) -> Result<&mut Grants, TokenError> {
        self.tokens.get_mut(token).ok_or(TokenError::NotFound)
    }
}

/// Shows how many tokens there are, never which.
impl fmt::Debug for TokenTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenTable({} tokens)", self.tokens.len())
    }
}

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

/// The tags that a registered token grants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Grants {
    /// Sorted, without duplicates.
    tags: Vec<String>,
}

/// What is granted to a session whose token nobody knows.
pub(crate) static NO_GRANTS: Grants = Grants { tags: Vec::new() };

impl Grants {
    pub(crate) fn new(tags: &[String]) -> Self {
        let mut grants = Self::default();
        grants.add(tags);
        grants
    }

    /// Subscribing narrows: one granted tag is enough, since every match then carries it.
    pub(crate) fn allow_subscribe(&self, tags: &[&str]) -> bool {
        tags.iter().any(|tag| self.allows(tag))
    }

    /// Publishing widens: every tag must be granted, since each can make a subscription match.
    pub(crate) fn allows(&self, tag: &str) -> bool {
        let place = self.tags.binary_search_by(|other| other.as_str().cmp(tag));
        place.is_ok()
    }

    pub(crate) fn add(&mut self, tags: &[String]) {
        self.tags.extend_from_slice(tags);
        sort(&mut self.tags);
        self.tags.dedup();
    }

    /// `tags` are sorted.
    pub(crate) fn remove(&mut self, tags: &[String]) {
        self.tags.retain(|tag| tags.binary_search(tag).is_err());
    }

    /// Sorted, without duplicates.
    pub(crate) fn tags(&self) -> &[String] {
        &self.tags
    }

    pub(crate) fn clear(&mut self) {
        self.tags.clear();
    }
}
