//! Owns what kinds of token there are, and how far a connection is with its next one.

use core::time::Duration;

/// The token for one connection.
#[derive(Clone, Copy)]
pub enum Token<'a> {
    /// The same at every attempt: once the server refuses it, there is no sense in trying again.
    Static(&'a str),
    /// Obtained for this attempt: once the server refuses it or it ends, another may do.
    Fresh(&'a str),
}

/// How far the connection is with its next token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Renewal {
    /// None is needed, as far as is known.
    #[default]
    None,
    /// The host is to be asked for it then.
    Due(Duration),
    /// The host has been asked for it, and has until then.
    Asked(Duration),
    /// The server has been asked to take it.
    Presented,
}
