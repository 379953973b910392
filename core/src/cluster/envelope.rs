//! Owns how envelopes look: a line of text for programs and people, and behind it a body.
//!
//! ```text
//! MIST/1 messages 00c0ffee00c0ffee 17 2 -
//! {"command":"publish","tags":["bus","late"],"data":"12 min"}
//! {"command":"publish","tags":["bus"],"data":"on time"}
//! ```
//!
//! The words of the first line: the version, the kind, who sends it, its number, how many messages it brings, and how many
//! were sent before it the other way, for each node that this concerns, as `ID:COUNT,ID:COUNT`, or `-` for none.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::str::FromStr;

use super::status::{NodeId, Status};

/// Bytes of a head, at most: so many are left free in an envelope.
pub(super) const HEAD_BYTES: usize = 4096;
/// How many nodes one head names.
pub(super) const NAMED_AT_ONCE: usize = 64;
/// More messages than any node will send.
const MOST_COUNTED: u64 = 1 << 48;
/// What every envelope begins with.
const VERSION: &str = "MIST/1";

/// Which way an envelope goes. Those that one node sends the same way come in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To all other nodes.
    All,
    /// To one.
    Node(NodeId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Messages,
    /// A part of one message that is too large for an envelope.
    Piece {
        at: u64,
        last: u64,
    },
    Status {
        is_hello: bool,
    },
    Bye,
    Told,
    Ask,
    Answer {
        at: u64,
        last: u64,
    },
    /// Asks for the whole summary.
    Want,
    /// The summary of the sender's needs; its number is that of the version.
    Summary {
        at: u64,
        last: u64,
    },
    /// What was added to it.
    Added,
}

