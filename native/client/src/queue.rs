//! Owns the queue from a client's task to one stream of the application; knows nothing of what is queued.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use mist_net::lock::Mutex;

/// Bytes that a queue may hold: several times what a server keeps for one client.
const MOST_BYTES: usize = 32 << 20;

/// A bounded queue that a client's task fills and one stream empties.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    inner: Mutex<Inner<T>>,
    most: usize,
    weigh: fn(&T) -> usize,
}

#[derive(Debug)]
struct Inner<T> {
    items: VecDeque<T>,
    /// Bytes of all items.
    bytes: usize,
    waiting: Option<Waker>,
    is_closed: bool,
    /// How many items were dropped for lack of room.
    dropped: u64,
    /// Whether any were dropped since the last read.
    is_lagging: bool,
}

impl<T> Queue<T> {
    pub(crate) fn new(most: usize, weigh: fn(&T) -> usize) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::new(Inner {
                items: VecDeque::new(),
                bytes: 0,
                waiting: None,
                is_closed: false,
                dropped: 0,
                is_lagging: false,
            }),
            most: most.max(1),
            weigh,
        })
    }

    /// Adds the items for which there is room and drops the others; returns true if this call dropped the first item
    /// since the last read.
    pub(crate) fn extend(&self, items: impl Iterator<Item = T>) -> bool {
        self.wake(|inner| {
            let was_lagging = inner.is_lagging;
            for item in items {
                let bytes = inner.bytes + (self.weigh)(&item);
                // One item always fits, however heavy it is.
                let has_room = inner.items.len() < self.most && bytes <= MOST_BYTES;
                if has_room || inner.items.is_empty() {
                    inner.bytes = bytes;
                    inner.items.push_back(item);
                } else {
                    inner.dropped += 1;
                    inner.is_lagging = true;
                }
            }
            inner.is_lagging && !was_lagging
        })
    }

    /// Adds an item; the oldest gives way to it when the queue is full.
    pub(crate) fn push_over(&self, item: T) {
        self.wake(|inner| {
            if inner.items.len() >= self.most
                && let Some(oldest) = inner.items.pop_front()
            {
                inner.bytes -= (self.weigh)(&oldest);
            }
            inner.bytes += (self.weigh)(&item);
            inner.items.push_back(item);
        });
    }

    /// Ends the stream once it has taken the remaining items.
    pub(crate) fn close(&self) {
        self.wake(|inner| inner.is_closed = true);
    }

    fn wake<R>(&self, change: impl FnOnce(&mut Inner<T>) -> R) -> R {
        let (result, waiting) = {
            let mut inner = self.inner.lock();
            (change(&mut inner), inner.waiting.take())
        };
        if let Some(waker) = waiting {
            waker.wake();
        }
        result
    }
}

/// The application's end of a queue.
#[derive(Debug)]
pub(crate) struct Receiver<T> {
    queue: Arc<Queue<T>>,
    /// Items taken out of the queue all at once, so that few locks are needed.
    taken: VecDeque<T>,
}

impl<T> Receiver<T> {
    pub(crate) fn new(queue: Arc<Queue<T>>) -> Self {
        Self {
            queue,
            taken: VecDeque::new(),
        }
    }

    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<Option<T>> {
        if let Some(item) = self.taken.pop_front() {
            return Poll::Ready(Some(item));
        }
        let mut inner = self.queue.inner.lock();
        if inner.items.is_empty() {
            if inner.is_closed {
                return Poll::Ready(None);
            }
            inner.waiting = Some(cx.waker().clone());
            return Poll::Pending;
        }
        std::mem::swap(&mut self.taken, &mut inner.items);
        inner.bytes = 0;
        inner.is_lagging = false;
        Poll::Ready(self.taken.pop_front())
    }

    pub(crate) async fn next(&mut self) -> Option<T> {
        poll_fn(|cx| self.poll(cx)).await
    }

    pub(crate) fn try_next(&mut self) -> Option<T> {
        match self.poll(&Context::from_waker(Waker::noop())) {
            Poll::Ready(item) => item,
            Poll::Pending => None,
        }
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.queue.inner.lock().dropped
    }
}
