//! Owns what the broker remembers of one client; knows nothing of its subscriptions, which the index holds.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::auth::AuthRequest;

/// Names a session from `connect` to `disconnect`; never valid again afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionId {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
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
pub(crate) enum Role {
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
pub(crate) struct Session {
    pub(crate) role: Role,
    /// Whether a message has come; `auth` must be the first.
    pub(crate) has_spoken: bool,
    /// Whether a request ever carried an `id`: such a client understands what the original never said.
    pub(crate) uses_ids: bool,
    /// Whether it presented a valid token, which was not revoked since.
    pub(crate) is_admitted: bool,
    /// Whether a token that it presented was revoked.
    pub(crate) was_revoked: bool,
    /// Unreadable messages since the last readable one.
    pub(crate) bad_in_row: u8,
    /// Whether it was told to go; nothing it says counts any more.
    pub(crate) is_closing: bool,
    pub(crate) question: Option<Box<Question>>,
}

/// What must be answered by the host before the session's next message is looked at.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) command: String,
    pub(crate) id: Option<String>,
    pub(crate) about: About,
    /// Lines that came in meanwhile.
    pub(crate) backlog: Vec<u8>,
}

#[derive(Debug)]
pub(crate) enum About {
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
    pub(crate) fn is_settled(&self, has_id: bool) -> bool {
        self.has_spoken
            && self.bad_in_row == 0
            && self.question.is_none()
            && !self.is_closing
            && (self.uses_ids || !has_id)
    }
}
