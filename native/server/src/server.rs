//! Owns what a server is made of and its life: build, bind, run, drain.

use std::collections::HashMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use mist_core::{Access, Broker, Config, Limits, Stats, TokenStorage};
use tokio_util::sync::CancellationToken;

use crate::auth::{self, Authenticator, AuthenticatorFactory};
use crate::command::CommandHandler;
use crate::hub::outbox::Ending;
use crate::hub::{HostCounter, Hub};
use crate::listener::bind::Ground;
use crate::listener::tls::Tls;
use crate::listener::{
    Acceptor, Address, Browsers, CertificateError, ListenError, Listener, ListenerFactory, Offers,
    Proxies,
};
use crate::system_limits;
use mist_net::address::{self, AddressError, Endpoint, Scheme, without_secrets};

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
    /// A setting that cannot be read.
    #[error("{0}")]
    Setting(String),
    /// There is nothing to encrypt with.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// An address could not be taken.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// An authenticator without the server's token: nobody could ever use it.
    #[error(
        "an authenticator has been specified but no token provided - add --token-file FILE, MIST_TOKEN_FILE, \
         --token TOKEN or MIST_TOKEN"
    )]
    MissingToken,
    /// Scoped access with nothing that could be presented.
    #[error(
        "access is scoped but no token provided - nobody could connect; add --token-file FILE, MIST_TOKEN_FILE, \
         --token TOKEN or MIST_TOKEN"
    )]
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

/// Says what a server is made of.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = mist::Server::builder().listen("tcp://127.0.0.1:0").bind().await?;
/// println!("listening on {}", server.addresses()[0]);
/// server.run(async { /* completes when the server is to stop */ }).await;
/// # Ok(()) }
/// ```
#[derive(Default)]
pub struct ServerBuilder {
    listeners: Vec<String>,
    /// Files with the certificate and its key.
    tls: Option<(PathBuf, PathBuf)>,
    authenticator: Option<String>,
    token: Option<String>,
    access: Access,
    origins: Vec<String>,
    hosts: Vec<String>,
    trusted_proxies: Vec<String>,
    offers: Offers,
    limits: Limits,
    commands: HashMap<String, Arc<dyn CommandHandler>>,
    counters: Vec<HostCounter>,
    listener_schemes: HashMap<String, ListenerFactory>,
    authenticator_schemes: HashMap<String, AuthenticatorFactory>,
}

