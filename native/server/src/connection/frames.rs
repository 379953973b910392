//! Owns the reading side of a WebSocket: from bytes to lines; knows nothing of sockets.

use std::array;
use std::io::{self, Read, Write};

use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tokio_tungstenite::tungstenite::{Error, Message};

/// Kept per connection while it lives, so it is small; the library's default is 128 KiB.
const READ_BUFFER: usize = 4 << 10;

/// Bytes of a message that is large.
const LARGE: usize = 16 << 10;
/// Bytes of the longest beginning of a frame, before its payload.
const LONGEST_HEAD: usize = 14;

/// Frames that are read before others have their turn: at 40 to 70 ns each, half a turn. What is read at once holds five
/// times as many that are empty.
const AT_ONCE: usize = 2048;

/// A client's frames, on their way to become lines.
///
/// Nearly all are whole messages that have come as a whole: these are read here. Everything else, each rule of the
/// protocol among it, is the library's: it gets such a frame as a whole, and nothing of the one behind it.
pub(crate) struct Frames {
    socket: WebSocketContext,
    /// Bytes of the library's frame that are still to come.
    left: usize,
    /// Whether the library has the beginning of a message, and waits for the other frames of it.
    is_fragmented: bool,
    /// What has come of a frame's beginning, as long as it does not say how long the frame is.
    head: Vec<u8>,
    /// Bytes since a message last ended.
    unfinished: usize,
    /// How many bytes a message may have.
    limit: usize,
    /// Whether there may be more frames in what came, which is read when it is this connection's turn again; and what of
    /// that was not looked at.
    is_interrupted: bool,
    rest: Vec<u8>,
}

/// How a stream of frames ends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FramesEnd {
    /// The client said goodbye with this close code, or none; the answer is the caller's.
    Closed(Option<u16>),
    /// A message of this size is over the limit.
    TooLong(usize),
    /// The client broke the rules; the close code says which.
    Protocol(u16),
}

