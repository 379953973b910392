//! Owns how many log lines clients can cause; knows nothing of what the lines say.
//!
//! Of each kind of line, the first few from each address are written, and the first few dozen from all. Further ones are
//! counted, and the counts are written when a minute is over. So no client can fill a disk with lines about itself.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use mist_net::lock::Mutex;
use tracing::Level;
use tracing::field::display;

use crate::admission::peer::Peer;

/// Lines of one kind that are written within a window, from one address and from all.
const PER_ADDRESS: u32 = 3;
const PER_KIND: u32 = 30;
const WINDOW: Duration = Duration::from_secs(60);

/// What a line is about that a client can cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    AddressFull,
    BodyBrokeOff,
    CannotAccept,
    CommandPanicked,
    #[cfg_attr(not(feature = "cluster"), allow(dead_code))]
    ForeignMessage,
    HandshakeFailed,
    HttpEnded,
    InputFull,
    #[cfg_attr(not(feature = "cluster"), allow(dead_code))]
    NodeGap,
    #[cfg_attr(not(feature = "cluster"), allow(dead_code))]
    NodeGarbage,
    #[cfg_attr(not(feature = "cluster"), allow(dead_code))]
    NodeOverLimits,
    NotHttp,
    #[cfg_attr(not(any(feature = "http", feature = "jwt")), allow(dead_code))]
    OddGrants,
    OtherHost,
    OtherSite,
    RateExceeded,
    #[cfg_attr(not(feature = "jwt"), allow(dead_code))]
    RefusedJwt,
    SilentClient,
    SlowConsumer,
    SocketStalled,
    StoreFailed,
    UnexpectedTls,
    WrongTokens,
}

impl Kind {
    /// The level of the lines of this kind.
    fn level(self) -> Level {
        match self {
            Self::CannotAccept | Self::CommandPanicked | Self::StoreFailed => Level::ERROR,
            Self::ForeignMessage
            | Self::InputFull
            | Self::NodeGap
            | Self::NodeGarbage
            | Self::NodeOverLimits
            | Self::OddGrants
            | Self::SlowConsumer
            | Self::SocketStalled
            | Self::WrongTokens => Level::WARN,
            Self::NotHttp
            | Self::OtherHost
            | Self::OtherSite
            | Self::RateExceeded
            | Self::RefusedJwt
            | Self::SilentClient
            | Self::UnexpectedTls => Level::INFO,
            Self::AddressFull | Self::BodyBrokeOff | Self::HandshakeFailed | Self::HttpEnded => {
                Level::DEBUG
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AddressFull => "addresses with too many connections",
            Self::BodyBrokeOff => "bodies of requests that broke off",
            Self::CannotAccept => "connections that could not be accepted",
            Self::CommandPanicked => "custom commands that panicked",
            Self::ForeignMessage => "messages of programs on the cluster's NATS, refused",
            Self::HandshakeFailed => "TLS handshakes that failed",
            Self::HttpEnded => "HTTP connections that ended early",
            Self::InputFull => "connections with too much of a message that is not whole",
            Self::NodeGap => "gaps in what other nodes sent",
            Self::NodeGarbage => "what came on the cluster's NATS and no node sends",
            Self::NodeOverLimits => {
                "times that messages of other nodes were over this server's limits"
            }
            Self::NotHttp => "clients that do not speak HTTP",
            Self::OddGrants => "tokens whose grants are odd",
            Self::OtherHost => "requests for other hosts, refused",
            Self::OtherSite => "pages of other sites, refused",
            Self::RateExceeded => "clients that do too much in a second",
            Self::RefusedJwt => "JWTs, refused",
            Self::SilentClient => "connections that did not answer pings",
            Self::SlowConsumer => "slow consumers",
            Self::SocketStalled => "connections whose socket took nothing",
            Self::StoreFailed => "failures of the token store",
            Self::UnexpectedTls => "clients that speak TLS where it is not spoken",
            Self::WrongTokens => "wrong tokens",
        })
    }
}

/// Decides which lines are written, and says how many were not.
#[derive(Debug, Default)]
pub(crate) struct LogLimit(Mutex<Windows>);

impl LogLimit {
    /// Whether a line may be written; if not, it is counted. The peer is the client that caused it, if any.
    pub(crate) fn admits(&self, kind: Kind, peer: Option<Peer>) -> bool {
        self.0.lock().admits(kind, peer, Instant::now())
    }

    /// Says how many lines were not written in the windows that are over.
    pub(crate) fn tell(&self, now: Instant) {
        let unwritten = self.0.lock().close(|window| window.ends <= now);
        unwritten.into_iter().for_each(|lines| lines.tell());
    }

    /// Says how many lines were not written until now, at the end of the server.
    pub(crate) fn tell_all(&self) {
        let unwritten = self.0.lock().close(|_| true);
        unwritten.into_iter().for_each(|lines| lines.tell());
    }
}

/// One per kind of which there were lines lately.
#[derive(Debug, Default)]
struct Windows(HashMap<Kind, Window>);

#[derive(Debug)]
struct Window {
    ends: Instant,
    written: u32,
    /// Those of which a line was written, so there are at most [`PER_KIND`].
    addresses: HashMap<Option<Peer>, Lines>,
    /// Lines that were not written of further addresses.
    of_others: u64,
}

#[derive(Debug, Default)]
struct Lines {
    written: u32,
    unwritten: u64,
}

