//! Owns what can be changed while a server runs; it is exchanged as a whole, so that nobody sees a part of a change.

use std::time::Duration;

use mist_core::Limits;

use crate::admission::browsers::Browsers;
use crate::admission::proxies::Proxies;
use crate::outbox::Outbox;

/// What is in force until it is exchanged for another.
#[derive(Debug, Default)]
pub(crate) struct InForce {
    pub(crate) limits: Limits,
    /// Those for sessions that have still to authenticate.
    early_limits: Limits,
    pub(crate) browsers: Browsers,
    pub(crate) proxies: Proxies,
    pub(crate) drain: Drain,
}

/// How a server takes leave before it closes what is left.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Drain {
    /// How long it goes on as before, and only says that it is not ready for more.
    pub(crate) delay: Duration,
    /// Over how long a time it then closes connections, some at a time.
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

    /// The bounds for what a connection sends.
    pub(crate) fn limits_of(&self, outbox: &Outbox) -> &Limits {
        match outbox.is_on_probation() {
            true => &self.early_limits,
            false => &self.limits,
        }
    }
}
