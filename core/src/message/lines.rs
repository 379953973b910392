//! Owns the way from received bytes to messages: lines, frames, several messages in one; knows nothing of sockets.

use alloc::vec::Vec;
use core::fmt;

use super::fault::{Fault, ScanError};
use super::json::skip_blanks;
use super::scan::Scan;
use super::view::Message;
use crate::limits::Limits;

/// Iterates over the messages of a buffer of whole lines, or of one frame.
///
/// A line that cannot be read costs that line only: the error is returned, and the next line follows.
pub struct Messages<'a> {
    bytes: &'a [u8],
    /// The part of `bytes` that is known to be UTF-8; it ends at the end of a line.
    text: &'a str,
    /// Where `text` starts in `bytes`.
    base: usize,
    /// The next position in `text`.
    at: usize,
    /// Where the line around `at` ends in `text`, once it was looked for.
    line_end: usize,
    /// Whether the whole of `bytes` is one line.
    is_frame: bool,
}

/// Shows the position, never the text, which may contain a token.
impl fmt::Debug for Messages<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Messages({} bytes left)", self.rest().len())
    }
}

impl<'a> Messages<'a> {
    /// Iterates over lines; the last one needs no newline.
    #[must_use]
    pub fn lines(bytes: &'a [u8]) -> Self {
        let mut messages = Self {
            bytes,
            text: "",
            base: 0,
            at: 0,
            line_end: 0,
            is_frame: false,
        };
        messages.validate(0);
        messages
    }

    /// Iterates over the messages of one frame, in which line ends are blanks like any other.
    #[must_use]
    pub fn frame(bytes: &'a [u8]) -> Self {
        let mut messages = Self {
            is_frame: true,
            ..Self::lines(bytes)
        };
        if messages.text.len() < bytes.len() {
            messages.text = "";
        }
        messages
    }

