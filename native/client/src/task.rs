//! Owns a client's only task: it does what the state machine says, with a real clock and real sockets; decides
//! nothing itself.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use mist_core::client::{Action, Client as Machine, Event, State};
use mist_core::{ErrorCode, ServerError};
use mist_net::transport::{Connection, Dialer, Reader, Received};
use tokio::time::{Instant, Sleep};

use super::ClientError;
use super::builder::{TokenSource, failure};
use super::shared::Shared;
use super::streams::Message;

/// How far away a deadline is that does not exist.
const NEVER: Duration = Duration::from_secs(86_400);

type Dialled = Result<(Connection, Option<String>), String>;
type Dialling = Pin<Box<dyn Future<Output = Dialled> + Send>>;

/// Told how the first attempt went.
pub(super) type First = tokio::sync::oneshot::Sender<Result<(), ClientError>>;

/// What the task needs to know.
pub(super) struct Task {
    pub(super) shared: Arc<Shared>,
    pub(super) dialer: Dialer,
    pub(super) token: TokenSource,
    /// How long the flush at the end may take.
    pub(super) flush: Duration,
    pub(super) first: Option<First>,
}

/// What the task holds between two rounds.
struct Held {
    connection: Option<Connection>,
    dialling: Option<Dialling>,
    /// Messages on their way from the state machine to the application.
    messages: Vec<Message>,
    is_reading: bool,
    /// An error that no request asked for: why the server closes, if it does.
    last_words: Option<String>,
}

/// Marks the end, also when the runtime drops the task.
struct Finish(Arc<Shared>);

impl Drop for Finish {
    fn drop(&mut self) {
        self.0.finish();
    }
}

impl Task {
    pub(super) async fn run(mut self) {
        let _finish = Finish(Arc::clone(&self.shared));
        let mut held = Held {
            connection: None,
            dialling: None,
            messages: Vec::new(),
            is_reading: true,
            last_words: None,
        };
        let mut timer = Box::pin(tokio::time::sleep(NEVER));
        while let Some(due) = self.round(&mut held) {
            // A deadline that moved away is noticed when the timer fires; moving the timer each time costs more.
            if due < timer.deadline() {
                timer.as_mut().reset(due);
            }
            self.wait(&mut held, timer.as_mut()).await;
        }
        self.flush(held).await;
    }

    /// Does everything that can be done without waiting, and returns when the next thing is due; `None` at the end.
    fn round(&mut self, held: &mut Held) -> Option<Instant> {
        let shared = Arc::clone(&self.shared);
        let (due, expects_answer, is_closed) = shared.with(|inner, now| {
            self.publish_delayed(inner, now);
            loop {
                let can_send = held
                    .connection
                    .as_ref()
                    .is_none_or(|it| it.writer.is_idle());
                let output = if can_send {
                    inner.machine.poll_action()
                } else {
                    inner.machine.poll_control()
                };
                match output {
                    Some(Action::Connect) => held.dialling = Some(self.dial()),
                    Some(Action::Send(messages)) => {
                        if let Some(connection) = &mut held.connection {
                            connection.writer.queue(messages);
                        }
                    }
                    // At the end the connection is still to be flushed.
                    Some(Action::Disconnect) if inner.machine.state() == State::Closed => {}
                    Some(Action::Disconnect) => held.connection = None,
                    Some(Action::Answer { request, result }) => {
                        if let Some(answer) = inner.answers.remove(&request) {
                            // Whoever asked may have gone.
                            let _ = answer.send(result);
                        }
                    }
                    Some(Action::Event(Event::Message(delivery))) => held.messages.push(Message {
                        tags: delivery.tags,
                        data: delivery.data,
                    }),
                    Some(Action::Event(event)) => {
                        if let Event::Refused { command, error, .. } = &event
                            && command.is_empty()
                        {
                            held.last_words = Some(error.text.clone());
                        }
                        self.tell(event);
                    }
                    None => break,
                }
            }
            if inner.machine.state() != State::Connecting {
                held.dialling = None;
            }
            let mut due = inner.machine.poll_timeout().unwrap_or(now + NEVER);
            if let Some((&(at, _), _)) = inner.delayed.first_key_value() {
                due = due.min(now + at.saturating_duration_since(Instant::now()));
            }
            // Under the same lock as what came out of it: a client that is closed right after has more to tell.
            let is_closed = inner.machine.state() == State::Closed;
            (
                shared.instant(due),
                inner.machine.expects_answer(),
                is_closed,
            )
        });
        self.shared.messages.extend(&mut held.messages);
        self.shared.room.notify_waiters();
        // An answer stands behind the deliveries before it, so whoever waits for one must not be waited for.
        let is_reading = !self.shared.messages.hold_if_full(expects_answer);
        if is_reading != held.is_reading {
            held.is_reading = is_reading;
            self.shared
                .with(|inner, now| inner.machine.hold(now, !is_reading));
        }
        (!is_closed).then_some(due)
    }

