//! Owns how commands reach a server, and what exit code each way of failing has.

use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;

use mist::client::{
    Client, ClientBuilder, ClientError, ConnectError, ErrorCode, ServerError, TokenSourceError,
    TrustError,
};
use mist_net::address::{Endpoint, without_secrets};
use mist_net::connect::Connector;
use mist_net::lock::Mutex;
use mist_net::trust::{Trust, Trusted};

use super::describe::TOKEN_HINT;
use super::exit::{Code, Stop};
use super::host::{HostArgs, SharedArgs};
use super::settings::{refuse, shared_layer};
use super::{log, out};
use crate::config::{self, ConfigError, Layer, Origin, Secret, Settings};

/// The largest message that is accepted from a server, as a client has it.
const MESSAGE_BYTES: usize = 64 << 20;
const DEFAULT_HOST: &str = "127.0.0.1:1445";

/// A server to talk to, and what to show it.
#[derive(Debug)]
pub(super) struct Target {
    /// As given, for texts, without what may be secret in it.
    pub(super) host: String,
    uri: String,
    token: Option<Secret>,
    token_file: Option<Arc<TokenFile>>,
    ca: Option<PathBuf>,
    fingerprint: Option<String>,
    is_insecure: bool,
}

impl Target {
    /// Finds out which server is meant, from the flags, then the environment.
    pub(super) fn new(args: &HostArgs, shared: &SharedArgs) -> Result<Self, Stop> {
        let lookup = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let mut faults = Vec::new();
        let environment = Layer::from_environment(config::CLIENT_KEYS, lookup, &mut faults);
        let layers = [
            (Origin::CommandLine, shared_layer(shared)),
            (Origin::Environment, environment),
        ];
        let settings = Settings::decide(&layers, &mut faults);
        refuse(&faults)?;
        // Commands print what matters; logs are written on request only.
        if settings.log_level.origin != Origin::Default {
            log::start(
                settings.log_level.value,
                settings.log_format.value,
                std::io::stderr,
            );
        }
        let ca = args.ca.clone();
        let ca = ca.or_else(|| lookup(&config::variable("ca")).map(PathBuf::from));
        // What a flag says of trust wins over all variables about it.
        let by_flag = args.ca.is_some() || args.insecure;
        let fingerprint = args.fingerprint.clone().or_else(|| {
            let variable = lookup(&config::variable("fingerprint")).filter(|_| !by_flag)?;
            Some(variable.to_string_lossy().into_owned())
        });
        let is_insecure = args.insecure || config::switch("insecure", lookup)?;
        let is_insecure = is_insecure && fingerprint.is_none();
        let host = match (&args.host, lookup(&config::variable("host"))) {
            (Some(host), _) => host.clone(),
            (None, Some(host)) => host.into_string().map_err(|_| ConfigError::Value {
                origin: Origin::Environment,
                key: "host".to_owned(),
                why: "is not valid UTF-8".to_owned(),
            })?,
            (None, None) => DEFAULT_HOST.to_owned(),
        };
        let uri = match host.strip_prefix(':') {
            // An IPv6 address without its brackets begins so, too.
            Some(port) if !port.contains(':') => format!("127.0.0.1:{port}"),
            _ => host.clone(),
        };
        // A wrong address is for the client to say.
        let endpoint = Endpoint::to_connect(&uri);
        if is_insecure && endpoint.is_ok_and(|endpoint| endpoint.scheme().is_encrypted()) {
            out::note("insecure: the server's certificate is not checked");
        }
        let file = settings.token_file.zip(settings.token.as_ref());
        let file = file.map(|(path, token)| TokenFile {
            path,
            origin: token.origin.clone(),
            last: Mutex::new(token.value.clone()),
        });
        Ok(Self {
            uri,
            host: without_secrets(&host),
            token_file: file.filter(TokenFile::can_be_read_again).map(Arc::new),
            token: settings.token.map(|token| token.value),
            ca,
            fingerprint,
            is_insecure,
        })
    }

    /// Connects for a command that is over when the connection is.
    pub(super) async fn connect(&self) -> Result<Client, Stop> {
        self.open(false).await
    }

    /// Connects for a command that outlives its connections.
    pub(super) async fn connect_for_long(&self) -> Result<Client, Stop> {
        self.open(true).await
    }

    /// Prepares bare connections, for commands that make their own messages.
    pub(super) async fn connector(&self) -> Result<Connector, Stop> {
        let endpoint = Endpoint::to_connect(&self.uri).map_err(|source| {
            let uri = without_secrets(&self.uri);
            Stop::usage(format!("invalid address '{uri}' - {source}"))
        })?;
        let trust = match self.trusted() {
            Ok(trusted) if endpoint.scheme().is_encrypted() => Trust::new(trusted).await,
            Ok(Trusted::Certificate(_)) => Err(TrustError::NothingEncrypted),
            Ok(_) => Ok(Trust::default()),
            Err(error) => Err(error),
        };
        let trust = trust.map_err(|error| failed(error.into()))?;
        Ok(Connector {
            endpoint,
            trust,
            message_bytes: MESSAGE_BYTES,
        })
    }

    fn trusted(&self) -> Result<Trusted, TrustError> {
        Ok(match &self.fingerprint {
            Some(text) => {
                let wrong = |why| TrustError::Fingerprint(text.clone(), why);
                Trusted::Certificate(text.parse().map_err(wrong)?)
            }
            None if self.is_insecure => Trusted::Anybody,
            None => Trusted::Authorities(self.ca.iter().cloned().collect()),
        })
    }

    /// The token to present, if there is one.
    pub(super) fn token(&self) -> Option<&str> {
        self.token.as_ref().map(Secret::reveal)
    }

