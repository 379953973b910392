//! Owns what clients can do to a server by its log: where nobody reads it, since stderr is a full pipe, and where they make
//! the server say much.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mist_tests::PATIENCE;
use mist_tests::certificate::Certificate;
use mist_tests::process::{Process, command};
use mist_tests::wire::{Incoming, Upgrade, Wire};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{figure, message, sized};
use mist_tests::client::{PING, PONG};

/// Seconds that the server may take to end; the default.
const DRAIN: u64 = 5;

/// A server with a listener of each kind.
struct All {
    server: Process,
    certificate: Certificate,
}

impl All {
    fn start() -> Self {
        let certificate = Certificate::default();
        let socket = format!("unix://{}", certificate.path("mist.sock").display());
        let schemes = ["tcp", "tls", "http", "https", "ws", "wss"];
        let mut listeners = schemes
            .map(|scheme| format!("{scheme}://127.0.0.1:0"))
            .join(",");
        listeners = format!("{listeners},{socket}");
        let files = [certificate.file(), certificate.key()].map(|file| file.display().to_string());
        let arguments = [
            "--server",
            "--listeners",
            &listeners,
            "--tls-cert",
            &files[0],
            "--tls-key",
            &files[1],
            "--authenticator",
            "memory://",
            "--token",
            "s3cret-TK",
        ];
        let mut command = command(&arguments);
        let mut server = Process::run(&mut command);
        server.await_addresses(schemes.len());
        server.says("the page is at");
        Self {
            server,
            certificate,
        }
    }

    fn address(&self, scheme: &str) -> SocketAddr {
        self.server.address(scheme)
    }

    /// A client on each listener that carries messages.
    async fn clients(&self) -> Vec<Wire> {
        let usual = Upgrade::default();
        let certificate = &self.certificate;
        let upgraded = [
            Wire::upgrade(self.address("ws"), &usual).await,
            Wire::upgrade(self.address("http"), &usual).await,
            Wire::upgrade_tls(self.address("wss"), certificate, &usual).await,
            Wire::upgrade_tls(self.address("https"), certificate, &usual).await,
        ];
        let plain = [
            Wire::tcp(self.address("tcp")).await,
            Wire::tls(self.address("tls"), certificate).await,
            Wire::unix(&certificate.path("mist.sock")).await,
        ];
        let upgraded = upgraded
            .into_iter()
            .map(|opened| opened.map(|(wire, _)| wire));
        let all = plain.into_iter().chain(upgraded);
        all.map(|wire| wire.expect("it listens")).collect()
    }

    /// Does on an HTTP connection what the log has a line for, `count` times; waits for each answer.
    async fn refused_pages(&self, scheme: &str, count: usize) {
        let address = self.address(scheme);
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        let request = format!(
            "GET /subscribe?tags=a HTTP/1.1\r\nHost: {address}\r\nOrigin: https://evil{}.example\r\n\r\n",
            "-and-long".repeat(20)
        );
        for _ in 0..count {
            stream.write_all(request.as_bytes()).await.expect("taken");
            let answer = head_and_body(&mut stream).await;
            assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
        }
    }

    /// Everything else that strangers can have the log say.
    async fn other_lines(&self) {
        for _ in 0..20 {
            for scheme in ["tcp", "tls", "http", "https", "ws", "wss"] {
                let mut stream = TcpStream::connect(self.address(scheme))
                    .await
                    .expect("it listens");
                // A hello of TLS that is none, for some; no HTTP, for others; no TLS, for the rest.
                let _ = stream
                    .write_all(b"\x16\x03\x01\x00\x05nonsense\r\n\r\n")
                    .await;
            }
            let mut stream = TcpStream::connect(self.address("tcp"))
                .await
                .expect("it listens");
            let auth = b"{\"command\":\"auth\",\"data\":\"wrong\"}\n";
            stream.write_all(auth).await.expect("taken");
            let mut stream = TcpStream::connect(self.address("http"))
                .await
                .expect("it listens");
            let request = b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n";
            stream.write_all(request).await.expect("taken");
            let answer = head_and_body(&mut stream).await;
            assert!(answer.starts_with("HTTP/1.1 421"), "{answer}");
        }
    }
}

