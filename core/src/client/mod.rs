//! Owns one client's side of the protocol: its connection's life, its requests and its wanted subscriptions; cannot
//! open a socket, read a clock or draw a random number.
//!
//! Verbs go in, each with the time since an arbitrary start; outputs are taken out with [`Client::poll_action`], and
//! [`Client::poll_timeout`] says when to call [`Client::handle_timeout`]. A host in five lines:
//!
//! ```text
//! loop: drain poll_action: Connect → dial, then handle_open or handle_close · Send → write · Disconnect → close
//!                          ObtainToken → handle_token · Answer → whoever asked · Event → the application
//!       wait for: bytes → handle_lines or handle_frame · the end of the socket → handle_close
//!                 poll_timeout → handle_timeout · the application → subscribe, publish, request, close
//! ```
//!
//! What the application can rely on: every request is answered exactly once, with the server's answer or with an
//! error. Wanted subscriptions survive lost connections: the next one presents its token, restores them all, and only
//! then is [`Event::Open`]. A request that waits for an answer when the connection is lost fails, except that a
//! subscription goes on waiting for the next connection, until its deadline. A token that ends is followed by the next
//! on the same connection, in time for nothing to be missed.

mod event;
mod inbound;
mod life;
mod outbound;
mod renewal;
mod requests;
mod retry;
mod subscriptions;
#[cfg(test)]
mod tests;
mod token;

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

pub use event::{
    Action, CloseReason, Delivery, Event, OfCluster, Reply, RequestError, RequestId, State,
    SubscriptionId,
};
pub use requests::Offline;
use requests::{Awaits, Buffer, Loss, Name, Requests, name};
pub use retry::Backoff;
use retry::Random;
use subscriptions::{OnWire, Subscriptions, tag_set};
use token::Renewal;
pub use token::Token;

use crate::limits::Limits;
use crate::message::{Command, Request, Scan, encode_publish};

/// The settings of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// How long to wait for the answer to a request.
    pub request_timeout: Duration,
    /// How long to wait for a connection, and for each step of restoring its subscriptions.
    pub connect_timeout: Duration,
    /// After how long without a message to ask for a sign of life; `None` and zero never ask.
    pub heartbeat: Option<Duration>,
    /// How long to wait for that sign before the connection counts as lost.
    pub heartbeat_timeout: Duration,
    /// When to try again after a connection is lost; `None` never tries.
    pub reconnect: Option<Backoff>,
    /// What happens to a publish while there is no connection.
    pub offline: Offline,
    /// Bytes in the largest message that is accepted from the server.
    pub message_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            heartbeat: Some(Duration::from_secs(25)),
            heartbeat_timeout: Duration::from_secs(10),
            reconnect: Some(Backoff::default()),
            offline: Offline::Reject,
            message_bytes: 64 << 20,
        }
    }
}

#[derive(Debug)]
enum Phase {
    Connecting {
        deadline: Duration,
    },
    /// Connected; becomes `Open` when the token is taken and all subscriptions are restored.
    Restoring {
        /// Answers that are still to come.
        unsettled: usize,
    },
    Open {
        since: Duration,
    },
    /// Connected, but the token has ended, and the server holds nothing; becomes `Restoring` with the next token.
    Expired,
    Waiting {
        until: Duration,
    },
    Closed(CloseReason),
}

/// One client of a server.
#[derive(Debug)]
pub struct Client {
    config: Options,
    limits: Limits,
    random: Random,
    phase: Phase,
    /// Attempts since the last connection that lasted.
    failures: u32,
    was_open: bool,
    /// Whether there is a source of further tokens.
    can_renew: bool,
    renewal: Renewal,
    /// Tokens in a row that were not to be had on this connection, or were refused.
    renewal_failures: u32,
    requests: Requests,
    subscriptions: Subscriptions,
    buffer: Buffer,
    wire: Vec<u8>,
    /// The publishes without acknowledgement that went to the wire and may still be lost: the last number given out
    /// before the last of them. The answer to any later number shows that the server has taken them.
    untaken: Option<u64>,
    /// Publishes without acknowledgement were lost since the last [`Client::flush`] that said so.
    loss: Option<Loss>,
    actions: VecDeque<Action>,
    /// When the last message came.
    heard: Duration,
    /// When the unanswered ping was sent.
    asked: Option<Duration>,
    /// Whether the host has stopped reading, so that silence says nothing about the connection.
    is_reading_held: bool,
    scan: Scan,
}

