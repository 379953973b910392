//! Owns the servers under test: which there are, how each is started, and that it ends.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use super::machine;
use super::wire::{MistTcp, MistWebSocket, Mosquitto, Nats, NatsWebSocket, Redis, RelayWire, Wire};
use crate::fetch;

/// How long a server may take to accept its first connection.
const START: Duration = Duration::from_secs(10);

/// What mist is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Kind {
    /// The server of this workspace.
    #[value(skip)]
    Mist,
    /// Another build of it.
    #[value(skip)]
    Other,
    /// nats-server, the current one
    Nats,
    /// nats-server, as Debian has it
    DebianNats,
    /// redis-server
    Redis,
    /// mosquitto
    Mosquitto,
    /// A program that copies bytes and parses nothing: the floor
    Relay,
}

impl Kind {
    /// Whether it is somebody else's broker.
    pub(crate) fn is_peer(self) -> bool {
        !matches!(self, Self::Mist | Self::Other | Self::Relay)
    }

    /// Its name in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Mist => "mist",
            Self::Other => "other mist",
            Self::Nats => "nats",
            Self::DebianNats => "debian-nats",
            Self::Redis => "redis",
            Self::Mosquitto => "mosquitto",
            Self::Relay => "relay",
        }
    }
}

/// What a server speaks in a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// Its own protocol over TCP.
    Tcp,
    /// The same over WebSocket.
    WebSocket,
}

/// A server that may be started as often as one likes.
pub(crate) struct Contender {
    /// Which one it is.
    pub(crate) kind: Kind,
    program: PathBuf,
}

impl Contender {
    /// mist, or any server that takes its flags.
    pub(crate) fn mist(kind: Kind, program: PathBuf) -> Self {
        Self { kind, program }
    }

    fn is_mist(&self) -> bool {
        matches!(self.kind, Kind::Mist | Kind::Other)
    }

    fn has_websocket(&self) -> bool {
        self.is_mist() || matches!(self.kind, Kind::Nats | Kind::DebianNats)
    }

    /// A peer, which is fetched when it is not on this machine.
    pub(crate) fn peer(kind: Kind) -> Result<Self> {
        let program = match kind {
            Kind::Nats => fetch("nats")?.into(),
            Kind::DebianNats => fetch("nats-server")?.into(),
            Kind::Redis => fetch("redis-server")?.into(),
            Kind::Mosquitto => fetch("mosquitto")?.into(),
            Kind::Relay | Kind::Mist | Kind::Other => std::env::current_exe()?,
        };
        Ok(Self { kind, program })
    }

    /// The version it says it has.
    pub(crate) fn version(&self) -> Option<String> {
        let flag = match self.kind {
            Kind::Relay => return None,
            Kind::Mosquitto => "-h",
            _ => "--version",
        };
        // mosquitto explains itself and fails.
        let said = Command::new(&self.program).arg(flag).output().ok()?.stdout;
        let said = String::from_utf8_lossy(&said);
        let words = said.split_whitespace().map(|word| {
            let word = word.strip_prefix('v').unwrap_or(word);
            word.strip_prefix('=').unwrap_or(word)
        });
        let is_version =
            |word: &&str| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.');
        words.into_iter().find(is_version).map(str::to_owned)
    }

    /// Whether it speaks over `transport` here.
    pub(crate) fn speaks(&self, transport: Transport) -> bool {
        transport == Transport::Tcp || self.has_websocket()
    }

    /// How many bytes its readers may be behind, of the `window` asked for. mosquitto writes every
    /// delivery by itself, so that what waits makes it no faster, and takes long to be drained.
    pub(crate) fn window(&self, window: usize) -> usize {
        match self.kind {
            Kind::Mosquitto => window.min(16 * 1024),
            _ => window,
        }
    }

