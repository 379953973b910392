//! Owns the grammar of one message: from text to the places of its fields; knows nothing of what a command means.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use super::command::Command;
use super::fault::{Fault, ScanError, bad};
use super::json::{Reader, Step, skip_blanks};
use super::scan::{Field, Scan};
use super::span::Span;
use super::string::decode_into;
use crate::limits::Limits;

/// Bytes of the longest name of a field or a command, `subscriptions`.
const LONGEST_NAME: usize = 13;
/// Longest accepted `id` as it is written, without the quotes of a string.
const ID_BYTES: usize = 64;

impl Scan {
    /// Reads the message that starts at `at` and returns the position behind it.
    ///
    /// Blanks before it are passed over. What follows it is not looked at.
    ///
    /// # Errors
    /// [`ScanError`] when the text is not one JSON object with fields of the right types; the command, where it
    /// was read before the fault, is in [`Scan::message`].
    pub fn scan(&mut self, text: &str, at: usize, limits: &Limits) -> Result<usize, ScanError> {
        self.clear();
        let start = skip_blanks(text.as_bytes(), at);
        Reader {
            text: text.as_bytes(),
            at: start,
            depth: 0,
            objects: 0,
            limits,
        }
        .message(self)
        .map_err(|bad| {
            let (at, fault) = *bad;
            ScanError {
                fault,
                at: at.saturating_sub(start),
            }
        })
    }
}

/// Reads an array of strings, or of arrays of strings, decoded; any other text is an empty list.
pub(super) fn tag_lists(text: &str, is_nested: bool) -> Vec<Vec<String>> {
    let limits = Limits {
        tags_per_message: usize::MAX,
        ..Limits::default()
    };
    let mut reader = Reader {
        text: text.as_bytes(),
        at: 0,
        depth: 0,
        objects: 0,
        limits: &limits,
    };
    let mut scan = Scan::new();
    let mut lists = Vec::new();
    if is_nested && reader.open(false).is_err() {
        return lists;
    }
    loop {
        reader.blanks();
        if reader.peek() != Some(b'[') || reader.tags(&mut scan).is_err() {
            return lists;
        }
        let tags = scan.tags.iter().map(|tag| tag.decoded(text));
        let list = tags.map(Cow::into_owned).collect();
        lists.push(list);
        reader.blanks();
        // Behind the last list stands the bracket that ends the loop, or nothing.
        reader.at += usize::from(reader.peek() == Some(b','));
    }
}

/// Reads an array of objects: tells each, without a name, and then the names of its fields and their values as they stand.
/// Ends where the text is of another form.
pub(super) fn objects<'a>(text: &'a str, mut tell: impl FnMut(Option<&str>, &'a str)) {
    let limits = Limits::default();
    let mut reader = Reader {
        text: text.as_bytes(),
        at: 0,
        depth: 0,
        objects: 0,
        limits: &limits,
    };
    // The error is never reported: the whole text was checked before.
    let mut read = || -> Step<()> {
        reader.blanks();
        reader.expect(b'[', "'['")?;
        loop {
            reader.blanks();
            if reader.peek() != Some(b'{') {
                return Ok(());
            }
            reader.open(true)?;
            tell(None, "");
            let mut first = true;
            while reader.next_key(first)? {
                first = false;
                let name = reader.string()?.decoded(text);
                reader.blanks();
                reader.expect(b':', "':'")?;
                reader.blanks();
                let value = reader.raw()?;
                tell(Some(&name), &text[value]);
            }
            reader.blanks();
            reader.at += usize::from(reader.peek() == Some(b','));
        }
    };
    let _ = read();
}

/// Reads a string; any other text is an empty one.
pub(super) fn string(text: &str) -> String {
    let limits = Limits::default();
    let mut reader = Reader {
        text: text.as_bytes(),
        at: 0,
        depth: 0,
        objects: 0,
        limits: &limits,
    };
    let span = match reader.peek() {
        Some(b'"') => reader.string().ok(),
        _ => None,
    };
    span.map_or_else(String::new, |span| span.decoded(text).into_owned())
}

