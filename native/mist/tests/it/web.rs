//! What the http and ws listeners answer: a server in this process, and a client that writes requests by hand, so that
//! every byte of them is the test's own.

mod addresses;
mod browsers;
mod events;
mod guessing;
mod operators;
mod page;
mod publishing;
mod rates;
mod requests;
mod stalled;
mod strangers;
mod upgrades;

use std::net::SocketAddr;
use std::time::Duration;

use mist::{Access, Client, Handle, Server, ServerBuilder};
use mist_tests::site::{self, limits};
use mist_tests::{PATIENCE, within};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// The server's own token, where there is one.
const ADMIN: &str = "s3cret";

/// A server with a listener of each kind.
struct Site {
    tcp: SocketAddr,
    http: SocketAddr,
    ws: SocketAddr,
    handle: Handle,
    site: site::Site,
}

impl Site {
    async fn start() -> Self {
        Self::with(|builder| builder).await
    }

    /// A server with a limit of its own.
    async fn limited(setting: &str, value: u64) -> Self {
        Self::with(|builder| builder.limits(limits(&[(setting, value)]))).await
    }

    /// A server that knows tokens: its own, and `desk`, which grants `north`.
    async fn with_tokens(access: Access) -> Self {
        let build = |builder: ServerBuilder| {
            builder
                .authenticator("memory://")
                .token(ADMIN)
                .access(access)
        };
        let site = Self::with(build).await;
        let admin = site.admin().await;
        admin
            .admin()
            .register("desk", ["north"])
            .await
            .expect("registered");
        admin.close().await.expect("closed");
        site
    }

    async fn with(build: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Self {
        let listeners = "tcp://127.0.0.1:0, http://127.0.0.1:0, ws://127.0.0.1:0";
        let site = site::Site::start(build(Server::builder().listen(listeners))).await;
        Self {
            tcp: site.socket(0),
            http: site.socket(1),
            ws: site.socket(2),
            handle: site.handle.clone(),
            site,
        }
    }

    /// Both kinds of listeners that speak HTTP.
    fn doors(&self) -> [SocketAddr; 2] {
        [self.http, self.ws]
    }

    async fn client(&self) -> Client {
        let uri = format!("tcp://{}", self.tcp);
        within(Client::connect(&uri)).await.expect("connected")
    }

    async fn admin(&self) -> Client {
        let builder = Client::builder(&format!("tcp://{}", self.tcp)).token(ADMIN);
        within(builder.connect()).await.expect("connected")
    }

    async fn open(&self) -> Http {
        Http::open(self.http).await
    }

    async fn get(&self, target: &str) -> Answer {
        self.open().await.ask("GET", target, &[], "").await
    }

    async fn post(&self, target: &str, headers: &[&str], body: impl AsRef<[u8]>) -> Answer {
        self.open().await.ask("POST", target, headers, body).await
    }

    /// Looks again and again, with a round trip to the server between, until it is so.
    async fn until(&self, what: &str, holds: impl Fn(&Handle) -> bool) {
        let mut witness = self.open().await;
        let asking = async {
            while !holds(&self.handle) {
                witness.ask("GET", "/ping", &[], "").await;
            }
        };
        let ended = tokio::time::timeout(PATIENCE, asking).await;
        assert!(ended.is_ok(), "it does not come true: {what}");
    }

    /// Stops the server and waits until it has ended.
    async fn stop(self) {
        self.site.stop().await;
    }
}

/// One HTTP connection.
struct Http(BufReader<TcpStream>);

/// A response.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    /// Names in small letters.
    headers: Vec<(String, String)>,
    body: String,
}

impl Answer {
    /// The value of a header that must not be there twice; empty when it is not there at all.
    fn header(&self, name: &str) -> &str {
        let mut values = self.headers.iter().filter(|(its, _)| its == name);
        let value = values.next().map_or("", |(_, value)| value);
        assert_eq!(values.next(), None, "{name} twice");
        value
    }

