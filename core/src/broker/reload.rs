//! What a host may change while the broker runs.

use alloc::vec::Vec;

use super::Broker;
use super::output::Output;
use super::revocation::Revocation;
use super::session::{Role, SessionId};
use crate::auth::Secret;
use crate::limits::Limits;

impl Broker {
    /// Puts other limits in force. What is over one of them already stays; it only grows no more.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Exchanges the token that makes a session admin; an empty one is none. Where it is another than before, sessions
    /// that presented the former one are treated as if it was revoked.
    pub fn set_token(&mut self, token: Option<&str>) {
        let token = token.filter(|token| !token.is_empty());
        let is_same = match (&self.token, token) {
            (Some(secret), Some(token)) => secret.is(token),
            (one, other) => one.is_none() && other.is_none(),
        };
        if is_same {
            return;
        }
        self.token = token.map(|token| Secret(token.into()));
        let mut admins = Vec::new();
        for (slot, entry) in self.slots.iter_mut().enumerate() {
            let session = SessionId {
                slot: slot as u32,
                generation: entry.generation,
            };
            // The host's own have shown no token.
            if let Some(state) = &mut entry.session
                && matches!(state.role, Role::Admin)
                && self.link != Some(session)
                && !self.taps.contains(&session)
            {
                state.role = Role::Revoked;
                admins.push(session);
            }
        }
        let revoked = |&session: &SessionId| Output::Revoked { session };
        self.outputs.extend(admins.iter().map(revoked));
        self.begin(Revocation::taking(admins));
    }
}
