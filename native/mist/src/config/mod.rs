//! Owns what can be set, by which source, and which source wins; knows nothing of how settings are used.

mod change;
mod error;
mod file;
mod keys;
mod kinds;
mod value;
mod yaml;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mist::{Access, Limits};
use serde_json::Value;

pub(crate) use self::error::{ConfigError, Origin};
pub(crate) use self::keys::{CLIENT_KEYS, KEYS, misspelt, variable};
pub(crate) use self::kinds::{
    LogFormat, LogLevel, Secret, access, comma_list, duration, limit, only_line, uri_list,
    whole_list,
};

/// Where the server listens when nothing is said: for this machine only, on IPv4 and, where there is any, IPv6.
pub(crate) const DEFAULT_LISTENERS: &[&str] = &[
    "tcp://localhost:1445",
    "http://localhost:8080",
    "ws://localhost:8888",
];

/// What one source says, each setting or nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layer {
    pub(crate) server: Option<bool>,
    pub(crate) listeners: Option<Vec<String>>,
    pub(crate) operator_listener: Option<Vec<String>>,
    pub(crate) cluster: Option<String>,
    pub(crate) cluster_optional: Option<bool>,
    pub(crate) tls_cert: Option<PathBuf>,
    pub(crate) tls_key: Option<PathBuf>,
    pub(crate) authenticator: Option<Vec<String>>,
    pub(crate) token: Option<Secret>,
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) access: Option<Access>,
    pub(crate) allow_origin: Option<Vec<String>>,
    pub(crate) allow_host: Option<Vec<String>>,
    pub(crate) trusted_proxies: Option<Vec<String>>,
    pub(crate) no_page: Option<bool>,
    pub(crate) no_metrics: Option<bool>,
    pub(crate) drain_delay: Option<Duration>,
    pub(crate) drain: Option<Duration>,
    pub(crate) log_level: Option<LogLevel>,
    pub(crate) log_format: Option<LogFormat>,
    pub(crate) limits: BTreeMap<String, u64>,
}

impl Layer {
    /// Reads a config file, whose format its extension names, or its text shows.
    pub(crate) fn from_file(path: &Path, faults: &mut Vec<ConfigError>) -> Self {
        let origin = Origin::File(path.to_owned());
        let mut layer = Self::default();
        match file::read(path) {
            Ok(values) => faults.extend(
                values
                    .iter()
                    .filter_map(|(key, value)| layer.set(&origin, key, value).err()),
            ),
            Err(error) => faults.push(error),
        }
        layer
    }

    /// Reads the environment variables of some settings; an empty one counts as not set.
    pub(crate) fn from_environment(
        keys: &[&str],
        lookup: impl Fn(&str) -> Option<OsString>,
        faults: &mut Vec<ConfigError>,
    ) -> Self {
        let mut layer = Self::default();
        for key in keys {
            let Some(text) = lookup(&variable(key)).filter(|text| !text.is_empty()) else {
                continue;
            };
            let text = text.into_string().map_err(|_| ConfigError::Value {
                origin: Origin::Environment,
                key: (*key).to_owned(),
                why: "is not valid UTF-8".to_owned(),
            });
            let set =
                text.and_then(|text| layer.set(&Origin::Environment, key, &Value::String(text)));
            faults.extend(set.err());
        }
        layer
    }

    fn set(&mut self, origin: &Origin, key: &str, value: &Value) -> Result<(), ConfigError> {
        let result = match key {
            "server" => value::flag(value, origin).map(|on| self.server = Some(on)),
            "listeners" => value::list(value, comma_list).map(|list| self.listeners = Some(list)),
            "operator-listener" => {
                value::list(value, comma_list).map(|list| self.operator_listener = Some(list))
            }
            "cluster" => value::text(value).map(|uri| self.cluster = Some(uri.to_owned())),
            "cluster-optional" => {
                value::flag(value, origin).map(|on| self.cluster_optional = Some(on))
            }
            "tls-cert" => value::text(value).map(|path| self.tls_cert = Some(path.into())),
            "tls-key" => value::text(value).map(|path| self.tls_key = Some(path.into())),
            "authenticator" => {
                value::list(value, uri_list).map(|list| self.authenticator = Some(list))
            }
            "token" => value::text(value).map(|token| self.token = Secret::new(token)),
            "token-file" => value::text(value).map(|path| self.token_file = Some(path.into())),
            "access" => value::text(value)
                .and_then(access)
                .map(|access| self.access = Some(access)),
            "allow-origin" => {
                value::list(value, whole_list).map(|list| self.allow_origin = Some(list))
            }
            "allow-host" => value::list(value, whole_list).map(|list| self.allow_host = Some(list)),
            "trusted-proxies" => {
                value::list(value, whole_list).map(|list| self.trusted_proxies = Some(list))
            }
            "no-page" => value::flag(value, origin).map(|off| self.no_page = Some(off)),
            "no-metrics" => value::flag(value, origin).map(|off| self.no_metrics = Some(off)),
            "drain-delay" => value::time(value).map(|time| self.drain_delay = Some(time)),
            "drain" => value::time(value).map(|time| self.drain = Some(time)),
            "log-level" => value::text(value)
                .and_then(str::parse)
                .map(|level| self.log_level = Some(level)),
            "log-format" => value::text(value)
                .and_then(str::parse)
                .map(|format| self.log_format = Some(format)),
            "limits" => value::limits(value).map(|limits| self.limits = limits),
            _ => {
                return Err(ConfigError::UnknownKey {
                    origin: origin.clone(),
                    key: key.to_owned(),
                });
            }
        };
        result.map_err(|why| ConfigError::Value {
            origin: origin.clone(),
            key: key.to_owned(),
            why,
        })
    }

