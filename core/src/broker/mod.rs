//! Owns all sessions and subscriptions and decides what every message does; performs nothing itself.
//!
//! Inputs are method calls: [`Broker::handle_message`], or [`Broker::decide`] for a message that changes nothing.
//! Outputs are taken out with [`Broker::poll_output`]. The commands are in these files: `basic` has those for
//! everybody, `publish` long publishes, `list` long answers, `login` and `admin` those about tokens, `tokens` and
//! `in_use` which there are and which of them sessions go by, `revoke` the consequences of a changed token, `expiry` those
//! of time; `numbers` is for hosts that know tags by number. Files with data only (`config`, `output`, `scratch`,
//! `session`, `holders`, `listing`, `revocation`, `walk`) know nothing of the [`Broker`].

mod admin;
mod basic;
mod config;
mod decide;
mod expiry;
mod holders;
mod in_use;
mod list;
mod listing;
mod login;
mod nodes;
mod numbers;
mod output;
mod publish;
mod question;
mod receipt;
mod receive;
mod reload;
mod reply;
mod revocation;
mod revoke;
mod scratch;
mod session;
mod tap;
#[cfg(test)]
mod tests;
mod tokens;
mod walk;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

pub use self::config::{Config, Credentials, Others};
use self::holders::Holders;
pub use self::listing::{Listing, OthersQuery};
pub use self::nodes::NodesQuery;
pub use self::output::{
    CustomReply, CustomRequest, DisconnectReason, Long, Output, TokenCheck, Verdict,
};
pub use self::receipt::{Elsewhere, Receipt};
use self::revocation::Revocation;
pub use self::scratch::Scratch;
use self::session::{About, Phase, Session};
pub use self::session::{SessionId, Standing};
pub use self::walk::Walk;
use crate::auth::{Access, Secret, TokenStorage, TokenTable};
use crate::ends::Ends;
use crate::index::Index;
use crate::limits::Limits;
use crate::message::{Command, Scan};
use crate::needs::Directory;

/// Figures of a broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Sessions connected now.
    pub sessions: usize,
    /// Sessions since the start.
    pub sessions_total: u64,
    /// Sessions that hold a subscription now.
    pub subscribers: usize,
    /// Subscriptions held now.
    pub subscriptions: usize,
    /// Bytes of memory that subscriptions take, roughly.
    pub subscription_bytes: usize,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    session: Option<Session>,
}

/// The pure state machine. See the crate's documentation for how a host drives it.
pub struct Broker {
    limits: Limits,
    access: Access,
    token_storage: TokenStorage,
    /// Whether the host is asked about tokens that are not in the table.
    asks_host: bool,
    token: Option<Secret>,
    commands: Vec<String>,
    index: Index,
    /// Sessions that get every message.
    taps: Vec<SessionId>,
    /// The session of the cluster's node, and the others.
    link: Option<SessionId>,
    others: Others,
    directory: Option<Arc<Directory>>,
    is_guarded: bool,
    is_numbered: bool,
    slots: Vec<Slot>,
    free: Vec<u32>,
    connected: usize,
    connected_total: u64,
    table: TokenTable,
    holders: HashMap<Box<str>, Holders, FixedState>,
    /// When tokens end that sessions go by, in seconds since 1970.
    ends: Ends,
    /// The time that the host told last, in seconds since 1970.
    now: u64,
    /// Changes of tokens that are not fully applied yet, oldest first.
    revocations: VecDeque<Revocation>,
    /// Whether the host is asked to go on with them.
    is_scheduled: bool,
    outputs: VecDeque<Output>,
    scratch: Scratch,
    scan: Scan,
}

/// Shows the figures only: the rest is secrets, or texts of clients.
impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Broker").field(&self.stats()).finish()
    }
}

/// How many subscriptions are removed at a time when a session goes, so that others get the broker in between.
const REMOVE_AT_ONCE: usize = 64;

impl Broker {
    /// Creates a broker. `seed` should be random where clients are not trusted: they choose the tags that are hashed.
    #[must_use]
    pub fn new(config: Config, seed: u64) -> Self {
        let mut index = match config.is_numbered {
            true => Index::numbered(seed),
            false => Index::new(seed),
        };
        if let Some(turn) = config.turn.filter(|_| !config.is_numbered) {
            index.set_most(turn);
        }
        Self {
            limits: config.limits,
            access: config.access,
            token_storage: config.token_storage,
            asks_host: config.has_verifiers || config.token_storage == TokenStorage::Host,
            token: config
                .token
                .filter(|token| !token.is_empty())
                .map(|token| Secret(token.into())),
            commands: config.commands,
            index,
            is_guarded: config.is_guarded,
            is_numbered: config.is_numbered,
            taps: Vec::new(),
            link: None,
            others: Others::default(),
            directory: None,
            slots: Vec::new(),
            free: Vec::new(),
            connected: 0,
            connected_total: 0,
            table: TokenTable::new(),
            holders: HashMap::with_hasher(FixedState::with_seed(seed)),
            ends: Ends::default(),
            now: 0,
            revocations: VecDeque::new(),
            is_scheduled: false,
            outputs: VecDeque::new(),
            scratch: Scratch::new(),
            scan: Scan::new(),
        }
    }

