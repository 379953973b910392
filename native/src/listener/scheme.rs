//! Owns which schemes a server knows by itself; knows nothing of how each is served.

use std::sync::Arc;

use super::socket::Place;
use super::tls::Tls;
use super::{ListenError, Listener, tcp, unix, web};

/// A way to listen that needs no registering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Tcp,
    Tls,
    Http,
    Https,
    Ws,
    Wss,
    Unix,
}

impl Scheme {
    pub(crate) const ALL: [Self; 7] = [
        Self::Tcp,
        Self::Tls,
        Self::Http,
        Self::Https,
        Self::Ws,
        Self::Wss,
        Self::Unix,
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| scheme.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
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

    fn default_port(self) -> u16 {
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

    /// Whether its listeners need a certificate.
    pub(crate) fn is_encrypted(self) -> bool {
        matches!(self, Self::Tls | Self::Https | Self::Wss)
    }

    /// The host that a URI names; none for a path.
    pub(crate) fn host(self, uri: &str) -> Option<&str> {
        let place = (self != Self::Unix).then(|| Place::of(uri, self.default_port()));
        place?.ok().map(|place| place.host)
    }

    /// Checks the form of a URI.
    pub(crate) fn check(self, uri: &str) -> Result<(), ListenError> {
        match self {
            Self::Unix => unix::Place::of(uri).map(|_| ()),
            _ => Place::of(uri, self.default_port()).map(|_| ()),
        }
    }

    /// Takes the address of a URI; an encrypted scheme needs `tls`.
    pub(crate) async fn bind(
        self,
        uri: &str,
        tls: Option<Arc<Tls>>,
    ) -> Result<Box<dyn Listener>, ListenError> {
        if self == Self::Unix {
            return unix::Place::of(uri)?.bind();
        }
        let place = Place::of(uri, self.default_port())?;
        let tls = tls.filter(|_| self.is_encrypted());
        match self {
            Self::Tcp | Self::Tls => tcp::bind(self.name(), &place, tls).await,
            _ => web::bind(self.name(), &place, tls).await,
        }
    }
}
