//! Owns the grammar of one message: from text to the places of its fields; knows nothing of what a command means.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::ops::Range;

use super::string::{Bad, bad, content_end, literal_end};
use super::{Command, Message};
use crate::limits::Limits;

/// The place of a string literal's content in the text, without its quotes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Span {
    start: u32,
    /// The end, with the highest bit set when the content has escapes.
    end: u32,
}

const ESCAPED: u32 = 1 << 31;

impl Span {
    pub(super) fn new(start: usize, end: usize, escaped: bool) -> Self {
        // The host hands over at most a buffer of messages within `Limits::message_bytes`, far below 2 GiB.
        let flag = if escaped { ESCAPED } else { 0 };
        Self {
            start: start as u32,
            end: end as u32 | flag,
        }
    }

    #[inline]
    pub(crate) fn range(self) -> Range<usize> {
        self.start as usize..(self.end & !ESCAPED) as usize
    }

    /// How many bytes it is long as it stands.
    #[inline]
    pub(crate) fn len(self) -> usize {
        self.range().len()
    }

    pub(super) fn is_escaped(self) -> bool {
        self.end & ESCAPED != 0
    }

    /// The bytewise order of what stands in `text` at two places, each with its [`Span::prefix`].
    #[inline]
    pub(crate) fn order(a: &(u64, Self), b: &(u64, Self), text: &[u8]) -> Ordering {
        // Most differ in their first bytes.
        let rest = || text[a.1.range()].cmp(&text[b.1.range()]);
        a.0.cmp(&b.0).then_with(rest)
    }

    /// The first bytes as a number that is ordered as they are; behind the end there are zeros.
    #[inline]
    pub(crate) fn prefix(self, text: &[u8]) -> u64 {
        let range = self.range();
        match text.get(range.start..).and_then(|rest| rest.first_chunk()) {
            Some(word) => {
                let beyond = 64 - 8 * range.len().min(8) as u32;
                u64::from_be_bytes(*word) & u64::MAX.checked_shl(beyond).unwrap_or(0)
            }
            None => {
                let bytes = text[range].iter().chain(&[0; 8]).take(8);
                bytes.fold(0, |word, &byte| word << 8 | u64::from(byte))
            }
        }
    }
}

/// What is wrong with a message that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    UnexpectedEnd,
    Unexpected,
    ByteOrderMark,
    Expected(&'static str),
    ControlCharacter,
    BadEscape,
    LoneSurrogate,
    BadNumber,
    NotUtf8,
    Type {
        field: &'static str,
        wanted: &'static str,
    },
    IdTooLong,
    TooDeep,
    TooLong,
    /// An HTTP request, whose further lines must not be read: a page on another site may have written them.
    Http,
}

/// A message that cannot be read: what is wrong, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanError {
    pub(crate) fault: Fault,
    /// Byte offset from the start of the message.
    pub(crate) at: usize,
}

/// The reusable result of scanning: the places of a message's fields in the text it was scanned from.
///
/// Scanning into the same `Scan` again allocates nothing once it has seen the largest number of tags.
#[derive(Debug, Default)]
pub struct Scan {
    pub(super) command: Option<Span>,
    pub(super) kind: Command,
    pub(super) tags: Vec<Span>,
    pub(super) has_escaped_tags: bool,
    /// How many tags there were, also those past what `tags` keeps.
    pub(super) tag_count: usize,
    pub(super) tags_text: Range<usize>,
    pub(super) data: Option<Span>,
    /// The place of the whole message, when it was read as a compact publish.
    pub(super) compact: Option<Range<usize>>,
    pub(super) id: Option<Range<usize>>,
    pub(super) answer: Answer,
}

/// The places of the fields that only a server writes; those that are not strings are kept unread, of any type.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) error: Option<Span>,
    pub(super) code: Option<Range<usize>>,
    pub(super) delivered: Option<Range<usize>>,
    pub(super) subscriptions: Option<Range<usize>>,
    pub(super) subscribed: Option<Range<usize>>,
    pub(super) connections: Option<Range<usize>>,
    pub(super) subscribers: Option<Range<usize>>,
}