    /// The limits that the broker enforces.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Who may use the basic commands.
    #[must_use]
    pub fn access(&self) -> Access {
        self.access
    }

    /// Adds the name of a command that the host answers; returns `false` if the broker answers that command itself.
    pub fn add_command(&mut self, name: &str) -> bool {
        let is_free = Command::from_name(name.as_bytes()) == Command::Unknown;
        if is_free && !self.commands.iter().any(|command| command == name) {
            self.commands.push(name.into());
        }
        is_free
    }

    /// Returns figures of the broker.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            sessions: self.connected,
            sessions_total: self.connected_total,
            subscribers: self.index.subscribers(),
            subscriptions: self.index.subscriptions(),
            subscription_bytes: self.index.bytes(),
        }
    }

    /// Opens a session. A token presented here is treated as an `auth` sent first.
    pub fn connect(&mut self, credentials: Credentials<'_>) -> SessionId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() as u32 - 1
        });
        let entry = &mut self.slots[slot as usize];
        entry.session = Some(Session::default());
        let session = SessionId {
            slot,
            generation: entry.generation,
        };
        self.connected += 1;
        self.connected_total += 1;
        if let Some(token) = credentials.token {
            self.log_in(session, token, None, false);
        }
        session
    }

    /// Closes a session and removes its subscriptions. Nothing is delivered to it afterwards.
    pub fn disconnect(&mut self, session: SessionId) {
        while !self.disconnect_some(session) {}
    }

    /// Does a bounded part of [`Broker::disconnect`]; returns whether it is done.
    ///
    /// A host that shares the broker lets others have it between the calls.
    pub fn disconnect_some(&mut self, session: SessionId) -> bool {
        let Some(state) = self.session_mut(session) else {
            return true;
        };
        state.phase = Phase::Closing;
        self.taps.retain(|tap| *tap != session);
        if self.link == Some(session) {
            self.link = None;
            self.connected += 1;
        }
        if !self.index.remove_some(session.slot, REMOVE_AT_ONCE) {
            return false;
        }
        let entry = &mut self.slots[session.slot()];
        if let Some(Session { role, question, .. }) = entry.session.take() {
            self.let_go(role);
            if let Some(About::Login { token, .. }) = question.map(|question| question.about) {
                self.note_answered(&token);
            }
        }
        let entry = &mut self.slots[session.slot()];
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(session.slot);
        self.connected -= 1;
        true
    }

    /// Takes the next output, oldest first. Outputs for a session that has gone are skipped.
    pub fn poll_output(&mut self) -> Option<Output> {
        while let Some(output) = self.outputs.pop_front() {
            match output {
                Output::Send { session, .. }
                | Output::Close { session, .. }
                | Output::TokenPresented { session }
                | Output::TokenChecked { session, .. }
                | Output::Revoked { session }
                | Output::ListTokens { session, .. }
                | Output::SubjectChanged { session }
                | Output::Custom { session, .. } => {
                    if self.session(session).is_some() {
                        return Some(output);
                    }
                }
                Output::Deliver {
                    publisher,
                    mut targets,
                    sets,
                    message,
                    receipt,
                } => {
                    targets.retain(|&target| self.session(target).is_some());
                    return Some(Output::Deliver {
                        publisher,
                        targets,
                        sets,
                        message,
                        receipt,
                    });
                }
                // A change to the token store is carried out even for a session that has gone.
                Output::Ask { .. } | Output::Proceed => return Some(output),
            }
        }
        None
    }

    fn session(&self, session: SessionId) -> Option<&Session> {
        let slot = self.slots.get(session.slot())?;
        slot.session
            .as_ref()
            .filter(|_| slot.generation == session.generation)
    }

    fn session_mut(&mut self, session: SessionId) -> Option<&mut Session> {
        let slot = self.slots.get_mut(session.slot())?;
        slot.session
            .as_mut()
            .filter(|_| slot.generation == session.generation)
    }

    fn ids_of(&self, slots: &[u32]) -> Vec<SessionId> {
        let id = |&slot: &u32| SessionId {
            slot,
            generation: self.slots[slot as usize].generation,
        };
        slots.iter().map(id).collect()
    }
}
