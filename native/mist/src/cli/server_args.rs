//! Owns the flags that describe a server.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use mist::Access;

use super::help;
use crate::config;

/// What only a server needs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Server")]
pub(crate) struct ServerArgs {
    /// Where to listen: tcp://, tls://, http://, https://, ws://, wss:// with HOST:PORT, or
    /// unix:///PATH?mode=0600; a comma list and/or repeated
    /// [default: tcp://localhost:1445, http://localhost:8080, ws://localhost:8888]
    #[arg(long, value_name = "URI", num_args = 1..)]
    pub(crate) listeners: Vec<String>,
    /// Serve /metrics, /healthz and /readyz here, and no longer on the other listeners: http://, https://
    /// or tcp:// with HOST:PORT, or unix:///PATH; a comma list and/or repeated
    /// [default: on the http and ws listeners]
    #[arg(long, value_name = "URI")]
    pub(crate) operator_listener: Vec<String>,
    /// Form a cluster with other servers over NATS: nats://HOST:PORT?name=CLUSTER&node=NAME, or tls://,
    /// with USER:PASSWORD@ or TOKEN@ in front of the host; what is published at one server reaches the
    /// subscribers of all [default: no cluster]
    #[arg(long, value_name = "URI")]
    pub(crate) cluster: Option<String>,
    /// Report ready (/readyz) even if the cluster's NATS cannot be reached
    #[arg(long)]
    pub(crate) cluster_optional: bool,
    /// The certificate for tls://, https:// and wss://, in PEM, followed by those of its issuers;
    /// read again on SIGHUP [default: a self-signed one, made at each start]
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The certificate's private key, in PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,
    /// A token store: memory://, sqlite:///FILE, scribble://?db=FOLDER or
    /// postgres://USER:PASSWORD@HOST:PORT?db=NAME, which needs --token; or what verifies tokens:
    /// jwt://?jwks=URL&issuer=NAME&audience=NAME, or an application at https://HOST/PATH; repeatable, with
    /// one store at most
    #[arg(long, value_name = "URI")]
    pub(crate) authenticator: Vec<String>,
    /// Who may use the basic commands: open (everybody) or scoped (tokens, within their tags)
    /// [default: open]
    #[arg(long, value_name = "MODE", value_parser = config::access)]
    pub(crate) access: Option<Access>,
    /// Allow the pages of an origin to use the http and ws listeners: https://example.com,
    /// https://*.example.com, null, or * for all; a comma list and/or repeated
    /// [default: pages of the same host, and on loopback listeners those of this machine]
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) allow_origin: Vec<String>,
    /// A host name of the server, as mist.example.com or *.example.com; http and ws listeners on loopback
    /// refuse requests for other names, with this flag all do; a comma list and/or repeated
    /// [default: localhost and IP addresses]
    #[arg(long, value_name = "HOST")]
    pub(crate) allow_host: Vec<String>,
    /// Networks of proxies that are trusted to name the client, in X-Forwarded-For or Forwarded:
    /// 10.0.0.0/8 or an address; a comma list and/or repeated [default: none]
    #[arg(long, value_name = "CIDR")]
    pub(crate) trusted_proxies: Vec<String>,
    /// Do not serve the page at /, which otherwise needs no token, even with --access scoped
    #[arg(long)]
    pub(crate) no_page: bool,
    /// Do not serve the figures at /metrics, which otherwise need no token, except with --access scoped on
    /// listeners for clients: there the server's token, or a request from this machine
    #[arg(long)]
    pub(crate) no_metrics: bool,
    /// At shutdown, go on for this time while /readyz says 503, as in 5s, so that load balancers choose
    /// other servers for new clients [default: 0s]
    #[arg(long, value_name = "TIME", value_parser = config::duration)]
    pub(crate) drain_delay: Option<Duration>,
    /// At shutdown, then close connections over this time, as in 15s, so that clients do not all reconnect
    /// elsewhere at once [default: 0s]
    #[arg(long, value_name = "TIME", value_parser = config::duration)]
    pub(crate) drain: Option<Duration>,
    /// Read settings from a file in YAML, JSON or TOML; its format is known by the extension (.yml, .yaml,
    /// .json, .toml) or by its text
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Change a limit, repeatable
    #[arg(
        long = "limit",
        alias = "limits",
        value_name = "NAME=VALUE",
        value_delimiter = ',',
        value_parser = config::limit,
        help = help::limit()
    )]
    pub(crate) limits: Vec<(String, u64)>,
}

impl ServerArgs {
    /// The first of these flags that was given, to say that it does not go with a command.
    pub(crate) fn given(&self) -> Option<&'static str> {
        [
            ("--listeners", !self.listeners.is_empty()),
            ("--operator-listener", !self.operator_listener.is_empty()),
            ("--cluster", self.cluster.is_some()),
            ("--cluster-optional", self.cluster_optional),
            ("--tls-cert", self.tls_cert.is_some()),
            ("--tls-key", self.tls_key.is_some()),
            ("--authenticator", !self.authenticator.is_empty()),
            ("--access", self.access.is_some()),
            ("--allow-origin", !self.allow_origin.is_empty()),
            ("--allow-host", !self.allow_host.is_empty()),
            ("--trusted-proxies", !self.trusted_proxies.is_empty()),
            ("--no-page", self.no_page),
            ("--no-metrics", self.no_metrics),
            ("--drain-delay", self.drain_delay.is_some()),
            ("--drain", self.drain.is_some()),
            ("--config", self.config.is_some()),
            ("--limit", !self.limits.is_empty()),
        ]
        .iter()
        .find_map(|&(name, given)| given.then_some(name))
    }
}
