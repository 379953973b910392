//! Owns what is wrong with a message that cannot be read, and how its sender is told.

use alloc::boxed::Box;
use alloc::string::String;

use crate::error::{ErrorCode, ServerError};
use crate::limits::{LIMIT, Limits};
use crate::text::text;

/// What is wrong with a message that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    UnexpectedEnd,
    Unexpected,
    ByteOrderMark,
    Expected(&'static str),
    ControlCharacter,
    BadEscape,
    LoneSurrogate,
    BadNumber,
    NotUtf8,
    Type {
        field: &'static str,
        wanted: &'static str,
    },
    IdTooLong,
    TooDeep,
    TooLong,
    /// An HTTP request, whose further lines must not be read: a page on another site may have written them.
    Http,
}

/// A message that cannot be read: what is wrong, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanError {
    pub(crate) fault: Fault,
    /// Byte offset from the start of the message.
    pub(crate) at: usize,
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
    pub(crate) fn to_error(self, limits: &Limits, is_early: bool) -> ServerError {
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
                " (",
                LIMIT.nesting.name,
                "), at byte ",
                at
            ],
            Fault::TooLong => {
                let exceeded = match limits.unauthenticated_bytes {
                    early if is_early && early < limits.message_bytes => {
                        LIMIT.unauthenticated_bytes.exceeded(at, early)
                    }
                    _ => LIMIT.message_bytes.exceeded(at, limits.message_bytes),
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

/// What is wrong and where: apart, since a result with room for it would be written for everything that is right.
pub(super) type Bad = Box<(usize, Fault)>;

#[cold]
pub(super) fn bad(at: usize, fault: Fault) -> Bad {
    Box::new((at, fault))
}