impl Client {
    /// Creates a client that begins to connect; `seed` is random, since it keeps clients from moving in step.
    #[must_use]
    pub fn new(mut config: Options, seed: u64, now: Duration) -> Self {
        config.heartbeat = config.heartbeat.filter(|interval| !interval.is_zero());
        let limits = Limits {
            message_bytes: config.message_bytes.min(1 << 30),
            // The server has its own limit; its client does not refuse what passed it.
            tags_per_message: usize::MAX,
            ..Limits::default()
        };
        let mut client = Self {
            limits,
            random: Random(seed),
            phase: Phase::Waiting { until: now },
            failures: 0,
            was_open: false,
            can_renew: false,
            renewal: Renewal::None,
            renewal_failures: 0,
            requests: Requests::default(),
            subscriptions: Subscriptions::new(seed),
            buffer: Buffer::default(),
            wire: Vec::new(),
            untaken: None,
            loss: None,
            actions: VecDeque::new(),
            heard: now,
            asked: None,
            is_reading_held: false,
            scan: Scan::new(),
            config,
        };
        client.connect(now);
        client
    }

    /// Returns the state of the client's connection.
    #[must_use]
    pub fn state(&self) -> State {
        match self.phase {
            Phase::Connecting { .. } | Phase::Restoring { .. } | Phase::Expired => {
                State::Connecting
            }
            Phase::Open { .. } => State::Open,
            Phase::Waiting { .. } => State::Waiting,
            Phase::Closed(_) => State::Closed,
        }
    }

