//! Owns how flags, the environment and a config file become settings; knows nothing of what is done with them.

use std::path::Path;

use super::exit::Stop;
use super::host::SharedArgs;
use super::server_args::ServerArgs;
use crate::config::{self, ConfigError, Layer, LogLevel, Origin, Secret, Settings};

impl From<ConfigError> for Stop {
    fn from(error: ConfigError) -> Self {
        Self::usage(error.to_string())
    }
}

/// Ends the command where settings are wrong, with a line for each fault.
pub(super) fn refuse(faults: &[ConfigError]) -> Result<(), Stop> {
    let lines: Vec<_> = faults.iter().map(ToString::to_string).collect();
    match lines.is_empty() {
        true => Ok(()),
        false => Err(Stop::usage(lines.join("\n"))),
    }
}

pub(super) fn shared_layer(shared: &SharedArgs) -> Layer {
    Layer {
        token: shared.token.as_deref().and_then(Secret::new),
        token_file: shared.token_file.clone(),
        log_level: shared.log_level,
        log_format: shared.log_format,
        ..Layer::default()
    }
}

pub(super) fn server_settings(
    is_server: bool,
    server: &ServerArgs,
    shared: &SharedArgs,
) -> Result<Settings, Stop> {
    let list = |lists: &[String], split: fn(&str) -> Vec<String>| {
        let items = || lists.iter().flat_map(|list| split(list));
        (!lists.is_empty()).then(|| items().collect())
    };
    let flags = Layer {
        server: is_server.then_some(true),
        listeners: list(&server.listeners, config::comma_list),
        operator_listener: list(&server.operator_listener, config::comma_list),
        cluster: server.cluster.clone(),
        cluster_optional: server.cluster_optional.then_some(true),
        allow_origin: list(&server.allow_origin, config::whole_list),
        allow_host: list(&server.allow_host, config::whole_list),
        trusted_proxies: list(&server.trusted_proxies, config::whole_list),
        no_page: server.no_page.then_some(true),
        no_metrics: server.no_metrics.then_some(true),
        drain_delay: server.drain_delay,
        drain: server.drain,
        tls_cert: server.tls_cert.clone(),
        tls_key: server.tls_key.clone(),
        authenticator: list(&server.authenticator, |uri| vec![uri.to_owned()]),
        access: server.access,
        log_level: shared.log_level.or(shared.quiet.then_some(LogLevel::Warn)),
        limits: server.limits.iter().cloned().collect(),
        ..shared_layer(shared)
    };
    let file = server.config.clone().or_else(|| {
        std::env::var_os(config::variable("config"))
            .filter(|path| !path.is_empty())
            .map(Into::into)
    });
    let mut faults = Vec::new();
    let settings = layered(flags, file.as_deref(), &mut faults);
    if settings.server.value {
        settings.check(&mut faults);
    }
    refuse(&faults)?;
    Ok(settings)
}

/// Puts the flags over the environment over a file.
pub(super) fn layered(
    flags: Layer,
    file: Option<&Path>,
    faults: &mut Vec<ConfigError>,
) -> Settings {
    let environment = Layer::from_environment(config::KEYS, |name| std::env::var_os(name), faults);
    let mut layers = vec![
        (Origin::CommandLine, flags),
        (Origin::Environment, environment),
    ];
    if let Some(path) = file {
        let layer = Layer::from_file(path, faults);
        layers.push((Origin::File(path.to_owned()), layer));
    }
    Settings::decide(&layers, faults)
}