    /// How one speaks to it.
    pub(crate) fn wire(&self, transport: Transport) -> &'static dyn Wire {
        match (self.kind, transport) {
            (Kind::Mist | Kind::Other, Transport::WebSocket) => &MistWebSocket,
            (Kind::Mist | Kind::Other, Transport::Tcp) => &MistTcp,
            (Kind::Nats | Kind::DebianNats, Transport::WebSocket) => &NatsWebSocket,
            (Kind::Nats | Kind::DebianNats, Transport::Tcp) => &Nats,
            (Kind::Redis, _) => &Redis,
            (Kind::Mosquitto, _) => &Mosquitto,
            (Kind::Relay, _) => &RelayWire,
        }
    }

    /// Starts it on free ports, on its own processors, and waits until it accepts connections.
    pub(crate) fn start(&self, folder: &Path, processors: &[usize]) -> Result<Server> {
        self.start_with(folder, processors, None)
    }

    /// The same as one of several: `cluster` is the URI of mist's, or a part of NATS' configuration.
    pub(crate) fn start_with(
        &self,
        folder: &Path,
        processors: &[usize],
        cluster: Option<&str>,
    ) -> Result<Server> {
        let tcp = free_address()?;
        let web = free_address()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("confined");
        for processor in processors {
            command.args(["--processor", &processor.to_string()]);
        }
        command.arg("--").arg(&self.program);
        match self.kind {
            Kind::Mist | Kind::Other => {
                let listeners = format!("tcp://{tcp},ws://{web}");
                command.args(["--server", "--listeners", &listeners]);
                command.args(["--log-level", "WARN"]);
                if let Some(uri) = cluster {
                    command.args(["--cluster", uri]);
                }
            }
            Kind::Nats | Kind::DebianNats => {
                let file = folder.join("nats.conf");
                fs::write(&file, nats_config(web) + cluster.unwrap_or_default())?;
                let port = tcp.port().to_string();
                command.args(["--addr", "127.0.0.1", "--port", &port]);
                command.arg("--config").arg(file);
            }
            Kind::Redis => {
                let port = tcp.port().to_string();
                command.args(["--bind", "127.0.0.1", "--port", &port]);
                command.args(["--save", "", "--appendonly", "no", "--maxclients", "15000"]);
                command.args(["--loglevel", "warning"]);
            }
            Kind::Mosquitto => {
                let file = folder.join("mosquitto.conf");
                fs::write(&file, mosquitto_config(tcp))?;
                command.arg("-c").arg(file);
            }
            Kind::Relay => {
                command.args(["relay", &tcp.to_string()]);
            }
        }
        let log = folder.join(format!("{}.log", self.kind.name()));
        let output = File::create(&log)?;
        command
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("MIST_") {
                command.env_remove(name);
            }
        }
        let child = command.spawn();
        let child = child.with_context(|| format!("cannot start {}", self.program.display()))?;
        let mut server = Server {
            child,
            tcp,
            web,
            log,
        };
        server.wait_for(tcp)?;
        if self.has_websocket() {
            server.wait_for(web)?;
        }
        Ok(server)
    }
}

/// What NATS cannot be told by flags.
fn nats_config(address: SocketAddr) -> String {
    format!("websocket {{ listen: \"{address}\", no_tls: true }}\n")
}

/// What mosquitto cannot be told by flags. It loses nothing by default but to bounds, and as root
/// it would turn into another user, which unties its end from ours.
fn mosquitto_config(address: SocketAddr) -> String {
    format!(
        "listener {} {}\nallow_anonymous true\npersistence false\nuser root\n\
         max_queued_messages 0\nmax_queued_bytes 0\nset_tcp_nodelay true\nsys_interval 0\n\
         log_dest stderr\nlog_type error\nlog_type warning\n",
        address.port(),
        address.ip()
    )
}

/// A port that nobody uses. Somebody may take it before the server does; then the start fails.
pub(super) fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?)
}

/// A running server. It ends with this value.
pub(crate) struct Server {
    child: Child,
    tcp: SocketAddr,
    web: SocketAddr,
    log: PathBuf,
}

impl Server {
    /// Where it listens.
    pub(crate) fn address(&self, transport: Transport) -> SocketAddr {
        match transport {
            Transport::Tcp => self.tcp,
            Transport::WebSocket => self.web,
        }
    }

    /// The processor time it has used so far.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        machine::cpu_of(self.child.id())
    }

    /// The memory it uses now, in bytes.
    pub(crate) fn resident(&self) -> Result<u64> {
        machine::resident(self.child.id())
    }

    /// The end of what it printed, for an error.
    pub(crate) fn last_words(&self) -> String {
        let said = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = said.lines().rev().take(10).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    fn wait_for(&mut self, address: SocketAddr) -> Result<()> {
        let deadline = Instant::now() + START;
        loop {
            if TcpStream::connect(address).is_ok() {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended at once: {status}\n{}", self.last_words());
            }
            if Instant::now() > deadline {
                bail!("nobody listens at {address}\n{}", self.last_words());
            }
            // The attempt is refused at once as long as nobody listens.
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already; there is nothing else to do about it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
