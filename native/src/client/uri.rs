//! Owns the form of a server's address; knows nothing of sockets.

use super::ClientError;

/// How messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    /// Lines over TCP.
    Tcp,
    /// Lines over TLS.
    Tls,
    /// WebSocket frames over TCP.
    Ws,
    /// WebSocket frames over TLS.
    Wss,
    /// Lines over a Unix socket.
    Unix,
}

impl Transport {
    pub(super) fn is_encrypted(self) -> bool {
        matches!(self, Self::Tls | Self::Wss)
    }
}

/// A parsed address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) transport: Transport,
    /// A name or an address, without the brackets of IPv6.
    pub(super) host: String,
    pub(super) port: u16,
    /// For WebSocket, the path and query to ask for; for a Unix socket, its file.
    pub(super) path: String,
}

/// Where a server takes WebSocket clients if the address does not say.
const WS_PATH: &str = "/subscribe/websocket";

impl Endpoint {
    /// Reads `tcp://host:port`, `ws://host:port/path` and their encrypted kin, `unix:///path`, or `host:port`, which
    /// means tcp.
    pub(super) fn parse(uri: &str) -> Result<Self, ClientError> {
        Self::read(uri.trim()).map_err(|why| ClientError::InvalidUri {
            uri: uri.into(),
            why,
        })
    }

    fn read(uri: &str) -> Result<Self, String> {
        let (scheme, rest) = uri.split_once("://").unwrap_or(("tcp", uri));
        let transport = match scheme.to_ascii_lowercase().as_str() {
            "tcp" => Transport::Tcp,
            "tls" => Transport::Tls,
            "ws" => Transport::Ws,
            "wss" => Transport::Wss,
            "unix" if rest.is_empty() => {
                return Err("the path is missing: write unix:///run/mist.sock".into());
            }
            "unix" => {
                return Ok(Self {
                    transport: Transport::Unix,
                    host: String::new(),
                    port: 0,
                    path: rest.into(),
                });
            }
            other => {
                return Err(format!(
                    "scheme '{other}' is not one of tcp://, tls://, ws://, wss://, unix://"
                ));
            }
        };
        let (authority, path) = match rest.find(['/', '?', '#']) {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        if authority.contains('@') {
            return Err("a token does not belong into the address: pass it separately".into());
        }
        let (host, port) = split_port(authority)?;
        if host.is_empty() {
            return Err("the host is missing: write host:port, like 127.0.0.1:1445".into());
        }
        let is_websocket = matches!(transport, Transport::Ws | Transport::Wss);
        let path = match path {
            "" | "/" if is_websocket => WS_PATH.into(),
            path if is_websocket && path.starts_with('?') => format!("{WS_PATH}{path}"),
            path if is_websocket => path.into(),
            "" | "/" => String::new(),
            path => {
                return Err(format!(
                    "a {scheme} address has no path, but this one has '{path}'"
                ));
            }
        };
        Ok(Self {
            transport,
            host: host.into(),
            port: port.unwrap_or(match transport {
                Transport::Tcp | Transport::Unix => 1445,
                Transport::Tls => 1446,
                Transport::Ws => 8888,
                Transport::Wss => 8889,
            }),
            path,
        })
    }

    /// Returns `host:port`, with the brackets of IPv6, or the URI of a Unix socket.
    pub(super) fn address(&self) -> String {
        if self.transport == Transport::Unix {
            format!("unix://{}", self.path)
        } else if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), String> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest
            .split_once(']')
            .ok_or("the ']' of an IPv6 address is missing")?;
        (host, rest.strip_prefix(':'))
    } else {
        match authority.rsplit_once(':') {
            Some((host, _)) if host.contains(':') => {
                return Err("an IPv6 address needs brackets, like [::1]:1445".into());
            }
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        }
    };
    let port = port
        .map(|port| {
            port.parse()
                .map_err(|_| format!("'{port}' is not a port between 0 and 65535"))
        })
        .transpose()?;
    Ok((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(uri: &str) -> (Transport, String, String) {
        let endpoint = Endpoint::parse(uri).expect(uri);
        (endpoint.transport, endpoint.address(), endpoint.path)
    }

    #[test]
    fn every_form_of_address_has_its_defaults() {
        let ws = |address: &str, path: &str| (Transport::Ws, address.into(), path.into());
        let tcp = |address: &str| (Transport::Tcp, String::from(address), String::new());
        assert_eq!(parsed("tcp://127.0.0.1:1445"), tcp("127.0.0.1:1445"));
        assert_eq!(parsed("example.org:7"), tcp("example.org:7"));
        assert_eq!(parsed("example.org"), tcp("example.org:1445"));
        assert_eq!(parsed("tcp://[::1]:9/"), tcp("[::1]:9"));
        assert_eq!(parsed("[::1]"), tcp("[::1]:1445"));
        assert_eq!(parsed("ws://h"), ws("h:8888", WS_PATH));
        assert_eq!(parsed("WS://h:80/mist?a=b"), ws("h:80", "/mist?a=b"));
        let encrypted = |transport, address: &str, path: &str| {
            (transport, String::from(address), String::from(path))
        };
        assert_eq!(parsed("tls://h"), encrypted(Transport::Tls, "h:1446", ""));
        assert_eq!(
            parsed("wss://h?x=y"),
            encrypted(Transport::Wss, "h:8889", "/subscribe/websocket?x=y")
        );
        assert_eq!(
            parsed("unix:///run/mist.sock"),
            encrypted(Transport::Unix, "unix:///run/mist.sock", "/run/mist.sock")
        );
    }

    #[test]
    fn a_wrong_address_is_named_with_what_would_be_right() {
        for (uri, word) in [
            ("udp://h:1", "tcp://"),
            ("https://h:1", "wss://"),
            ("unix://", "path is missing"),
            ("tls://h:1/path", "a tls address has no path"),
            ("tcp://h:port", "'port'"),
            ("tcp://h:70000", "'70000'"),
            ("tcp://:1445", "host is missing"),
            ("tcp://h:1/path", "'/path'"),
            ("::1:1445", "brackets"),
            ("tcp://token@h:1", "token"),
        ] {
            let error = Endpoint::parse(uri).expect_err(uri).to_string();
            assert!(error.contains(uri) && error.contains(word), "{error}");
        }
    }
}
