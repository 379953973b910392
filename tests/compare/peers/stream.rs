//! Owns the bytes that subscribers must receive next.
//!
//! A stream holds the deliveries of one subscription, exactly as they have to arrive. Every reader
//! compares what it reads with it: one comparison of memory proves order, completeness and content
//! of hundreds of messages at once. It knows nothing of sockets.

/// An append-only stream of expected bytes, of which the last part is kept.
pub(crate) struct Stream {
    ring: Vec<u8>,
    head: u64,
    /// Where messages of the present length began.
    base: u64,
    /// The length of each message since `base`.
    unit: u64,
    /// No reader was behind this when last looked.
    floor: u64,
    /// The connections that must receive this.
    readers: Vec<usize>,
    /// Whether messages in it count as deliveries; answers to a publisher do not.
    is_counted: bool,
}

impl Stream {
    /// A stream that can be read `capacity` bytes late. Only `is_counted` streams are deliveries.
    pub(crate) fn new(capacity: usize, is_counted: bool) -> Self {
        Self {
            ring: vec![0; capacity.next_power_of_two()],
            head: 0,
            base: 0,
            unit: 1,
            floor: 0,
            readers: Vec::new(),
            is_counted,
        }
    }

    /// Where the next message will begin.
    pub(crate) fn head(&self) -> u64 {
        self.head
    }

    /// Whether messages in it count as deliveries.
    pub(crate) fn is_counted(&self) -> bool {
        self.is_counted
    }

    /// The connections that must receive this.
    pub(crate) fn readers(&self) -> &[usize] {
        &self.readers
    }

    /// Adds a connection that has received nothing yet; answers where it starts.
    pub(crate) fn add_reader(&mut self, conn: usize) -> u64 {
        self.readers.push(conn);
        self.head
    }

    /// How many of the present messages end at or before `position`.
    pub(crate) fn messages_before(&self, position: u64) -> u64 {
        (position - self.base) / self.unit
    }

    /// How many bytes of a message stand before `position`.
    pub(crate) fn bytes_into_message(&self, position: u64) -> u64 {
        (position - self.base) % self.unit
    }

    /// Whether `len` more bytes keep every reader within `window`.
    #[inline]
    pub(crate) fn has_room(&mut self, len: u64, window: u64, positions: &[u64]) -> bool {
        if self.head + len - self.floor <= window {
            return true;
        }
        let slowest = self.readers.iter().map(|&conn| positions[conn]).min();
        self.floor = slowest.unwrap_or(self.head);
        self.head + len - self.floor <= window
    }

    /// Whether every reader has read everything.
    pub(crate) fn is_read(&self, positions: &[u64]) -> bool {
        self.readers
            .iter()
            .all(|&conn| positions[conn] == self.head)
    }

    /// Appends one message. Messages of another length than the last may only follow when all is
    /// read, since positions within a message are found by division.
    #[inline]
    pub(crate) fn push(&mut self, message: &[u8], positions: &[u64]) {
        if message.len() as u64 != self.unit {
            assert!(self.is_read(positions), "the length changed under way");
            self.base = self.head;
            self.unit = message.len() as u64;
        }
        let at = self.index(self.head);
        let until_end = self.ring.len() - at;
        if message.len() <= until_end {
            self.ring[at..at + message.len()].copy_from_slice(message);
        } else {
            let (first, rest) = message.split_at(until_end);
            self.ring[at..].copy_from_slice(first);
            self.ring[..rest.len()].copy_from_slice(rest);
        }
        self.head += message.len() as u64;
    }
    fn index(&self, position: u64) -> usize {
        (position & (self.ring.len() as u64 - 1)) as usize
    }

    /// Up to `len` bytes that must come at `position`, in two parts.
    pub(crate) fn expected(&self, position: u64, len: usize) -> (&[u8], &[u8]) {
        let ahead = usize::try_from(self.head - position).unwrap_or(usize::MAX);
        let len = len.min(ahead);
        let at = self.index(position);
        let first = len.min(self.ring.len() - at);
        (&self.ring[at..at + first], &self.ring[..len - first])
    }

    /// How many bytes of `got` are those that must come at `position`.
    #[inline]
    pub(crate) fn agreeing(&self, position: u64, got: &[u8]) -> usize {
        let (first, second) = self.expected(position, got.len());
        let (got_first, got_rest) = got.split_at(first.len());
        let got_second = &got_rest[..second.len()];
        if first == got_first && second == got_second {
            return first.len() + second.len();
        }
        let expected = first.iter().chain(second);
        expected
            .zip(got)
            .position(|(a, b)| a != b)
            .unwrap_or(first.len() + second.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agreement_ends_at_the_first_other_byte_even_across_the_end_of_the_ring() {
        let mut stream = Stream::new(16, true);
        let mut positions = vec![stream.add_reader(0)];
        for message in [b"aaaaaa", b"bbbbbb"] {
            stream.push(message, &positions);
        }
        assert_eq!(stream.agreeing(0, b"aaaaaabbbbbb"), 12);
        positions[0] = 12;
        stream.push(b"cccccc", &positions);
        assert_eq!(stream.agreeing(12, b"cccccc"), 6);
        assert_eq!(stream.agreeing(12, b"cccccX"), 5);
        assert_eq!(stream.agreeing(12, b"ccX"), 2);
        assert_eq!(stream.agreeing(12, b"ccccccmore"), 6);
    }

    #[test]
    fn the_slowest_reader_holds_the_window() {
        let mut stream = Stream::new(16, true);
        let mut positions = vec![stream.add_reader(0), stream.add_reader(1)];
        stream.push(b"aaaaaa", &positions);
        positions[0] = 6;
        assert!(!stream.has_room(6, 8, &positions));
        positions[1] = 5;
        assert!(stream.has_room(6, 8, &positions));
    }
}
