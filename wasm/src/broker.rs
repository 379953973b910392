//! The broker of a page behind numbers for its sessions; knows nothing of how a page calls it.

use alloc::string::String;
use alloc::vec::Vec;

use mist_core::message::{Messages, Scan};
use mist_core::{
    Access, Config, Credentials, CustomReply, Limits, Output, Scratch, SessionId, Stats,
    TokenStorage, Verdict,
};

use crate::effects::{Effects, Kind};

#[derive(Debug)]
struct Peer {
    id: SessionId,
    /// Whether it is of the page itself, which finds its own subscriptions.
    is_page: bool,
}

/// A broker in a page.
#[derive(Debug)]
pub struct Broker {
    broker: mist_core::Broker,
    /// By slot, so that the page holds plain numbers.
    peers: Vec<Option<Peer>>,
    scan: Scan,
    scratch: Scratch,
    /// Whether there are tokens, which may end.
    has_tokens: bool,
    /// What the page was told last of when the next one ends.
    expiry: Option<u64>,
}

impl Broker {
    /// Creates a broker; `seed` is random.
    #[must_use]
    pub fn new(seed: u64, limits: Limits, token: Option<&str>, is_scoped: bool) -> Self {
        let config = Config {
            limits,
            access: match is_scoped {
                true => Access::Scoped,
                false => Access::Open,
            },
            token_storage: match token {
                Some(_) => TokenStorage::Memory,
                None => TokenStorage::None,
            },
            token: token.map(String::from),
            ..Config::default()
        };
        Self {
            broker: mist_core::Broker::new(config, seed),
            peers: Vec::new(),
            scan: Scan::new(),
            scratch: Scratch::new(),
            has_tokens: token.is_some(),
            expiry: None,
        }
    }

    /// Opens a session, and returns its number.
    pub fn connect(&mut self, is_page: bool) -> usize {
        let id = self.broker.connect(Credentials::default());
        let slot = id.slot();
        if self.peers.len() <= slot {
            self.peers.resize_with(slot + 1, || None);
        }
        self.peers[slot] = Some(Peer { id, is_page });
        slot
    }

    /// Closes a session.
    pub fn disconnect(&mut self, session: usize, effects: &mut Effects) {
        if let Some(peer) = self.peers.get_mut(session).and_then(Option::take) {
            self.broker.disconnect(peer.id);
            self.settle(effects);
        }
    }

    /// Takes a message of a session, as it goes over the wire, at a time in seconds since 1970.
    pub fn receive(&mut self, session: usize, message: &[u8], now: u64, effects: &mut Effects) {
        if let Some(id) = self.id(session) {
            if self.has_tokens {
                self.broker.handle_time(now);
            }
            self.broker.handle_frame(id, message);
            self.settle(effects);
        }
    }

    /// Ends what is due by a time in seconds since 1970.
    pub fn expire(&mut self, now: u64, effects: &mut Effects) {
        self.broker.handle_time(now);
        // Where it is not due yet, the page has to ask again.
        self.expiry = None;
        self.settle(effects);
    }

    /// Adds a custom command; `false` when the broker has one of that name.
    pub fn add_command(&mut self, name: &str) -> bool {
        self.broker.add_command(name)
    }

    /// Answers a custom command: with an error, with data and tags, or without anything.
    pub fn answer<'a>(
        &mut self,
        session: usize,
        is_error: bool,
        mut texts: impl Iterator<Item = &'a str>,
        effects: &mut Effects,
    ) {
        let Some(id) = self.id(session) else { return };
        let reply = match texts.next().map(String::from) {
            Some(error) if is_error => Err(error),
            Some(data) => Ok(Some(CustomReply {
                tags: texts.map(String::from).collect(),
                data,
            })),
            None => Ok(None),
        };
        self.broker.handle_custom_reply(id, reply);
        self.settle(effects);
    }

    /// Says to whom a message of a session goes, unless the broker has to take it as any other.
    pub fn reach(&mut self, session: usize, message: &[u8], effects: &mut Effects) -> bool {
        let Some(id) = self.id(session) else {
            return false;
        };
        let limits = self.broker.limits();
        let Some(Ok(message)) = Messages::frame(message).next(&mut self.scan, limits) else {
            return false;
        };
        let Verdict::Deliver(None) = self.broker.decide(id, &message, &mut self.scratch) else {
            return false;
        };
        let targets = self.scratch.targets().iter().map(|&slot| slot as usize);
        effects.push(Kind::Deliver, session, &to(&self.peers, targets), &[]);
        true
    }

    /// Figures of the broker.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.broker.stats()
    }

    fn id(&self, session: usize) -> Option<SessionId> {
        Some(self.peers.get(session)?.as_ref()?.id)
    }

    /// Writes down what the broker wants done.
    fn settle(&mut self, effects: &mut Effects) {
        while let Some(output) = self.broker.poll_output() {
            match output {
                Output::Send { session, message } => {
                    effects.push(Kind::Send, session.slot(), &[], &[&message]);
                }
                Output::Deliver {
                    publisher,
                    targets,
                    message,
                    receipt,
                    ..
                } => {
                    let numbers = to(&self.peers, targets.iter().map(|target| target.slot()));
                    effects.push(Kind::Deliver, publisher.slot(), &numbers, &[&message]);
                    if let Some(receipt) = receipt {
                        let reply = receipt.reply(targets.len());
                        effects.push(Kind::Send, receipt.session().slot(), &[], &[&reply]);
                    }
                }
                Output::Custom { session, request } => {
                    let mut texts = Vec::with_capacity(2 + request.tags.len());
                    texts.extend([request.command.as_bytes(), request.data.as_bytes()]);
                    texts.extend(request.tags.iter().map(String::as_bytes));
                    effects.push(Kind::Command, session.slot(), &[], &texts);
                }
                Output::Close { session, .. } => {
                    self.peers[session.slot()] = None;
                    self.broker.disconnect(session);
                    effects.push(Kind::Closed, session.slot(), &[], &[]);
                }
                Output::Proceed => drop(self.broker.proceed()),
                // Tokens are kept in the broker itself.
                _ => {}
            }
        }
        let expiry = self.broker.next_expiry();
        if self.expiry != expiry {
            self.expiry = expiry;
            let at = expiry.map(|at| at.min(u32::MAX.into()) as u32);
            effects.push(Kind::Expiry, 0, at.as_slice(), &[]);
        }
    }
}

/// Whether some sessions of the page are among the receivers of a message, and those that are not of the page.
fn to(peers: &[Option<Peer>], targets: impl Iterator<Item = usize>) -> Vec<u32> {
    let mut to = Vec::from([0]);
    for slot in targets {
        match peers.get(slot) {
            Some(Some(peer)) if peer.is_page => to[0] = 1,
            _ => to.push(slot as u32),
        }
    }
    to
}