impl std::fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerBuilder")
            .field("listeners", &self.listeners)
            .field("access", &self.access)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl ServerBuilder {
    /// Adds listeners: one URI, or several separated by commas. Blanks around each are passed over. A host's name stands for
    /// all of its addresses, `localhost` for those of IPv4 and IPv6.
    #[must_use]
    pub fn listen(mut self, uris: &str) -> Self {
        let uris = uris.split(',').map(str::trim).filter(|uri| !uri.is_empty());
        self.listeners.extend(uris.map(str::to_owned));
        self
    }

    /// Sets the certificate for `tls://`, `https://` and `wss://` listeners: PEM files with the server's certificate
    /// followed by those that vouch for it, and with its private key. Without this call the server makes a certificate
    /// for itself at each start.
    #[must_use]
    pub fn tls(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.tls = Some((certificate.into(), key.into()));
        self
    }

    /// Sets where registered tokens are kept: `memory://`, `sqlite://`, `scribble://`, `postgres://`, or a registered
    /// scheme. Needs a token.
    #[must_use]
    pub fn authenticator(mut self, uri: &str) -> Self {
        self.authenticator = Some(uri.to_owned());
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

    /// Lets the pages of an origin talk to the http and ws listeners: `https://example.com`, `https://*.example.com`,
    /// `null`, or `*` for all. Pages of the same host need no leave, nor do pages of this machine where a listener is on
    /// a loopback address, nor programs that are no browsers.
    #[must_use]
    pub fn allow_origin(mut self, origin: &str) -> Self {
        self.origins.push(origin.to_owned());
        self
    }

    /// Adds a name that the server goes by, as `mist.example.com` or `*.example.com`. A listener on a loopback address
    /// refuses requests for any other name, so that no page can reach it by a name of its own that points here; with this
    /// call all listeners do. IP addresses and `localhost` are always taken.
    #[must_use]
    pub fn allow_host(mut self, host: &str) -> Self {
        self.hosts.push(host.to_owned());
        self
    }

    /// Believes the proxies of a network, as `10.0.0.0/8` or an address, about whom they ask for: `X-Forwarded-For`, or
    /// `Forwarded` where there is none, on the http and ws listeners. Proxies must overwrite or extend both.
    #[must_use]
    pub fn trusted_proxies(mut self, network: &str) -> Self {
        self.trusted_proxies.push(network.to_owned());
        self
    }

    /// Sets whether the http and ws listeners serve the page at `/` and its files, which need no token. They do unless
    /// told otherwise.
    #[must_use]
    pub fn page(mut self, is_served: bool) -> Self {
        self.offers.page = is_served;
        self
    }

    /// Sets whether the http and ws listeners serve figures at `/metrics`, which need no token. They do unless told
    /// otherwise.
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

    /// Adds a custom command. The names of built-in commands cannot be taken over.
    #[must_use]
    pub fn command(mut self, name: &str, handler: impl CommandHandler) -> Self {
        self.commands.insert(name.to_owned(), Arc::new(handler));
        self
    }

    /// Adds a counter of the host's own to `GET /metrics`, as `mist_NAME_total`. The name is made of small letters,
    /// digits and underscores, and is not one that the server uses itself; `help` is a sentence without its full stop.
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

    /// Registers a scheme for listeners; it may take the place of a built-in one.
    #[must_use]
    pub fn listener_scheme(mut self, scheme: &str, factory: ListenerFactory) -> Self {
        self.listener_schemes
            .insert(scheme.to_ascii_lowercase(), factory);
        self
    }

    /// Registers a scheme for authenticators; it may take the place of a built-in one other than `memory`.
    #[must_use]
    pub fn authenticator_scheme(mut self, scheme: &str, factory: AuthenticatorFactory) -> Self {
        self.authenticator_schemes
            .insert(scheme.to_ascii_lowercase(), factory);
        self
    }

    /// Takes the listeners' addresses and opens the authenticator.
    ///
    /// A listener with an unknown scheme is skipped with a logged error, as the original does.
    ///
    /// # Errors
    /// [`BindError`], at once, when an address is taken, nothing is left to listen on, or the settings do not fit.
    pub async fn bind(self) -> Result<Server, BindError> {
        let limits = system_limits::within_machine(self.limits.clone())?;
        let (browsers, proxies) = self.believed()?;
        let (kept, authenticator) = self.open_authenticator().await?;
        if self.access == Access::Scoped && self.token.is_none() {
            return Err(BindError::ScopedWithoutToken);
        }
        if self.token.is_some() && kept == TokenStorage::None && self.access == Access::Open {
            tracing::warn!(
                "a token without an authenticator: admin commands are unavailable, and tokens that clients present are \
                 not checked; add --authenticator memory:// to use it"
            );
        }
        let ways = self.ways()?;
        let tls = self.open_tls(&ways)?;
        let listeners = take(&ways, tls.as_ref()).await?;
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).map_err(|error| BindError::Randomness(error.to_string()))?;
        let config = Config {
            limits,
            access: self.access,
            token: self.token,
            token_storage: kept,
            commands: self.commands.keys().cloned().collect(),
            is_guarded: true,
            ..Config::default()
        };
        let broker = Broker::new(config, u64::from_ne_bytes(seed));
        let mut hub = Hub::new(broker, authenticator, self.commands);
        hub.counters.of_host = self.counters;
        Ok(Server {
            addresses: listeners
                .iter()
                .map(|listener| listener.address())
                .collect(),
            hub: Arc::new(hub),
            browsers: Arc::new(browsers),
            proxies: Arc::new(proxies),
            offers: self.offers,
            tls,
            listeners,
        })
    }

    /// What is believed of requests.
    fn believed(&self) -> Result<(Browsers, Proxies), BindError> {
        let browsers = Browsers::new(&self.origins, &self.hosts);
        let proxies = Proxies::new(&self.trusted_proxies);
        let both = browsers.and_then(|browsers| Ok((browsers, proxies?)));
        both.map_err(BindError::Setting)
    }

    /// Checks the listeners and the certificate files as far as that takes no address.
    ///
    /// # Errors
    /// [`BindError`], also for a listener with an unknown scheme, which [`ServerBuilder::bind`] passes over.
    pub fn check(&self) -> Result<(), BindError> {
        self.believed()?;
        for uri in &self.listeners {
            self.way(uri)?;
        }
        match &self.tls {
            Some((certificate, key)) => {
                Tls::from_files(certificate.clone(), key.clone())?;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// How to listen on a URI.
    fn way(&self, uri: &str) -> Result<Way<'_>, BindError> {
        let scheme = address::split(uri).ok().map(|(scheme, _)| scheme);
        let registered =
            scheme.and_then(|scheme| self.listener_schemes.get(&scheme.to_ascii_lowercase()));
        if let Some(factory) = registered {
            return Ok(Way::Registered(factory));
        }
        let shown = without_secrets(uri);
        let known = match Endpoint::to_listen(uri) {
            Ok(endpoint) => return Ok(Way::BuiltIn(endpoint)),
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

    /// How to listen on each URI; those with an unknown scheme are passed over.
    fn ways(&self) -> Result<Vec<(&str, Way<'_>)>, BindError> {
        let mut ways = Vec::new();
        for uri in &self.listeners {
            match self.way(uri) {
                Ok(way) => ways.push((&**uri, way)),
                Err(error @ BindError::UnknownListener { .. }) => {
                    tracing::error!("{error}; skipped");
                }
                Err(error) => return Err(error),
            }
        }
        match ways.is_empty() {
            true => Err(BindError::NoListener {
                known: self.known_schemes(),
            }),
            false => Ok(ways),
        }
    }

    /// What encrypted listeners encrypt with; nothing when there are none.
    fn open_tls(&self, ways: &[(&str, Way<'_>)]) -> Result<Option<Arc<Tls>>, BindError> {
        let built_in = ways.iter().filter_map(|(_, way)| way.endpoint());
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

    async fn open_authenticator(
        &self,
    ) -> Result<(TokenStorage, Option<Arc<dyn Authenticator>>), BindError> {
        let Some(uri) = &self.authenticator else {
            return Ok((TokenStorage::None, None));
        };
        if self.token.as_ref().is_none_or(String::is_empty) {
            return Err(BindError::MissingToken);
        }
        let scheme = uri.split("://").next().unwrap_or_default();
        let scheme = &*scheme.to_ascii_lowercase();
        if scheme == "memory" {
            return Ok((TokenStorage::Memory, None));
        }
        let mut schemes = auth::built_in();
        schemes.extend(self.authenticator_schemes.clone());
        // Behind the scheme there may be a password.
        let uri_shown = format!("{scheme}://…");
        let Some(factory) = schemes.get(scheme) else {
            return Err(BindError::UnknownAuthenticator {
                uri: uri_shown,
                known: address::list(schemes.keys().map(String::as_str).chain(["memory"])),
            });
        };
        match factory(uri.clone()).await {
            Ok(store) => Ok((TokenStorage::Host, Some(store))),
            Err(why) => Err(BindError::Authenticator {
                uri: uri_shown,
                why,
            }),
        }
    }
}

/// Who knows how to listen on a URI.
enum Way<'a> {
    BuiltIn(Endpoint),
    Registered(&'a ListenerFactory),
}

impl Way<'_> {
    fn endpoint(&self) -> Option<&Endpoint> {
        match self {
            Self::BuiltIn(endpoint) => Some(endpoint),
            Self::Registered(_) => None,
        }
    }
}

/// Takes the addresses of all listeners, in their order.
async fn take(
    ways: &[(&str, Way<'_>)],
    tls: Option<&Arc<Tls>>,
) -> Result<Vec<Box<dyn Listener>>, ListenError> {
    let mut ground = Ground::new(ways.iter().filter_map(|(_, way)| way.endpoint()));
    let mut listeners = Vec::new();
    for (uri, way) in ways {
        match way {
            Way::BuiltIn(endpoint) => listeners.extend(ground.take(uri, endpoint, tls).await?),
            Way::Registered(factory) => listeners.push(factory((*uri).to_owned()).await?),
        }
    }
    Ok(listeners)
}

/// A bound server: its addresses are taken, and clients can connect, but nobody is served until [`Server::run`].
pub struct Server {
    hub: Arc<Hub>,
    browsers: Arc<Browsers>,
    proxies: Arc<Proxies>,
    offers: Offers,
    tls: Option<Arc<Tls>>,
    listeners: Vec<Box<dyn Listener>>,
    addresses: Vec<Address>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

/// The last part of the time to drain, in which whatever is left is cut.
const CUT: Duration = Duration::from_millis(500);

impl Server {
    /// Starts describing a server.
    #[must_use]
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    /// The addresses that were bound, in the order of the listeners. One that is named by a host has all of the host's.
    #[must_use]
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// The SHA-256 of the certificate that the server has made for itself, if it has, in hexadecimal pairs.
    #[must_use]
    pub fn fingerprint(&self) -> Option<&str> {
        self.tls.as_ref()?.fingerprint()
    }

    /// Returns a handle to publish through and to look at the server while it runs.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle {
            hub: Arc::clone(&self.hub),
            tls: self.tls.clone(),
        }
    }

    /// Serves until `shutdown` completes; then accepts nothing more, writes what is queued, says goodbye and returns.
    ///
    /// When it returns, no task of the server is left; a thread may be, idle, as long as there is a [`Handle`]. Draining
    /// takes at most [`Limits::drain_seconds`](mist_core::Limits).
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self {
            hub,
            browsers,
            proxies,
            tls,
            offers,
            listeners,
            ..
        } = self;
        let (stop, cut) = (CancellationToken::new(), CancellationToken::new());
        let certificate = tls.clone();
        let watch = tokio::spawn(Arc::clone(&hub).watch(move || {
            if let Some(tls) = &certificate {
                tls.remind(SystemTime::now());
            }
        }));
        for listener in listeners {
            let acceptor = Acceptor {
                hub: Arc::clone(&hub),
                browsers: Arc::clone(&browsers),
                proxies: Arc::clone(&proxies),
                tls: tls.clone(),
                offers,
                stop: stop.clone(),
                cut: cut.clone(),
            };
            hub.tasks.spawn(listener.serve(acceptor));
        }
        shutdown.await;
        stop.cancel();
        hub.end_all(Ending::Shutdown);
        hub.tasks.close();
        // Cutting what is left takes its time too.
        let drain = Duration::from_secs(hub.limits.drain_seconds.into()).saturating_sub(CUT);
        // What is left after a second has been flushed and waits for its peer, or does not move.
        let patience = drain.min(Duration::from_secs(1));
        if tokio::time::timeout(patience, hub.tasks.wait())
            .await
            .is_err()
        {
            let rest = drain.saturating_sub(patience);
            hub.end_idle();
            if tokio::time::timeout(rest, hub.tasks.wait()).await.is_err() {
                hub.end_all(Ending::Dead);
                // A custom command or a token store may still be at work; nobody waits for it any more.
                cut.cancel();
                let _ = tokio::time::timeout(CUT / 2, hub.tasks.wait()).await;
            }
        }
        watch.abort();
        let _ = watch.await;
        hub.log.tell_all();
    }
}

/// A running server, seen from the program it runs in. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    hub: Arc<Hub>,
    tls: Option<Arc<Tls>>,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Handle")
    }
}

impl Handle {
    /// Publishes a message; returns how many outboxes took it.
    ///
    /// It may be called from anywhere and never blocks for I/O: from any thread, from a [`CommandHandler`], from within
    /// the stream of a custom [`Listener`] while the server reads or writes it, from a [`tracing`] layer that gets a line
    /// of the server's. Only what it causes must not call it for ever: a layer that publishes what publishing logs, say.
    pub fn publish(&self, tags: &[&str], data: &str) -> usize {
        self.hub.publish(tags, data)
    }

    /// Reads the certificate files anew, for connections that are made from now on; those that are open go on.
    ///
    /// Without files there is nothing to do.
    ///
    /// # Errors
    /// [`CertificateError`] when the files cannot be used; the certificate stays as it was.
    pub fn reload_tls(&self) -> Result<(), CertificateError> {
        self.tls.as_ref().map_or(Ok(()), |tls| tls.reload())
    }

    /// Returns how many bytes of memory clients make the server keep, roughly: subscriptions, messages that wait or are not
    /// whole, and the connections themselves.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.hub.held_bytes()
    }

    /// Returns figures of the broker.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.hub.stats()
    }
}
