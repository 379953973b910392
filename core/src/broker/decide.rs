//! What one message does: decided where it changes nothing, carried out where it does.

use alloc::string::String;
use alloc::vec::Vec;

use super::Broker;
use super::output::{Long, Output, Verdict};
use super::receipt::Receipt;
use super::scratch::{Scratch, restart};
use super::session::{Phase, SessionId};
use super::walk::Walk;
use crate::message::{Command, Message, Refusal, write_head, write_refusal, write_rest};
use crate::sort::sort;

impl Broker {
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
        match self.session(session) {
            Some(state) if state.is_settled() => match message.command() {
                Command::Publish => self.publish(session, state, message, scratch),
                Command::Ping => {
                    Self::pong(message, scratch);
                    Verdict::Reply
                }
                Command::List | Command::ListAll => {
                    self.begin_listing(session, state, message, scratch)
                }
                Command::Nodes => match self.begin_nodes(session, state, message) {
                    Ok(long) => Verdict::Long(long),
                    Err(refusal) => {
                        restart(&mut scratch.reply);
                        write_refusal(message, &refusal, &mut scratch.reply);
                        Verdict::Reply
                    }
                },
                Command::Who => {
                    self.who(state, message, scratch);
                    Verdict::Reply
                }
                _ => Verdict::Exclusive,
            },
            _ => Verdict::Exclusive,
        }
    }

    /// Takes one message, whatever it asks for. Returns what is still to be done: see [`Verdict::Long`].
    #[must_use]
    pub fn handle(&mut self, session: SessionId, message: &Message<'_>) -> Option<Long> {
        let state = self.session_mut(session)?;
        if state.is_closing() {
            return None;
        }
        let is_first = state.phase == Phase::New;
        state.phase = Phase::Settled;
        let mut scratch = core::mem::take(&mut self.scratch);
        let mut long = None;
        match self.decide(session, message, &mut scratch) {
            Verdict::Deliver(receipt) => {
                let (mut body, mut sets) = (Vec::new(), Vec::new());
                let is_for_cluster = receipt.as_ref().is_some_and(Receipt::is_for_cluster);
                if !scratch.targets().is_empty() || is_for_cluster {
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
            Verdict::Long(found) => long = Some(found),
            Verdict::Exclusive => {
                if let Err(refusal) = self.execute(session, is_first, message) {
                    self.refuse(session, message, &refusal);
                }
            }
        }
        self.scratch = scratch;
        long
    }

    /// Finds the receivers of a message that the host itself publishes. If it returns `None`, continue as with
    /// [`Verdict::Deliver`]; otherwise as with [`Long::Publish`], and nothing is written.
    #[must_use]
    pub fn route(
        &self,
        tags: &[&str],
        data: &str,
        scratch: &mut Scratch,
        body: &mut Vec<u8>,
    ) -> Option<Walk> {
        let mut sorted = tags.to_vec();
        sort(&mut sorted);
        sorted.dedup();
        let names = sorted.iter().map(|tag| tag.as_bytes());
        let matching = &mut scratch.matching;
        self.index.matches(names.clone(), None, matching);
        self.add_taps(None, &mut matching.targets);
        self.add_link(None, names, &mut matching.targets);
        scratch.is_verbatim = false;
        restart(&mut scratch.head);
        write_head(&mut scratch.head, sorted.iter().copied());
        let mut literal = Vec::new();
        crate::message::write_string(&mut literal, data);
        let literal = core::str::from_utf8(&literal)
            .ok()
            .filter(|_| !data.is_empty());
        if !self.index.is_whole(&scratch.matching) {
            let tags = sorted.into_iter().map(String::from).collect();
            return Some(self.begin_walk(None, tags, literal, None));
        }
        body.extend_from_slice(&scratch.head);
        write_rest(body, literal);
        None
    }

    fn execute(
        &mut self,
        session: SessionId,
        is_first: bool,
        message: &Message<'_>,
    ) -> Result<(), Refusal> {
        let command = message.command();
        if command == Command::Auth {
            let is_later = match is_first {
                true => false,
                false => self.later_login(session).ok_or(Refusal::AuthNotFirst)?,
            };
            let token = message.data().unwrap_or_default();
            self.log_in(session, &token, message.id_literal(), is_later);
            return Ok(());
        }
        self.check_access(session)?;
        match command {
            Command::Subscribe => self.subscribe(session, message),
            Command::Unsubscribe => self.unsubscribe(session, message),
            _ if command.is_admin() => self.administer(session, message),
            _ => self.custom(session, message),
        }
    }
}
