//! Owns the examples of proxies in `packaging/proxies`: each is run in front of a server, as it is but for addresses and files.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use mist_tests::certificate::Certificate;
use mist_tests::client::Place;
use mist_tests::process::{Process, clean, free_port};
use mist_tests::{PATIENCE, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::client::TlsStream;

const NAME: &str = "mist.example.com";
const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Where the proxy listens, where the server does, and the certificate for the name.
struct Ground {
    proxy: SocketAddr,
    server: SocketAddr,
    certificate: Certificate,
}

/// An example with parts replaced, each of which must be there.
fn example(name: &str, parts: &[(&str, &str)]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/proxies");
    let mut text = fs::read_to_string(path.join(name)).expect(name);
    for (part, instead) in parts {
        assert!(text.contains(part), "no '{part}' in {name}");
        text = text.replace(part, instead);
    }
    text
}

fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = std::env::split_paths(&path).collect();
    folders.push("/usr/sbin".into());
    let mut programs = folders.into_iter().map(|folder| folder.join(name));
    programs.find(|program| program.is_file())
}

/// Runs a program that ends with the test, and waits until it listens.
fn run(program: &Path, arguments: &[&str], ground: &Ground) -> Process {
    let folder = ground.certificate.folder.path();
    let mut command = clean("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program);
    command.args(arguments).current_dir(folder);
    command.env("HOME", folder).env("XDG_DATA_HOME", folder);
    let mut process = Process::run(&mut command);
    let start = std::time::Instant::now();
    while std::net::TcpStream::connect(ground.proxy).is_err() {
        let is_there = process.is_running() && start.elapsed() < PATIENCE;
        assert!(is_there, "it does not listen:\n{}", process.log());
        std::thread::yield_now();
    }
    process
}

fn nginx(program: &Path, ground: &Ground) -> Process {
    let site = example(
        "nginx.conf",
        &[
            ("127.0.0.1:8080", &ground.server.to_string()),
            ("listen 443 ssl", &format!("listen {} ssl", ground.proxy)),
            ("    listen [::]:443 ssl;\n", ""),
            ("/etc/ssl/mist/", ""),
        ],
    );
    let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let paths = paths.map(|path| format!("{path}_temp_path {path};"));
    let config = format!(
        "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr;\nevents {{}}\n\
         http {{\naccess_log off;\n{}\n{site}\n}}\n",
        paths.concat()
    );
    let path = ground.certificate.path("nginx.conf");
    fs::write(&path, config).expect("written");
    let folder = ground.certificate.folder.path().display().to_string();
    let path = path.display().to_string();
    let arguments = ["-e", "stderr", "-p", &folder, "-c", &path];
    run(program, &arguments, ground)
}

fn haproxy(program: &Path, ground: &Ground) -> Process {
    let pem = ground.certificate.path("mist.pem");
    let parts = [ground.certificate.file(), ground.certificate.key()];
    let parts = parts.map(|part| fs::read_to_string(part).expect("there"));
    fs::write(&pem, parts.concat()).expect("written");
    let config = example(
        "haproxy.cfg",
        &[
            ("127.0.0.1:8080", &ground.server.to_string()),
            (":443,[::]:443 v6only", &ground.proxy.to_string()),
            ("/etc/haproxy/mist.pem", &pem.display().to_string()),
        ],
    );
    let path = ground.certificate.path("haproxy.cfg");
    fs::write(&path, config).expect("written");
    let path = path.display().to_string();
    run(program, &["-db", "-f", &path], ground)
}

fn caddy(program: &Path, ground: &Ground) -> Process {
    let site = format!(
        "https://{NAME}:{} {{\n\tbind 127.0.0.1\n\ttls {} {}",
        ground.proxy.port(),
        ground.certificate.file().display(),
        ground.certificate.key().display()
    );
    let config = example(
        "Caddyfile",
        &[
            (
                &format!("{NAME} {{\n\treverse_proxy"),
                &format!("{site}\n\treverse_proxy"),
            ),
            (
                "reverse_proxy 127.0.0.1:8080",
                &format!("reverse_proxy {}", ground.server),
            ),
        ],
    );
    let config = format!("{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n{config}");
    let path = ground.certificate.path("Caddyfile");
    fs::write(&path, config).expect("written");
    let path = path.display().to_string();
    run(
        program,
        &["run", "--adapter", "caddyfile", "--config", &path],
        ground,
    )
}

/// A connection to the proxy from one of this machine's addresses.
struct Visitor(TlsStream<TcpStream>);

impl Visitor {
    async fn come(ground: &Ground, from: u8) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        let own = IpAddr::V4(Ipv4Addr::new(127, 0, 0, from));
        socket.bind(SocketAddr::new(own, 0)).expect("loopback");
        let stream = socket.connect(ground.proxy).await.expect("it listens");
        let encrypted = ground.certificate.encrypt_for(NAME, stream);
        Self(within(encrypted).await.expect("it encrypts"))
    }

    async fn ask(&mut self, method: &str, target: &str, headers: &str, body: &[u8]) -> String {
        let length = match body.len() {
            0 => String::new(),
            length => format!("Content-Length: {length}\r\n"),
        };
        let head = format!("{method} {target} HTTP/1.1\r\nHost: {NAME}\r\n{headers}{length}\r\n");
        within(self.0.write_all(head.as_bytes()))
            .await
            .expect("taken");
        within(self.0.write_all(body)).await.expect("taken");
        let head = self.until("\r\n\r\n").await;
        head.split(' ').nth(1).expect("a status").to_owned()
    }

    /// Reads up to a text.
    async fn until(&mut self, end: &str) -> String {
        let mut came = Vec::new();
        while !came.ends_with(end.as_bytes()) {
            let byte = within(self.0.read_u8()).await;
            let so_far = String::from_utf8_lossy(&came);
            came.push(byte.unwrap_or_else(|error| panic!("{error} after {so_far}")));
        }
        String::from_utf8_lossy(&came).into_owned()
    }

    async fn upgrade(ground: &Ground, from: u8, headers: &str) -> (Self, String) {
        let mut visitor = Self::come(ground, from).await;
        let headers = format!("{UPGRADE}{headers}");
        let status = visitor.ask("GET", "/ws", &headers, b"").await;
        (visitor, status)
    }
}

