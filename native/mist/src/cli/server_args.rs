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
    /// Where operators and their machines ask for /metrics, /healthz and /readyz, which are nowhere else
    /// then: http://, https:// or tcp:// with HOST:PORT, or unix:///PATH; a comma list and/or repeated
    /// [default: on the http and ws listeners]
    #[arg(long, value_name = "URI")]
    pub(crate) operator_listener: Vec<String>,
    /// Join the servers that have the same NATS, as one: nats://HOST:PORT?name=CLUSTER&node=NAME, or tls://,
    /// with USER:PASSWORD@ or TOKEN@ in front of the host; what is published at one reaches the
    /// subscribers of all [default: on its own]
    #[arg(long, value_name = "URI")]
    pub(crate) cluster: Option<String>,
    /// Be ready for clients (/readyz) also while the cluster's NATS is away
    #[arg(long)]
    pub(crate) cluster_optional: bool,
    /// The certificate for tls://, https:// and wss://, in PEM, followed by those that vouch for it;
    /// read again on SIGHUP [default: one made at each start]
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The certificate's private key, in PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Where tokens are stored: memory://, sqlite:///FILE, scribble://?db=FOLDER or
    /// postgres://USER:PASSWORD@HOST:PORT?db=NAME, which needs a token; or who verifies them:
    /// jwt://?jwks=URL&issuer=NAME&audience=NAME, or an application at https://HOST/PATH; repeated for
    /// several, of which one may store tokens
    #[arg(long, value_name = "URI")]
    pub(crate) authenticator: Vec<String>,
    /// Who may use the basic commands: open (everybody) or scoped (tokens, within their tags)
    /// [default: open]
    #[arg(long, value_name = "MODE", value_parser = config::access)]
    pub(crate) access: Option<Access>,
    /// Let the pages of an origin talk to the http and ws listeners: https://example.com,
    /// https://*.example.com, null, or * for all; a comma list and/or repeated
    /// [default: pages of the same host, and of this machine where it listens on loopback]
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) allow_origin: Vec<String>,
    /// A name that the http and ws listeners go by, as mist.example.com or *.example.com; those on
    /// loopback refuse requests for other names, with this flag all do; a comma list and/or repeated
    /// [default: localhost and IP addresses]
    #[arg(long, value_name = "HOST")]
    pub(crate) allow_host: Vec<String>,
    /// Networks of proxies that are believed about whom they ask for, by X-Forwarded-For or Forwarded:
    /// 10.0.0.0/8 or an address; a comma list and/or repeated [default: none]
    #[arg(long, value_name = "CIDR")]
    pub(crate) trusted_proxies: Vec<String>,
    /// Do not serve the page at /, which everybody gets who reaches an http or ws listener, also with
    /// --access scoped
    #[arg(long)]
    pub(crate) no_page: bool,
    /// Do not serve the figures at /metrics, which everybody gets as well, unless there is an
    /// --operator-listener; with --access scoped only who shows the server's token or asks from this machine
    #[arg(long)]
    pub(crate) no_metrics: bool,
    /// At the end, go on for this time while /readyz says 503, as in 5s: so that a balancer sends nobody
    /// new [default: 0s]
    #[arg(long, value_name = "TIME", value_parser = config::duration)]
    pub(crate) drain_delay: Option<Duration>,
    /// At the end, then close connections over this time, as in 15s, so that not all clients go
    /// elsewhere at once [default: 0s]
    #[arg(long, value_name = "TIME", value_parser = config::duration)]
    pub(crate) drain: Option<Duration>,
    /// Settings from a file of YAML, JSON or TOML, as .yml, .yaml, .json or .toml in its name says, or its
    /// text shows
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
