//! Publishing and subscribing for clients that speak plain HTTP: curl, cron, webhooks, `EventSource`.
//!
//! Both are clients of the ordinary connection over a pipe in memory, so that everything holds for them that holds for
//! any other: tokens, limits, order, bounded outboxes.

use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut};
use futures_util::{Stream, StreamExt, stream};
use mist_core::message::{Command, Request, encode_request};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio::time::{Instant, timeout_at};
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::http::{HeaderMap, StatusCode, header};
use warp::reply::{Reply, Response};
use warp::sse::Event;

use super::publish::Publish;
use super::query::Query;
use super::token::token;
use super::{Caller, json, raw_query, refuse, refuse_command, unavailable};
use crate::drive::Connection;
use crate::hub::Hub;
use crate::hub::unfinished::Part;
use crate::listener::Acceptor;
use crate::log_limit::Kind;

/// Bytes in the pipe between a request and its connection.
const PIPE_BYTES: usize = 16 << 10;

/// After which time a reader whose stream has ended comes back.
const RETRY: Duration = Duration::from_secs(3);

/// What the answers to our commands end with; the commands have the `id` 1, which is no business of the client's.
const ID: &str = ",\"id\":1}";

/// `POST /publish`: the message as JSON, or `?tags=a,b` with the data as the body.
pub(super) fn publish(acceptor: Acceptor) -> BoxedFilter<(Response,)> {
    warp::path!("publish")
        .and(warp::post())
        .and(warp::header::headers_cloned())
        .and(raw_query())
        .and(warp::ext::get::<Caller>())
        .and(warp::body::stream())
        .then(
            move |headers: HeaderMap, query: String, caller: Caller, body| {
                let acceptor = acceptor.clone();
                async move {
                    publish_one(&acceptor, &caller, &headers, &query, body)
                        .await
                        .unwrap_or_else(|refusal| refusal)
                }
            },
        )
        .boxed()
}

/// Reads a body up to the limit, which is another without a token where one is needed. What is over it is thrown away,
/// so that the client gets to read why.
async fn read_body<B: Buf>(
    hub: &Hub,
    caller: &Caller,
    is_early: bool,
    headers: &HeaderMap,
    body: impl Stream<Item = Result<B, warp::Error>>,
) -> Result<Vec<u8>, Response> {
    let limits = &hub.limits;
    let (limit, setting) = match limits.before_authentication().message_bytes {
        limit if is_early && limit < limits.message_bytes => (limit, "unauthenticated-bytes"),
        _ => (limits.message_bytes, "message-bytes"),
    };
    let too_large = |what: &str| {
        let text = format!("{what} exceed the limit of {limit} ({setting})");
        refuse_publish(StatusCode::PAYLOAD_TOO_LARGE, text)
    };
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok())
        .filter(|&length| length > limit as u64);
    // Such a client has sent nothing of the body yet.
    if let (Some(length), true) = (announced, headers.contains_key(header::EXPECT)) {
        return Err(too_large(&format!("{length} bytes")));
    }
    // A stranger has as long for the whole as to authenticate; others for each pause.
    let is_hurried = is_early && limits.authentication_seconds > 0;
    let seconds = match is_hurried {
        true => limits.authentication_seconds,
        false => limits.handshake_seconds,
    };
    let patience = Duration::from_secs(seconds.into());
    let mut deadline = Instant::now() + patience;
    let mut body = pin!(body);
    let (mut bytes, mut count) = (Vec::new(), 0);
    let mut part = Part::new(&hub.unfinished);
    loop {
        match timeout_at(deadline, body.next()).await {
            Ok(Some(Ok(piece))) => {
                count += piece.remaining();
                if count <= limit {
                    if !part.add(piece.remaining()) {
                        let most = limits.input_total_bytes;
                        let text = format!(
                            "too much has arrived of messages without an end: all clients together may have {most} \
                             bytes of them (input-total-bytes)"
                        );
                        return Err(refuse_publish(StatusCode::SERVICE_UNAVAILABLE, text));
                    }
                    bytes.put(piece);
                    if !is_hurried {
                        deadline = Instant::now() + patience;
                    }
                } else {
                    bytes = Vec::new();
                }
            }
            Ok(None) if count <= limit => return Ok(bytes),
            Ok(None) => return Err(too_large(&format!("{count} bytes"))),
            Err(_) if count > limit => return Err(too_large(&format!("more than {limit} bytes"))),
            Err(_) => {
                let text = match is_hurried {
                    true => {
                        "the body took too long for a request without a token (authentication-seconds)"
                    }
                    false => "the body did not go on (handshake-seconds)",
                };
                return Err(refuse_publish(StatusCode::REQUEST_TIMEOUT, text));
            }
            Ok(Some(Err(error))) => {
                if hub.log.admits(Kind::BodyBrokeOff, caller.peer) {
                    tracing::debug!(
                        peer = caller.peer.map(display),
                        %error,
                        "the body of a request broke off"
                    );
                }
                let text = "the body broke off, or its chunks are malformed";
                return Err(refuse_publish(StatusCode::BAD_REQUEST, text));
            }
        }
    }
}

