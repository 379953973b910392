//! Owns the doors: how a broker is set up behind each, and how a client of a transcript reaches it.
//! It must not know what a transcript says.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, anyhow, bail};

use crate::bare::{Bare, SessionId, Setup};
use crate::certificate::Certificate;
use crate::site::Site;
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
        site: Site,
        certificate: Certificate,
    },
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
    pub async fn open(door: Door, settings: &Pairs) -> Result<Self> {
        let setup = Setup::from_pairs(settings)?;
        let kind = match door {
            Door::Core => Kind::Core(Arc::new(Mutex::new(Bare::new(&setup)))),
            _ => {
                let certificate = Certificate::default();
                let uri = match door {
                    Door::Unix => format!("unix://{}", certificate.path("mist.sock").display()),
                    _ => format!("{}://127.0.0.1:0", door.word()),
                };
                let server = setup.server().tls(certificate.file(), certificate.key());
                let site = Site::try_start(server.listen(&uri)).await?;
                Kind::Server { site, certificate }
            }
        };
        Ok(Self { door, kind })
    }

    /// Which door this is.
    pub fn door(&self) -> Door {
        self.door
    }

    /// Connects one client.
    pub async fn connect(&self, options: &Pairs) -> Result<Connection> {
        let piece = match options.get("piece") {
            Some(text) => Some(text.parse().with_context(|| format!("piece={text}"))?),
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
            (Kind::Server { certificate, .. }, Door::Unix) => {
                Wire::unix(&certificate.path("mist.sock")).await?
            }
            (Kind::Server { site, certificate }, door) => {
                let address = site.socket(0);
                match door {
                    Door::Ws => Wire::upgrade(address, &upgrade(options)?).await?.0,
                    Door::Wss => {
                        let upgrade = upgrade(options)?;
                        Wire::upgrade_tls(address, certificate, &upgrade).await?.0
                    }
                    Door::Tls => Wire::tls(address, certificate).await?,
                    _ => Wire::tcp(address).await?,
                }
            }
        };
        if let (Some(token), Door::Tcp) = (token, self.door.alike()) {
            wire.send(&format!(r#"{{"command":"auth","data":"{token}"}}"#))
                .await?;
        }
        wire.piece = piece;
        Ok(Connection::Wire(wire))
    }

    /// Shuts down what was set up.
    pub async fn close(self) {
        if let Kind::Server { site, .. } = self.kind {
            site.stop().await;
        }
    }
}

/// Translates the options of `connect` into the request of a WebSocket.
fn upgrade(options: &Pairs) -> Result<Upgrade> {
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
                    .with_context(|| format!("header={value}: no colon"))?;
                upgrade.headers.push((name.to_owned(), value.to_owned()));
            }
            _ => bail!("unknown option {key}"),
        }
    }
    Ok(upgrade)
}

fn lock(broker: &Mutex<Bare>) -> std::sync::MutexGuard<'_, Bare> {
    broker.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Connection {
    /// Sends one message.
    pub async fn send(&mut self, message: &str) -> Result<()> {
        match self {
            Self::Core { broker, session } => {
                lock(broker).handle(*session, message.as_bytes());
                Ok(())
            }
            Self::Wire(wire) => wire.send(message).await,
        }
    }

    /// Writes bytes without adding anything.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Core { .. } => Err(anyhow!("the core door takes whole messages only")),
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
    pub async fn finish(&mut self) -> Result<()> {
        match self {
            Self::Core { broker, session } => {
                lock(broker).disconnect(*session);
                Ok(())
            }
            Self::Wire(wire) => wire.finish().await,
        }
    }

    /// Leaves and waits until the other side has let go.
    pub async fn close(&mut self) -> Result<()> {
        match self {
            Self::Core { .. } => self.finish().await,
            Self::Wire(wire) => wire.close().await,
        }
    }
}
