//! Owns how messages become server-sent events. What is not sent yet waits in the outbox, where it is counted; messages
//! pass through here in pieces, so that little is kept for a reader that is stalled.

use std::io;
use std::time::Duration;

use futures_util::stream;
use tokio::time::timeout;
use warp::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use warp::reply::{Reply, Response};

use super::visit::Visit;

/// After how many milliseconds a reader reconnects.
const RETRY: &[u8] = b"retry:3000\n\n";
/// A comment, sent after this time without an event.
const KEEP_ALIVE: &[u8] = b":\n\n";
const SILENCE: Duration = Duration::from_secs(15);

/// How a message begins that revokes a subscription; these requests never unsubscribe themselves.
const TAKEN_AWAY: &[u8] = br#"{"command":"unsubscribe","#;
/// How a message begins that revokes the token and all subscriptions; a request cannot present another.
const TOKEN_TAKEN: &[u8] = br#"{"command":"auth","error""#;

/// The result of a request's subscriptions.
pub(super) struct Events {
    visit: Visit,
    lines: Lines,
    has_begun: bool,
}

impl Events {
    /// All were made; their events follow.
    pub(super) fn new(visit: Visit, held: usize) -> Self {
        Self {
            visit,
            lines: Lines::new(held),
            has_begun: false,
        }
    }

    pub(super) fn into_response(self) -> Response {
        let pieces = stream::try_unfold(self, |mut events| async move {
            let piece = events.next().await?;
            Ok::<_, io::Error>(piece.map(|piece| (piece, events)))
        });
        let reply = warp::reply::stream(pieces);
        let reply = warp::reply::with_header(reply, CONTENT_TYPE, "text/event-stream");
        let reply = warp::reply::with_header(reply, CACHE_CONTROL, "no-cache");
        // Otherwise proxies such as nginx buffer events.
        warp::reply::with_header(reply, "x-accel-buffering", "no").into_response()
    }

    /// The next piece of the stream.
    ///
    /// # Errors
    /// If the stream ends in the middle of an event.
    async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        if !std::mem::replace(&mut self.has_begun, true) {
            return Ok(Some(RETRY.to_vec()));
        }
        if self.lines.are_over() {
            return Ok(None);
        }
        let bytes = match self.lines.is_within {
            true => self.visit.fill().await,
            false => match timeout(SILENCE, self.visit.fill()).await {
                Ok(filled) => filled,
                Err(_) => return Ok(Some(KEEP_ALIVE.to_vec())),
            },
        };
        let bytes = bytes.unwrap_or_default();
        if bytes.is_empty() {
            return match self.lines.is_within {
                true => Err(io::ErrorKind::UnexpectedEof.into()),
                false => Ok(None),
            };
        }
        let (count, piece) = (bytes.len(), self.lines.frame(bytes));
        self.visit.consume(count);
        Ok(Some(piece))
    }
}

/// Turns lines into events.
struct Lines {
    /// Whether the last one has not ended yet.
    is_within: bool,
    /// How it begins.
    head: Vec<u8>,
    /// How many subscriptions are left. Without any the stream ends; the last event has told why.
    held: usize,
}

impl Lines {
    fn new(held: usize) -> Self {
        Self {
            is_within: false,
            head: Vec::new(),
            held,
        }
    }

    fn are_over(&self) -> bool {
        self.held == 0
    }

