//! Owns why a server cannot start, or an address cannot be taken, and how it is said. What to type instead is for the
//! program to add.

use std::io;

use mist_net::address::AddressError;

use crate::listener::certificate::CertificateError;

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// No listener is left to start.
    #[error("no listener to start - give at least one of: {known}")]
    #[non_exhaustive]
    NoListener {
        /// The schemes that are known, separated by commas.
        known: String,
    },
    /// A listener with an unknown scheme.
    #[error("unsupported listener '{uri}' - {why}")]
    #[non_exhaustive]
    UnknownListener {
        /// The URI as it was given, without what may be secret in it.
        uri: String,
        /// The known schemes, and the one that was probably meant.
        why: AddressError,
    },
    /// A listener for operators that does not speak HTTP.
    #[error(
        "unsupported listener for operators '{uri}' - HTTP is spoken there: use http://, https:// or unix://"
    )]
    #[non_exhaustive]
    OperatorListener {
        /// The URI as it was given, without what may be secret in it.
        uri: String,
    },
    /// An allowed origin that no browser names.
    #[error("invalid origin '{value}' - {why}")]
    #[non_exhaustive]
    Origin {
        /// As it was given.
        value: String,
        /// What to write instead.
        why: String,
    },
    /// A host name that no request can ask for.
    #[error("invalid host '{value}' - {why}")]
    #[non_exhaustive]
    Host {
        /// As it was given.
        value: String,
        /// What to write instead.
        why: String,
    },
    /// A network of proxies that cannot be read.
    #[error("invalid network '{value}' - {why}")]
    #[non_exhaustive]
    Proxies {
        /// As it was given.
        value: String,
        /// What to write instead.
        why: &'static str,
    },
    /// The certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// An address could not be taken.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A token store without the server's token: tokens could not be registered.
    #[error("an authenticator has been specified but no token provided")]
    MissingToken,
    /// More than one authenticator keeps tokens, so it is not clear where to register one.
    #[error("two authenticators that keep tokens, '{first}' and '{second}' - give one at most")]
    #[non_exhaustive]
    SeveralStores {
        /// The URI of one, without what may be secret in it.
        first: String,
        /// The URI of another.
        second: String,
    },
    /// Scoped access without anything that could verify a token.
    #[error("access is scoped but no token provided - nobody could connect")]
    ScopedWithoutToken,
    /// The authenticator's scheme is unknown.
    #[error("unsupported authenticator '{uri}' - known schemes: {known}")]
    #[non_exhaustive]
    UnknownAuthenticator {
        /// The URI without what may be secret in it.
        uri: String,
        /// The schemes that are known, separated by commas.
        known: String,
    },
    /// The authenticator could not be opened.
    #[error("cannot open the authenticator '{uri}' - {why}")]
    #[non_exhaustive]
    Authenticator {
        /// The URI without what may be secret in it.
        uri: String,
        /// Why it could not be opened.
        why: String,
    },
    /// The cluster cannot be joined by this URI.
    #[error("cannot join the cluster '{uri}' - {why}")]
    Cluster {
        /// The URI without what may be secret in it.
        uri: String,
        /// What is wrong with it.
        why: String,
    },
    /// The process may open too few files for a server.
    #[error(
        "this process may open {files} files at once (ulimit -n), too few for a server - let it open {needed} or more"
    )]
    #[non_exhaustive]
    TooFewFiles {
        /// How many it may open.
        files: u64,
        /// How many it needs for the configured connections.
        needed: u64,
    },
    /// The machine has too little memory for a server.
    #[error(
        "this machine has {bytes} bytes of memory, too few for a server - it needs {needed} or a lower \
         outbox-total-bytes"
    )]
    #[non_exhaustive]
    TooLittleMemory {
        /// How many it has.
        bytes: u64,
        /// How many it needs for the configured limits.
        needed: u64,
    },
    /// The system has no randomness to seed the broker's hash with.
    #[error("the system provides no randomness - {0}")]
    Randomness(String),
}

/// Why an address could not be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The URI is not one that a server can listen on.
    #[error("invalid listener '{uri}' - {why}")]
    #[non_exhaustive]
    Uri {
        /// The URI as it was given, without what may be secret in it.
        uri: String,
        /// What is wrong with it, and what would be right.
        why: AddressError,
    },
    /// Another program listens there.
    #[error(
        "cannot listen on '{uri}' - the address is in use; stop what listens there or choose another"
    )]
    #[non_exhaustive]
    InUse {
        /// The URI as it was given.
        uri: String,
    },
    /// Another listener of the same server has the address.
    #[error(
        "cannot listen on '{uri}' - '{other}' of this server has the address already; leave one of them out"
    )]
    #[non_exhaustive]
    Twice {
        /// The URI as it was given.
        uri: String,
        /// The other's URI as it was given.
        other: String,
    },
    /// The address is another machine's.
    #[error(
        "cannot listen on '{uri}' - this machine does not have the address; choose one of its own, or 0.0.0.0 or [::] \
         for all of them"
    )]
    #[non_exhaustive]
    Absent {
        /// The URI as it was given.
        uri: String,
    },
    /// The path exists and is not a socket.
    #[error(
        "cannot listen on '{uri}' - there is something else than a socket; remove it or choose another path"
    )]
    #[non_exhaustive]
    NotASocket {
        /// The URI as it was given.
        uri: String,
    },
    /// The system does not permit it to this user.
    #[error("cannot listen on '{uri}' - {source}; {remedy}")]
    #[non_exhaustive]
    Denied {
        /// The URI as it was given.
        uri: String,
        /// What the system said.
        source: io::Error,
        /// What would help.
        remedy: &'static str,
    },
    /// The system refused.
    #[error("cannot listen on '{uri}' - {source}")]
    #[non_exhaustive]
    Io {
        /// The URI as it was given.
        uri: String,
        /// What the system said.
        source: io::Error,
    },
}

impl ListenError {
    /// Wraps the system's error for an address.
    #[must_use]
    pub fn io(uri: &str, source: io::Error) -> Self {
        let uri = uri.to_owned();
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { uri },
            io::ErrorKind::AddrNotAvailable => Self::Absent { uri },
            io::ErrorKind::PermissionDenied => {
                let remedy = match uri.starts_with("unix:") {
                    true => "choose a folder that this user may write to",
                    // Any port may be refused, by a firewall for example; but these are what it nearly always is.
                    false => {
                        "ports below 1024 need the capability CAP_NET_BIND_SERVICE, which packaging/mist.service gives, or \
                         take a port from 1024 on"
                    }
                };
                Self::Denied {
                    uri,
                    source,
                    remedy,
                }
            }
            _ => Self::Io { uri, source },
        }
    }
}
