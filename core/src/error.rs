//! Owns every code and every text that a session is told when something is wrong; nothing else in the crate spells one out.

use alloc::string::String;
use core::fmt;

use crate::limits::{Exceeded, Limits};
use crate::message::{Fault, ScanError};
use crate::text::{Part, push, text};

/// Names each code once, as Rust and the wire spell it.
macro_rules! codes {
    ($($(#[$about:meta])* $code:ident = $name:literal,)+) => {
        /// What is wrong, for programs: the `code` beside the `error` of a message. The sentence is for people, and may change.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $($(#[$about])* $code,)+
            /// One that this version does not know, or none.
            Unknown,
        }

        impl ErrorCode {
            /// All that are known.
            pub const ALL: &[Self] = &[$(Self::$code),+];

            /// Returns the name on the wire; empty for [`Unknown`](Self::Unknown).
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$code => $name,)+
                    Self::Unknown => "",
                }
            }
        }
    };
}

codes! {
    /// The message is not JSON of the right form.
    Unreadable = "unreadable",
    /// The message is over the limit for one; the connection is closed.
    TooLarge = "too-large",
    /// The message is the first line of an HTTP request; the connection is closed.
    HttpRequest = "http-request",
    /// Too many messages in a row could not be read; the connection is closed.
    TooManyBadMessages = "too-many-bad-messages",
    /// There is no such command.
    UnknownCommand = "unknown-command",
    /// The command needs tags.
    MissingTags = "missing-tags",
    /// The command needs a token as its data.
    MissingToken = "missing-token",
    /// The command is for who presented the server's token.
    NotAdmin = "not-admin",
    /// The command needs a valid token, or none came in time.
    Unauthenticated = "unauthenticated",
    /// `auth` was not the first message.
    AuthNotFirst = "auth-not-first",
    /// The token is not valid.
    WrongToken = "wrong-token",
    /// The token was not looked at, since too many wrong ones came; the connection is closed.
    TooManyWrongTokens = "too-many-wrong-tokens",
    /// The token does not grant what was asked for.
    NotGranted = "not-granted",
    /// A subscription is removed, since the token no longer grants it.
    Revoked = "revoked",
    /// Something is more than a limit allows; the sentence names the value, the limit and the setting.
    LimitExceeded = "limit-exceeded",
    /// The token to be registered is there already.
    TokenExists = "token-exists",
    /// The token to be looked at or changed is not there.
    TokenNotFound = "token-not-found",
    /// The token has a form that the store cannot hold.
    InvalidToken = "invalid-token",
    /// A tag has a form that the store cannot hold.
    InvalidTag = "invalid-tag",
    /// The token store does not work; nothing was changed, and the same may be tried later.
    StoreUnavailable = "store-unavailable",
    /// The token store was lost before it said whether the change was made.
    Uncertain = "uncertain",
    /// A custom command said no.
    Refused = "refused",
    /// There are too many connections, in all or from one address; this one is closed.
    TooManyConnections = "too-many-connections",
    /// The port speaks TLS, and the client did not.
    TlsRequired = "tls-required",
}

impl ErrorCode {
    /// Finds a code by its name on the wire.
    #[must_use]
    pub fn find(name: &str) -> Self {
        let is_it = |code: &&Self| code.name() == name;
        Self::ALL
            .iter()
            .find(is_it)
            .copied()
            .unwrap_or(Self::Unknown)
    }

    /// Whether a token that was presented with this result may be valid all the same.
    pub(crate) fn is_passing(self) -> bool {
        matches!(
            self,
            Self::StoreUnavailable | Self::Uncertain | Self::TooManyWrongTokens
        )
    }
}

/// An error as the server tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerError {
    /// For programs.
    pub code: ErrorCode,
    /// For people.
    pub text: String,
}

impl ServerError {
    /// Creates an error.
    pub fn new(code: ErrorCode, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { code, text }
    }
}