    /// Writes the next bytes of the lines as events. Lines contain no carriage return, which would end the field.
    fn frame(&mut self, mut bytes: &[u8]) -> Vec<u8> {
        let mut events = Vec::with_capacity(bytes.len() + 64);
        while !bytes.is_empty() && !self.are_over() {
            if !std::mem::replace(&mut self.is_within, true) {
                // Readers strip one blank, and simple ones rely on it.
                events.extend_from_slice(b"data: ");
                self.head.clear();
            }
            let newline = memchr::memchr(b'\n', bytes);
            let part = &bytes[..newline.unwrap_or(bytes.len())];
            let unknown = TOKEN_TAKEN.len() - self.head.len();
            self.head
                .extend_from_slice(&part[..part.len().min(unknown)]);
            events.extend_from_slice(part);
            bytes = &bytes[part.len()..];
            if newline.is_some() {
                events.extend_from_slice(b"\n\n");
                self.is_within = false;
                if self.head.starts_with(TAKEN_AWAY) {
                    self.held -= 1;
                } else if self.head == TOKEN_TAKEN {
                    self.held = 0;
                }
                bytes = &bytes[1..];
            }
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use mist_core::Config;
    use mist_core::message::{Command, Request};
    use tokio::task::yield_now;

    use super::super::visit::tests::{acceptor, caller};
    use super::*;
    use crate::listener::acceptor::Acceptor;

    const SIZE: usize = 1 << 20;
    /// No piece is larger than what the pipe holds, but for what makes events of it.
    const LARGEST: usize = 17 << 10;

    async fn begin(acceptor: &Acceptor) -> Visit {
        let visit = Visit::begin(acceptor, &caller(acceptor), None).await;
        let mut visit = visit.expect("there is room");
        subscribe(&mut visit, "a").await;
        visit
    }

    async fn subscribe(visit: &mut Visit, tag: &str) {
        let request = Request::new(Command::Subscribe);
        let answer = visit.ask(request.tags(&[tag])).await;
        assert!(answer.is_ok_and(|answer| answer.contains("success")));
    }

    /// Reads until so many events have ended.
    async fn read(events: &mut Events, count: usize) -> String {
        let mut text = String::new();
        let mut ended = 0;
        while ended < count {
            let piece = events.next().await.expect("it goes on").expect("more");
            assert!(piece.len() <= LARGEST, "{} bytes", piece.len());
            let piece = String::from_utf8(piece).expect("it is ASCII");
            ended += piece.matches("\n\n").count();
            text += &piece;
        }
        text
    }

    #[tokio::test]
    async fn a_message_that_is_not_read_waits_where_it_is_counted() {
        let acceptor = acceptor(Config::default());
        let backlog = &acceptor.hub.backlog;
        let mut events = Events::new(begin(&acceptor).await, 1);
        assert_eq!(acceptor.hub.publish(&["a"], &"x".repeat(SIZE)), 1);
        assert_eq!(read(&mut events, 1).await.as_bytes(), RETRY);
        let piece = events.next().await.expect("it goes on").expect("more");
        assert!(piece.len() <= LARGEST, "{} bytes", piece.len());
        // Whoever would read on by itself has its chance.
        for _ in 0..100 {
            yield_now().await;
        }
        assert!(backlog.bytes() >= SIZE, "{} bytes", backlog.bytes());
        let rest = read(&mut events, 1).await;
        assert!(piece.len() + rest.len() > SIZE && rest.ends_with("x\"}\n\n"));
        while backlog.bytes() > 0 {
            yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_comes_before_all_subscriptions_are_made_is_counted_too() {
        let acceptor = acceptor(Config::default());
        let backlog = &acceptor.hub.backlog;
        for is_read in [true, false] {
            let mut visit = begin(&acceptor).await;
            for _ in 0..3 {
                assert_eq!(acceptor.hub.publish(&["a"], &"x".repeat(SIZE)), 1);
            }
            subscribe(&mut visit, "b").await;
            for _ in 0..100 {
                yield_now().await;
            }
            assert!(backlog.bytes() >= 3 * SIZE, "{} bytes", backlog.bytes());
            let mut events = Events::new(visit, 2);
            if is_read {
                let text = read(&mut events, 4).await;
                assert!(text.len() > 3 * SIZE, "{} bytes", text.len());
                assert_eq!(backlog.bytes(), 0);
            }
            drop(events);
            assert_eq!(backlog.bytes(), 0);
        }
    }

    #[test]
    fn lines_become_the_same_events_however_they_are_cut() {
        let lines = br#"{"command":"publish","tags":["a"],"data":"1"}
{"command":"unsubscribe","tags":["a"],"error":"subscription removed"}
{"command":"unsubscribe_","tags":[]}
{"command":"unsubscribe","tags":["b"],"error":"subscription removed"}
{"command":"publish","tags":["never"]}
"#;
        let kept = lines.len() - br#"{"command":"publish","tags":["never"]}"#.len() - 1;
        let wanted = String::from_utf8_lossy(&lines[..kept]).replace('\n', "\n\ndata: ");
        let wanted = format!("data: {}", wanted.trim_end_matches("data: "));
        for size in 1..lines.len() {
            let mut events = Lines::new(2);
            let written = lines.chunks(size).flat_map(|chunk| events.frame(chunk));
            let written: Vec<u8> = written.collect();
            assert_eq!(String::from_utf8_lossy(&written), wanted, "{size}");
            assert!(events.are_over() && !events.is_within);
        }
    }
}
