//! Owns an HTTP request as a session: a connection inside the server over which it sends commands to the broker and
//! receives answers and messages. It must not know what they are for.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use mist_core::ErrorCode;
use mist_core::message::{Command, Request, encode_request};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};
use warp::http::{StatusCode, header};
use warp::reply::{Reply, Response};

use super::reply::{json, refuse, too_often, unavailable};
use super::request::Caller;
use crate::connection::Connection;
use crate::hub::unfinished::Part;
use crate::hub::{Arrival, Hub};
use crate::listener::acceptor::Acceptor;
use crate::outbox::Outbox;

/// Bytes in the pipe between a request and its connection.
const PIPE_BYTES: usize = 16 << 10;
/// Bytes of a long line that are written to the pipe at once.
const PIECE_BYTES: usize = 64 << 10;

/// How answers to our commands end. The commands have the `id` 1, which is removed before the client sees the answer.
const ID: &str = ",\"id\":1}";

/// An HTTP request as a session of the broker.
pub(super) struct Visit {
    pipe: BufReader<DuplexStream>,
    outbox: Arc<Outbox>,
    has_token: bool,
    early: Early,
}

/// Messages that came while an answer was awaited. They count against the same limits as those in an outbox.
struct Early {
    hub: Arc<Hub>,
    /// Each with a newline behind it.
    messages: VecDeque<Vec<u8>>,
    bytes: usize,
    /// How many bytes of the first one have been read.
    at: usize,
}

impl Early {
    fn new(hub: Arc<Hub>) -> Self {
        Self {
            hub,
            messages: VecDeque::new(),
            bytes: 0,
            at: 0,
        }
    }

    /// Appends a message; returns whether there was room.
    fn push(&mut self, text: &str) -> bool {
        let message = [text.as_bytes(), b"\n"].concat();
        let bytes = self.bytes + message.len();
        if bytes > self.hub.backlog.room(&self.hub.in_force().limits).bytes {
            return false;
        }
        self.bytes = bytes;
        self.hub.backlog.add(message.len());
        self.messages.push_back(message);
        true
    }

    /// The next bytes, in pieces no larger than the pipe.
    fn next(&self) -> &[u8] {
        let first = self.messages.front();
        let left = first.map_or(&[][..], |message| &message[self.at..]);
        &left[..left.len().min(PIPE_BYTES)]
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
        let length = self.messages.front().map_or(0, Vec::len);
        if self.at == length {
            self.messages.pop_front();
            self.at = 0;
            self.bytes -= length;
            self.hub.backlog.remove(length);
        }
    }
}

impl Drop for Early {
    fn drop(&mut self) {
        self.hub.backlog.remove(self.bytes);
    }
}

/// The line for a request.
pub(super) fn line(request: Request<'_>) -> Vec<u8> {
    let mut line = Vec::new();
    encode_request(&request.id(1), &mut line);
    line.push(b'\n');
    line
}

/// Adds what the client can do about it.
pub(super) fn unauthorized(response: Response) -> Response {
    warp::reply::with_header(response, header::WWW_AUTHENTICATE, "Bearer").into_response()
}

fn cut() -> Response {
    let text = "the server ended the connection before it answered: it is stopping, or too much waits (see its log)";
    refuse(StatusCode::SERVICE_UNAVAILABLE, text)
}

/// The fields of an answer that matter.
#[derive(Deserialize)]
struct Answer {
    command: String,
    error: Option<String>,
    #[serde(default)]
    code: String,
}

impl Visit {
    /// Connects, with the token of the request if it has one; a wrong one is refused before anything is done.
    pub(super) async fn begin(
        acceptor: &Acceptor,
        caller: &Caller,
        token: Option<&str>,
    ) -> Result<Self, Response> {
        let permit = caller.count_address(acceptor).map_err(unavailable)?;
        let (near, far) = tokio::io::duplex(PIPE_BYTES);
        // It is counted with the HTTP connection of the request.
        let hub = Arc::clone(&acceptor.hub);
        let arrival = Arrival {
            is_request: true,
            ..caller.arrival()
        };
        let connection = Connection::lines(hub, far, token, arrival);
        let outbox = Arc::clone(connection.outbox());
        if let (Some(allowance), Some(meter)) = (outbox.allowance.get(), &caller.meter) {
            allowance.share(Arc::clone(meter));
        }
        acceptor.spawn(permit, connection);
        let mut visit = Self {
            pipe: BufReader::new(near),
            outbox,
            has_token: token.is_some(),
            early: Early::new(Arc::clone(&acceptor.hub)),
        };
        if visit.has_token {
            visit.ask(Request::new(Command::Ping)).await?;
        }
        Ok(visit)
    }

    /// Whether the request's token is no longer valid. A request cannot present another.
    pub(super) fn was_revoked(&self) -> bool {
        self.outbox.is_on_probation()
    }

