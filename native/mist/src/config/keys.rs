//! Owns the names of settings.

/// The names of all settings, as in a config file and, with `--` or `MIST_`, elsewhere.
pub(crate) const KEYS: &[&str] = &[
    "server",
    "listeners",
    "operator-listener",
    "cluster",
    "cluster-optional",
    "tls-cert",
    "tls-key",
    "authenticator",
    "token",
    "token-file",
    "access",
    "allow-origin",
    "allow-host",
    "trusted-proxies",
    "no-page",
    "no-metrics",
    "drain-delay",
    "drain",
    "log-level",
    "log-format",
    "limits",
];

/// The settings that the client commands share with the server.
pub(crate) const CLIENT_KEYS: &[&str] = &["token", "token-file", "log-level", "log-format"];

/// The environment variable of a setting.
pub(crate) fn variable(key: &str) -> String {
    format!("MIST_{}", key.to_ascii_uppercase().replace('-', "_"))
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
