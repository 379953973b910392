//! Owns all sessions and subscriptions and decides what every message does; performs nothing itself.
//!
//! Inputs are method calls, outputs are taken out with [`Broker::poll_output`]. The commands are in these files:
//! `basic` for everybody's, `listing` for those with long answers, `admin` for tokens, `revocation` for what a change of a
//! token means; `numbers` is for hosts that know tags by number.

mod admin;
mod basic;
mod listing;
mod numbers;
mod revocation;
#[cfg(test)]
mod tests;

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

pub use self::listing::Listing;
use self::revocation::Revocation;
use crate::auth::{Access, AuthRequest, Authenticator, Grants, Secret, TokenTable};
use crate::error::{ErrorCode, Refusal, ServerError, not_authenticated, too_many_bad_messages};
use crate::index::{Index, MatchScratch};
use crate::limits::Limits;
use crate::message::{
    Command, Data, Message, Messages, Reply, Scan, ScanError, Span, Unreadable, write_head,
    write_plain_head, write_rest,
};
use crate::session::{About, Question, Session, SessionId};
use crate::sort::sort;
use crate::text::text;

/// What a broker is to be.
#[derive(Clone, Default)]
pub struct Config {
    /// The bounds.
    pub limits: Limits,
    /// Who may use the basic commands.
    pub access: Access,
    /// The token that makes a session admin. An empty one is none: it would match an `auth` without data.
    pub token: Option<String>,
    /// Where registered tokens are kept.
    pub authenticator: Authenticator,
    /// The names of commands that the host answers.
    pub commands: Vec<String>,
    /// Whether the host says when a token that a client presents is looked at: see [`Output::TokenPresented`].
    pub is_guarded: bool,
    /// Whether the host wants to know tags and tag sets by number: see [`Broker::decide_numbers`].
    pub is_numbered: bool,
}

/// Shows whether there is a token, never which.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("limits", &self.limits)
            .field("access", &self.access)
            .field("token", &self.token.as_ref().map(|_| "…"))
            .field("authenticator", &self.authenticator)
            .field("commands", &self.commands)
            .field("is_guarded", &self.is_guarded)
            .field("is_numbered", &self.is_numbered)
            .finish()
    }
}

/// What a client presents when it connects, before its first message.
#[derive(Clone, Copy, Default)]
pub struct Credentials<'a> {
    /// A token from an HTTP header or query.
    pub token: Option<&'a str>,
}

/// Shows whether there is a token, never which.
impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = self.token.map(|_| "…");
        f.debug_struct("Credentials")
            .field("token", &token)
            .finish()
    }
}

/// What the host is to do, in this order.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output {
    /// Send one message to one session.
    Send {
        /// Whom to.
        session: SessionId,
        /// One JSON object, without a line end.
        message: Vec<u8>,
    },
    /// Send one message to several sessions.
    Deliver {
        /// Whose message it is.
        publisher: SessionId,
        /// Whom to.
        targets: Vec<SessionId>,
        /// The numbers of the tag sets that matched, whoever holds them; none unless [`Config::is_numbered`], and none
        /// without targets.
        sets: Vec<u32>,
        /// One JSON object, without a line end; nothing without targets.
        message: Vec<u8>,
        /// What the publisher is answered, if it asked to be.
        receipt: Option<Receipt>,
    },
    /// Ask the token store, then call [`Broker::handle_auth_reply`] with the same request.
    ///
    /// Until then the host reads no further from the session, and carries the request out even if the session goes.
    Ask {
        /// Who asked.
        session: SessionId,
        /// What.
        request: AuthRequest,
    },
    /// Call [`Broker::check_token`] when the time has come, or [`Broker::turn_away`]; until then the host reads no further
    /// from the session. Only where [`Config::is_guarded`].
    TokenPresented {
        /// Who presents a token.
        session: SessionId,
    },
    /// Know how it went. Only where [`Config::is_guarded`].
    TokenChecked {
        /// Who presented a token.
        session: SessionId,
        /// What came of it.
        check: TokenCheck,
    },
    /// The token that a session goes by was taken from it: it has to authenticate again, as one that has just connected.
    Revoked {
        /// Whose.
        session: SessionId,
    },
    /// Call [`Broker::proceed`]: something takes long, such as taking a grant from many sessions. A host that shares the
    /// broker lets others have it before.
    Proceed,
    /// Run a custom command, then call [`Broker::handle_custom_reply`]. Until then the host reads no further.
    Custom {
        /// Who asked.
        session: SessionId,
        /// What.
        request: CustomRequest,
    },
    /// Flush what was sent to the session, then close it.
    Close {
        /// Whom.
        session: SessionId,
        /// Why.
        reason: CloseReason,
    },
}

