//! Owns what becomes of settings that are read again while a server runs: which are others now, and which of them can change.

use std::collections::BTreeSet;

use super::{Decided, Settings};

/// What a server goes on with when its settings were read again.
pub(crate) struct Change {
    pub(crate) settings: Settings,
    /// The names of what is another now.
    pub(crate) changed: Vec<String>,
    /// The names of what stays until the next start.
    pub(crate) kept: Vec<String>,
}

/// What can change while a server runs, besides limits, and a token or a certificate that takes the place of another.
const LIVE: &[&str] = &[
    "allow-origin",
    "allow-host",
    "trusted-proxies",
    "drain-delay",
    "drain",
    "log-level",
];

impl Settings {
    /// Takes what can change while a server runs from `new`, and the rest from the settings in use.
    pub(crate) fn exchange(&self, new: &Self) -> Change {
        let is_live = |name: &String| match name.as_str() {
            "token" => new.token.is_some(),
            "tls-cert" | "tls-key" => new.tls_cert.is_some(),
            name => LIVE.contains(&name) || name.starts_with("limit "),
        };
        let (changed, kept) = self.changed(new).into_iter().partition(is_live);
        let or_kept = |new: &Option<_>, old: &Option<_>| new.as_ref().or(old.as_ref()).cloned();
        let settings = Self {
            tls_cert: or_kept(&new.tls_cert, &self.tls_cert),
            tls_key: or_kept(&new.tls_key, &self.tls_key),
            token: new.token.clone().or_else(|| self.token.clone()),
            allow_origin: new.allow_origin.clone(),
            allow_host: new.allow_host.clone(),
            trusted_proxies: new.trusted_proxies.clone(),
            drain_delay: new.drain_delay.clone(),
            drain: new.drain.clone(),
            log_level: new.log_level.clone(),
            limits: new.limits.clone(),
            ..self.clone()
        };
        Change {
            settings,
            changed,
            kept,
        }
    }

    /// The names of the settings that have other values in `new`.
    fn changed(&self, new: &Self) -> Vec<String> {
        fn differs<T: PartialEq>(one: &Option<Decided<T>>, other: &Option<Decided<T>>) -> bool {
            one.as_ref().map(|it| &it.value) != other.as_ref().map(|it| &it.value)
        }
        let settings = [
            ("server", self.server.value != new.server.value),
            ("listeners", self.listeners.value != new.listeners.value),
            (
                "operator-listener",
                self.operator_listener.value != new.operator_listener.value,
            ),
            ("cluster", differs(&self.cluster, &new.cluster)),
            (
                "cluster-optional",
                self.cluster_optional.value != new.cluster_optional.value,
            ),
            ("tls-cert", differs(&self.tls_cert, &new.tls_cert)),
            ("tls-key", differs(&self.tls_key, &new.tls_key)),
            (
                "authenticator",
                self.authenticator.value != new.authenticator.value,
            ),
            ("token", differs(&self.token, &new.token)),
            ("access", self.access.value != new.access.value),
            (
                "allow-origin",
                self.allow_origin.value != new.allow_origin.value,
            ),
            ("allow-host", self.allow_host.value != new.allow_host.value),
            (
                "trusted-proxies",
                self.trusted_proxies.value != new.trusted_proxies.value,
            ),
            ("no-page", self.no_page.value != new.no_page.value),
            ("no-metrics", self.no_metrics.value != new.no_metrics.value),
            (
                "drain-delay",
                self.drain_delay.value != new.drain_delay.value,
            ),
            ("drain", self.drain.value != new.drain.value),
            ("log-level", self.log_level.value != new.log_level.value),
            ("log-format", self.log_format.value != new.log_format.value),
        ];
        let changed = settings.iter().filter(|(_, is_changed)| *is_changed);
        let changed = changed.map(|(name, _)| (*name).to_owned());
        let value = |settings: &Self, name: &str| settings.limits.get(name).map(|it| it.value);
        let names: BTreeSet<_> = self.limits.keys().chain(new.limits.keys()).collect();
        let limits = names.into_iter();
        let limits = limits.filter(|name| value(self, name) != value(new, name));
        changed
            .chain(limits.map(|name| format!("limit {name}")))
            .collect()
    }
}
