//! Owns where a server's WebSocket frames end, for servers that cut what they say as they like.
//!
//! It does not look at what they carry.

/// Takes the frames off what comes in.
#[derive(Default)]
pub(super) struct Frames {
    /// The first bytes of a frame, until its length is known.
    head: Vec<u8>,
    /// How many bytes of the present frame have not come yet.
    left: u64,
}

impl Frames {
    /// The first piece of `bytes` that a frame carries, and the bytes behind it.
    pub(super) fn split<'b>(&mut self, mut bytes: &'b [u8]) -> (&'b [u8], &'b [u8]) {
        while self.left == 0 {
            let Some((&byte, rest)) = bytes.split_first() else {
                return (&[], &[]);
            };
            bytes = rest;
            self.head.push(byte);
            if let Some(len) = length(&self.head) {
                self.left = len;
                self.head.clear();
            }
        }
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let (piece, rest) = bytes.split_at(left.min(bytes.len()));
        self.left -= piece.len() as u64;
        (piece, rest)
    }
}

/// The length that the first bytes of a frame tell, once they are complete. Servers do not mask.
fn length(head: &[u8]) -> Option<u64> {
    let wide = match head.get(1)? {
        126 => 2,
        127 => 8,
        &short => return Some(short.into()),
    };
    let digits = head.get(2..2 + wide)?;
    let add = |len: u64, digit: &u8| len << 8 | u64::from(*digit);
    Some(digits.iter().fold(0, add))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_same_however_the_bytes_come() {
        let long = vec![b'x'; 300];
        let stream = [b"\x81\x03abc\x81\x00\x82\x7e\x01\x2c".as_slice(), &long].concat();
        for step in [1, 2, 7, stream.len()] {
            let mut frames = Frames::default();
            let mut carried = Vec::new();
            for mut bytes in stream.chunks(step) {
                while !bytes.is_empty() {
                    let (piece, rest) = frames.split(bytes);
                    carried.extend_from_slice(piece);
                    bytes = rest;
                }
            }
            assert_eq!(carried, [b"abc".as_slice(), &long].concat());
        }
    }
}
