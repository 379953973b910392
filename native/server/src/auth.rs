//! Owns the token stores behind an authenticator URI; knows nothing of sessions and of who may do what.

#[cfg(any(feature = "sqlite", feature = "scribble", feature = "postgres"))]
mod built_in;
#[cfg(any(feature = "sqlite", feature = "scribble"))]
mod identity;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "scribble")]
mod scribble;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(any(feature = "sqlite", feature = "scribble"))]
mod worker;

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use mist_core::{AuthReply, AuthRequest};
use mist_net::address::list;

pub use mist_core::TokenError;

/// Opens a token store given as a URI; the error is a text without secrets.
pub type AuthenticatorFactory =
    Arc<dyn Fn(String) -> BoxFuture<'static, Result<Arc<dyn Authenticator>, String>> + Send + Sync>;

/// A store of tokens and their tags.
///
/// A method returns once the change is durable: the client is answered right after. A server asks for the next change of
/// a token when the last one has returned; look-ups, and changes of other tokens, come at any time. Whoever asks waits,
/// so a store should give up within seconds. Implement it to keep tokens anywhere, and register it with
/// [`ServerBuilder::authenticator_scheme`](crate::ServerBuilder::authenticator_scheme).
pub trait Authenticator: Send + Sync + 'static {
    /// Creates a token with its tags.
    ///
    /// # Errors
    /// [`TokenError::Exists`] when it is there already.
    fn add_token<'a>(
        &'a self,
        token: &'a str,
        tags: &'a [String],
    ) -> BoxFuture<'a, Result<(), TokenError>>;

    /// Removes a token with its tags. Removing an unknown one succeeds.
    ///
    /// # Errors
    /// [`TokenError::Unavailable`] when the store cannot do it.
    fn remove_token<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<(), TokenError>>;

    /// Adds tags to a token.
    ///
    /// # Errors
    /// [`TokenError::NotFound`] when the token is unknown.
    fn add_tags<'a>(
        &'a self,
        token: &'a str,
        tags: &'a [String],
    ) -> BoxFuture<'a, Result<(), TokenError>>;

    /// Removes tags from a token.
    ///
    /// # Errors
    /// [`TokenError::NotFound`] when the token is unknown.
    fn remove_tags<'a>(
        &'a self,
        token: &'a str,
        tags: &'a [String],
    ) -> BoxFuture<'a, Result<(), TokenError>>;

    /// Returns the tags of a token, in any order.
    ///
    /// # Errors
    /// [`TokenError::NotFound`] when the token is unknown.
    fn tags<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Vec<String>, TokenError>>;
}

/// Translates what the broker asks into a call of the store.
pub(crate) async fn carry_out(store: &dyn Authenticator, request: &AuthRequest) -> AuthReply {
    let done = match request {
        AuthRequest::Register { token, tags } => store.add_token(token, tags).await,
        AuthRequest::Unregister { token } => store.remove_token(token).await,
        AuthRequest::Set { token, tags } => store.add_tags(token, tags).await,
        AuthRequest::Unset { token, tags } => store.remove_tags(token, tags).await,
        AuthRequest::Tags { token } => return store.tags(token).await,
    };
    done.map(|()| Vec::new())
}

/// Opens one of the durable stores, as a server does: `sqlite://`, `scribble://` or `postgres://`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("tokens.db");
/// let store = mist_server::auth::open(&format!("sqlite://{}", path.display())).await?;
/// store.add_token("north-desk", &["district:north".to_owned()]).await?;
/// assert_eq!(store.tags("north-desk").await?, ["district:north"]);
/// # Ok(()) }
/// ```
///
/// # Errors
/// A text that says what is wrong and what to do about it, without secrets.
pub async fn open(uri: &str) -> Result<Arc<dyn Authenticator>, String> {
    let scheme = uri.split("://").next().unwrap_or_default();
    match built_in().get(&scheme.to_ascii_lowercase()) {
        Some(factory) => factory(uri.to_owned()).await,
        None => Err(format!(
            "unsupported scheme - known are {}",
            list(built_in().keys().map(String::as_str))
        )),
    }
}

/// The schemes of the stores that were compiled in, and how each is opened.
pub(crate) fn built_in() -> HashMap<String, AuthenticatorFactory> {
    #[cfg(any(feature = "sqlite", feature = "scribble", feature = "postgres"))]
    return built_in::factories();
    #[cfg(not(any(feature = "sqlite", feature = "scribble", feature = "postgres")))]
    HashMap::new()
}
