//! Owns the doors: how a broker is set up behind each, and how a client of a transcript reaches it.
//! It must not know what a transcript says.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::bare::{Bare, SessionId, Setup};
use crate::certificate::Certificate;
use crate::transcript::{Door, Pairs};
use crate::wire::{Incoming, Upgrade, Wire};

/// A broker behind a door.
#[derive(Debug)]
pub struct House {
    door: Door,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Core(Arc<Mutex<Bare>>),
    Server {
        place: Place,
        certificate: Certificate,
        stop: oneshot::Sender<()>,
        task: JoinHandle<()>,
    },
}

/// Where a server listens.
#[derive(Debug)]
enum Place {
    Socket(SocketAddr),
    File(PathBuf),
}

/// One client of a transcript.
#[derive(Debug)]
pub enum Connection {
    /// A session of a bare broker.
    Core {
        /// The broker, shared with the other clients.
        broker: Arc<Mutex<Bare>>,
        /// Which session of it.
        session: SessionId,
    },
    /// A socket.
    Wire(Wire),
}

impl House {
    /// Sets up a broker as a transcript asks for.
    ///
    /// # Errors
    /// The reason as text.
    pub async fn open(door: Door, settings: &Pairs) -> Result<Self, String> {
        let setup = Setup::from_pairs(settings)?;
        let kind = match door {
            Door::Core => Kind::Core(Arc::new(Mutex::new(Bare::new(&setup)))),
            _ => {
                let certificate = Certificate::make()?;
                let file = certificate.folder().join("mist.sock");
                let uri = match door {
                    Door::Unix => format!("unix://{}", file.display()),
                    _ => format!("{}://127.0.0.1:0", door.word()),
                };
                let server = setup
                    .server()
                    .tls(certificate.file(), certificate.key())
                    .listen(&uri)
                    .bind()
                    .await
                    .map_err(|error| error.to_string())?;
                let address = server.addresses().first().ok_or("no address")?;
                let place = address.socket().map_or(Place::File(file), Place::Socket);
                let (stop, stopped) = oneshot::channel::<()>();
                let run = server.run(async {
                    let _ = stopped.await;
                });
                Kind::Server {
                    place,
                    certificate,
                    stop,
                    task: spawn(run),
                }
            }
        };
        Ok(Self { door, kind })
    }

    /// Which door this is.
    pub fn door(&self) -> Door {
        self.door
    }

    /// Connects one client.
    ///
    /// # Errors
    /// The reason as text.
    pub async fn connect(&self, options: &Pairs) -> Result<Connection, String> {
        let piece = match options.get("piece") {
            Some(text) => Some(
                text.parse()
                    .map_err(|error| format!("piece={text}: {error}"))?,
            ),
            None => None,
        };
        let token = options.get("token");
        let mut wire = match (&self.kind, self.door) {
            (Kind::Core(broker), _) => {
                let session = lock(broker).connect(token.map(String::as_str));
                return Ok(Connection::Core {
                    broker: Arc::clone(broker),
                    session,
                });
            }
            (
                Kind::Server {
                    place, certificate, ..
                },
                door,
            ) => match (place, door) {
                (Place::File(file), _) => Wire::unix(file).await?,
                (Place::Socket(address), Door::Ws) => {
                    Wire::upgrade(*address, &upgrade(options)?).await?.0
                }
                (Place::Socket(address), Door::Wss) => {
                    let upgrade = upgrade(options)?;
                    Wire::upgrade_tls(*address, certificate, &upgrade).await?.0
                }
                (Place::Socket(address), Door::Tls) => Wire::tls(*address, certificate).await?,
                (Place::Socket(address), _) => Wire::tcp(*address).await?,
            },
        };
        if let (Some(token), Door::Tcp) = (token, self.door.alike()) {
            wire.send(&format!(r#"{{"command":"auth","data":"{token}"}}"#))
                .await?;
        }
        wire.piece = piece;
        Ok(Connection::Wire(wire))
    }

    /// Shuts down what was set up.
    ///
    /// # Errors
    /// When the server does not end.
    pub async fn close(self) -> Result<(), String> {
        if let Kind::Server { stop, task, .. } = self.kind {
            let _ = stop.send(());
            tokio::time::timeout(crate::wire::PATIENCE, task)
                .await
                .map_err(|_| "the server does not end".to_owned())?
                .map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

fn spawn(run: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(run)
}

/// Translates the options of `connect` into the request of a WebSocket.
fn upgrade(options: &Pairs) -> Result<Upgrade, String> {
    let mut upgrade = Upgrade::default();
    for (key, value) in options {
        match key.as_str() {
            "piece" => {}
            "path" => upgrade.target.clone_from(value),
            "token" => upgrade
                .headers
                .push(("X-AUTH-TOKEN".to_owned(), value.clone())),
            "bearer" => upgrade
                .headers
                .push(("Authorization".to_owned(), format!("Bearer {value}"))),
            "protocol" => upgrade.headers.push((
                "Sec-WebSocket-Protocol".to_owned(),
                value.replace(',', ", "),
            )),
            "header" => {
                let (name, value) = value
                    .split_once(':')
                    .ok_or_else(|| format!("header={value}: no colon"))?;
                upgrade.headers.push((name.to_owned(), value.to_owned()));
            }
            _ => return Err(format!("unknown option {key}")),
        }
    }
    Ok(upgrade)
}

fn lock(broker: &Mutex<Bare>) -> std::sync::MutexGuard<'_, Bare> {
    broker.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Connection {
    /// Sends one message.
    ///
    /// # Errors
    /// The reason as text.
    pub async fn send(&mut self, message: &str) -> Result<(), String> {
        match self {
            Self::Core { broker, session } => {
                lock(broker).handle(*session, message.as_bytes());
                Ok(())
            }
            Self::Wire(wire) => wire.send(message).await,
        }
    }

    /// Writes bytes without adding anything.
    ///
    /// # Errors
    /// The reason as text; always at the core door, which knows no framing.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        match self {
            Self::Core { .. } => Err("the core door takes whole messages only".to_owned()),
            Self::Wire(wire) => wire.write(bytes).await,
        }
    }

    /// Waits for what comes next.
    pub async fn recv(&mut self) -> Incoming {
        match self {
            Self::Core { broker, session } => lock(broker).take(*session),
            Self::Wire(wire) => wire.recv().await,
        }
    }

    /// Ends sending.
    ///
    /// # Errors
    /// The reason as text.
    pub async fn finish(&mut self) -> Result<(), String> {
        match self {
            Self::Core { broker, session } => {
                lock(broker).disconnect(*session);
                Ok(())
            }
            Self::Wire(wire) => wire.finish().await,
        }
    }

    /// Leaves and waits until the other side has let go.
    ///
    /// # Errors
    /// The reason as text.
    pub async fn close(&mut self) -> Result<(), String> {
        match self {
            Self::Core { .. } => self.finish().await,
            Self::Wire(wire) => wire.close().await,
        }
    }
}
