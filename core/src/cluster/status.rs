//! Owns what tells nodes apart, and what each tells of itself.

use alloc::string::String;
use core::fmt;

/// What tells a node from all others, also from itself before a restart. It should be random.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a node tells others of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// What people call it: letters, digits, `.`, `_` and `-`.
    pub name: String,
    /// The version of the program.
    pub version: String,
    /// Seconds since it started.
    pub uptime: u64,
    /// Connections that it has now.
    pub connections: u64,
    /// Connections since it started.
    pub connections_total: u64,
    /// Connections that hold a subscription now.
    pub subscribers: u64,
    /// Subscriptions that they hold.
    pub subscriptions: u64,
    /// Messages that its clients have published.
    pub published: u64,
    /// Messages that it has handed to other nodes: once for all, or once for each.
    pub sent: u64,
    /// Messages that it has taken from other nodes.
    pub received: u64,
    /// Bytes of messages that wait to be handed to other nodes.
    pub waiting_bytes: u64,
}

/// Figures of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Figures {
    /// Other nodes that are there.
    pub peers: usize,
    /// Other nodes that have gone and may come back.
    pub awaited: usize,
    /// Messages that were handed to the bus for all.
    pub sent: u64,
    /// Messages that were handed to it for one node, counted once for each such node.
    pub sent_to_some: u64,
    /// Messages that came from it.
    pub received: u64,
    /// Messages that others would have got if there were a bus.
    pub lost: u64,
    /// Connections that the others have now.
    pub connections: u64,
    /// Connections that they have had, and those that have gone.
    pub connections_total: u64,
    /// Connections of theirs that hold a subscription.
    pub subscribers: u64,
}
