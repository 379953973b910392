//! Owns what the program writes: data to stdout, flushed at once, words for people to stderr.

use std::io::{self, Write};

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

/// Tells the person at the terminal something; when nobody can hear it, that is no error.
pub(crate) fn note(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = writeln!(stderr, "{text}");
}
