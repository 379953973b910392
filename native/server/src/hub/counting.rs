//! Owns which publishes wait for what the other nodes of a cluster deliver, and how they are told apart: such a message goes
//! to the cluster's node in its turn, with a number as its `id`.

use std::collections::HashMap;
#[cfg(feature = "cluster")]
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mist_core::cluster::ANSWER_WITHIN;
use mist_core::{Elsewhere, Receipt, SessionId};
use mist_net::lock::Mutex;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// How long the node may take, which itself waits for [`ANSWER_WITHIN`] and may have to take much before.
const PATIENCE: Duration = ANSWER_WITHIN.saturating_mul(4);
/// What stands between a message and the number.
const ID: &[u8] = b",\"id\":";

/// Publishes that wait for what the other nodes do.
#[derive(Debug, Default)]
pub(super) struct Counting {
    last: AtomicU64,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Elsewhere>>>,
}

/// A publish that waits.
#[derive(Debug)]
pub(crate) struct Counted {
    receipt: Receipt,
    /// What was delivered here.
    delivered: usize,
    number: u64,
    elsewhere: oneshot::Receiver<Elsewhere>,
}

impl Counting {
    /// Begins with a message that `delivered` outboxes took here. Returns its number, and the line for the cluster's node.
    pub(super) fn begin(
        &self,
        receipt: Receipt,
        message: &[u8],
        delivered: usize,
    ) -> (u64, Vec<u8>, Counted) {
        let number = self.last.fetch_add(1, Ordering::Relaxed);
        let (sender, elsewhere) = oneshot::channel();
        self.waiting.lock().insert(number, sender);
        let whole = message.strip_suffix(b"\n").unwrap_or(message);
        let open = whole.strip_suffix(b"}").unwrap_or(whole);
        let line = [open, ID, number.to_string().as_bytes(), b"}\n"].concat();
        let counted = Counted {
            receipt,
            delivered,
            number,
            elsewhere,
        };
        (number, line, counted)
    }

    /// Whether any wait.
    #[cfg(feature = "cluster")]
    pub(super) fn is_any(&self) -> bool {
        !self.waiting.lock().is_empty()
    }

    #[cfg(feature = "cluster")]
    pub(super) fn end(&self, number: u64, elsewhere: Elsewhere) {
        if let Some(sender) = self.waiting.lock().remove(&number) {
            let _ = sender.send(elsewhere);
        }
    }
}

impl Counted {
    /// The answer, where nothing is known of the other nodes after a while either.
    pub(super) async fn answer(self, counting: &Counting) -> (SessionId, Vec<u8>) {
        let elsewhere = timeout(PATIENCE, self.elsewhere).await;
        counting.waiting.lock().remove(&self.number);
        let elsewhere = elsewhere.ok().and_then(Result::ok).unwrap_or_default();
        let answer = self.receipt.reply_for_all(self.delivered, &elsewhere);
        (self.receipt.session(), answer)
    }
}

/// Finds the first message that is to be counted among lines for the cluster's node; returns where it stands, with its line
/// end, the length of what stands in front of its number, and the number.
#[cfg(feature = "cluster")]
pub(crate) fn counted_line(lines: &[u8]) -> Option<(Range<usize>, usize, u64)> {
    // In a text the quotes would have a backslash in front, and behind a tag there is no colon.
    let place = memchr::memmem::find(lines, ID)?;
    let start = memchr::memrchr(b'\n', &lines[..place]).map_or(0, |end| end + 1);
    let behind = &lines[place + ID.len()..];
    let length = memchr::memchr(b'}', behind)?;
    let number = std::str::from_utf8(&behind[..length]).ok()?.parse().ok()?;
    let end = place + ID.len() + length + "}\n".len();
    Some((start..end, place - start, number))
}

#[cfg(all(test, feature = "cluster"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_counted_is_found_by_its_number_alone() {
        let plain = r#"{"command":"publish","tags":["id",",\"id\":"],"data":",\"id\":7}"}"#;
        let counted = r#"{"command":"publish","tags":["a"],"data":"x","id":12}"#;
        assert_eq!(counted_line(format!("{plain}\n").as_bytes()), None);
        let lines = format!("{plain}\n{counted}\n{plain}\n");
        let (range, length, number) = counted_line(lines.as_bytes()).expect("there is one");
        assert_eq!(&lines[range.clone()], format!("{counted}\n"));
        let open = r#"{"command":"publish","tags":["a"],"data":"x""#;
        assert_eq!((&lines[range][..length], number), (open, 12));
    }
}
