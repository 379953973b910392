//! Owns how a message is set off from the next on a connection, in the direction to the client.

/// How messages are told apart on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Each message ends in a newline.
    Lines,
    /// Each message is one unmasked WebSocket text frame.
    Frames,
}

/// The first byte of a final frame, by its kind.
pub(crate) const TEXT: u8 = 0x81;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;

impl Framing {
    /// Appends one message.
    pub(crate) fn write(self, message: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Lines => {
                out.extend_from_slice(message);
                out.push(b'\n');
            }
            Self::Frames => write_frame(TEXT, message, out),
        }
    }
}

/// Appends a frame from server to client.
pub(crate) fn write_frame(kind: u8, payload: &[u8], out: &mut Vec<u8>) {
    match payload.len() {
        length @ 0..126 => out.extend_from_slice(&[kind, length as u8]),
        length @ 126..=0xFFFF => {
            out.extend_from_slice(&[kind, 126]);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.extend_from_slice(&[kind, 127]);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}
