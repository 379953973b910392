//! Owns what an error is on the wire, its codes, and what a token store may find wrong. The sentences for people stand
//! beside what they are about: in `message/{fault,refusal,notices}.rs`, and here.

use alloc::string::String;
use core::fmt;

use crate::text::{Part, push, text};

/// Names each code once, as Rust and the wire spell it.
macro_rules! codes {
    ($($(#[$about:meta])* $code:ident = $name:literal,)+) => {
        /// What is wrong, for programs: the `code` beside the `error` of a message. The sentence is for people, and may
        /// change.
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
    /// The command is for administrators.
    NotAdmin = "not-admin",
    /// The command needs a valid token, or none came in time.
    Unauthenticated = "unauthenticated",
    /// `auth` was not the first message.
    AuthNotFirst = "auth-not-first",
    /// The token is not valid.
    WrongToken = "wrong-token",
    /// The token has ended: a new one is needed.
    TokenExpired = "token-expired",
    /// The token was not looked at, since too many wrong ones came; the connection is closed.
    TooManyWrongTokens = "too-many-wrong-tokens",
    /// The token does not grant what was asked for.
    NotGranted = "not-granted",
    /// A tag begins with `$`: such tags are the server's own.
    ReservedTag = "reserved-tag",
    /// A field has a value that the command does not take.
    InvalidValue = "invalid-value",
    /// The admin command does not take this field.
    UnknownField = "unknown-field",
    /// A subscription is removed, since the token no longer grants it; or the connection is closed, since an
    /// administrator has ended the token.
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
    /// A custom command said no, or a token store cannot do what was asked for.
    Refused = "refused",
    /// There are too many connections, in all or from one address; this one is closed.
    TooManyConnections = "too-many-connections",
    /// More is done in a second than a limit allows, and the same may be tried later; the sentence names the limit.
    RateExceeded = "rate-exceeded",
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

/// Why a token store could not do what an admin command asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// `register` of a token that is there already.
    Exists,
    /// `set`, `unset`, `tags` or a login with a token that is not there.
    NotFound,
    /// A token that is presented has ended. An authenticator may as well return grants that have.
    Expired,
    /// The token has a form that the store cannot hold; the text says which.
    Invalid(String),
    /// A tag has a form that the store cannot hold; the text says which.
    InvalidTag(String),
    /// The store could not do its work and changed nothing; the text says why and holds no secret.
    Unavailable(String),
    /// The store was lost before it said whether the change is durable; the text says why and holds no secret.
    Uncertain(String),
    /// The store cannot list what it keeps.
    Unsupported,
}

/// Begins what is said of a token that has ended.
pub(crate) const TOKEN_EXPIRED: &str = "not authorized - the token has expired";

/// What begins every error of a token store that may work again later.
pub(crate) const STORE_UNAVAILABLE: &str = "Token store unavailable";

impl Part for TokenError {
    fn push_to(&self, text: &mut String) {
        match self {
            Self::Exists => push!(text, "Token already exists"),
            Self::NotFound => push!(text, "Token not found"),
            Self::Expired => push!(text, TOKEN_EXPIRED),
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
            Self::Unsupported => push!(text, "this token store cannot list its tokens"),
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
    pub(crate) fn to_error(&self) -> ServerError {
        let code = match self {
            Self::Exists => ErrorCode::TokenExists,
            Self::NotFound => ErrorCode::TokenNotFound,
            Self::Expired => ErrorCode::TokenExpired,
            Self::Invalid(_) => ErrorCode::InvalidToken,
            Self::InvalidTag(_) => ErrorCode::InvalidTag,
            Self::Unavailable(_) => ErrorCode::StoreUnavailable,
            Self::Uncertain(_) => ErrorCode::Uncertain,
            Self::Unsupported => ErrorCode::Refused,
        };
        ServerError::new(code, text![self])
    }
}