/// What came of a token that was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenCheck {
    /// The server takes it.
    Valid,
    /// The server does not know it.
    Wrong,
    /// The token store could not say.
    Unknown,
}

/// Why a broker closes a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// Nothing it sent could be read.
    BadMessages,
    /// A message was over the size limit.
    MessageTooLarge,
    /// It sent an HTTP request.
    HttpRequest,
    /// It did not authenticate in time.
    Unauthenticated,
    /// Too many wrong tokens came from where it comes from, so that its own was not looked at.
    TurnedAway,
}

/// A message with a custom command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CustomRequest {
    /// The command's name.
    pub command: String,
    /// The tags in the order they were sent.
    pub tags: Vec<String>,
    /// The data, decoded; empty when absent.
    pub data: String,
}

/// What a custom command answers with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CustomReply {
    /// The answer's tags.
    pub tags: Vec<String>,
    /// The answer's data.
    pub data: String,
}

/// The answer to a publish that carried an `id`, complete but for the number of deliveries.
#[derive(Debug)]
pub struct Receipt {
    session: SessionId,
    tags: Vec<String>,
    id: String,
}

impl Receipt {
    /// Whom the answer goes to.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// Returns the answer, for a message that `delivered` outboxes took.
    #[must_use]
    pub fn reply(&self, delivered: usize) -> Vec<u8> {
        let tags: Vec<_> = self.tags.iter().map(String::as_str).collect();
        Reply {
            command: "publish",
            tags: &tags,
            data: Data::Text("success"),
            delivered: Some(delivered),
            id: Some(&self.id),
            ..Reply::default()
        }
        .encode()
    }
}

/// What [`Broker::decide`] found.
#[derive(Debug)]
pub enum Verdict {
    /// Deliver the message to [`Scratch::targets`]; [`Scratch::write_body`] writes what they get.
    Deliver(Option<Receipt>),
    /// Answer with [`Scratch::reply`].
    Reply,
    /// Gather a long answer with [`Broker::list_some`], let others have the broker in between, and send what
    /// [`Listing::encode`] puts together. Until then read no further from the session.
    Long(Listing),
    /// The message changes the broker: [`Broker::handle`] takes it.
    Exclusive,
}

/// The memory that deciding works in: one per thread, reused, so that publishing allocates nothing.
#[derive(Debug, Default)]
pub struct Scratch {
    matching: MatchScratch,
    /// The tags of a message with escapes in them, one behind the other, and where each stands.
    decoded: String,
    names: Vec<Span>,
    /// The tags of a message that does not go out as it came in, in order, each behind its first bytes.
    sorted: Vec<(u64, Span)>,
    /// What is delivered before the data, unless the message goes out as it came in.
    head: Vec<u8>,
    is_verbatim: bool,
    reply: Vec<u8>,
}

impl Scratch {
    /// Creates an empty scratch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The slots of the sessions to deliver to, in no order.
    #[must_use]
    pub fn targets(&self) -> &[u32] {
        &self.matching.targets
    }

    /// How much the last decision looked at, in tags and tag sets: a measure of the time that others could not have the
    /// broker.
    #[must_use]
    pub fn walked(&self) -> usize {
        self.matching.walked
    }

    /// The answer to the session itself: one JSON object, without a line end.
    #[must_use]
    pub fn reply(&self) -> &[u8] {
        &self.reply
    }

