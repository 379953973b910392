//! Owns how a client's messages are written, kept and answered for; knows nothing of the connection they go over.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::event::{Action, Event, Reply, RequestError, RequestId};
use super::requests::{Awaits, Buffered, Errand, Loss, Name, Offline, Waiting};
use super::subscriptions::{Left, OnWire, Slot};
use super::{Client, Phase};
use crate::message::{Command, Request, encode_publish, encode_request};
use crate::text::text;

impl Client {
    /// Asks for an answer that stands behind everything handed over before: with it, the server has taken all of that.
    ///
    /// # Errors
    /// [`RequestError::ConnectionLost`] once after publishes without acknowledgement were lost, or were discarded from
    /// the offline buffer; [`RequestError::Offline`] without a connection, [`RequestError::Closed`] after the end.
    pub fn flush(&mut self, now: Duration) -> Result<RequestId, RequestError> {
        self.check_not_closed()?;
        if let Some(loss) = self.loss.take() {
            return Err(RequestError::ConnectionLost {
                command: "flush".into(),
                reason: loss.reason,
            });
        }
        if !matches!(self.phase, Phase::Open { .. }) {
            return Err(RequestError::Offline {
                command: "flush".into(),
            });
        }
        let request = self.add_request(now, Name::Borrowed("flush"), Awaits::Wire);
        self.send("ping", &[], "", request.0);
        Ok(request)
    }

    /// Notes that the application knows of what was lost with this flush, so that the next does not say so again.
    pub fn forgive_loss(&mut self, flush: RequestId) {
        // What was handed over behind the flush is another matter.
        self.loss.take_if(|loss| loss.after < flush.0);
    }

    pub(super) fn note_loss(&mut self, after: u64, reason: impl FnOnce() -> String) {
        match &mut self.loss {
            Some(loss) => loss.after = loss.after.max(after),
            None => {
                let reason = reason();
                self.loss = Some(Loss { after, reason });
            }
        }
    }

    pub(super) fn add_request(
        &mut self,
        now: Duration,
        command: Name,
        awaits: Awaits,
    ) -> RequestId {
        let deadline = now.saturating_add(self.config.request_timeout);
        self.requests.add(deadline, command, awaits)
    }

    pub(super) fn send(&mut self, command: &str, tags: &[&str], data: &str, number: u64) {
        self.send_request(Request {
            command,
            tags,
            data,
            id: Some(number),
            ..Request::default()
        });
    }

    pub(super) fn send_request(&mut self, request: Request<'_>) {
        encode_request(&request, &mut self.wire);
        self.wire.push(b'\n');
    }

    pub(super) fn send_set(&mut self, command: Command, tags: &[String], number: u64) {
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        self.send(command.name().unwrap_or_default(), &tags, "", number);
    }

    pub(super) fn send_subscribe(&mut self, slot: Slot, is_restore: bool) {
        if let Some(tags) = self.subscriptions.tags(slot) {
            let number = self
                .requests
                .add_errand(Errand::Subscribe { slot, is_restore });
            self.subscriptions.set_on_wire(slot, OnWire::Asked(number));
            self.send_set(Command::Subscribe, &tags, number);
        }
    }

    pub(super) fn keep<T: AsRef<str>>(
        &mut self,
        now: Duration,
        tags: impl IntoIterator<Item = T>,
        data: &str,
        request: Option<RequestId>,
    ) -> Result<(), RequestError> {
        self.check_not_closed()?;
        let mut text = Vec::new();
        let number = request.map(|request| request.0);
        if encode_publish(tags, data, number, &mut text) == 0 {
            return Err(RequestError::MissingTags { command: "publish" });
        }
        let Offline::Buffer {
            messages, bytes, ..
        } = self.config.offline
        else {
            return Err(RequestError::Offline {
                command: "publish".into(),
            });
        };
        let kept = self.buffer.publishes.len();
        if kept >= messages || self.buffer.bytes + text.len() > bytes {
            return Err(RequestError::BufferFull {
                publishes: kept,
                bytes: self.buffer.bytes,
            });
        }
        self.buffer.push(Buffered {
            kept_at: now,
            text,
            request,
        });
        Ok(())
    }

    pub(super) fn discard_old(&mut self, now: Duration) {
        let Offline::Buffer { max_age, .. } = self.config.offline else {
            return;
        };
        let Some(until) = now.checked_sub(max_age) else {
            return;
        };
        let mut discarded = 0;
        while let Some(publish) = self.buffer.pop_kept_until(until) {
            match publish.request {
                Some(request) => self.answer(request, |waiting| {
                    Err(RequestError::Timeout {
                        command: waiting.command.into_owned(),
                        after: max_age,
                    })
                }),
                None => discarded += 1,
            }
        }
        if discarded > 0 {
            let after = self.requests.last();
            self.note_loss(after, || text!["offline for ", max_age]);
        }
        self.tell_discarded(discarded);
    }

    pub(super) fn tell_discarded(&mut self, publishes: usize) {
        if publishes > 0 {
            self.event(Event::Discarded { publishes });
        }
    }

    pub(super) fn time_out(&mut self, waiting: Waiting) {
        let request = waiting.request();
        if let Awaits::Subscription(subscription) = waiting.awaits {
            self.subscriptions.set_waiting(subscription, None);
            let left = self.subscriptions.remove(subscription);
            let is_on_server =
                |left: &Left| matches!(left.last, Some(OnWire::Asked(_) | OnWire::Live));
            if let Some(left) = left.filter(is_on_server) {
                let number = self.requests.add_errand(Errand::Unsubscribe);
                self.send_set(Command::Unsubscribe, &left.tags, number);
            }
        }
        let result = Err(RequestError::Timeout {
            command: waiting.command.into_owned(),
            after: self.config.request_timeout,
        });
        self.actions.push_back(Action::Answer { request, result });
    }

    pub(super) fn answer(
        &mut self,
        request: RequestId,
        result: impl FnOnce(Waiting) -> Result<Reply, RequestError>,
    ) {
        if let Some(waiting) = self.requests.take(request) {
            let result = result(waiting);
            self.actions.push_back(Action::Answer { request, result });
        }
    }

    pub(super) fn event(&mut self, event: Event) {
        self.actions.push_back(Action::Event(event));
    }
}
