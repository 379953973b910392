//! Owns opening connections, as a client has them, and why there is none; knows nothing of what is said on them.

use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

use crate::address::{AddressError, Endpoint, Place, Site};
use crate::stream::{Io, plain};
use crate::transport::Connection;
#[cfg(feature = "tls")]
use crate::trust::TlsError;
use crate::trust::Trust;

/// The number of EMFILE on Linux, macOS and the BSDs, for which the standard library has no kind.
const TOO_MANY_OPEN_FILES: i32 = 24;

/// Why there is no connection to a server.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The host has no address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The system could not connect.
    #[error("{}", not_connected(.0))]
    Io(#[source] Arc<io::Error>),
    /// The server does not encrypt, or is not trusted.
    #[cfg(feature = "tls")]
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Something else answers there.
    #[error("{0}")]
    Protocol(String),
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        Self::Io(Arc::new(error))
    }
}

fn not_connected(error: &io::Error) -> String {
    match error.kind() {
        _ if cfg!(unix) && error.raw_os_error() == Some(TOO_MANY_OPEN_FILES) => {
            "this program has as many files open as the system lets it (ulimit -n)".into()
        }
        io::ErrorKind::AddrNotAvailable => {
            "this system has no address or no port left to connect from (net.ipv4.ip_local_port_range)".into()
        }
        io::ErrorKind::NotFound => "there is no such socket".into(),
        _ => format!("{}; is a mist server listening there?", plain(error)),
    }
}

/// Opens connections to one server.
#[derive(Clone)]
pub struct Connector {
    /// Where it is.
    pub endpoint: Endpoint,
    /// Whether to trust it.
    pub trust: Trust,
    /// Bytes in the largest message that is accepted; a larger one ends the connection.
    pub message_bytes: usize,
}

impl Connector {
    /// Opens one more connection. Nothing is said on it yet, no token either.
    ///
    /// This is the one place to add a scheme, besides [`crate::address`]: make its stream, then choose the framing.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn connect(&self) -> Result<Connection, ConnectError> {
        let (scheme, most) = (self.endpoint.scheme(), self.message_bytes);
        let site = match self.endpoint.place() {
            Place::Internet(site) => site,
            #[cfg(unix)]
            Place::Unix(file) => {
                let stream = UnixStream::connect(&file.path).await?;
                return Ok(Connection::lines(Box::new(stream), scheme, most));
            }
            #[cfg(not(unix))]
            Place::Unix(_) => return Err(AddressError::NoUnixSockets.into()),
        };
        let stream = tcp(site).await?;
        let io: Io = if scheme.is_encrypted() {
            self.trust.encrypt(stream, &site.name()).await?
        } else {
            Box::new(stream)
        };
        // An address that needs a missing feature has been refused when it was read.
        #[cfg(feature = "websocket")]
        if scheme.is_websocket() {
            let upgraded = Connection::frames(io, site, most).await;
            return upgraded.map_err(ConnectError::Protocol);
        }
        Ok(Connection::lines(io, scheme, most))
    }
}

/// Connects to the first of the host's addresses that accepts.
async fn tcp(site: &Site) -> Result<TcpStream, ConnectError> {
    let mut refused = None;
    for socket in site.resolve().await? {
        match TcpStream::connect(socket).await {
            Ok(stream) => {
                // Messages are written in batches already; waiting for more would only delay them.
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            // Of several, the first says most: the others may be of a kind that this machine does not have.
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    Err(refused
        .unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into())
        .into())
}
