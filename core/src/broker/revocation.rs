//! The remaining work of taking a grant from the sessions that have it.

use alloc::vec::Vec;

use super::session::SessionId;

/// The subscriptions that are to be looked at, since their sessions may no longer hold them.
#[derive(Debug, Default)]
pub(super) struct Revocation {
    /// The sessions that are still to come, the next one last.
    pub(super) sessions: Vec<SessionId>,
    /// The session that is being looked at, and its sets that are still to come.
    pub(super) session: Option<SessionId>,
    pub(super) sets: Vec<u32>,
    /// Whether the sessions were told already that all of it is gone.
    pub(super) is_told: bool,
    /// Whether a grant is taken. Its answer then proves that this and all that was taken before is gone.
    pub(super) takes: bool,
    /// Whether the sessions are closed that do not go by another token by then.
    pub(super) closes: bool,
    /// The session whose command is answered when this is done.
    pub(super) waiting: Option<SessionId>,
}

impl Revocation {
    pub(super) fn of(mut sessions: Vec<SessionId>) -> Self {
        sessions.reverse();
        Self {
            sessions,
            ..Self::default()
        }
    }

    pub(super) fn taking(sessions: Vec<SessionId>) -> Self {
        Self {
            takes: true,
            ..Self::of(sessions)
        }
    }

    /// What goes since a token has ended.
    pub(super) fn expiry(sessions: Vec<SessionId>) -> Self {
        Self {
            is_told: true,
            ..Self::of(sessions)
        }
    }

    /// Closes the sessions, too.
    pub(super) fn closing(mut self) -> Self {
        self.closes = true;
        self
    }

    /// Has a command answered when this is done. Its session waits until then.
    pub(super) fn then_answer(mut self, session: SessionId) -> Self {
        self.waiting = Some(session);
        self
    }
}
