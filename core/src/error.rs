//! Owns every text that a session is told when something is wrong; nothing else in the crate spells one out.

use alloc::string::String;
use core::fmt;

use crate::limits::{Exceeded, Limits};
use crate::message::{Fault, ScanError};

/// What a command is refused for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// `subscribe`, `unsubscribe` or `publish` without tags.
    MissingTags(&'static str),
    /// An admin command without a token in `data`.
    MissingToken(&'static str),
    Unknown,
    NotAuthorized,
    Unauthenticated,
    AuthNotFirst,
    WrongToken,
    NotGranted(Grant),
    Exceeded(Exceeded),
    Revoked,
    Token(TokenError),
}

/// Which half of the grant rule was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Grant {
    Subscribe,
    Publish(String),
}

/// Why a token store could not do what an admin command asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// `register` of a token that is there already.
    Exists,
    /// `set`, `unset`, `tags` or a login with a token that is not there.
    NotFound,
    /// The token has a form that the store cannot hold; the text says which.
    Invalid(String),
    /// A tag has a form that the store cannot hold; the text says which.
    InvalidTag(String),
    /// The store could not do its work and changed nothing; the text says why and holds no secret.
    Unavailable(String),
    /// The store was lost before it said whether the change is durable; the text says why and holds no secret.
    Uncertain(String),
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists => f.write_str("Token already exists"),
            Self::NotFound => f.write_str("Token not found"),
            Self::Invalid(why) => write!(f, "Invalid token - {why}"),
            Self::InvalidTag(why) => write!(f, "Invalid tag - {why}"),
            Self::Unavailable(why) => {
                write!(f, "Token store unavailable, nothing was changed - {why}")
            }
            Self::Uncertain(why) => write!(
                f,
                "Token store unavailable, the change may have been made or not: look with tags, or repeat it - {why}"
            ),
        }
    }
}

impl core::error::Error for TokenError {}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingTags(command) => write!(f, "Unable to {command} - missing tags"),
            Self::MissingToken(command) => {
                write!(f, "Unable to {command} - missing token (send it as data)")
            }
            Self::Unknown => f.write_str("Unknown Command"),
            Self::NotAuthorized => f.write_str(
                "not authorized - this command needs the server's token, sent by auth as the first message",
            ),
            Self::Unauthenticated => f.write_str(
                "not authorized - this server is scoped: send auth with a token as the first message",
            ),
            Self::AuthNotFirst => {
                f.write_str("Unable to auth - auth must be the first message of a connection")
            }
            Self::WrongToken => {
                f.write_str("not authorized - the token is not valid; going on without admin commands")
            }
            Self::NotGranted(Grant::Subscribe) => f.write_str(
                "not authorized - the token grants none of these tags; a subscription needs at least one",
            ),
            Self::NotGranted(Grant::Publish(tag)) => write!(
                f,
                "not authorized - the token does not grant the tag '{tag}'; a publish needs all of its tags granted"
            ),
            Self::Exceeded(exceeded) => exceeded.fmt(f),
            Self::Revoked => {
                f.write_str("subscription removed - the token no longer grants any of its tags")
            }
            Self::Token(error) => error.fmt(f),
        }
    }
}

impl ScanError {
    /// Whether the message was over [`Limits::message_bytes`], so that the stream it came in must end.
    #[must_use]
    pub fn is_too_long(&self) -> bool {
        self.fault == Fault::TooLong
    }

    pub(crate) fn too_long(bytes: usize) -> Self {
        Self {
            fault: Fault::TooLong,
            at: bytes,
        }
    }

    pub(crate) fn text(&self, limits: &Limits) -> String {
        let at = self.at;
        match self.fault {
            Fault::UnexpectedEnd => {
                alloc::format!(
                    "invalid JSON: the message ends too early, at byte {at}; a message is one line"
                )
            }
            Fault::Unexpected => alloc::format!("invalid JSON: unexpected character at byte {at}"),
            Fault::Expected(what) => alloc::format!("invalid JSON: expected {what} at byte {at}"),
            Fault::ControlCharacter => {
                alloc::format!(
                    "invalid JSON: raw control character in a string at byte {at}; escape it"
                )
            }
            Fault::BadEscape => alloc::format!("invalid JSON: unknown escape at byte {at}"),
            Fault::LoneSurrogate => {
                alloc::format!("invalid JSON: lone surrogate escape at byte {at}")
            }
            Fault::BadNumber => alloc::format!("invalid JSON: malformed number at byte {at}"),
            Fault::NotUtf8 => alloc::format!("invalid UTF-8 at byte {at}"),
            Fault::Type { field, wanted } => {
                alloc::format!("wrong type: {field} must be {wanted}, at byte {at}")
            }
            Fault::IdTooLong => alloc::format!("id is longer than 64 bytes, at byte {at}"),
            Fault::TooDeep => alloc::format!(
                "nested deeper than the limit of {} (nesting), at byte {at}",
                limits.nesting
            ),
            Fault::TooLong => Exceeded {
                what: "bytes of one message",
                value: self.at,
                limit: limits.message_bytes,
                setting: "message-bytes",
            }
            .text("; closing"),
        }
    }
}

impl Exceeded {
    fn text(&self, suffix: &str) -> String {
        alloc::format!("{self}{suffix}")
    }
}

/// The text before a session is closed for sending nothing that can be read.
pub(crate) fn too_many_bad_messages(limit: u8) -> String {
    alloc::format!("{limit} invalid messages in a row (bad-messages); closing")
}

/// The text before a connection is closed because there are enough.
pub(crate) fn too_many_connections(limit: usize) -> String {
    alloc::format!("too many connections: the limit is {limit} (connections); closing")
}

/// The text for a client that does not encrypt where it has to.
pub(crate) const TLS_REQUIRED: &str = "this port speaks TLS: connect with tls://; closing";
