//! Owns requests over HTTP to one address: its connections, which are reused, and the time for an answer; knows nothing
//! of what is asked.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, USER_AGENT};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use mist_net::lock::Mutex;
use mist_net::trust::{Trust, Trusted};
use percent_encoding::percent_decode_str;
use tokio::net::TcpStream;

/// How long a request may take, connecting included: less than a client has to authenticate.
pub(super) const DEADLINE: Duration = Duration::from_secs(3);

/// Idle connections that are kept.
const MOST_IDLE: usize = 64;

/// The address.
pub(super) struct Target {
    uri: Uri,
    host: String,
    port: u16,
    is_encrypted: bool,
    authorization: Option<HeaderValue>,
}

impl Target {
    /// Reads an address as `https://host:port/path?query`.
    pub(super) fn parse(address: &str) -> Result<Self, String> {
        let uri: Uri = address.parse().map_err(|error| format!("{error}"))?;
        let is_encrypted = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err("it has to begin with https:// or http://".into()),
        };
        let authority = uri.authority().ok_or("it names no host")?;
        let host = authority.host().trim_matches(['[', ']']);
        if host.is_empty() {
            return Err("it names no host".into());
        }
        let user = authority.as_str().rsplit_once('@').map(|(user, _)| user);
        Ok(Self {
            host: host.to_owned(),
            port: authority
                .port_u16()
                .unwrap_or(if is_encrypted { 443 } else { 80 }),
            is_encrypted,
            authorization: user.map(basic).transpose()?,
            uri,
        })
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }

    pub(super) fn has_password(&self) -> bool {
        self.authorization.is_some()
    }

    /// Whether it is on this machine, so that no attacker can be in between.
    pub(super) fn is_loopback(&self) -> bool {
        let address = self.host.parse::<std::net::IpAddr>();
        self.host.eq_ignore_ascii_case("localhost")
            || address.is_ok_and(|address| address.to_canonical().is_loopback())
    }

    /// The address without secrets.
    pub(super) fn shown(&self) -> String {
        let scheme = if self.is_encrypted { "https" } else { "http" };
        format!("{scheme}://{}{}", self.host_and_port(), self.uri.path())
    }

    fn host_and_port(&self) -> String {
        let authority = self
            .uri
            .authority()
            .map_or("", |authority| authority.as_str());
        let place = authority
            .rsplit_once('@')
            .map_or(authority, |(_, place)| place);
        place.to_owned()
    }
}

/// The header for `user:password`.
fn basic(user: &str) -> Result<HeaderValue, String> {
    let decoded: Vec<u8> = percent_decode_str(user).collect();
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(decoded)))
        .map_err(|error| error.to_string())?;
    value.set_sensitive(true);
    Ok(value)
}

/// An answer.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Sends requests to one address.
pub(super) struct Fetcher {
    pub(super) target: Target,
    trust: Trust,
    /// Bytes of the largest answer that is read.
    most: usize,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

impl Fetcher {
    /// An encrypted address is trusted by the system's certificates, or by those of the PEM file.
    pub(super) async fn new(
        target: Target,
        authority: Option<PathBuf>,
        most: usize,
    ) -> Result<Self, String> {
        let trust = match target.is_encrypted {
            true => Trust::new(Trusted::Authorities(authority.into_iter().collect()))
                .await
                .map_err(|error| error.to_string())?,
            false => Trust::default(),
        };
        Ok(Self {
            target,
            trust,
            most,
            idle: Mutex::default(),
        })
    }

    pub(super) async fn get(&self) -> Result<Answer, String> {
        self.ask(Method::GET, Bytes::new()).await
    }

    /// Sends a body of JSON.
    pub(super) async fn post(&self, body: Bytes) -> Result<Answer, String> {
        self.ask(Method::POST, body).await
    }

    async fn ask(&self, method: Method, body: Bytes) -> Result<Answer, String> {
        match tokio::time::timeout(DEADLINE, self.exchange(method, body)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {} s", DEADLINE.as_secs())),
        }
    }

    async fn exchange(&self, method: Method, body: Bytes) -> Result<Answer, String> {
        let mut request = self.request(method, body)?;
        loop {
            let kept = self.idle.lock().pop();
            let is_new = kept.is_none();
            let mut sender = match kept {
                Some(sender) => sender,
                None => self.connect().await?,
            };
            let failed = match sender.ready().await {
                Ok(()) => match sender.try_send_request(request).await {
                    Ok(response) => {
                        let (head, body) = response.into_parts();
                        let body = Limited::new(body, self.most).collect().await;
                        let body =
                            body.map_err(|error| format!("the answer broke off: {error}"))?;
                        self.keep(sender);
                        return Ok(Answer {
                            status: head.status,
                            headers: head.headers,
                            body: body.to_bytes(),
                        });
                    }
                    Err(mut error) => {
                        // An idle one may have been closed meanwhile.
                        let unsent = error.take_message().filter(|_| !is_new);
                        request = unsent.ok_or_else(|| error.error().to_string())?;
                        continue;
                    }
                },
                Err(error) => error,
            };
            if is_new {
                return Err(failed.to_string());
            }
        }
    }

    fn request(&self, method: Method, body: Bytes) -> Result<Request<Full<Bytes>>, String> {
        let path = self.target.uri.path_and_query();
        let path = path.map_or("/", |path| path.as_str());
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.target.host_and_port())
            .header(USER_AGENT, concat!("mist/", env!("CARGO_PKG_VERSION")));
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(authorization) = &self.target.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        request
            .body(Full::new(body))
            .map_err(|error| error.to_string())
    }

    fn keep(&self, sender: SendRequest<Full<Bytes>>) {
        let mut idle = self.idle.lock();
        if idle.len() < MOST_IDLE && !sender.is_closed() {
            idle.push(sender);
        }
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, String> {
        let Target { host, port, .. } = &self.target;
        let failed = |error: std::io::Error| format!("cannot connect to {host}:{port} - {error}");
        let stream = TcpStream::connect((&**host, *port)).await.map_err(failed)?;
        let _ = stream.set_nodelay(true);
        if !self.target.is_encrypted {
            return begin(stream).await;
        }
        let stream = self.trust.encrypt(stream, host).await;
        begin(stream.map_err(|error| {
            let untrusted = error.untrusted(Some("ca=FILE"));
            untrusted.unwrap_or_else(|| format!("{host}:{port} does not speak TLS that is safe"))
        })?)
        .await
    }
}

async fn begin<S>(stream: S) -> Result<SendRequest<Full<Bytes>>, String>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    // It ends when the other side closes it, or the sender is dropped.
    tokio::spawn(connection);
    Ok(sender)
}
