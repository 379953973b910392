//! The answer to a publish, until it is known how many got the message.

use alloc::string::String;
use alloc::vec::Vec;

use super::session::SessionId;
use crate::message::{Data, Reply, Writer, write_tags};

/// The answer to a publish that carried an `id`, complete but for the number of deliveries.
#[derive(Debug)]
pub struct Receipt {
    pub(super) session: SessionId,
    pub(super) tags: Vec<String>,
    pub(super) id: String,
    /// How many other nodes of a cluster the message is handed to.
    pub(super) nodes: Option<usize>,
    /// Whether it is to have what the other nodes delivered, too.
    pub(super) is_for_cluster: bool,
}

/// What the other nodes of a cluster made of a message that was published for all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Elsewhere {
    /// How many outboxes took it there, altogether.
    pub delivered: usize,
    /// How many nodes have said so.
    pub nodes: usize,
    /// The names of those that have not.
    pub silent: Vec<String>,
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

    /// The `id` of the message, as it was written.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether the publisher waits for the other nodes of the cluster: then the link is not among the receivers. Hand the
    /// message to it so that they count, even if nobody receives it here, and answer with [`Receipt::reply_for_all`].
    #[must_use]
    pub fn is_for_cluster(&self) -> bool {
        self.is_for_cluster
    }

    /// Returns the answer, for a message that `delivered` outboxes took.
    #[must_use]
    pub fn reply(&self, delivered: usize) -> Vec<u8> {
        self.encode(delivered, self.nodes, &[])
    }

    /// Returns the answer for the whole cluster, where `delivered` outboxes of this node took the message.
    #[must_use]
    pub fn reply_for_all(&self, delivered: usize, elsewhere: &Elsewhere) -> Vec<u8> {
        let delivered = delivered + elsewhere.delivered;
        self.encode(delivered, Some(elsewhere.nodes), &elsewhere.silent)
    }

    fn encode(&self, delivered: usize, nodes: Option<usize>, silent: &[String]) -> Vec<u8> {
        let tags: Vec<_> = self.tags.iter().map(String::as_str).collect();
        let names: Writer<'_> = &|out| write_tags(out, silent);
        let silent = (!silent.is_empty()).then_some(("silent", names));
        Reply {
            command: "publish",
            tags: &tags,
            data: Data::Text("success"),
            values: silent.as_slice(),
            delivered: Some(delivered),
            nodes,
            id: Some(&self.id),
            ..Reply::default()
        }
        .encode()
    }
}