    /// Exchanges [`Scratch::targets`] for another list, which the next decision overwrites.
    pub fn exchange_targets(&mut self, targets: &mut Vec<u32>) {
        core::mem::swap(&mut self.matching.targets, targets);
    }

    /// Whether what is delivered is [`Message::compact`], for the message decided last, or one with the same
    /// [`Message::tags_text`], if it is compact.
    #[must_use]
    #[inline]
    pub fn is_verbatim(&self) -> bool {
        self.is_verbatim
    }

    /// Appends what is delivered to [`Scratch::targets`], if there are any: the message decided last, or one with the same
    /// [`Message::tags_text`].
    #[inline]
    pub fn write_body(&self, message: &Message<'_>, out: &mut Vec<u8>) {
        match message.compact() {
            Some(whole) if self.is_verbatim => out.extend_from_slice(whole.as_bytes()),
            None if self.is_verbatim => {
                write_plain_head(out, message.tags_text());
                write_rest(out, message.data_literal());
            }
            _ => {
                out.extend_from_slice(&self.head);
                write_rest(out, message.data_literal());
            }
        }
    }
}

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
    /// Bytes of memory that they take, roughly.
    pub subscription_bytes: usize,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    session: Option<Session>,
}

/// What there is to know of a registered token that sessions go by, or are about to.
#[derive(Debug, Default)]
struct Holders {
    grants: Grants,
    /// Each knows its place.
    sessions: Vec<SessionId>,
    /// How many sessions the host is asked about.
    asked_about: usize,
    /// Counts changes of the token, so that an answer from before one is known.
    changes: u32,
}

/// The pure state machine. See the crate's documentation for how a host drives it.
pub struct Broker {
    limits: Limits,
    access: Access,
    authenticator: Authenticator,
    token: Option<Secret>,
    commands: Vec<String>,
    index: Index,
    is_guarded: bool,
    is_numbered: bool,
    slots: Vec<Slot>,
    free: Vec<u32>,
    connected: usize,
    connected_total: u64,
    table: TokenTable,
    holders: HashMap<Box<str>, Holders, FixedState>,
    /// What is left to be done for changes of tokens, oldest first.
    revocations: VecDeque<Revocation>,
    outputs: VecDeque<Output>,
    scratch: Scratch,
    scan: Scan,
}

