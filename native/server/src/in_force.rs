//! Owns the settings that can change while a server runs; they are exchanged as a whole, so that no change is seen in
//! part.

use std::time::Duration;

use mist_core::Limits;

use crate::admission::browsers::Browsers;
use crate::admission::proxies::Proxies;
use crate::outbox::Outbox;

/// The settings in force until the next change.
#[derive(Debug, Default)]
pub(crate) struct InForce {
    pub(crate) limits: Limits,
    /// The limits of sessions that have not authenticated yet.
    early_limits: Limits,
    pub(crate) browsers: Browsers,
    pub(crate) proxies: Proxies,
    pub(crate) drain: Drain,
}

/// How a server drains before it closes the remaining connections.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Drain {
    /// How long it goes on as before, except that it reports not to be ready.
    pub(crate) delay: Duration,
    /// The time over which it then closes connections, a few at a time.
    pub(crate) time: Duration,
}

impl InForce {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            early_limits: limits.before_authentication(),
            limits,
            ..Self::default()
        }
    }

    /// The limits for what a connection sends.
    pub(crate) fn limits_of(&self, outbox: &Outbox) -> &Limits {
        match outbox.is_on_probation() {
            true => &self.early_limits,
            false => &self.limits,
        }
    }
}