impl Kind {
    /// Whether the number counts the messages that were sent the same way before.
    pub(super) fn is_numbered(self) -> bool {
        matches!(
            self,
            Self::Messages | Self::Piece { .. } | Self::Status { .. } | Self::Bye | Self::Told
        )
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Envelope<'a> {
    pub(super) sender: NodeId,
    pub(super) kind: Kind,
    /// How many messages were sent the same way before; of questions and answers which it is.
    pub(super) number: u64,
    pub(super) messages: u64,
    /// How many messages were sent before the other way: to the reader alone, where this one goes to all, or to all.
    pub(super) before: Option<u64>,
    pub(super) body: &'a [u8],
}

/// Why something is no envelope of this version.
#[derive(Debug)]
pub(super) struct Unreadable(pub(super) &'static str);

impl<'a> Envelope<'a> {
    /// Reads an envelope that came for `reader`.
    pub(super) fn read(payload: &'a [u8], reader: NodeId) -> Result<Self, Unreadable> {
        let no_head = Unreadable("something that is no envelope");
        let head = &payload[..payload.len().min(HEAD_BYTES)];
        let Some(end) = memchr::memchr(b'\n', head) else {
            return Err(no_head);
        };
        let (head, body) = (&payload[..end], &payload[end + 1..]);
        let head = core::str::from_utf8(head).map_err(|_| no_head)?;
        let mut words = head.split(' ');
        match words.next() {
            Some(VERSION) => {}
            Some(other) if other.starts_with("MIST/") => {
                return Err(Unreadable("an envelope of another version"));
            }
            _ => return Err(Unreadable("something that is no envelope")),
        }
        let wrong = || Unreadable("an envelope whose head has other words than this version");
        let mut word = || words.next().ok_or_else(wrong);
        let kind = kind(word()?).ok_or_else(wrong)?;
        let sender = id(word()?).ok_or_else(wrong)?;
        let number = number(word()?).ok_or_else(wrong)?;
        let messages = self::number(word()?).ok_or_else(wrong)?;
        let mut before = None;
        for one in word()?.split(',').filter(|one| *one != "-") {
            let (node, count) = one.split_once(':').ok_or_else(wrong)?;
            let node = id(node).ok_or_else(wrong)?;
            if node == reader || node == sender {
                before = Some(self::number(count).ok_or_else(wrong)?);
            }
        }
        // Sums of what any node says stay numbers.
        let counts = [number, before.unwrap_or_default()];
        if counts.into_iter().any(|count| count > MOST_COUNTED) || messages > body.len() as u64 {
            return Err(wrong());
        }
        Ok(Self {
            sender,
            kind,
            number,
            messages,
            before,
            body,
        })
    }
}

fn number<T: FromStr>(word: &str) -> Option<T> {
    word.parse().ok()
}

fn id(word: &str) -> Option<NodeId> {
    u64::from_str_radix(word, 16).ok().map(NodeId)
}

fn kind(word: &str) -> Option<Kind> {
    let (word, place) = match word.split_once('=') {
        Some((word, place)) => (word, Some(place.split_once('/')?)),
        None => (word, None),
    };
    let place = match place {
        Some((at, last)) => Some((number(at)?, number(last)?)),
        None => None,
    };
    Some(match (word, place) {
        ("messages", None) => Kind::Messages,
        ("piece", Some((at, last))) => Kind::Piece { at, last },
        ("hello", None) => Kind::Status { is_hello: true },
        ("status", None) => Kind::Status { is_hello: false },
        ("bye", None) => Kind::Bye,
        ("told", None) => Kind::Told,
        ("ask", None) => Kind::Ask,
        ("answer", Some((at, last))) => Kind::Answer { at, last },
        ("want", None) => Kind::Want,
        ("summary", Some((at, last))) => Kind::Summary { at, last },
        ("added", None) => Kind::Added,
        _ => return None,
    })
}

/// What a heartbeat says of the summary of the sender's needs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    pub(super) version: u64,
    pub(super) seed: u64,
    /// Whether others have the same seed.
    pub(super) is_agreed: bool,
}

/// Writes what stands in front of the body.
pub(super) fn write_head(
    out: &mut Vec<u8>,
    sender: NodeId,
    kind: Kind,
    number: u64,
    messages: u64,
    before: &[(NodeId, u64)],
) {
    let mut head = String::with_capacity(96);
    let written = match kind {
        Kind::Messages => write!(head, "{VERSION} messages"),
        Kind::Piece { at, last } => write!(head, "{VERSION} piece={at}/{last}"),
        Kind::Status { is_hello: true } => write!(head, "{VERSION} hello"),
        Kind::Status { is_hello: false } => write!(head, "{VERSION} status"),
        Kind::Bye => write!(head, "{VERSION} bye"),
        Kind::Told => write!(head, "{VERSION} told"),
        Kind::Ask => write!(head, "{VERSION} ask"),
        Kind::Answer { at, last } => write!(head, "{VERSION} answer={at}/{last}"),
        Kind::Want => write!(head, "{VERSION} want"),
        Kind::Summary { at, last } => write!(head, "{VERSION} summary={at}/{last}"),
        Kind::Added => write!(head, "{VERSION} added"),
    };
    let written = written.and_then(|()| write!(head, " {sender} {number} {messages} "));
    written.expect("a text takes everything");
    for (at, (node, count)) in before.iter().enumerate() {
        let comma = if at > 0 { "," } else { "" };
        write!(head, "{comma}{node}:{count}").expect("a text takes everything");
    }
    if before.is_empty() {
        head.push('-');
    }
    head.push('\n');
    out.extend_from_slice(head.as_bytes());
}

/// Writes what a node tells of itself: `KEY VALUE` in each line, so that later versions can say more.
pub(super) fn write_status(status: &Status, told: Told) -> Vec<u8> {
    let Status {
        name,
        version,
        uptime,
        connections,
        connections_total,
        subscribers,
        subscriptions,
        published,
        sent,
        received,
        waiting_bytes,
    } = status;
    alloc::format!(
        "name {name}\nversion {version}\nuptime {uptime}\nconnections {connections}\n\
         connections-total {connections_total}\nsubscribers {subscribers}\nsubscriptions {subscriptions}\n\
         published {published}\nsent {sent}\nreceived {received}\nwaiting {waiting_bytes}\nsummary {}\nseed {:x}\nagreed {}\n",
        told.version,
        told.seed,
        u8::from(told.is_agreed),
    )
    .into_bytes()
}

/// Reads it. Keys that are not known are passed over.
pub(super) fn read_status(body: &[u8]) -> Option<(Status, Told)> {
    let mut status = Status::default();
    let mut told = Told::default();
    for line in core::str::from_utf8(body).ok()?.lines() {
        let (key, value) = line.split_once(' ')?;
        match key {
            "name" => status.name = value.into(),
            "version" => status.version = value.into(),
            "uptime" => status.uptime = number(value)?,
            "connections" => status.connections = number(value)?,
            "connections-total" => status.connections_total = number(value)?,
            "subscribers" => status.subscribers = number(value)?,
            "subscriptions" => status.subscriptions = number(value)?,
            "published" => status.published = number(value)?,
            "sent" => status.sent = number(value)?,
            "waiting" => status.waiting_bytes = number(value)?,
            "received" => status.received = number(value)?,
            "summary" => told.version = number(value)?,
            "seed" => told.seed = u64::from_str_radix(value, 16).ok()?,
            "agreed" => told.is_agreed = value == "1",
            _ => {}
        }
    }
    (!status.name.is_empty()).then_some((status, told))
}