impl Reader<'_> {
    fn message(mut self, scan: &mut Scan) -> Step<usize> {
        if self.peek() != Some(b'{') {
            return Err(self.fault("an object"));
        }
        self.open(true)?;
        let mut first = true;
        while self.next_key(first)? {
            first = false;
            let key = self.string()?;
            self.blanks();
            self.expect(b':', "':'")?;
            self.blanks();
            match self.field(key) {
                Some(Field::Command) => {
                    scan.command = self.string_or_null("command")?;
                    scan.kind = match scan.command {
                        Some(span) => self.command(span),
                        None => Command::Unknown,
                    };
                }
                Some(Field::Tags) => self.tags(scan)?,
                Some(Field::Data) => scan.data = self.string_or_null("data")?,
                Some(Field::Error) => scan.error = self.string_or_null("error")?,
                Some(Field::Id) => scan.id = self.id()?,
                field => {
                    let place = self.raw()?;
                    let is_asked = matches!(
                        field,
                        Some(Field::Rights | Field::Ttl | Field::Sha256 | Field::Code)
                    );
                    if !is_asked && self.text[place.clone()] != *b"null" {
                        scan.other = scan.other.or(Some(key));
                    }
                    if let Some(rare) = field {
                        scan.note(rare, place);
                    }
                }
            }
        }
        Ok(self.at)
    }

    fn field(&self, key: Span) -> Option<Field> {
        self.with_decoded(key, |key| match key {
            b"command" => Some(Field::Command),
            b"tags" => Some(Field::Tags),
            b"data" => Some(Field::Data),
            b"error" => Some(Field::Error),
            b"code" => Some(Field::Code),
            b"id" => Some(Field::Id),
            b"delivered" => Some(Field::Delivered),
            b"subscriptions" => Some(Field::Subscriptions),
            b"subscribed" => Some(Field::Subscribed),
            b"connections" => Some(Field::Connections),
            b"subscribers" => Some(Field::Subscribers),
            b"rights" => Some(Field::Rights),
            b"ttl" => Some(Field::Ttl),
            b"subscribe" => Some(Field::Subscribe),
            b"publish" => Some(Field::Publish),
            b"expires_in" => Some(Field::ExpiresIn),
            b"registered" => Some(Field::Registered),
            b"sha256" => Some(Field::Sha256),
            b"nodes" => Some(Field::Nodes),
            b"silent" => Some(Field::Silent),
            b"members" => Some(Field::Members),
            b"wait" => Some(Field::Wait),
            _ => None,
        })
    }

    fn command(&self, span: Span) -> Command {
        self.with_decoded(span, Command::from_name)
    }

    fn with_decoded<T>(&self, span: Span, then: impl Fn(&[u8]) -> T) -> T {
        let content = &self.text[span.range()];
        // What is longer is no name, however it is spelled, and need not be decoded to see that.
        if !span.is_escaped() || content.len() > 6 * LONGEST_NAME {
            return then(content);
        }
        let mut decoded = String::new();
        // The text came in as `str`, and a literal's content starts and ends on character boundaries.
        if let Ok(content) = core::str::from_utf8(content) {
            decode_into(content, &mut decoded);
        }
        then(decoded.as_bytes())
    }

    fn tags(&mut self, scan: &mut Scan) -> Step<()> {
        const WRONG: Fault = Fault::Type {
            field: "tags",
            wanted: "an array of strings",
        };
        scan.tags.clear();
        scan.has_escaped_tags = false;
        scan.tag_count = 0;
        scan.tags_text = 0..0;
        let start = self.at;
        if self.null() {
            return Ok(());
        }
        if self.peek() != Some(b'[') {
            return Err(self.wrong_type(WRONG));
        }
        self.open(false)?;
        self.blanks();
        if self.peek() == Some(b']') {
            self.close();
        } else {
            loop {
                self.blanks();
                if self.peek() != Some(b'"') {
                    return Err(self.wrong_type(WRONG));
                }
                let tag = self.string()?;
                // Kept up to the limit only, so that one message cannot grow the reused list for good.
                if scan.tags.len() < self.limits.tags_per_message {
                    scan.tags.push(tag);
                    scan.has_escaped_tags |= tag.is_escaped();
                }
                scan.tag_count += 1;
                self.blanks();
                match self.peek() {
                    Some(b',') => self.at += 1,
                    Some(b']') => break self.close(),
                    _ => return Err(self.fault("',' or ']'")),
                }
            }
        }
        scan.tags_text = start..self.at;
        Ok(())
    }

    fn id(&mut self) -> Step<Option<Range<usize>>> {
        let start = self.at;
        let mut quotes = 0;
        match self.peek() {
            Some(b'"') => {
                self.string()?;
                quotes = 2;
            }
            Some(b'-' | b'0'..=b'9') => {
                if !self.number()? {
                    return Err(bad(start, ID_TYPE));
                }
            }
            _ if self.null() => return Ok(None),
            _ => return Err(self.wrong_type(ID_TYPE)),
        }
        if self.at - start > ID_BYTES + quotes {
            return Err(bad(start, Fault::IdTooLong));
        }
        Ok(Some(start..self.at))
    }

    fn string_or_null(&mut self, field: &'static str) -> Step<Option<Span>> {
        match self.peek() {
            Some(b'"') => self.string().map(Some),
            _ if self.null() => Ok(None),
            _ => Err(self.wrong_type(Fault::Type {
                field,
                wanted: "a string",
            })),
        }
    }

    fn raw(&mut self) -> Step<Range<usize>> {
        let start = self.at;
        self.any_value()?;
        Ok(start..self.at)
    }
}

const ID_TYPE: Fault = Fault::Type {
    field: "id",
    wanted: "a string or an integer",
};
