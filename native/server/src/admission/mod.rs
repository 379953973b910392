//! Owns who gets in, and how often: by address, and by the tokens that are presented. Knows nothing of the hub and of
//! listeners, which ask it.

pub(crate) mod address_limit;
pub(crate) mod peer;
pub(crate) mod token_throttle;
