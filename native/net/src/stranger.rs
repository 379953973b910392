//! Owns what a client says of a server that speaks something else than it was asked to; knows nothing of sockets.

use std::borrow::Cow;

use mist_core::Limits;
use mist_core::message::{Messages, Scan};

use crate::address::Scheme;

/// How an alert of TLS begins, which is what such a server answers to plain text.
const TLS_ALERT: &[u8] = &[0x15, 3];

/// How many bytes of an answer are quoted.
const QUOTED: usize = 200;

/// Says what a server is whose first bytes are these, if they are not a message's.
pub(crate) fn instead_of_lines(bytes: &[u8], scheme: Scheme) -> Option<String> {
    let bytes = bytes.trim_ascii_start();
    match bytes.first() {
        None | Some(b'{') => None,
        _ if bytes.starts_with(TLS_ALERT) => {
            Some("the server speaks TLS there; try tls:// or wss://".into())
        }
        _ if bytes.starts_with(b"HTTP/") => {
            let (head, body) = match memchr::memmem::find(bytes, b"\r\n\r\n") {
                Some(end) => (&bytes[..end], &bytes[end..]),
                None => (bytes, &[][..]),
            };
            let head = first_line(head);
            let (_, status) = head.split_once(' ').unwrap_or_default();
            let hint = match scheme {
                Scheme::Tcp => "; try ws://",
                Scheme::Tls => "; try wss://",
                _ => "",
            };
            Some(
                match reported(body).map(Cow::Owned).or_else(|| sentence(body)) {
                    Some(body) => format!("an HTTP server answers there ({status}: {body})"),
                    None => format!("an HTTP server answers there ({status}){hint}"),
                },
            )
        }
        _ => Some(format!(
            "what answers there is no mist server; it says '{}'",
            first_line(bytes)
        )),
    }
}

/// The error that a mist server says in a body, which is a message.
pub(crate) fn reported(body: &[u8]) -> Option<String> {
    let mut scan = Scan::new();
    let message = Messages::frame(body.trim_ascii()).next(&mut scan, &Limits::default())?;
    Some(message.ok()?.error()?.into_owned())
}

/// What a body says, unless it is made for browsers.
pub(crate) fn sentence(body: &[u8]) -> Option<Cow<'_, str>> {
    let line = first_line(body.trim_ascii_start());
    (!line.is_empty() && !line.starts_with('<')).then_some(line)
}

/// The beginning of a text, up to its first line end, as it may be shown on a terminal.
fn first_line(bytes: &[u8]) -> Cow<'_, str> {
    let line = bytes.split(|byte| matches!(byte, b'\r' | b'\n')).next();
    let line = line.unwrap_or_default();
    let shown = String::from_utf8_lossy(&line[..line.len().min(QUOTED)]);
    match shown.contains(char::is_control) {
        true => shown.escape_debug().to_string().into(),
        false => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(bytes: &[u8], scheme: Scheme) -> String {
        instead_of_lines(bytes, scheme).unwrap_or_default()
    }

    #[test]
    fn messages_are_no_strangers() {
        for bytes in ["", "\r\n", "{", " {\"command\":\"ping\"}\n"] {
            assert_eq!(said(bytes.as_bytes(), Scheme::Tcp), "", "{bytes}");
        }
    }

    #[test]
    fn what_answers_is_named_with_what_to_try() {
        let bare = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(
            said(bare, Scheme::Tcp),
            "an HTTP server answers there (400 Bad Request); try ws://"
        );
        let page = b"HTTP/1.0 400 Bad Request\r\n\r\n<html>no</html>";
        assert_eq!(
            said(page, Scheme::Tls),
            "an HTTP server answers there (400 Bad Request); try wss://"
        );
        assert_eq!(
            said(page, Scheme::Unix),
            "an HTTP server answers there (400 Bad Request)"
        );
        let json = b"HTTP/1.1 400 Bad Request\r\n\r\n{\"error\":\"use https://\"}\n";
        assert_eq!(
            said(json, Scheme::Tcp),
            "an HTTP server answers there (400 Bad Request: use https://)"
        );
        let words = b"HTTP/1.1 400 Bad Request\r\n\r\nuse https://\nor not\n";
        assert_eq!(
            said(words, Scheme::Tcp),
            "an HTTP server answers there (400 Bad Request: use https://)"
        );
        assert_eq!(
            said(&[0x15, 3, 1, 0, 2, 2, 10], Scheme::Tcp),
            "the server speaks TLS there; try tls:// or wss://"
        );
        assert_eq!(
            said(b"SSH-2.0-\x1b[2J\r\n", Scheme::Tcp),
            "what answers there is no mist server; it says 'SSH-2.0-\\u{1b}[2J'"
        );
    }
}
