//! Owns what a client's handles and its task share; knows nothing of sockets.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};
use std::time::Duration;

use mist_core::client::{Client as Machine, Event, Reply, RequestError, RequestId, State};
use mist_net::lock::Mutex;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::Instant;

use super::ClientError;
use super::queue::Queue;
use super::streams::Message;

pub(super) type Answer = Result<Reply, RequestError>;

/// A publish that is due later.
pub(super) struct Delayed {
    pub(super) tags: Vec<String>,
    pub(super) data: String,
}

/// What is behind the lock; nothing waits while holding it.
pub(super) struct Inner {
    pub(super) machine: Machine,
    pub(super) answers: HashMap<RequestId, oneshot::Sender<Answer>>,
    /// By when they are due, then by when they were asked for.
    pub(super) delayed: BTreeMap<(Instant, u64), Delayed>,
    next_delayed: u64,
    /// Why the flush at the end failed.
    pub(super) unflushed: Option<String>,
}

/// What a client's handles and its task share.
pub(super) struct Shared {
    inner: Mutex<Inner>,
    /// Tells the task that there is something to do.
    pub(super) wake: Notify,
    /// Tells those who wait with something to send that there may be room.
    pub(super) room: Notify,
    pub(super) messages: Queue<Message>,
    events: Mutex<Vec<Weak<Queue<Event>>>>,
    /// Whether the task is gone.
    done: watch::Sender<bool>,
    start: Instant,
    /// How many bytes may wait to be sent.
    most_unsent: usize,
}

/// How many events one stream keeps; older ones give way.
const EVENTS: usize = 1024;

impl Shared {
    pub(super) fn new(
        machine: Machine,
        start: Instant,
        most_messages: usize,
        most_unsent: usize,
    ) -> Self {
        Self {
            inner: Mutex::new(Inner {
                machine,
                answers: HashMap::new(),
                delayed: BTreeMap::new(),
                next_delayed: 0,
                unflushed: None,
            }),
            wake: Notify::new(),
            room: Notify::new(),
            messages: Queue::new(most_messages, |message| {
                size_of::<Message>() + message.data.len()
            }),
            events: Mutex::new(Vec::new()),
            done: watch::Sender::new(false),
            start,
            most_unsent: most_unsent.max(1),
        }
    }

    /// The time that the state machine knows.
    pub(super) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    pub(super) fn instant(&self, time: Duration) -> Instant {
        self.start + time
    }

    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Inner, Duration) -> T) -> T {
        let mut inner = self.inner.lock();
        work(&mut inner, self.now())
    }

    /// Waits until there is room to send, then does `work` and wakes the task for it.
    pub(super) async fn hand_over<T>(
        &self,
        work: impl FnOnce(&mut Inner, Duration) -> Result<T, RequestError>,
    ) -> Result<T, ClientError> {
        loop {
            // Before looking, so that room which is made meanwhile is not missed.
            let room = self.room.notified();
            {
                let mut inner = self.inner.lock();
                let unsent = inner.machine.unsent_bytes();
                if unsent < self.most_unsent {
                    let result = work(&mut inner, self.now());
                    // Bytes alone are fetched once the writer is free; the task has been woken for the first of them.
                    let is_awake = unsent > 0 && !inner.machine.has_control();
                    drop(inner);
                    if !is_awake {
                        self.wake.notify_one();
                    }
                    return result.map_err(ClientError::from);
                }
            }
            room.await;
        }
    }

    /// Sends a numbered request and waits for its answer.
    pub(super) async fn ask(
        &self,
        work: impl FnOnce(&mut Machine, Duration) -> Result<RequestId, RequestError>,
    ) -> Result<Reply, ClientError> {
        let (sender, receiver) = oneshot::channel();
        self.hand_over(|inner, now| {
            let request = work(&mut inner.machine, now)?;
            inner.answers.insert(request, sender);
            Ok(())
        })
        .await?;
        match receiver.await {
            Ok(answer) => answer.map_err(ClientError::from),
            // Only a task that was killed with its runtime leaves a request unanswered.
            Err(_) => Err(ClientError::Closed {
                reason: "its task is gone".into(),
            }),
        }
    }

    pub(super) fn delay(
        &self,
        after: Duration,
        delayed: Delayed,
    ) -> Result<(Instant, u64), ClientError> {
        let key = self.with(|inner, _| {
            inner.machine.check_not_closed()?;
            inner.next_delayed += 1;
            let key = (Instant::now() + after, inner.next_delayed);
            inner.delayed.insert(key, delayed);
            Ok::<_, RequestError>(key)
        })?;
        self.wake.notify_one();
        Ok(key)
    }

    pub(super) fn add_events(&self) -> Arc<Queue<Event>> {
        let queue = Arc::new(Queue::new(EVENTS, |_| 0));
        let mut events = self.events.lock();
        events.retain(|other| other.strong_count() > 0);
        events.push(Arc::downgrade(&queue));
        if *self.done.borrow() {
            queue.close();
        }
        queue
    }

    pub(super) fn tell(&self, event: Event) {
        for queue in self.events.lock().iter().filter_map(Weak::upgrade) {
            queue.push_over(event.clone());
        }
    }

    /// Ends the client: requests fail, what was handed over is still sent.
    pub(super) fn close(&self) {
        self.with(|inner, _| {
            inner.machine.close();
            let publishes = std::mem::take(&mut inner.delayed).len();
            // Within the lock, so that it comes before the end, which the task tells.
            if publishes > 0 {
                self.tell(Event::Discarded { publishes });
            }
        });
        self.wake.notify_one();
    }

    /// Waits until the task is gone.
    pub(super) async fn done(&self) {
        // The other end is here, too, so there is always an answer.
        let _ = self.done.subscribe().wait_for(|is_done| *is_done).await;
    }

    pub(super) fn state(&self) -> State {
        self.with(|inner, _| inner.machine.state())
    }

    /// Notes that the task is gone, in whatever way.
    pub(super) fn finish(&self) {
        self.with(|inner, _| {
            inner.machine.close();
            inner.answers.clear();
            inner.delayed.clear();
        });
        self.messages.close();
        self.done.send_replace(true);
        for queue in self
            .events
            .lock()
            .drain(..)
            .filter_map(|queue| queue.upgrade())
        {
            queue.close();
        }
        self.room.notify_waiters();
    }
}
