//! Owns reading a config file of any supported format into keys and values; knows no setting.

use std::path::Path;

use serde_json::{Map, Value};

use super::ConfigError;

/// Reads a file whose extension names its format.
pub(super) fn read(path: &Path) -> Result<Map<String, Value>, ConfigError> {
    let extension = path
        .extension()
        .and_then(|extension| extension.to_str())
        .map(str::to_ascii_lowercase);
    let format = match extension.as_deref() {
        Some("yml" | "yaml") => "YAML",
        Some("json") => "JSON",
        Some("toml") => "TOML",
        _ => {
            return Err(ConfigError::Extension {
                path: path.to_owned(),
            });
        }
    };
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
        path: path.to_owned(),
        source,
    })?;
    let parsed = match format {
        "YAML" => yaml(&text),
        "JSON" => serde_json::from_str(&text).map_err(|error| error.to_string()),
        _ => toml::from_str(&text).map_err(|error| toml_text(&text, &error)),
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

fn yaml(text: &str) -> Result<Value, String> {
    // The parser calls a document without a value an error, not a null.
    let is_blank = |line: &str| line.is_empty() || line.starts_with('#') || line == "---";
    if text.lines().map(str::trim).all(is_blank) {
        return Ok(Value::Null);
    }
    serde_saphyr::from_str(text).map_err(|error| {
        let text = error.without_snippet().to_string();
        text.lines().next().unwrap_or_default().to_owned()
    })
}

/// One line, in place of the drawing that the parser makes.
fn toml_text(text: &str, error: &toml::de::Error) -> String {
    let message = error.message().replace('\n', ", ");
    match error.span().and_then(|span| text.get(..span.start)) {
        Some(before) => format!("{message}, line {}", before.matches('\n').count() + 1),
        None => message,
    }
}

/// Suggests the known name that is closest to a wrong one.
pub(super) fn hint(wrong: &str, known: &[&str]) -> String {
    let wrong = wrong.to_ascii_lowercase().replace('_', "-");
    let closest = known
        .iter()
        .map(|name| (strsim::jaro_winkler(&wrong, name), name))
        .max_by(|(one, _), (other, _)| one.total_cmp(other));
    match closest {
        Some((likeness, name)) if likeness > 0.8 => format!(" (did you mean '{name}'?)"),
        _ => String::new(),
    }
}
