//! The client of a page: the core's client, a socket for it, and a host that makes the socket and hears the news.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use js_sys::{Array, JsString};
use mist_core::Rights;
use mist_core::client::{
    self, Action, Backoff, CloseReason, Event, Offline, Options, Reply, RequestError, RequestId,
    Token,
};
use mist_core::message::Request;
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};
use web_sys::WebSocket;

#[wasm_bindgen]
extern "C" {
    /// What the page does for a client.
    #[derive(Debug)]
    pub type ClientHost;

    /// Make a connection: then [`Client::open`], or [`Client::lost`].
    #[wasm_bindgen(method)]
    fn connect(this: &ClientHost);

    /// The connection needs another token: then [`Client::token`], or [`Client::no_token`].
    #[wasm_bindgen(method)]
    fn renew(this: &ClientHost);

    /// The connection was given up.
    #[wasm_bindgen(method)]
    fn disconnect(this: &ClientHost);

    /// A message for these subscriptions.
    #[wasm_bindgen(method)]
    fn message(this: &ClientHost, tags: &JsValue, data: &str, subscriptions: &[f64]);

    /// A request is answered.
    #[wasm_bindgen(method)]
    fn answer(
        this: &ClientHost,
        request: f64,
        tags: Array,
        data: &str,
        sets: Array,
        count: f64,
        subscribers: f64,
    );

    /// A request has failed; a verb has, when `request` is 0. `server_code` is what the broker calls it, if it said no.
    #[wasm_bindgen(method)]
    fn fail(this: &ClientHost, request: f64, code: &str, text: &str, server_code: &str);

    /// Something happened: its name, a text and a number that belong to it, and the broker's code for an error.
    #[wasm_bindgen(method)]
    fn event(this: &ClientHost, name: &str, text: &str, number: f64, server_code: &str);

    /// The broker does not hold a subscription any more.
    #[wasm_bindgen(method)]
    fn revoked(this: &ClientHost, tags: Array, text: &str, server_code: &str);
}

/// A client of a broker.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Client {
    client: client::Client,
    host: ClientHost,
    socket: Option<WebSocket>,
    /// The tags of the last message, which the next one often shares.
    last_tags: Option<(Arc<[String]>, JsValue)>,
}

/// Times come in milliseconds since an arbitrary start.
fn time(ms: f64) -> Duration {
    Duration::from_micros((ms * 1000.0) as u64)
}

fn millis(time: Duration) -> f64 {
    time.as_secs() as f64 * 1000.0 + f64::from(time.subsec_micros()) / 1000.0
}

/// A number that means "none" when it is negative.
fn optional(ms: f64) -> Option<Duration> {
    (ms >= 0.0).then(|| time(ms))
}

