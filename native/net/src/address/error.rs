//! Owns the errors of addresses in a wrong form, for listening and for connecting.

/// What is wrong with an address, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// There is no `://` where there must be one.
    #[error("the scheme is missing, did you mean tcp://{}?", with_host(address))]
    MissingScheme {
        /// The address as it was given.
        address: String,
    },
    /// The scheme is none that is known here.
    #[error("the scheme '{scheme}' is not one of {known}")]
    UnknownScheme {
        /// What stands in front of `://`.
        scheme: String,
        /// The schemes that are known, separated by commas.
        known: String,
    },
    /// The scheme is known, but what it takes was left out when this program was compiled.
    #[error(
        "this program was built without {scheme}:// - add the feature {missing} of mist-pubsub-client"
    )]
    NotBuiltIn {
        /// What stands in front of `://`.
        scheme: &'static str,
        /// The features that are missing.
        missing: String,
    },
    /// There is an `@`.
    #[error(
        "there is a user or a token in front of '@': leave it out and give the token by itself"
    )]
    Credentials,
    /// There is nothing where the host should be.
    #[error("the host is missing: write HOST:PORT, as in 127.0.0.1:1445")]
    MissingHost,
    /// A number stands where the host should be.
    #[error("'{0}' is a number, not a host: write HOST:{0}, as in 127.0.0.1:{0}")]
    PortAlone(String),
    /// The host is neither a name nor an address.
    #[error("'{0}' is neither the name of a host nor an IP address")]
    Host(String),
    /// The host is a name in letters that name servers do not have, and their tables were left out of this program.
    #[error(
        "'{0}' is not ASCII: write the name's form that begins with xn--, or add the feature `idn` of mist-pubsub-client"
    )]
    OtherScript(String),
    /// There are several colons.
    #[error("an IPv6 address needs brackets, as in [::1]:1445")]
    Brackets,
    /// What stands in brackets is something else.
    #[error(
        "'{0}' in the brackets is not an IPv6 address, as in [::1]:1445 or [fe80::1%25eth0]:1445"
    )]
    Ipv6(String),
    /// An address that each of this machine's networks has, without the network.
    #[error(
        "'{0}' is a link-local address: name its network interface too, as in [{0}%25eth0]:1445"
    )]
    MissingZone(String),
    /// The port is none.
    #[error("'{0}' is not a port between 0 and 65535")]
    Port(String),
    /// There is a path or a query where none can be.
    #[error("{what} has no path and no query, but this one has '{path}'")]
    Path {
        /// What kind of address it is.
        what: &'static str,
        /// What stands behind host and port, without what may be secret in it.
        path: String,
    },
    /// The path has a character that cannot stand there.
    #[error("the path has {0:?}: write it as %XX, or leave it out")]
    Character(char),
    /// Unix sockets are for Unix, even where another system has them.
    #[error(
        "unix:// is for Unix systems: use tcp:// with a loopback address, as in tcp://127.0.0.1:1445"
    )]
    NoUnixSockets,
    /// There is nothing where the path of a Unix socket should be.
    #[error("the path is missing: write unix:///run/mist.sock")]
    MissingPath,
    /// The host has no address.
    #[error("no address is known for the host '{host}': {why}")]
    Unresolved {
        /// The name that was looked up.
        host: String,
        /// What the system said.
        why: String,
    },
    /// The zone of an IPv6 address is none of this machine's.
    #[error("this machine has no network interface '{0}', the zone of the address")]
    Zone(String),
    /// The path is longer than the system takes.
    #[error(
        "the path has {length} bytes, and the system takes {most} for a Unix socket: choose a shorter one"
    )]
    LongPath {
        /// The path's length in bytes.
        length: usize,
        /// The longest that the system takes.
        most: usize,
    },
    /// A Unix socket's query says something else than its mode.
    #[error("'{0}' is not mode=0660 or like it")]
    Option(String),
    /// The mode of a Unix socket is none.
    #[error("'{0}' is not a mode between 0000 and 0777")]
    Mode(String),
}

/// What was probably meant by a port alone.
fn with_host(address: &str) -> String {
    match address.bytes().all(|byte| byte.is_ascii_digit()) {
        true => format!("127.0.0.1:{address}"),
        false => address.to_owned(),
    }
}
