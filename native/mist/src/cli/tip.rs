//! Owns the tips for commands that are called otherwise elsewhere; spelling is looked after by the parser.

use clap::Error;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// What people type, and what they mean.
const MEANT: &[(&str, &str)] = &[
    ("start", "serve"),
    ("run", "serve"),
    ("daemon", "serve"),
    ("listen", "subscribe"),
    ("watch", "subscribe"),
    ("emit", "publish"),
    ("tags", "listall"),
    ("status", "ping"),
    ("stats", "who"),
    ("config", "check-config"),
    ("completion", "completions"),
    ("version", "--version"),
];

/// Adds what is probably meant to an error about an unknown command.
pub(super) fn add(mut error: Error) -> Error {
    let typed = match error.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(typed)) if error.kind() == ErrorKind::InvalidSubcommand => typed,
        _ => return error,
    };
    if let Some((_, meant)) = MEANT.iter().find(|(name, _)| name == typed) {
        let meant = ContextValue::Strings(vec![(*meant).to_owned()]);
        error.insert(ContextKind::SuggestedSubcommand, meant);
    }
    error
}