async fn holds_behind(name: &str, start: fn(&Path, &Ground) -> Process) {
    let Some(program) = program(name) else {
        return eprintln!("NOT DONE: there is no {name} here (cargo xtask fetch {name})");
    };
    let listeners = "tcp://127.0.0.1:0,ws://127.0.0.1:0,http://127.0.0.1:0";
    let server = Process::start_on(
        listeners,
        &[
            "--allow-host",
            NAME,
            "--trusted-proxies",
            "127.0.0.1",
            "--limit",
            "connections-per-address=1",
        ],
    );
    let ground = Ground {
        proxy: SocketAddr::from(([127, 0, 0, 1], free_port())),
        server: server.address("http"),
        certificate: Certificate::for_names(&[NAME]),
    };
    let proxy = start(&program, &ground);
    let mut publisher = Place::of(&server).tcp().await;

    // A page of the same name is let in, one of another is not.
    let own = format!("Origin: https://{NAME}\r\n");
    let (mut socket, status) = Visitor::upgrade(&ground, 11, &own).await;
    assert_eq!(status, "101", "{}", proxy.log());
    let evil = "Origin: https://evil.example\r\n";
    assert_eq!(Visitor::upgrade(&ground, 12, evil).await.1, "403");

    // What is published comes over WebSockets and streams of events while they stay open.
    let subscribe = br#"{"command":"subscribe","tags":["a"],"id":1}"#;
    let frame = [
        &[0x81, 0x80 | subscribe.len() as u8, 0, 0, 0, 0],
        &subscribe[..],
    ]
    .concat();
    within(socket.0.write_all(&frame)).await.expect("taken");
    socket.until(r#""data":"success","id":1}"#).await;
    let mut events = Visitor::come(&ground, 13).await;
    let status = events.ask("GET", "/subscribe?tags=a", "", b"").await;
    assert_eq!(status, "200");
    for data in ["one", "two"] {
        publisher.publish(&["a"], data).await;
        let end = format!(r#""data":"{data}"}}"#);
        socket.until(&end).await;
        events.until(&end).await;
    }

    // Each client counts for itself, whatever it says of itself.
    for headers in ["", "X-Forwarded-For: 192.0.2.1\r\n"] {
        assert_eq!(Visitor::upgrade(&ground, 11, headers).await.1, "503");
    }
    let (_other, status) = Visitor::upgrade(&ground, 14, "").await;
    assert_eq!(status, "101");

    // What the server takes, the proxy takes.
    let body = vec![b'x'; 3 << 20];
    let mut large = Visitor::come(&ground, 15).await;
    assert_eq!(large.ask("POST", "/publish?tags=b", "", &body).await, "200");
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_in_front_changes_nothing() {
    holds_behind("nginx", nginx).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn haproxy_in_front_changes_nothing() {
    holds_behind("haproxy", haproxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn caddy_in_front_changes_nothing() {
    holds_behind("caddy", caddy).await;
}
