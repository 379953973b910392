//! Owns the stream between a node and its session in the hub: messages of others go in, those of this node's clients come
//! out. The session's connection is one like any other.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};
use mist_net::lock::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes of either direction that wait in between. Beyond that the other side waits: the outbox, or NATS.
const MOST: usize = 1 << 20;

/// The node's end.
#[derive(Debug, Default)]
pub(super) struct Pipe(Arc<Mutex<State>>);

/// The session's end.
#[derive(Debug)]
pub(super) struct Stream(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// For the session, and how many bytes that is.
    inward: VecDeque<Bytes>,
    inward_bytes: usize,
    /// From the session.
    outward: Vec<u8>,
    /// Who waits for bytes to read, to be able to write, for bytes from the session, and for room to give it more.
    reader: Option<Waker>,
    writer: Option<Waker>,
    taker: Option<Waker>,
    giver: Option<Waker>,
    has_node_left: bool,
    has_session_left: bool,
}

impl Pipe {
    pub(super) fn stream(&self) -> Stream {
        Stream(Arc::clone(&self.0))
    }

    /// Gives messages to the session, as lines.
    pub(super) fn give(&self, lines: Bytes) {
        let mut state = self.0.lock();
        state.inward_bytes += lines.len();
        state.inward.push_back(lines);
        let reader = state.reader.take();
        drop(state);
        reader.into_iter().for_each(Waker::wake);
    }

    /// Waits until the session should be given more.
    pub(super) async fn has_room(&self) {
        poll_fn(|cx| {
            let mut state = self.0.lock();
            if state.inward_bytes < MOST {
                return Poll::Ready(());
            }
            state.giver = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Bytes from the session that wait.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.0.lock().outward.len()
    }

    /// Waits for messages from the session, and takes them into `lines`; returns whether there may be more.
    pub(super) async fn take(&self, lines: &mut Vec<u8>) -> bool {
        lines.clear();
        poll_fn(|cx| {
            let mut state = self.0.lock();
            if state.outward.is_empty() {
                if state.has_session_left {
                    return Poll::Ready(false);
                }
                state.taker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            std::mem::swap(&mut state.outward, lines);
            let writer = state.writer.take();
            drop(state);
            writer.into_iter().for_each(Waker::wake);
            Poll::Ready(true)
        })
        .await
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.has_node_left = true;
        let waiting = [state.reader.take(), state.writer.take()];
        drop(state);
        waiting.into_iter().flatten().for_each(Waker::wake);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.has_session_left = true;
        state.inward.clear();
        state.inward_bytes = 0;
        let waiting = [state.taker.take(), state.giver.take()];
        drop(state);
        waiting.into_iter().flatten().for_each(Waker::wake);
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.0.lock();
        while buffer.remaining() > 0
            && let Some(first) = state.inward.front_mut()
        {
            let count = first.len().min(buffer.remaining());
            buffer.put_slice(&first[..count]);
            first.advance(count);
            if first.is_empty() {
                state.inward.pop_front();
            }
            state.inward_bytes -= count;
        }
        if buffer.filled().is_empty() && !state.has_node_left {
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let giver = match state.inward_bytes < MOST {
            true => state.giver.take(),
            false => None,
        };
        drop(state);
        giver.into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.0.lock();
        if state.has_node_left {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if state.outward.len() >= MOST {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        state.outward.extend_from_slice(bytes);
        let taker = state.taker.take();
        drop(state);
        taker.into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
