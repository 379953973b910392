//! Owns the interfaces of what verifies tokens and what keeps them; knows nothing of the built-in ones.

use std::net::IpAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use mist_core::{Grants, TokenEdit, TokenError, TokenPage};

use super::changed::{Changed, TokensInUse};

/// Opens an authenticator by its URI; the error is a text without secrets.
pub type AuthenticatorFactory =
    Arc<dyn Fn(String) -> BoxFuture<'static, Result<Arc<dyn Authenticator>, String>> + Send + Sync>;

/// The same for a built-in store.
pub(super) type StoreFactory =
    fn(String) -> BoxFuture<'static, Result<Arc<dyn TokenStore>, String>>;

/// A token, and where it was presented.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Presented<'a> {
    /// The token.
    pub token: &'a str,
    /// The client's address, if it is known; for IPv6, the network of 64 bits.
    pub address: Option<IpAddr>,
    /// The listener where it was presented, such as `tcp://127.0.0.1:1445`. `None` if no client presents it now, but
    /// the server asks again about a token in use: see [`Handle::token_changed`](crate::Handle::token_changed). The
    /// answer then holds for all sessions with the token.
    pub listener: Option<&'a str>,
}

impl<'a> Presented<'a> {
    /// A token of which nothing else is known.
    #[must_use]
    pub fn new(token: &'a str) -> Self {
        Self {
            token,
            address: None,
            listener: None,
        }
    }
}

/// Verifies tokens.
///
/// Implement it for tokens that are not registered at the server, and pass it to
/// [`ServerBuilder::verifier`](crate::ServerBuilder::verifier), or register a scheme with
/// [`ServerBuilder::authenticator_scheme`](crate::ServerBuilder::authenticator_scheme). For tokens that are registered,
/// implement [`TokenStore`] instead, which is an authenticator too. Clients wait for the answer, so it should come or
/// fail within seconds.
pub trait Authenticator: Send + Sync + 'static {
    /// Returns what the token grants; `None` if it is not valid.
    ///
    /// # Errors
    /// [`TokenError::Expired`] if the token has expired, [`TokenError::Unavailable`] if there is no answer at present.
    fn authenticate<'a>(
        &'a self,
        presented: Presented<'a>,
    ) -> BoxFuture<'a, Result<Option<Grants>, TokenError>>;

    /// Returns itself as a token store, if it is one. Without a store the server has no admin commands.
    fn store(&self) -> Option<&dyn TokenStore> {
        None
    }

    /// Whether a token has a form that belongs to this authenticator only, so that no other needs to be asked about it.
    fn claims(&self, token: &str) -> bool {
        let _ = token;
        false
    }

    /// Forgets what it has cached about a token that has changed; it will be asked again.
    fn forget(&self, token: &str) {
        let _ = token;
    }

    /// Whether it is able to answer. Until it is, `GET /readyz` reports that the server is not ready. Once true, it
    /// stays so.
    fn is_ready(&self) -> bool {
        true
    }

    /// Does its background work, as long as the server runs.
    fn run(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// Keeps tokens and their tags. A token that is registered is valid.
///
/// The rights of a token to a tag, and its expiry, are kept as tags that begin with `$`. A store need not know what
/// they mean: [`TokenEdit::apply`] says what to keep, and [`Grants::of_token`] reads it.
///
/// A change must be durable before it returns, since the client is answered right after. The server makes one change of
/// a token at a time; look-ups, and changes of other tokens, may come at any time. If something else changes the
/// tokens, the store reports it by [`TokenStore::changes`], or the program does by
/// [`Handle::token_changed`](crate::Handle::token_changed).
pub trait TokenStore: Authenticator {
    /// Changes a token: replaces the tags that are kept with it by the result of [`TokenEdit::apply`], in one
    /// transaction, so that no other change of the token comes in between, even if several servers share the store.
    ///
    /// # Errors
    /// Those of [`TokenEdit::apply`]; [`TokenError::Unavailable`] if the store cannot make the change.
    fn edit<'a>(&'a self, edit: &'a TokenEdit) -> BoxFuture<'a, Result<(), TokenError>>;

    /// Returns what a token grants: usually [`Grants::of_token`] with its tags, in any order.
    ///
    /// # Errors
    /// [`TokenError::NotFound`] if the token is not registered.
    fn lookup<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Grants, TokenError>>;

    /// Lists up to `most` tokens that follow `after` in the store's order. `after` is empty at first, then
    /// [`TokenPage::next`] of the previous page. By default it is not supported.
    ///
    /// # Errors
    /// [`TokenError::Unsupported`] if the store cannot list its tokens.
    fn list<'a>(
        &'a self,
        after: &'a str,
        most: usize,
    ) -> BoxFuture<'a, Result<TokenPage, TokenError>> {
        let _ = (after, most);
        Box::pin(async { Err(TokenError::Unsupported) })
    }

    /// Reports changes that something else has made in the store, such as another server or a person, so that they take
    /// effect on open connections at once. A server follows the stream as long as it runs. A stream that ends at once,
    /// as by default, means that the store cannot report changes.
    ///
    /// The server looks up each reported token that a session uses; until the store answers, what was granted stays
    /// granted. [`Changed::Any`] means that changes may have been missed: then all tokens in use are looked up, a few
    /// at a time. An error means that changes cannot be reported at present; it is logged, and should be followed by
    /// [`Changed::Any`].
    fn changes(&self, in_use: TokensInUse) -> BoxStream<'_, Result<Changed, TokenError>> {
        let _ = in_use;
        Box::pin(stream::empty())
    }
}

impl<S: TokenStore> Authenticator for S {
    fn authenticate<'a>(
        &'a self,
        presented: Presented<'a>,
    ) -> BoxFuture<'a, Result<Option<Grants>, TokenError>> {
        Box::pin(async move {
            match self.lookup(presented.token).await {
                Ok(grants) => Ok(Some(grants)),
                Err(TokenError::NotFound | TokenError::Invalid(_)) => Ok(None),
                Err(error) => Err(error),
            }
        })
    }

    fn store(&self) -> Option<&dyn TokenStore> {
        Some(self)
    }
}