fn refuse_publish(status: StatusCode, error: impl AsRef<str>) -> Response {
    refuse_command("publish", status, error)
}

async fn publish_one<B: Buf>(
    acceptor: &Acceptor,
    caller: &Caller,
    headers: &HeaderMap,
    query: &str,
    body: impl Stream<Item = Result<B, warp::Error>>,
) -> Result<Response, Response> {
    let bad_request = |error: String| refuse_publish(StatusCode::BAD_REQUEST, error);
    let query = Query::parse(query).map_err(bad_request)?;
    let sets = query.tag_sets().map_err(bad_request)?;
    // Nobody's body is read whose token is wrong.
    let visit = match token(headers, &query).map_err(bad_request)? {
        Some(token) => Some(Visit::begin(acceptor, caller, Some(&token)).await?),
        None => None,
    };
    let is_early = acceptor.hub.is_scoped && visit.is_none();
    let body = read_body(&acceptor.hub, caller, is_early, headers, body).await?;
    let message = match sets.is_empty() {
        true => Publish::from_json(&body),
        false => Publish::from_query(&sets, body),
    };
    let message = message.map_err(bad_request)?;
    let tags: Vec<_> = message.tags.iter().map(String::as_str).collect();
    let request = Request::new(Command::Publish)
        .tags(&tags)
        .data(&message.data);
    let mut visit = match visit {
        Some(visit) => visit,
        None => Visit::begin(acceptor, caller, None).await?,
    };
    let answer = visit.ask(request).await?;
    Ok(json(StatusCode::OK, answer + "\n"))
}

/// `GET /subscribe?tags=a,b`: server-sent events, one per message. Each further `tags` is a further subscription.
pub(super) fn subscribe(acceptor: Acceptor) -> BoxedFilter<(Response,)> {
    warp::path!("subscribe")
        .and(warp::get())
        .and(warp::header::headers_cloned())
        .and(raw_query())
        .and(warp::ext::get::<Caller>())
        .then(move |headers: HeaderMap, query: String, caller: Caller| {
            let acceptor = acceptor.clone();
            async move {
                events(&acceptor, &caller, &headers, &query)
                    .await
                    .unwrap_or_else(|refusal| refusal)
            }
        })
        .boxed()
}

async fn events(
    acceptor: &Acceptor,
    caller: &Caller,
    headers: &HeaderMap,
    query: &str,
) -> Result<Response, Response> {
    let bad_request = |error: String| refuse_command("subscribe", StatusCode::BAD_REQUEST, error);
    let query = Query::parse(query).map_err(bad_request)?;
    let sets = query.tag_sets().map_err(bad_request)?;
    if sets.is_empty() {
        let text = "Unable to subscribe - missing tags; ask for /subscribe?tags=a,b";
        return Err(bad_request(text.to_owned()));
    }
    let token = token(headers, &query).map_err(bad_request)?;
    let mut visit = Visit::begin(acceptor, caller, token.as_deref()).await?;
    for tags in &sets {
        visit
            .ask(Request::new(Command::Subscribe).tags(tags))
            .await?;
    }
    let distinct: BTreeSet<BTreeSet<_>> = sets
        .iter()
        .map(|tags| tags.iter().copied().collect())
        .collect();
    let messages = stream::unfold((visit, distinct.len()), |(mut visit, held)| async move {
        // A stream that nothing can come of any more ends; the last event has said why.
        if held == 0 {
            return None;
        }
        let mut line = visit.next().await?;
        let is_taken_away = line.starts_with(TAKEN_AWAY);
        // Readers take one blank off, and simple ones count on it.
        line.insert(0, ' ');
        let held = held - usize::from(is_taken_away);
        Some((Event::default().data(line), (visit, held)))
    });
    let retry = Event::default().retry(RETRY);
    let events = stream::iter([retry])
        .chain(messages)
        .map(Ok::<_, Infallible>);
    let keep_alive = warp::sse::keep_alive().interval(Duration::from_secs(15));
    let reply = warp::sse::reply(keep_alive.stream(events));
    // Proxies as nginx else hold events back until there are many.
    Ok(warp::reply::with_header(reply, "x-accel-buffering", "no").into_response())
}

