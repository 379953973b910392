//! Owns the connection to NATS: subjects, and what becomes of it when the connection is lost. Knows nothing of what
//! envelopes say.

use std::collections::VecDeque;
use std::future::Future;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, ServerAddr, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use mist_core::cluster::{NodeId, Way};
use percent_encoding::percent_decode_str;
use tokio::sync::mpsc;

use super::settings::Settings;

/// Envelopes that wait to be sent, and those that wait to be taken, at most.
const WAITING: usize = 64;
const RECEIVED: usize = 1024;
/// Bytes of envelopes that wait for room among those to be sent, besides the largest message in its pieces; what is
/// beyond that is lost. A filter of ten million subscriptions has 16 MiB.
const QUEUED_BYTES: usize = 32 << 20;
/// From so many bytes on, messages wait in the outbox of the node's session.
const ENOUGH_BYTES: usize = 1 << 20;
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
    /// What waits to be sent.
    queue: VecDeque<(Way, Bytes)>,
    queued_bytes: usize,
    /// How much of it there may be.
    most_queued: usize,
    /// What was wrong the last time, as long as it is.
    said: String,
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
            queue: VecDeque::new(),
            queued_bytes: 0,
            most_queued: QUEUED_BYTES,
            said: String::new(),
        })
    }

    /// Waits for the next that comes, for messages only once there is room for them; meanwhile sends what waits. It may be
    /// given up and begun again at any time.
    pub(super) async fn next(&mut self, has_room: impl Future<Output = ()>) -> Heard {
        let Self {
            client,
            events,
            all,
            own,
            foreign,
            subject,
            queue,
            queued_bytes,
            said,
            ..
        } = self;
        let sending = async {
            match queue.front() {
                None => std::future::pending().await,
                Some((way, payload)) => {
                    let subject = subject_of(subject, *way);
                    client.publish(subject, payload.clone()).await
                }
            }
        };
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
                Some(Event::Connected) => {
                    said.clear();
                    joined(client)
                }
                Some(Event::Disconnected | Event::Closed) => Heard::Lost,
                Some(Event::ServerError(error)) => {
                    tracing::warn!("the cluster's NATS: {error}");
                    Heard::Nothing
                }
                Some(Event::ClientError(error)) => {
                    let error = error.to_string();
                    // It is tried again all the time.
                    if *said != error {
                        tracing::warn!("cannot reach the cluster's NATS: {error}; trying again");
                        *said = error;
                    }
                    Heard::Nothing
                }
                Some(Event::SlowConsumer(_)) => {
                    tracing::warn!("more came from the cluster's NATS than could be taken: some of it is lost");
                    Heard::Nothing
                }
                Some(_) => Heard::Nothing,
                None => std::future::pending().await,
            },
            sent = sending => {
                if let Err(error) = sent {
                    tracing::warn!("the cluster's NATS: {error}");
                }
                if let Some((_, payload)) = queue.pop_front() {
                    *queued_bytes -= payload.len();
                }
                Heard::Nothing
            }
            heard = from_others => match heard {
                Some(heard) => heard,
                None => std::future::pending().await,
            },
        }
    }

    /// Has an envelope sent by [`Bus::next`]. One that there is no room for is lost; whom it was for will notice.
    pub(super) fn queue(&mut self, way: Way, payload: Bytes) {
        if self.queued_bytes + payload.len() > self.most_queued {
            return;
        }
        self.queued_bytes += payload.len();
        self.queue.push_back((way, payload));
    }

    /// Has room for a message of so many bytes beside all else.
    pub(super) fn set_message_bytes(&mut self, bytes: usize) {
        // In pieces it takes a little more.
        self.most_queued = QUEUED_BYTES + bytes + bytes / 8;
    }

    /// Whether more messages should be made into envelopes.
    pub(super) fn has_room(&self) -> bool {
        self.queued_bytes < ENOUGH_BYTES
    }

    /// Bytes that wait to be sent.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// Forgets what waits to be sent.
    pub(super) fn clear(&mut self) {
        self.queue.clear();
        self.queued_bytes = 0;
    }

    /// Sends what waits, and waits until it is with NATS.
    pub(super) async fn close(&mut self) {
        for (way, payload) in self.queue.drain(..) {
            let _ = self
                .client
                .publish(subject_of(&self.subject, way), payload)
                .await;
        }
        let _ = self.client.flush().await;
    }
}

/// The subject that stands for a way.
fn subject_of(cluster: &str, way: Way) -> String {
    match way {
        Way::All => format!("{cluster}.all"),
        Way::Node(node) => format!("{cluster}.node.{node}"),
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