#[wasm_bindgen]
impl Client {
    /// Creates a client. All times are in milliseconds; a negative `heartbeat`, `retry_least` or `offline_messages`
    /// switches that off. Begins to connect with the first call of [`Client::timeout`].
    #[wasm_bindgen(constructor)]
    #[must_use]
    #[expect(
        clippy::too_many_arguments,
        reason = "numbers are what crosses the boundary for nothing"
    )]
    pub fn new(
        host: ClientHost,
        seed: u64,
        now: f64,
        timeout: f64,
        heartbeat: f64,
        retry_least: f64,
        retry_most: f64,
        offline_messages: f64,
        offline_bytes: f64,
        offline_age: f64,
    ) -> Self {
        let mut config = Options::default();
        config.request_timeout = time(timeout);
        config.connect_timeout = time(timeout);
        config.heartbeat = optional(heartbeat);
        config.heartbeat_timeout = time(timeout);
        config.reconnect = optional(retry_least).map(|min| Backoff::new(min, time(retry_most)));
        if offline_messages >= 0.0 {
            config.offline = Offline::Buffer {
                messages: offline_messages as usize,
                bytes: offline_bytes as usize,
                max_age: time(offline_age),
            };
        }
        Self {
            client: client::Client::new(config, seed, time(now)),
            host,
            socket: None,
            last_tags: None,
        }
    }

    /// Takes the connection, and the token for it; `is_static` when it would be the same at the next attempt.
    pub fn open(&mut self, now: f64, socket: WebSocket, token: Option<String>, is_static: bool) {
        self.socket = Some(socket);
        let token = token.as_deref().map(|token| match is_static {
            true => Token::Static(token),
            false => Token::Fresh(token),
        });
        self.client.handle_open(time(now), token);
        self.settle();
    }

    /// Takes what came over the connection.
    pub fn receive(&mut self, now: f64, frame: &str) {
        self.client.handle_frame(time(now), frame.as_bytes());
        self.settle();
    }

    /// Notes that the connection ended, with this code if it has one (else 0), or that there will be none.
    pub fn lost(&mut self, now: f64, code: u16, reason: &str) {
        self.socket = None;
        let code = Some(code).filter(|code| *code > 0);
        self.client.handle_close(time(now), code, reason);
        self.settle();
    }

    /// Takes another token for the connection.
    pub fn token(&mut self, now: f64, token: &str) {
        self.client.handle_token(time(now), token);
        self.settle();
    }

    /// Notes that there is no token; `is_final` when there will be none.
    pub fn no_token(&mut self, now: f64, reason: &str, is_final: bool) {
        self.client.handle_no_token(time(now), reason, is_final);
        self.settle();
    }

    /// Does what is due, and returns in how many milliseconds to call again; negative for never.
    pub fn timeout(&mut self, now: f64) -> f64 {
        self.client.handle_timeout(time(now));
        self.settle();
        match self.client.poll_timeout() {
            // Rounded up: a timer that comes too early would do nothing and be set again.
            Some(due) => {
                let left = due.saturating_sub(time(now));
                f64::from(left.subsec_micros().div_ceil(1000)) + left.as_secs() as f64 * 1000.0
            }
            None => -1.0,
        }
    }

    /// Asks for a sign of life, or tries to connect, at once.
    pub fn probe(&mut self, now: f64) {
        self.client.probe(time(now));
        self.settle();
    }

    /// Ends the client.
    pub fn close(&mut self) {
        self.client.close();
        self.settle();
    }

    /// Wants messages with all of these tags. Returns the numbers of the subscription and of the request, or nothing
    /// when it has failed.
    pub fn subscribe(&mut self, now: f64, tags: Vec<String>) -> Vec<f64> {
        let wanted = self.client.subscribe(time(now), &tags);
        let numbers = match wanted {
            Ok((subscription, request)) => vec![u64::from(subscription) as f64, number(request)],
            Err(error) => {
                self.fail(0.0, &error);
                Vec::new()
            }
        };
        self.settle();
        numbers
    }

    /// Gives up a subscription. Returns the number of the request, or 0 when it has failed.
    pub fn unsubscribe(&mut self, now: f64, subscription: f64) -> f64 {
        let asked = self
            .client
            .unsubscribe(time(now), (subscription as u64).into());
        self.asked(asked)
    }

    /// Publishes. Returns whether it could.
    pub fn publish(&mut self, now: f64, tags: Vec<String>, data: &str) -> bool {
        let published = self.client.publish(time(now), &tags, data);
        if let Err(error) = &published {
            self.fail(0.0, error);
        }
        self.settle();
        published.is_ok()
    }

    /// Publishes and asks for an acknowledgement. Returns the number of the request, or 0 when it has failed.
    pub fn publish_acked(&mut self, now: f64, tags: Vec<String>, data: &str) -> f64 {
        let asked = self.client.publish_acked(time(now), &tags, data);
        self.asked(asked)
    }

    /// Sends any command. `rights` are empty, and `ttl` is 0 or seconds, but for commands that give or take rights. Returns the
    /// number of the request, or 0 when it has failed.
    pub fn request(
        &mut self,
        now: f64,
        command: &str,
        tags: Vec<String>,
        data: &str,
        rights: &str,
        ttl: f64,
    ) -> f64 {
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        let request = Request {
            command,
            tags: &tags,
            data,
            rights: Rights::find(rights).unwrap_or_default(),
            ttl: (ttl > 0.0).then_some(ttl as u64),
            ..Request::default()
        };
        let asked = self.client.request_with(time(now), request);
        self.asked(asked)
    }

    fn asked(&mut self, asked: Result<RequestId, RequestError>) -> f64 {
        let request = match asked {
            Ok(request) => number(request),
            Err(error) => {
                self.fail(0.0, &error);
                0.0
            }
        };
        self.settle();
        request
    }

    /// Does what the client wants done.
    fn settle(&mut self) {
        while let Some(output) = self.client.poll_action() {
            match output {
                Action::Connect => self.host.connect(),
                Action::ObtainToken => self.host.renew(),
                Action::Send(lines) => self.send(&lines),
                Action::Disconnect => {
                    self.socket = None;
                    self.host.disconnect();
                }
                Action::Answer {
                    request,
                    result: Ok(reply),
                } => self.answer(request, &reply),
                Action::Answer {
                    request,
                    result: Err(error),
                } => self.fail(number(request), &error),
                Action::Event(event) => self.tell(event),
            }
        }
    }

    fn send(&self, lines: &[u8]) {
        let (Some(socket), Ok(lines)) = (&self.socket, core::str::from_utf8(lines)) else {
            return;
        };
        for line in lines.lines() {
            // A socket that cannot take it is closed or closing; its end is heard of.
            let _ = socket.send_with_str(line);
        }
    }

    fn answer(&self, request: RequestId, reply: &Reply) {
        let mut sets: Array = reply.subscriptions.iter().map(|set| array(set)).collect();
        if !reply.subscribed.is_empty() {
            sets = array(&reply.subscribed);
        }
        let count = reply.delivered.or(reply.connections);
        let count = count.map_or(-1.0, |count| count as f64);
        let subscribers = reply.subscribers.map_or(-1.0, |count| count as f64);
        self.host.answer(
            number(request),
            array(&reply.tags),
            &reply.data,
            sets,
            count,
            subscribers,
        );
    }

    fn fail(&self, request: f64, error: &RequestError) {
        let code = match error {
            RequestError::MissingTags { .. } => "missing-tags",
            RequestError::Refused { .. } => "refused",
            RequestError::Timeout { .. } => "timeout",
            RequestError::ConnectionLost { .. } => "connection-lost",
            RequestError::Offline { .. } => "offline",
            RequestError::BufferFull { .. } => "buffer-full",
            RequestError::Unsubscribed => "unsubscribed",
            RequestError::Closed {
                reason: CloseReason::AuthRefused(_) | CloseReason::NoToken(_),
            } => "auth",
            _ => "closed",
        };
        let server_code = match error {
            RequestError::Refused { error, .. }
            | RequestError::Closed {
                reason: CloseReason::AuthRefused(error),
            } => error.code.name(),
            _ => "",
        };
        self.host.fail(request, code, &error.text(), server_code);
    }

    fn tell(&mut self, event: Event) {
        let mut server_code = "";
        let (name, text, number) = match event {
            Event::Connecting => ("connecting", String::new(), 0.0),
            Event::Open { resumed } => ("open", String::new(), f64::from(u8::from(resumed))),
            Event::Waiting { reason, retry_in } => ("waiting", reason, millis(retry_in)),
            Event::Closed { reason } => {
                let mut name = "closed";
                if let CloseReason::AuthRefused(error) = &reason {
                    name = "auth";
                    server_code = error.code.name();
                }
                if let CloseReason::NoToken(_) = &reason {
                    name = "auth";
                }
                (name, reason.text(), 0.0)
            }
            Event::Message(delivery) => {
                let tags = self.tags(&delivery.tags);
                let numbers = delivery.subscriptions.iter();
                let numbers: Vec<f64> = numbers.map(|&id| u64::from(id) as f64).collect();
                return self.host.message(&tags, &delivery.data, &numbers);
            }
            Event::Dropped { count } => ("dropped", String::new(), count as f64),
            Event::SubscriptionLost { tags, error } => {
                let code = error.code.name();
                return self.host.revoked(array(&tags), &error.text, code);
            }
            Event::Refused { command, error, .. } => {
                server_code = error.code.name();
                let text = ["the broker refused ", &command, ": ", &error.text].concat();
                ("refused", text, 0.0)
            }
            Event::TokenFailed { reason, error } => {
                server_code = error.map_or("", |error| error.code.name());
                ("no-token", reason, 0.0)
            }
            Event::Discarded { publishes } => ("discarded", String::new(), publishes as f64),
            Event::Unreadable { error } => ("unreadable", error, 0.0),
            _ => return,
        };
        self.host.event(name, &text, number, server_code);
    }

    fn tags(&mut self, tags: &Arc<[String]>) -> JsValue {
        match &self.last_tags {
            Some((last, value)) if Arc::ptr_eq(last, tags) => value.clone(),
            _ => {
                let value: JsValue = array(tags).into();
                self.last_tags = Some((Arc::clone(tags), value.clone()));
                value
            }
        }
    }
}

fn number(request: RequestId) -> f64 {
    u64::from(request) as f64
}

fn array(strings: &[String]) -> Array {
    let strings = strings.iter().map(|text| JsString::from(text.as_str()));
    strings.map(JsCast::unchecked_into::<JsValue>).collect()
}