    /// Scans the next message into `scan`; `None` at the end.
    ///
    /// The fast road reads a publish without looking for its line's end first; any other line is cut out, then scanned.
    #[inline]
    pub fn next<'s>(
        &mut self,
        scan: &'s mut Scan,
        limits: &Limits,
    ) -> Option<Result<Message<'s>, Unreadable<'s>>>
    where
        'a: 's,
    {
        if self.at >= self.line_end
            && !self.is_frame
            && let Some(end) = scan.scan_publish_line(self.text, self.at, limits)
            && end - self.at - 1 <= limits.message_bytes
        {
            self.at = end;
            return Some(Ok(scan.message(self.text)));
        }
        self.next_of_any_form(scan, limits)
    }

    fn next_of_any_form<'s>(
        &mut self,
        scan: &'s mut Scan,
        limits: &Limits,
    ) -> Option<Result<Message<'s>, Unreadable<'s>>>
    where
        'a: 's,
    {
        loop {
            let text: &'a str = self.text;
            if self.at >= text.len() {
                return self.invalid_line(scan, limits);
            }
            if self.at >= self.line_end {
                let rest = &text.as_bytes()[self.at..];
                let newline = if self.is_frame {
                    None
                } else {
                    memchr::memchr(b'\n', rest)
                };
                self.line_end = self.at + newline.unwrap_or(rest.len());
                if self.line_end - self.at > limits.message_bytes {
                    let length = self.line_end - self.at;
                    self.at = self.line_end + 1;
                    return Some(Err(too_long(scan, length)));
                }
            }
            let line = &text[..self.line_end];
            let start = skip_blanks(line.as_bytes(), self.at);
            if start == self.line_end {
                self.at = self.line_end + 1;
                continue;
            }
            return Some(match scan.scan(line, start, limits) {
                Ok(end) => {
                    self.at = end;
                    Ok(scan.message(line))
                }
                Err(error) => {
                    self.at = self.line_end + 1;
                    Err(Unreadable {
                        message: scan.message(line),
                        error: or_http(error, &line.as_bytes()[start..]),
                    })
                }
            });
        }
    }

    /// Returns the bytes that are not read yet, all of them whole lines.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.base + self.at..).unwrap_or_default()
    }

    /// Appends the rest, as whole lines, to `lines`.
    pub(crate) fn append_rest(&self, lines: &mut Vec<u8>) {
        let start = lines.len();
        lines.extend_from_slice(self.rest());
        if self.is_frame {
            // A tab is a blank as a line end is, and is refused inside strings as it is.
            let rest = lines[start..].iter_mut();
            rest.filter(|byte| **byte == b'\n')
                .for_each(|byte| *byte = b'\t');
        }
        lines.push(b'\n');
    }

    /// Reports the line behind `text`, which is not UTF-8, and goes on behind it.
    fn invalid_line<'s>(
        &mut self,
        scan: &'s mut Scan,
        limits: &Limits,
    ) -> Option<Result<Message<'s>, Unreadable<'s>>>
    where
        'a: 's,
    {
        let start = self.base + self.text.len();
        let rest = self.bytes.get(start..).filter(|rest| !rest.is_empty())?;
        let newline = if self.is_frame {
            None
        } else {
            memchr::memchr(b'\n', rest)
        };
        let length = newline.unwrap_or(rest.len());
        let error = match core::str::from_utf8(&rest[..length]) {
            Err(error) => ScanError {
                fault: Fault::NotUtf8,
                at: error.valid_up_to(),
            },
            // Only a line with a fault ends the valid text early.
            Ok(_) => ScanError {
                fault: Fault::NotUtf8,
                at: 0,
            },
        };
        self.validate(start + (length + 1).min(rest.len()));
        if length > limits.message_bytes {
            return Some(Err(too_long(scan, length)));
        }
        Some(Err(Unreadable {
            message: scan.cleared(),
            error: or_http(error, &rest[..length]),
        }))
    }

    /// Checks the bytes from `base` on, and keeps what is UTF-8 up to the end of the last line that is.
    fn validate(&mut self, base: usize) {
        let rest = &self.bytes[base..];
        self.base = base;
        self.at = 0;
        self.line_end = 0;
        self.text = match core::str::from_utf8(rest) {
            Ok(text) => text,
            Err(error) => {
                let valid = &rest[..error.valid_up_to()];
                let lines = memchr::memrchr(b'\n', valid).map_or(0, |newline| newline + 1);
                core::str::from_utf8(&valid[..lines]).unwrap_or_default()
            }
        };
    }
}

fn too_long(scan: &mut Scan, length: usize) -> Unreadable<'_> {
    Unreadable {
        message: scan.cleared(),
        error: ScanError::too_long(length),
    }
}

/// What is wrong with a line: that it begins an HTTP request, if it does, rather than that it is no JSON.
fn or_http(error: ScanError, line: &[u8]) -> ScanError {
    match is_http_request(line) {
        true => ScanError {
            fault: Fault::Http,
            at: 0,
        },
        false => error,
    }
}

/// Whether a line is the first of an HTTP request, as `POST /publish HTTP/1.1`. No message is: its first character is
/// a brace, which is in the name of no method.
pub(super) fn is_http_request(line: &[u8]) -> bool {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let Some((head, version)) = line.split_last_chunk() else {
        return false;
    };
    let method = head.split(|&byte| byte == b' ').next().unwrap_or_default();
    let is_in_names = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    matches!(version, b" HTTP/1.0" | b" HTTP/1.1" | b" HTTP/2.0")
        && (1..head.len()).contains(&method.len())
        && method.iter().all(is_in_names)
}

/// A message that could not be read, with as much of it as was.
#[derive(Clone, Copy, Debug)]
pub struct Unreadable<'a> {
    /// The fields read before the fault.
    pub message: Message<'a>,
    /// What is wrong, and where.
    pub error: ScanError,
}