/// Reads one answer, whose body has a length.
async fn head_and_body(stream: &mut TcpStream) -> String {
    let reading = async {
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await.expect("an answer"));
        }
        let head = String::from_utf8(answer).expect("text");
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.expect("a length").parse().expect("a number")];
        stream.read_exact(&mut body).await.expect("a body");
        head + &String::from_utf8_lossy(&body)
    };
    tokio::time::timeout(PATIENCE, reading)
        .await
        .expect("an answer comes")
}

async fn expect(wire: &mut Wire, message: &str) {
    assert_eq!(wire.recv().await, Incoming::Message(message.into()));
}

/// Freezes the log, makes lines for it on all listeners, and stops the server under load.
async fn goes_on_and_stops_on(signal: &str) -> Duration {
    let mut all = All::start();
    let mut clients = all.clients().await;
    for client in &mut clients {
        let subscribe = r#"{"command":"subscribe","tags":["load"],"id":1}"#;
        client.send(subscribe).await.expect("sent");
        let success = r#"{"command":"subscribe","tags":["load"],"data":"success","id":1}"#;
        expect(client, success).await;
    }
    all.server.freeze();
    let count = sized(400, 20_000) / 4;
    tokio::join!(
        all.refused_pages("http", count),
        all.refused_pages("http", count),
        all.refused_pages("ws", count),
        all.refused_pages("ws", count),
        all.other_lines(),
    );
    // Messages reach everybody on every listener, and pings are answered.
    let said = message("load", "all is well");
    let mut publisher = Wire::tcp(all.address("tcp")).await.expect("it listens");
    publisher.send(&said).await.expect("sent");
    for client in &mut clients {
        expect(client, &said).await;
        client.send(PING).await.expect("sent");
        expect(client, PONG).await;
    }
    let mut health = TcpStream::connect(all.address("http"))
        .await
        .expect("it listens");
    let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    health.write_all(request).await.expect("taken");
    assert!(head_and_body(&mut health).await.starts_with("HTTP/1.1 200"));
    // And while it goes on, the server is told to stop.
    let load = tokio::spawn(async move {
        let said = message("load", &"x".repeat(1_000));
        while publisher.send(&said).await.is_ok() {}
    });
    let reading = clients.into_iter().map(|mut client| {
        tokio::spawn(async move { while let Incoming::Message(_) = client.recv().await {} })
    });
    let reading: Vec<_> = reading.collect();
    let start = Instant::now();
    all.server.signal(signal);
    let status = all.server.end();
    let took = start.elapsed();
    assert_eq!(status.code(), Some(0));
    for task in reading {
        task.await.expect("it sees the end");
    }
    load.await.expect("it sees the end");
    took
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_holds_up_nobody_and_not_the_end() {
    let mut longest = Duration::ZERO;
    for signal in ["TERM", "INT"] {
        longest = longest.max(goes_on_and_stops_on(signal).await);
    }
    figure(
        "log",
        "SIGTERM and SIGINT with stderr full",
        format!("{longest:.1?}"),
    );
    assert!(longest < Duration::from_secs(DRAIN), "{longest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_refusals_writes_a_few_lines_and_a_count() {
    const BYTES_A_MINUTE: usize = 8 << 10;
    let mut all = All::start();
    let (start, before) = (Instant::now(), all.server.log().len());
    let (lines, others) = sized((3_000, 1), (300_000, 50));
    all.refused_pages("http", lines).await;
    for _ in 0..others {
        all.other_lines().await;
    }
    all.server.signal("TERM");
    all.server.end();
    let log = all.server.log();
    let said = &log[before..];
    figure(
        "log",
        &format!("bytes for {lines} refused pages and the like"),
        said.len(),
    );
    let minutes = start.elapsed().as_secs() as usize / 60 + 1;
    assert!(said.len() < minutes * BYTES_A_MINUTE, "{said}");
    for what in [
        "pages of other sites",
        "requests for other hosts",
        "not speak HTTP",
        "speak TLS where",
    ] {
        let counted =
            |line: &str| line.contains(" more lines in the last minute") && line.contains(what);
        assert!(said.lines().any(counted), "{what}: {said}");
    }
}