impl Frames {
    /// Starts reading; `ahead` was read together with the upgrade request, and is what is taken first.
    pub(crate) fn new(ahead: Vec<u8>) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0);
        Self {
            left: 0,
            is_fragmented: false,
            head: Vec::new(),
            unfinished: 0,
            limit: 0,
            is_interrupted: false,
            rest: ahead,
            socket: WebSocketContext::new(Role::Server, Some(config)),
        }
    }

    /// Sets how many bytes a message may have from now on.
    pub(crate) fn set_limit(&mut self, bytes: usize) {
        if self.limit != bytes {
            self.limit = bytes;
            self.socket.set_config(|config| {
                config.max_message_size = Some(bytes);
                config.max_frame_size = Some(bytes);
            });
        }
    }

    /// How many bytes have come, at most, of a message that has not ended yet.
    pub(crate) fn unfinished(&self) -> usize {
        self.unfinished + self.head.len() + self.rest.len()
    }

    /// Whether the next call goes on with what came before, and takes no bytes.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.is_interrupted
    }

    /// Takes bytes; appends the messages that end in them to `lines`, and frames that must be answered to `output`. Where
    /// that are very many, it does so for the first of them.
    ///
    /// # Errors
    /// [`FramesEnd`] when no further bytes are to be read. Messages before that are in `lines` all the same.
    pub(crate) fn feed(
        &mut self,
        bytes: &[u8],
        lines: &mut Vec<u8>,
        output: &mut Vec<u8>,
    ) -> Result<(), FramesEnd> {
        let was_interrupted = std::mem::take(&mut self.is_interrupted);
        debug_assert!(bytes.is_empty() || !was_interrupted, "there is more");
        let rest = std::mem::take(&mut self.rest);
        let mut bytes = if rest.is_empty() { bytes } else { &rest };
        for _ in 0..AT_ONCE {
            if bytes.is_empty() {
                return Ok(());
            }
            if self.left == 0 {
                let known = self.head.len();
                let Some(head) = Head::of(&self.head, bytes) else {
                    self.head.extend_from_slice(bytes);
                    return Ok(());
                };
                if known == 0
                    && let Some(behind) = self.take_whole(&head, bytes, lines)?
                {
                    bytes = behind;
                    continue;
                }
                self.begin(&head, known, lines, output)?;
            }
            let (part, behind) = bytes.split_at(self.left.min(bytes.len()));
            bytes = behind;
            self.left -= part.len();
            self.pass_on(part, lines, output)?;
        }
        self.is_interrupted = true;
        self.rest = bytes.to_vec();
        Ok(())
    }

    /// Takes a frame that is a whole message, all of which has come; returns what stands behind it.
    #[inline]
    fn take_whole<'a>(
        &self,
        head: &Head,
        bytes: &'a [u8],
        lines: &mut Vec<u8>,
    ) -> Result<Option<&'a [u8]>, FramesEnd> {
        let (TEXT | BINARY, Some(mask), false) = (head.first, head.mask, self.is_fragmented) else {
            return Ok(None);
        };
        if head.payload > self.limit {
            return Ok(None);
        }
        let Some((payload, behind)) = bytes[head.bytes..].split_at_checked(head.payload) else {
            return Ok(None);
        };
        let start = lines.len();
        let is_ascii = unmask(payload, mask, lines);
        if !is_ascii && head.first == TEXT && std::str::from_utf8(&lines[start..]).is_err() {
            lines.truncate(start);
            return Err(NOT_UTF8);
        }
        end_line(lines, start);
        Ok(Some(behind))
    }

    /// Begins to pass a frame on to the library. So many bytes of its beginning came before.
    fn begin(
        &mut self,
        head: &Head,
        known: usize,
        lines: &mut Vec<u8>,
        output: &mut Vec<u8>,
    ) -> Result<(), FramesEnd> {
        if head.is_data() {
            self.is_fragmented = !head.is_final();
        }
        self.left = (head.bytes - known).saturating_add(head.payload);
        let before = std::mem::take(&mut self.head);
        self.pass_on(&before, lines, output)
    }

    /// Passes a part of a frame on to the library, and takes the message that ends in it, if there is one.
    fn pass_on(
        &mut self,
        part: &[u8],
        lines: &mut Vec<u8>,
        output: &mut Vec<u8>,
    ) -> Result<(), FramesEnd> {
        self.unfinished += part.len();
        let mut stream = Wire {
            bytes: part,
            output,
        };
        // A large message is a part of the library's buffer. While it lives, the library takes a small buffer for what
        // comes next, and the large one goes with it; else it would be kept as long as the connection.
        let mut _large = None;
        loop {
            match self.socket.read(&mut stream) {
                Ok(message @ (Message::Text(_) | Message::Binary(_))) => {
                    self.unfinished = 0;
                    let payload = message.into_data();
                    let start = lines.len();
                    lines.extend_from_slice(&payload);
                    end_line(lines, start);
                    _large = Some(payload).filter(|payload| payload.len() > LARGE);
                }
                Ok(Message::Close(frame)) => {
                    return Err(FramesEnd::Closed(frame.map(|frame| frame.code.into())));
                }
                Ok(Message::Ping(payload) | Message::Pong(payload)) => {
                    let length = payload.len() + CONTROL_HEAD;
                    self.unfinished = self.unfinished.saturating_sub(length);
                }
                Ok(Message::Frame(_)) => {}
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => {
                    return Err(FramesEnd::Closed(None));
                }
                Err(Error::Capacity(error)) => {
                    return Err(FramesEnd::TooLong(size_of_refused(&error)));
                }
                Err(Error::Utf8(_)) => return Err(NOT_UTF8),
                Err(_) => return Err(FramesEnd::Protocol(1002)),
            }
        }
    }
}

/// How a stream ends in which a text is none.
const NOT_UTF8: FramesEnd = FramesEnd::Protocol(1007);