/// What a message begins with by which a subscription is taken away: nobody here asks for that.
const TAKEN_AWAY: &str = r#"{"command":"unsubscribe","#;

/// A connection to the broker on behalf of a request.
struct Visit {
    pipe: BufReader<DuplexStream>,
    has_token: bool,
    /// Messages that came while an answer was waited for.
    early: VecDeque<String>,
    /// How many bytes of them may still come.
    early_room: usize,
}

/// What matters of an answer.
#[derive(Deserialize)]
struct Answer {
    command: String,
    #[serde(default)]
    error: String,
}

impl Visit {
    /// Connects, with the token of the request if it has one; a wrong one is refused before anything is done.
    async fn begin(
        acceptor: &Acceptor,
        caller: &Caller,
        token: Option<&str>,
    ) -> Result<Self, Response> {
        let seat = caller.seat(acceptor).map_err(unavailable)?;
        let (near, far) = tokio::io::duplex(PIPE_BYTES);
        // Within the count of the HTTP connection that the request came on.
        acceptor.spawn(
            seat,
            Connection::lines(Arc::clone(&acceptor.hub), far, token, caller.arrival()),
        );
        let mut visit = Self {
            pipe: BufReader::new(near),
            has_token: token.is_some(),
            early: VecDeque::new(),
            early_room: acceptor.hub.limits.outbox_bytes,
        };
        if visit.has_token {
            visit.ask(Request::new(Command::Ping)).await?;
        }
        Ok(visit)
    }

    /// Does a command, and returns the answer or the response to the error.
    async fn ask(&mut self, request: Request<'_>) -> Result<String, Response> {
        let mut line = Vec::new();
        encode_request(&request.id(1), &mut line);
        line.push(b'\n');
        let stopping = || refuse(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping");
        let sent = self.pipe.get_mut().write_all(&line).await;
        sent.map_err(|_| stopping())?;
        loop {
            let line = self.read_line().await.ok_or_else(stopping)?;
            let (text, is_answer) = match line.strip_suffix(ID) {
                Some(rest) => (format!("{rest}}}"), true),
                None => (line, false),
            };
            let answer = serde_json::from_str::<Answer>(&text);
            match answer {
                Ok(answer) if !answer.error.is_empty() => {
                    return Err(self.refusal(&answer, text));
                }
                _ if is_answer => return Ok(text),
                _ => {
                    let Some(room) = self.early_room.checked_sub(text.len()) else {
                        let text = "too many messages before all subscriptions were made";
                        return Err(refuse(StatusCode::SERVICE_UNAVAILABLE, text));
                    };
                    self.early_room = room;
                    self.early.push_back(text);
                }
            }
        }
    }

    fn refusal(&self, answer: &Answer, text: String) -> Response {
        let status = match answer.error.as_str() {
            error if error.starts_with("Token store unavailable") => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            error if error.contains("(failed-tokens)") => StatusCode::TOO_MANY_REQUESTS,
            _ if answer.command == "auth" => StatusCode::UNAUTHORIZED,
            error if !error.starts_with("not authorized") => {
                // The body was within the limit; what is made of it, with its escapes, was not.
                match error.contains("-bytes); closing") {
                    true => StatusCode::PAYLOAD_TOO_LARGE,
                    false => StatusCode::BAD_REQUEST,
                }
            }
            _ if self.has_token => StatusCode::FORBIDDEN,
            _ => StatusCode::UNAUTHORIZED,
        };
        let response = json(status, text + "\n");
        let (name, value) = match status {
            StatusCode::UNAUTHORIZED => (header::WWW_AUTHENTICATE, "Bearer"),
            StatusCode::TOO_MANY_REQUESTS => (header::RETRY_AFTER, "10"),
            _ => return response,
        };
        warp::reply::with_header(response, name, value).into_response()
    }

    /// The next message.
    async fn next(&mut self) -> Option<String> {
        match self.early.pop_front() {
            Some(message) => Some(message),
            None => self.read_line().await,
        }
    }

    async fn read_line(&mut self) -> Option<String> {
        let mut line = String::new();
        let count = self.pipe.read_line(&mut line).await.ok()?;
        line.truncate(line.trim_end().len());
        (count > 0).then_some(line)
    }
}
