//! The oracle of the scanner: a message as `serde_json` reads it, and every difference that was decided, spelled out.

use std::fmt;

use mist_core::Limits;
use mist_core::message::{Command, Message};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// What a message says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields {
    pub(crate) command: String,
    pub(crate) tags: Vec<String>,
    pub(crate) data: Option<String>,
    pub(crate) data_literal: Option<String>,
    pub(crate) id: Option<String>,
    /// What only a server writes.
    pub(crate) error: Option<String>,
    pub(crate) delivered: Option<u64>,
}

/// Reads the message at the start of `text`; returns it with the position behind it, or `None` when it is not one.
pub(crate) fn read(text: &str, limits: &Limits) -> Option<(Fields, usize)> {
    // What follows the object is the next message's affair.
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<RawFields<'_>>();
    let RawFields(raw_fields) = values.next()?.ok()?;
    let end = values.byte_offset();
    // Nesting is limited, in fields that are ignored as well.
    if depth(&text[..end]) > usize::from(limits.nesting) {
        return None;
    }
    // In a field that is ignored, serde_json lets lone surrogates pass.
    if has_lone_surrogate(&text[..end]) {
        return None;
    }
    let mut fields = Fields::default();
    for (name, value) in raw_fields {
        let literal = value.get();
        // A duplicate field: the last wins, but all must have the right type. `null` is the same as absent.
        match name.as_str() {
            "command" => fields.command = text_or_null(literal)?.unwrap_or_default(),
            "tags" => {
                let tags: Option<Vec<String>> = serde_json::from_str(literal).ok()?;
                fields.tags = tags.unwrap_or_default();
            }
            "data" => {
                // Empty data is the same as none.
                fields.data = text_or_null(literal)?.filter(|data| !data.is_empty());
                fields.data_literal = fields.data.as_ref().map(|_| literal.to_owned());
            }
            "error" => fields.error = text_or_null(literal)?.filter(|error| !error.is_empty()),
            "delivered" => fields.delivered = literal.parse().ok(),
            "id" => fields.id = id(literal)?,
            _ => {}
        }
    }
    Some((fields, end))
}

fn text_or_null(literal: &str) -> Option<Option<String>> {
    serde_json::from_str(literal).ok()
}

/// An id is a string or an integer of at most 64 bytes as it is written, without quotes.
fn id(literal: &str) -> Option<Option<String>> {
    if literal == "null" {
        return Some(None);
    }
    let is_integer = literal
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'-');
    let is_string = literal.starts_with('"');
    // As a number of any other form or size, serde_json's opinion does not count.
    if is_string {
        text_or_null(literal)?;
    }
    let quotes = if is_string { 2 } else { 0 };
    ((is_integer || is_string) && literal.len() <= 64 + quotes).then(|| Some(literal.to_owned()))
}

struct RawFields<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for RawFields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = RawFields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(RawFields(fields))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// The deepest nesting of a JSON text that is known to be valid.
fn depth(text: &str) -> usize {
    let (mut deepest, mut depth, mut in_string, mut escaped) = (0, 0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth -= 1,
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// Whether a JSON text that is known to be valid has half a surrogate pair anywhere.
fn has_lone_surrogate(text: &str) -> bool {
    let bytes = text.as_bytes();
    let unit = |at: usize| {
        let digits = text.get(at + 2..at + 6)?;
        (bytes[at..].starts_with(b"\\u")).then(|| u16::from_str_radix(digits, 16).ok())?
    };
    let mut at = 0;
    while at < bytes.len() {
        at += match (bytes[at], unit(at)) {
            (b'\\', Some(0xD800..=0xDBFF)) => match unit(at + 6) {
                Some(0xDC00..=0xDFFF) => 12,
                _ => return true,
            },
            (b'\\', Some(0xDC00..=0xDFFF)) => return true,
            (b'\\', _) => 2,
            _ => 1,
        };
    }
    false
}

/// What the scanner made of a message.
pub(crate) fn fields_of(message: &Message<'_>) -> Fields {
    let fields = Fields {
        command: message.command_name().into_owned(),
        tags: message.tags().map(|tag| tag.into_owned()).collect(),
        data: message.data().map(|data| data.into_owned()),
        data_literal: message.data_literal().map(str::to_owned),
        id: message.id_literal().map(str::to_owned),
        error: message.error().map(|error| error.into_owned()),
        delivered: message.delivered(),
    };
    // Of any type, so of any form; that of valid ones is tested by itself.
    let _ = message.subscriptions();
    let known = message.command().name();
    if message.command() == Command::Unknown {
        assert_eq!(known, None);
        assert!(!COMMANDS.contains(&fields.command.as_str()), "{fields:?}");
    } else {
        assert_eq!(known, Some(fields.command.as_str()));
        assert!(COMMANDS.contains(&fields.command.as_str()), "{fields:?}");
    }
    if message.tag_count() == fields.tags.len() {
        let tags: Option<Vec<String>> = match message.tags_text() {
            "" => None,
            text => serde_json::from_str(text).expect("the text of the tags is an array"),
        };
        assert_eq!(tags.unwrap_or_default(), fields.tags);
    }
    fields
}

/// Every command there is.
pub(crate) const COMMANDS: [&str; 13] = [
    "ping",
    "subscribe",
    "unsubscribe",
    "publish",
    "list",
    "listall",
    "who",
    "auth",
    "register",
    "unregister",
    "set",
    "unset",
    "tags",
];
