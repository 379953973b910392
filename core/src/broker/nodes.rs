//! The answer to `nodes`, and how people read it.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::session::SessionId;
#[cfg(doc)]
use super::{Broker, Long};
use crate::message::{Data, NodeInfo, Reply, Writer, write_members, write_tags};
use crate::text::push;

/// An answer to `nodes` that is still to be put together: see [`Long::Nodes`].
#[derive(Debug)]
pub struct NodesQuery {
    pub(super) session: SessionId,
    pub(super) id: Option<String>,
}

impl NodesQuery {
    /// The session that asked.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// Puts the answer together: one JSON object, without a line end. `silent` are the names of nodes that did not answer.
    #[must_use]
    pub fn encode(self, nodes: &[NodeInfo], silent: &[String]) -> Vec<u8> {
        let table = table(nodes);
        let list: Writer<'_> = &|out| write_members(nodes, out);
        let names: Writer<'_> = &|out| write_tags(out, silent);
        let values = [("members", list), ("silent", names)];
        let count = if silent.is_empty() { 1 } else { 2 };
        Reply {
            command: "nodes",
            data: Data::Text(&table),
            values: &values[..count],
            id: self.id.as_deref(),
            ..Reply::default()
        }
        .encode()
    }
}

/// The form that people read: a line for each node, with tabs between the columns.
fn table(nodes: &[NodeInfo]) -> String {
    let mut text = String::from(
        "NODE\tVERSION\tUPTIME\tCONNECTIONS\tSUBSCRIPTIONS\tPUBLISHED\tSENT\tRECEIVED\tWAITING\tROUND TRIP",
    );
    for node in nodes {
        push!(&mut text, "\n", node.name, "\t", node.version, "\t");
        push!(&mut text, Duration::from_secs(node.uptime_seconds.max(1)));
        for number in [
            node.connections,
            node.subscriptions,
            node.published,
            node.sent,
            node.received,
            node.waiting_bytes,
        ] {
            push!(&mut text, "\t", number);
        }
        text.push('\t');
        match (node.round_trip, node.silent_seconds) {
            (_, Some(seconds)) => {
                push!(&mut text, "silent, last heard ");
                push!(&mut text, Duration::from_secs(seconds.max(1)), " ago");
            }
            (Some(time), None) => {
                push!(&mut text, Duration::from_micros(time.as_micros() as u64));
            }
            (None, None) => text.push('-'),
        }
    }
    text
}
