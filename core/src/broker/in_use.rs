//! The subjects of sessions, and the tokens that they use, for a host that has to ask about these again.

use alloc::string::String;
use core::ops::ControlFlow;

use super::Broker;
use super::session::{About, Role, Session, SessionId, Standing};
use crate::auth::Grants;

/// Sessions that are looked at before others get the broker.
const PART: usize = 512;

impl Broker {
    /// Returns a session's standing. Under open access the tokens of sessions are not kept, so a session with a token
    /// is a stranger, unless it was the server's.
    #[must_use]
    pub fn standing(&self, session: SessionId) -> Standing<'_> {
        match self.session(session).map(|state| &state.role) {
            Some(Role::Admin) => Standing::Server,
            Some(Role::Token { token, .. }) => Standing::Subject(&self.grants_of(token).subject),
            Some(Role::Anonymous | Role::Revoked) | None => Standing::Stranger,
        }
    }

    /// Reports the tokens that sessions use, each with its grants, and those that are being looked up, without. It
    /// visits a bounded number of sessions from the place `from` on, and returns where to go on; [`ControlFlow::Break`]
    /// at the end. A token of several sessions is reported several times.
    ///
    /// A host that shares the broker lets others have it between the calls. Sessions that come meanwhile may be passed
    /// over: what their tokens grant has just been asked, or is asked after this.
    pub fn tokens_in_use(
        &self,
        from: usize,
        mut tell: impl FnMut(&str, Option<&Grants>),
    ) -> ControlFlow<(), usize> {
        let places = self.slots.iter().skip(from);
        for session in places.take(PART).filter_map(|slot| slot.session.as_ref()) {
            if let Role::Token { token, .. } = &session.role {
                tell(token, Some(self.grants_of(token)));
            }
            if let Some(token) = looked_up(session) {
                tell(token, None);
            }
        }
        let next = from + PART;
        match next < self.slots.len() {
            true => ControlFlow::Continue(next),
            false => ControlFlow::Break(()),
        }
    }
}

/// The token that the host is asked about for a session.
fn looked_up(session: &Session) -> Option<&String> {
    match &session.question.as_ref()?.about {
        About::Login { token, .. } => Some(token),
        _ => None,
    }
}
