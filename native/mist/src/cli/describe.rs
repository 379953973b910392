//! Owns how a server is described as the settings ask for it, and what is said where none can be made of them.

use mist::{AddressError, BindError, Server, ServerBuilder};
use mist_net::address::{Endpoint, without_secrets};

use crate::config::Settings;

/// What to type where the token is missing.
pub(super) const TOKEN_HINT: &str =
    "add --token-file FILE, MIST_TOKEN_FILE, --token TOKEN or MIST_TOKEN";

/// Says why the server cannot start, and what to type instead.
pub(super) fn explained(error: &BindError) -> String {
    match error {
        BindError::MissingToken => format!("{error} - {TOKEN_HINT}"),
        BindError::ScopedWithoutToken => format!("{error}; {TOKEN_HINT}"),
        BindError::Origin { value, why, .. } => format!("invalid --allow-origin '{value}' - {why}"),
        BindError::Host { value, why, .. } => format!("invalid --allow-host '{value}' - {why}"),
        BindError::Proxies { value, why, .. } => {
            format!("invalid --trusted-proxies '{value}' - {why}")
        }
        error => error.to_string(),
    }
}

/// Leaves out the listeners of unknown schemes, as the original does, with a line in the log.
pub(super) fn known_listeners(listeners: &[String]) -> Vec<String> {
    let is_known = |uri: &&String| match Endpoint::to_listen(uri) {
        Err(why @ (AddressError::UnknownScheme { .. } | AddressError::MissingScheme { .. })) => {
            let uri = without_secrets(uri);
            tracing::error!("unsupported listener '{uri}' - {why}; skipped");
            false
        }
        _ => true,
    };
    listeners.iter().filter(is_known).cloned().collect()
}

/// Describes the server that the settings ask for.
pub(super) fn builder(settings: &Settings, listeners: &[String]) -> Result<ServerBuilder, String> {
    let mut builder = Server::builder()
        .access(settings.access.value)
        .limits(settings.limits()?)
        .page(!settings.no_page.value)
        .metrics(!settings.no_metrics.value)
        .drain(settings.drain_delay.value, settings.drain.value);
    for uri in listeners {
        builder = builder.listen(uri);
    }
    for uri in &settings.operator_listener.value {
        builder = builder.operator_listen(uri);
    }
    if let Some(uri) = &settings.cluster {
        builder = builder.cluster(&uri.value);
        builder = builder.cluster_optional(settings.cluster_optional.value);
    }
    for origin in &settings.allow_origin.value {
        builder = builder.allow_origin(origin);
    }
    for host in &settings.allow_host.value {
        builder = builder.allow_host(host);
    }
    for network in &settings.trusted_proxies.value {
        builder = builder.trusted_proxies(network);
    }
    if let (Some(certificate), Some(key)) = (&settings.tls_cert, &settings.tls_key) {
        builder = builder.tls(&certificate.value, &key.value);
    }
    for uri in &settings.authenticator.value {
        builder = builder.authenticator(uri);
    }
    if let Some(token) = &settings.token {
        builder = builder.token(token.value.reveal());
    }
    Ok(builder)
}

/// Checks what a server would be made of, as far as that takes no address; returns all that is wrong.
pub(super) fn faults(settings: &Settings, listeners: &[String]) -> Vec<String> {
    let builder = match builder(settings, listeners) {
        Ok(builder) => builder,
        Err(why) => return vec![why],
    };
    let faults = builder.faults().into_iter();
    let follows = |fault: &BindError| {
        settings.lacks_token_given()
            && matches!(
                fault,
                BindError::MissingToken | BindError::ScopedWithoutToken
            )
    };
    let faults = faults.filter(|fault| !follows(fault));
    let mut faults: Vec<_> = faults.map(|fault| explained(&fault)).collect();
    if listeners.is_empty() {
        let why = "no listener to start: name at least one, as in --listeners tcp://127.0.0.1:1445";
        faults.push(why.into());
    }
    faults
}