/// What stands around the tags and before the data of a publish, as clients write it that put its fields in the documented
/// order.
struct Form {
    head: &'static [u8],
    between: &'static [u8],
    data: &'static [u8],
}

/// As most libraries write JSON.
const COMPACT: Form = Form {
    head: br#"{"command":"publish","tags":[""#,
    between: br#"",""#,
    data: br#""],"data":""#,
};
/// As the others do, that of Python before all.
const SPACED: Form = Form {
    head: br#"{"command": "publish", "tags": [""#,
    between: br#"", ""#,
    data: br#""], "data": ""#,
};
/// Bytes of the longest name of a field or a command, `subscriptions`.
const LONGEST_NAME: usize = 13;
/// Longest accepted `id` as it is written, without the quotes of a string.
const ID_BYTES: usize = 64;

impl Scan {
    /// Creates an empty scan.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

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

    /// Reads a publish in the forms that client libraries write, straight from a buffer of many lines.
    ///
    /// Returns the position behind its line's end, or `None` when the line has any other form: then [`Scan::scan`]
    /// decides. It is the same grammar with the choices taken out.
    #[inline]
    pub fn scan_publish_line(&mut self, text: &str, at: usize, limits: &Limits) -> Option<usize> {
        let rest = text.as_bytes().get(at..)?;
        if rest.starts_with(COMPACT.head) {
            let end = self.scan_form(&COMPACT, text, at, limits)?;
            // Empty data is left out of what is delivered.
            let has_data = self.data.is_some_and(|data| data.len() > 0);
            self.compact = has_data.then_some(at..end - 1);
            Some(end)
        } else if rest.starts_with(SPACED.head) {
            self.compact = None;
            self.scan_form(&SPACED, text, at, limits)
        } else {
            None
        }
    }

    /// Made for each form, but not where every byte is loaded by somebody.
    #[cfg_attr(not(target_family = "wasm"), inline(always))]
    fn scan_form(&mut self, form: &Form, text: &str, at: usize, limits: &Limits) -> Option<usize> {
        let bytes = text.as_bytes();
        self.tags.clear();
        self.has_escaped_tags = false;
        let mut at = at + form.head.len();
        let tags_start = at - 2;
        loop {
            let (end, escaped) = literal_end(bytes, at)?;
            if self.tags.len() == limits.tags_per_message {
                return None;
            }
            self.tags.push(Span::new(at, end, escaped));
            self.has_escaped_tags |= escaped;
            at = end;
            if !bytes[at..].starts_with(form.between) {
                break;
            }
            at += form.between.len();
        }
        if !bytes[at..].starts_with(form.data) {
            return None;
        }
        self.tags_text = tags_start..at + 2;
        let data = at + form.data.len();
        let (end, escaped) = literal_end(bytes, data)?;
        if bytes.get(end + 1..end + 3)? != b"}\n" {
            return None;
        }
        self.command = None;
        self.kind = Command::Publish;
        self.tag_count = self.tags.len();
        self.data = Some(Span::new(data, end, escaped));
        self.id = None;
        self.answer = Answer::default();
        Some(end + 3)
    }

    /// Returns the scanned message; `text` must be the text it was scanned from.
    #[must_use]
    pub fn message<'a>(&'a self, text: &'a str) -> Message<'a> {
        Message { text, scan: self }
    }

    /// Forgets what was scanned and returns the message that says nothing.
    pub(crate) fn cleared(&mut self) -> Message<'_> {
        self.clear();
        self.message("")
    }

    fn clear(&mut self) {
        self.command = None;
        self.kind = Command::Unknown;
        self.tags.clear();
        self.has_escaped_tags = false;
        self.tag_count = 0;
        self.tags_text = 0..0;
        self.data = None;
        self.compact = None;
        self.id = None;
        self.answer = Answer::default();
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
        let list = scan.message(text).tags().map(Cow::into_owned).collect();
        lists.push(list);
        reader.blanks();
        // Behind the last list stands the bracket that ends the loop, or nothing.
        reader.at += usize::from(reader.peek() == Some(b','));
    }
}

