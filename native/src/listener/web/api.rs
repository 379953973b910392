//! Publishing and subscribing for clients that speak plain HTTP: curl, cron, webhooks, `EventSource`.
//!
//! Both are clients of the ordinary connection over a pipe in memory, so that everything holds for them that holds for
//! any other: tokens, limits, order, bounded outboxes.

use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Buf;
use futures_util::{Stream, StreamExt, stream};
use mist_core::message::{Command, Request, encode_request};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::http::{HeaderMap, StatusCode, header};
use warp::reply::{Reply, Response};
use warp::sse::Event;

use super::body::{Body, read_body, refuse_publish};
use super::publish::Publish;
use super::query::Query;
use super::token::token;
use super::{Caller, json, raw_query, refuse, refuse_command, unavailable};
use crate::drive::Connection;
use crate::hub::outbox::Outbox;
use crate::hub::unfinished::Part;
use crate::listener::Acceptor;

/// Bytes in the pipe between a request and its connection.
const PIPE_BYTES: usize = 16 << 10;
/// Bytes of a long line that are given to the pipe at once.
const PIECE_BYTES: usize = 64 << 10;

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
    let body = read_body(&acceptor.hub, caller, visit.as_ref(), headers, body).await?;
    let Body { bytes, part } = body;
    let line = request_line(&sets, bytes).map_err(bad_request)?;
    // Its escapes may have made it larger than anybody may send; what the connection says of it needs no copy of it.
    let (length, limit) = (line.len() - 1, acceptor.hub.limits.message_bytes);
    if length > limit {
        let text = format!("{length} bytes exceed the limit of {limit} (message-bytes)");
        return Err(refuse_publish(StatusCode::PAYLOAD_TOO_LARGE, text));
    }
    let mut visit = match visit {
        Some(visit) => visit,
        None => Visit::begin(acceptor, caller, None).await?,
    };
    let answer = visit.ask_long(line, part).await?;
    Ok(json(StatusCode::OK, answer + "\n"))
}

/// What a body says as a line for the connection. Nothing waits for anything meanwhile, and only the line is left.
fn request_line(sets: &[Vec<&str>], body: Vec<u8>) -> Result<Vec<u8>, String> {
    let message = match sets.is_empty() {
        true => Publish::from_json(&body),
        false => Publish::from_query(sets, body),
    }?;
    let tags: Vec<_> = message.tags.iter().map(String::as_str).collect();
    let request = Request::new(Command::Publish).tags(&tags);
    Ok(line(request.data(&message.data)))
}

/// A request as the connection gets it.
fn line(request: Request<'_>) -> Vec<u8> {
    let mut line = Vec::new();
    encode_request(&request.id(1), &mut line);
    line.push(b'\n');
    line
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
pub(super) struct Visit {
    pipe: BufReader<DuplexStream>,
    outbox: Arc<Outbox>,
    has_token: bool,
    /// Messages that came while an answer was waited for.
    early: VecDeque<String>,
    /// How many bytes of them may still come.
    early_room: usize,
}

/// Adds what a client may do about it.
pub(super) fn unauthorized(response: Response) -> Response {
    warp::reply::with_header(response, header::WWW_AUTHENTICATE, "Bearer").into_response()
}

fn stopping() -> Response {
    refuse(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping")
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
        let hub = Arc::clone(&acceptor.hub);
        let connection = Connection::lines(hub, far, token, caller.arrival());
        let outbox = Arc::clone(connection.outbox());
        acceptor.spawn(seat, connection);
        let mut visit = Self {
            pipe: BufReader::new(near),
            outbox,
            has_token: token.is_some(),
            early: VecDeque::new(),
            early_room: acceptor.hub.limits.outbox_bytes,
        };
        if visit.has_token {
            visit.ask(Request::new(Command::Ping)).await?;
        }
        Ok(visit)
    }

    /// Whether the token that it began with is valid no more. A request has no second one.
    pub(super) fn was_revoked(&self) -> bool {
        self.outbox.is_on_probation()
    }

    /// Does a command, and returns the answer or the response to the error.
    async fn ask(&mut self, request: Request<'_>) -> Result<String, Response> {
        self.send(&line(request)).await?;
        self.answer().await
    }

    /// The same for a line that may be long, and for which `part` counts. The connection counts what it has taken of it,
    /// so that is given up here.
    async fn ask_long(&mut self, line: Vec<u8>, mut part: Part) -> Result<String, Response> {
        let pieces: Vec<_> = line.chunks(PIECE_BYTES).map(<[u8]>::to_vec).collect();
        let mut left = line.len();
        drop(line);
        for piece in pieces {
            part.set(left);
            self.send(&piece).await?;
            left -= piece.len();
        }
        drop(part);
        self.answer().await
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), Response> {
        let sent = self.pipe.get_mut().write_all(bytes).await;
        sent.map_err(|_| stopping())
    }

    async fn answer(&mut self) -> Result<String, Response> {
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
            error if error.contains("(input-total-bytes)") => StatusCode::SERVICE_UNAVAILABLE,
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
        match status {
            StatusCode::UNAUTHORIZED => unauthorized(response),
            StatusCode::TOO_MANY_REQUESTS => {
                warp::reply::with_header(response, header::RETRY_AFTER, "10").into_response()
            }
            _ => response,
        }
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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use futures_util::poll;
    use mist_core::{Broker, Config};
    use tokio::task::yield_now;
    use tokio::time::{Instant, timeout};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::hub::Hub;
    use crate::listener::Offers;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn acceptor(config: Config) -> Acceptor {
        Acceptor {
            hub: Arc::new(Hub::new(Broker::new(config, 1), None, HashMap::new())),
            browsers: Arc::default(),
            proxies: Arc::default(),
            tls: None,
            offers: Offers::default(),
            stop: CancellationToken::new(),
            cut: CancellationToken::new(),
        }
    }

    fn caller(acceptor: &Acceptor) -> Caller {
        let permit = acceptor.greet(None).permit.expect("there is room");
        Caller {
            permit: Arc::new(permit),
            peer: None,
            client: None,
            since: Instant::now(),
        }
    }

    #[tokio::test]
    async fn a_message_counts_until_the_connection_has_taken_it() {
        let acceptor = acceptor(Config::default());
        let unfinished = &acceptor.hub.unfinished;
        let most = acceptor.hub.limits.input_total_bytes;
        let visit = Visit::begin(&acceptor, &caller(&acceptor), None).await;
        let mut visit = visit.expect("there is room");
        let sets = [vec!["a"]];
        let line = request_line(&sets, vec![b'x'; 1 << 20]).expect("a message");
        let length = line.len();
        let mut part = Part::new(unfinished);
        assert!(part.add(length));
        // Others have so much that the connection reads no more than a beginning for now.
        unfinished.change(0, most);
        let mut asking = Box::pin(visit.ask_long(line, part));
        for _ in 0..100 {
            assert!(poll!(&mut asking).is_pending());
            yield_now().await;
        }
        let counted = unfinished.bytes() - most;
        let expected = length - PIPE_BYTES..=length + PIPE_BYTES;
        assert!(expected.contains(&counted), "{counted} of {length}");
        // They have gone.
        unfinished.change(most, 0);
        let watch = tokio::spawn(Arc::clone(&acceptor.hub).watch(|| ()));
        let answer = timeout(PATIENCE, asking).await.expect("it goes on");
        assert!(answer.is_ok_and(|answer| answer.contains("\"success\"")));
        drop(visit);
        while unfinished.bytes() > 0 {
            yield_now().await;
        }
        watch.abort();
    }
}