impl Part for ServerError {
    fn push_to(&self, text: &mut String) {
        text.push_str(&self.text);
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl core::error::Error for ServerError {}

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
    /// A login while the token store fails. Why it does is the operator's business, not a stranger's.
    StoreUnavailable,
    NotGranted(Grant),
    Exceeded(Exceeded),
    Revoked,
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

/// What begins every error of a token store that may work again later.
const STORE_UNAVAILABLE: &str = "Token store unavailable";

impl Part for TokenError {
    fn push_to(&self, text: &mut String) {
        match self {
            Self::Exists => push!(text, "Token already exists"),
            Self::NotFound => push!(text, "Token not found"),
            Self::Invalid(why) => push!(text, "Invalid token - ", why),
            Self::InvalidTag(why) => push!(text, "Invalid tag - ", why),
            Self::Unavailable(why) => {
                push!(text, STORE_UNAVAILABLE, ", nothing was changed - ", why)
            }
            Self::Uncertain(why) => push!(
                text,
                STORE_UNAVAILABLE,
                ", the change may have been made or not: look with tags, or repeat it - ",
                why
            ),
        }
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text![self])
    }
}

impl core::error::Error for TokenError {}

impl TokenError {
    pub(crate) fn told(&self) -> ServerError {
        let code = match self {
            Self::Exists => ErrorCode::TokenExists,
            Self::NotFound => ErrorCode::TokenNotFound,
            Self::Invalid(_) => ErrorCode::InvalidToken,
            Self::InvalidTag(_) => ErrorCode::InvalidTag,
            Self::Unavailable(_) => ErrorCode::StoreUnavailable,
            Self::Uncertain(_) => ErrorCode::Uncertain,
        };
        ServerError::new(code, text![self])
    }
}

impl Refusal {
    pub(crate) fn told(&self) -> ServerError {
        let code = match self {
            Self::MissingTags(_) => ErrorCode::MissingTags,
            Self::MissingToken(_) => ErrorCode::MissingToken,
            Self::Unknown => ErrorCode::UnknownCommand,
            Self::NotAuthorized => ErrorCode::NotAdmin,
            Self::Unauthenticated => ErrorCode::Unauthenticated,
            Self::AuthNotFirst => ErrorCode::AuthNotFirst,
            Self::WrongToken => ErrorCode::WrongToken,
            Self::StoreUnavailable => ErrorCode::StoreUnavailable,
            Self::NotGranted(_) => ErrorCode::NotGranted,
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
                "not authorized - this server is scoped: send auth with a token as the first message"
            ),
            Self::AuthNotFirst => {
                push!(
                    text,
                    "Unable to auth - auth must be the first message of a connection"
                )
            }
            Self::WrongToken => {
                push!(
                    text,
                    "not authorized - the token is not valid; going on without admin commands"
                )
            }
            Self::StoreUnavailable => push!(
                text,
                STORE_UNAVAILABLE,
                ", the token was not looked at - try again later"
            ),
            Self::NotGranted(Grant::Subscribe) => push!(
                text,
                "not authorized - the token grants none of these tags; a subscription needs at least one"
            ),
            Self::NotGranted(Grant::Publish(tag)) => push!(
                text,
                "not authorized - the token does not grant the tag '",
                tag,
                "'; a publish needs all of its tags granted"
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

impl ScanError {
    /// Whether the message was over [`Limits::message_bytes`], so that the stream it came in must end.
    #[must_use]
    pub fn is_too_long(&self) -> bool {
        self.fault == Fault::TooLong
    }

    pub(crate) fn is_http(&self) -> bool {
        self.fault == Fault::Http
    }

    pub(crate) fn too_long(bytes: usize) -> Self {
        Self {
            fault: Fault::TooLong,
            at: bytes,
        }
    }

    /// As a session is told; see [`text`](Self::text).
    pub(crate) fn told(&self, limits: &Limits, is_early: bool) -> ServerError {
        let code = match self.fault {
            Fault::TooLong => ErrorCode::TooLarge,
            Fault::Http => ErrorCode::HttpRequest,
            _ => ErrorCode::Unreadable,
        };
        ServerError::new(code, self.text(limits, is_early))
    }

    /// `is_early` is whether the limits were those before authentication.
    pub(crate) fn text(&self, limits: &Limits, is_early: bool) -> String {
        let at = self.at;
        match self.fault {
            Fault::UnexpectedEnd => {
                text![
                    "invalid JSON: the message ends too early, at byte ",
                    at,
                    "; a message is one line"
                ]
            }
            Fault::Unexpected => text!["invalid JSON: unexpected character at byte ", at],
            Fault::ByteOrderMark => text![
                "invalid JSON: a byte order mark (U+FEFF) at byte ",
                at,
                "; leave it out"
            ],
            Fault::Expected(what) => text!["invalid JSON: expected ", what, " at byte ", at],
            Fault::ControlCharacter => {
                text![
                    "invalid JSON: raw control character in a string at byte ",
                    at,
                    "; escape it"
                ]
            }
            Fault::BadEscape => text!["invalid JSON: unknown escape at byte ", at],
            Fault::LoneSurrogate => {
                text!["invalid JSON: lone surrogate escape at byte ", at]
            }
            Fault::BadNumber => text!["invalid JSON: malformed number at byte ", at],
            Fault::NotUtf8 => text!["invalid UTF-8 at byte ", at],
            Fault::Type { field, wanted } => {
                text!["wrong type: ", field, " must be ", wanted, ", at byte ", at]
            }
            Fault::IdTooLong => text!["id is longer than 64 bytes, at byte ", at],
            Fault::TooDeep => text![
                "nested deeper than the limit of ",
                limits.nesting,
                " (nesting), at byte ",
                at
            ],
            Fault::TooLong => {
                let (limit, setting) = match limits.unauthenticated_bytes {
                    early if is_early && early < limits.message_bytes => {
                        (early, "unauthenticated-bytes")
                    }
                    _ => (limits.message_bytes, "message-bytes"),
                };
                let exceeded = Exceeded {
                    what: "bytes of one message",
                    value: at,
                    limit,
                    setting,
                };
                text![exceeded, "; closing"]
            }
            Fault::Http => String::from(
                "this is an HTTP request, and JSON messages are expected here - send it to an http:// or https:// \
                 listener; closing",
            ),
        }
    }
}

/// The words before a session is closed for sending nothing that can be read.
pub(crate) fn too_many_bad_messages(limit: u8) -> ServerError {
    let text = text![limit, " invalid messages in a row (bad-messages); closing"];
    ServerError::new(ErrorCode::TooManyBadMessages, text)
}

/// The words before a session is closed for not authenticating.
pub(crate) fn not_authenticated(seconds: usize) -> ServerError {
    let text = text![
        "not authorized - no valid token within ",
        seconds,
        " seconds (authentication-seconds); closing"
    ];
    ServerError::new(ErrorCode::Unauthenticated, text)
}

/// The words before a connection is closed because there are enough.
pub(crate) fn too_many_connections(limit: usize) -> ServerError {
    let text = text![
        "too many connections: the limit is ",
        limit,
        " (connections); closing"
    ];
    ServerError::new(ErrorCode::TooManyConnections, text)
}

/// The words before a connection is closed because too much has arrived of messages that are not whole.
pub(crate) fn input_full(limit: usize) -> ServerError {
    let text = text![
        "too much has arrived of messages without an end: all connections together may have ",
        limit,
        " bytes of them (input-total-bytes); closing"
    ];
    ServerError::new(ErrorCode::LimitExceeded, text)
}

/// The words before a connection is closed because its address has enough.
pub(crate) fn too_many_of_address(limit: usize) -> ServerError {
    let text = text![
        "too many connections from your address: the limit is ",
        limit,
        " (connections-per-address); closing"
    ];
    ServerError::new(ErrorCode::TooManyConnections, text)
}

/// The words before a session is closed whose token was not looked at. It is no refusal of the token.
pub(crate) fn too_many_wrong_tokens() -> ServerError {
    let text = "too many wrong tokens from your address (failed-tokens): try again later; closing";
    ServerError::new(ErrorCode::TooManyWrongTokens, text)
}

/// The words for a client that does not encrypt where it has to.
pub(crate) fn tls_required() -> ServerError {
    let text = "this port speaks TLS: connect with tls://; closing";
    ServerError::new(ErrorCode::TlsRequired, text)
}
