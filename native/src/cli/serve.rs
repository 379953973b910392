//! Owns server mode: logs, the start-up lines, signals; the server itself is the library's.

use std::io::IsTerminal;

use mist::{Address, Handle, Server, ServerBuilder};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::args::VERSION;
use super::exit::{Code, Stop};
use super::out;
use crate::config::{LogLevel, Settings};

/// Runs a server until a signal ends it.
pub(super) fn serve(settings: &Settings) -> Result<(), Stop> {
    start_log(settings.log_level.value);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        // Sockets are looked at this often between turns of busy connections. The default of 61 makes everybody else
        // wait milliseconds beside a flood.
        .event_interval(4)
        .build()
        .map_err(|error| cannot_start(&error))?;
    raise_file_limit();
    runtime.block_on(run(settings))
}

/// Describes the server that the settings ask for.
pub(super) fn builder(settings: &Settings) -> Result<ServerBuilder, String> {
    let mut builder = Server::builder()
        .access(settings.access.value)
        .limits(settings.limits()?)
        .page(!settings.no_page.value)
        .metrics(!settings.no_metrics.value);
    for uri in &settings.listeners.value {
        builder = builder.listen(uri);
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
    if let Some(uri) = &settings.authenticator {
        builder = builder.authenticator(&uri.value);
    }
    if let Some(token) = &settings.token {
        builder = builder.token(token.value.reveal());
    }
    Ok(builder)
}

async fn run(settings: &Settings) -> Result<(), Stop> {
    let mut signals = Signals::new().map_err(|error| cannot_start(&error))?;
    // A program that does not take them is ended by them, also while it starts.
    let hangups = signal(SignalKind::hangup()).map_err(|error| cannot_start(&error))?;
    let builder = builder(settings).map_err(|error| cannot_start(&error))?;
    out::note(&format!("mist {VERSION}"));
    let server = builder.bind().await.map_err(|error| cannot_start(&error))?;
    for address in server.addresses() {
        let name = address.scheme().to_ascii_uppercase();
        let is_encrypted = ["tls", "https", "wss"].contains(&address.scheme());
        let made = match server.fingerprint().filter(|_| is_encrypted) {
            Some(fingerprint) => format!(" (self-signed certificate, SHA-256 {fingerprint})"),
            None => String::new(),
        };
        out::note(&format!("{name} server listening at '{address}'{made}"));
    }
    reload_at(hangups, server.handle(), settings.tls_cert.is_some());
    if let Some(page) = page(server.addresses()).filter(|_| !settings.no_page.value) {
        out::note(&format!("the page is at {page}"));
    }
    server
        .run(async {
            signals.next().await;
            out::note("stopping: no new connections, flushing what is queued; signal again to exit at once");
            // The drain goes on while this waits for a second signal.
            tokio::spawn(async move {
                signals.next().await;
                std::process::exit(Code::Interrupted as i32);
            });
        })
        .await;
    out::note("stopped");
    Ok(())
}

/// Where a browser on this machine finds the page: on a listener for HTTP rather than on one for WebSocket.
fn page(addresses: &[Address]) -> Option<String> {
    let on = |wanted: &[&str]| {
        let mut addresses = addresses.iter();
        addresses.find(|address| wanted.contains(&address.scheme()))
    };
    let address = on(&["http", "https"]).or_else(|| on(&["ws", "wss"]))?;
    let socket = address.socket()?;
    let scheme = match address.scheme() {
        "https" | "wss" => "https",
        _ => "http",
    };
    Some(match socket.ip().is_unspecified() {
        true => format!("{scheme}://localhost:{}/", socket.port()),
        false => format!("{scheme}://{socket}/"),
    })
}

/// Reads the certificate anew at each hang-up; without files there is nothing to read.
fn reload_at(mut hangups: Signal, server: Handle, has_files: bool) {
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            if !has_files {
                tracing::info!(
                    "SIGHUP: nothing to read again, since no certificate file is in use (--tls-cert)"
                );
                continue;
            }
            match server.reload_tls() {
                Ok(()) => tracing::info!("the certificate was read again"),
                Err(error) => tracing::error!("going on with the certificate as it was: {error}"),
            }
        }
    });
}

/// Takes all the files the system allows this process, as servers do; each connection is one.
pub(super) fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "cannot raise the limit of open files");
    }
}

fn cannot_start(error: &dyn std::fmt::Display) -> Stop {
    Stop::failed(format!("mist cannot start: {error}"))
}

/// Sends log lines to stderr, those of other libraries only when they matter.
pub(super) fn start_log(level: LogLevel) {
    let own = match level {
        LogLevel::Trace => LevelFilter::TRACE,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error | LogLevel::Fatal => LevelFilter::ERROR,
    };
    let others = match level {
        LogLevel::Trace => LevelFilter::TRACE,
        _ => own.min(LevelFilter::WARN),
    };
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(!plain && std::io::stderr().is_terminal());
    tracing_subscriber::registry()
        .with(
            Targets::new()
                .with_target("mist", own)
                .with_target("mist_core", own)
                .with_default(others),
        )
        .with(lines)
        .init();
}

/// The signals that end a server.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
