//! Owns which forms of value each kind of setting takes; names a wrong value's kind, never the value, which may be secret.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::error::Origin;
use super::kinds::{comma_list, duration, limit};

/// Reads a text.
pub(super) fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| no_text("a text", value))
}

/// Reads a time; a number is one of seconds.
pub(super) fn time(value: &Value) -> Result<Duration, String> {
    match value {
        Value::Number(seconds) => duration(&seconds.to_string()),
        _ => duration(text(value)?),
    }
}

/// Reads a switch; only the environment has to spell it as a text.
pub(super) fn flag(value: &Value, origin: &Origin) -> Result<bool, String> {
    match value {
        Value::Bool(on) => Ok(*on),
        Value::String(text) if *origin == Origin::Environment => {
            match text.to_ascii_lowercase().as_str() {
                "1" | "true" | "yes" | "on" => Ok(true),
                "0" | "false" | "no" | "off" => Ok(false),
                _ => Err(format!("'{text}' is not one of true, false")),
            }
        }
        _ => Err(wrong("true or false", value)),
    }
}

/// Reads a list of texts, or one text with commas, each of which `split` takes apart.
pub(super) fn list(value: &Value, split: fn(&str) -> Vec<String>) -> Result<Vec<String>, String> {
    const WANTED: &str = "a list of texts, or one text with commas";
    match value {
        Value::String(text) => Ok(split(text)),
        Value::Array(items) => {
            let mut all = Vec::new();
            for item in items {
                let item = item.as_str().ok_or_else(|| no_text(WANTED, item))?;
                all.extend(split(item));
            }
            Ok(all)
        }
        _ => Err(no_text(WANTED, value)),
    }
}

/// Reads a table of limits, or one text `NAME=VALUE,NAME=VALUE`.
pub(super) fn limits(value: &Value) -> Result<BTreeMap<String, u64>, String> {
    match value {
        Value::Object(table) => all(table.iter().map(|(name, value)| match value {
            Value::Number(number) => limit(&format!("{name}={number}")),
            _ => Err(format!("{name}: {}", wrong("a whole number", value))),
        })),
        Value::String(text) => all(comma_list(text).iter().map(|item| limit(item))),
        _ => Err(wrong("a table of names and whole numbers", value)),
    }
}

/// All of them, or what is wrong with each that is.
fn all(
    limits: impl Iterator<Item = Result<(String, u64), String>>,
) -> Result<BTreeMap<String, u64>, String> {
    let (mut good, mut faults) = (BTreeMap::new(), Vec::new());
    for limit in limits {
        match limit {
            Ok((name, value)) => {
                good.insert(name, value);
            }
            Err(why) => faults.push(why),
        }
    }
    match faults.is_empty() {
        true => Ok(good),
        false => Err(faults.join("; ")),
    }
}

/// Says how that becomes a text which looks like one and is none.
fn no_text(wanted: &str, found: &Value) -> String {
    let hint = match found {
        Value::Null | Value::Bool(_) | Value::Number(_) => " (quote it to make it a text)",
        _ => "",
    };
    wrong(wanted, found) + hint
}

fn wrong(wanted: &str, found: &Value) -> String {
    let found = match found {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    };
    format!("expected {wanted}, found {found}")
}
