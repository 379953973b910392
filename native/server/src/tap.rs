//! Owns the program's view of everything that its server delivers; knows nothing of connections.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use mist_core::Limits;
use mist_core::message::{Command, Scan};

use crate::hub::Hub;
use crate::hub::worker::with_worker;
use crate::outbox::{Outbox, Taken, Writing};

/// What a [`Tap`] sees.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tapped {
    /// A message.
    #[non_exhaustive]
    Message {
        /// Its tags, sorted.
        tags: Vec<String>,
        /// Its data, decoded.
        data: String,
    },
    /// So many messages were dropped at this point, because they were not taken fast enough.
    Dropped(u64),
}

/// A session of the program itself that receives every message, whatever its tags, in order: see
/// [`Handle::tap`](crate::Handle::tap). It ends when it is dropped.
pub struct Tap {
    hub: Arc<Hub>,
    outbox: Arc<Outbox>,
    writing: Writing,
    /// Where the next message begins in what was taken from the outbox.
    at: usize,
    scan: Scan,
}

impl std::fmt::Debug for Tap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Tap").field(&self.outbox.session).finish()
    }
}

impl Tap {
    pub(crate) fn open(hub: Arc<Hub>) -> Self {
        let outbox = hub.connect_tap();
        outbox.tell_drops();
        Self {
            hub,
            outbox,
            writing: Writing::default(),
            at: 0,
            scan: Scan::new(),
        }
    }

    /// Waits for the next message; `None` once the server has ended.
    pub async fn next(&mut self) -> Option<Tapped> {
        while self.at == self.writing.bytes().len() {
            self.at = 0;
            let (outbox, writing) = (&self.outbox, &mut self.writing);
            let has_more = poll_fn(|cx| {
                let taken = with_worker(|worker| {
                    let spare = &mut worker.tools.out.spare;
                    outbox.take(writing, spare, cx)
                });
                match taken {
                    Taken::Bytes => Poll::Ready(true),
                    Taken::Nothing => Poll::Pending,
                    Taken::Ended(_) => Poll::Ready(false),
                }
            });
            if !has_more.await {
                return None;
            }
        }
        let lines = &self.writing.bytes()[self.at..];
        let length = memchr::memchr(b'\n', lines).unwrap_or(lines.len());
        self.at += (length + 1).min(lines.len());
        let line = std::str::from_utf8(&lines[..length]).expect("the broker writes UTF-8");
        let mut limits = Limits::default();
        limits.tags_per_message = usize::MAX;
        let end = self.scan.scan(line, 0, &limits);
        end.expect("the broker writes messages");
        let message = self.scan.message(line);
        let data = message.data().unwrap_or_default();
        Some(match message.command() {
            Command::Publish => Tapped::Message {
                tags: message.tags().map(Into::into).collect(),
                data: data.into_owned(),
            },
            _ => Tapped::Dropped(data.parse().unwrap_or_default()),
        })
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.hub.disconnect(self.outbox.session);
    }
}
