//! What sessions send: the same thing spelled in several ways, and lines that cannot be read.

use serde_json::json;

/// A message that a session sends.
#[derive(Clone, Debug)]
pub(crate) enum Sent {
    Request(Request),
    /// One of [`BAD`].
    Bad(usize),
    /// A line of so many bytes.
    Huge(usize),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) command: String,
    pub(crate) tags: Vec<String>,
    pub(crate) data: String,
    /// As a literal.
    pub(crate) id: Option<String>,
    /// As they are written.
    pub(crate) rights: &'static str,
    /// As a literal.
    pub(crate) ttl: &'static str,
    pub(crate) spelling: Spelling,
}

/// How a request is written: there is more than one way to say the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// As client libraries do.
    #[default]
    Compact,
    /// With blanks, another order of fields, fields nobody knows, and every character escaped.
    Baroque,
}

impl Request {
    pub(crate) fn text(&self) -> String {
        let mut fields = vec![format!("\"command\":{}", self.literal(&self.command))];
        if !self.tags.is_empty() || self.spelling == Spelling::Baroque {
            let tags: Vec<_> = self.tags.iter().map(|tag| self.literal(tag)).collect();
            fields.push(format!("\"tags\":[{}]", tags.join(",")));
        }
        if let Some(data) = self.data_literal() {
            fields.push(format!("\"data\":{data}"));
        }
        if !self.rights.is_empty() {
            fields.push(format!("\"rights\":{}", self.literal(self.rights)));
        }
        if !self.ttl.is_empty() {
            fields.push(format!("\"ttl\":{}", self.ttl));
        }
        if let Some(id) = &self.id {
            fields.push(format!("\"id\":{id}"));
        }
        if self.spelling == Spelling::Compact {
            return format!("{{{}}}", fields.join(","));
        }
        fields.reverse();
        // Commands for administrators take no others, but what is null is not there.
        fields.push(match self.fields().is_some() {
            true => "\"x\" : null".to_owned(),
            false => "\"x\" : [ {\"command\":1} , null ]".to_owned(),
        });
        fields.push("\"error\":null".to_owned());
        format!(" {{ {} }}", fields.join(" ,\t"))
    }

    /// Which fields a command for administrators takes.
    pub(super) fn fields(&self) -> Option<&'static str> {
        match self.command.as_str() {
            "register" => Some("data, tags, rights and ttl"),
            "set" => Some("data or sha256, tags, rights and ttl"),
            "unset" => Some("data or sha256, tags and rights"),
            "unregister" | "end" => Some("data or sha256"),
            "tags" | "tokens" => Some("data"),
            _ => None,
        }
    }

    fn literal(&self, text: &str) -> String {
        if self.spelling == Spelling::Compact {
            return json!(text).to_string();
        }
        let units = text.encode_utf16().map(|unit| format!("\\u{unit:04X}"));
        format!("\"{}\"", units.collect::<String>())
    }

    pub(super) fn data_literal(&self) -> Option<String> {
        (!self.data.is_empty()).then(|| self.literal(&self.data))
    }
}

/// Lines that cannot be read: the line, what can be told of its command and its id, and what is wrong.
pub(crate) const BAD: &[(&[u8], &str, Option<&str>, &str)] = &[
    (
        b"{",
        "",
        None,
        "invalid JSON: the message ends too early, at byte 1; a message is one line",
    ),
    (
        b"nonsense",
        "",
        None,
        "invalid JSON: expected an object at byte 0",
    ),
    (
        br#"{"command":"publish","tags":"x"}"#,
        "publish",
        None,
        "wrong type: tags must be an array of strings, at byte 28",
    ),
    (
        br#"{"id":"q","command":"subscribe","tags":[1]}"#,
        "subscribe",
        Some("\"q\""),
        "wrong type: tags must be an array of strings, at byte 40",
    ),
    (
        b"{\"command\":\"ping\",\"data\":\"\xff\"}",
        "",
        None,
        "invalid UTF-8 at byte 26",
    ),
    (
        br#"  {"command":"nope","data":"\ud800"}"#,
        "nope",
        None,
        "invalid JSON: lone surrogate escape at byte 26",
    ),
    (
        br#"{"command":"ping","data":"\q"}"#,
        "ping",
        None,
        "invalid JSON: unknown escape at byte 26",
    ),
    (
        b"{\"data\":\"a\tb\"}",
        "",
        None,
        "invalid JSON: raw control character in a string at byte 10; escape it",
    ),
    (
        br#"{"x":01}"#,
        "",
        None,
        "invalid JSON: malformed number at byte 5",
    ),
    (
        br#"{"id":1.5}"#,
        "",
        None,
        "wrong type: id must be a string or an integer, at byte 6",
    ),
    (
        br#"{"x":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}"#,
        "",
        None,
        "nested deeper than the limit of 16 (nesting), at byte 20",
    ),
    (
        br#"{"id":7,"command":"who"]"#,
        "who",
        Some("7"),
        "invalid JSON: expected ',' or '}' at byte 23",
    ),
];

impl Sent {
    pub(crate) fn line(&self) -> Vec<u8> {
        match self {
            Self::Request(request) => request.text().into_bytes(),
            Self::Bad(which) => BAD[*which].0.to_vec(),
            Self::Huge(bytes) => {
                let data = "d".repeat(bytes - r#"{"command":"ping","data":""}"#.len());
                format!(r#"{{"command":"ping","data":"{data}"}}"#).into_bytes()
            }
        }
    }
}
