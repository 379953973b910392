//! Owns reading YAML, and errors for people who write such files, not for programmers.

use std::borrow::Cow;

use serde_json::Value;
use serde_saphyr::{Error, MessageFormatter, UserMessageFormatter};

/// Reads a file's text. Without a value in it, it is null.
pub(super) fn read(text: &str) -> Result<Value, String> {
    // The parser calls a document without a value an error, not a null.
    let is_blank = |line: &str| line.is_empty() || line.starts_with('#') || line == "---";
    if text.lines().map(str::trim).all(is_blank) {
        return Ok(Value::Null);
    }
    serde_saphyr::from_str(text).map_err(|error| {
        let text = error.without_snippet().render_with_formatter(&Words);
        text.lines().next().unwrap_or_default().to_owned()
    })
}

/// The parser's own words are about its options, and may quote a value, which may be secret.
struct Words;

impl MessageFormatter for Words {
    fn format_message<'a>(&self, error: &'a Error) -> Cow<'a, str> {
        match error {
            Error::MultipleDocuments { .. } => "a second document begins: write one only".into(),
            Error::DuplicateMappingKey { key: Some(key), .. } => {
                format!("the key '{}' is there twice", key.escape_debug()).into()
            }
            Error::NonFiniteFloat { .. } => {
                "a number that is not finite (quote it to make it a text)".into()
            }
            Error::BinaryNotUtf8 { .. } => "a !!binary that is not UTF-8".into(),
            Error::RecursiveReferencesRequireWeakTypes { .. } => {
                "an alias in what it stands for".into()
            }
            Error::UnknownAnchor { .. } => {
                "an alias that stands for nothing (quote a text that begins with '*')".into()
            }
            Error::Budget { .. }
            | Error::AliasReplayCounterOverflow { .. }
            | Error::AliasReplayLimitExceeded { .. }
            | Error::AliasExpansionLimitExceeded { .. }
            | Error::AliasReplayStackDepthExceeded { .. } => "too much, or nested too deep".into(),
            _ => UserMessageFormatter.format_message(error),
        }
    }
}
