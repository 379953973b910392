//! Owns what becomes of log lines: which are written, in which form, and how they reach stderr without blocking when it is not
//! read; knows nothing of what they say.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use serde::Serialize;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, reload};

use super::out;
use super::values::now;
use crate::config::{LogFormat, LogLevel};

/// Bytes that wait for stderr at most; lines beyond that are lost, and counted.
const ROOM: usize = 256 << 10;

/// Sends log lines to a writer, those of other libraries only when they matter. How many there are can be changed.
pub(super) fn start<W>(level: LogLevel, format: LogFormat, writer: W) -> Level
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let lines = match format {
        LogFormat::Text => lines
            .with_ansi(!plain && io::stderr().is_terminal())
            .boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let (targets, handle) = reload::Layer::new(targets(level));
    tracing_subscriber::registry()
        .with(targets)
        .with(lines)
        .init();
    Level(handle)
}

/// How much is logged, which can be changed.
pub(super) struct Level(reload::Handle<Targets, Registry>);

impl Level {
    pub(super) fn set(&self, level: LogLevel) {
        // It fails once logging has ended.
        let _ = self.0.reload(targets(level));
    }
}

fn targets(level: LogLevel) -> Targets {
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
    Targets::new()
        // The beginning of a target is enough: of `mist_server`, too.
        .with_target("mist", own)
        // What it has to say the server says itself.
        .with_target("async_nats", LevelFilter::OFF)
        .with_default(others)
}

/// A line that no library logs, in the form of those that they do.
#[derive(Serialize)]
struct JsonLine<'a> {
    timestamp: String,
    level: &'a str,
    message: &'a str,
    target: &'static str,
}

/// Writes a text of this program as a line.
fn spelled(format: LogFormat, level: &str, text: &str) -> String {
    match format {
        LogFormat::Text => format!("{text}\n"),
        LogFormat::Json => {
            let line = JsonLine {
                timestamp: now(),
                level,
                message: text,
                target: "mist",
            };
            // Texts cannot fail to be JSON.
            serde_json::to_string(&line).unwrap_or_default() + "\n"
        }
    }
}

/// A queue in front of a writer that may block, with a thread of its own. Writing to it never waits. Cheap to clone.
#[derive(Clone)]
pub(super) struct Log(Arc<Shared>);

#[derive(Default)]
struct Shared {
    format: LogFormat,
    state: Mutex<State>,
    /// Told when something is to be written, and when everything is.
    changed: Condvar,
    lost: Arc<AtomicU64>,
}

#[derive(Default)]
struct State {
    /// Whole lines.
    waiting: Vec<u8>,
    is_writing: bool,
    /// Lines that were lost since the log last said so.
    untold: u64,
}

impl Log {
    /// Starts the thread that writes.
    pub(super) fn start(format: LogFormat, out: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            format,
            ..Shared::default()
        });
        let log = Self(Arc::clone(&shared));
        let thread = std::thread::Builder::new().name("mist-log".into());
        thread.spawn(move || shared.write(out))?;
        Ok(log)
    }

    /// Adds a line, which needs no line end, unless only what goes wrong is wanted.
    pub(super) fn line(&self, text: &str) {
        if out::is_quiet() {
            return;
        }
        self.push(spelled(self.0.format, "INFO", text).as_bytes());
    }

    /// Adds a line about what went wrong.
    pub(super) fn error(&self, text: &str) {
        self.push(spelled(self.0.format, "ERROR", text).as_bytes());
    }

    /// Has panics written here as well, wherever they happen. One of the main thread ends the program, so its words are
    /// waited for, but no longer than `patience`.
    pub(super) fn take_panics(&self, patience: Duration) {
        let log = self.clone();
        std::panic::set_hook(Box::new(move |info| {
            let thread = std::thread::current();
            let name = thread.name().unwrap_or("unnamed");
            // Empty unless RUST_BACKTRACE asks for it.
            let trace = std::backtrace::Backtrace::capture();
            let trace = match trace.status() {
                std::backtrace::BacktraceStatus::Captured => format!("\n{trace}"),
                _ => String::new(),
            };
            log.error(&format!("thread '{name}' {info}{trace}"));
            if name == "main" {
                log.flush(patience);
            }
        }));
    }

    /// How many lines were lost.
    pub(super) fn lost(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.0.lost)
    }

    /// Waits until everything is written, but no longer than this.
    pub(super) fn flush(&self, patience: Duration) {
        let mut state = self.0.state.lock();
        let is_busy = |state: &mut State| state.is_writing || !state.waiting.is_empty();
        self.0.changed.wait_while_for(&mut state, is_busy, patience);
    }

    /// Adds whole lines, or loses them where there is no room.
    fn push(&self, lines: &[u8]) {
        let mut state = self.0.state.lock();
        if state.waiting.len() + lines.len() > ROOM {
            return self.0.lose(&mut state, lines);
        }
        state.waiting.extend_from_slice(lines);
        drop(state);
        self.0.changed.notify_all();
    }
}

