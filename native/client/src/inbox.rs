//! Owns what was delivered, and where it waits for one stream; knows nothing of streams.

use std::sync::Arc;

use crate::queue::Queue;

/// A delivered message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// The tags it was published with, sorted. Messages with equal tags share them, so that cloning costs little.
    pub tags: Arc<[String]>,
    /// The data; empty when there was none.
    pub data: String,
}

/// Where a client's task puts the messages for one stream.
#[derive(Debug)]
pub(crate) struct Inbox {
    pub(crate) queue: Arc<Queue<Message>>,
    /// Those of the subscription; empty for a stream of all messages.
    pub(crate) tags: Arc<[String]>,
}

impl Inbox {
    pub(crate) fn new(tags: Arc<[String]>, most: usize) -> Arc<Self> {
        Arc::new(Self {
            queue: Queue::new(most, weight),
            tags,
        })
    }
}

/// Counts the tags for each message, although those with equal tags share them: it is a bound.
fn weight(message: &Message) -> usize {
    let tags = message.tags.iter();
    let tags: usize = tags.map(|tag| size_of::<String>() + tag.len()).sum();
    size_of::<Message>() + message.data.len() + tags
}
