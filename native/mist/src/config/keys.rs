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

/// What else the environment may say, of which a config file knows nothing.
const OTHER_VARIABLES: &[&str] = &["config", "host", "ca", "insecure"];

/// The environment variable of a setting.
pub(crate) fn variable(key: &str) -> String {
    format!("MIST_{}", key.to_ascii_uppercase().replace('-', "_"))
}

/// Suggests the known name that is closest to a wrong one.
pub(super) fn hint(wrong: &str, known: &[&str]) -> String {
    match closest(wrong, known) {
        Some((likeness, name)) if likeness > 0.8 => format!(" (did you mean '{name}'?)"),
        _ => String::new(),
    }
}

/// Of the names of environment variables, each that is nearly a setting's, with the one that was probably meant.
///
/// Others that begin with `MIST_` are somebody else's: Kubernetes has `MIST_PORT` where a service is called mist.
pub(crate) fn misspelt(variables: impl Iterator<Item = String>) -> Vec<(String, String)> {
    let known: Vec<_> = KEYS.iter().chain(OTHER_VARIABLES).copied().collect();
    let misspelt = variables.filter_map(|name| {
        let key = name.strip_prefix("MIST_")?;
        let (likeness, closest) = closest(key, &known)?;
        let meant = variable(closest);
        (likeness > 0.92 && meant != name).then_some((name, meant))
    });
    misspelt.collect()
}

/// The known name that is closest to a wrong one, and how close it is, up to 1.
fn closest<'a>(wrong: &str, known: &[&'a str]) -> Option<(f64, &'a str)> {
    let wrong = wrong.to_ascii_lowercase().replace('_', "-");
    let likeness = known
        .iter()
        .map(|name| (strsim::jaro_winkler(&wrong, name), *name));
    likeness.max_by(|(one, _), (other, _)| one.total_cmp(other))
}

#[cfg(test)]
mod tests {
    use super::misspelt;

    #[test]
    fn a_variable_that_is_nearly_a_settings_is_found() {
        let names = [
            "MIST_TOKEN_FILES",
            "MIST_LISTENER",
            "MIST_ACCESS",
            "MIST_CONFIG",
            "MIST_PORT",
            "MIST_SERVICE_HOST",
            "MIST_PORT_8080_TCP_ADDR",
            "TOKEN_FILES",
        ];
        let found = misspelt(names.into_iter().map(str::to_owned));
        let found: Vec<_> = found
            .iter()
            .map(|(wrong, meant)| (wrong.as_str(), meant.as_str()))
            .collect();
        assert_eq!(
            found,
            [
                ("MIST_TOKEN_FILES", "MIST_TOKEN_FILE"),
                ("MIST_LISTENER", "MIST_LISTENERS")
            ]
        );
    }
}
