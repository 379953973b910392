//! Owns what the broker remembers of one client; knows nothing of its subscriptions, which the index holds.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::auth::AuthRequest;

/// Names a session from `connect` to `disconnect`; never valid again afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionId {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

impl SessionId {
    /// A small number, unique among the sessions connected now: made to index an array of outboxes.
    #[must_use]
    pub fn slot(self) -> usize {
        self.slot as usize
    }
}

/// What a session has proved.
#[derive(Debug, Default)]
pub(super) enum Role {
    #[default]
    Anonymous,
    /// A token that was removed since, or has ended; another may be shown.
    Revoked,
    /// The server's own token.
    Admin,
    /// A registered token, whose grants apply under scoped access.
    Token {
        token: Box<str>,
        /// The session's place among those with the token.
        place: u32,
    },
}

/// Whose session it is, as far as that matters to limits of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing<'a> {
    /// Nobody in particular.
    Stranger,
    /// The subject of its token; of a registered token that is the token itself, which must not be shown.
    Subject(&'a str),
    /// The server: it has presented the server's own token.
    Server,
}

/// One client's state.
#[derive(Debug, Default)]
pub(super) struct Session {
    pub(super) role: Role,
    pub(super) phase: Phase,
    /// While there is one, what the session says waits, whatever its phase.
    pub(super) question: Option<Box<Question>>,
}

/// How far a session has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// No message has come; `auth` must be the first.
    #[default]
    New,
    /// The last message could be read.
    Settled,
    /// So many messages since the last readable one could not be read.
    Failing(u8),
    /// It was told to go; nothing it says counts any more.
    Closing,
}

/// What must be answered by the host before the session's next message is looked at.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) command: String,
    pub(super) id: Option<String>,
    pub(super) about: About,
    /// Lines that came in meanwhile.
    pub(super) backlog: Vec<u8>,
}

#[derive(Debug)]
pub(super) enum About {
    /// An admin command.
    Admin(AuthRequest),
    /// Which tokens there are.
    Tokens,
    /// A token presented by a client, before the host says that it may be looked at.
    Presented {
        token: String,
        /// Whether the session has a token already, whose subject must be the same.
        is_later: bool,
    },
    /// A token presented by a client, while its tags are looked up.
    Login {
        token: String,
        /// How often the token had been changed when the host was asked. More often by now, and the answer may be out
        /// of date.
        changes: u32,
        /// As in [`About::Presented`].
        is_later: bool,
    },
    /// A token of the same subject that was presented later, while subscriptions are removed that it does not grant.
    Renewal,
    /// A custom command.
    Custom,
}

impl Session {
    /// Whether a message changes nothing in the session itself, so that it can be decided without exclusive access.
    #[inline]
    pub(super) fn is_settled(&self) -> bool {
        self.phase == Phase::Settled && self.question.is_none()
    }

    pub(super) fn is_closing(&self) -> bool {
        self.phase == Phase::Closing
    }
}
