//! The answer to a publish, until it is known how many got the message.

use alloc::string::String;
use alloc::vec::Vec;

use super::session::SessionId;
use crate::message::{Data, Reply};

/// The answer to a publish that carried an `id`, complete but for the number of deliveries.
#[derive(Debug)]
pub struct Receipt {
    pub(super) session: SessionId,
    pub(super) tags: Vec<String>,
    pub(super) id: String,
    /// How many other nodes of a cluster the message is handed to.
    pub(super) nodes: Option<usize>,
}

impl Receipt {
    /// The session that gets the answer.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// Bytes of memory that it takes, roughly.
    pub(super) fn bytes(&self) -> usize {
        let tags = self.tags.iter().map(|tag| size_of_val(tag) + tag.len());
        self.id.len() + tags.sum::<usize>()
    }

    /// Returns the answer, for a message that `delivered` outboxes took.
    #[must_use]
    pub fn reply(&self, delivered: usize) -> Vec<u8> {
        let tags: Vec<_> = self.tags.iter().map(String::as_str).collect();
        Reply {
            command: "publish",
            tags: &tags,
            data: Data::Text("success"),
            delivered: Some(delivered),
            nodes: self.nodes,
            id: Some(&self.id),
            ..Reply::default()
        }
        .encode()
    }
}
