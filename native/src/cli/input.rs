//! Owns reading stdin: whole, or line by line beside other work.

use std::io::{self, BufRead, Read};

use tokio::sync::mpsc;

use super::exit::Stop;

/// Reads all of stdin.
pub(super) fn all() -> Result<String, Stop> {
    let mut text = String::new();
    io::stdin()
        .lock()
        .read_to_string(&mut text)
        .map_err(|error| unreadable(&error))?;
    Ok(text)
}

/// Reads stdin line by line on a thread of its own, since a read cannot be given up.
pub(super) fn lines() -> mpsc::Receiver<Result<String, Stop>> {
    let (sender, receiver) = mpsc::channel(64);
    std::thread::spawn(move || {
        // `lines` cuts `\n` and `\r\n`.
        for line in io::stdin().lock().lines() {
            let line = line.map_err(|error| unreadable(&error));
            let is_last = line.is_err();
            if sender.blocking_send(line).is_err() || is_last {
                break;
            }
        }
    });
    receiver
}

fn unreadable(error: &io::Error) -> Stop {
    if error.kind() == io::ErrorKind::InvalidData {
        return Stop::failed("cannot read stdin: messages must be UTF-8");
    }
    Stop::failed(format!("cannot read stdin: {error}"))
}
