//! Owns bytes on their way out: those of one connection alone, and those that many connections send; knows nothing of
//! messages.

use std::collections::VecDeque;
use std::sync::Arc;

use super::spare::Spare;

/// From so many bytes on a piece is worth a system call of its own.
pub(super) const SHARED_FROM_BYTES: usize = 16 << 10;

/// Bytes that stand in the outboxes of several connections.
#[derive(Clone, Debug)]
pub(crate) struct SharedBytes(Arc<Vec<u8>>);

impl SharedBytes {
    pub(crate) fn copy(bytes: &[u8], spare: &mut Spare) -> Self {
        let mut copy = spare.take_for(bytes.len());
        copy.extend_from_slice(bytes);
        Self(Arc::new(copy))
    }

    /// Lets go of them; who is the last one keeps the memory.
    fn recycle(self, spare: &mut Spare) {
        if let Some(bytes) = Arc::into_inner(self.0) {
            spare.put(bytes);
        }
    }
}

/// What waits in front of the newest bytes of an outbox.
#[derive(Debug)]
enum Content {
    Own(Vec<u8>),
    /// As many from the start.
    Shared(SharedBytes, usize),
}

/// Bytes, and what is to be known once they are taken.
#[derive(Debug)]
struct Piece {
    content: Content,
    tally: Tally,
}

/// How much there is. Every connection at rest has some of these, so they are small.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) bytes: usize,
    messages: u32,
    /// Bytes of answers among them.
    reply_bytes: u32,
}

impl Tally {
    fn of(bytes: usize, messages: usize) -> Self {
        Self {
            bytes,
            messages: messages as u32,
            reply_bytes: 0,
        }
    }

    pub(crate) fn messages(self) -> usize {
        self.messages as usize
    }

    pub(crate) fn reply_bytes(self) -> usize {
        self.reply_bytes as usize
    }

    fn add(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.messages += other.messages;
        self.reply_bytes += other.reply_bytes;
    }

    fn subtract(&mut self, other: Self) {
        self.bytes -= other.bytes;
        self.messages -= other.messages;
        self.reply_bytes -= other.reply_bytes;
    }
}

/// What an outbox holds, in order: pieces, and behind them bytes to which others are appended.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    #[expect(clippy::box_collection, reason = "a connection at rest has none")]
    pieces: Option<Box<VecDeque<Piece>>>,
    tail: Vec<u8>,
    /// Of everything.
    tally: Tally,
}

impl Queue {
    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tally.bytes == 0
    }

    /// Appends what `write` writes.
    pub(crate) fn write(
        &mut self,
        spare: &mut Spare,
        messages: usize,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> usize {
        if self.tail.capacity() == 0 {
            self.tail = spare.take();
        }
        let before = self.tail.len();
        write(&mut self.tail);
        let bytes = self.tail.len() - before;
        self.tally.add(Tally::of(bytes, messages));
        bytes
    }

    /// Notes that the newest bytes, which were written, are an answer.
    pub(crate) fn note_reply(&mut self, bytes: usize) {
        self.tally.reply_bytes += bytes as u32;
    }

    /// Takes a whole buffer, and gives an empty one for it. Only where there is nothing yet.
    pub(crate) fn swap(&mut self, bytes: &mut Vec<u8>, messages: usize) {
        std::mem::swap(&mut self.tail, bytes);
        self.tally.add(Tally::of(self.tail.len(), messages));
    }

    /// Appends the first bytes of those that are shared.
    pub(crate) fn share(
        &mut self,
        spare: &mut Spare,
        shared: &SharedBytes,
        bytes: usize,
        messages: usize,
    ) {
        let pieces = self.pieces.get_or_insert_default();
        if !self.tail.is_empty() {
            let mut tally = self.tally;
            pieces.iter().for_each(|piece| tally.subtract(piece.tally));
            pieces.push_back(Piece {
                content: Content::Own(spare.fit(std::mem::take(&mut self.tail))),
                tally,
            });
        }
        let tally = Tally::of(bytes, messages);
        pieces.push_back(Piece {
            content: Content::Shared(shared.clone(), bytes),
            tally,
        });
        self.tally.add(tally);
    }

    /// Takes what is to be written next into `writing`, which is empty; returns how much that is.
    pub(crate) fn take(&mut self, writing: &mut Writing, spare: &mut Spare) -> Tally {
        let piece = self.pieces.as_mut().and_then(|pieces| pieces.pop_front());
        let Some(Piece { content, tally }) = piece else {
            std::mem::swap(&mut writing.own, &mut self.tail);
            return std::mem::take(&mut self.tally);
        };
        match content {
            Content::Own(bytes) => spare.put(std::mem::replace(&mut writing.own, bytes)),
            Content::Shared(shared, bytes) => writing.shared = Some((shared, bytes)),
        }
        self.tally.subtract(tally);
        tally
    }

    /// Gives back what memory there is, of a queue that is empty.
    pub(crate) fn rest(&mut self, spare: &mut Spare) {
        spare.put(std::mem::take(&mut self.tail));
        self.pieces = None;
    }
}

/// What a connection is writing.
#[derive(Debug, Default)]
pub(crate) struct Writing {
    /// Bytes of its own; empty while it writes shared ones.
    pub(crate) own: Vec<u8>,
    shared: Option<(SharedBytes, usize)>,
}

impl Writing {
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.shared {
            Some((shared, bytes)) => &shared.0[..*bytes],
            None => &self.own,
        }
    }

    /// Forgets what was written.
    pub(crate) fn clear(&mut self, spare: &mut Spare) {
        self.own.clear();
        if let Some((shared, _)) = self.shared.take() {
            shared.recycle(spare);
        }
    }

    /// Gives back what memory there is.
    pub(crate) fn rest(&mut self, spare: &mut Spare) {
        self.clear(spare);
        spare.put(std::mem::take(&mut self.own));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_takes_no_more_than_a_few_times_its_memory() {
        let (mut queue, mut spare) = (Queue::default(), Spare::default());
        let message = vec![b'x'; SHARED_FROM_BYTES];
        for _ in 0..20 {
            // As left by large messages.
            (0..2).for_each(|_| spare.put(Vec::with_capacity(512 << 10)));
            queue.write(&mut spare, 1, |tail| tail.extend_from_slice(b"{}\n"));
            let shared = SharedBytes::copy(&message, &mut spare);
            queue.share(&mut spare, &shared, message.len(), 1);
        }
        let pieces = queue.pieces.iter().flat_map(|pieces| pieces.iter());
        let memory = pieces.map(|piece| match &piece.content {
            Content::Own(bytes) => bytes.capacity(),
            Content::Shared(shared, _) => shared.0.capacity(),
        });
        let (memory, counted) = (memory.sum::<usize>(), queue.tally().bytes);
        assert!(memory <= 4 * counted, "{memory} bytes for {counted}");
    }
}