/// The beginning of a frame.
struct Head {
    /// The kind, and whether it is the last frame of its message.
    first: u8,
    mask: Option<[u8; 4]>,
    /// How many bytes the beginning has, and those behind it.
    bytes: usize,
    payload: usize,
}

impl Head {
    /// Reads what came in two parts; `None` where more must come.
    #[inline]
    fn of(known: &[u8], bytes: &[u8]) -> Option<Self> {
        if let ([], Some(whole)) = (known, bytes.first_chunk()) {
            return Self::read(whole, LONGEST_HEAD);
        }
        let mut both = [0; LONGEST_HEAD];
        let parts = known.iter().chain(bytes);
        let count = both.iter_mut().zip(parts).map(|(to, from)| *to = *from);
        let count = count.count();
        Self::read(&both, count)
    }

    /// Reads the first `count` bytes.
    #[inline]
    fn read(all: &[u8; LONGEST_HEAD], count: usize) -> Option<Self> {
        let &[first, second, rest @ ..] = all;
        let (extra, payload) = match second & 0x7F {
            126 => (2, u16::from_be_bytes([rest[0], rest[1]]).into()),
            127 => (8, u64::from_be_bytes(*rest.first_chunk()?)),
            length => (0, length.into()),
        };
        let is_masked = second & 0x80 != 0;
        let bytes = 2 + extra + if is_masked { 4 } else { 0 };
        (count >= bytes).then(|| Self {
            first,
            mask: is_masked.then(|| array::from_fn(|at| rest[extra + at])),
            bytes,
            payload: usize::try_from(payload).unwrap_or(usize::MAX),
        })
    }

    fn is_final(&self) -> bool {
        self.first & 0x80 != 0
    }

    /// Whether it is not one that controls the connection.
    fn is_data(&self) -> bool {
        self.first & 0x08 == 0
    }
}

/// A frame that is a whole message, as its first byte says it.
const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;

/// Bytes of a control frame of a client besides its payload.
const CONTROL_HEAD: usize = 6;

fn size_of_refused(error: &tokio_tungstenite::tungstenite::error::CapacityError) -> usize {
    use tokio_tungstenite::tungstenite::error::CapacityError;
    match error {
        CapacityError::MessageTooLong { size, .. } => *size,
        _ => 0,
    }
}

/// Appends bytes without their mask; returns whether all are ASCII. Written so that it compiles to vector code.
#[inline]
fn unmask(payload: &[u8], mask: [u8; 4], out: &mut Vec<u8>) -> bool {
    const BLOCK: usize = 32;
    let start = out.len();
    out.extend_from_slice(payload);
    let mask: [u8; BLOCK] = array::from_fn(|at| mask[at % 4]);
    let mut seen = [0; BLOCK];
    let mut take_off = |block: &mut [u8]| {
        for ((byte, mask), seen) in block.iter_mut().zip(mask).zip(&mut seen) {
            *byte ^= mask;
            *seen |= *byte;
        }
    };
    let (blocks, rest) = out[start..].as_chunks_mut::<BLOCK>();
    for block in blocks {
        take_off(block);
    }
    take_off(rest);
    seen.is_ascii()
}

/// Makes one line of the message behind `start` that says the same.
///
/// Line ends between the parts of the JSON become blanks. Inside a string they are not allowed; there they become
/// another character that is not allowed either.
fn end_line(lines: &mut Vec<u8>, start: usize) {
    if lines.len() > start && lines.ends_with(b"\n") {
        lines.pop();
    }
    if memchr::memchr(b'\n', &lines[start..]).is_some() {
        let (mut in_string, mut is_escaped) = (false, false);
        for byte in &mut lines[start..] {
            match *byte {
                b'\n' => *byte = if in_string { 1 } else { b' ' },
                b'"' if !is_escaped => in_string = !in_string,
                _ => {}
            }
            is_escaped = in_string && *byte == b'\\' && !is_escaped;
        }
    }
    lines.push(b'\n');
}

