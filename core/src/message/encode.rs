//! Owns how messages are written: compact, keys in one order, fields only when not empty.

use alloc::vec::Vec;

use super::command::Command;
use super::span::Span;
use super::string::write_string;
use crate::auth::{NEVER, Rights};
use crate::error::ServerError;

/// Writes one reply: `command, tags, data, error, code`, then what this broker adds to the original's four fields.
#[derive(Default)]
pub(crate) struct Reply<'a> {
    pub(crate) command: &'a str,
    pub(crate) tags: &'a [&'a str],
    pub(crate) data: Data<'a>,
    pub(crate) error: Option<&'a ServerError>,
    /// Names of fields, and what writes their values.
    pub(crate) values: &'a [(&'static str, Writer<'a>)],
    /// Names of fields, and the numbers that are their values.
    pub(crate) counts: &'a [(&'static str, u64)],
    pub(crate) delivered: Option<usize>,
    pub(crate) nodes: Option<usize>,
    pub(crate) id: Option<&'a str>,
}

/// Appends a part of a reply that may be long, so that it stands nowhere else before.
pub(crate) type Writer<'a> = &'a dyn Fn(&mut Vec<u8>);

/// The data of a reply: text to encode, a literal passed through, or what writes one.
#[derive(Clone, Copy, Default)]
pub(crate) enum Data<'a> {
    #[default]
    None,
    Text(&'a str),
    Literal(&'a str),
    Written(Writer<'a>),
}

impl Reply<'_> {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"command\":");
        write_string(out, self.command);
        if !self.tags.is_empty() {
            out.extend_from_slice(b",\"tags\":");
            write_tags(out, self.tags);
        }
        match self.data {
            Data::None | Data::Text("") => {}
            Data::Text(text) => {
                out.extend_from_slice(b",\"data\":");
                write_string(out, text);
            }
            Data::Literal(literal) => {
                out.extend_from_slice(b",\"data\":");
                out.extend_from_slice(literal.as_bytes());
            }
            Data::Written(write) => {
                out.extend_from_slice(b",\"data\":");
                write(out);
            }
        }
        if let Some(ServerError { code, text }) = self.error {
            out.extend_from_slice(b",\"error\":");
            write_string(out, text);
            out.extend_from_slice(b",\"code\":");
            write_string(out, code.name());
        }
        for (name, write) in self.values {
            write_name(out, name);
            write(out);
        }
        for &(name, count) in self.counts {
            write_name(out, name);
            write_number(out, count);
        }
        if let Some(delivered) = self.delivered {
            out.extend_from_slice(b",\"delivered\":");
            write_number(out, delivered as u64);
        }
        if let Some(nodes) = self.nodes {
            out.extend_from_slice(b",\"nodes\":");
            write_number(out, nodes as u64);
        }
        if let Some(id) = self.id {
            out.extend_from_slice(b",\"id\":");
            out.extend_from_slice(id.as_bytes());
        }
        out.push(b'}');
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        self.write(&mut out);
        out
    }
}

pub(crate) fn write_tags<T: AsRef<str>>(out: &mut Vec<u8>, tags: &[T]) {
    out.push(b'[');
    for (index, tag) in tags.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_string(out, tag.as_ref());
    }
    out.push(b']');
}

