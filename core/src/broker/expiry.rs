//! What ends with time: the host tells the time, and sessions lose what has ended, a part at a time.

use alloc::string::String;
use alloc::vec::Vec;

use super::Broker;
use super::output::Output;
use super::revocation::Revocation;
use super::session::{Role, SessionId};
use crate::auth::Grants;
use crate::message::{Data, Refusal, Reply};

/// How many sessions are told in one part, after which others get the broker.
const PART: usize = 256;

impl Broker {
    /// Takes the time, in seconds since 1970. Sessions whose token has expired by then get a notice, lose their grants
    /// and subscriptions, and may authenticate again.
    ///
    /// A host says it when it starts and then about once a second, or only before it hands over messages and when
    /// [`Broker::next_expiry`] has come. Until it is first told the time, nothing ends.
    pub fn handle_time(&mut self, now: u64) {
        self.now = now;
        self.expire_some();
        self.schedule();
    }

    /// When the next token ends that a session goes by, in seconds since 1970.
    #[must_use]
    pub fn next_expiry(&self) -> Option<u64> {
        self.ends.first().map(|(end, _)| end)
    }

    pub(super) fn is_expiry_due(&self) -> bool {
        self.next_expiry().is_some_and(|end| end <= self.now)
    }

    /// Revokes expired tokens, in some of the sessions that use them.
    pub(super) fn expire_some(&mut self) {
        let _ = (0..PART).all(|_| self.table.forget_one(self.now));
        let mut ended = Vec::new();
        while ended.len() < PART
            && let Some((end, token)) = self.ends.first().filter(|(end, _)| *end <= self.now)
        {
            let token = String::from(token);
            let Some(holders) = self.holders.get_mut(&*token) else {
                self.ends.remove(end, &token);
                continue;
            };
            let left = holders.sessions.len().saturating_sub(PART - ended.len());
            ended.append(&mut holders.sessions.split_off(left));
            if left == 0 {
                self.set_grants(&token, Grants::default());
                self.forget_unused(&token);
            }
        }
        for &session in &ended {
            self.take_token(session);
            let error = Refusal::TokenExpired.to_error();
            self.send_error(session, "auth", &error, None);
        }
        self.begin(Revocation::expiry(ended));
    }

    /// Makes a session one that has not authenticated yet; it may do so again.
    pub(super) fn take_token(&mut self, session: SessionId) {
        if let Some(state) = self.session_mut(session) {
            state.role = Role::Revoked;
            self.outputs.push_back(Output::Revoked { session });
        }
    }

    /// Notes what a token grants that sessions go by, or are about to.
    pub(super) fn set_grants(&mut self, token: &str, grants: Grants) {
        let Some(holders) = self.holders.get_mut(token) else {
            return;
        };
        let end = grants.expires_at;
        let former = core::mem::replace(&mut holders.grants, grants);
        if former.subject != holders.grants.subject {
            let changed = |&session: &SessionId| Output::SubjectChanged { session };
            self.outputs.extend(holders.sessions.iter().map(changed));
        }
        self.move_end(token, former.expires_at, end);
    }

    /// Keeps the order in which tokens end.
    pub(super) fn move_end(&mut self, token: &str, from: Option<u64>, to: Option<u64>) {
        if from == to {
            return;
        }
        if let Some(end) = from {
            self.ends.remove(end, token);
        }
        if let Some(end) = to {
            self.ends.insert(end, token);
        }
    }

    /// Answers a login, if its sender asked to know, and says how long it holds.
    pub(super) fn acknowledge_login(&mut self, session: SessionId, id: Option<&str>) {
        if id.is_none() {
            return;
        }
        let end = match self.session(session).map(|state| &state.role) {
            Some(Role::Token { token, .. }) => self.grants_of(token).expires_at,
            _ => None,
        };
        let count = self.expires_in(end);
        let reply = Reply {
            command: "auth",
            data: Data::Text("success"),
            counts: count.as_slice(),
            id,
            ..Reply::default()
        };
        self.send(session, reply.encode());
    }

    /// The field that says in how many seconds something ends.
    pub(super) fn expires_in(&self, end: Option<u64>) -> Option<(&'static str, u64)> {
        end.map(|end| ("expires_in", end.saturating_sub(self.now)))
    }
}
