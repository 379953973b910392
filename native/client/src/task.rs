//! Owns a client's only task: it does what the state machine says, with a real clock and real sockets; decides
//! nothing itself.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use mist_core::client::{
    Action, Client as Machine, CloseReason, Event as Told, RequestError, State,
};
use mist_net::connect::ConnectError;
use mist_net::transport::{Connection, Reader, Received};
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep};

use crate::error::{ClientError, TokenSourceError};
use crate::event::Event;
use crate::inbox::{Inbox, Message};
use crate::servers::{Failure, Servers};
use crate::shared::{Answer, Inner, Shared};
use crate::token::{Obtaining, TokenSource};

/// How far away a deadline is that does not exist, or that is further away.
const NEVER: Duration = Duration::from_secs(86_400);

type Connected = Result<(Connection, Option<String>), NotConnected>;
type Connecting = Pin<Box<dyn Future<Output = Connected> + Send>>;

/// Why an attempt did not lead to a connection.
enum NotConnected {
    NoToken(TokenSourceError),
    NoServer(Failure),
}

/// Told how the first attempt went.
pub(crate) type First = oneshot::Sender<Result<(), ClientError>>;

/// What the task needs to know.
pub(crate) struct Task {
    pub(crate) shared: Arc<Shared>,
    pub(crate) servers: Servers,
    pub(crate) token: TokenSource,
    pub(crate) first: Option<First>,
    /// Why the last attempt failed.
    pub(crate) cause: Option<ConnectError>,
}

/// What the task has between two rounds.
#[derive(Default)]
struct Transport {
    connection: Option<Connection>,
    connecting: Option<Connecting>,
    /// The next token of the connection.
    obtaining: Option<Obtaining>,
    /// An error that no request asked for: why the server closes, if it does.
    last_words: Option<String>,
}

/// What the application gets at the end of a round, when the lock is free again.
#[derive(Default)]
struct Deliveries {
    messages: Vec<(Arc<Inbox>, Message)>,
    /// Those of subscriptions that the server has taken away.
    ended: Vec<Arc<Inbox>>,
    /// Behind the messages, as on the wire: with an answer, what was delivered before it is there.
    answers: Vec<(oneshot::Sender<Answer>, Answer)>,
}

/// Marks the end, also when the runtime drops the task.
struct Finish(Arc<Shared>);

impl Drop for Finish {
    fn drop(&mut self) {
        self.0.finish();
    }
}

impl Task {
    pub(crate) async fn run(mut self) {
        let _finish = Finish(Arc::clone(&self.shared));
        let mut transport = Transport::default();
        let mut timer = Box::pin(tokio::time::sleep(NEVER));
        while let Some(due) = self.round(&mut transport) {
            // A deadline that moved away is noticed when the timer fires; moving the timer each time costs more.
            if due < timer.deadline() {
                timer.as_mut().reset(due);
            }
            self.wait(&mut transport, timer.as_mut()).await;
        }
        self.finish(transport).await;
    }

