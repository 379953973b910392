//! Owns which sockets a host stands for.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::lookup_host;

use super::{AddressError, Host, Site};

impl Site {
    /// Finds all addresses of the host, each once, in the order to try them.
    ///
    /// # Errors
    /// [`AddressError::Unresolved`], [`AddressError::Zone`]; there is at least one address otherwise.
    pub async fn resolve(&self) -> Result<Vec<SocketAddr>, AddressError> {
        let port = self.port;
        match (&self.host, &self.zone) {
            (Host::Ipv4(ip), _) => Ok(vec![(*ip, port).into()]),
            (Host::Ipv6(ip), None) => Ok(vec![(*ip, port).into()]),
            // The system knows the numbers of zones.
            (Host::Ipv6(ip), Some(zone)) => look_up(&format!("{ip}%{zone}"), port)
                .await
                .map_err(|_| AddressError::Zone(zone.clone())),
            (Host::Domain(_), _) if self.is_localhost() => Ok(vec![
                (Ipv4Addr::LOCALHOST, port).into(),
                (Ipv6Addr::LOCALHOST, port).into(),
            ]),
            (Host::Domain(name), _) => look_up(name, port).await,
        }
    }

    /// Whether it is the name of this machine itself: loopback of both families, whatever a file or a name server says
    /// (RFC 6761, section 6.3). Many systems list one of the two only, and programs differ in which one they try.
    pub fn is_localhost(&self) -> bool {
        matches!(&self.host, Host::Domain(name) if name.trim_end_matches('.') == "localhost")
    }
}

async fn look_up(host: &str, port: u16) -> Result<Vec<SocketAddr>, AddressError> {
    let unresolved = |why: &str| AddressError::Unresolved {
        host: host.to_owned(),
        why: why.to_owned(),
    };
    let found = lookup_host((host, port)).await.map_err(|error| {
        let text = error.to_string();
        // The standard library's words in front say what is said already.
        let why = text.strip_prefix("failed to lookup address information: ");
        unresolved(why.unwrap_or(&text))
    })?;
    let mut addresses = Vec::new();
    for address in found {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    match addresses.is_empty() {
        true => Err(unresolved("there is none")),
        false => Ok(addresses),
    }
}
