//! Owns bytes on their way out: those of one connection alone, and those that many connections send; knows nothing of
//! messages.

use std::collections::VecDeque;
use std::sync::Arc;

use super::spare::{LARGEST, Spare};

/// From so many bytes on a piece is worth a system call of its own.
pub(crate) const SHARED_FROM_BYTES: usize = 16 << 10;
/// A buffer that waits may be so large, however few bytes are in it.
const ROOMY_BYTES: usize = 4 << 10;

/// Gives back what is far more than the bytes need: many pieces may wait for long, and only their bytes are counted.
fn fit(buffer: &mut Vec<u8>) {
    buffer.shrink_to(ROOMY_BYTES.max(2 * buffer.len()));
}

/// Bytes that the outboxes of several connections hold, or one and the thread that has read them.
#[derive(Clone, Debug)]
pub(crate) struct SharedBytes(Arc<Vec<u8>>);

impl SharedBytes {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self(Arc::new(bytes))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, if nobody else holds them.
    pub(crate) fn get_mut(&mut self) -> Option<&mut [u8]> {
        Arc::get_mut(&mut self.0).map(Vec::as_mut_slice)
    }

    pub(crate) fn copy(bytes: &[u8], spare: &mut Spare) -> Self {
        let mut copy = spare.take();
        copy.extend_from_slice(bytes);
        fit(&mut copy);
        Self::new(copy)
    }

    /// Lets go of them; the last owner keeps the memory.
    fn recycle(self, spare: &mut Spare) {
        if let Some(bytes) = Arc::into_inner(self.0) {
            spare.put(bytes);
        }
    }
}

/// A part of bytes that are shared. Every connection at rest has room for one, so it is small.
#[derive(Clone, Debug)]
pub(crate) struct SharedPart {
    whole: SharedBytes,
    start: u32,
    end: u32,
}

impl SharedPart {
    /// So many bytes from `start` on.
    pub(crate) fn new(whole: SharedBytes, start: usize, bytes: usize) -> Self {
        let (start, end) = (start as u32, (start + bytes) as u32);
        Self { whole, start, end }
    }

    /// The first bytes of this part.
    pub(crate) fn first(&self, bytes: usize) -> Self {
        Self::new(self.whole.clone(), self.start as usize, bytes)
    }

    fn bytes(&self) -> &[u8] {
        &self.whole.bytes()[self.start as usize..self.end as usize]
    }
}

/// What waits in front of the newest bytes of an outbox.
#[derive(Debug)]
enum Content {
    Own(Vec<u8>),
    Shared(SharedPart),
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

/// Pieces in order.
#[derive(Debug, Default)]
struct Pieces {
    pieces: VecDeque<Piece>,
    /// Of all of them.
    tally: Tally,
}

impl Pieces {
    fn push(&mut self, content: Content, tally: Tally) {
        self.pieces.push_back(Piece { content, tally });
        self.tally.add(tally);
    }

    fn pop(&mut self) -> Option<Piece> {
        let piece = self.pieces.pop_front()?;
        self.tally.subtract(piece.tally);
        Some(piece)
    }
}

/// What an outbox holds, in order: pieces, and behind them bytes to which others are appended.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// In a box, since a connection at rest has none.
    pieces: Option<Box<Pieces>>,
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

    /// Appends bytes that are shared.
    pub(crate) fn share(&mut self, part: SharedPart, messages: usize) {
        let pieces = self.pieces.get_or_insert_default();
        if !self.tail.is_empty() {
            let mut tally = self.tally;
            tally.subtract(pieces.tally);
            let mut own = std::mem::take(&mut self.tail);
            fit(&mut own);
            pieces.push(Content::Own(own), tally);
        }
        let tally = Tally::of(part.bytes().len(), messages);
        pieces.push(Content::Shared(part), tally);
        self.tally.add(tally);
    }

    /// Takes what is to be written next into `writing`, which is empty; returns how much that is.
    pub(crate) fn take(&mut self, writing: &mut Writing, spare: &mut Spare) -> Tally {
        let piece = self.pieces.as_mut().and_then(|pieces| pieces.pop());
        let Some(Piece { content, tally }) = piece else {
            std::mem::swap(&mut writing.own, &mut self.tail);
            // What a burst made large is not kept by a connection that has little to write since.
            if self.tail.capacity() > LARGEST {
                self.tail = Vec::new();
            }
            return std::mem::take(&mut self.tally);
        };
        match content {
            Content::Own(bytes) => spare.put(std::mem::replace(&mut writing.own, bytes)),
            Content::Shared(part) => writing.shared = Some(part),
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
    shared: Option<SharedPart>,
}

impl Writing {
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.shared {
            Some(part) => part.bytes(),
            None => &self.own,
        }
    }

    /// Forgets what was written.
    pub(crate) fn clear(&mut self, spare: &mut Spare) {
        self.own.clear();
        if let Some(part) = self.shared.take() {
            part.whole.recycle(spare);
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

    /// A buffer as a busy connection leaves it.
    fn roomy() -> Vec<u8> {
        Vec::with_capacity(512 << 10)
    }

    #[test]
    fn each_piece_knows_what_is_in_it() {
        let (mut queue, mut spare) = (Queue::default(), Spare::default());
        let shared = SharedBytes::copy(b"shared", &mut spare);
        let mut expected = Vec::new();
        for round in 1..20 {
            for number in 0..round {
                let bytes = queue.write(&mut spare, 1, |tail| tail.push(number));
                queue.note_reply(bytes);
            }
            queue.write(&mut spare, 2, |tail| tail.extend_from_slice(b"own"));
            expected.push((
                usize::from(round) + 3,
                usize::from(round) + 2,
                usize::from(round),
            ));
            queue.share(SharedPart::new(shared.clone(), 1, 5), 3);
            queue.share(SharedPart::new(shared.clone(), 0, 6), 4);
            expected.extend([(5, 3, 0), (6, 4, 0)]);
        }
        queue.write(&mut spare, 1, |tail| tail.push(1));
        expected.push((1, 1, 0));
        let mut writing = Writing::default();
        for expected in expected {
            let before = queue.tally();
            let taken = queue.take(&mut writing, &mut spare);
            let bytes = taken.bytes;
            assert_eq!((bytes, taken.messages(), taken.reply_bytes()), expected);
            assert_eq!(writing.bytes().len(), bytes);
            assert_eq!(queue.tally().bytes, before.bytes - bytes);
            writing.clear(&mut spare);
        }
        assert!(queue.is_empty() && queue.tally().messages() == 0);
    }

    #[test]
    fn what_waits_holds_little_more_than_its_bytes() {
        let mut spare = Spare::default();
        let mut queue = Queue::default();
        for _ in 0..8 {
            spare.put(roomy());
            queue.write(&mut spare, 1, |tail| tail.push(b'1'));
            spare.put(roomy());
            let shared = SharedBytes::copy(&[b'2'; SHARED_FROM_BYTES], &mut spare);
            queue.share(SharedPart::new(shared, 0, SHARED_FROM_BYTES), 1);
        }
        let pieces = queue.pieces.iter().flat_map(|pieces| &pieces.pieces);
        let held = pieces.map(|piece| match &piece.content {
            Content::Own(bytes) => bytes.capacity(),
            Content::Shared(part) => part.whole.0.capacity(),
        });
        assert!(held.sum::<usize>() <= 3 * queue.tally().bytes);
    }
}
