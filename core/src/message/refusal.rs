//! Owns why a command is refused, and how its sender is told.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::encode::{Data, Reply};
use super::view::Message;
use crate::error::{ErrorCode, STORE_UNAVAILABLE, ServerError, TOKEN_EXPIRED};
use crate::limits::Exceeded;
use crate::text::{Part, push, text};

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
    /// A token that has ended, be it presented or gone by.
    TokenExpired,
    /// A login while the token store fails. Why it does is the operator's business, not a stranger's.
    StoreUnavailable,
    /// A subscription without a granted tag.
    SubscribeNotGranted,
    /// A publish with this tag, which is not granted.
    PublishNotGranted(String),
    /// A tag that is the server's own.
    ReservedTag(String),
    /// A field, and what it may be.
    InvalidValue(&'static str, &'static str),
    /// A field that an admin command does not take, and those that it takes.
    UnknownField(String, &'static str),
    Exceeded(Exceeded),
    Revoked,
}

impl From<Exceeded> for Refusal {
    fn from(exceeded: Exceeded) -> Self {
        Self::Exceeded(exceeded)
    }
}

impl From<Exceeded> for Box<Refusal> {
    fn from(exceeded: Exceeded) -> Self {
        Self::new(exceeded.into())
    }
}

impl Refusal {
    pub(crate) fn to_error(&self) -> ServerError {
        let code = match self {
            Self::MissingTags(_) => ErrorCode::MissingTags,
            Self::MissingToken(_) => ErrorCode::MissingToken,
            Self::Unknown => ErrorCode::UnknownCommand,
            Self::NotAuthorized => ErrorCode::NotAdmin,
            Self::Unauthenticated => ErrorCode::Unauthenticated,
            Self::AuthNotFirst => ErrorCode::AuthNotFirst,
            Self::WrongToken => ErrorCode::WrongToken,
            Self::StoreUnavailable => ErrorCode::StoreUnavailable,
            Self::SubscribeNotGranted | Self::PublishNotGranted(_) => ErrorCode::NotGranted,
            Self::TokenExpired => ErrorCode::TokenExpired,
            Self::ReservedTag(_) => ErrorCode::ReservedTag,
            Self::InvalidValue(..) => ErrorCode::InvalidValue,
            Self::UnknownField(..) => ErrorCode::UnknownField,
            Self::Exceeded(_) => ErrorCode::LimitExceeded,
            Self::Revoked => ErrorCode::Revoked,
        };
        ServerError::new(code, text![self])
    }
}

impl Part for Refusal {
    fn push_to(&self, text: &mut String) {
        match self {
            Self::MissingTags(command) => push!(text, "Unable to ", command, " - missing tags"),
            Self::MissingToken(command) => {
                push!(
                    text,
                    "Unable to ",
                    command,
                    " - missing token (send it as data)"
                )
            }
            Self::Unknown => push!(text, "Unknown Command"),
            Self::NotAuthorized => push!(
                text,
                "not authorized - this command needs the server's token, sent by auth as the first message"
            ),
            Self::Unauthenticated => push!(
                text,
                "not authorized - this server is scoped: present a token, by auth as the first message, or over HTTP as X-AUTH-TOKEN"
            ),
            Self::AuthNotFirst => {
                push!(
                    text,
                    "Unable to auth - auth must be the first message of a connection"
                )
            }
            Self::WrongToken => {
                push!(text, "not authorized - the token is not valid")
            }
            Self::StoreUnavailable => push!(
                text,
                STORE_UNAVAILABLE,
                ", the token was not looked at - try again later"
            ),
            Self::SubscribeNotGranted => push!(
                text,
                "not authorized - the token grants none of these tags; a subscription needs at least one"
            ),
            Self::PublishNotGranted(tag) => push!(
                text,
                "not authorized - the token does not grant the tag '",
                tag,
                "'; a publish needs all of its tags granted"
            ),
            Self::TokenExpired => push!(text, TOKEN_EXPIRED, ": present a new one"),
            Self::ReservedTag(tag) => push!(
                text,
                "the tag '",
                tag,
                "' begins with $, which is reserved: choose another"
            ),
            Self::InvalidValue(field, wanted) => push!(text, field, " must be ", wanted),
            Self::UnknownField(field, taken) => push!(
                text,
                "unknown field '",
                field,
                "' - this command takes ",
                taken
            ),
            Self::Exceeded(exceeded) => push!(text, exceeded),
            Self::Revoked => {
                push!(
                    text,
                    "subscription removed - the token no longer grants any of its tags"
                )
            }
        }
    }
}

/// Longer texts are not repeated in an answer.
const ECHO_BYTES: usize = 64 << 10;

/// The tags of a message as an answer repeats them.
pub(crate) fn echoed_tags<'a>(message: &Message<'a>) -> impl Iterator<Item = Cow<'a, str>> {
    let is_short = message.tags_text().len() <= ECHO_BYTES;
    message.tags().take(if is_short { usize::MAX } else { 0 })
}

/// Writes the answer to a command that was refused. It repeats the tags, and the data of an unknown command, as the
/// original does; never the data of a command whose data is a token, nor more tags than are allowed.
pub(crate) fn write_refusal(message: &Message<'_>, refusal: &Refusal, out: &mut Vec<u8>) {
    let tags: Vec<_> = match refusal {
        Refusal::Exceeded(_) => Vec::new(),
        _ => echoed_tags(message).collect(),
    };
    let tags: Vec<_> = tags.iter().map(|tag| &**tag).collect();
    let data = match refusal {
        Refusal::Unknown if !message.command().is_admin() => message.data_literal(),
        _ => None,
    };
    let data = data.filter(|data| data.len() <= ECHO_BYTES);
    Reply {
        command: &message.command_name(),
        tags: &tags,
        data: data.map_or(Data::None, Data::Literal),
        error: Some(&refusal.to_error()),
        id: message.id_literal(),
        ..Reply::default()
    }
    .write(out);
}
