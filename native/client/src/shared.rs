//! Owns what a client's handles and its task share; knows nothing of sockets.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use mist_core::client::{Client as Machine, Reply, RequestError, RequestId, State, SubscriptionId};
use mist_net::lock::Mutex;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::Instant;

use crate::error::{ClientError, TokenSourceError};
use crate::event::Event;
use crate::inbox::Inbox;
use crate::queue::Queue;

pub(crate) type Answer = Result<Reply, RequestError>;

/// What is behind the lock; nothing waits while holding it.
pub(crate) struct Inner {
    pub(crate) machine: Machine,
    pub(crate) answers: HashMap<RequestId, oneshot::Sender<Answer>>,
    /// Those of subscriptions.
    pub(crate) inboxes: HashMap<SubscriptionId, Arc<Inbox>>,
    /// Those of streams of all messages.
    pub(crate) taps: Vec<Weak<Inbox>>,
    /// Why not all that was handed over is sent at the end.
    pub(crate) unflushed: Option<String>,
}

/// What a client's handles and its task share.
pub(crate) struct Shared {
    inner: Mutex<Inner>,
    /// Tells the task that there is something to do.
    pub(crate) wake: Notify,
    /// Notified when there may be room for what waits to be sent.
    pub(crate) room: Notify,
    events: Mutex<Vec<Weak<Queue<Event>>>>,
    /// Whether the task is gone.
    done: watch::Sender<bool>,
    start: Instant,
    limits: Limits,
}

/// What all clones of a client share; dropping it ends the task.
pub(crate) struct Handle {
    pub(crate) shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.close();
    }
}

/// What the application has bounded.
pub(crate) struct Limits {
    /// How many messages wait in one stream.
    pub(crate) messages: usize,
    /// How many bytes wait to be sent.
    pub(crate) unsent_bytes: usize,
    /// How long an answer is waited for.
    pub(crate) request_timeout: Duration,
}

/// How many events one stream keeps; older ones give way.
const EVENTS: usize = 1024;

impl Shared {
    pub(crate) fn new(machine: Machine, start: Instant, limits: Limits) -> Self {
        Self {
            inner: Mutex::new(Inner {
                machine,
                answers: HashMap::new(),
                inboxes: HashMap::new(),
                taps: Vec::new(),
                unflushed: None,
            }),
            wake: Notify::new(),
            room: Notify::new(),
            events: Mutex::new(Vec::new()),
            done: watch::Sender::new(false),
            start,
            limits,
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Not for any `time`: the sum has to be one that the system has.
    pub(crate) fn instant(&self, time: Duration) -> Instant {
        self.start + time
    }

    /// Does `work` with what is behind the lock, and the time that the state machine knows.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Inner, Duration) -> T) -> T {
        let mut inner = self.inner.lock();
        work(&mut inner, self.start.elapsed())
    }

    /// Tells the state machine that there is no token.
    pub(crate) fn no_token(&self, error: TokenSourceError) {
        let (reason, is_final) = match error {
            TokenSourceError::Unavailable(reason) => (reason, false),
            TokenSourceError::Unauthorized(reason) => (reason, true),
        };
        self.with(|inner, now| inner.machine.handle_no_token(now, &reason, is_final));
    }

    /// Waits until there is room to send, then does `work` and wakes the task for it.
    pub(crate) async fn hand_over<T>(
        &self,
        work: impl FnOnce(&mut Inner, Duration) -> Result<T, RequestError>,
    ) -> Result<T, ClientError> {
        loop {
            // Before looking, so that room which is made meanwhile is not missed.
            let room = self.room.notified();
            {
                let mut inner = self.inner.lock();
                let unsent = inner.machine.unsent_bytes();
                if unsent < self.limits.unsent_bytes {
                    let due = inner.machine.poll_timeout().unwrap_or(Duration::MAX);
                    let result = work(&mut inner, self.start.elapsed());
                    // The task's timer knows of no deadline that is new.
                    let is_sooner = inner.machine.poll_timeout().is_some_and(|next| next < due);
                    // Bytes alone are fetched once the writer is free; the task has been woken for the first of them.
                    let is_awake = unsent > 0 && !is_sooner && !inner.machine.has_control();
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
    pub(crate) async fn ask(
        &self,
        work: impl FnOnce(&mut Machine, Duration) -> Result<RequestId, RequestError>,
    ) -> Result<Reply, ClientError> {
        let (sender, answer) = oneshot::channel();
        self.hand_over(|inner, now| {
            let request = work(&mut inner.machine, now)?;
            inner.answers.insert(request, sender);
            Ok(())
        })
        .await?;
        answered(answer).await
    }

    /// Adds a stream of all messages.
    pub(crate) fn add_tap(&self) -> Arc<Inbox> {
        let inbox = Inbox::new(Arc::default(), self.limits.messages);
        self.with(|inner, _| {
            inner.taps.retain(|other| other.strong_count() > 0);
            inner.taps.push(Arc::downgrade(&inbox));
            if *self.done.borrow() {
                inbox.queue.close();
            }
        });
        inbox
    }

    pub(crate) fn add_events(&self) -> Arc<Queue<Event>> {
        let queue = Queue::new(EVENTS, |_| 0);
        let mut events = self.events.lock();
        events.retain(|other| other.strong_count() > 0);
        events.push(Arc::downgrade(&queue));
        if *self.done.borrow() {
            queue.close();
        }
        queue
    }

    pub(crate) fn tell(&self, event: Event) {
        for queue in self.events.lock().iter().filter_map(Weak::upgrade) {
            queue.push_over(event.clone());
        }
    }

    /// Ends the client: requests fail, what was handed over is still sent.
    pub(crate) fn close(&self) {
        self.with(|inner, _| inner.machine.close());
        self.wake.notify_one();
    }

    /// Waits until the task is gone.
    pub(crate) async fn done(&self) {
        // The other end is here, too, so there is always an answer.
        let _ = self.done.subscribe().wait_for(|is_done| *is_done).await;
    }

    pub(crate) fn state(&self) -> State {
        self.with(|inner, _| inner.machine.state())
    }

    /// Notes that the task is gone, in whatever way.
    pub(crate) fn finish(&self) {
        self.done.send_replace(true);
        self.with(|inner, _| {
            inner.machine.close();
            inner.answers.clear();
            let taps = inner.taps.drain(..).filter_map(|tap| tap.upgrade());
            for inbox in taps.chain(inner.inboxes.drain().map(|(_, inbox)| inbox)) {
                inbox.queue.close();
            }
        });
        for queue in self.events.lock().drain(..) {
            if let Some(queue) = queue.upgrade() {
                queue.close();
            }
        }
        self.room.notify_waiters();
    }
}

/// Waits for the answer to a request.
pub(crate) async fn answered(answer: oneshot::Receiver<Answer>) -> Result<Reply, ClientError> {
    match answer.await {
        Ok(answer) => answer.map_err(ClientError::from),
        // Only a task that was killed with its runtime leaves a request unanswered.
        Err(_) => Err(ClientError::Closed {
            reason: "its task is gone".into(),
        }),
    }
}
