//! Sessions of the host that get every message.

use alloc::vec::Vec;

use super::Broker;
use super::config::Credentials;
use super::session::{Role, SessionId};

impl Broker {
    /// Opens a session of the host itself that gets every message but its own, whatever tags it has, in the order in
    /// which messages are decided; and each once, whatever it subscribes to. It need not authenticate.
    pub fn connect_tap(&mut self) -> SessionId {
        let session = self.connect(Credentials::default());
        if let Some(state) = self.session_mut(session) {
            state.role = Role::Admin;
        }
        self.taps.push(session);
        session
    }

    /// Whether a session is one of the host's own.
    #[must_use]
    pub fn is_tap(&self, session: SessionId) -> bool {
        self.taps.contains(&session)
    }

    /// Adds those who get every message to those who get one; in front, since a receiver that is served may publish an
    /// answer at once, which a tap must not see first.
    #[inline]
    pub(super) fn add_taps(&self, publisher: Option<SessionId>, targets: &mut Vec<u32>) {
        for &tap in &self.taps {
            if Some(tap) == publisher {
                continue;
            }
            // Where it has subscribed as well.
            targets.retain(|target| *target != tap.slot);
            targets.insert(0, tap.slot);
        }
    }
}
