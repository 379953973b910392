//! What a broker is made of, what a client comes with, and what else there is in a cluster.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

#[cfg(doc)]
use super::{Broker, Long, Output, Scratch};
use crate::auth::{Access, TokenStorage};
use crate::limits::Limits;

/// What a broker is to be.
#[derive(Clone, Default)]
pub struct Config {
    /// The bounds.
    pub limits: Limits,
    /// Who may use the basic commands.
    pub access: Access,
    /// The token that makes a session admin. An empty one is none: it would match an `auth` without data.
    pub token: Option<String>,
    /// Where registered tokens are kept.
    pub token_storage: TokenStorage,
    /// Whether the host verifies tokens that are not registered, too: it is asked by [`Output::Ask`] about those that are not
    /// in the broker's memory.
    pub has_verifiers: bool,
    /// The names of commands that the host answers.
    pub commands: Vec<String>,
    /// Whether the host says when a token that a client presents is looked at: see [`Output::TokenPresented`].
    pub is_guarded: bool,
    /// Whether the host wants to know tags and tag sets by number: see [`Broker::decide_numbers`].
    pub is_numbered: bool,
    /// How much a publish may look at, in the unit of [`Scratch::walked`], before others have their turn: what takes more is
    /// a [`Long::Publish`]. For hosts that share the broker; without it nothing is too much, nor where
    /// [`Config::is_numbered`].
    pub turn: Option<usize>,
}

/// Shows whether there is a token, never which.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("limits", &self.limits)
            .field("access", &self.access)
            .field("token", &self.token.as_ref().map(|_| "…"))
            .field("token_storage", &self.token_storage)
            .field("has_verifiers", &self.has_verifiers)
            .field("commands", &self.commands)
            .field("is_guarded", &self.is_guarded)
            .field("is_numbered", &self.is_numbered)
            .field("turn", &self.turn)
            .finish()
    }
}

/// What a client presents when it connects, before its first message.
#[derive(Clone, Copy, Default)]
pub struct Credentials<'a> {
    /// A token from an HTTP header or query.
    pub token: Option<&'a str>,
}

/// Shows whether there is a token, never which.
impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = self.token.map(|_| "…");
        f.debug_struct("Credentials")
            .field("token", &token)
            .finish()
    }
}

/// The other nodes of a cluster, as far as clients are told of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Others {
    /// Whether the node wants the messages of this broker: because there is another node, or to count those that are lost.
    pub is_linked: bool,
    /// How many there are.
    pub nodes: usize,
    /// Connections that they have had since they started.
    pub connections_total: u64,
    /// Connections of theirs that hold a subscription now.
    pub subscribers: u64,
}
