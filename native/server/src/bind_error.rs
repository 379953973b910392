//! Owns why a server cannot start, and how it is said. What to type instead is for the program to add.

use mist_net::address::AddressError;

use crate::listener::{CertificateError, ListenError};

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// No listener is left to start.
    #[error("no listener to start - give at least one of: {known}")]
    NoListener {
        /// The schemes that are known, separated by commas.
        known: String,
    },
    /// A listener that no server can start.
    #[error("unsupported listener '{uri}' - {why}")]
    UnknownListener {
        /// The URI as it was given, without what may be secret in it.
        uri: String,
        /// What is known instead, and what was meant, perhaps.
        why: AddressError,
    },
    /// A listener for operators that does not speak HTTP.
    #[error(
        "unsupported listener for operators '{uri}' - HTTP is spoken there: use http://, https:// or unix://"
    )]
    OperatorListener {
        /// The URI as it was given, without what may be secret in it.
        uri: String,
    },
    /// An allowed origin that no browser names.
    #[error("invalid origin '{value}' - {why}")]
    Origin {
        /// As it was given.
        value: String,
        /// What to write instead.
        why: String,
    },
    /// A name of the server that no request asks for.
    #[error("invalid host '{value}' - {why}")]
    Host {
        /// As it was given.
        value: String,
        /// What to write instead.
        why: String,
    },
    /// A network of proxies that cannot be read.
    #[error("invalid network '{value}' - {why}")]
    Proxies {
        /// As it was given.
        value: String,
        /// What to write instead.
        why: &'static str,
    },
    /// There is nothing to encrypt with.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// An address could not be taken.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A token store without the server's token: nobody could ever register a token.
    #[error("an authenticator has been specified but no token provided")]
    MissingToken,
    /// More than one authenticator keeps tokens: which of them would one be registered with?
    #[error("two authenticators that keep tokens, '{first}' and '{second}' - give one at most")]
    SeveralStores {
        /// The URI of one, without what may be secret in it.
        first: String,
        /// The URI of another.
        second: String,
    },
    /// Scoped access with nothing that could be presented.
    #[error("access is scoped but no token provided - nobody could connect")]
    ScopedWithoutToken,
    /// The authenticator's scheme is unknown.
    #[error("unsupported authenticator '{uri}' - known schemes: {known}")]
    UnknownAuthenticator {
        /// The URI without what may be secret in it.
        uri: String,
        /// The schemes that are known, separated by commas.
        known: String,
    },
    /// The authenticator could not be opened.
    #[error("cannot open the authenticator '{uri}' - {why}")]
    Authenticator {
        /// The URI without what may be secret in it.
        uri: String,
        /// What its store said.
        why: String,
    },
    /// The process may open too few files for a server.
    #[error(
        "this process may open {files} files at once (ulimit -n), too few for a server - let it open {needed} or more"
    )]
    TooFewFiles {
        /// How many it may open.
        files: u64,
        /// How many it needs, for the connections that were asked for.
        needed: u64,
    },
    /// The machine has too little memory for a server.
    #[error(
        "this machine has {bytes} bytes of memory, too few for a server - it needs {needed} or a lower \
         outbox-total-bytes"
    )]
    TooLittleMemory {
        /// How many it has.
        bytes: u64,
        /// How many it needs, for the limits that were asked for.
        needed: u64,
    },
    /// The system has no randomness to seed the broker's hash with.
    #[error("the system provides no randomness - {0}")]
    Randomness(String),
}
