//! Owns what a node wants done, and what it tells of the others.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::envelope::Way;
use super::status::{NodeId, Status};
use crate::needs::Directory;

/// What a host has to do.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Output {
    /// Give an envelope to the bus.
    Send {
        /// Which way it goes.
        way: Way,
        /// The envelope.
        payload: Vec<u8>,
    },
    /// Give messages to the broker, as lines, behind those that [`Node::handle_envelope`](super::Node::handle_envelope) returned before.
    Deliver(Vec<u8>),
    /// So many messages of a node did not come, and will not. It stands where they would have been.
    Gap {
        /// The node's name.
        node: String,
        /// How many.
        messages: u64,
    },
    /// A node is there that was not.
    Joined(Status),
    /// A node has left; or, if it did not say goodbye, has been silent for [`SILENCE`](super::SILENCE).
    Left {
        /// Its name.
        node: String,
        /// Whether it said goodbye.
        is_goodbye: bool,
    },
    /// Two nodes have the same name. Both go on; people cannot tell them apart.
    SameName(String),
    /// Something came that no node of this version sends.
    Unreadable(&'static str),
    /// Something is known to have changed elsewhere, as [`Node::tell`](super::Node::tell) says it.
    Told(Vec<u8>),
    /// Have the broker go by this directory of what others need: [`Broker::set_directory`](crate::Broker::set_directory).
    Directory(Arc<Directory>),
    /// Answer a question with [`Node::answer`](super::Node::answer).
    Asked {
        /// Who asks.
        asker: NodeId,
        /// Which of its questions it is.
        question: QuestionId,
        /// The question.
        body: Vec<u8>,
    },
    /// The answers to a question are here, as far as they will be.
    Answered {
        /// Which question.
        question: QuestionId,
        /// What was answered.
        answers: Answers,
    },
}

/// Which of a node's questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuestionId(pub u64);

impl QuestionId {
    /// Who asks, and which of its questions it is, from the `id` of a message that [`Node::ask_to_count`](super::Node::ask_to_count)
    /// has sent.
    #[must_use]
    pub fn read(id: &str) -> Option<(NodeId, Self)> {
        let (asker, question) = id.strip_prefix('"')?.strip_suffix('"')?.split_once('-')?;
        let asker = u64::from_str_radix(asker, 16).ok()?;
        Some((NodeId(asker), Self(question.parse().ok()?)))
    }
}

/// What others have answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answers {
    /// The names of those who have, what they said, and how long that took.
    pub given: Vec<(String, Vec<u8>, Duration)>,
    /// The names of those who have not, within [`ANSWER_WITHIN`](super::ANSWER_WITHIN).
    pub silent: Vec<String>,
}