/// What tungstenite takes for a socket: a slice to read, a buffer to write.
struct Wire<'a> {
    bytes: &'a [u8],
    output: &'a mut Vec<u8>,
}

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.bytes.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.bytes.read(buffer)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(payload: &str) -> String {
        let mut lines = payload.as_bytes().to_vec();
        end_line(&mut lines, 0);
        String::from_utf8(lines).expect("UTF-8")
    }

    #[test]
    fn a_frame_becomes_one_line_that_says_the_same() {
        assert_eq!(line("{\"command\":\"ping\"}\n"), "{\"command\":\"ping\"}\n");
        assert_eq!(
            line("{\n\t\"command\":\n\"ping\"}"),
            "{ \t\"command\": \"ping\"}\n"
        );
        assert_eq!(line("{\"data\":\"a\nb\"}"), "{\"data\":\"a\u{1}b\"}\n");
        assert_eq!(
            line("{\"data\":\"\\\"\nb\"\n}"),
            "{\"data\":\"\\\"\u{1}b\" }\n"
        );
        assert_eq!(line("{\"data\":\"\\\\\"\n}"), "{\"data\":\"\\\\\" }\n");
    }

    /// A client's frame, masked with zeros.
    fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
        let length = 0x80 | u8::try_from(payload.len()).expect("it is short");
        [&[0x80 | opcode, length, 0, 0, 0, 0], payload].concat()
    }

    #[test]
    fn very_many_frames_are_read_in_turns_and_all_of_them() {
        for (opcode, payload, answer) in [
            (1, &b""[..], &b""[..]),
            (2, b"{}", b""),
            (9, b"", b"\x8a\0"),
            (9, b"ab", b"\x8a\x02ab"),
            (10, b"", b""),
        ] {
            let one = frame(opcode, payload);
            let count = (64 << 10) / one.len();
            let input = [one.repeat(count), frame(1, b"last"), b"\x81\xff".to_vec()].concat();
            // All of it may have come right behind the request, too.
            for (ahead, bytes) in [(vec![], &input[..]), (input.clone(), &[][..])] {
                let mut frames = Frames::new(ahead);
                let (mut lines, mut output) = (Vec::new(), Vec::new());
                let mut bytes = bytes;
                let mut turns = 0;
                loop {
                    turns += 1;
                    let (before, answered) = (lines.len(), output.len());
                    let fed = frames.feed(std::mem::take(&mut bytes), &mut lines, &mut output);
                    assert_eq!(fed, Ok(()));
                    let read = memchr::memchr_iter(b'\n', &lines[before..]).count();
                    assert!(read <= AT_ONCE && output.len() - answered <= AT_ONCE * 4);
                    if !frames.is_interrupted() {
                        break;
                    }
                    assert!(frames.unfinished() <= input.len());
                }
                assert_eq!(turns, count / AT_ONCE + 1, "{opcode} {payload:?}");
                assert!(turns >= 5, "{turns} turns");
                assert!(lines.ends_with(b"last\n"));
                assert_eq!(output, answer.repeat(count));
                // The library has the beginning of the frame behind it.
                assert!(frames.unfinished() <= READ_BUFFER);
            }
        }
    }

    #[test]
    fn a_goodbye_behind_very_many_frames_is_heard() {
        for count in AT_ONCE - 2..AT_ONCE + 2 {
            let input = [frame(9, b"").repeat(count), frame(8, &[3, 0xE8])].concat();
            let mut frames = Frames::new(Vec::new());
            let mut feed = |bytes: &[u8]| {
                let fed = frames.feed(bytes, &mut Vec::new(), &mut Vec::new());
                (fed, frames.is_interrupted())
            };
            let closed = (Err(FramesEnd::Closed(Some(1000))), false);
            let first = feed(&input);
            match count < AT_ONCE {
                true => assert_eq!(first, closed),
                false => assert_eq!((first, feed(&[])), ((Ok(()), true), closed)),
            }
        }
    }
}
