//! Owns why settings cannot be used, and where a setting came from, which that names.

use std::fmt;
use std::path::PathBuf;

use super::keys::{KEYS, hint, variable};

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("cannot read '{}': {source}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("'{}' is not valid {format}: {why}", path.display())]
    Syntax {
        path: PathBuf,
        format: &'static str,
        why: String,
    },
    #[error("{origin}: unknown key '{}'{}; known keys: {}", key.escape_debug(), hint(key, KEYS), KEYS.join(", "))]
    UnknownKey { origin: Origin, key: String },
    #[error("{}: {why}", origin.names(key))]
    Value {
        origin: Origin,
        key: String,
        why: String,
    },
    #[error("{0}")]
    Contradiction(&'static str),
}

/// Where a setting came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    CommandLine,
    Environment,
    File(PathBuf),
    Default,
}

impl Origin {
    /// Names a setting the way its source spells it.
    pub(crate) fn names(&self, key: &str) -> String {
        match self {
            Self::Environment => variable(key),
            Self::File(path) => format!("'{}', key '{key}'", path.display()),
            Self::CommandLine | Self::Default => format!("--{key}"),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine => f.write_str("the command line"),
            Self::Environment => f.write_str("the environment"),
            Self::File(path) => write!(f, "'{}'", path.display()),
            Self::Default => f.write_str("the default"),
        }
    }
}
