//! What subscriptions need, in a form that other nodes of a cluster can keep: a number for each, without its tags.
//!
//! A subscription of one tag needs all messages with that tag; any other needs at most those with a certain two of its tags.
//! The *key* of a need is a hash of that tag or these two. A node tells the others the keys of its subscriptions, and the
//! others send it the messages of which some key is among them: these are all that it needs, and few more.

mod directory;
mod key;

pub use self::directory::Directory;
pub(crate) use self::directory::{MOST_PLACES, rows_of};
pub(crate) use self::key::{hash_of_tag, key_of_one, key_of_two};

/// A need has come, or one like it has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeedChange {
    /// Its key.
    pub key: u64,
    /// Whether it has come.
    pub is_new: bool,
}
