//! Owns what a server is made of, until it is bound.

#[cfg(feature = "cluster")]
mod cluster;
mod opening;
mod reload;

use std::collections::HashMap;
use std::mem::take;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use mist_core::{Access, Broker, Config, Limits, TokenStorage};
use mist_net::address::{self, AddressError, Endpoint, Scheme, without_secrets};
use socket2::Socket;

use self::opening::{Opening, Source, for_operators, open};
use crate::admission::browsers::Browsers;
use crate::admission::proxies::Proxies;
use crate::admission::rates::escapable;
use crate::auth::{Authenticator, AuthenticatorFactory, Wanted};
use crate::bind_error::{BindError, ListenError};
use crate::command::CommandHandler;
use crate::hub::handle::TURN_COST;
use crate::hub::{HostCounter, Hub};
use crate::in_force::{Drain, InForce};
use crate::listener::offers::Offers;
use crate::listener::tls::Tls;
use crate::listener::{Listener, ListenerFactory};
use crate::server::Server;
use crate::shutdown::Stages;
use crate::system_limits;

/// Says what a server is made of.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = mist_server::Server::builder().listen("tcp://127.0.0.1:0").bind().await?;
/// println!("listening on {}", server.addresses()[0]);
/// server.run(async { /* completes when the server is to stop */ }).await;
/// # Ok(()) }
/// ```
#[derive(Default)]
pub struct ServerBuilder {
    listeners: Vec<Source>,
    inherited: Vec<Socket>,
    operator_listeners: Vec<String>,
    /// Files with the certificate and its key.
    tls: Option<(PathBuf, PathBuf)>,
    authenticators: Wanted,
    token: Option<String>,
    access: Access,
    origins: Vec<String>,
    hosts: Vec<String>,
    trusted_proxies: Vec<String>,
    offers: Offers,
    limits: Limits,
    drain: Drain,
    commands: HashMap<String, Arc<dyn CommandHandler>>,
    counters: Vec<HostCounter>,
    listener_schemes: HashMap<String, ListenerFactory>,
    #[cfg(feature = "cluster")]
    cluster: Option<(String, bool)>,
}

impl std::fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerBuilder")
            .field("access", &self.access)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Starts describing a server.
    #[must_use]
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }
}

impl ServerBuilder {
    /// Adds listeners: one URI, or several separated by commas. Blanks around each are passed over. A host's name
    /// stands for all of its addresses, `localhost` for those of IPv4 and IPv6.
    #[must_use]
    pub fn listen(mut self, uris: &str) -> Self {
        let uris = uris.split(',').map(str::trim).filter(|uri| !uri.is_empty());
        self.listeners
            .extend(uris.map(|uri| Source::Uri(uri.to_owned())));
        self
    }

    /// Adds a listener that the program implements itself and that has already bound its address.
    #[must_use]
    pub fn listener(mut self, listener: impl Listener) -> Self {
        self.listeners.push(Source::Own(Box::new(listener)));
        self
    }

    /// Hands over a socket that is already listening, as service managers pass them on. The listener with its address
    /// uses it instead of binding. Its file, if it has one, stays when the server ends.
    #[cfg(unix)]
    #[must_use]
    pub fn inherit(mut self, socket: impl Into<std::os::fd::OwnedFd>) -> Self {
        self.inherited.push(Socket::from(socket.into()));
        self
    }

    /// Adds listeners for operators, which answer `GET /metrics`, `/healthz` and `/readyz` and nothing else: one URI,
    /// or several separated by commas, with `http://`, `https://`, `unix://`, or `tcp://`, which speaks HTTP as well.
    /// The other listeners then no longer answer these paths. Connections to them do not count towards the limits for
    /// clients.
    #[must_use]
    pub fn operator_listen(mut self, uris: &str) -> Self {
        let uris = uris.split(',').map(str::trim).filter(|uri| !uri.is_empty());
        self.operator_listeners.extend(uris.map(str::to_owned));
        self
    }

    /// Sets the certificate for `tls://`, `https://` and `wss://` listeners: a PEM file with the server's certificate
    /// and those of its issuers behind it, and one with the private key. Without this call the server signs a
    /// certificate for itself at each start.
    #[must_use]
    pub fn tls(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.tls = Some((certificate.into(), key.into()));
        self
    }

