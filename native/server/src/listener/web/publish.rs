//! Owns what a body of `POST /publish` means: its tags and its data. It must not know the sender.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Several times what any limit allows by default; with more tags, reading them alone would take long.
const MOST_TAG_BYTES: usize = 1 << 20;

/// A message to publish.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Publish {
    pub(super) tags: Vec<String>,
    pub(super) data: String,
}

impl Publish {
    /// With the tags of the query, and the body as data.
    ///
    /// # Errors
    /// What is wrong with the body.
    pub(super) fn from_query(sets: &[Vec<&str>], body: Vec<u8>) -> Result<Self, String> {
        let data = String::from_utf8(body).map_err(|_| "the body is not UTF-8")?;
        let tags = sets.iter().flatten().map(|&tag| tag.to_owned()).collect();
        Ok(Self { tags, data })
    }

    /// A message as JSON. Other fields are ignored; if a name is used twice, the last counts, and null means absent, as
    /// everywhere.
    ///
    /// # Errors
    /// What is wrong with the body, and what it should look like.
    pub(super) fn from_json(body: &[u8]) -> Result<Self, String> {
        Self::read(body).map_err(|why| {
            format!(
                "the body is not a message like {{\"tags\":[\"a\",\"b\"],\"data\":\"…\"}}: {why}; or give the tags as \
                 ?tags=a,b and the data as the body"
            )
        })
    }

    fn read(body: &[u8]) -> Result<Self, String> {
        let fields: Fields<'_> =
            serde_json::from_slice(body).map_err(|error| match error.is_data() {
                true => "it must be an object".to_owned(),
                false => format!("it is not JSON - {error}"),
            })?;
        let tags = text(fields.tags).ok_or("tags are missing")?;
        if tags.len() > MOST_TAG_BYTES {
            let length = tags.len();
            return Err(format!(
                "the tags have {length} bytes, and at most {MOST_TAG_BYTES} are read"
            ));
        }
        let tags = serde_json::from_str(tags).map_err(|_| "tags must be an array of strings")?;
        let data = match text(fields.data) {
            None => String::new(),
            Some(text) if text.starts_with('"') => {
                serde_json::from_str(text).map_err(|_| "data holds half a surrogate pair")?
            }
            Some(value) => compact(value),
        };
        Ok(Self { tags, data })
    }
}

/// A value as it is written; `None` for null.
fn text(value: Option<&RawValue>) -> Option<&str> {
    let value = value.map(RawValue::get);
    value.filter(|value| *value != "null")
}

/// The fields that count; other fields of the body are skipped while it is read.
#[derive(Default)]
struct Fields<'a> {
    tags: Option<&'a RawValue>,
    data: Option<&'a RawValue>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Fields::default();
                while let Some(name) = map.next_key::<Cow<'de, str>>()? {
                    match &*name {
                        "tags" => fields.tags = Some(map.next_value()?),
                        "data" => fields.data = Some(map.next_value()?),
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// A JSON value without insignificant blanks; everything else stays as it was written, so that no number changes.
fn compact(value: &str) -> String {
    let (mut is_text, mut is_escaped) = (false, false);
    let is_kept = |&character: &char| {
        let is_kept = is_text || !character.is_ascii_whitespace();
        if character == '"' && !is_escaped {
            is_text = !is_text;
        }
        is_escaped = character == '\\' && !is_escaped;
        is_kept
    };
    value.chars().filter(is_kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_may_be_any_value_and_is_passed_on_as_its_compact_text() {
        for (value, data) in [
            (r#""a \u00fc\n\" b""#, "a ü\n\" b"),
            (r#""5""#, "5"),
            ("null", ""),
            (" 5 ", "5"),
            ("-0.10e+5", "-0.10e+5"),
            (
                "123456789012345678901234567890",
                "123456789012345678901234567890",
            ),
            ("true", "true"),
            ("[ ]", "[]"),
            (
                "{ \"b\" : [1,\t2.50 ,\r\n null],\n\"a\": \"x  \\\" y\\\\\" , \"b\":{}}",
                "{\"b\":[1,2.50,null],\"a\":\"x  \\\" y\\\\\",\"b\":{}}",
            ),
            (r#"{"a":"\u00fc \ud800"}"#, r#"{"a":"\u00fc \ud800"}"#),
        ] {
            let body = format!(r#"{{"data":"old","x":[1],"tags":["a"],"data":{value}}}"#);
            let message = Publish::from_json(body.as_bytes()).expect(&body);
            assert_eq!(
                (&*message.tags, &*message.data),
                (&["a".to_owned()][..], data)
            );
        }
    }
    #[test]
    fn nesting_costs_no_stack() {
        let value = "[".repeat(400_000) + &"]".repeat(400_000);
        let body = format!(r#"{{"tags":["a"],"data":{value}}}"#);
        let message = Publish::from_json(body.as_bytes()).expect("a message");
        assert_eq!(message.data, value);
    }
}
