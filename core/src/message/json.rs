//! Owns the syntax of JSON, as far as brackets, names and numbers go; knows nothing of messages.

use super::fault::{Bad, Fault, bad};
use super::span::Span;
use super::string::content_end;
use crate::limits::Limits;

/// Returns the position of the first character at or after `at` that JSON does not call blank.
pub(super) fn skip_blanks(text: &[u8], mut at: usize) -> usize {
    while matches!(text.get(at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
        at += 1;
    }
    at
}

/// Steps through JSON without recursion.
pub(super) struct Reader<'a> {
    pub(super) text: &'a [u8],
    pub(super) at: usize,
    pub(super) depth: u8,
    /// Which of the open brackets are objects, the innermost in the lowest bit.
    pub(super) objects: u64,
    pub(super) limits: &'a Limits,
}

pub(super) type Step<T> = Result<T, Bad>;

impl Reader<'_> {
    /// Moves to the next key of an object, or past its end.
    pub(super) fn next_key(&mut self, first: bool) -> Step<bool> {
        self.blanks();
        if self.peek() == Some(b'}') {
            self.close();
            return Ok(false);
        }
        if !first {
            self.expect(b',', "',' or '}'")?;
            self.blanks();
        }
        if self.peek() != Some(b'"') {
            return Err(self.fault(if first {
                "a field name or '}'"
            } else {
                "a field name"
            }));
        }
        Ok(true)
    }

    /// Passes over a value of any type, without recursion.
    pub(super) fn any_value(&mut self) -> Step<()> {
        let floor = self.depth;
        loop {
            self.blanks();
            match self.peek() {
                Some(b'{') => {
                    self.open(true)?;
                    if self.next_key(true)? {
                        self.key()?;
                        continue;
                    }
                }
                Some(b'[') => {
                    self.open(false)?;
                    self.blanks();
                    if self.peek() != Some(b']') {
                        continue;
                    }
                    self.close();
                }
                Some(b'"') => {
                    self.string()?;
                }
                Some(b'-' | b'0'..=b'9') => {
                    self.number()?;
                }
                _ if self.word(b"true") || self.word(b"false") || self.word(b"null") => {}
                _ => return Err(self.fault("a value")),
            }
            // A value is complete: go up through the brackets that end here, then on to the next value.
            loop {
                if self.depth == floor {
                    return Ok(());
                }
                if self.objects & 1 == 1 {
                    if self.next_key(false)? {
                        self.key()?;
                        break;
                    }
                } else {
                    self.blanks();
                    match self.peek() {
                        Some(b',') => {
                            self.at += 1;
                            break;
                        }
                        Some(b']') => self.close(),
                        _ => return Err(self.fault("',' or ']'")),
                    }
                }
            }
        }
    }

    pub(super) fn key(&mut self) -> Step<()> {
        self.string()?;
        self.blanks();
        self.expect(b':', "':'")
    }

    /// Passes over a number; returns whether it is an integer.
    pub(super) fn number(&mut self) -> Step<bool> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return Err(bad(start, Fault::BadNumber)),
        }
        let mut integer = true;
        if self.peek() == Some(b'.') {
            integer = false;
            self.at += 1;
            self.some_digits(start)?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            integer = false;
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.some_digits(start)?;
        }
        if matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(bad(start, Fault::BadNumber));
        }
        Ok(integer)
    }

    pub(super) fn digits(&mut self) {
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
    }

    pub(super) fn some_digits(&mut self, start: usize) -> Step<()> {
        let before = self.at;
        self.digits();
        if self.at == before {
            return Err(bad(start, Fault::BadNumber));
        }
        Ok(())
    }

    #[inline]
    pub(super) fn string(&mut self) -> Step<Span> {
        let start = self.at + 1;
        let (end, escaped) = content_end(self.text, start)?;
        self.at = end + 1;
        Ok(Span::new(start, end, escaped))
    }

    pub(super) fn null(&mut self) -> bool {
        self.word(b"null")
    }

    pub(super) fn word(&mut self, word: &[u8]) -> bool {
        let found = self.text[self.at..].starts_with(word);
        if found {
            self.at += word.len();
        }
        found
    }

    pub(super) fn open(&mut self, object: bool) -> Step<()> {
        if self.depth >= self.limits.nesting.clamp(2, 64) {
            return Err(bad(self.at, Fault::TooDeep));
        }
        self.depth += 1;
        self.objects = self.objects << 1 | u64::from(object);
        self.at += 1;
        Ok(())
    }

    pub(super) fn close(&mut self) {
        self.depth -= 1;
        self.objects >>= 1;
        self.at += 1;
    }

    pub(super) fn blanks(&mut self) {
        self.at = skip_blanks(self.text, self.at);
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    pub(super) fn expect(&mut self, byte: u8, what: &'static str) -> Step<()> {
        if self.peek() != Some(byte) {
            return Err(self.fault(what));
        }
        self.at += 1;
        Ok(())
    }

    #[cold]
    pub(super) fn fault(&self, expected: &'static str) -> Bad {
        let fault = match self.peek() {
            None => Fault::UnexpectedEnd,
            // Some editors write it at the beginning of files, and it is invisible.
            Some(_) if self.text[self.at..].starts_with("\u{feff}".as_bytes()) => {
                Fault::ByteOrderMark
            }
            Some(_) => Fault::Expected(expected),
        };
        bad(self.at, fault)
    }

    /// Says that a value has the wrong type if it is a value at all.
    #[cold]
    pub(super) fn wrong_type(&self, fault: Fault) -> Bad {
        let fault = match self.peek() {
            None => Fault::UnexpectedEnd,
            Some(b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => fault,
            Some(_) => Fault::Unexpected,
        };
        bad(self.at, fault)
    }
}