    /// Adds an authenticator: a token store (`memory://`, `sqlite://`, `scribble://`, `postgres://`), a verifier
    /// (`jwt://`, `http://`, `https://`) or a registered scheme. There may be one store at most, and it needs the
    /// server's token. A token goes to the authenticators that [claim](Authenticator::claims) its form; if none does,
    /// to the store first and then to the others in their order, until one accepts it.
    #[must_use]
    pub fn authenticator(mut self, uri: &str) -> Self {
        self.authenticators.add(uri);
        self
    }

    /// Adds an authenticator that the program implements itself; see [`ServerBuilder::authenticator`].
    #[must_use]
    pub fn verifier(mut self, authenticator: impl Authenticator) -> Self {
        self.authenticators.add_own(Arc::new(authenticator));
        self
    }

    /// Sets the server's own token, which makes a session admin.
    #[must_use]
    pub fn token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// Sets who may use the basic commands.
    #[must_use]
    pub fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// Allows the pages of an origin to use the http and ws listeners: `https://example.com`, `https://*.example.com`,
    /// `null`, or `*` for all. Always allowed are pages of the same host, pages of this machine if the listener is on a
    /// loopback address, and programs that are not browsers.
    #[must_use]
    pub fn allow_origin(mut self, origin: &str) -> Self {
        self.origins.push(origin.to_owned());
        self
    }

    /// Adds a host name of the server, such as `mist.example.com` or `*.example.com`. Listeners on loopback addresses
    /// refuse requests for other host names, so that no page can reach them through a name that it has pointed here;
    /// after this call all listeners do. IP addresses and `localhost` are always accepted.
    #[must_use]
    pub fn allow_host(mut self, host: &str) -> Self {
        self.hosts.push(host.to_owned());
        self
    }

    /// Trusts the proxies of a network (`10.0.0.0/8`, or a single address) to name the client of a request on the http
    /// and ws listeners: in `X-Forwarded-For`, or in `Forwarded` if that is missing. They must overwrite or extend
    /// both.
    #[must_use]
    pub fn trusted_proxies(mut self, network: &str) -> Self {
        self.trusted_proxies.push(network.to_owned());
        self
    }

    /// Sets whether the http and ws listeners serve the page at `/` and its files, without a token; on by default.
    #[must_use]
    pub fn page(mut self, is_served: bool) -> Self {
        self.offers.page = is_served;
        self
    }

    /// Sets whether metrics are served at `/metrics`: on the listeners for operators, or, if there are none, on the
    /// http and ws listeners. There, scoped access requires the server's token, except from this machine. On by
    /// default.
    #[must_use]
    pub fn metrics(mut self, are_served: bool) -> Self {
        self.offers.metrics = are_served;
        self
    }

    /// Sets the limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets how the server shuts down. For `delay` it goes on as before, but answers `GET /readyz` with 503, so that
    /// load balancers send no new clients. Then it stops accepting, and closes its connections one after another over
    /// `time`, so that clients do not all reconnect elsewhere at once; WebSockets get code 1012. Both are zero by
    /// default.
    #[must_use]
    pub fn drain(mut self, delay: Duration, time: Duration) -> Self {
        self.drain = Drain { delay, time };
        self
    }

    /// Adds a custom command. Built-in commands cannot be replaced.
    #[must_use]
    pub fn command(mut self, name: &str, handler: impl CommandHandler) -> Self {
        self.commands.insert(name.to_owned(), Arc::new(handler));
        self
    }

    /// Adds a counter of the program's own to `GET /metrics`, as `mist_NAME_total`. The name consists of lower-case
    /// letters, digits and underscores, and is not used by the server itself; `help` is a sentence without its full
    /// stop.
    #[must_use]
    pub fn counter(
        mut self,
        name: &'static str,
        help: &'static str,
        value: Arc<AtomicU64>,
    ) -> Self {
        self.counters.push(HostCounter { name, help, value });
        self
    }

    /// Registers a scheme for listeners; it may replace a built-in one.
    #[must_use]
    pub fn listener_scheme(mut self, scheme: &str, factory: ListenerFactory) -> Self {
        self.listener_schemes
            .insert(scheme.to_ascii_lowercase(), factory);
        self
    }

    /// Registers a scheme for authenticators; it may replace any built-in one except `memory`.
    #[must_use]
    pub fn authenticator_scheme(mut self, scheme: &str, factory: AuthenticatorFactory) -> Self {
        self.authenticators.register(scheme, factory);
        self
    }