pub(crate) fn write_name(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

pub(crate) fn write_number(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Writes everything of a delivered message before its data, the same for all messages with the same tags.
///
/// `tags` are sorted bytewise and without duplicates.
pub(crate) fn write_head<'a>(head: &mut Vec<u8>, tags: impl Iterator<Item = &'a str>) {
    write_plain_head(head, "[");
    for (index, tag) in tags.enumerate() {
        if index > 0 {
            head.push(b',');
        }
        write_string(head, tag);
    }
    head.push(b']');
}

/// The same for tags that stand in `text` as literals without escapes, which is how they are written.
pub(crate) fn write_plain_tags(head: &mut Vec<u8>, text: &str, tags: impl Iterator<Item = Span>) {
    write_plain_head(head, "[");
    for (index, tag) in tags.enumerate() {
        if index > 0 {
            head.push(b',');
        }
        let content = tag.range();
        let literal = content.start - 1..content.end + 1;
        head.extend_from_slice(&text.as_bytes()[literal]);
    }
    head.push(b']');
}

/// The same for a whole array of tags that is written in the right form already.
pub(crate) fn write_plain_head(head: &mut Vec<u8>, tags: &str) {
    head.extend_from_slice(b"{\"command\":\"publish\",\"tags\":");
    head.extend_from_slice(tags.as_bytes());
}

/// Writes what stands behind the head of a delivered message: the data's literal as it came in, and the end.
#[inline]
pub(crate) fn write_rest(out: &mut Vec<u8>, data_literal: Option<&str>) {
    if let Some(literal) = data_literal {
        out.extend_from_slice(b",\"data\":");
        out.extend_from_slice(literal.as_bytes());
    }
    out.push(b'}');
}

/// A message as a client writes it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'a> {
    /// What is asked for, by its name on the wire.
    pub command: &'a str,
    /// The tags, in any order.
    pub tags: &'a [&'a str],
    /// The data; an empty one is left out.
    pub data: &'a str,
    /// For admin commands, the rights to the tags; both are left out.
    pub rights: Rights,
    /// For admin commands, the seconds for which a token is to last, or [`NEVER`].
    pub ttl: Option<u64>,
    /// For admin commands, the token's SHA-256 in hexadecimal digits, in the place of data.
    pub sha256: &'a str,
    /// For a publish with an `id`: whether the answer is to have what the other nodes of a cluster delivered, too.
    pub is_for_cluster: bool,
    /// A number to recognise the answer by; without it most commands are answered only when they fail.
    pub id: Option<u64>,
}

impl<'a> Request<'a> {
    /// Creates a request without tags, data and id.
    #[must_use]
    pub fn new(command: Command) -> Self {
        Self {
            command: command.name().unwrap_or(""),
            ..Self::default()
        }
    }

    /// Sets the tags.
    #[must_use]
    pub fn tags(mut self, tags: &'a [&'a str]) -> Self {
        self.tags = tags;
        self
    }

    /// Sets the data.
    #[must_use]
    pub fn data(mut self, data: &'a str) -> Self {
        self.data = data;
        self
    }

    /// Has a publish answered for the whole cluster.
    #[must_use]
    pub fn for_cluster(mut self, is_for_cluster: bool) -> Self {
        self.is_for_cluster = is_for_cluster;
        self
    }

    /// Sets the id.
    #[must_use]
    pub fn id(mut self, id: u64) -> Self {
        self.id = Some(id);
        self
    }
}

/// Appends a publish to `out` as one JSON object, without a line end, and returns how many tags it has.
pub fn encode_publish<T: AsRef<str>>(
    tags: impl IntoIterator<Item = T>,
    data: &str,
    id: Option<u64>,
    out: &mut Vec<u8>,
) -> usize {
    let mut count = 0;
    out.extend_from_slice(b"{\"command\":\"publish\",\"tags\":[");
    for tag in tags {
        if count > 0 {
            out.push(b',');
        }
        write_string(out, tag.as_ref());
        count += 1;
    }
    out.push(b']');
    if !data.is_empty() {
        out.extend_from_slice(b",\"data\":");
        write_string(out, data);
    }
    if let Some(id) = id {
        out.extend_from_slice(b",\"id\":");
        write_number(out, id);
    }
    out.push(b'}');
    count
}

/// Appends `request` to `out` as one JSON object, without a line end.
pub fn encode_request(request: &Request<'_>, out: &mut Vec<u8>) {
    let mut id = Vec::new();
    if let Some(number) = request.id {
        write_number(&mut id, number);
    }
    let rights: Writer<'_> = &|out| write_string(out, request.rights.name());
    let never: Writer<'_> = &|out| write_string(out, "never");
    let sha256: Writer<'_> = &|out| write_string(out, request.sha256);
    let wait: Writer<'_> = &|out| write_string(out, "cluster");
    let values = [
        (request.rights != Rights::Both).then_some(("rights", rights)),
        (request.ttl == Some(NEVER)).then_some(("ttl", never)),
        request.is_for_cluster.then_some(("wait", wait)),
        (!request.sha256.is_empty()).then_some(("sha256", sha256)),
    ];
    let values: Vec<_> = values.into_iter().flatten().collect();
    let ttl = request.ttl.filter(|&ttl| ttl != NEVER);
    Reply {
        command: request.command,
        tags: request.tags,
        data: Data::Text(request.data),
        values: &values,
        counts: ttl.map(|ttl| ("ttl", ttl)).as_slice(),
        id: request.id.and_then(|_| core::str::from_utf8(&id).ok()),
        ..Reply::default()
    }
    .write(out);
}
