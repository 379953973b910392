//! Owns how messages travel, and which ways there are. It must not know of hosts.

use super::AddressError;

/// How messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Lines over TCP.
    Tcp,
    /// Lines over TLS.
    Tls,
    /// HTTP, and WebSocket frames.
    Http,
    /// HTTP over TLS, and WebSocket frames.
    Https,
    /// WebSocket frames, and HTTP.
    Ws,
    /// WebSocket frames over TLS, and HTTP.
    Wss,
    /// Lines over a Unix socket.
    Unix,
}

impl Scheme {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Tcp,
        Self::Tls,
        Self::Http,
        Self::Https,
        Self::Ws,
        Self::Wss,
        Self::Unix,
    ];

    /// Returns what stands in front of `://`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Http => "http",
            Self::Https => "https",
            Self::Ws => "ws",
            Self::Wss => "wss",
            Self::Unix => "unix",
        }
    }

    /// Whether connections are encrypted, for which the server needs a certificate.
    #[must_use]
    pub fn is_encrypted(self) -> bool {
        matches!(self, Self::Tls | Self::Https | Self::Wss)
    }

    /// Whether messages are in WebSocket frames.
    pub fn is_websocket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }

    pub(super) fn default_port(self) -> u16 {
        match self {
            Self::Tcp => 1445,
            Self::Tls => 1446,
            Self::Http => 8080,
            Self::Https => 8443,
            Self::Ws => 8888,
            Self::Wss => 8889,
            Self::Unix => 0,
        }
    }

    /// Whether this program can connect so.
    pub(super) fn check_built_in(self) -> Result<(), AddressError> {
        let needs = |is_needed: bool, is_there: bool, feature: &'static str| {
            (is_needed && !is_there).then_some(feature)
        };
        let missing = [
            needs(self.is_encrypted(), cfg!(feature = "tls"), "`tls`"),
            needs(
                self.is_websocket(),
                cfg!(feature = "websocket"),
                "`websocket`",
            ),
        ];
        match missing {
            [None, None] => Ok(()),
            missing => {
                let missing: Vec<_> = missing.into_iter().flatten().collect();
                Err(AddressError::NotBuiltIn {
                    scheme: self.name(),
                    missing: missing.join(" and "),
                })
            }
        }
    }

    /// Finds the one that is called so, in letters of any size.
    pub(super) fn named(name: &str) -> Result<Self, AddressError> {
        let mut all = Self::ALL.into_iter();
        all.find(|scheme| scheme.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| AddressError::UnknownScheme {
                scheme: name.to_owned(),
                known: list(Self::ALL.iter().map(|scheme| scheme.name())),
            })
    }

    /// How a client talks to a listener of this scheme: those for HTTP take WebSockets as well.
    pub(super) fn of_client(self) -> Self {
        match self {
            Self::Http => Self::Ws,
            Self::Https => Self::Wss,
            scheme => scheme,
        }
    }
}

/// Lists schemes for people.
pub fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<_> = names.map(|name| format!("{name}://")).collect();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}
