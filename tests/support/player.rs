//! Owns playing the tables of what a client decides against the core's client; must not know what stands in them.

use std::time::Duration;

use mist_core::client::{
    Action, Backoff, Client, CloseReason, Event, Offline, Options, Reply, RequestError, Token,
};
use mist_core::message::Request;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What a random client does everything by.
const SEED: u64 = 7;

/// In milliseconds; where something is missing it is as everywhere.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Settings {
    /// For a connection, an answer, a sign of life.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// The silence after which that sign is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<u64>,
    /// The first ceiling and the highest; none is no further attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<Vec<u64>>,
    /// Messages, bytes, and how long one may wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offline: Option<[u64; 3]>,
}

/// What happens to a client, and what comes of it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Step {
    /// After how many milliseconds; as long as it takes until something is due, where it says `"due"`.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub wait: Value,
    /// When that is.
    #[serde(default)]
    pub at: u64,
    /// The verb, and its arguments.
    #[serde(rename = "do")]
    pub verb: Vec<Value>,
    /// What the verb returns.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub gives: Value,
    /// What is to be done then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub then: Vec<Value>,
    /// When something is due next, if that is another time than before; -1 for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<i64>,
}

impl Settings {
    fn options(&self) -> Options {
        let mut options = Options::default();
        if let Some(timeout) = self.timeout {
            let timeout = Duration::from_millis(timeout);
            options.request_timeout = timeout;
            options.connect_timeout = timeout;
            options.heartbeat_timeout = timeout;
        }
        if let Some(heartbeat) = self.heartbeat {
            options.heartbeat = Some(Duration::from_millis(heartbeat));
        }
        if let Some(retry) = &self.retry {
            let times: Vec<_> = retry.iter().copied().map(Duration::from_millis).collect();
            options.reconnect = match times[..] {
                [min, max] => Some(Backoff::new(min, max)),
                _ => None,
            };
        }
        if let Some([messages, bytes, max_age]) = self.offline {
            options.offline = Offline::buffer(
                messages as usize,
                bytes as usize,
                Duration::from_millis(max_age),
            );
        }
        options
    }
}

/// A client whose host is the table.
#[derive(Debug)]
pub struct Player {
    client: Client,
    now: u64,
    due: Option<i64>,
}

impl Player {
    /// Makes a client that has begun to connect.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self {
            client: Client::new(settings.options(), SEED, Duration::ZERO),
            now: 0,
            due: None,
        }
    }

    /// Does a step, and fills in what comes of it.
    pub fn play(&mut self, step: &mut Step) {
        self.now = match (&step.wait, self.client.poll_timeout()) {
            // Whole milliseconds, and none too early.
            (Value::String(_), Some(due)) => {
                let due = due.as_micros().div_ceil(1000) as u64;
                self.now.max(due)
            }
            (wait, _) => self.now + wait.as_u64().unwrap_or(0),
        };
        step.at = self.now;
        step.gives = self.perform(&step.verb);
        step.then.clear();
        while let Some(action) = self.client.poll_action() {
            write_action(action, &mut step.then);
        }
        let due = self.client.poll_timeout();
        let due = Some(due.map_or(-1, |due| due.as_millis() as i64));
        step.due = due.filter(|_| due != self.due);
        self.due = due;
    }

    fn perform(&mut self, verb: &[Value]) -> Value {
        let now = Duration::from_millis(self.now);
        let text = |at: usize| verb.get(at).and_then(Value::as_str);
        let flag = |at: usize| verb.get(at).and_then(Value::as_bool).unwrap_or(false);
        let number = |at: usize| verb.get(at).and_then(Value::as_u64);
        let tags = |at: usize| -> Vec<&str> {
            let tags = verb.get(at).and_then(Value::as_array);
            tags.into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect()
        };
        let client = &mut self.client;
        match text(0).expect("a step says what to do") {
            "begin" => {}
            "open" => {
                let token = text(1).map(|token| match flag(2) {
                    true => Token::Static(token),
                    false => Token::Fresh(token),
                });
                client.handle_open(now, token);
            }
            "receive" => {
                client.handle_frame(now, text(1).unwrap_or_default().as_bytes());
            }
            "lost" => {
                let code = number(1).map(|code| code as u16);
                client.handle_close(now, code, text(2).unwrap_or_default());
            }
            "token" => client.handle_token(now, text(1).unwrap_or_default()),
            "no-token" => client.handle_no_token(now, text(1).unwrap_or_default(), flag(2)),
            "timeout" => client.handle_timeout(now),
            "probe" => client.probe(now),
            "close" => client.close(),
            "subscribe" => {
                let wanted = client.subscribe(now, tags(1));
                return given(
                    wanted.map(|(id, request)| json!([u64::from(id), u64::from(request)])),
                );
            }
            "unsubscribe" => {
                let subscription = number(1).unwrap_or(0).into();
                let asked = client.unsubscribe(now, subscription);
                return given(asked.map(|request| u64::from(request).into()));
            }
            "publish" => {
                let published = client.publish(now, tags(1), text(2).unwrap_or_default());
                return given(published.map(|()| Value::Null));
            }
            "publish-acked" => {
                let asked = client.publish_acked(now, tags(1), text(2).unwrap_or_default());
                return given(asked.map(|request| u64::from(request).into()));
            }
            "request" => {
                let (tags, data) = (tags(2), text(3).unwrap_or_default());
                let mut request = Request::default().tags(&tags).data(data);
                request.command = text(1).unwrap_or_default();
                request.ttl = number(4);
                let asked = client.request_with(now, request);
                return given(asked.map(|request| u64::from(request).into()));
            }
            verb => panic!("no client can {verb}"),
        }
        Value::Null
    }
}

