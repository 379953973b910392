//! Owns how commands reach a server, and what exit code each way of failing has.

use std::ffi::OsString;
use std::time::Duration;

use mist::client::{Client, ClientError};

use super::args::{HostArgs, SharedArgs};
use super::exit::{Code, Stop};
use super::{serve, shared_layer};
use crate::config::{self, Layer, Origin, Secret, Settings};

const DEFAULT_HOST: &str = "127.0.0.1:1445";
const DEFAULT_PORT: u16 = 1445;

/// A server to talk to, and what to show it.
#[derive(Debug)]
pub(super) struct Target {
    /// As given, for texts.
    pub(super) host: String,
    pub(super) uri: String,
    token: Option<Secret>,
}

impl Target {
    /// Finds out which server is meant, from the flags, then the environment.
    pub(super) fn new(host: &HostArgs, shared: &SharedArgs) -> Result<Self, Stop> {
        let lookup = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let environment = Layer::from_environment(config::CLIENT_KEYS, lookup)?;
        let settings = Settings::decide(&[
            (Origin::CommandLine, shared_layer(shared)),
            (Origin::Environment, environment),
        ])?;
        // The commands speak for themselves; logs are for those who ask for them.
        if settings.log_level.origin != Origin::Default {
            serve::start_log(settings.log_level.value);
        }
        let host = host.host.clone().or_else(|| {
            lookup(&config::variable("host"))
                .map(OsString::into_string)
                .and_then(Result::ok)
        });
        let host = host.unwrap_or_else(|| DEFAULT_HOST.to_owned());
        Ok(Self {
            uri: uri(&host).map_err(Stop::usage)?,
            host,
            token: settings.token.map(|token| token.value),
        })
    }
}

/// Makes a URI of what `--host` takes.
fn uri(host: &str) -> Result<String, String> {
    let (scheme, rest) = host.split_once("://").unwrap_or(("tcp", host));
    match scheme.to_ascii_lowercase().as_str() {
        "ws" => return Ok(host.to_owned()),
        "tcp" => {}
        _ => {
            return Err(format!(
                "cannot use the host '{host}': the scheme '{scheme}' is not supported, use tcp or ws"
            ));
        }
    }
    // `:1445` is this machine, as elsewhere; `[::1]` and `name` lack a port.
    let rest = rest.trim_end_matches('/');
    let (name, port) = match rest.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, port.parse().ok()),
        _ => (rest, Some(DEFAULT_PORT)),
    };
    let name = if name.is_empty() { "127.0.0.1" } else { name };
    let is_bare_v6 = name.contains(':') && !name.starts_with('[');
    match port {
        Some(port) if !is_bare_v6 => Ok(format!("tcp://{name}:{port}")),
        _ => Err(format!(
            "cannot use the host '{host}': write HOST:PORT, as in {DEFAULT_HOST} or [::1]:1445"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_may_lack_scheme_port_and_name() {
        for (host, expected) in [
            ("127.0.0.1:1445", "tcp://127.0.0.1:1445"),
            ("example.org", "tcp://example.org:1445"),
            (":99", "tcp://127.0.0.1:99"),
            ("[::1]", "tcp://[::1]:1445"),
            ("[::1]:7", "tcp://[::1]:7"),
            ("tcp://h:7/", "tcp://h:7"),
            ("ws://h:7/x", "ws://h:7/x"),
        ] {
            assert_eq!(uri(host).as_deref(), Ok(expected), "{host}");
        }
    }

    #[test]
    fn what_cannot_be_reached_is_named() {
        for host in ["tls://h:1", "unix:///x", "h:notaport", "::1", "h:99999"] {
            let error = uri(host).expect_err(host);
            assert!(error.contains(&format!("'{host}'")), "{error}");
        }
    }
}
