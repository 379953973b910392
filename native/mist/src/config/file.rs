//! Owns reading a config file of any supported format into keys and values; knows no setting.

use std::path::Path;

use serde_json::{Map, Value};

use super::error::ConfigError;
use super::yaml;

/// Reads a file whose extension names its format, or whose text shows it.
pub(super) fn read(path: &Path) -> Result<Map<String, Value>, ConfigError> {
    let text = mist_net::file::read_text(path).map_err(|source| ConfigError::Read {
        path: path.to_owned(),
        source,
    })?;
    let extension = path
        .extension()
        .and_then(|extension| extension.to_str())
        .map(str::to_ascii_lowercase);
    let (format, parsed) = match extension.as_deref() {
        Some("yml" | "yaml") => ("YAML", yaml::read(&text)),
        Some("json") => (
            "JSON",
            serde_json::from_str(&text).map_err(|error| error.to_string()),
        ),
        Some("toml") => ("TOML", toml(&text)),
        _ => ("YAML, JSON or TOML", any(&text)),
    };
    let syntax = |why| ConfigError::Syntax {
        path: path.to_owned(),
        format,
        why,
    };
    match parsed.map_err(syntax)? {
        Value::Object(map) => Ok(map),
        // An empty YAML file, or one with comments only.
        Value::Null => Ok(Map::new()),
        _ => Err(syntax("the top level must be keys with values".to_owned())),
    }
}

/// Reads text of a format that is not named. JSON is a part of YAML; what TOML takes is nothing else, unless it is empty.
fn any(text: &str) -> Result<Value, String> {
    let toml = match toml(text) {
        Ok(value) => return Ok(value),
        Err(error) => format!("{error} (as TOML)"),
    };
    match yaml::read(text) {
        Ok(value @ Value::Object(_)) => Ok(value),
        // A text without keys, which YAML takes, is what a mistake makes of TOML.
        Ok(_) => Err(toml),
        Err(error) => Err(format!("{error} (as YAML); {toml}")),
    }
}

fn toml(text: &str) -> Result<Value, String> {
    match toml::from_str(text) {
        Ok(table) => Ok(json(toml::Value::Table(table))),
        Err(error) => Err(toml_text(text, &error)),
    }
}

/// A date is the text that it is written as.
fn json(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(is_on) => is_on.into(),
        toml::Value::Datetime(date) => date.to_string().into(),
        toml::Value::Array(items) => items.into_iter().map(json).collect(),
        toml::Value::Table(table) => {
            let entries = table.into_iter().map(|(key, value)| (key, json(value)));
            entries.collect()
        }
    }
}

/// One line, in place of the drawing that the parser makes.
fn toml_text(text: &str, error: &toml::de::Error) -> String {
    let message = match error.message() {
        // The only value that is none; it could be a secret.
        message if message.starts_with("invalid type: integer") => {
            "an integer of more than 64 bits (quote it to make it a text)".to_owned()
        }
        message => message.replace('\n', ", "),
    };
    match error.span().and_then(|span| text.get(..span.start)) {
        Some(before) => format!("{message}, line {}", before.matches('\n').count() + 1),
        None => message,
    }
}
