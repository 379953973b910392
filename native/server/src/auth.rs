//! Owns the authenticators and token stores behind authenticator URIs; knows nothing of sessions and permissions.

#[cfg(any(feature = "http", feature = "jwt"))]
mod answer;
mod authenticator;
mod authenticators;
#[cfg(any(feature = "sqlite", feature = "scribble", feature = "postgres"))]
mod built_in;
mod changed;
mod context;
#[cfg(any(feature = "http", feature = "jwt"))]
// Each of the two needs a part of it.
#[cfg_attr(not(all(feature = "http", feature = "jwt")), allow(dead_code))]
mod fetch;
mod hash;
#[cfg(feature = "http")]
mod http;
#[cfg(any(feature = "sqlite", feature = "scribble"))]
mod identity;
#[cfg(feature = "jwt")]
mod jwt;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "sqlite", feature = "scribble", feature = "postgres"))]
mod question;
mod schemes;
#[cfg(all(feature = "scribble", unix))]
mod scribble;
#[cfg(feature = "sqlite")]
mod sqlite;
mod wanted;
#[cfg(any(feature = "sqlite", feature = "scribble"))]
mod worker;

pub use self::authenticator::{Authenticator, AuthenticatorFactory, Presented, TokenStore};
pub(crate) use self::authenticators::{Authenticators, Origin};
pub use self::changed::{Changed, TokensInUse};
pub(crate) use self::hash::sha256_of;
pub use self::schemes::open;
pub(crate) use self::wanted::Wanted;
pub use mist_core::{
    EditKind, Grants, ListedToken, NEVER, Rights, TokenEdit, TokenError, TokenName, TokenPage,
};
