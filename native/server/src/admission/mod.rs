//! Owns which clients are let in, and how often: by address, by the tokens that they present, and by rates. Knows
//! nothing of the hub and the listeners, which ask it.

pub(crate) mod address_limit;
pub(crate) mod browsers;
pub(crate) mod peer;
pub(crate) mod proxies;
pub(crate) mod rates;
pub(crate) mod token_throttle;