    /// Binds the listeners' addresses and opens the authenticators.
    ///
    /// # Errors
    /// [`BindError`] if an address is in use, there is no listener, or the settings contradict each other.
    pub async fn bind(mut self) -> Result<Server, BindError> {
        let in_force = self.in_force()?;
        self.check_token()?;
        #[cfg(feature = "cluster")]
        let cluster = self.open_cluster()?;
        let wanted = take(&mut self.authenticators);
        let (kept, authenticators) = wanted.open(self.has_token()).await?;
        let is_checked = kept != TokenStorage::None || !authenticators.is_empty();
        if self.token.is_some() && !is_checked && self.access == Access::Open {
            tracing::warn!(
                "a token without an authenticator: admin commands are unavailable, and tokens that clients present are \
                 not checked; give an authenticator, memory:// for example, to use it"
            );
        }
        for setting in escapable(&in_force.limits) {
            tracing::warn!(
                "whoever connects again escapes {setting}: set {setting}-per-address or {setting}-per-subject, too"
            );
        }
        let listeners = take(&mut self.listeners);
        let mut openings = self.openings(listeners)?;
        let of_clients = openings.len();
        openings.extend(for_operators(&self.operator_listeners)?);
        let tls = self.open_tls(&openings)?;
        let mut opened = open(openings, take(&mut self.inherited), tls.as_ref()).await?;
        let operator_listeners: Vec<_> =
            opened.split_off(of_clients).into_iter().flatten().collect();
        let listeners: Vec<_> = opened.into_iter().flatten().collect();
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).map_err(|error| BindError::Randomness(error.to_string()))?;
        let config = Config {
            limits: in_force.limits.clone(),
            access: self.access,
            token: self.token,
            token_storage: kept,
            has_verifiers: !authenticators.is_empty(),
            commands: self.commands.keys().cloned().collect(),
            is_guarded: true,
            turn: Some(TURN_COST),
            ..Config::default()
        };
        let broker = Broker::new(config, u64::from_ne_bytes(seed));
        let mut hub = Hub::new(broker, in_force, authenticators, self.commands);
        hub.counters.of_host = self.counters;
        let addresses = |listeners: &[Box<dyn Listener>]| -> Vec<_> {
            listeners
                .iter()
                .map(|listener| listener.address())
                .collect()
        };
        let operator_addresses = addresses(&operator_listeners);
        let addresses = addresses(&listeners);
        hub.listeners = addresses.iter().map(ToString::to_string).collect();
        Ok(Server {
            addresses,
            operator_addresses,
            hub: Arc::new(hub),
            offers: self.offers,
            tls,
            listeners,
            stages: Stages::default(),
            operator_listeners,
            #[cfg(feature = "cluster")]
            cluster,
        })
    }

    /// What a reload can change while the server runs.
    pub(crate) fn in_force(&self) -> Result<InForce, BindError> {
        let limits = system_limits::within_machine(self.limits.clone())?;
        let mut in_force = InForce::new(limits);
        (in_force.browsers, in_force.proxies) = self.trusted()?;
        in_force.drain = self.drain;
        Ok(in_force)
    }

    /// The pages and the proxies that are trusted.
    fn trusted(&self) -> Result<(Browsers, Proxies), BindError> {
        let browsers = Browsers::new(&self.origins, &self.hosts)?;
        Ok((browsers, Proxies::new(&self.trusted_proxies)?))
    }

    pub(crate) fn server_token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    fn has_token(&self) -> bool {
        self.token.as_ref().is_some_and(|token| !token.is_empty())
    }

    /// Checks that some client could connect.
    fn check_token(&self) -> Result<(), BindError> {
        let is_nobody = !self.has_token() && self.authenticators.is_empty();
        match self.access == Access::Scoped && is_nobody {
            true => Err(BindError::ScopedWithoutToken),
            false => Ok(()),
        }
    }

    /// Checks the settings, the listeners and the certificate files as far as that takes no address.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn check(&self) -> Result<(), BindError> {
        self.faults().into_iter().next().map_or(Ok(()), Err)
    }

    /// As [`ServerBuilder::check`], but returns all that is wrong.
    #[must_use]
    pub fn faults(&self) -> Vec<BindError> {
        let each = |list: &[String], check: fn(&[String]) -> Result<(), BindError>| {
            let one = list.iter().map(std::slice::from_ref);
            one.filter_map(|one| check(one).err()).collect::<Vec<_>>()
        };
        let mut faults = each(&self.origins, |one| Browsers::new(one, &[]).map(drop));
        faults.extend(each(&self.hosts, |one| Browsers::new(&[], one).map(drop)));
        faults.extend(each(&self.trusted_proxies, |one| {
            Proxies::new(one).map(drop)
        }));
        let tls = self.find_faults(&mut faults);
        faults.extend(tls.err());
        faults
    }

    /// Checks the rest, and returns what its certificate files say.
    pub(crate) fn check_files(&self) -> Result<Option<Tls>, BindError> {
        let mut faults = Vec::new();
        let tls = self.find_faults(&mut faults);
        faults.into_iter().next().map_or(tls, Err)
    }

    fn find_faults(&self, faults: &mut Vec<BindError>) -> Result<Option<Tls>, BindError> {
        faults.extend(self.check_token().err());
        faults.extend(self.authenticators.check(self.has_token()));
        for source in &self.listeners {
            if let Source::Uri(uri) = source {
                faults.extend(self.opening(uri).err());
            }
        }
        for uri in &self.operator_listeners {
            faults.extend(for_operators(std::slice::from_ref(uri)).err());
        }
        #[cfg(feature = "cluster")]
        faults.extend(self.check_cluster().err());
        let files = self.tls.clone();
        let tls = files.map(|(certificate, key)| Tls::from_files(certificate, key));
        Ok(tls.transpose()?)
    }

    /// How to listen on a URI.
    fn opening(&self, uri: &str) -> Result<Opening, BindError> {
        let scheme = address::split(uri).ok().map(|(scheme, _)| scheme);
        let registered =
            scheme.and_then(|scheme| self.listener_schemes.get(&scheme.to_ascii_lowercase()));
        if let Some(factory) = registered {
            return Ok(Opening::Registered(Arc::clone(factory), uri.to_owned()));
        }
        let shown = without_secrets(uri);
        let known = match Endpoint::to_listen(uri) {
            Ok(endpoint) => return Ok(Opening::BuiltIn(endpoint, uri.to_owned())),
            Err(AddressError::UnknownScheme { scheme, .. }) => AddressError::UnknownScheme {
                scheme,
                known: self.known_schemes(),
            },
            Err(why @ AddressError::MissingScheme { .. }) => why,
            Err(why) => return Err(ListenError::Uri { uri: shown, why }.into()),
        };
        Err(BindError::UnknownListener {
            uri: shown,
            why: known,
        })
    }

    fn known_schemes(&self) -> String {
        let own = self.listener_schemes.keys().map(String::as_str);
        address::list(own.chain(Scheme::ALL.iter().map(|scheme| scheme.name())))
    }

    /// How to open each listener.
    fn openings(&self, listeners: Vec<Source>) -> Result<Vec<Opening>, BindError> {
        if listeners.is_empty() {
            return Err(BindError::NoListener {
                known: self.known_schemes(),
            });
        }
        let each = listeners.into_iter().map(|source| match source {
            Source::Uri(uri) => self.opening(&uri),
            Source::Own(listener) => Ok(Opening::Own(listener)),
        });
        each.collect()
    }

    /// What encrypted listeners encrypt with; nothing when there are none.
    fn open_tls(&self, openings: &[Opening]) -> Result<Option<Arc<Tls>>, BindError> {
        let built_in = openings.iter().filter_map(Opening::endpoint);
        let encrypted = built_in.filter(|endpoint| endpoint.scheme().is_encrypted());
        let sites: Vec<_> = encrypted.filter_map(Endpoint::site).collect();
        let tls = match &self.tls {
            // Wrong files are better found now than when they are needed.
            Some((certificate, key)) => {
                if sites.is_empty() {
                    tracing::warn!(
                        "a certificate that no listener uses; add a tls://, https:// or wss:// one"
                    );
                }
                let tls = Tls::from_files(certificate.clone(), key.clone())?;
                tls.look_at_names();
                tls.remind(SystemTime::now());
                tls
            }
            None if sites.is_empty() => return Ok(None),
            None => Tls::self_signed(&sites)?,
        };
        Ok(Some(Arc::new(tls)))
    }
}
