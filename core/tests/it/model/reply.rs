//! How answers and refusals are spelled.

use serde_json::json;

/// An answer under construction.
#[derive(Default)]
pub(super) struct Reply {
    pub(super) command: String,
    pub(super) tags: Vec<String>,
    pub(super) data: Option<String>,
    pub(super) error: Option<String>,
    pub(super) rest: String,
    pub(super) id: Option<String>,
}

impl Reply {
    pub(super) fn text(&self) -> String {
        let mut text = format!("{{\"command\":{}", json!(self.command));
        if !self.tags.is_empty() {
            text += &format!(",\"tags\":{}", json!(self.tags));
        }
        if let Some(data) = &self.data {
            text += &format!(",\"data\":{data}");
        }
        if let Some(error) = &self.error {
            text += &format!(
                ",\"error\":{},\"code\":\"{}\"",
                json!(error),
                code_of(error)
            );
        }
        text += &self.rest;
        if let Some(id) = &self.id {
            text += &format!(",\"id\":{id}");
        }
        text + "}"
    }
}

/// Finds the code by a part of the sentence, the first that fits.
fn code_of(error: &str) -> &'static str {
    const CODES: [(&str, &str); 26] = [
        ("(message-bytes); closing", "too-large"),
        ("invalid messages in a row", "too-many-bad-messages"),
        (" exceed the limit of ", "limit-exceeded"),
        ("missing tags", "missing-tags"),
        ("missing token", "missing-token"),
        ("Unknown Command", "unknown-command"),
        ("needs the server's token", "not-admin"),
        ("server is scoped", "unauthenticated"),
        ("must be the first message", "auth-not-first"),
        ("token is not valid", "wrong-token"),
        ("token has expired", "token-expired"),
        ("which is reserved", "reserved-tag"),
        ("rights must be", "invalid-value"),
        ("ttl must be", "invalid-value"),
        ("unknown field", "unknown-field"),
        ("token grants none", "not-granted"),
        ("token does not grant", "not-granted"),
        ("no longer grants", "revoked"),
        ("has ended the token", "revoked"),
        ("Token already exists", "token-exists"),
        ("Token not found", "token-not-found"),
        ("Invalid token", "invalid-token"),
        ("invalid JSON", "unreadable"),
        ("invalid UTF-8", "unreadable"),
        ("nested deeper", "unreadable"),
        ("wrong type", "unreadable"),
    ];
    let is_it = |(part, _): &&(&str, &str)| error.contains(part);
    CODES.iter().find(is_it).map_or("refused", |(_, code)| code)
}

/// Why a request is refused, and whether the answer repeats its tags and data.
pub(super) struct Refusal {
    pub(super) text: String,
    pub(super) with_tags: bool,
    pub(super) with_data: bool,
}

pub(super) fn refusal(text: impl Into<String>) -> Refusal {
    Refusal {
        text: text.into(),
        with_tags: true,
        with_data: false,
    }
}

pub(super) fn exceeded(value: usize, what: &str, limit: usize, setting: &str) -> Refusal {
    Refusal {
        with_tags: false,
        ..refusal(format!(
            "{value} {what} exceed the limit of {limit} ({setting})"
        ))
    }
}
