//! Owns what the hub asks the other nodes of a cluster, tells them and answers them.

use std::sync::Arc;

#[cfg(feature = "cluster")]
use mist_core::Listing;
use mist_core::cluster::{Node, Status};
use mist_core::{NodeInfo, NodesQuery};

use super::Hub;
#[cfg(feature = "cluster")]
use super::others::SUBSCRIBED;
use super::others::{Gathered, STATUS};

impl Hub {
    /// Says to the other nodes that a token has changed.
    pub(crate) fn tell_token(&self, hash: [u8; 32]) {
        self.others.tell_token(hash);
    }

    /// Answers `nodes`.
    pub(super) async fn tell_nodes(self: Arc<Self>, query: NodesQuery) {
        let Gathered {
            answers,
            own,
            silent,
        } = self.others.ask(STATUS.to_vec()).await;
        let given = answers.given.iter();
        let given = given.filter_map(|(_, body, round_trip)| {
            let round_trip = Some(*round_trip);
            Some(NodeInfo {
                round_trip,
                ..info(Node::read_status(body)?)
            })
        });
        let silent = silent.into_iter().map(|(status, ago)| NodeInfo {
            silent_seconds: Some(ago.as_secs()),
            ..info(status)
        });
        let own = std::iter::once(info(own));
        let nodes: Vec<_> = own.chain(given).chain(silent).collect();
        let session = query.session();
        self.end_gathering(session, Some(query.encode(&nodes, &answers.silent)));
    }

    /// Answers a question of another node; nothing where there is no answer.
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
        self.gather(listing, Listing::into_found).await
    }
}

fn info(status: Status) -> NodeInfo {
    NodeInfo {
        name: status.name,
        version: status.version,
        uptime_seconds: status.uptime,
        connections: status.connections,
        subscriptions: status.subscriptions,
        published: status.published,
        sent: status.sent,
        received: status.received,
        waiting_bytes: status.waiting_bytes,
        ..NodeInfo::default()
    }
}
