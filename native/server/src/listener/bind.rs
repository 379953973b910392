//! Owns binding the addresses of a server's listeners; knows nothing of what is spoken there.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use rustix::io::Errno;
use socket2::{SockAddr, Socket};
use tokio::net::TcpListener;

use super::tls::Tls;
#[cfg(unix)]
use super::unix;
use super::{Address, Listener, socket, tcp, web};
use crate::bind_error::ListenError;
#[cfg(not(unix))]
use mist_net::address::AddressError;
use mist_net::address::{Endpoint, Place, Scheme, Site};

/// The addresses that the listeners of one server want and have.
pub(crate) struct Ground {
    /// Ports that some listener wants on IPv4.
    on_ipv4: Vec<u16>,
    /// The addresses that are bound, each with the URI that named it.
    taken: Vec<(Address, String)>,
    /// Sockets that were handed over, for the listeners with their addresses.
    inherited: Vec<Socket>,
}

/// An address that was bound.
type Taken = (TcpListener, SocketAddr);
/// An address that could not be bound.
type Refused = (SocketAddr, io::Error);

/// How often to ask the system for another port, if all addresses of a host are to share one.
const TRIES: usize = 16;

impl Ground {
    /// Notes what all listeners want before any of them binds it.
    pub(crate) fn new<'a>(
        wanted: impl Iterator<Item = &'a Endpoint>,
        inherited: Vec<Socket>,
    ) -> Self {
        let sites = wanted.filter_map(Endpoint::site);
        // A name may have an address of either kind.
        let on_ipv4 = sites.filter(|site| !site.ip().is_some_and(|ip| ip.is_ipv6()));
        Self {
            on_ipv4: on_ipv4.map(|site| site.port).collect(),
            taken: Vec::new(),
            inherited,
        }
    }

    /// Binds all addresses of an endpoint; an encrypted scheme needs `tls`. If a host name has several, those that are
    /// not of this machine are left out.
    pub(crate) async fn take(
        &mut self,
        uri: &str,
        endpoint: &Endpoint,
        tls: Option<&Arc<Tls>>,
    ) -> Result<Vec<Box<dyn Listener>>, ListenError> {
        let scheme = endpoint.scheme();
        let listeners: Vec<_> = match endpoint.place() {
            #[cfg(unix)]
            Place::Unix(file) => {
                let is_there = |taken: &Address| taken.place == file.path;
                let path = std::path::Path::new(&file.path);
                let bound = match self.inherited(|own| own.as_pathname() == Some(path)) {
                    Some(socket) => unix::inherit(uri, file, socket),
                    None => unix::bind(uri, file),
                };
                vec![bound.map_err(|error| self.blame(error, is_there))?]
            }
            #[cfg(not(unix))]
            Place::Unix(_) => {
                return Err(ListenError::Uri {
                    uri: uri.to_owned(),
                    why: AddressError::NoUnixSockets,
                });
            }
            Place::Internet(site) => {
                let bound = self.take_site(uri, scheme, site).await?;
                let new = |(listener, address)| -> Box<dyn Listener> {
                    let tls = tls.filter(|_| scheme.is_encrypted()).cloned();
                    let address = Address::from_socket(scheme.name(), address);
                    match scheme {
                        Scheme::Tcp | Scheme::Tls => tcp::new(listener, address, tls),
                        _ => web::new(listener, address, tls),
                    }
                };
                bound.into_iter().map(new).collect()
            }
        };
        let taken = listeners.iter().map(|it| (it.address(), uri.to_owned()));
        self.taken.extend(taken);
        Ok(listeners)
    }

    /// Takes the handed-over socket with this address, if there is one.
    fn inherited(&mut self, is_wanted: impl Fn(&SockAddr) -> bool) -> Option<Socket> {
        let is_it = |socket: &Socket| socket.local_addr().is_ok_and(|own| is_wanted(&own));
        let at = self.inherited.iter().position(is_it)?;
        Some(self.inherited.swap_remove(at))
    }

    /// Logs which sockets were handed over and not used.
    #[cfg(unix)]
    pub(crate) fn look_at_rest(&self) {
        for own in self.inherited.iter().filter_map(|it| it.local_addr().ok()) {
            let internet = own.as_socket().map(|address| address.to_string());
            let path = own.as_pathname().map(|path| path.display().to_string());
            tracing::warn!(
                "not using a socket that was passed on for {}: no listener has this address",
                internet.or(path).unwrap_or_default()
            );
        }
    }

    async fn take_site(
        &mut self,
        uri: &str,
        scheme: Scheme,
        site: &Site,
    ) -> Result<Vec<Taken>, ListenError> {
        let wanted = site.resolve().await;
        let wanted = wanted.map_err(|why| ListenError::io(uri, io::Error::other(why)))?;
        let mut tries = 1..TRIES;
        let (address, error) = loop {
            match self.take_all(&wanted) {
                Ok((bound, absent)) => {
                    for (address, _) in absent {
                        // Many machines have no IPv6; that is not worth a warning.
                        if !site.is_localhost() {
                            tracing::warn!(
                                "not listening on {address}, an address of the host in '{uri}', since this machine does \
                                 not have it"
                            );
                        }
                    }
                    return Ok(bound);
                }
                Err((address, error)) => {
                    // The port that the system chose was free on the first address only.
                    let is_chosen = site.port == 0 && address.port() != 0;
                    let is_in_use = error.kind() == io::ErrorKind::AddrInUse;
                    if !is_chosen || !is_in_use || tries.next().is_none() {
                        break (address, error);
                    }
                }
            }
        };
        let one_of_several = Address::from_socket(scheme.name(), address).to_string();
        let error = match wanted.len() {
            1 => ListenError::io(uri, error),
            _ => ListenError::io(&one_of_several, error),
        };
        Err(self.blame(error, |taken| {
            taken.socket.is_some_and(|taken| do_overlap(taken, address))
        }))
    }

    /// Binds addresses, all with the same port if the system is to choose it. Also returns those that are not of this
    /// machine; if none is, the first of them is the error.
    fn take_all(&mut self, wanted: &[SocketAddr]) -> Result<(Vec<Taken>, Vec<Refused>), Refused> {
        let (mut bound, mut absent) = (Vec::<Taken>::new(), Vec::new());
        for &(mut address) in wanted {
            if let Some((_, first)) = bound.first() {
                address.set_port(first.port());
            }
            let taken = match self.inherited(|own| own.as_socket() == Some(address)) {
                Some(socket) => socket::inherit(socket),
                None => socket::listen(address, self.is_ipv6_alone(address)),
            };
            match taken {
                Ok(taken) => bound.push(taken),
                Err(error) if is_absent(&error) => absent.push((address, error)),
                Err(error) => return Err((address, error)),
            }
        }
        match bound.is_empty() {
            true => Err(absent.swap_remove(0)),
            false => Ok((bound, absent)),
        }
    }

    /// Whether an address is for IPv6 only: `[::]` includes IPv4, unless another listener wants that.
    fn is_ipv6_alone(&self, address: SocketAddr) -> bool {
        let is_every = address.is_ipv6() && address.ip().is_unspecified();
        is_every && address.port() != 0 && self.on_ipv4.contains(&address.port())
    }

    /// Finds out whether the address is in use by another listener of this server.
    fn blame(&self, error: ListenError, is_there: impl Fn(&Address) -> bool) -> ListenError {
        let ListenError::InUse { uri } = error else {
            return error;
        };
        match self.taken.iter().find(|(taken, _)| is_there(taken)) {
            Some((_, other)) => ListenError::Twice {
                uri,
                other: other.clone(),
            },
            None => ListenError::InUse { uri },
        }
    }
}