/// Returns the position of the first character at or after `at` that JSON does not call blank.
pub(super) fn skip_blanks(text: &[u8], mut at: usize) -> usize {
    while matches!(text.get(at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
        at += 1;
    }
    at
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    depth: u8,
    /// Which of the open brackets are objects, the innermost in the lowest bit.
    objects: u64,
    limits: &'a Limits,
}

type Step<T> = Result<T, Bad>;

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
                Some(Field::Error) => scan.answer.error = self.string_or_null("error")?,
                Some(Field::Code) => scan.answer.code = Some(self.raw()?),
                Some(Field::Id) => scan.id = self.id()?,
                Some(Field::Delivered) => scan.answer.delivered = Some(self.raw()?),
                Some(Field::Subscriptions) => scan.answer.subscriptions = Some(self.raw()?),
                Some(Field::Subscribed) => scan.answer.subscribed = Some(self.raw()?),
                Some(Field::Connections) => scan.answer.connections = Some(self.raw()?),
                Some(Field::Subscribers) => scan.answer.subscribers = Some(self.raw()?),
                None => self.any_value()?,
            }
        }
        Ok(self.at)
    }

    /// Moves to the next key of an object, or past its end.
    fn next_key(&mut self, first: bool) -> Step<bool> {
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
            super::string::decode_into(content, &mut decoded);
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

    /// Passes over a value of any type, without recursion.
    fn any_value(&mut self) -> Step<()> {
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

    fn key(&mut self) -> Step<()> {
        self.string()?;
        self.blanks();
        self.expect(b':', "':'")
    }

    /// Passes over a number; returns whether it is an integer.
    fn number(&mut self) -> Step<bool> {
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

    fn digits(&mut self) {
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
    }

    fn some_digits(&mut self, start: usize) -> Step<()> {
        let before = self.at;
        self.digits();
        if self.at == before {
            return Err(bad(start, Fault::BadNumber));
        }
        Ok(())
    }

    #[inline]
    fn string(&mut self) -> Step<Span> {
        let start = self.at + 1;
        let (end, escaped) = content_end(self.text, start)?;
        self.at = end + 1;
        Ok(Span::new(start, end, escaped))
    }

    fn null(&mut self) -> bool {
        self.word(b"null")
    }

    fn word(&mut self, word: &[u8]) -> bool {
        let found = self.text[self.at..].starts_with(word);
        if found {
            self.at += word.len();
        }
        found
    }

    fn open(&mut self, object: bool) -> Step<()> {
        if self.depth >= self.limits.nesting.clamp(2, 64) {
            return Err(bad(self.at, Fault::TooDeep));
        }
        self.depth += 1;
        self.objects = self.objects << 1 | u64::from(object);
        self.at += 1;
        Ok(())
    }

    fn close(&mut self) {
        self.depth -= 1;
        self.objects >>= 1;
        self.at += 1;
    }

    fn blanks(&mut self) {
        self.at = skip_blanks(self.text, self.at);
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn expect(&mut self, byte: u8, what: &'static str) -> Step<()> {
        if self.peek() != Some(byte) {
            return Err(self.fault(what));
        }
        self.at += 1;
        Ok(())
    }

    #[cold]
    fn fault(&self, expected: &'static str) -> Bad {
        let fault = match self.peek() {
            None => Fault::UnexpectedEnd,
            // Files of some editors begin with it, and nobody sees it.
            Some(_) if self.text[self.at..].starts_with("\u{feff}".as_bytes()) => {
                Fault::ByteOrderMark
            }
            Some(_) => Fault::Expected(expected),
        };
        bad(self.at, fault)
    }

    /// Says that a value has the wrong type if it is a value at all.
    #[cold]
    fn wrong_type(&self, fault: Fault) -> Bad {
        let fault = match self.peek() {
            None => Fault::UnexpectedEnd,
            Some(b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => fault,
            Some(_) => Fault::Unexpected,
        };
        bad(self.at, fault)
    }
}

const ID_TYPE: Fault = Fault::Type {
    field: "id",
    wanted: "a string or an integer",
};

#[derive(Clone, Copy)]
enum Field {
    Command,
    Tags,
    Data,
    Error,
    Code,
    Id,
    Delivered,
    Subscriptions,
    Subscribed,
    Connections,
    Subscribers,
}
