//! Owns a broker without any input or output: it drives the core by hand and keeps what each session would receive.
//! It must not know transcripts; [`crate::door`] connects the two.

use std::collections::{HashMap, VecDeque};

use anyhow::{Context as _, Error, Result};
use mist_core::{
    Access, Broker, Config, Credentials, DisconnectReason, Limits, Output, TokenStorage,
};

pub use mist_core::SessionId;

use crate::transcript::Pairs;
use crate::wire::Incoming;

/// How a broker or server under test is set up.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    token: Option<String>,
    has_authenticator: bool,
    access: Access,
    limits: Limits,
}

impl Setup {
    /// Reads `token`, `authenticator`, `access` and the names of limits.
    pub fn from_pairs(settings: &Pairs) -> Result<Self> {
        let mut setup = Self::default();
        for (key, value) in settings {
            match (key.as_str(), value.as_str()) {
                ("token", token) => setup.token = Some(token.to_owned()),
                ("authenticator", "memory://") => setup.has_authenticator = true,
                ("access", "open") => setup.access = Access::Open,
                ("access", "scoped") => setup.access = Access::Scoped,
                (limit, value) => {
                    let value = value.parse().with_context(|| format!("{limit}={value}"))?;
                    setup.limits.set(limit, value).map_err(Error::msg)?;
                }
            }
        }
        Ok(setup)
    }

    /// A server that is set up so, without listeners yet.
    pub fn server(&self) -> mist::ServerBuilder {
        let mut builder = mist::Server::builder()
            .access(self.access)
            .limits(self.limits.clone());
        if let Some(token) = &self.token {
            builder = builder.token(token);
        }
        if self.has_authenticator {
            builder.authenticator("memory://")
        } else {
            builder
        }
    }

    fn config(&self) -> Config {
        Config {
            limits: self.limits.clone(),
            access: self.access,
            token: self.token.clone(),
            token_storage: if self.has_authenticator {
                TokenStorage::Memory
            } else {
                TokenStorage::None
            },
            ..Config::default()
        }
    }
}

/// A broker and the queues of its sessions.
#[derive(Debug)]
pub struct Bare {
    broker: Broker,
    queues: HashMap<SessionId, VecDeque<Incoming>>,
}

impl Bare {
    /// Creates a broker.
    pub fn new(setup: &Setup) -> Self {
        Self {
            broker: Broker::new(setup.config(), 1),
            queues: HashMap::new(),
        }
    }

    /// Opens a session.
    pub fn connect(&mut self, token: Option<&str>) -> SessionId {
        let session = self.broker.connect(Credentials { token });
        self.queues.insert(session, VecDeque::new());
        self.settle();
        session
    }

    /// Hands one message in and carries out what comes of it.
    pub fn handle(&mut self, session: SessionId, message: &[u8]) {
        self.broker.handle_message(session, message);
        self.settle();
    }

    /// Closes a session.
    pub fn disconnect(&mut self, session: SessionId) {
        self.broker.disconnect(session);
        self.settle();
        self.push(session, Incoming::Closed(None));
    }

    /// What came for a session next. The broker is never late: when there is nothing, nothing will come.
    pub fn take(&mut self, session: SessionId) -> Incoming {
        self.queues
            .get_mut(&session)
            .and_then(VecDeque::pop_front)
            .unwrap_or(Incoming::Nothing)
    }

    fn settle(&mut self) {
        while let Some(output) = self.broker.poll_output() {
            match output {
                Output::Send { session, message } => self.push(session, Incoming::Message(message)),
                Output::Deliver {
                    targets,
                    message,
                    receipt,
                    ..
                } => {
                    for &target in &targets {
                        self.push(target, Incoming::Message(message.clone()));
                    }
                    if let Some(receipt) = receipt {
                        self.push(
                            receipt.session(),
                            Incoming::Message(receipt.reply(targets.len())),
                        );
                    }
                }
                Output::Close { session, reason } => {
                    let code = (reason == DisconnectReason::MessageTooLarge).then_some(1009);
                    self.push(session, Incoming::Closed(code));
                    self.broker.disconnect(session);
                }
                Output::Proceed => drop(self.broker.proceed()),
                // There is no time here in which to authenticate again.
                Output::Revoked { .. } => {}
                other => unreachable!(
                    "only brokers with an outside store or custom commands say {other:?}"
                ),
            }
        }
    }

    fn push(&mut self, session: SessionId, what: Incoming) {
        if let Some(queue) = self.queues.get_mut(&session) {
            queue.push_back(what);
        }
    }
}
