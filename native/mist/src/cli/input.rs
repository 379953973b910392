//! Owns reading stdin: whole, or line by line beside other work.

use std::io::{self, BufRead, Read};

use tokio::sync::mpsc;

use super::exit::Stop;

/// Reads all of stdin.
pub(super) fn all() -> Result<String, Stop> {
    let mut bytes = Vec::new();
    io::stdin()
        .lock()
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(&error))?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = memchr::memchr_iter(b'\n', &error.as_bytes()[..at]).count() + 1;
        Stop::failed(format!("line {line} of stdin is not UTF-8"))
    })
}

/// What a line of stdin holds.
pub(super) enum Line {
    /// Without its end, which is `\n` or `\r\n`.
    Text(String),
    NotUtf8,
}

impl Line {
    fn new(mut bytes: Vec<u8>) -> Self {
        if bytes.pop_if(|byte| *byte == b'\n').is_some() {
            bytes.pop_if(|byte| *byte == b'\r');
        }
        String::from_utf8(bytes).map_or(Self::NotUtf8, Self::Text)
    }
}

/// Reads stdin line by line on a thread of its own, since a read cannot be given up.
pub(super) fn lines() -> mpsc::Receiver<Result<Line, Stop>> {
    let (sender, receiver) = mpsc::channel(64);
    std::thread::spawn(move || {
        let mut stdin = io::stdin().lock();
        loop {
            let mut bytes = Vec::new();
            let line = match stdin.read_until(b'\n', &mut bytes) {
                Ok(0) => break,
                Ok(_) => Ok(Line::new(bytes)),
                Err(error) => Err(unreadable(&error)),
            };
            let is_last = line.is_err();
            if sender.blocking_send(line).is_err() || is_last {
                break;
            }
        }
    });
    receiver
}

fn unreadable(error: &io::Error) -> Stop {
    Stop::failed(format!("cannot read stdin: {error}"))
}
