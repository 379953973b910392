//! What the mist client and the mist server share below the protocol: addresses, trust, files, and the transports of a
//! client. It is made for these two and promises nothing to others.
//!
//! | feature | what it is for |
//! |---|---|
//! | `tls` | `tls://` and `wss://`, certificates and keys: rustls with ring, which needs a C compiler |
//! | `websocket` | `ws://` and `wss://` |
//! | `idn` | hosts whose names are not ASCII |

#![forbid(unsafe_code)]

pub mod address;
#[cfg(feature = "tls")]
pub mod certificate_error;
pub mod connect;
pub mod file;
#[cfg(feature = "tls")]
pub mod fingerprint;
pub mod lock;
#[cfg(feature = "tls")]
pub mod pem;
mod stranger;
pub mod stream;
pub mod transport;
#[cfg_attr(not(feature = "tls"), path = "without_tls.rs")]
pub mod trust;
#[cfg(feature = "websocket")]
mod websocket;
