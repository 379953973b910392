//! Owns what an application reads from a client; knows nothing of the connection.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use mist_core::client::SubscriptionId;

use crate::error::ClientError;
use crate::event::Event;
use crate::inbox::{Inbox, Message};
use crate::queue::{Queue, Receiver};
use crate::shared::Handle;

/// A subscription, and the stream of its messages; see [`Client::subscribe`](crate::Client::subscribe).
///
/// It keeps the client open as a clone of it does, and ends with it. Dropping it unsubscribes, without waiting.
#[must_use = "dropping this unsubscribes"]
pub struct Subscription {
    client: Arc<Handle>,
    id: SubscriptionId,
    inbox: Arc<Inbox>,
    messages: Receiver<Message>,
    is_detached: bool,
}

impl Subscription {
    pub(crate) fn new(client: Arc<Handle>, id: SubscriptionId, inbox: Arc<Inbox>) -> Self {
        Self {
            client,
            id,
            messages: Receiver::new(Arc::clone(&inbox.queue)),
            inbox,
            is_detached: false,
        }
    }

    /// Waits for the next message; `None` once the subscription or the client has ended and everything delivered
    /// before was taken.
    ///
    /// Dropping the future loses no message.
    pub async fn next(&mut self) -> Option<Message> {
        self.messages.next().await
    }

    /// Returns the next message if one is there already.
    pub fn try_next(&mut self) -> Option<Message> {
        self.messages.try_next()
    }

    /// The tags, all of which are on each message: sorted, each once.
    #[must_use]
    pub fn tags(&self) -> &[String] {
        &self.inbox.tags
    }

    /// How many messages this stream had no room for, because it was not read fast enough.
    ///
    /// They are missing behind what had arrived before; [`Event::Lagged`] tells when that begins.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.messages.dropped()
    }

    /// Unsubscribes; returns once the server knows. Messages that were not taken are discarded.
    ///
    /// # Errors
    /// [`ClientError::Timeout`], [`ClientError::Closed`].
    pub async fn unsubscribe(self) -> Result<(), ClientError> {
        let shared = &self.client.shared;
        shared
            .ask(|machine, now| machine.unsubscribe(now, self.id))
            .await
            .map(drop)
    }

    /// Gives up this stream, and keeps the subscription for as long as the client is open: its messages are then those
    /// of [`Client::messages`](crate::Client::messages) only.
    pub fn detach(mut self) {
        self.is_detached = true;
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let shared = &self.client.shared;
        shared.with(|inner, now| {
            inner.inboxes.remove(&self.id);
            if !self.is_detached {
                // The answer is not needed; a client that is closed has no subscriptions.
                let _ = inner.machine.unsubscribe(now, self.id);
            }
        });
        shared.wake.notify_one();
    }
}

impl Stream for Subscription {
    type Item = Message;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.get_mut().messages.poll(cx)
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("tags", &self.tags())
            .finish_non_exhaustive()
    }
}

/// The stream of all messages; see [`Client::messages`](crate::Client::messages).
pub struct Messages {
    // The task has a weak one, so that it knows when this is gone.
    _inbox: Arc<Inbox>,
    messages: Receiver<Message>,
}

impl Messages {
    pub(crate) fn new(inbox: Arc<Inbox>) -> Self {
        Self {
            messages: Receiver::new(Arc::clone(&inbox.queue)),
            _inbox: inbox,
        }
    }

    /// Waits for the next message; `None` once the client is closed and everything delivered before was taken.
    ///
    /// Dropping the future loses no message.
    pub async fn next(&mut self) -> Option<Message> {
        self.messages.next().await
    }

    /// Returns the next message if one is there already.
    pub fn try_next(&mut self) -> Option<Message> {
        self.messages.try_next()
    }

    /// How many messages this stream had no room for, as [`Subscription::dropped`].
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.messages.dropped()
    }
}

impl Stream for Messages {
    type Item = Message;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.get_mut().messages.poll(cx)
    }
}

impl fmt::Debug for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages").finish_non_exhaustive()
    }
}

/// A stream of what happens to a client; see [`Client::events`](crate::Client::events).
#[derive(Debug)]
pub struct Events(Receiver<Event>);

impl Events {
    pub(crate) fn new(queue: Arc<Queue<Event>>) -> Self {
        Self(Receiver::new(queue))
    }

    /// Waits for the next event; `None` once the client's task has ended.
    ///
    /// Dropping the future loses no event. A stream that is not read keeps the newest 1,024.
    pub async fn next(&mut self) -> Option<Event> {
        self.0.next().await
    }

    /// Returns the next event if one is there already.
    pub fn try_next(&mut self) -> Option<Event> {
        self.0.try_next()
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.get_mut().0.poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_bounded_by_the_bytes_of_tags_as_by_those_of_data() {
        let long = "x".repeat(1 << 20);
        let of_tags = Message {
            tags: [long.clone()].into(),
            data: String::new(),
        };
        let of_data = Message {
            tags: ["a".into()].into(),
            data: long,
        };
        let of_many_tags = Message {
            tags: vec![String::new(); (1 << 20) / size_of::<String>()].into(),
            data: String::new(),
        };
        for message in [of_tags, of_data, of_many_tags] {
            let inbox = Inbox::new(Arc::default(), usize::MAX);
            assert!(inbox.queue.extend(std::iter::repeat_n(message, 40)));
            let mut stream = Messages::new(inbox);
            let kept = std::iter::from_fn(|| stream.try_next()).count();
            assert_eq!((kept, stream.dropped()), (31, 9));
        }
    }
}
