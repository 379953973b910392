//! Owns what a message from the server means to a client; knows nothing of how it came.

use core::time::Duration;

use super::event::{Action, Event, Reply, RequestError, RequestId};
use super::requests::Errand;
use super::subscriptions::{OnWire, Slot, tag_set};
use super::{Client, Phase};
use crate::error::{ErrorCode, ServerError};
use crate::message::{Command, Message, Messages};

impl Client {
    /// Takes whole lines from a stream.
    pub fn handle_lines(&mut self, now: Duration, bytes: &[u8]) {
        self.handle_messages(now, Messages::lines(bytes));
    }

    /// Takes one frame of a transport that keeps messages apart.
    pub fn handle_frame(&mut self, now: Duration, bytes: &[u8]) {
        self.handle_messages(now, Messages::frame(bytes));
    }

    pub(super) fn handle_messages(&mut self, now: Duration, mut messages: Messages<'_>) {
        let mut scan = core::mem::take(&mut self.scan);
        let limits = self.limits.clone();
        while self.is_connected() {
            let Some(message) = messages.next(&mut scan, &limits) else {
                break;
            };
            self.heard = now;
            self.asked = None;
            match message {
                Ok(message) => self.handle_message(now, &message),
                Err(unreadable) => {
                    let error = unreadable.error.text(&limits, false);
                    self.event(Event::Unreadable { error });
                }
            }
        }
        self.scan = scan;
    }

    pub(super) fn handle_message(&mut self, now: Duration, message: &Message<'_>) {
        let error = message.server_error();
        match (message.id_number(), error) {
            (Some(number), error) => self.handle_answer(now, number, error, message),
            (None, Some(error)) if error.code == ErrorCode::TokenExpired => {
                self.token_expired(now, error);
            }
            (None, Some(error)) => self.handle_error(message, error),
            (None, None) if message.command() == Command::Publish => {
                let delivery = self.subscriptions.delivery(message);
                self.event(Event::Message(delivery));
            }
            (None, None) if message.command_name() == "dropped" => {
                let count = message.data().and_then(|count| count.parse().ok());
                self.event(Event::Dropped {
                    count: count.unwrap_or(0),
                });
            }
            // Answers are delayed, so the deadlines of requests are extended.
            (None, None) if message.command_name() == "throttled" => {
                let deadline = now.saturating_add(self.config.request_timeout);
                self.requests.put_off(deadline);
            }
            (None, None) => self.event(Event::Other(Reply::new(message))),
        }
    }

    pub(super) fn handle_answer(
        &mut self,
        now: Duration,
        number: u64,
        error: Option<ServerError>,
        message: &Message<'_>,
    ) {
        self.untaken.take_if(|after| number > *after);
        if let Some(waiting) = self.requests.take_wire(number) {
            let result = match error {
                None => Ok(Reply::new(message)),
                Some(error) => Err(RequestError::Refused {
                    command: waiting.command.into_owned(),
                    error,
                }),
            };
            let request = RequestId(number);
            self.actions.push_back(Action::Answer { request, result });
            return;
        }
        match (self.requests.take_errand(number), error) {
            (Some(Errand::Auth { is_static }), Some(error)) => {
                self.token_refused(now, error, is_static);
            }
            (Some(Errand::Auth { .. }), None) => {
                self.token_taken(now, message.expires_in());
                self.settle(now);
            }
            (Some(Errand::Ping { is_restore: true }), _) => self.settle(now),
            (Some(Errand::Subscribe { slot, is_restore }), error) => {
                // The slot may be another set's by now; its number on the wire tells.
                if self.subscriptions.on_wire(slot) == Some(OnWire::Asked(number)) {
                    self.settle_subscription(slot, error);
                }
                if is_restore {
                    self.settle(now);
                }
            }
            // An answer that came after its deadline, or to a proof of life.
            (Some(Errand::Unsubscribe | Errand::Ping { .. }) | None, _) => {}
        }
    }

    pub(super) fn settle(&mut self, now: Duration) {
        if let Phase::Restoring { unsettled } = &mut self.phase {
            *unsettled = unsettled.saturating_sub(1);
        }
        self.open_if_settled(now);
    }

    pub(super) fn settle_subscription(&mut self, slot: Slot, error: Option<ServerError>) {
        if let Some(error) = error {
            return self.drop_set(slot, &error);
        }
        self.subscriptions.set_on_wire(slot, OnWire::Live);
        for request in self.subscriptions.take_waiting(slot) {
            self.answer(request, |waiting| Ok(Reply::success(&waiting.command)));
        }
    }

    /// Stops wanting a set that the server does not hold, and tells those concerned.
    pub(super) fn drop_set(&mut self, slot: Slot, error: &ServerError) {
        let Some(dropped) = self.subscriptions.remove_set(slot) else {
            return;
        };
        for &request in &dropped.waiting {
            self.answer(request, |waiting| {
                Err(RequestError::Refused {
                    command: waiting.command.into_owned(),
                    error: error.clone(),
                })
            });
        }
        if dropped.had_settled {
            self.event(Event::SubscriptionLost {
                tags: dropped.tags,
                error: error.clone(),
            });
        }
    }

    /// Takes an error without a number: a refused publish, or a subscription that is gone.
    pub(super) fn handle_error(&mut self, message: &Message<'_>, error: ServerError) {
        if matches!(message.command(), Command::Subscribe | Command::Unsubscribe) {
            let slot = self.subscriptions.find(&tag_set(message.tags()));
            // A set that was asked for since has its own answer coming.
            let is_live = |&slot: &Slot| self.subscriptions.on_wire(slot) == Some(OnWire::Live);
            if let Some(slot) = slot.filter(is_live) {
                return self.drop_set(slot, &error);
            }
        }
        self.event(Event::Refused {
            command: message.command_name().into_owned(),
            tags: message.tags().map(Into::into).collect(),
            error,
        });
    }
}
