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
    /// The server's own token.
    Admin,
    /// A registered token, whose grants apply under scoped access.
    Token {
        token: Box<str>,
        /// Where the session stands among those that go by it.
        place: u32,
    },
}

/// One client's state.
#[derive(Debug, Default)]
pub(super) struct Session {
    pub(super) role: Role,
    /// Whether a message has come; `auth` must be the first.
    pub(super) has_spoken: bool,
    /// Whether a request ever carried an `id`: such a client understands what the original never said.
    pub(super) uses_ids: bool,
    /// Whether it presented a valid token, which was not revoked since.
    pub(super) is_admitted: bool,
    /// Whether a token that it presented was revoked.
    pub(super) was_revoked: bool,
    /// Unreadable messages since the last readable one.
    pub(super) bad_in_row: u8,
    /// Whether it was told to go; nothing it says counts any more.
    pub(super) is_closing: bool,
    pub(super) question: Option<Box<Question>>,
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
    /// A token presented by a client, before the host says that it may be looked at.
    Presented(String),
    /// A token presented by a client, while its tags are looked up.
    Login {
        token: String,
        /// How often the token had been changed when the host was asked. More often by now, and the answer may be out of
        /// date.
        changes: u32,
    },
    /// A custom command.
    Custom,
}

impl Session {
    /// Whether a message changes nothing in the session itself, so that it can be decided without exclusive access.
    pub(super) fn is_settled(&self, has_id: bool) -> bool {
        self.has_spoken
            && self.bad_in_row == 0
            && self.question.is_none()
            && !self.is_closing
            && (self.uses_ids || !has_id)
    }
}
