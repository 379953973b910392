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

/// A change of the tokens that are registered.
#[derive(Clone, PartialEq, Eq)]
pub enum TokenChange {
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
}

impl TokenChange {
    /// The token that changes.
    #[must_use]
    pub fn token(&self) -> &str {
        match self {
            Self::Register { token, .. }
            | Self::Unregister { token }
            | Self::Set { token, .. }
            | Self::Unset { token, .. } => token,
        }
    }

    /// The tags that the change names; none for [`TokenChange::Unregister`].
    #[must_use]
    pub fn tags(&self) -> &[String] {
        match self {
            Self::Register { tags, .. } | Self::Set { tags, .. } | Self::Unset { tags, .. } => tags,
            Self::Unregister { .. } => &[],
        }
    }
}

/// Shows what is changed, never the token.
impl fmt::Debug for TokenChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Register { .. } => "Register(…)",
            Self::Unregister { .. } => "Unregister(…)",
            Self::Set { .. } => "Set(…)",
            Self::Unset { .. } => "Unset(…)",
        })
    }
}

/// What is asked about tokens on behalf of a session.
#[derive(Clone, PartialEq, Eq)]
pub enum AuthRequest {
    /// Say what a token may do that a client presents.
    Authenticate {
        /// The token.
        token: String,
    },
    /// Say what is granted by a token that is registered.
    Lookup {
        /// The token.
        token: String,
    },
    /// Change what is registered.
    Change(TokenChange),
}

impl AuthRequest {
    /// The token that the request is about.
    #[must_use]
    pub fn token(&self) -> &str {
        match self {
            Self::Authenticate { token } | Self::Lookup { token } => token,
            Self::Change(change) => change.token(),
        }
    }
}

/// Shows what is asked, never the token.
impl fmt::Debug for AuthRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authenticate { .. } => f.write_str("Authenticate(…)"),
            Self::Lookup { .. } => f.write_str("Lookup(…)"),
            Self::Change(change) => change.fmt(f),
        }
    }
}

/// The answer to an [`AuthRequest`]: what the token may do; nothing for a change, and for a token that is not valid.
pub type AuthReply = Result<Option<Grants>, TokenError>;

/// The token store in memory.
#[derive(Clone)]
pub(crate) struct TokenTable {
    /// Each with its tags, sorted and without duplicates.
    tokens: HashMap<String, Vec<String>, FixedState>,
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

    /// Bytes that all tokens and their tags take, with what a change may add.
    pub(crate) fn bytes_with(&self, change: &TokenChange) -> usize {
        match change {
            TokenChange::Register { token, tags } => {
                self.bytes + ENTRY_BYTES + token.len() + weight(tags)
            }
            TokenChange::Set { tags, .. } => self.bytes + weight(tags),
            _ => 0,
        }
    }

    /// What a token grants, if it is registered.
    pub(crate) fn find(&self, token: &str) -> Option<Grants> {
        let tags = self.tokens.get(token)?;
        Some(Grants::of_token(token, tags.clone()))
    }

    pub(crate) fn apply(&mut self, change: &TokenChange) -> Result<(), TokenError> {
        match change {
            TokenChange::Register { token, tags } => {
                if self.tokens.contains_key(token) {
                    return Err(TokenError::Exists);
                }
                self.bytes = self.bytes_with(change);
                let mut kept = Vec::new();
                add(&mut kept, tags);
                self.tokens.insert(token.clone(), kept);
                Ok(())
            }
            TokenChange::Unregister { token } => {
                if let Some(tags) = self.tokens.remove(token) {
                    self.bytes -= ENTRY_BYTES + token.len() + weight(&tags);
                }
                Ok(())
            }
            TokenChange::Set { token, tags } => self.edit(token, |kept| add(kept, tags)),
            TokenChange::Unset { token, tags } => self.edit(token, |kept| remove(kept, tags)),
        }
    }

    fn edit(&mut self, token: &str, edit: impl FnOnce(&mut Vec<String>)) -> Result<(), TokenError> {
        let tags = self.tokens.get_mut(token).ok_or(TokenError::NotFound)?;
        let before = weight(tags);
        edit(tags);
        self.bytes = self.bytes - before + weight(tags);
        Ok(())
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

/// What a token may do: the one answer of whoever keeps tokens, or verifies them.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Grants {
    /// Whom the token speaks for. A session may show another token of the same subject later; a registered token is a
    /// subject of its own.
    pub subject: String,
    /// One of these tags must be in each subscription: every message that it matches then carries it.
    pub subscribe: Vec<String>,
    /// All tags of a published message must be among these, since each can make a subscription match.
    pub publish: Vec<String>,
    /// Whether it may use the commands for administrators.
    pub admin: bool,
    /// When it ceases to be valid, in seconds since 1970. Nothing acts on it yet: the broker has no clock, and the server
    /// does not end sessions by it. A program that must have them ended says when it is due that the token has changed.
    pub expires_at: Option<u64>,
}

/// Shows how much is granted, never to whom: the subject may be the token.
impl fmt::Debug for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grants")
            .field("subscribe", &self.subscribe)
            .field("publish", &self.publish)
            .field("admin", &self.admin)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// What is granted to a session whose token nobody knows.
pub(crate) static NO_GRANTS: Grants = Grants {
    subject: String::new(),
    subscribe: Vec::new(),
    publish: Vec::new(),
    admin: false,
    expires_at: None,
};

impl Grants {
    /// What a registered token grants: to subscribe and to publish with its tags.
    #[must_use]
    pub fn of_token(token: &str, tags: Vec<String>) -> Self {
        Self {
            subject: token.into(),
            subscribe: tags.clone(),
            publish: tags,
            ..Self::default()
        }
    }

    /// Puts the tags in the order in which they are looked for.
    pub(crate) fn sorted(mut self) -> Self {
        add(&mut self.subscribe, &[]);
        add(&mut self.publish, &[]);
        self
    }

    pub(crate) fn allow_subscription<'a>(&self, tags: impl IntoIterator<Item = &'a str>) -> bool {
        tags.into_iter().any(|tag| has(&self.subscribe, tag))
    }

    /// Whether every subscription that others allow is allowed by these.
    pub(crate) fn cover_subscriptions_of(&self, others: &Self) -> bool {
        let mut tags = others.subscribe.iter();
        tags.all(|tag| has(&self.subscribe, tag))
    }

    /// Whether a subscription may be for this tag alone.
    pub(crate) fn allow_subscribe(&self, tag: &str) -> bool {
        has(&self.subscribe, tag)
    }

    /// Whether a message may carry this tag.
    pub(crate) fn allow_publish(&self, tag: &str) -> bool {
        has(&self.publish, tag)
    }

    /// As [`TokenChange::Set`].
    pub(crate) fn add(&mut self, tags: &[String]) {
        add(&mut self.subscribe, tags);
        add(&mut self.publish, tags);
    }

    /// As [`TokenChange::Unset`].
    pub(crate) fn remove(&mut self, tags: &[String]) {
        remove(&mut self.subscribe, tags);
        remove(&mut self.publish, tags);
    }
}

/// Whether a sorted list has a tag.
fn has(list: &[String], tag: &str) -> bool {
    let place = list.binary_search_by(|other| other.as_str().cmp(tag));
    place.is_ok()
}

/// Adds tags to a list, and puts it in order.
fn add(list: &mut Vec<String>, tags: &[String]) {
    list.extend_from_slice(tags);
    sort(list);
    list.dedup();
}

/// Removes tags, which are sorted.
fn remove(list: &mut Vec<String>, tags: &[String]) {
    list.retain(|tag| tags.binary_search(tag).is_err());
}
