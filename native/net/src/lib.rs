//! What the mist client and the mist server share below the protocol: addresses, trust, files, and the transports of a
//! client. It is made for these two and promises nothing to others.

#![forbid(unsafe_code)]

pub mod address;
pub mod certificate_error;
pub mod file;
pub mod lock;
pub mod pem;
mod stranger;
pub mod transport;
pub mod trust;