    /// The token this source gives, read from its file if that is how it is given.
    fn secret(&self, origin: &Origin) -> Result<Option<Secret>, ConfigError> {
        match (&self.token, &self.token_file) {
            (Some(_), Some(_)) => Err(ConfigError::Value {
                origin: origin.clone(),
                key: "token-file".to_owned(),
                why: "cannot be given together with a token".to_owned(),
            }),
            (token, None) => Ok(token.clone()),
            (None, Some(path)) => secret_in(path, origin).map(Some),
        }
    }
}

/// Reads the token from its file, which `origin` has named.
pub(crate) fn secret_in(path: &Path, origin: &Origin) -> Result<Secret, ConfigError> {
    let text = mist_net::file::read_text(path).map_err(|source| ConfigError::Read {
        path: path.to_owned(),
        source,
    })?;
    let token = only_line(&text).and_then(|token| Secret::new(token).ok_or("is empty"));
    token.map_err(|why| ConfigError::Value {
        origin: origin.clone(),
        key: "token-file".to_owned(),
        why: format!("'{}' {why}", path.display()),
    })
}

/// A switch that only the environment and the command line know.
pub(crate) fn switch(
    key: &str,
    lookup: impl Fn(&str) -> Option<OsString>,
) -> Result<bool, ConfigError> {
    let Some(text) = lookup(&variable(key)) else {
        return Ok(false);
    };
    let value = Value::String(text.to_string_lossy().into_owned());
    value::flag(&value, &Origin::Environment).map_err(|why| ConfigError::Value {
        origin: Origin::Environment,
        key: key.to_owned(),
        why,
    })
}

/// A setting and the source that decided it.
#[derive(Clone, Debug)]
pub(crate) struct Decided<T> {
    pub(crate) value: T,
    pub(crate) origin: Origin,
}

/// What is used: every setting, decided.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) server: Decided<bool>,
    pub(crate) listeners: Decided<Vec<String>>,
    pub(crate) operator_listener: Decided<Vec<String>>,
    pub(crate) cluster: Option<Decided<String>>,
    pub(crate) cluster_optional: Decided<bool>,
    pub(crate) tls_cert: Option<Decided<PathBuf>>,
    pub(crate) tls_key: Option<Decided<PathBuf>>,
    pub(crate) authenticator: Decided<Vec<String>>,
    pub(crate) token: Option<Decided<Secret>>,
    /// Where the token was read from.
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) access: Decided<Access>,
    pub(crate) allow_origin: Decided<Vec<String>>,
    pub(crate) allow_host: Decided<Vec<String>>,
    pub(crate) trusted_proxies: Decided<Vec<String>>,
    pub(crate) no_page: Decided<bool>,
    pub(crate) no_metrics: Decided<bool>,
    pub(crate) drain_delay: Decided<Duration>,
    pub(crate) drain: Decided<Duration>,
    pub(crate) log_level: Decided<LogLevel>,
    pub(crate) log_format: Decided<LogFormat>,
    /// Those that differ from the defaults in [`Limits`] on purpose.
    pub(crate) limits: BTreeMap<String, Decided<u64>>,
}

