//! What there is to know of the tokens that sessions go by.

use alloc::vec::Vec;

use super::session::SessionId;
use crate::auth::Grants;

/// What there is to know of a registered token that sessions go by, or are about to.
#[derive(Debug, Default)]
pub(super) struct Holders {
    pub(super) grants: Grants,
    /// Each knows its place.
    pub(super) sessions: Vec<SessionId>,
    /// How many sessions the host is asked about.
    pub(super) asked_about: usize,
    /// Counts changes of the token, so that an answer from before one is known.
    pub(super) changes: u32,
}
