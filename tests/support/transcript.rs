//! Owns the transcript format: reading a file into settings and steps, and comparing a message with an expectation.
//! It must not know how a message reaches a broker.
//!
//! ```text
//! # a comment; blank lines are skipped
//! server: token=T access=scoped     how the server under test is set up (before the first step)
//! doors: tcp ws                     where this file applies; without the line: everywhere
//! a> {"command":"ping"}             client a sends this as one message
//! a< {"command":"ping","data":"pong"}   the next message to a is exactly this
//! a~ {"command":"nope"*}            the next message to a looks like this; * stands for any text
//! a+ \xff\n                         client a writes these bytes (\n \r \t \\ \xHH), nothing added (tcp only)
//! a: barrier                        a pings and the pong comes with nothing before it
//! ```
//!
//! The other words after `a:` are `connect [key=value …]`, `eof`, `close` and `closed [code]`.
//! A client connects at its first mention. At the end of a file every open client passes a barrier.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The places a transcript can be run against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// The broker itself, without any input or output.
    Core,
    /// A server over TCP.
    Tcp,
    /// A server over WebSocket.
    Ws,
    /// A server over TLS.
    Tls,
    /// A server over a Unix socket.
    Unix,
    /// A server over WebSocket over TLS.
    Wss,
}

impl Door {
    /// The word transcripts use for this door.
    pub fn word(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Tcp => "tcp",
            Self::Ws => "ws",
            Self::Tls => "tls",
            Self::Unix => "unix",
            Self::Wss => "wss",
        }
    }

    /// The door at which a client does and sees the same: what is encrypted is no concern of a transcript.
    pub fn alike(self) -> Self {
        match self {
            Self::Core => Self::Core,
            Self::Tcp | Self::Tls | Self::Unix => Self::Tcp,
            Self::Ws | Self::Wss => Self::Ws,
        }
    }
}

/// `key=value` pairs, as in `server: token=T access=scoped`.
pub type Pairs = BTreeMap<String, String>;

/// One file of steps and what it needs.
#[derive(Debug)]
pub struct Transcript {
    /// Where it was read from.
    pub path: PathBuf,
    /// How the server is set up.
    pub server: Pairs,
    /// The words of the doors it applies to; empty means all.
    pub doors: Vec<String>,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// One line that does something.
#[derive(Debug)]
pub struct Step {
    /// Line number, from 1.
    pub line: usize,
    /// The client's name.
    pub client: String,
    /// What the line asks for.
    pub action: Action,
    /// The line as written, for failure reports.
    pub text: String,
}

/// What a step does or expects.
#[derive(Debug)]
pub enum Action {
    /// Sends one message.
    Send(String),
    /// Writes bytes as they are.
    Write(Vec<u8>),
    /// Expects exactly this message next.
    Expect(String),
    /// Expects a message that matches this pattern next.
    Like(String),
    /// Opens the connection.
    Connect(Pairs),
    /// Proves that nothing is on its way.
    Barrier,
    /// Ends sending, and goes on receiving.
    Eof,
    /// Leaves, and waits until the server has let go.
    Close,
    /// Expects the server to close; on WebSocket with this code, if given.
    Closed(Option<u16>),
}

impl Transcript {
    /// Whether this transcript applies to a door.
    pub fn applies_to(&self, door: Door) -> bool {
        self.doors.is_empty() || self.doors.iter().any(|word| word == door.alike().word())
    }

    /// Parses the text of a transcript.
    pub fn parse(path: &Path, text: &str) -> Result<Self, String> {
        let mut transcript = Self {
            path: path.to_owned(),
            server: Pairs::new(),
            doors: Vec::new(),
            steps: Vec::new(),
        };
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let fault = |what: &str| format!("{}:{}: {what}: {line}", path.display(), index + 1);
            let end = line
                .find(|c: char| !c.is_ascii_alphanumeric())
                .ok_or_else(|| fault("no operator"))?;
            let (client, rest) = line.split_at(end);
            let mut chars = rest.chars();
            let operator = chars.next().ok_or_else(|| fault("no operator"))?;
            let argument = chars
                .as_str()
                .strip_prefix(' ')
                .ok_or_else(|| fault("no blank after the operator"))?;
            let action = match (client, operator) {
                ("server", ':') => {
                    transcript
                        .server
                        .extend(pairs(argument).ok_or_else(|| fault("not key=value"))?);
                    continue;
                }
                ("doors", ':') => {
                    transcript.doors = argument.split_whitespace().map(str::to_owned).collect();
                    continue;
                }
                (_, '>') => Action::Send(argument.to_owned()),
                (_, '<') => Action::Expect(argument.to_owned()),
                (_, '~') => Action::Like(argument.to_owned()),
                (_, '+') => Action::Write(unescape(argument).ok_or_else(|| fault("bad escape"))?),
                (_, ':') => word(argument).ok_or_else(|| fault("unknown word"))?,
                _ => return Err(fault("unknown operator")),
            };
            let text = line.to_owned();
            transcript.steps.push(Step {
                line: index + 1,
                client: client.to_owned(),
                action,
                text,
            });
        }
        Ok(transcript)
    }
}

fn word(argument: &str) -> Option<Action> {
    let (word, rest) = argument.split_once(' ').unwrap_or((argument, ""));
    Some(match word {
        "connect" => Action::Connect(pairs(rest)?),
        "barrier" => Action::Barrier,
        "eof" => Action::Eof,
        "close" => Action::Close,
        "closed" if rest.is_empty() => Action::Closed(None),
        "closed" => Action::Closed(Some(rest.parse().ok()?)),
        _ => return None,
    })
}

fn pairs(text: &str) -> Option<Pairs> {
    text.split_whitespace()
        .map(|pair| {
            pair.split_once('=')
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
        })
        .collect()
}

/// Turns `\n \r \t \\ \xHH` into bytes.
pub fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next()? {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'\\' => b'\\',
                b'x' => {
                    let digits = [rest.next()?, rest.next()?];
                    u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
                }
                _ => return None,
            },
            other => other,
        });
    }
    Some(bytes)
}

/// Whether `text` matches `pattern`, in which `*` stands for any text.
pub fn is_like(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// Reads every transcript below `folder`, sorted by path; paths are kept as seen from the repository.
pub fn load(folder: &Path) -> Result<Vec<Transcript>, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let root = root.canonicalize().unwrap_or(root);
    let mut transcripts = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries =
            std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        for entry in entries {
            let path = entry
                .map_err(|error| format!("{}: {error}", folder.display()))?
                .path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "txt") {
                let text = std::fs::read_to_string(&path)
                    .map_err(|error| format!("{}: {error}", path.display()))?;
                let inside = path.strip_prefix(&root).unwrap_or(&path);
                transcripts.push(Transcript::parse(inside, &text)?);
            }
        }
    }
    transcripts.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(transcripts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        assert!(
            is_like("a*c", "abc")
                && is_like("a*c", "ac")
                && is_like("*", "")
                && is_like("*b*", "abc")
        );
        assert!(!is_like("a*c", "ab") && !is_like("abc", "abcd") && !is_like("ab*ba", "aba"));
    }

    #[test]
    fn escapes_become_bytes() {
        assert_eq!(
            unescape(r"a\r\n\xff\\").as_deref(),
            Some(b"a\r\n\xff\\".as_slice())
        );
        assert_eq!(unescape(r"\q"), None);
    }
}
