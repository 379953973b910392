//! Owns the queue from a client's task to the application's streams; knows nothing of what is queued.

use std::collections::VecDeque;
use std::task::{Poll, Waker};

use mist_net::lock::Mutex;

/// A queue that one task fills in batches and any number of streams empty, each item going to one of them.
#[derive(Debug)]
pub(super) struct Queue<T> {
    inner: Mutex<Inner<T>>,
    most: usize,
    weigh: fn(&T) -> usize,
}

#[derive(Debug)]
struct Inner<T> {
    items: VecDeque<T>,
    /// What the items weigh together.
    bytes: usize,
    waiting: Vec<Waker>,
    is_closed: bool,
    /// Whether the filling side has stopped until there is room.
    is_held: bool,
}

/// What a stream takes at a time, so that several share the work and one needs few locks.
pub(super) const BATCH: usize = 128;

/// What a queue may weigh: several times what a server keeps for one client.
const MOST_BYTES: usize = 32 << 20;

impl<T> Queue<T> {
    pub(super) fn new(most: usize, weigh: fn(&T) -> usize) -> Self {
        Self {
            inner: Mutex::new(Inner {
                items: VecDeque::new(),
                bytes: 0,
                waiting: Vec::new(),
                is_closed: false,
                is_held: false,
            }),
            most: most.max(1),
            weigh,
        }
    }

    /// Adds items, however many there are: the filling side asks [`Queue::hold_if_full`] before it fetches more.
    pub(super) fn extend(&self, items: &mut Vec<T>) {
        if !items.is_empty() {
            self.wake(|inner| {
                inner.bytes += items.iter().map(self.weigh).sum::<usize>();
                inner.items.extend(items.drain(..));
            });
        }
    }

    /// Adds an item; the oldest gives way to it when the queue is full.
    pub(super) fn push_over(&self, item: T) {
        let most = self.most;
        self.wake(|inner| {
            if inner.items.len() >= most
                && let Some(oldest) = inner.items.pop_front()
            {
                inner.bytes -= (self.weigh)(&oldest);
            }
            inner.bytes += (self.weigh)(&item);
            inner.items.push_back(item);
        });
    }

    /// Ends every stream once it has taken what is left.
    pub(super) fn close(&self) {
        self.wake(|inner| inner.is_closed = true);
    }

    /// Whether the queue is full; if so, the next stream that makes room says so.
    ///
    /// In need, only the weight of what is in it counts, not the number.
    pub(super) fn hold_if_full(&self, is_needed: bool) -> bool {
        let mut inner = self.inner.lock();
        let is_full = inner.bytes >= MOST_BYTES || (!is_needed && inner.items.len() >= self.most);
        inner.is_held = is_full && !inner.is_closed;
        inner.is_held
    }

    /// Moves a batch into `taken`; returns whether the filling side waits for the room that is there now.
    pub(super) fn poll_take(&self, taken: &mut VecDeque<T>, waker: &Waker) -> Poll<Option<bool>> {
        let mut inner = self.inner.lock();
        if inner.items.is_empty() {
            if inner.is_closed {
                return Poll::Ready(None);
            }
            if !inner.waiting.iter().any(|known| known.will_wake(waker)) {
                inner.waiting.push(waker.clone());
            }
            return Poll::Pending;
        }
        if taken.is_empty() && inner.items.len() <= BATCH {
            std::mem::swap(taken, &mut inner.items);
            inner.bytes = 0;
        } else {
            let count = inner.items.len().min(BATCH);
            let weight: usize = inner.items.range(..count).map(self.weigh).sum();
            inner.bytes -= weight;
            taken.extend(inner.items.drain(..count));
        }
        let has_room = inner.is_held && inner.items.len() <= self.most / 2;
        inner.is_held &= !has_room;
        Poll::Ready(Some(has_room))
    }

    /// Puts back what a stream took and did not hand out.
    pub(super) fn put_back(&self, taken: &mut VecDeque<T>) {
        if !taken.is_empty() {
            self.wake(|inner| {
                while let Some(item) = taken.pop_back() {
                    inner.bytes += (self.weigh)(&item);
                    inner.items.push_front(item);
                }
            });
        }
    }

    fn wake(&self, change: impl FnOnce(&mut Inner<T>)) {
        let waiting = {
            let mut inner = self.inner.lock();
            change(&mut inner);
            std::mem::take(&mut inner.waiting)
        };
        for waker in waiting {
            waker.wake();
        }
    }
}