/// Whether two listeners cannot have these addresses at the same time.
fn do_overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let covers = |all: IpAddr, one: IpAddr| {
        all == one || all.is_unspecified() && (all.is_ipv6() || one.is_ipv4())
    };
    let (one_ip, other_ip) = (one.ip(), other.ip());
    one.port() == other.port() && (covers(one_ip, other_ip) || covers(other_ip, one_ip))
}

/// Whether this machine does not have the address, or no IPv6 at all.
fn is_absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
        || Errno::from_io_error(error) == Some(Errno::AFNOSUPPORT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ground(wanted: &[&str]) -> Ground {
        let endpoints: Vec<_> = wanted
            .iter()
            .map(|uri| Endpoint::to_listen(uri).expect(uri))
            .collect();
        Ground::new(endpoints.iter(), Vec::new())
    }

    fn sockets(all: &[&str]) -> Vec<SocketAddr> {
        all.iter().map(|text| text.parse().expect(text)).collect()
    }

    #[tokio::test]
    async fn all_addresses_of_a_host_share_a_port_and_those_of_others_are_left_out() {
        // The second is set aside for documentation, so no machine has it.
        let wanted = sockets(&["127.0.0.1:0", "192.0.2.1:0", "127.0.0.2:0"]);
        let (bound, absent) = ground(&[]).take_all(&wanted).expect("loopback");
        let bound: Vec<_> = bound.iter().map(|(_, address)| *address).collect();
        let port = bound[0].port();
        assert_ne!(port, 0);
        let text = [format!("127.0.0.1:{port}"), format!("127.0.0.2:{port}")];
        assert_eq!(bound, sockets(&[&text[0], &text[1]]));
        assert_eq!(absent.len(), 1);
        let (address, _) = ground(&[]).take_all(&wanted[1..2]).expect_err("nobody's");
        assert_eq!(address.ip(), wanted[1].ip());
    }

    #[tokio::test]
    async fn one_address_in_use_is_an_error() {
        let taken = std::net::TcpListener::bind("127.0.0.2:0").expect("a port");
        let address = taken.local_addr().expect("bound");
        let wanted = sockets(&[
            &format!("127.0.0.1:{}", address.port()),
            &address.to_string(),
        ]);
        let (refused, error) = ground(&[]).take_all(&wanted).expect_err("in use");
        assert_eq!((refused, error.kind()), (address, io::ErrorKind::AddrInUse));
    }

    #[test]
    fn every_ipv6_address_is_for_ipv4_too_unless_somebody_wants_that() {
        let every = "[::]:7".parse().expect("an address");
        for (wanted, is_alone) in [
            (&["tcp://[::]:7", "tcp://0.0.0.0:7"][..], true),
            (&["tcp://localhost:7"], true),
            (&["tcp://[::]:7", "tcp://[::1]:8", "tcp://0.0.0.0:8"], false),
            (&["unix:///x"], false),
        ] {
            assert_eq!(ground(wanted).is_ipv6_alone(every), is_alone, "{wanted:?}");
        }
    }

    #[test]
    fn addresses_overlap_when_one_is_every_address_of_a_family() {
        for (one, other, wanted) in [
            ("127.0.0.1:7", "127.0.0.1:7", true),
            ("127.0.0.1:7", "127.0.0.1:8", false),
            ("127.0.0.1:7", "0.0.0.0:7", true),
            ("0.0.0.0:7", "[::]:7", true),
            ("[::1]:7", "0.0.0.0:7", false),
            ("[::]:7", "127.0.0.1:7", true),
        ] {
            let all = sockets(&[one, other]);
            assert_eq!(do_overlap(all[0], all[1]), wanted, "{one} {other}");
            assert_eq!(do_overlap(all[1], all[0]), wanted, "{other} {one}");
        }
    }
}
