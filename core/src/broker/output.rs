//! What comes out of the broker: what the host is to do, and what a decision found.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::listing::Listing;
use super::nodes::NodesQuery;
use super::receipt::Receipt;
use super::session::SessionId;
use super::walk::Walk;
#[cfg(doc)]
use super::{Broker, Config, Scratch};
use crate::auth::{AuthRequest, Grants};

/// What the host is to do, in this order.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output {
    /// Send one message to one session.
    Send {
        /// Whom to.
        session: SessionId,
        /// One JSON object, without a line end.
        message: Vec<u8>,
    },
    /// Send one message to several sessions.
    Deliver {
        /// Whose message it is.
        publisher: SessionId,
        /// Whom to.
        targets: Vec<SessionId>,
        /// The numbers of the tag sets that matched, whoever holds them; none unless [`Config::is_numbered`], and none
        /// without targets.
        sets: Vec<u32>,
        /// One JSON object, without a line end; nothing without targets.
        message: Vec<u8>,
        /// What the publisher is answered, if it asked to be.
        receipt: Option<Receipt>,
    },
    /// Ask the token store, then call [`Broker::handle_auth_reply`] with the same request.
    ///
    /// Until then the host reads no further from the session, and carries the request out even if the session goes.
    Ask {
        /// Who asked.
        session: SessionId,
        /// What.
        request: AuthRequest,
    },
    /// Ask the token store for the tokens behind one, then call [`Broker::handle_token_list`]. Until then the host reads no
    /// further.
    ListTokens {
        /// Who asked.
        session: SessionId,
        /// What the part before ended with; empty at first.
        after: String,
        /// How many tokens at most.
        most: usize,
    },
    /// Call [`Broker::check_token`] when the time has come, or [`Broker::turn_away`]; until then the host reads no further
    /// from the session. Only where [`Config::is_guarded`].
    TokenPresented {
        /// Who presents a token.
        session: SessionId,
    },
    /// Know how it went. Only where [`Config::is_guarded`].
    TokenChecked {
        /// Who presented a token.
        session: SessionId,
        /// What came of it.
        check: TokenCheck,
    },
    /// The token that a session goes by was taken from it. Under scoped access it has to authenticate again, as one that has
    /// just connected.
    Revoked {
        /// Whose.
        session: SessionId,
    },
    /// A session speaks for another subject than before: [`Broker::standing`] says for which. A host that holds subjects to
    /// bounds of its own wants to know.
    SubjectChanged {
        /// Which.
        session: SessionId,
    },
    /// Call [`Broker::proceed`]: something takes long, such as taking a grant from many sessions. A host that shares the
    /// broker lets others have it before.
    Proceed,
    /// Run a custom command, then call [`Broker::handle_custom_reply`]. Until then the host reads no further.
    Custom {
        /// Who asked.
        session: SessionId,
        /// What.
        request: CustomRequest,
    },
    /// Flush what was sent to the session, then close it.
    Close {
        /// Whom.
        session: SessionId,
        /// Why.
        reason: DisconnectReason,
    },
}

/// What came of a token that was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenCheck {
    /// The server takes it.
    Valid,
    /// The server does not know it.
    Wrong,
    /// The token store could not say.
    Unknown,
}

/// Why a broker closes a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// Nothing it sent could be read.
    BadMessages,
    /// A message was over the size limit.
    MessageTooLarge,
    /// It sent an HTTP request.
    HttpRequest,
    /// It did not authenticate in time.
    Unauthenticated,
    /// An administrator has ended its token.
    TokenEnded,
    /// Too many wrong tokens came from where it comes from, so that its own was not looked at.
    TurnedAway,
}

/// A message with a custom command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CustomRequest {
    /// The command's name.
    pub command: String,
    /// The tags in the order they were sent.
    pub tags: Vec<String>,
    /// The data, decoded; empty when absent.
    pub data: String,
    /// What the caller's token allows; nothing where it has shown none. Under open access only the rights of administrators
    /// are known.
    pub caller: Grants,
}

/// What a custom command answers with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CustomReply {
    /// The answer's tags.
    pub tags: Vec<String>,
    /// The answer's data.
    pub data: String,
}

/// What is done in parts.
#[derive(Debug)]
pub enum Long {
    /// Gather an answer with [`Broker::list_some`], and send what [`Listing::encode`] puts together.
    ///
    /// Where [`Listing::take_others`] has a question, the other nodes of the cluster are asked first.
    Listing(Listing),
    /// Ask the other nodes of the cluster, and send what [`NodesQuery::encode`] puts together.
    Nodes(NodesQuery),
    /// Publish a message with [`Broker::publish_some`], and send its receipt, if it has one.
    Publish(Box<Walk>),
}

/// What [`Broker::decide`] found.
#[derive(Debug)]
pub enum Verdict {
    /// Deliver the message to [`Scratch::targets`]; [`Scratch::write_body`] writes what they get.
    Deliver(Option<Receipt>),
    /// Answer with [`Scratch::reply`].
    Reply,
    /// It takes longer than anybody's turn: do it in parts, and let others have the broker in between. Until it is done read
    /// no further from the session.
    Long(Long),
    /// The message changes the broker: [`Broker::handle`] takes it.
    Exclusive,
}
