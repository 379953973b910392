//! From the bytes of a session to messages; and the errors for bytes that are none, or that do not come in time.

use super::Broker;
use super::output::{DisconnectReason, Long, Output};
use super::session::{Phase, SessionId};
#[cfg(doc)]
use crate::limits::Limits;
use crate::message::{Messages, ScanError, Unreadable, not_authenticated, too_many_bad_messages};

impl Broker {
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
                Some(Ok(message)) => match self.handle(session, &message) {
                    None => {}
                    Some(Long::Listing(mut listing)) => {
                        while !self.list_some(&mut listing) {}
                        self.send(session, listing.encode());
                    }
                    // Only a host that has a node can have others.
                    Some(Long::Nodes(query)) => {
                        let answer = query.encode(&[], &[]);
                        self.send(session, answer);
                    }
                    Some(Long::Publish(walk)) => self.publish_whole(session, *walk),
                },
                Some(Err(unreadable)) => self.handle_unreadable(session, &unreadable),
                None => break,
            }
        }
        self.scan = scan;
    }

    /// Handles a message that grew past the size limit before its end was seen: answers it and closes the session.
    pub fn handle_too_long(&mut self, session: SessionId, bytes: usize) {
        let mut scan = core::mem::take(&mut self.scan);
        let unreadable = Unreadable {
            message: scan.cleared(),
            error: ScanError::too_long(bytes),
        };
        self.handle_unreadable(session, &unreadable);
        self.scan = scan;
    }

    /// Handles a message that could not be parsed: answers it, and closes the session after too many in a row, or at once
    /// if reading on would do harm.
    pub fn handle_unreadable(&mut self, session: SessionId, unreadable: &Unreadable<'_>) {
        let limit = self.limits.bad_messages;
        let Some(state) = self.session_mut(session) else {
            return;
        };
        let bad_in_row = match state.phase {
            Phase::Closing => return,
            Phase::Failing(count) => count.saturating_add(1),
            Phase::New | Phase::Settled => 1,
        };
        let reason = if unreadable.error.is_too_long() {
            Some(DisconnectReason::MessageTooLarge)
        } else if unreadable.error.is_http() {
            Some(DisconnectReason::HttpRequest)
        } else if bad_in_row >= limit {
            Some(DisconnectReason::BadMessages)
        } else {
            None
        };
        state.phase = match reason {
            Some(_) => Phase::Closing,
            None => Phase::Failing(bad_in_row),
        };
        let (command, id) = (
            unreadable.message.command_name(),
            unreadable.message.id_literal(),
        );
        let is_early = self.needs_token(session);
        let error = unreadable.error.to_error(&self.limits, is_early);
        self.send_error(session, &command, &error, id);
        if reason == Some(DisconnectReason::BadMessages) {
            self.send_error(session, "", &too_many_bad_messages(limit), None);
        }
        if let Some(reason) = reason {
            self.outputs.push_back(Output::Close { session, reason });
        }
    }

    /// Handles the deadline to authenticate. If the session must authenticate, has not, and no token of its own is being
    /// checked, tells it and closes it.
    pub fn handle_unauthenticated(&mut self, session: SessionId) {
        let needs_token = self.needs_token(session);
        let seconds = self.limits.authentication_seconds as usize;
        let Some(state) = self.session_mut(session) else {
            return;
        };
        if !needs_token || state.is_closing() || state.question.is_some() {
            return;
        }
        state.phase = Phase::Closing;
        self.send_error(session, "auth", &not_authenticated(seconds), None);
        let reason = DisconnectReason::Unauthenticated;
        self.outputs.push_back(Output::Close { session, reason });
    }

    /// Whether the session still has to authenticate, so that [`Limits::before_authentication`] apply to it.
    #[must_use]
    pub fn needs_token(&self, session: SessionId) -> bool {
        let state = self.session(session);
        state.is_some_and(|state| self.check_state(state).is_err())
    }
}
