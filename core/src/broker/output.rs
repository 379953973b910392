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
        /// The receiver.
        session: SessionId,
        /// One JSON object, without a line end.
        message: Vec<u8>,
    },
    /// Send one message to several sessions.
    Deliver {
        /// The publisher.
        publisher: SessionId,
        /// The receivers.
        targets: Vec<SessionId>,
        /// The numbers of the tag sets that matched, in all sessions; none unless [`Config::is_numbered`], and none
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
        /// The session that waits for the answer.
        session: SessionId,
        /// The request.
        request: AuthRequest,
    },
    /// Ask the token store for the tokens that follow one, then call [`Broker::handle_token_list`]. Until then the host
    /// reads no further.
    ListTokens {
        /// The session that waits for the answer.
        session: SessionId,
        /// The last token of the previous page; empty at first.
        after: String,
        /// How many tokens at most.
        most: usize,
    },
    /// Call [`Broker::check_token`] when the time has come, or [`Broker::turn_away`]; until then the host reads no
    /// further from the session. Only where [`Config::is_guarded`].
    TokenPresented {
        /// The session that presents a token.
        session: SessionId,
    },
    /// The result of a token. Only where [`Config::is_guarded`].
    TokenChecked {
        /// The session that presented it.
        session: SessionId,
        /// The result.
        check: TokenCheck,
    },
    /// The token of a session was revoked. Under scoped access it has to authenticate again, like a session that has
    /// just connected.
    Revoked {
        /// The session.
        session: SessionId,
    },
    /// A session has another subject than before, which [`Broker::standing`] tells: for hosts with limits per subject.
    SubjectChanged {
        /// The session.
        session: SessionId,
    },
    /// Call [`Broker::proceed`]: something takes long, such as taking a grant from many sessions. A host that shares
    /// the broker lets others have it before.
    Proceed,
    /// Run a custom command, then call [`Broker::handle_custom_reply`]. Until then the host reads no further.
    Custom {
        /// The session that waits for the answer.
        session: SessionId,
        /// The request.
        request: CustomRequest,
    },
    /// Flush what was sent to the session, then close it.
    Close {
        /// The session.
        session: SessionId,
        /// Why.
        reason: DisconnectReason,
    },
}

/// The result of checking a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenCheck {
    /// It is valid.
    Valid,
    /// It is not valid.
    Wrong,
    /// There was no answer about it.
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
    /// Too many wrong tokens came from its address, so its own was not checked.
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
    /// The grants of the caller's token; empty without one. Under open access only `admin` is known.
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
    /// It takes longer than one turn: do it in parts, and let others use the broker in between. Until it is done, read
    /// no further from the session.
    Long(Long),
    /// The message changes the broker: [`Broker::handle`] takes it.
    Exclusive,
}
