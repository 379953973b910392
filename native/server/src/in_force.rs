//! Owns what can be changed while a server runs; it is exchanged as a whole, so that nobody sees a part of a change.

use mist_core::Limits;

use crate::listener::{Browsers, Proxies};
use crate::outbox::Outbox;
use crate::shutdown::Drain;

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