impl Settings {
    /// Decides every setting; of two layers that give it, the one further in front wins.
    pub(crate) fn decide(layers: &[(Origin, Layer)], faults: &mut Vec<ConfigError>) -> Self {
        let layer_of_token = layers
            .iter()
            .find(|(_, layer)| layer.token.is_some() || layer.token_file.is_some());
        let token = match layer_of_token {
            Some((origin, layer)) => {
                let secret = layer.secret(origin);
                let secret = secret.unwrap_or_else(|error| {
                    faults.push(error);
                    None
                });
                secret.map(|value| Decided {
                    value,
                    origin: origin.clone(),
                })
            }
            None => None,
        };
        let token_file = layer_of_token.and_then(|(_, layer)| layer.token_file.clone());
        let mut limits = BTreeMap::new();
        for (origin, layer) in layers.iter().rev() {
            for (name, &value) in &layer.limits {
                let origin = origin.clone();
                limits.insert(name.clone(), Decided { value, origin });
            }
        }
        let default = || {
            DEFAULT_LISTENERS
                .iter()
                .map(|&uri| uri.to_owned())
                .collect()
        };
        Self {
            server: first(layers, |layer| layer.server).unwrap_or_default(),
            listeners: first(layers, |layer| layer.listeners.clone())
                .unwrap_or_else(|| Decided::by_default(default())),
            operator_listener: first(layers, |layer| layer.operator_listener.clone())
                .unwrap_or_default(),
            cluster: first(layers, |layer| layer.cluster.clone()),
            cluster_optional: first(layers, |layer| layer.cluster_optional).unwrap_or_default(),
            tls_cert: first(layers, |layer| layer.tls_cert.clone()),
            tls_key: first(layers, |layer| layer.tls_key.clone()),
            authenticator: first(layers, |layer| layer.authenticator.clone()).unwrap_or_default(),
            token,
            token_file,
            access: first(layers, |layer| layer.access).unwrap_or_default(),
            allow_origin: first(layers, |layer| layer.allow_origin.clone()).unwrap_or_default(),
            allow_host: first(layers, |layer| layer.allow_host.clone()).unwrap_or_default(),
            trusted_proxies: first(layers, |layer| layer.trusted_proxies.clone())
                .unwrap_or_default(),
            no_page: first(layers, |layer| layer.no_page).unwrap_or_default(),
            no_metrics: first(layers, |layer| layer.no_metrics).unwrap_or_default(),
            drain_delay: first(layers, |layer| layer.drain_delay).unwrap_or_default(),
            drain: first(layers, |layer| layer.drain).unwrap_or_default(),
            log_level: first(layers, |layer| layer.log_level).unwrap_or_default(),
            log_format: first(layers, |layer| layer.log_format).unwrap_or_default(),
            limits,
        }
    }

    /// Checks what a server needs of the settings as a whole.
    pub(crate) fn check(&self, faults: &mut Vec<ConfigError>) {
        let half = match (&self.tls_cert, &self.tls_key) {
            (Some(_), None) => {
                Some("a certificate needs its private key: add --tls-key or MIST_TLS_KEY")
            }
            (None, Some(_)) => {
                Some("a private key needs its certificate: add --tls-cert or MIST_TLS_CERT")
            }
            _ => None,
        };
        faults.extend(half.map(ConfigError::Contradiction));
    }

    /// Says what is set without any effect.
    pub(crate) fn remark(&self) -> Option<String> {
        let optional = &self.cluster_optional;
        (optional.value && self.cluster.is_none()).then(|| {
            let name = optional.origin.names("cluster-optional");
            format!("{name} does nothing without a cluster: add --cluster or MIST_CLUSTER")
        })
    }

    /// Whether a token was given that could not be read, which is a fault by itself.
    pub(crate) fn lacks_token_given(&self) -> bool {
        self.token.is_none() && self.token_file.is_some()
    }

    /// The limits with all that was set.
    pub(crate) fn limits(&self) -> Result<Limits, String> {
        let mut limits = Limits::default();
        for (name, decided) in &self.limits {
            limits.set(name, decided.value)?;
        }
        Ok(limits)
    }
}

impl<T> Decided<T> {
    fn by_default(value: T) -> Self {
        Self {
            value,
            origin: Origin::Default,
        }
    }
}

impl<T: Default> Default for Decided<T> {
    fn default() -> Self {
        Self::by_default(T::default())
    }
}

fn first<T>(layers: &[(Origin, Layer)], pick: impl Fn(&Layer) -> Option<T>) -> Option<Decided<T>> {
    layers.iter().find_map(|(origin, layer)| {
        pick(layer).map(|value| Decided {
            value,
            origin: origin.clone(),
        })
    })
}

#[cfg(test)]
mod tests;
