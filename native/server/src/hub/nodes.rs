//! Owns what the hub asks the other nodes of a cluster, tells them and answers them.

use std::sync::Arc;

#[cfg(feature = "cluster")]
use mist_core::Listing;
use mist_core::cluster::Node;
use mist_core::{NodeInfo, NodesQuery};

use super::Hub;
use super::others::STATUS;
#[cfg(feature = "cluster")]
use super::others::SUBSCRIBED;

impl Hub {
    /// Says to the other nodes that a token has changed.
    pub(crate) fn tell_token(&self, hash: [u8; 32]) {
        self.others.tell_token(hash);
    }

    /// Answers `nodes`.
    pub(super) async fn tell_nodes(self: Arc<Self>, query: NodesQuery) {
        let (answers, own) = self.others.ask(STATUS.to_vec()).await;
        let given = answers.given.iter();
        let given = given.map(|(_, body, round_trip)| (body, Some(*round_trip)));
        let read = std::iter::once((&own, None)).chain(given);
        let read = read.filter_map(|(body, round_trip)| {
            let status = Node::read_status(body)?;
            Some(NodeInfo {
                round_trip,
                name: status.name,
                version: status.version,
                uptime: status.uptime,
                connections: status.connections,
                subscriptions: status.subscriptions,
                published: status.published,
                received: status.received,
            })
        });
        let nodes: Vec<_> = read.collect();
        let session = query.session();
        self.end_gathering(session, Some(query.encode(&nodes, &answers.silent)));
    }

    /// Answers a question of another node; nothing where there is no answer, or one that is too long.
    #[cfg(feature = "cluster")]
    pub(crate) async fn answer_node(
        self: Arc<Self>,
        question: Vec<u8>,
        status: Vec<u8>,
    ) -> Option<Vec<u8>> {
        if question == STATUS {
            return Some(status);
        }
        let granted = question.strip_prefix(SUBSCRIBED)?;
        let granted = serde_json::from_slice(granted).ok()?;
        let listing = self.shared.read().broker.list_for_others(granted)?;
        self.gather(listing, Listing::into_found).await?
    }
}
