//! Owns server mode: logs, the start-up lines, signals; the server itself is the library's.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mist::Address;
#[cfg(unix)]
use mist::ServerBuilder;
use parking_lot::Mutex;

use super::describe::{builder, explained, faults, known_listeners};
use super::exit::{Code, Stop};
use super::help::VERSION;
use super::log::{self, Level, Log};
use super::notify::Manager;
use super::reload::Reload;
use super::signals::{Ends, Hangups};
use super::{memory, open_files};
use crate::config::{self, Settings};

/// How long the end waits for the log to be written, which is not read perhaps; the drain leaves this much time.
const LAST_LINES: Duration = Duration::from_millis(200);
/// How long an end that is hurried takes at most.
const HURRY: Duration = Duration::from_secs(1);

/// Runs a server until a signal ends it; `read` reads its settings again. All it says goes through the log, so that
/// nothing waits for its reader.
pub(super) fn serve(
    settings: Settings,
    read: impl Fn() -> Result<Settings, Stop> + Send + 'static,
) -> Result<(), Stop> {
    let format = settings.log_format.value;
    let log = Log::start(format, io::stderr()).map_err(|error| cannot_start(&error))?;
    log.take_panics(LAST_LINES);
    let lines = log.clone();
    let level = log::start(settings.log_level.value, format, move || lines.clone());
    let mut result = run_on_threads(settings, read, &log, level);
    if let Some(text) = result.as_mut().err().and_then(|stop| stop.text.take()) {
        log.error(&text);
    }
    log.flush(LAST_LINES);
    result
}

fn run_on_threads(
    settings: Settings,
    read: impl Fn() -> Result<Settings, Stop> + Send + 'static,
    log: &Log,
    level: Level,
) -> Result<(), Stop> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        // Sockets are looked at this often between turns of busy connections. The default of 61 makes everybody else
        // wait milliseconds beside a flood.
        .event_interval(4)
        .build()
        .map_err(|error| cannot_start(&error))?;
    open_files::take_all();
    let result = runtime.block_on(run(settings, read, log, level));
    // Whatever still waits, for a name server say, does not hold up the end.
    runtime.shutdown_background();
    result
}

/// Hands over the sockets that the service manager listens on for us (`LISTEN_FDS`).
#[cfg(unix)]
fn with_inherited(mut builder: ServerBuilder) -> ServerBuilder {
    let mut sockets = listenfd::ListenFd::from_env();
    for at in 0..sockets.len() {
        if let Ok(Some(socket)) = sockets.take_tcp_listener(at) {
            builder = builder.inherit(socket);
        } else if let Ok(Some(socket)) = sockets.take_unix_listener(at) {
            builder = builder.inherit(socket);
        } else {
            tracing::warn!(
                "not using what was passed on as file {}: it is no socket that takes connections",
                3 + at
            );
        }
    }
    builder
}

async fn run(
    settings: Settings,
    read: impl Fn() -> Result<Settings, Stop> + Send + 'static,
    log: &Log,
    level: Level,
) -> Result<(), Stop> {
    let mut signals = Ends::new().map_err(|error| cannot_start(&error))?;
    // A program that does not take them is ended by them, also while it starts.
    let hangups = Hangups::new().map_err(|error| cannot_start(&error))?;
    let listeners = known_listeners(&settings.listeners.value);
    let faults = faults(&settings, &listeners);
    if !faults.is_empty() {
        let text = format!("mist cannot start: {}", faults.join("; "));
        return Err(Stop::usage(text));
    }
    if let Some(remark) = settings.remark() {
        tracing::warn!("{remark}");
    }
    let builder = builder(&settings, &listeners).map_err(|error| cannot_start(&error))?;
    log.line(&format!("mist {VERSION}"));
    let variables = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for (wrong, meant) in config::misspelt(variables) {
        tracing::warn!("the environment variable {wrong} is not a setting: did you mean {meant}?");
    }
    #[cfg(unix)]
    let builder = with_inherited(builder);
    let builder = builder.counter(
        "log_lines_lost",
        "Lines of the log that were lost, since stderr took no more",
        log.lost(),
    );
    let bound = tokio::select! {
        bound = builder.bind() => bound,
        // A token store may keep the start waiting.
        () = signals.next() => return Ok(()),
    };
    let server = bound.map_err(|error| cannot_start(&explained(&error)))?;
    for address in server.addresses() {
        let name = address.scheme().to_ascii_uppercase();
        let is_encrypted = ["tls", "https", "wss"].contains(&address.scheme());
        let made = match server.fingerprint().filter(|_| is_encrypted) {
            Some(fingerprint) => format!(" (self-signed certificate, SHA-256 {fingerprint})"),
            None => String::new(),
        };
        log.line(&format!("{name} server listening at '{address}'{made}"));
    }
    for address in server.operator_addresses() {
        log.line(&format!("operators are answered at '{address}'"));
    }
    memory::return_after_bursts(server.handle());
    if let Some(page) = page(server.addresses()).filter(|_| !settings.no_page.value) {
        log.line(&format!("the page is at {page}"));
    }
    let manager = Manager::from_environment();
    let settings = Arc::new(Mutex::new(settings));
    let reload = Reload {
        settings: Arc::clone(&settings),
        read,
        server: server.handle(),
        level,
    };
    reload_at(hangups, reload, manager.clone());
    // From here on clients are served.
    manager.ready();
    let handle = server.handle();
    let is_hurried = Arc::new(AtomicBool::new(false));
    server
        .run(async {
            signals.next().await;
            let (words, most) = leave(&settings.lock());
            manager.stopping(most);
            log.line(&format!("stopping: {words}; signal again to exit at once"));
            // The end goes on while this waits for a second signal.
            let (log, is_hurried) = (log.clone(), Arc::clone(&is_hurried));
            tokio::spawn(async move {
                signals.next().await;
                is_hurried.store(true, Ordering::Relaxed);
                handle.hurry();
                // For whatever cannot be hurried.
                tokio::time::sleep(HURRY).await;
                log.flush(LAST_LINES);
                std::process::exit(Code::Interrupted as i32);
            });
        })
        .await;
    log.line("stopped");
    match is_hurried.load(Ordering::Relaxed) {
        true => Err(Stop::quiet(Code::Interrupted)),
        false => Ok(()),
    }
}

/// How a server takes leave, and how long that may take.
fn leave(settings: &Settings) -> (String, Duration) {
    let (delay, drain) = (settings.drain_delay.value, settings.drain.value);
    let flush = settings.limits().unwrap_or_default().drain_seconds;
    let most = delay + drain + Duration::from_secs(flush.into()) + HURRY;
    let mut words = match delay {
        Duration::ZERO => "no new connections".to_owned(),
        delay => format!("not ready from now on, no new connections in {delay:?}"),
    };
    if !drain.is_zero() {
        words += &format!(", closing those that are open over {drain:?}");
    }
    (words + ", flushing what is queued", most)
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

/// Reads everything again at each hang-up.
fn reload_at<R>(mut hangups: Hangups, reload: Reload<R>, manager: Manager)
where
    R: Fn() -> Result<Settings, Stop> + Send + 'static,
{
    tokio::spawn(async move {
        while hangups.next().await.is_some() {
            manager.reloading();
            // It reads files.
            tokio::task::block_in_place(|| reload.run());
            manager.ready();
        }
    });
}

fn cannot_start(error: &dyn std::fmt::Display) -> Stop {
    Stop::failed(format!("mist cannot start: {error}"))
}
