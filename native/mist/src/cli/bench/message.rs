//! Owns the bytes of what is published and read: the mark in each message's data, and telling messages from answers.

use memchr::memmem;
use mist::client::{ErrorCode, ServerError};

/// How many bytes of the data are the mark: a letter, five digits for the publisher, ten for the number, all
/// hexadecimal.
pub(super) const MARK: usize = 1 + PUBLISHER + NUMBER;
const PUBLISHER: usize = 5;
const NUMBER: usize = 10;

/// A question without an `id`, so that the answer is always the same.
pub(super) const PING: &[u8] = b"{\"command\":\"ping\"}\n";

/// How many publishers a mark can name.
pub(super) const PUBLISHERS: u32 = 1 << (4 * PUBLISHER);

/// What a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// To be counted.
    Counted,
    /// Says that its publisher has ended, with the number of messages before it.
    End,
}

/// The publisher of a message, and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) kind: Kind,
    pub(super) publisher: u32,
    pub(super) number: u64,
}

impl Mark {
    fn read(data: &[u8]) -> Option<Self> {
        let kind = match data.first()? {
            b'm' => Kind::Counted,
            b'e' => Kind::End,
            _ => return None,
        };
        let number = |range| data.get(range).and_then(hexadecimal);
        Some(Self {
            kind,
            publisher: u32::try_from(number(1..1 + PUBLISHER)?).ok()?,
            number: number(1 + PUBLISHER..MARK)?,
        })
    }

    fn write(self, out: &mut Vec<u8>) {
        out.push(match self.kind {
            Kind::Counted => b'm',
            Kind::End => b'e',
        });
        write_hexadecimal(self.publisher.into(), PUBLISHER, out);
        write_hexadecimal(self.number, NUMBER, out);
    }
}

fn hexadecimal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |sum, &digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(sum << 4 | u64::from(digit))
    })
}

fn write_hexadecimal(value: u64, digits: usize, out: &mut Vec<u8>) {
    let digit = |place: usize| b"0123456789abcdef"[(value >> (4 * place) & 15) as usize];
    out.extend((0..digits).rev().map(digit));
}

/// A message up to its data, which differs from one to the next.
#[derive(Clone, Debug)]
pub(super) struct Template {
    head: Vec<u8>,
}

impl Template {
    pub(super) fn new(tags: &[String]) -> Self {
        let tags = serde_json::Value::from(tags);
        let head = format!("{{\"command\":\"publish\",\"tags\":{tags},\"data\":\"");
        Self { head: head.into() }
    }

    /// Appends a message with `size` bytes of data.
    pub(super) fn write(&self, mark: Mark, size: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        mark.write(out);
        out.resize(out.len() + size.saturating_sub(MARK), b'.');
        out.extend_from_slice(b"\"}\n");
    }

    /// How long a message is on the wire.
    pub(super) fn bytes(&self, size: usize) -> usize {
        self.head.len() + size.max(MARK) + 3
    }
}

/// What a server says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// A message, and how many bytes of data it has.
    Message(Mark, usize),
    Pong,
    /// So many messages were dropped here.
    Dropped(u64),
    /// An error, with the command it is about.
    Error(String, ServerError),
    /// The answer to a request with an `id`.
    Answer,
    /// A message that is not ours, or something new.
    Other,
}

/// The parts of an answer that matter.
#[derive(serde::Deserialize)]
struct Answer {
    #[serde(default)]
    command: String,
    #[serde(default)]
    data: String,
    error: Option<String>,
    #[serde(default)]
    code: String,
    id: Option<serde_json::Value>,
}

/// Reads what one message from the server is, looking at as little of it as possible.
pub(super) fn read(message: &[u8], data: &memmem::Finder<'_>) -> Heard {
    if message.starts_with(b"{\"command\":\"publish\",\"tags\":")
        && let Some(start) = data.find(message)
        && let Some(rest) = message[start + DATA.len()..].strip_suffix(b"\"}")
        && let Some(mark) = Mark::read(rest)
        // An error or an answer stands behind its data.
        && !rest[MARK..].contains(&b'"')
    {
        return Heard::Message(mark, rest.len());
    }
    let Ok(answer) = serde_json::from_slice::<Answer>(message) else {
        return Heard::Other;
    };
    match (&*answer.command, answer.error, answer.id) {
        (_, Some(error), _) => {
            let code = ErrorCode::find(&answer.code);
            Heard::Error(answer.command, ServerError::new(code, error))
        }
        (_, None, Some(_)) => Heard::Answer,
        ("ping", ..) => Heard::Pong,
        ("dropped", ..) => answer.data.parse().map_or(Heard::Other, Heard::Dropped),
        _ => Heard::Other,
    }
}

const DATA: &[u8] = b"\"data\":\"";

/// Finds where the data begins. Quotes inside of tags are escaped, so this is found in none.
pub(super) fn data_finder() -> memmem::Finder<'static> {
    memmem::Finder::new(DATA)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(message: &[u8]) -> Heard {
        read(message, &data_finder())
    }

    #[test]
    fn a_message_is_recognised_by_what_was_written() {
        let template = Template::new(&["a\"data\":\"m".to_owned(), "b".to_owned()]);
        for size in [MARK, 200] {
            let mark = Mark {
                kind: Kind::Counted,
                publisher: 0xf_00d5,
                number: 0x12_3456_789a,
            };
            let mut line = Vec::new();
            template.write(mark, size, &mut line);
            assert_eq!(line.len(), template.bytes(size));
            assert!(serde_json::from_slice::<serde_json::Value>(&line).is_ok());
            let message = line.strip_suffix(b"\n").expect("a line");
            assert_eq!(heard(message), Heard::Message(mark, size));
        }
    }

    #[test]
    fn answers_are_told_from_messages() {
        assert_eq!(heard(br#"{"command":"ping","data":"pong"}"#), Heard::Pong);
        assert_eq!(
            heard(br#"{"command":"dropped","data":"512"}"#),
            Heard::Dropped(512)
        );
        assert_eq!(
            heard(br#"{"command":"subscribe","tags":["a"],"data":"success","id":7}"#),
            Heard::Answer
        );
        let refused =
            br#"{"command":"publish","tags":["a"],"data":"m000000000000000","error":"no","code":"not-granted"}"#;
        let error = ServerError::new(ErrorCode::NotGranted, "no");
        assert_eq!(heard(refused), Heard::Error("publish".into(), error));
        for other in [
            &br#"{"command":"publish","tags":["a"],"data":"hello"}"#[..],
            br#"{"command":"publish","tags":["a"],"data":"m00000000000000z"}"#,
            b"nonsense",
        ] {
            assert_eq!(heard(other), Heard::Other);
        }
    }
}
