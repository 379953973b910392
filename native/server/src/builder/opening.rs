//! Owns how the listeners that were asked for become ones that have taken their addresses.

use std::sync::Arc;

use mist_net::address::{self, Endpoint, Scheme, without_secrets};
use socket2::Socket;

use crate::bind_error::{BindError, ListenError};
use crate::listener::bind::Ground;
use crate::listener::tls::Tls;
use crate::listener::{Listener, ListenerFactory};

/// A listener that was asked for.
pub(super) enum Source {
    Uri(String),
    Own(Box<dyn Listener>),
}

/// How a listener is opened.
pub(super) enum Opening {
    BuiltIn(Endpoint, String),
    Registered(ListenerFactory, String),
    /// It is open.
    Own(Box<dyn Listener>),
}

impl Opening {
    pub(super) fn endpoint(&self) -> Option<&Endpoint> {
        match self {
            Self::BuiltIn(endpoint, _) => Some(endpoint),
            Self::Registered(..) | Self::Own(_) => None,
        }
    }
}

/// Takes the addresses of all listeners, in their order; some stand for several.
pub(super) async fn open(
    openings: Vec<Opening>,
    inherited: Vec<Socket>,
    tls: Option<&Arc<Tls>>,
) -> Result<Vec<Vec<Box<dyn Listener>>>, ListenError> {
    let mut ground = Ground::new(openings.iter().filter_map(Opening::endpoint), inherited);
    let mut listeners = Vec::new();
    for opening in openings {
        match opening {
            Opening::BuiltIn(endpoint, uri) => {
                listeners.push(ground.take(&uri, &endpoint, tls).await?);
            }
            Opening::Registered(factory, uri) => listeners.push(vec![factory(uri).await?]),
            Opening::Own(listener) => listeners.push(vec![listener]),
        }
    }
    #[cfg(unix)]
    ground.look_at_rest();
    Ok(listeners)
}

/// How to open each listener for operators.
pub(super) fn for_operators(uris: &[String]) -> Result<Vec<Opening>, BindError> {
    let each = uris.iter().map(|uri| {
        // HTTP is spoken there, so that the port needs no other name.
        let spoken = match address::split(uri) {
            Ok((scheme, rest)) if scheme.eq_ignore_ascii_case("tcp") => {
                format!("http://{rest}")
            }
            _ => uri.clone(),
        };
        let endpoint = Endpoint::to_listen(&spoken).map_err(|why| ListenError::Uri {
            uri: without_secrets(uri),
            why,
        })?;
        match endpoint.scheme() {
            Scheme::Http | Scheme::Https | Scheme::Unix => Ok(Opening::BuiltIn(endpoint, spoken)),
            _ => Err(BindError::OperatorListener {
                uri: without_secrets(uri),
            }),
        }
    });
    each.collect()
}