/// Lines that were counted instead of written.
#[derive(Debug, PartialEq, Eq)]
struct Unwritten {
    kind: Kind,
    from: Source,
    count: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum Source {
    /// An address, or clients that have none.
    Peer(Option<Peer>),
    /// All those of which no line was written.
    Others,
}

impl Windows {
    fn admits(&mut self, kind: Kind, peer: Option<Peer>, now: Instant) -> bool {
        let window = self.0.entry(kind).or_insert_with(|| Window {
            ends: now + WINDOW,
            written: 0,
            addresses: HashMap::new(),
            of_others: 0,
        });
        let is_full = window.written >= PER_KIND;
        if is_full && !window.addresses.contains_key(&peer) {
            window.of_others += 1;
            return false;
        }
        let lines = window.addresses.entry(peer).or_default();
        if is_full || lines.written >= PER_ADDRESS {
            lines.unwritten += 1;
            return false;
        }
        lines.written += 1;
        window.written += 1;
        true
    }

    /// Ends windows; returns what was not written in them.
    fn close(&mut self, is_over: impl Fn(&Window) -> bool) -> Vec<Unwritten> {
        let mut unwritten = Vec::new();
        for (kind, window) in self.0.extract_if(|_, window| is_over(window)) {
            let of_peer =
                |(peer, lines): (Option<Peer>, Lines)| (Source::Peer(peer), lines.unwritten);
            let sources = window.addresses.into_iter().map(of_peer);
            let all = sources.chain([(Source::Others, window.of_others)]);
            let counted = all.filter(|(_, count)| *count > 0);
            unwritten.extend(counted.map(|(from, count)| Unwritten { kind, from, count }));
        }
        unwritten
    }
}

impl Unwritten {
    fn tell(&self) {
        let Self { kind, from, count } = self;
        let (peer, whose) = match from {
            Source::Peer(peer) => (peer.map(display), ""),
            Source::Others => (None, " from other addresses"),
        };
        macro_rules! tell {
            ($level:ident) => {
                tracing::$level!(peer, "{count} more lines{whose} in the last minute: {kind}")
            };
        }
        match kind.level() {
            Level::ERROR => tell!(error),
            Level::WARN => tell!(warn),
            Level::INFO => tell!(info),
            _ => tell!(debug),
        }
    }
}

/// Bytes that are shown of a value from an untrusted client.
const SHOWN_BYTES: usize = 100;

/// A value from an untrusted client, safe for a log line.
pub(crate) fn shown(value: &str) -> String {
    let mut shown = String::new();
    for escaped in value.chars().map(char::escape_debug) {
        if shown.len() + escaped.len() > SHOWN_BYTES {
            return shown + "…";
        }
        shown.extend(escaped);
    }
    shown
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn peer(number: u32) -> Option<Peer> {
        Some(Peer::from(IpAddr::V4(Ipv4Addr::from(number))))
    }

    fn closed(windows: &mut Windows, now: Instant) -> Vec<Unwritten> {
        windows.close(|window| window.ends <= now)
    }

    #[test]
    fn of_each_kind_and_address_the_first_lines_are_written_and_the_others_counted() {
        let now = Instant::now();
        let mut windows = Windows::default();
        for (kind, peer) in [
            (Kind::OtherSite, peer(1)),
            (Kind::OtherSite, peer(2)),
            (Kind::OtherSite, None),
            (Kind::OtherHost, peer(1)),
        ] {
            let written = (0..1_000)
                .filter(|_| windows.admits(kind, peer, now))
                .count();
            assert_eq!(written, PER_ADDRESS as usize);
        }
        assert!(closed(&mut windows, now + WINDOW / 2).is_empty());
        let unwritten = closed(&mut windows, now + WINDOW);
        assert_eq!(unwritten.len(), 4);
        for lines in unwritten {
            assert_eq!(lines.count, 1_000 - u64::from(PER_ADDRESS));
        }
        // Then it begins anew, and nothing is said of what was written.
        assert!(windows.0.is_empty());
        assert!(windows.admits(Kind::OtherSite, peer(1), now + WINDOW));
        assert!(closed(&mut windows, now + 2 * WINDOW).is_empty());
    }

    #[test]
    fn very_many_addresses_have_few_lines_written_and_little_kept() {
        let now = Instant::now();
        let mut windows = Windows::default();
        let count = 100_000;
        let written = (0..count)
            .filter(|&number| windows.admits(Kind::NotHttp, peer(number), now))
            .count();
        assert_eq!(written, PER_KIND as usize);
        assert_eq!(windows.0[&Kind::NotHttp].addresses.len(), written);
        // An address of which a line was written goes on to be counted for itself.
        assert!(!windows.admits(Kind::NotHttp, peer(0), now));
        let unwritten = closed(&mut windows, now + WINDOW);
        let of = |from, count| Unwritten {
            kind: Kind::NotHttp,
            from,
            count,
        };
        assert_eq!(unwritten.len(), 2);
        assert!(unwritten.contains(&of(Source::Peer(peer(0)), 1)));
        assert!(unwritten.contains(&of(Source::Others, u64::from(count - PER_KIND))));
    }

    #[test]
    fn a_header_cannot_write_lines_into_the_log() {
        assert_eq!(shown("a\nb\u{1b}[2J"), "a\\nb\\u{1b}[2J");
        let long = shown(&"\u{1b}".repeat(1000));
        assert!(
            long.len() <= SHOWN_BYTES + "…".len() && long.ends_with("\\u{1b}…"),
            "{long}"
        );
    }
}