    /// Whether its token is the server's own.
    pub(super) fn is_of_server(&self) -> bool {
        self.early.hub.is_server(self.outbox.session)
    }

    /// Carries out a command; returns the answer, or the response for an error.
    pub(super) async fn ask(&mut self, request: Request<'_>) -> Result<String, Response> {
        self.send(&line(request)).await?;
        self.answer().await
    }

    /// The same for a line that may be long and is counted by `part`. What the connection has read of it, the
    /// connection counts, so the count here is reduced.
    pub(super) async fn ask_long(
        &mut self,
        line: Vec<u8>,
        mut part: Part,
    ) -> Result<String, Response> {
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
        sent.map_err(|_| cut())
    }

    async fn answer(&mut self) -> Result<String, Response> {
        loop {
            let line = self.read_line().await.ok_or_else(cut)?;
            let (text, is_answer) = match line.strip_suffix(ID) {
                Some(rest) => (format!("{rest}}}"), true),
                None => (line, false),
            };
            let answer = serde_json::from_str::<Answer>(&text);
            match answer {
                Ok(answer) if answer.error.is_some() => {
                    return Err(self.refusal(&answer, text));
                }
                _ if is_answer => return Ok(text),
                _ => {
                    if !self.early.push(&text) {
                        let text = "too many messages before all subscriptions were made";
                        return Err(refuse(StatusCode::SERVICE_UNAVAILABLE, text));
                    }
                }
            }
        }
    }

    fn refusal(&self, answer: &Answer, text: String) -> Response {
        let allowance = self.outbox.allowance.get();
        if let Some(exceeded) = allowance.and_then(|it| it.take_unsaid()) {
            self.early.hub.say_exceeded(self.outbox.peer, exceeded);
            return too_often((text + "\n").into(), exceeded);
        }
        let status = match ErrorCode::find(&answer.code) {
            ErrorCode::StoreUnavailable | ErrorCode::Uncertain => StatusCode::SERVICE_UNAVAILABLE,
            ErrorCode::TooManyWrongTokens => StatusCode::TOO_MANY_REQUESTS,
            // With too much of others.
            ErrorCode::LimitExceeded if answer.command.is_empty() => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            _ if answer.command == "auth" => StatusCode::UNAUTHORIZED,
            ErrorCode::NotGranted if self.has_token => StatusCode::FORBIDDEN,
            ErrorCode::Revoked => StatusCode::FORBIDDEN,
            ErrorCode::NotGranted | ErrorCode::Unauthenticated => StatusCode::UNAUTHORIZED,
            // The body was within the limit, but escapes have made the line longer.
            ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        };
        let response = json(status, text + "\n");
        match status {
            StatusCode::UNAUTHORIZED => unauthorized(response),
            _ => response,
        }
    }

    /// The next bytes of the messages, each with a newline behind it; empty at the end. The future may be dropped and
    /// made again at any time.
    pub(super) async fn fill(&mut self) -> io::Result<&[u8]> {
        match self.early.messages.is_empty() {
            true => self.pipe.fill_buf().await,
            false => Ok(self.early.next()),
        }
    }

    /// Marks so many bytes as read.
    pub(super) fn consume(&mut self, count: usize) {
        match self.early.messages.is_empty() {
            true => self.pipe.consume(count),
            false => self.early.consume(count),
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
pub(super) mod tests {
    use std::time::Duration;

    use futures_util::poll;
    use mist_core::Config;
    use tokio::task::yield_now;
    use tokio::time::{Instant, timeout};

    use super::*;
    use crate::listener::offers::Offers;
    use crate::shutdown::Stages;

    const PATIENCE: Duration = Duration::from_secs(20);

    pub(in super::super) fn acceptor(config: Config) -> Acceptor {
        Acceptor {
            #[cfg(feature = "cluster")]
            membership: None,
            listener: 0,
            hub: Arc::new(Hub::of(config)),
            tls: None,
            offers: Offers::default(),
            stages: Stages::default(),
            seats: None,
        }
    }

    pub(in super::super) fn caller(acceptor: &Acceptor) -> Caller {
        let permit = acceptor.greet(None).permit.expect("there is room");
        Caller {
            listener: 0,
            permit: Arc::new(permit),
            peer: None,
            client: None,
            since: Instant::now(),
            is_local: false,
            meter: None,
        }
    }

    #[tokio::test]
    async fn a_message_counts_until_the_connection_has_taken_it() {
        let acceptor = acceptor(Config::default());
        let unfinished = &acceptor.hub.unfinished;
        let most = acceptor.hub.in_force().limits.input_total_bytes;
        let visit = Visit::begin(&acceptor, &caller(&acceptor), None).await;
        let mut visit = visit.expect("there is room");
        let line = line(
            Request::new(Command::Publish)
                .tags(&["a"])
                .data(&"x".repeat(1 << 20)),
        );
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
