//! Owns the values that settings take, and how each is written; knows no setting by its name.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use mist::{Access, Limits};

/// How much of what happens is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LogLevel {
    Trace,
    Debug,
    #[default]
    Info,
    Warn,
    Error,
    Fatal,
}

impl LogLevel {
    const NAMES: &[(&str, Self)] = &[
        ("TRACE", Self::Trace),
        ("DEBUG", Self::Debug),
        ("INFO", Self::Info),
        ("WARN", Self::Warn),
        ("ERROR", Self::Error),
        ("FATAL", Self::Fatal),
    ];
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(_, level)| level == self);
        f.write_str(name.map_or("", |(name, _)| name))
    }
}

impl FromStr for LogLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::NAMES
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(text));
        found
            .map(|(_, level)| *level)
            .ok_or_else(|| format!("'{text}' is not one of TRACE, DEBUG, INFO, WARN, ERROR, FATAL"))
    }
}

/// How the lines of the log are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One object in each line.
    Json,
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(format!("'{text}' is not one of text, json")),
        }
    }
}

/// Reads an access mode.
pub(crate) fn access(text: &str) -> Result<Access, String> {
    match text {
        "open" => Ok(Access::Open),
        "scoped" => Ok(Access::Scoped),
        _ => Err(format!("'{text}' is not one of open, scoped")),
    }
}

/// Reads `5`, `5s`, `500ms`, `2m`, `1h` or `1d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is not a time; write 5s, 500ms or 2m");
    let unit = text.find(|c: char| c.is_ascii_alphabetic());
    let (number, unit) = text.split_at(unit.unwrap_or(text.len()));
    let unit = match unit {
        "" | "s" => 1.0,
        "ms" => 1e-3,
        "us" => 1e-6,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err(wrong()),
    };
    let number = number.trim().parse::<f64>().map_err(|_| wrong())?;
    Duration::try_from_secs_f64(number * unit).map_err(|_| wrong())
}

/// Splits `NAME=VALUE` and checks that such a limit exists and takes that value.
pub(crate) fn limit(text: &str) -> Result<(String, u64), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| format!("'{text}' is not NAME=VALUE"))?;
    let (name, value) = (name.trim(), value.trim());
    let value = value
        .parse()
        .map_err(|_| format!("{name}: '{value}' is not a whole number"))?;
    Limits::default().set(name, value)?;
    Ok((name.to_owned(), value))
}

/// Splits a comma list; blanks around items and empty items do not count.
pub(crate) fn comma_list(text: &str) -> Vec<String> {
    let items = text.split(',').map(str::trim);
    items
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Takes a token out of a text that has nothing else in it. Blanks around it, empty lines and a byte order mark are slips.
pub(crate) fn only_line(text: &str) -> Result<&str, &'static str> {
    let token = text.trim_start_matches('\u{feff}').trim();
    match token.contains(['\r', '\n']) {
        true => Err("has several lines: put the token there, and nothing else"),
        false => Ok(token),
    }
}

/// Splits a comma list in which empty items count: where one is wrong, a variable that is not set must not go unnoticed.
pub(crate) fn whole_list(text: &str) -> Vec<String> {
    text.split(',').map(|item| item.trim().to_owned()).collect()
}

/// Splits a list of URIs that may have commas in them: the next begins behind a blank, with its scheme.
pub(crate) fn uri_list(text: &str) -> Vec<String> {
    let begins_uri = |word: &str| {
        word.split_once("://").is_some_and(|(scheme, _)| {
            !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
    };
    let mut uris: Vec<String> = Vec::new();
    for word in text.trim().split_inclusive(char::is_whitespace) {
        match uris.last_mut() {
            Some(uri) if !begins_uri(word) => uri.push_str(word),
            _ => uris.push(word.to_owned()),
        }
    }
    uris.iter().map(|uri| uri.trim().to_owned()).collect()
}

/// A text that must not be shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// Takes a text; an empty one is no secret, it says that there is none.
    pub(crate) fn new(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
