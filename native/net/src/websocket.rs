//! Owns WebSocket as a client has it: its frames, and what is said when it does not come about; knows nothing of what
//! messages mean.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, Stream, StreamExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::http::Response;
use tokio_tungstenite::tungstenite::protocol::{Message as Frame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Utf8Bytes};

use crate::address::Site;
use crate::stranger::{reported, sentence};
use crate::stream::{Io, plain};

/// How many frames are taken before they are looked at.
const READ_FRAMES: usize = 256;

pub(crate) type FrameReader = SplitStream<WebSocketStream<Io>>;
pub(crate) type FrameWriter = SplitSink<WebSocketStream<Io>, Frame>;

/// Asks for a WebSocket on a connection; messages over `most` bytes end it.
pub(crate) async fn upgrade(
    io: Io,
    site: &Site,
    most: usize,
) -> Result<(FrameWriter, FrameReader), String> {
    let uri = format!("ws://{}{}", site.authority(), site.target);
    let config = WebSocketConfig::default()
        .max_message_size(Some(most))
        .max_frame_size(Some(most));
    let (stream, _) = tokio_tungstenite::client_async_with_config(uri, io, Some(config))
        .await
        .map_err(|error| instead(&error, site.path()))?;
    Ok(stream.split())
}

/// Waits for frames, and takes those that are there; at the end, the code that the server closes with.
pub(crate) fn poll_read(
    reader: &mut FrameReader,
    frames: &mut Vec<Utf8Bytes>,
    code: &mut Option<u16>,
    cx: &mut Context<'_>,
) -> Poll<Result<(), String>> {
    while frames.len() < READ_FRAMES {
        match Pin::new(&mut *reader).poll_next(cx) {
            Poll::Ready(Some(Ok(Frame::Text(text)))) => frames.push(text),
            // Pings are answered by the library; binary frames are not part of the protocol.
            Poll::Ready(Some(Ok(Frame::Close(close)))) => {
                *code = close.as_ref().map(|close| close.code.into());
                let why = close
                    .map(|close| close.reason.to_string())
                    .unwrap_or_default();
                return Poll::Ready(Err(if why.is_empty() {
                    "the server closed the connection".into()
                } else {
                    format!("the server closed the connection: {why}")
                }));
            }
            Poll::Ready(Some(Ok(_))) => {}
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(lost(&error))),
            Poll::Ready(None) => {
                return Poll::Ready(Err("the server closed the connection".into()));
            }
            Poll::Pending if frames.is_empty() => return Poll::Pending,
            Poll::Pending => break,
        }
    }
    Poll::Ready(Ok(()))
}

/// Writes lines as frames, until all are with the system.
pub(crate) fn poll_write(
    writer: &mut FrameWriter,
    pending: &mut Bytes,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Error>> {
    while !pending.is_empty() {
        ready!(writer.poll_ready_unpin(cx))?;
        let end = memchr::memchr(b'\n', pending).unwrap_or(pending.len());
        let message = pending.split_to(end);
        *pending = pending.slice(1.min(pending.len())..);
        let text = Utf8Bytes::try_from(message)?;
        writer.start_send_unpin(Frame::Text(text))?;
    }
    writer.poll_flush_unpin(cx)
}

/// Says goodbye.
pub(crate) async fn close(writer: &mut FrameWriter) -> Result<(), String> {
    writer.close().await.map_err(|error| lost(&error))
}

/// Says why there is no WebSocket at a path, in the server's words if it has any. Without a query, which may hold a token.
fn instead(error: &Error, path: &str) -> String {
    match error {
        Error::Http(response) => {
            let body = response.body().as_deref().unwrap_or_default();
            match reported(body) {
                Some(error) => format!("the server reports an error: {error}"),
                None => refused(response, body, path),
            }
        }
        Error::Protocol(ProtocolError::HttparseError(_)) => {
            "what answers there does not speak HTTP; try tcp:// or tls://".into()
        }
        Error::Protocol(ProtocolError::HandshakeIncomplete) | Error::ConnectionClosed => {
            "the server closed the connection at once; does it speak WebSocket there?".into()
        }
        error => format!("no WebSocket at {path}: {}", lost(error)),
    }
}

fn refused<T>(response: &Response<T>, body: &[u8], path: &str) -> String {
    let status = response.status();
    match sentence(body) {
        Some(body) => format!("no WebSocket at {path}: {status}, {body}"),
        None => format!("no WebSocket at {path}: {status}"),
    }
}

/// Says why a WebSocket has come to its end.
pub(crate) fn lost(error: &Error) -> String {
    match error {
        Error::Io(error) => plain(error),
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            "the server closed the connection".into()
        }
        Error::Capacity(CapacityError::MessageTooLong { max_size, .. }) => {
            format!("the server sent a message of more than {max_size} bytes")
        }
        Error::Utf8(_) => "the server sent text that is not UTF-8".into(),
        Error::Protocol(error) => format!("the server broke the rules of WebSocket: {error}"),
        error => error.to_string(),
    }
}