    /// The reason why a request was refused.
    fn error(&self) -> String {
        assert!(self.status >= 400, "{self:?}");
        assert_eq!(self.header("content-type"), "application/json", "{self:?}");
        assert!(self.body.ends_with("}\n"), "{self:?}");
        let message: serde_json::Value = serde_json::from_str(&self.body).expect("a message");
        assert!(message["command"].is_string(), "{self:?}");
        let code = message["code"].as_str().unwrap_or_default();
        let end = format!(",\"code\":\"{code}\"}}\n");
        assert!(self.body.starts_with("{\"command\":"), "{self:?}");
        assert!(!code.is_empty() && self.body.ends_with(&end), "{self:?}");
        message["error"].as_str().expect("an error").to_owned()
    }
}

impl Http {
    /// Sends a body byte by byte, with pauses far shorter than any limit, until it is answered.
    async fn drip(&mut self, method: &str) -> Answer {
        let mut drips = tokio::time::interval(Duration::from_millis(50));
        let answered = async {
            loop {
                tokio::select! {
                    _ = drips.tick() => self.write("x").await,
                    has_more = self.0.fill_buf() => break has_more.map(<[u8]>::len),
                }
            }
        };
        within(answered).await.expect("an answer");
        self.answer(method).await
    }

    async fn open(address: SocketAddr) -> Self {
        let stream = within(TcpStream::connect(address))
            .await
            .expect("it listens");
        Self(BufReader::new(stream))
    }

    async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let written = within(self.0.write_all(bytes.as_ref())).await;
        written.expect("the server takes bytes");
    }

    /// Makes a request and waits for its answer.
    async fn ask(
        &mut self,
        method: &str,
        target: &str,
        headers: &[&str],
        body: impl AsRef<[u8]>,
    ) -> Answer {
        self.write(request(method, target, headers, body)).await;
        self.answer(method).await
    }

    /// Waits for the answer to a request with this method.
    async fn answer(&mut self, method: &str) -> Answer {
        let mut answer = self.head().await;
        if method == "HEAD" || answer.status < 200 || answer.status == 304 {
            return answer;
        }
        let mut body = Vec::new();
        if answer.header("transfer-encoding") == "chunked" {
            while let Some(chunk) = self.chunk().await {
                body.extend(chunk);
            }
        } else {
            let length = answer.header("content-length").parse();
            body.resize(length.expect("a body has a length"), 0);
            within(self.0.read_exact(&mut body)).await.expect("a body");
        }
        answer.body = String::from_utf8(body).expect("bodies are text");
        answer
    }

    /// Waits for the head of an answer.
    async fn head(&mut self) -> Answer {
        let line = self.line().await;
        let status = line.strip_prefix("HTTP/1.1 ").expect(&line);
        let status = status[..3].parse().expect(&line);
        let mut headers = Vec::new();
        loop {
            let line = self.line().await;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(": ").expect(&line);
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        Answer {
            status,
            headers,
            body: String::new(),
        }
    }

    /// A piece of a body of unknown length; none at its end.
    async fn chunk(&mut self) -> Option<Vec<u8>> {
        let size = self.line().await;
        let size = usize::from_str_radix(&size, 16).expect(&size);
        let mut chunk = vec![0; size];
        within(self.0.read_exact(&mut chunk))
            .await
            .expect("a chunk");
        assert_eq!(self.line().await, "", "behind a chunk");
        (size > 0).then_some(chunk)
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        let count = within(self.0.read_line(&mut line)).await;
        assert_ne!(count.expect("a line"), 0, "the server has closed");
        line.strip_suffix("\r\n").expect("a whole line").to_owned()
    }

    /// Waits until the server closes; returns what still came.
    async fn rest(mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A reset is an end, too.
        let _ = within(self.0.read_to_end(&mut rest)).await;
        rest
    }
}

/// A request; its length goes without saying.
fn request(method: &str, target: &str, headers: &[&str], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut request = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n");
    for header in headers {
        request += header;
        request += "\r\n";
    }
    let is_chunked = headers
        .iter()
        .any(|header| header.starts_with("Transfer-Encoding"));
    if !body.is_empty() && !is_chunked {
        request += &format!("Content-Length: {}\r\n", body.len());
    }
    let mut request = (request + "\r\n").into_bytes();
    request.extend_from_slice(body);
    request
}