    /// Whether the token is in a file that has another by now, which is presented next.
    pub(super) fn has_new_token(&self) -> bool {
        let file = self.token_file.as_ref();
        file.is_some_and(|file| file.has_changed())
    }

    fn builder(&self) -> ClientBuilder {
        let builder = Client::builder(&self.uri).danger_accept_invalid_certs(self.is_insecure);
        match (&self.fingerprint, &self.ca) {
            (Some(sha256), _) => builder.fingerprint(sha256),
            (None, Some(file)) => builder.ca(file),
            (None, None) => builder,
        }
    }

    async fn open(&self, is_for_long: bool) -> Result<Client, Stop> {
        let mut builder = self.builder();
        if !is_for_long {
            builder = builder.reconnect(None);
        }
        builder = match (&self.token_file, &self.token) {
            (Some(file), _) if is_for_long => {
                let file = Arc::clone(file);
                builder.token_from(move || Arc::clone(&file).read())
            }
            (_, Some(token)) => builder.token(token.reveal()),
            (_, None) => builder,
        };
        builder.connect().await.map_err(|error| match error {
            ClientError::AuthRefused { .. }
            | ClientError::NoToken { .. }
            | ClientError::InvalidUri { .. }
            | ClientError::Trust(_) => failed(error),
            ClientError::Connect {
                source: Some(error),
                ..
            } => self.unreachable(&explained(&error)),
            ClientError::Connect { reason, .. } => self.unreachable(&reason),
            error => self.unreachable(&error),
        })
    }

    fn unreachable(&self, reason: &dyn Display) -> Stop {
        let text = format!("Failed to connect to '{}' - {reason}", self.host);
        Stop::new(Code::CannotConnect, text)
    }
}

/// A file that is read again whenever a token is needed, since what keeps it may put the next one there.
#[derive(Debug)]
struct TokenFile {
    path: PathBuf,
    origin: Origin,
    /// What was presented last.
    last: Mutex<Secret>,
}

impl TokenFile {
    /// A pipe has its token once.
    fn can_be_read_again(&self) -> bool {
        std::fs::metadata(&self.path).is_ok_and(|file| file.is_file())
    }

    async fn read(self: Arc<Self>) -> Result<String, TokenSourceError> {
        let read = move || {
            let token = config::secret_in(&self.path, &self.origin)?;
            *self.last.lock() = token.clone();
            Ok(token.reveal().to_owned())
        };
        tokio::task::spawn_blocking(read).await?
    }

    fn has_changed(&self) -> bool {
        let token = config::secret_in(&self.path, &self.origin);
        token.is_ok_and(|token| token != *self.last.lock())
    }
}

/// Says why there is no connection, with the flags that help.
pub(super) fn explained(error: &ConnectError) -> String {
    const SETTING: &str = "--ca FILE, or this certificate alone with --fingerprint SHA256";
    let untrusted = match error {
        ConnectError::Tls(error) if !error.is_of_another() => error.untrusted(Some(SETTING)),
        _ => None,
    };
    match untrusted {
        Some(text) => format!("{text}, or skip the check with --insecure"),
        None => error.to_string(),
    }
}

/// Says why the server did not do something.
pub(super) fn failed(error: ClientError) -> Stop {
    let code = match &error {
        ClientError::AuthRefused { .. } => Code::AuthRefused,
        ClientError::Refused {
            command, reason, ..
        } => return refused(command, reason),
        ClientError::Connect { .. }
        | ClientError::ConnectionLost { .. }
        | ClientError::Offline { .. }
        | ClientError::Closed { .. } => Code::CannotConnect,
        ClientError::Trust(TrustError::Nobody) => {
            return Stop::failed(
                "this system trusts no certificates: name some with --ca FILE, or skip the check with --insecure",
            );
        }
        ClientError::Timeout { .. } | ClientError::UnexpectedAnswer { .. } => Code::ServerError,
        ClientError::Trust(TrustError::Fingerprint(..) | TrustError::NothingEncrypted)
        | ClientError::InvalidUri { .. }
        | ClientError::MissingTags { .. } => Code::Usage,
        _ => Code::Failed,
    };
    Stop::new(code, error.to_string())
}

/// Says that the server answered with an error.
pub(super) fn refused(command: &str, error: &ServerError) -> Stop {
    if error.code == ErrorCode::UnknownCommand && command == "nodes" {
        let text = "the server is in no cluster: start it, and others, with --cluster";
        return Stop::new(Code::ServerError, text);
    }
    if error.code == ErrorCode::UnknownCommand {
        return Stop::new(
            Code::ServerError,
            format!(
                "the server has no command '{command}': admin commands need a server with --authenticator"
            ),
        );
    }
    let code = match error.code {
        ErrorCode::NotAdmin
        | ErrorCode::Unauthenticated
        | ErrorCode::WrongToken
        | ErrorCode::TokenExpired
        | ErrorCode::NotGranted => Code::AuthRefused,
        _ => Code::ServerError,
    };
    Stop::new(code, refusal(command, error))
}

/// Says what the server said no to, if it is known: some errors are about no command, but about bytes or a connection.
pub(super) fn refusal(command: &str, error: &ServerError) -> String {
    // The server speaks of messages; here there are flags.
    match (error.code, command) {
        (ErrorCode::Unauthenticated, _) => {
            format!("not authorized - the server wants a token: {TOKEN_HINT}")
        }
        (ErrorCode::NotAdmin, _) => {
            format!("not authorized - {command} needs the server's token: {TOKEN_HINT}")
        }
        (ErrorCode::TokenNotFound, _) => {
            format!("{error} - `mist token list` shows those that are registered")
        }
        (_, "") => format!("the server reports an error: {error}"),
        _ => format!("the server refused {command}: {error}"),
    }
}
