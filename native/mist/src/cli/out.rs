//! Owns what the program writes: data to stdout, flushed at once, words for people to stderr.

use std::future::pending;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use super::exit::Stop;

/// Writes one line of data.
pub(crate) fn line(text: &str) -> Result<(), Stop> {
    write(&[text.as_bytes(), b"\n"])
}

/// Writes data as it is.
pub(crate) fn raw(bytes: &[u8]) -> Result<(), Stop> {
    write(&[bytes])
}

fn write(parts: &[&[u8]]) -> Result<(), Stop> {
    let mut stdout = io::stdout().lock();
    parts
        .iter()
        .try_for_each(|part| stdout.write_all(part))
        .and_then(|()| stdout.flush())
        .map_err(|error| Stop::output(&error))
}

/// Whether `--quiet` was given.
static IS_QUIET: AtomicBool = AtomicBool::new(false);

/// Lets [`word`] and [`note`] say nothing from now on.
pub(crate) fn be_quiet() {
    IS_QUIET.store(true, Ordering::Relaxed);
}

/// Whether only data and errors are wanted.
pub(crate) fn is_quiet() -> bool {
    IS_QUIET.load(Ordering::Relaxed)
}

/// Writes one line for people where scripts have always found it: on stdout.
pub(crate) fn word(text: &str) -> Result<(), Stop> {
    match is_quiet() {
        true => Ok(()),
        false => line(text),
    }
}

/// Prints a note for the person at the terminal, unless `--quiet` was given.
pub(crate) fn note(text: &str) {
    if !is_quiet() {
        error(text);
    }
}

/// Prints an error, or what a flag asked for; a closed stderr is no error.
pub(crate) fn error(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = writeln!(stderr, "{text}");
}

/// Completes when stdout has no reader any more, as when the `head` of `| head -1` has ended. Here the system does not
/// report it, and the next write fails.
#[cfg(not(unix))]
pub(crate) async fn hung_up() {
    pending().await
}

/// Completes when stdout has no reader any more, as when the `head` of `| head -1` has ended.
#[cfg(unix)]
pub(crate) async fn hung_up() {
    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::io::Errno;
    use tokio::sync::oneshot;

    let (sender, hung_up) = oneshot::channel();
    // On a thread of its own, since the runtime does not take all that may be behind stdout, such as files.
    std::thread::spawn(move || {
        let stdout = io::stdout();
        // Errors and hang-ups come unasked.
        let mut watched = [PollFd::new(&stdout, PollFlags::empty())];
        let mut result = poll(&mut watched, None);
        while result == Err(Errno::INTR) {
            result = poll(&mut watched, None);
        }
        if result.is_ok() {
            // The receiver may have gone.
            let _ = sender.send(());
        }
    });
    if hung_up.await.is_err() {
        pending().await
    }
}