    /// Whether the client is closed, as the error that its verbs then return.
    ///
    /// # Errors
    /// [`RequestError::Closed`].
    pub fn check_not_closed(&self) -> Result<(), RequestError> {
        match &self.phase {
            Phase::Closed(reason) => Err(RequestError::Closed {
                reason: reason.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// Returns the wanted tag sets, sorted; each set's tags are sorted too.
    pub fn subscriptions(&self) -> impl ExactSizeIterator<Item = &[String]> {
        self.subscriptions.sets().into_iter()
    }

    /// Returns how many bytes wait to be taken as [`Action::Send`]; the host must limit this.
    #[must_use]
    pub fn unsent_bytes(&self) -> usize {
        self.wire.len()
    }

    /// Wants messages that carry all of `tags`. The answer comes once the server holds the subscription.
    ///
    /// While there is no connection the subscription is kept for the next one. If the answer is an error, the
    /// subscription is not wanted any more.
    ///
    /// # Errors
    /// [`RequestError::MissingTags`] and [`RequestError::Closed`].
    pub fn subscribe<T: AsRef<str>>(
        &mut self,
        now: Duration,
        tags: impl IntoIterator<Item = T>,
    ) -> Result<(SubscriptionId, RequestId), RequestError> {
        self.check_not_closed()?;
        let tags = tag_set(tags);
        if tags.is_empty() {
            return Err(RequestError::MissingTags {
                command: "subscribe",
            });
        }
        let (subscription, slot) = self.subscriptions.add(tags);
        let request = self.add_request(
            now,
            Name::Borrowed("subscribe"),
            Awaits::Subscription(subscription),
        );
        match self.subscriptions.on_wire(slot) {
            Some(OnWire::Live) => {
                self.answer(request, |waiting| Ok(Reply::success(&waiting.command)))
            }
            on_wire => {
                self.subscriptions.set_waiting(subscription, Some(request));
                if on_wire == Some(OnWire::No) && self.may_subscribe() {
                    self.send_subscribe(slot, false);
                }
            }
        }
        Ok((subscription, request))
    }

    /// Gives up a local subscription; the last one for a tag set ends it on the server.
    ///
    /// Giving up one that is gone already succeeds.
    ///
    /// # Errors
    /// [`RequestError::Closed`].
    pub fn unsubscribe(
        &mut self,
        now: Duration,
        subscription: SubscriptionId,
    ) -> Result<RequestId, RequestError> {
        self.check_not_closed()?;
        let request = self.add_request(now, Name::Borrowed("unsubscribe"), Awaits::WireOrLoss);
        let left = self.subscriptions.remove(subscription);
        let is_on_server = left
            .as_ref()
            .is_some_and(|left| matches!(left.last, Some(OnWire::Asked(_) | OnWire::Live)));
        if let Some(left) = left {
            if let Some(waiting) = left.waiting {
                self.answer(waiting, |_| Err(RequestError::Unsubscribed));
            }
            if is_on_server {
                self.send_set(Command::Unsubscribe, &left.tags, request.0);
            }
        }
        if !is_on_server {
            self.answer(request, |waiting| Ok(Reply::success(&waiting.command)));
        }
        Ok(request)
    }

    /// Whether a local subscription is still wanted: neither given up, nor refused or taken away by the server.
    #[must_use]
    pub fn is_wanted(&self, subscription: SubscriptionId) -> bool {
        self.subscriptions.is_wanted(subscription)
    }

    /// Publishes without asking for an acknowledgement: at most once, and lost with the connection.
    ///
    /// # Errors
    /// [`RequestError::MissingTags`], [`RequestError::Closed`]; without a connection [`RequestError::Offline`] or
    /// [`RequestError::BufferFull`], as [`Options::offline`] has it.
    pub fn publish<T: AsRef<str>>(
        &mut self,
        now: Duration,
        tags: impl IntoIterator<Item = T>,
        data: &str,
    ) -> Result<(), RequestError> {
        if !matches!(self.phase, Phase::Open { .. }) {
            return self.keep(now, tags, data, None);
        }
        let start = self.wire.len();
        let count = encode_publish(tags, data, None, &mut self.wire);
        if count == 0 {
            self.wire.truncate(start);
            return Err(RequestError::MissingTags { command: "publish" });
        }
        self.wire.push(b'\n');
        self.untaken = Some(self.requests.last());
        Ok(())
    }

    /// Publishes and asks how many sessions took it ([`Reply::delivered`]).
    ///
    /// # Errors
    /// As [`Client::publish`].
    pub fn publish_acked<T: AsRef<str>>(
        &mut self,
        now: Duration,
        tags: impl IntoIterator<Item = T>,
        data: &str,
    ) -> Result<RequestId, RequestError> {
        let is_open = matches!(self.phase, Phase::Open { .. });
        let awaits = if is_open {
            Awaits::Wire
        } else {
            Awaits::Buffer
        };
        let request = self.add_request(now, Name::Borrowed("publish"), awaits);
        let result = if is_open {
            let start = self.wire.len();
            match encode_publish(tags, data, Some(request.0), &mut self.wire) {
                0 => {
                    self.wire.truncate(start);
                    Err(RequestError::MissingTags { command: "publish" })
                }
                _ => {
                    self.wire.push(b'\n');
                    Ok(())
                }
            }
        } else {
            self.keep(now, tags, data, Some(request))
        };
        if result.is_err() {
            self.requests.take(request);
        }
        result.map(|()| request)
    }

    /// Sends any command, numbered, so that it is answered.
    ///
    /// # Errors
    /// [`RequestError::Offline`] without a connection, [`RequestError::Closed`] after the end.
    pub fn request(
        &mut self,
        now: Duration,
        command: &str,
        tags: &[&str],
        data: &str,
    ) -> Result<RequestId, RequestError> {
        let request = Request {
            command,
            tags,
            data,
            ..Request::default()
        };
        self.request_with(now, request)
    }

    /// As [`Client::request`], with all that a message may have; its number is given out here.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub fn request_with(
        &mut self,
        now: Duration,
        request: Request<'_>,
    ) -> Result<RequestId, RequestError> {
        self.check_not_closed()?;
        if !matches!(self.phase, Phase::Open { .. }) {
            return Err(RequestError::Offline {
                command: request.command.into(),
            });
        }
        let id = self.add_request(now, name(request.command), Awaits::Wire);
        self.send_request(request.id(id.0));
        Ok(id)
    }

    /// Takes out the next action for the host.
    pub fn poll_action(&mut self) -> Option<Action> {
        match self.actions.front() {
            // Everything that was handed over is sent before the connection is closed.
            None | Some(Action::Disconnect) if !self.wire.is_empty() => {
                Some(Action::Send(core::mem::take(&mut self.wire)))
            }
            _ => self.actions.pop_front(),
        }
    }

    /// Takes out the next action for the host except [`Action::Send`]: for a host that is still writing, so that bytes to
    /// send collect meanwhile.
    pub fn poll_control(&mut self) -> Option<Action> {
        match self.actions.front() {
            Some(Action::Disconnect) if !self.wire.is_empty() => None,
            _ => self.actions.pop_front(),
        }
    }

    /// Whether [`Client::poll_control`] has an action to take out.
    #[must_use]
    pub fn has_control(&self) -> bool {
        !self.actions.is_empty()
    }
}
