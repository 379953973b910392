//! Owns what programs on NATS publish that are no nodes.

use super::membership::Membership;
use crate::hub::Hub;
use crate::log_limit::Kind;

/// Publishes what a program on NATS says that is no node.
pub(super) fn publish(hub: &Hub, membership: &Membership, payload: &[u8]) {
    #[derive(serde::Deserialize)]
    struct Message {
        tags: Vec<String>,
        #[serde(default)]
        data: String,
    }
    let message = serde_json::from_slice::<Message>(payload);
    let why = match message {
        Err(error) => format!("it is not {{\"tags\":[\"a\",\"b\"],\"data\":\"…\"}}: {error}"),
        Ok(Message { tags, data }) => match unfit(hub, &tags, payload.len()) {
            Some(why) => why,
            None => {
                let tags: Vec<_> = tags.iter().map(String::as_str).collect();
                hub.publish(&tags, &data);
                return;
            }
        },
    };
    membership.refuse_foreign();
    if hub.log.admits(Kind::ForeignMessage, None) {
        tracing::warn!("refused a message of a program on the cluster's NATS: {why}");
    }
}

/// Why a client could not publish such a message either, if that is so.
fn unfit(hub: &Hub, tags: &[String], bytes: usize) -> Option<String> {
    let limits = &hub.in_force().limits;
    let exceeded = |what: &str, count: usize, most: usize| {
        (count > most).then(|| format!("{what}: {count}, the limit is {most}"))
    };
    if tags.is_empty() {
        return Some("it has no tags".to_owned());
    }
    if tags.iter().any(|tag| tag.starts_with('$')) {
        return Some("tags that begin with $ are reserved".to_owned());
    }
    let longest = tags.iter().map(String::len).max().unwrap_or_default();
    exceeded("bytes (message-bytes)", bytes, limits.message_bytes)
        .or_else(|| {
            exceeded(
                "tags (tags-per-message)",
                tags.len(),
                limits.tags_per_message,
            )
        })
        .or_else(|| exceeded("bytes in a tag (tag-bytes)", longest, limits.tag_bytes))
}