    /// Does everything that can be done without waiting, and returns when the next thing is due; `None` at the end.
    fn round(&mut self, transport: &mut Transport) -> Option<Instant> {
        let shared = Arc::clone(&self.shared);
        let mut deliveries = Deliveries::default();
        let (due, state) = shared.with(|inner, now| {
            loop {
                let can_send = transport
                    .connection
                    .as_ref()
                    .is_none_or(|it| it.writer.is_idle());
                let action = if can_send {
                    inner.machine.poll_action()
                } else {
                    inner.machine.poll_control()
                };
                match action {
                    Some(Action::Connect) => {
                        transport.last_words = None;
                        transport.connecting = Some(self.connect());
                    }
                    Some(Action::ObtainToken) => transport.obtaining = self.token.obtain(),
                    Some(Action::Send(messages)) => {
                        if let Some(connection) = &mut transport.connection {
                            connection.writer.queue(messages);
                        }
                    }
                    // At the end the connection is still to be flushed.
                    Some(Action::Disconnect) if inner.machine.state() == State::Closed => {}
                    Some(Action::Disconnect) => transport.connection = None,
                    Some(Action::Answer { request, result }) => {
                        if let Some(answer) = inner.answers.remove(&request) {
                            deliveries.answers.push((answer, result));
                        }
                    }
                    Some(Action::Event(Told::Message(delivery))) => {
                        let message = Message {
                            tags: delivery.tags,
                            data: delivery.data,
                        };
                        let ids = delivery.subscriptions.iter();
                        let inboxes = ids.filter_map(|id| inner.inboxes.get(id).cloned());
                        let taps = inner.taps.iter().filter_map(Weak::upgrade);
                        deliveries.add(inboxes.chain(taps), message);
                    }
                    Some(Action::Event(event)) => {
                        if let Told::Discarded { publishes } = event
                            && inner.machine.state() == State::Closed
                        {
                            inner.unflushed =
                                Some(format!("offline, with {publishes} publishes kept"));
                        }
                        if let Told::SubscriptionLost { .. } = event {
                            deliveries.end_unwanted(inner);
                        }
                        if let Told::Refused { command, error, .. } = &event
                            && command.is_empty()
                        {
                            transport.last_words = Some(error.text.clone());
                        }
                        if let Some(event) = Event::of(event) {
                            self.tell(event);
                        }
                    }
                    None => break,
                }
            }
            let due = inner.machine.poll_timeout().unwrap_or(Duration::MAX);
            // Under the same lock as what came out of it: a client that is closed right after has more to tell.
            let state = inner.machine.state();
            (shared.instant(due.min(now + NEVER)), state)
        });
        // These hold what is the application's, so they end when the lock is free again.
        if state != State::Connecting {
            transport.connecting = None;
        }
        if transport.connection.is_none() {
            transport.obtaining = None;
        }
        deliveries.hand_out(&shared);
        shared.room.notify_waiters();
        (state != State::Closed).then_some(due)
    }

    /// Waits for anything to happen, and tells the state machine.
    async fn wait(&mut self, transport: &mut Transport, mut timer: Pin<&mut Sleep>) {
        let shared = &self.shared;
        let (reader, writer) = match &mut transport.connection {
            Some(connection) => (
                Some(&mut connection.reader),
                Some(&mut connection.writer).filter(|writer| !writer.is_idle()),
            ),
            None => (None, None),
        };
        let lost = tokio::select! {
            result = maybe(reader.map(|reader| async {
                let result = reader.read().await;
                shared.with(|inner, now| deliver(reader, &mut inner.machine, now));
                result
            })) => result.err(),
            result = maybe(writer.map(|writer| writer.write())) => result.err(),
            () = shared.wake.notified() => None,
            () = timer.as_mut() => {
                timer.as_mut().reset(Instant::now() + NEVER);
                shared.with(|inner, now| inner.machine.handle_timeout(now));
                None
            }
            connected = maybe(transport.connecting.as_mut()) => {
                transport.connecting = None;
                match connected {
                    Ok((connection, token)) => {
                        transport.connection = Some(connection);
                        let token = token.as_deref().map(|token| self.token.present(token));
                        shared.with(|inner, now| inner.machine.handle_open(now, token));
                        None
                    }
                    Err(NotConnected::NoToken(error)) => {
                        shared.no_token(error);
                        None
                    }
                    Err(NotConnected::NoServer(failure)) => {
                        self.cause = failure.cause;
                        Some(failure.text)
                    }
                }
            }
            obtained = maybe(transport.obtaining.as_mut()) => {
                transport.obtaining = None;
                match obtained {
                    Ok(token) => shared.with(|inner, now| inner.machine.handle_token(now, &token)),
                    Err(error) => shared.no_token(error),
                }
                None
            }
        };
        if let Some(reason) = lost {
            let connection = transport.connection.take();
            let code = connection.and_then(|it| it.reader.close_code());
            let reason = match transport.last_words.take() {
                Some(words) => format!("{reason}: {words}"),
                None => reason,
            };
            shared.with(|inner, now| inner.machine.handle_close(now, code, &reason));
        }
    }

