//! Owns what a server is made of and its life: build, bind, run, drain.

use std::future::Future;
use std::net::SocketAddr;

use mist_core::limits::Limits;

/// Who may use the basic commands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    #[default]
    Open,
    /// Sessions with the server's token or a registered one, within the token's grants.
    Scoped,
}

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Placeholder.
    #[error("placeholder")]
    Placeholder,
}

/// Says what a server is made of.
#[derive(Debug, Default)]
pub struct ServerBuilder {}

/// A bound server: its addresses are taken, nobody is served yet.
#[derive(Debug)]
pub struct Server {}

impl Server {
    /// Starts describing a server.
    #[must_use]
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    /// The addresses that were bound, as (scheme, address), in the order of the listeners.
    #[must_use]
    pub fn addresses(&self) -> Vec<(String, SocketAddr)> {
        Vec::new()
    }

    /// Serves until `shutdown` completes, then drains and returns.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        shutdown.await;
    }
}

impl ServerBuilder {
    /// Adds listeners: one URI, or several separated by commas.
    #[must_use]
    pub fn listen(self, _uris: &str) -> Self {
        self
    }

    /// Sets the token store.
    #[must_use]
    pub fn authenticator(self, _uri: &str) -> Self {
        self
    }

    /// Sets the server's token, which makes a session admin.
    #[must_use]
    pub fn token(self, _token: &str) -> Self {
        self
    }

    /// Sets who may use the basic commands.
    #[must_use]
    pub fn access(self, _access: Access) -> Self {
        self
    }

    /// Sets the limits.
    #[must_use]
    pub fn limits(self, _limits: Limits) -> Self {
        self
    }

    /// Takes the listeners' addresses.
    ///
    /// # Errors
    /// [`BindError`], at once, when an address is taken or a setting does not fit.
    pub async fn bind(self) -> Result<Server, BindError> {
        Ok(Server {})
    }
}