fn given(result: Result<Value, RequestError>) -> Value {
    match result {
        Ok(value) => value,
        Err(error) => json!({ "error": failure(&error) }),
    }
}

/// The code, the sentence, and what the server calls it, if it was the server.
fn failure(error: &RequestError) -> Vec<String> {
    let (code, server_code) = match error {
        RequestError::MissingTags { .. } => ("missing-tags", ""),
        RequestError::Refused { error, .. } => ("refused", error.code.name()),
        RequestError::Timeout { .. } => ("timeout", ""),
        RequestError::ConnectionLost { .. } => ("connection-lost", ""),
        RequestError::Offline { .. } => ("offline", ""),
        RequestError::BufferFull { .. } => ("buffer-full", ""),
        RequestError::Unsubscribed => ("unsubscribed", ""),
        RequestError::Closed { reason } => ending(reason),
        _ => unreachable!("an error without a code: {error}"),
    };
    let mut parts = vec![code.to_owned(), error.to_string()];
    parts.extend(Some(server_code.to_owned()).filter(|code| !code.is_empty()));
    parts
}

fn ending(reason: &CloseReason) -> (&'static str, &'static str) {
    match reason {
        CloseReason::AuthRefused(error) => ("auth", error.code.name()),
        CloseReason::NoToken(_) => ("auth", ""),
        _ => ("closed", ""),
    }
}

fn write_action(action: Action, then: &mut Vec<Value>) {
    let mut output = match action {
        Action::Connect => json!(["connect"]),
        Action::ObtainToken => json!(["obtain-token"]),
        Action::Disconnect => json!(["disconnect"]),
        Action::Send(lines) => {
            let lines = String::from_utf8(lines).expect("a message is UTF-8");
            then.extend(lines.lines().map(|line| json!(["send", line])));
            return;
        }
        Action::Answer { request, result } => match result {
            Ok(reply) => json!(["answer", u64::from(request), answer(&reply)]),
            Err(error) => {
                let mut output = vec![json!("fail"), u64::from(request).into()];
                output.extend(failure(&error).into_iter().map(Value::from));
                output.into()
            }
        },
        Action::Event(event) => match told(event) {
            Some(output) => output,
            None => return,
        },
    };
    // What has no code ends before it.
    let parts = output.as_array_mut().expect("an output is an array");
    if parts.last() == Some(&json!("")) && parts[0] != "message" {
        parts.pop();
    }
    then.push(output);
}

fn told(event: Event) -> Option<Value> {
    Some(match event {
        Event::Connecting => json!(["connecting"]),
        Event::Open { resumed } => json!(["open", resumed]),
        Event::Waiting { reason, retry_in } => {
            json!(["waiting", reason, retry_in.as_millis() as u64])
        }
        Event::Closed { reason } => {
            let (code, server_code) = ending(&reason);
            json!(["closed", code, reason.to_string(), server_code])
        }
        Event::TokenFailed { reason, error } => {
            let code = error.map_or("", |error| error.code.name());
            json!(["token-failed", reason, code])
        }
        Event::Message(delivery) => {
            let numbers = delivery.subscriptions.iter();
            let numbers: Vec<u64> = numbers.map(|&id| u64::from(id)).collect();
            json!(["message", &*delivery.tags, delivery.data, numbers])
        }
        Event::Dropped { count } => json!(["dropped", count]),
        Event::SubscriptionLost { tags, error } => {
            json!(["revoked", &*tags, error.text, error.code.name()])
        }
        Event::Refused { command, error, .. } => {
            let text = format!("the broker refused {command}: {error}");
            json!(["refused", text, error.code.name()])
        }
        Event::Discarded { publishes } => json!(["discarded", publishes]),
        // What is wrong with it each reader says in its own words.
        Event::Unreadable { .. } => json!(["unreadable"]),
        _ => return None,
    })
}

/// What an answer says, without what it does not.
fn answer(reply: &Reply) -> Value {
    let all = json!({
        "tags": reply.tags,
        "data": reply.data,
        "subscriptions": reply.subscriptions,
        "subscribed": reply.subscribed,
        "delivered": reply.delivered,
        "nodes": reply.nodes(),
        "connections": reply.connections,
        "subscribers": reply.subscribers,
    });
    let Value::Object(fields) = all else {
        return all;
    };
    let says = |value: &Value| match value {
        Value::Array(items) => !items.is_empty(),
        Value::String(text) => !text.is_empty(),
        value => !value.is_null(),
    };
    let said = fields.into_iter().filter(|(_, value)| says(value));
    Value::Object(said.collect())
}