    fn connect(&mut self) -> Connecting {
        self.cause = None;
        let attempt = self.servers.attempt();
        let obtaining = self.token.obtain();
        Box::pin(async move {
            let token = match obtaining {
                Some(obtaining) => Some(obtaining.await.map_err(NotConnected::NoToken)?),
                None => None,
            };
            let connection = attempt.await.map_err(NotConnected::NoServer)?;
            Ok((connection, token))
        })
    }

    fn tell(&mut self, event: Event) {
        let outcome = match &event {
            Event::Open { .. } => Some(Ok(())),
            Event::TokenFailed { reason, error } => Some(Err(match error.clone() {
                Some(reason) => ClientError::AuthRefused { reason },
                None => ClientError::NoToken {
                    reason: reason.clone(),
                },
            })),
            // Without reconnecting, a failed attempt is the end.
            Event::Waiting { reason, .. }
            | Event::Closed {
                reason: CloseReason::Lost(reason),
            } => Some(Err(ClientError::Connect {
                address: self.servers.to_string(),
                reason: reason.clone(),
                source: self.cause.take(),
            })),
            Event::Closed { reason } => {
                let reason = reason.clone();
                Some(Err(RequestError::Closed { reason }.into()))
            }
            _ => None,
        };
        self.shared.tell(event);
        if let Some(outcome) = outcome
            && let Some(first) = self.first.take()
        {
            // The caller of `connect` may have given up.
            let _ = first.send(outcome);
        }
    }

    async fn finish(&self, transport: Transport) {
        let mut rest = Vec::new();
        self.shared.with(|inner, _| {
            while let Some(action) = inner.machine.poll_action() {
                if let Action::Send(messages) = action {
                    rest.extend(messages);
                }
            }
        });
        if let Some(connection) = transport.connection {
            let limit = self.shared.limits().request_timeout;
            let result = connection.finish(rest, limit).await;
            if let Err(reason) = result {
                self.shared.with(|inner, _| {
                    inner.unflushed.get_or_insert(reason);
                });
            }
        }
    }
}

impl Deliveries {
    fn add(&mut self, inboxes: impl Iterator<Item = Arc<Inbox>>, message: Message) {
        let mut inboxes = inboxes.peekable();
        while let Some(inbox) = inboxes.next() {
            if inboxes.peek().is_none() {
                self.messages.push((inbox, message));
                break;
            }
            self.messages.push((inbox, message.clone()));
        }
    }

    fn end_unwanted(&mut self, inner: &mut Inner) {
        let (inboxes, machine) = (&mut inner.inboxes, &inner.machine);
        let lost = inboxes.extract_if(|id, _| !machine.is_wanted(*id));
        self.ended.extend(lost.map(|(_, inbox)| inbox));
    }

    fn hand_out(mut self, shared: &Shared) {
        let mut messages = self.messages.drain(..).peekable();
        while let Some((inbox, message)) = messages.next() {
            let mut next = Some(message);
            // As many at once as go to the same stream.
            let run = std::iter::from_fn(|| {
                let this = next.take()?;
                next = messages
                    .next_if(|(other, _)| Arc::ptr_eq(other, &inbox))
                    .map(|(_, message)| message);
                Some(this)
            });
            if inbox.queue.extend(run) {
                let tags = Arc::clone(&inbox.tags);
                shared.tell(Event::Lagged { tags });
            }
        }
        for inbox in self.ended {
            inbox.queue.close();
        }
        for (sender, answer) in self.answers {
            // The asker may have gone.
            let _ = sender.send(answer);
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
