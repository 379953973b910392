//! Owns the streams an application reads a client's messages and events from; knows nothing of the connection.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use mist_core::client::Event;

use super::queue::Queue;
use super::shared::Shared;

/// A delivered message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The tags it was published with, sorted. Messages with equal tags share them, so that cloning costs little.
    pub tags: Arc<[String]>,
    /// The data; empty when there was none.
    pub data: String,
}

/// The stream of delivered messages; see [`Client::messages`](super::Client::messages).
pub struct Messages {
    shared: Arc<Shared>,
    taken: VecDeque<Message>,
}

impl Messages {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            taken: VecDeque::new(),
        }
    }

    /// Waits for the next message; `None` once the client is closed and everything delivered before was taken.
    ///
    /// Dropping the future loses no message.
    pub async fn next(&mut self) -> Option<Message> {
        poll_fn(|cx| self.poll(cx.waker())).await
    }

    /// Returns the next message if one is there already.
    pub fn try_next(&mut self) -> Option<Message> {
        match self.poll(Waker::noop()) {
            Poll::Ready(message) => message,
            Poll::Pending => None,
        }
    }

    fn poll(&mut self, waker: &Waker) -> Poll<Option<Message>> {
        loop {
            if let Some(message) = self.taken.pop_front() {
                return Poll::Ready(Some(message));
            }
            match self.shared.messages.poll_take(&mut self.taken, waker) {
                Poll::Ready(Some(has_room)) => {
                    if has_room {
                        self.shared.wake.notify_one();
                    }
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl Stream for Messages {
    type Item = Message;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.get_mut().poll(cx.waker())
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        self.shared.messages.put_back(&mut self.taken);
    }
}

impl std::fmt::Debug for Messages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Messages").finish_non_exhaustive()
    }
}

/// A stream of what happens to a client; see [`Client::events`](super::Client::events).
#[derive(Debug)]
pub struct Events {
    queue: Arc<Queue<Event>>,
    taken: VecDeque<Event>,
}

impl Events {
    pub(super) fn new(queue: Arc<Queue<Event>>) -> Self {
        Self {
            queue,
            taken: VecDeque::new(),
        }
    }

    /// Waits for the next event; `None` once the client's task has ended.
    ///
    /// Dropping the future loses no event. A stream that is not read keeps the newest 1,024.
    pub async fn next(&mut self) -> Option<Event> {
        poll_fn(|cx| self.poll(cx.waker())).await
    }

    fn poll(&mut self, waker: &Waker) -> Poll<Option<Event>> {
        loop {
            if let Some(event) = self.taken.pop_front() {
                return Poll::Ready(Some(event));
            }
            match self.queue.poll_take(&mut self.taken, waker) {
                Poll::Ready(Some(_)) => {}
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.get_mut().poll(cx.waker())
    }
}
