//! Owns the token stores behind an authenticator URI; knows nothing of sessions and of who may do what.

use futures_util::future::BoxFuture;
use mist_core::{AuthReply, AuthRequest};

pub use mist_core::TokenError;

/// A store of tokens and their tags.
///
/// A method returns once the change is durable: the client is answered right after. Implement it to keep tokens
/// anywhere, and register it with
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
