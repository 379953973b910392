//! Owns one connection without the state machine on top, for programs that write and read messages by the million;
//! knows nothing of what the messages mean, and does not connect again.

use std::time::Duration;

use super::ClientError;
use super::builder::failure;
use super::transport::{Connection, Reader, Writer, dial};
use super::trust::Trust;
use crate::address::Endpoint;

/// Opens links to one server; see [`super::ClientBuilder::dialler`].
#[derive(Clone)]
pub struct Dialler {
    pub(super) endpoint: Endpoint,
    pub(super) trust: Trust,
    pub(super) most: usize,
    pub(super) patience: Duration,
}

/// One connection, as its two sides. Nothing has been said on it yet, no token either.
pub struct Link {
    /// The receiving side.
    pub reader: LinkReader,
    /// The sending side.
    pub writer: LinkWriter,
}

/// The receiving side of a link.
pub struct LinkReader(Reader);

/// The sending side of a link.
pub struct LinkWriter(Writer);

impl Dialler {
    /// Opens one more connection.
    ///
    /// # Errors
    /// [`ClientError::Connect`].
    pub async fn dial(&self) -> Result<Link, ClientError> {
        let dialling = dial(&self.endpoint, &self.trust, self.most);
        let dialled = tokio::time::timeout(self.patience, dialling).await;
        let Connection { reader, writer } = dialled
            .unwrap_or_else(|_| Err(format!("no answer within {:?}", self.patience)))
            .map_err(|reason| failure(&self.endpoint, &reason))?;
        Ok(Link {
            reader: LinkReader(reader),
            writer: LinkWriter(writer),
        })
    }
}

impl LinkReader {
    /// Waits for messages; dropping the future loses none.
    ///
    /// # Errors
    /// Why the connection is over, for people.
    pub async fn read(&mut self) -> Result<(), String> {
        self.0.read().await
    }

    /// Shows each message of the last [`LinkReader::read`], without its line end.
    pub fn each(&self, show: impl FnMut(&[u8])) {
        self.0.each(show);
    }
}

impl LinkWriter {
    /// Writes whole messages, each ended by a newline, in as few writes as the transport allows.
    ///
    /// # Errors
    /// Why the connection is over, for people.
    pub async fn write(&mut self, messages: Vec<u8>) -> Result<(), String> {
        self.0.queue(messages);
        self.0.write().await
    }
}