impl Shared {
    fn lose(&self, state: &mut State, lines: &[u8]) {
        let count = memchr::memchr_iter(b'\n', lines).count() as u64;
        state.untold += count;
        self.lost.fetch_add(count, Ordering::Relaxed);
    }

    /// Writes what comes, for ever.
    fn write(&self, mut out: impl Write) {
        let mut lines = Vec::new();
        let mut state = self.state.lock();
        loop {
            let is_idle = |state: &mut State| state.waiting.is_empty();
            self.changed.wait_while(&mut state, is_idle);
            std::mem::swap(&mut state.waiting, &mut lines);
            state.is_writing = true;
            drop(state);
            let mut unwritten = Vec::new();
            // One at a time, so that lines of several processes do not get mixed up.
            for line in lines.split_inclusive(|&byte| byte == b'\n') {
                if out.write_all(line).is_err() {
                    unwritten.extend_from_slice(line);
                }
            }
            lines.clear();
            state = self.state.lock();
            state.is_writing = false;
            // A disk that is full, say. It is said when a line gets through again.
            self.lose(&mut state, &unwritten);
            if state.waiting.is_empty() {
                if state.untold > 0 && unwritten.is_empty() {
                    let count = std::mem::take(&mut state.untold);
                    let text =
                        format!("{count} lines of the log were lost, since stderr took no more");
                    let line = spelled(self.format, "WARN", &text);
                    state.waiting.extend_from_slice(line.as_bytes());
                }
                self.changed.notify_all();
            }
        }
    }
}

/// For [`tracing_subscriber`], which writes each line in one piece.
impl Write for Log {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.push(lines);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// How long anything may take before a test fails; nothing waits for it to pass.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// A writer that takes a line when it is let, and then passes it on, or fails.
    struct Gate {
        lets: Receiver<io::Result<()>>,
        written: Sender<String>,
    }

    impl Write for Gate {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            // Without the test's sender everything passes.
            self.lets.recv().unwrap_or(Ok(()))?;
            let text = String::from_utf8(line.to_vec()).expect("text");
            let _ = self.written.send(text);
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gated() -> (Log, Sender<io::Result<()>>, Receiver<String>) {
        let (open, lets) = channel();
        let (written, lines) = channel();
        let log = Log::start(LogFormat::Text, Gate { lets, written }).expect("a thread");
        (log, open, lines)
    }

    fn next(lines: &Receiver<String>) -> String {
        lines.recv_timeout(PATIENCE).expect("a line")
    }

    #[test]
    fn lines_come_whole_and_in_order() {
        let (log, open, lines) = gated();
        drop(open);
        for number in 0..1_000 {
            log.line(&number.to_string());
        }
        log.flush(PATIENCE);
        let came: Vec<_> = lines.try_iter().collect();
        let expected: Vec<_> = (0..1_000).map(|number| format!("{number}\n")).collect();
        assert_eq!(came, expected);
    }

    #[test]
    fn who_does_not_read_holds_up_nobody_and_is_told_what_was_lost() {
        let (log, open, lines) = gated();
        let long = "x".repeat(1_023);
        // Nobody reads: this returns all the same, and so does a flush in its time.
        let (fit, sent) = (ROOM >> 10, 1_000);
        for _ in 0..sent {
            log.line(&long);
        }
        log.flush(Duration::from_millis(10));
        let lost = log.lost().load(Ordering::Relaxed);
        // The thread may have taken what was there before.
        assert!((1..=sent - fit as u64).contains(&lost), "{lost}");
        drop(open);
        for _ in 0..sent - lost {
            assert_eq!(next(&lines).len(), 1_024);
        }
        let told = format!("{lost} lines of the log were lost, since stderr took no more\n");
        assert_eq!(next(&lines), told);
        log.line("on it goes");
        assert_eq!(next(&lines), "on it goes\n");
    }

    #[test]
    fn what_cannot_be_written_is_lost_and_told_later() {
        let (log, open, lines) = gated();
        for text in ["one", "two"] {
            log.line(text);
            open.send(Err(io::ErrorKind::StorageFull.into()))
                .expect("it waits");
            log.flush(PATIENCE);
        }
        assert_eq!(log.lost().load(Ordering::Relaxed), 2);
        drop(open);
        log.line("three");
        assert_eq!(next(&lines), "three\n");
        assert!(next(&lines).starts_with("2 lines"));
    }
}