    /// Waits for anything to happen, and tells the state machine.
    async fn wait(&self, held: &mut Held, mut timer: Pin<&mut Sleep>) {
        let is_reading = held.is_reading;
        let (reader, writer) = match &mut held.connection {
            Some(connection) => (
                Some(&mut connection.reader).filter(|_| is_reading),
                Some(&mut connection.writer).filter(|writer| !writer.is_idle()),
            ),
            None => (None, None),
        };
        let lost = tokio::select! {
            result = maybe(reader.map(|reader| async {
                let result = reader.read().await;
                self.shared.with(|inner, now| deliver(reader, &mut inner.machine, now));
                result
            })) => result.err(),
            result = maybe(writer.map(|writer| writer.write())) => result.err(),
            () = self.shared.wake.notified() => None,
            () = timer.as_mut() => {
                timer.as_mut().reset(Instant::now() + NEVER);
                self.shared.with(|inner, now| inner.machine.handle_timeout(now));
                None
            }
            dialled = maybe(held.dialling.as_mut()) => {
                held.dialling = None;
                match dialled {
                    Ok((connection, token)) => {
                        held.connection = Some(connection);
                        held.is_reading = true;
                        let token = token.as_deref().map(|token| self.token.present(token));
                        self.shared.with(|inner, now| inner.machine.handle_open(now, token));
                        None
                    }
                    Err(reason) => Some(reason),
                }
            }
        };
        if let Some(reason) = lost {
            held.connection = None;
            let reason = match held.last_words.take() {
                Some(words) => format!("{reason}: {words}"),
                None => reason,
            };
            self.shared
                .with(|inner, now| inner.machine.handle_close(now, &reason));
        }
    }

    fn dial(&self) -> Dialling {
        let dialer = self.dialer.clone();
        let token = self.token.clone();
        Box::pin(async move {
            let token = token.obtain().await?;
            Ok((dialer.dial().await?, token))
        })
    }

    fn publish_delayed(&self, inner: &mut super::shared::Inner, now: Duration) {
        while let Some(entry) = inner.delayed.first_entry() {
            if entry.key().0 > Instant::now() {
                break;
            }
            let delayed = entry.remove();
            let result = inner.machine.publish(now, &delayed.tags, &delayed.data);
            if let Err(error) = result {
                self.shared.tell(Event::Refused {
                    command: "publish".into(),
                    tags: delayed.tags,
                    error: ServerError::new(ErrorCode::Unknown, error.text()),
                });
            }
        }
    }

    fn tell(&mut self, event: Event) {
        let outcome = match &event {
            Event::Open { .. } => Some(Ok(())),
            Event::Waiting { reason, .. } => Some(Err(failure(&self.dialer.endpoint, reason))),
            Event::Closed { reason } => Some(Err(ClientError::from(
                mist_core::client::RequestError::Closed {
                    reason: reason.clone(),
                },
            ))),
            _ => None,
        };
        self.shared.tell(event);
        if let Some(outcome) = outcome
            && let Some(first) = self.first.take()
        {
            // Whoever connects may have given up.
            let _ = first.send(outcome);
        }
    }

    async fn flush(&self, held: Held) {
        let mut rest = Vec::new();
        self.shared.with(|inner, _| {
            while let Some(output) = inner.machine.poll_action() {
                if let Action::Send(messages) = output {
                    rest.extend(messages);
                }
            }
        });
        if let Some(connection) = held.connection {
            let result = connection.finish(rest, self.flush).await;
            self.shared.with(|inner, _| inner.unflushed = result.err());
        }
    }
}

/// Hands what was read to the state machine.
fn deliver(reader: &Reader, machine: &mut Machine, now: Duration) {
    match reader.received() {
        Received::Lines([]) => {}
        Received::Lines(lines) => machine.handle_lines(now, lines),
        #[cfg(feature = "websocket")]
        Received::Frames(frames) => {
            for frame in frames {
                machine.handle_frame(now, frame.as_bytes());
            }
        }
    }
}

/// Waits for a future that may not be there, which takes for ever.
async fn maybe<F: Future>(future: Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}
