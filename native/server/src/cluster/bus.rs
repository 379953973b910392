//! Owns the connection to NATS: subjects, and what becomes of it when the connection is lost. Knows nothing of what
//! envelopes say.

use std::future::Future;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, ServerAddr, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use mist_core::cluster::{NodeId, Way};
use percent_encoding::percent_decode_str;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::settings::Settings;

/// Envelopes that wait to be sent, and those that wait to be taken, at most.
const WAITING: usize = 64;
const RECEIVED: usize = 256;
/// For how long an envelope may wait for room among those to be sent.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often NATS is asked whether it is there; it counts as lost when it has not answered twice.
const PING: Duration = Duration::from_secs(3);
/// The least that NATS must take at once (`max_payload`).
const LEAST_PAYLOAD: usize = 16 << 10;

pub(super) struct Bus {
    client: Client,
    events: mpsc::UnboundedReceiver<Event>,
    all: Subscriber,
    own: Subscriber,
    foreign: Option<Subscriber>,
    /// `mist.NAME`
    subject: String,
}

/// What came from NATS.
pub(super) enum Heard {
    /// It is there, and takes so many bytes at once.
    Joined(usize),
    Lost,
    All(Bytes),
    Own(Bytes),
    /// From a program that is no node.
    Foreign(Bytes),
    Nothing,
}

/// Looks whether the files that are needed are there, and whether the addresses are ones.
pub(super) fn check(settings: &Settings) -> Result<(), String> {
    addresses(settings)?;
    let pair = settings.certificate.iter();
    let pair = pair.flat_map(|(certificate, key)| [certificate, key]);
    for path in pair.chain(&settings.ca) {
        std::fs::File::open(path)
            .map_err(|error| format!("cannot read '{}': {error}", path.display()))?;
    }
    Ok(())
}

fn addresses(settings: &Settings) -> Result<Vec<ServerAddr>, String> {
    let servers = settings.servers.iter();
    let addresses = servers.map(|server| server.parse::<ServerAddr>());
    addresses
        .collect::<Result<_, _>>()
        .map_err(|error| format!("'{}': {error}", settings.shown()))
}

/// Shows NATS what stands in front of the host: a user and a password, or a token.
fn with_credentials(options: ConnectOptions, addresses: &[ServerAddr]) -> ConnectOptions {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let first = addresses.first();
    let user = first.and_then(ServerAddr::username);
    match (user, first.and_then(ServerAddr::password)) {
        (Some(user), Some(password)) => options.user_and_password(decoded(user), decoded(password)),
        (Some(token), None) => options.token(decoded(token)),
        (None, _) => options,
    }
}

impl Bus {
    /// Begins to connect, and goes on trying until there is a connection.
    pub(super) async fn connect(settings: &Settings, node: NodeId) -> Result<Self, String> {
        let (sender, events) = mpsc::unbounded_channel();
        let most = settings.reconnect;
        let mut options = ConnectOptions::new()
            .name(format!("mist {}", settings.node))
            .no_echo()
            .retry_on_initial_connect()
            .ping_interval(PING)
            .client_capacity(WAITING)
            .subscription_capacity(RECEIVED)
            .reconnect_delay_callback(move |attempts| pause(attempts, most))
            .event_callback(move |event| {
                let _ = sender.send(event);
                async {}
            })
            .require_tls(settings.is_encrypted);
        if let Some(ca) = &settings.ca {
            options = options.add_root_certificates(ca.clone());
        }
        if let Some((certificate, key)) = &settings.certificate {
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
        let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", settings.shown());
        let addresses = addresses(settings)?;
        let client = with_credentials(options, &addresses)
            .connect(addresses)
            .await
            .map_err(|error| failed(&error))?;
        let subject = format!("mist.{}", settings.name);
        let subscribe = |name: String| {
            let client = client.clone();
            async move { client.subscribe(name).await.map_err(|error| failed(&error)) }
        };
        let all = subscribe(format!("{subject}.all")).await?;
        let own = subscribe(format!("{subject}.node.{node}")).await?;
        let foreign = match settings.takes_foreign {
            false => None,
            true => {
                // One node takes each, and hands it on.
                let group = client.queue_subscribe(format!("{subject}.in"), "mist".to_owned());
                Some(group.await.map_err(|error| failed(&error))?)
            }
        };
        Ok(Self {
            client,
            events,
            all,
            own,
            foreign,
            subject,
        })
    }

    /// Waits for the next that comes; for messages only once there is room for them.
    pub(super) async fn next(&mut self, has_room: impl Future<Output = ()>) -> Heard {
        let Self {
            client,
            events,
            all,
            own,
            foreign,
            ..
        } = self;
        let from_others = async {
            has_room.await;
            let from_programs = async {
                match foreign {
                    Some(foreign) => foreign.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                message = all.next() => message.map(|message| Heard::All(message.payload)),
                message = own.next() => message.map(|message| Heard::Own(message.payload)),
                message = from_programs => message.map(|message| Heard::Foreign(message.payload)),
            }
        };
        tokio::select! {
            event = events.recv() => match event {
                Some(Event::Connected) => joined(client),
                Some(Event::Disconnected | Event::Closed) => Heard::Lost,
                Some(Event::ServerError(error)) => {
                    tracing::warn!("the cluster's NATS: {error}");
                    Heard::Nothing
                }
                Some(Event::ClientError(error)) => {
                    tracing::debug!("the cluster's NATS: {error}");
                    Heard::Nothing
                }
                Some(_) => Heard::Nothing,
                None => std::future::pending().await,
            },
            heard = from_others => match heard {
                Some(heard) => heard,
                None => std::future::pending().await,
            },
        }
    }

    /// Sends an envelope. One that finds no room in time is lost; whom it was for will notice.
    pub(super) async fn send(&self, way: Way, payload: Bytes) {
        let subject = match way {
            Way::All => format!("{}.all", self.subject),
            Way::Node(node) => format!("{}.node.{node}", self.subject),
        };
        match timeout(PATIENCE, self.client.publish(subject, payload)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("the cluster's NATS: {error}"),
            Err(_) => tracing::debug!("the cluster's NATS takes nothing"),
        }
    }

    /// Waits until what was sent is with NATS.
    pub(super) async fn close(&self) {
        let _ = self.client.flush().await;
    }
}

fn joined(client: &Client) -> Heard {
    let most = client.server_info().max_payload;
    if most < LEAST_PAYLOAD {
        tracing::error!(
            "not joining the cluster: its NATS takes {most} bytes at once (max_payload), and a node needs {LEAST_PAYLOAD}"
        );
        return Heard::Nothing;
    }
    Heard::Joined(most)
}

/// How long to wait before the next attempt to connect.
fn pause(attempts: usize, most: Duration) -> Duration {
    let doubled = Duration::from_millis(50 << attempts.min(12));
    doubled.min(most)
}