/// Shows the figures: what else there is are secrets, or the words of clients.
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
        Self {
            limits: config.limits,
            access: config.access,
            authenticator: config.authenticator,
            token: config
                .token
                .filter(|token| !token.is_empty())
                .map(|token| Secret(token.into())),
            commands: config.commands,
            index: match config.is_numbered {
                true => Index::numbered(seed),
                false => Index::new(seed),
            },
            is_guarded: config.is_guarded,
            is_numbered: config.is_numbered,
            slots: Vec::new(),
            free: Vec::new(),
            connected: 0,
            connected_total: 0,
            table: TokenTable::new(seed),
            holders: HashMap::with_hasher(FixedState::with_seed(seed)),
            revocations: VecDeque::new(),
            outputs: VecDeque::new(),
            scratch: Scratch::new(),
            scan: Scan::new(),
        }
    }

    /// The bounds the broker works within.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Who may use the basic commands.
    #[must_use]
    pub fn access(&self) -> Access {
        self.access
    }

    /// Adds the name of a command that the host answers; `false` when the broker answers that one itself.
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

    /// Opens a session. A token presented here counts like an `auth` message before the first.
    pub fn connect(&mut self, credentials: Credentials<'_>) -> SessionId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() as u32 - 1
        });
        let place = &mut self.slots[slot as usize];
        place.session = Some(Session::default());
        let session = SessionId {
            slot,
            generation: place.generation,
        };
        self.connected += 1;
        self.connected_total += 1;
        if let Some(token) = credentials.token {
            self.log_in(session, token, None);
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
        state.is_closing = true;
        if !self.index.remove_some(session.slot, REMOVE_AT_ONCE) {
            return false;
        }
        let place = &mut self.slots[session.slot()];
        if let Some(Session { role, question, .. }) = place.session.take() {
            self.let_go(role);
            if let Some(About::Login { token, .. }) = question.map(|question| question.about) {
                self.note_answered(&token);
            }
        }
        let place = &mut self.slots[session.slot()];
        place.generation = place.generation.wrapping_add(1);
        self.free.push(session.slot);
        self.connected -= 1;
        true
    }

    /// Takes the next thing to do, oldest first. What is meant for a session that has gone is passed over.
    pub fn poll_output(&mut self) -> Option<Output> {
        while let Some(output) = self.outputs.pop_front() {
            match output {
                Output::Send { session, .. }
                | Output::Close { session, .. }
                | Output::TokenPresented { session }
                | Output::TokenChecked { session, .. }
                | Output::Revoked { session }
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

    /// Takes one line, one frame, or several lines at once.
    pub fn handle_message(&mut self, session: SessionId, bytes: &[u8]) {
        self.handle_messages(session, Messages::lines(bytes));
    }

    /// Takes one frame of a transport that keeps messages apart; line ends in it are blanks.
    pub fn handle_frame(&mut self, session: SessionId, bytes: &[u8]) {
        self.handle_messages(session, Messages::frame(bytes));
    }

    fn handle_messages(&mut self, session: SessionId, mut messages: Messages<'_>) {
        let mut scan = core::mem::take(&mut self.scan);
        let (all, early) = (self.limits.clone(), self.limits.before_authentication());
        loop {
            if let Some(question) = self.question_mut(session) {
                messages.append_rest(&mut question.backlog);
                break;
            }
            let limits = match self.needs_token(session) {
                true => &early,
                false => &all,
            };
            match messages.next(&mut scan, limits) {
                Some(Ok(message)) => {
                    if let Some(mut listing) = self.handle(session, &message) {
                        while !self.list_some(&mut listing) {}
                        self.send(session, listing.encode());
                    }
                }
                Some(Err(unreadable)) => self.handle_unreadable(session, &unreadable),
                None => break,
            }
        }
        self.scan = scan;
    }

    /// Decides a message that changes nothing, so that many threads may ask at once.
    ///
    /// Publishes and questions of a session whose first message has come are of this kind; any other message yields
    /// [`Verdict::Exclusive`].
    #[inline]
    pub fn decide(
        &self,
        session: SessionId,
        message: &Message<'_>,
        scratch: &mut Scratch,
    ) -> Verdict {
        // What is not looked at costs nothing, whatever this was used for before.
        scratch.matching.walked = 0;
        let has_id = message.id_literal().is_some();
        match self.session(session) {
            Some(state) if state.is_settled(has_id) => match message.command() {
                Command::Publish => self.publish(session, state, message, scratch),
                Command::Ping => {
                    Self::pong(message, scratch);
                    Verdict::Reply
                }
                Command::List | Command::ListAll => {
                    self.begin_listing(session, state, message, scratch)
                }
                Command::Who => {
                    self.who(state, message, scratch);
                    Verdict::Reply
                }
                _ => Verdict::Exclusive,
            },
            _ => Verdict::Exclusive,
        }
    }

    /// Takes one message, whatever it asks for. Returns a long answer that is still to be gathered: see [`Verdict::Long`].
    #[must_use]
    pub fn handle(&mut self, session: SessionId, message: &Message<'_>) -> Option<Listing> {
        let state = self.session_mut(session)?;
        if state.is_closing {
            return None;
        }
        let is_first = !state.has_spoken;
        state.has_spoken = true;
        state.bad_in_row = 0;
        state.uses_ids |= message.id_literal().is_some();
        let mut scratch = core::mem::take(&mut self.scratch);
        let mut long = None;
        match self.decide(session, message, &mut scratch) {
            Verdict::Deliver(receipt) => {
                let (mut body, mut sets) = (Vec::new(), Vec::new());
                if !scratch.targets().is_empty() {
                    scratch.write_body(message, &mut body);
                    if self.is_numbered {
                        sets.extend(scratch.sets());
                    }
                }
                self.outputs.push_back(Output::Deliver {
                    publisher: session,
                    targets: self.ids_of(scratch.targets()),
                    sets,
                    message: body,
                    receipt,
                });
            }
            Verdict::Reply => self.send(session, scratch.reply.clone()),
            Verdict::Long(listing) => long = Some(listing),
            Verdict::Exclusive => {
                if let Err(refusal) = self.execute(session, is_first, message) {
                    self.refuse(session, message, &refusal);
                }
            }
        }
        self.scratch = scratch;
        long
    }

    /// Takes the news that a message grew past the size limit before its end was seen: answers it and closes the session.
    pub fn handle_too_long(&mut self, session: SessionId, bytes: usize) {
        let mut scan = core::mem::take(&mut self.scan);
        let unreadable = Unreadable {
            message: scan.cleared(),
            error: ScanError::too_long(bytes),
        };
        self.handle_unreadable(session, &unreadable);
        self.scan = scan;
    }

    /// Takes a message that could not be read: answers it, and closes the session after too many in a row, or at once
    /// where reading on would do harm.
    pub fn handle_unreadable(&mut self, session: SessionId, unreadable: &Unreadable<'_>) {
        let limit = self.limits.bad_messages;
        let Some(state) = self.session_mut(session) else {
            return;
        };
        if state.is_closing {
            return;
        }
        state.has_spoken = true;
        state.bad_in_row = state.bad_in_row.saturating_add(1);
        let reason = if unreadable.error.is_too_long() {
            Some(CloseReason::MessageTooLarge)
        } else if unreadable.error.is_http() {
            Some(CloseReason::HttpRequest)
        } else if state.bad_in_row >= limit {
            Some(CloseReason::BadMessages)
        } else {
            None
        };
        state.is_closing = reason.is_some();
        let (command, id) = (
            unreadable.message.command_name(),
            unreadable.message.id_literal(),
        );
        let is_early = self.needs_token(session);
        let error = unreadable.error.told(&self.limits, is_early);
        self.send_error(session, &command, &error, id);
        if reason == Some(CloseReason::BadMessages) {
            self.send_error(session, "", &too_many_bad_messages(limit), None);
        }
        if let Some(reason) = reason {
            self.outputs.push_back(Output::Close { session, reason });
        }
    }

    /// Takes the news that the time to authenticate is over: if the session has to and has not, nor is it being looked
    /// at, it is told so and closed.
    pub fn handle_unauthenticated(&mut self, session: SessionId) {
        let needs_token = self.needs_token(session);
        let seconds = self.limits.authentication_seconds as usize;
        let Some(state) = self.session_mut(session) else {
            return;
        };
        if !needs_token || state.is_closing || state.question.is_some() {
            return;
        }
        state.is_closing = true;
        self.send_error(session, "auth", &not_authenticated(seconds), None);
        let reason = CloseReason::Unauthenticated;
        self.outputs.push_back(Output::Close { session, reason });
    }

    /// Whether the session still has to authenticate, so that [`Limits::before_authentication`] hold for it.
    #[must_use]
    pub fn needs_token(&self, session: SessionId) -> bool {
        let state = self.session(session);
        self.access == Access::Scoped && state.is_some_and(|state| !state.is_admitted)
    }

    /// Finds who gets a message that the host itself publishes. Then as with [`Verdict::Deliver`].
    pub fn route(&self, tags: &[&str], data: &str, scratch: &mut Scratch, body: &mut Vec<u8>) {
        let mut sorted = tags.to_vec();
        sort(&mut sorted);
        sorted.dedup();
        let names = sorted.iter().map(|tag| tag.as_bytes());
        self.index.matches(names, None, &mut scratch.matching);
        scratch.is_verbatim = false;
        restart(&mut scratch.head);
        write_head(&mut scratch.head, sorted.iter().copied());
        let mut literal = Vec::new();
        crate::message::write_string(&mut literal, data);
        let literal = core::str::from_utf8(&literal)
            .ok()
            .filter(|_| !data.is_empty());
        body.extend_from_slice(&scratch.head);
        write_rest(body, literal);
    }

    /// Answers [`Output::Custom`]: with nothing, a message, or an error's text.
    pub fn handle_custom_reply(
        &mut self,
        session: SessionId,
        reply: Result<Option<CustomReply>, String>,
    ) {
        let Some(question) = self.answer(session) else {
            return;
        };
        let id = question.id.as_deref();
        match reply {
            Ok(None) => self.acknowledge(session, &question.command, &[], id),
            Ok(Some(reply)) => {
                let tags: Vec<_> = reply.tags.iter().map(String::as_str).collect();
                let message = Reply {
                    command: &question.command,
                    tags: &tags,
                    data: Data::Text(&reply.data),
                    id,
                    ..Reply::default()
                };
                self.send(session, message.encode());
            }
            Err(text) => {
                let error = ServerError::new(ErrorCode::Refused, text);
                self.send_error(session, &question.command, &error, id);
            }
        }
        self.handle_backlog(session, &question);
    }

    /// Whether the session waits for an answer from the host, so that nothing more should be read from it.
    #[must_use]
    pub fn is_waiting(&self, session: SessionId) -> bool {
        self.session(session)
            .is_some_and(|state| state.question.is_some())
    }

    /// Whether the session ever sent an `id`: only such clients are told of dropped messages, since older ones would
    /// not know what that means.
    #[must_use]
    pub fn uses_ids(&self, session: SessionId) -> bool {
        self.session(session).is_some_and(|state| state.uses_ids)
    }

    fn execute(
        &mut self,
        session: SessionId,
        is_first: bool,
        message: &Message<'_>,
    ) -> Result<(), Refusal> {
        let command = message.command();
        match command {
            // Whose token was revoked may show another.
            Command::Auth if !is_first && !self.was_revoked(session) => {
                return Err(Refusal::AuthNotFirst);
            }
            Command::Auth => {
                let token = message.data().unwrap_or_default();
                self.log_in(session, &token, message.id_literal());
                return Ok(());
            }
            _ => {}
        }
        self.check_access(session)?;
        match command {
            Command::Subscribe => self.subscribe(session, message),
            Command::Unsubscribe => self.unsubscribe(session, message),
            _ if command.is_admin() => self.administer(session, message),
            _ => self.custom(session, message),
        }
    }

    fn custom(&mut self, session: SessionId, message: &Message<'_>) -> Result<(), Refusal> {
        let name = message.command_name();
        if !self.commands.iter().any(|command| *command == name) {
            return Err(Refusal::Unknown);
        }
        let tags = self.checked_tags(message)?;
        let request = CustomRequest {
            command: name.into_owned(),
            tags: tags.into_iter().map(Cow::into_owned).collect(),
            data: message.data().unwrap_or_default().into_owned(),
        };
        self.ask(
            session,
            &request.command,
            message.id_literal(),
            About::Custom,
        );
        self.outputs.push_back(Output::Custom { session, request });
        Ok(())
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

    fn question_mut(&mut self, session: SessionId) -> Option<&mut Question> {
        self.session_mut(session)?.question.as_deref_mut()
    }

    /// Notes that the session waits.
    fn ask(&mut self, session: SessionId, command: &str, id: Option<&str>, about: About) {
        if let Some(state) = self.session_mut(session) {
            state.question = Some(Box::new(Question {
                command: command.into(),
                id: id.map(String::from),
                about,
                backlog: Vec::new(),
            }));
        }
    }

    /// Ends the session's waiting.
    fn answer(&mut self, session: SessionId) -> Option<Box<Question>> {
        self.session_mut(session)?.question.take()
    }

    fn handle_backlog(&mut self, session: SessionId, question: &Question) {
        if !question.backlog.is_empty() {
            self.handle_message(session, &question.backlog);
        }
    }

    fn send(&mut self, session: SessionId, message: Vec<u8>) {
        self.outputs.push_back(Output::Send { session, message });
    }

    fn send_error(
        &mut self,
        session: SessionId,
        command: &str,
        error: &ServerError,
        id: Option<&str>,
    ) {
        let reply = Reply {
            command,
            error: Some(error),
            id,
            ..Reply::default()
        };
        self.send(session, reply.encode());
    }

    /// Answers a command that succeeded silently, if its sender asked to know.
    fn acknowledge(&mut self, session: SessionId, command: &str, tags: &[&str], id: Option<&str>) {
        if id.is_some() {
            let reply = Reply {
                command,
                tags,
                data: Data::Text("success"),
                id,
                ..Reply::default()
            };
            self.send(session, reply.encode());
        }
    }

    fn refuse(&mut self, session: SessionId, message: &Message<'_>, refusal: &Refusal) {
        let mut reply = Vec::new();
        write_refusal(message, refusal, &mut reply);
        self.send(session, reply);
    }
}

/// Returns what a client is told at the place where `count` messages for it were dropped.
#[must_use]
pub fn dropped_notice(count: u64) -> Vec<u8> {
    let reply = Reply {
        command: "dropped",
        data: Data::Text(&text![count]),
        ..Reply::default()
    };
    reply.encode()
}

/// Returns what a client is told that is not let in, since `limit` connections are open.
#[must_use]
pub fn too_many_connections(limit: usize) -> Vec<u8> {
    let reply = Reply {
        error: Some(&crate::error::too_many_connections(limit)),
        ..Reply::default()
    };
    reply.encode()
}

/// Returns what a client is told that is closed, since all connections together have sent more than `limit` bytes of
/// messages that are not whole.
#[must_use]
pub fn input_full(limit: usize) -> Vec<u8> {
    let reply = Reply {
        error: Some(&crate::error::input_full(limit)),
        ..Reply::default()
    };
    reply.encode()
}

/// Returns what a client is told that is not let in, since its address has `limit` connections.
#[must_use]
pub fn too_many_of_address(limit: usize) -> Vec<u8> {
    let reply = Reply {
        error: Some(&crate::error::too_many_of_address(limit)),
        ..Reply::default()
    };
    reply.encode()
}

/// Returns what a client is told that talks in plain text to a listener that encrypts.
#[must_use]
pub fn tls_required() -> Vec<u8> {
    let reply = Reply {
        error: Some(&crate::error::tls_required()),
        ..Reply::default()
    };
    reply.encode()
}

/// Empties a buffer that is used again, and gives memory back that only an uncommonly large message needed.
fn restart(buffer: &mut Vec<u8>) {
    const KEPT: usize = 64 << 10;
    buffer.clear();
    buffer.shrink_to(KEPT);
}

/// Longer texts are not repeated in an answer.
const ECHO_BYTES: usize = 64 << 10;

/// The tags of a message as an answer repeats them.
fn echoed_tags<'a>(message: &Message<'a>) -> impl Iterator<Item = Cow<'a, str>> {
    let is_short = message.tags_text().len() <= ECHO_BYTES;
    message.tags().take(if is_short { usize::MAX } else { 0 })
}

/// Writes the answer to a command that was refused. It repeats the tags, and the data of an unknown command, as the
/// original does; never the data of a command whose data is a token, nor more tags than are allowed.
fn write_refusal(message: &Message<'_>, refusal: &Refusal, out: &mut Vec<u8>) {
    let tags: Vec<_> = match refusal {
        Refusal::Exceeded(_) => Vec::new(),
        _ => echoed_tags(message).collect(),
    };
    let tags: Vec<_> = tags.iter().map(|tag| &**tag).collect();
    let data = match refusal {
        Refusal::Unknown if !message.command().is_admin() => message.data_literal(),
        _ => None,
    };
    let data = data.filter(|data| data.len() <= ECHO_BYTES);
    Reply {
        command: &message.command_name(),
        tags: &tags,
        data: data.map_or(Data::None, Data::Literal),
        error: Some(&refusal.told()),
        id: message.id_literal(),
        ..Reply::default()
    }
    .write(out);
}
