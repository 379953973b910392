//! Owns what verifies tokens and what keeps them, as a program can bring them along; knows nothing of those that are here.

use std::net::IpAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use mist_core::{Grants, TokenEdit, TokenError, TokenPage};

use super::changed::{Changed, TokensInUse};

/// Opens a token store given as a URI; the error is a text without secrets.
pub type AuthenticatorFactory =
    Arc<dyn Fn(String) -> BoxFuture<'static, Result<Arc<dyn Authenticator>, String>> + Send + Sync>;

/// The same for a store that comes with the program.
pub(super) type StoreFactory =
    fn(String) -> BoxFuture<'static, Result<Arc<dyn TokenStore>, String>>;

/// What a client presents to be let in.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Presented<'a> {
    /// The token.
    pub token: &'a str,
    /// The address that it comes from, if it is known; of one of IPv6, the network of 64 bits.
    pub address: Option<IpAddr>,
    /// The listener that it came to, as `tcp://127.0.0.1:1445`; none where nobody presents the token now, but the server asks
    /// again about one in use: see [`Handle::token_changed`](crate::Handle::token_changed). What is said of a token then
    /// holds for all who go by it.
    pub listener: Option<&'a str>,
}

impl<'a> Presented<'a> {
    /// A token, and nothing else that is known of whoever presents it.
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
/// Implement it for tokens that nobody registers here, and give it to a server with
/// [`ServerBuilder::verifier`](crate::ServerBuilder::verifier), or as a scheme with
/// [`ServerBuilder::authenticator_scheme`](crate::ServerBuilder::authenticator_scheme). Where tokens are registered,
/// implement [`TokenStore`], which is an authenticator too. Whoever asks waits, so it should give up within seconds.
pub trait Authenticator: Send + Sync + 'static {
    /// Says what the token may do; nothing where it is not valid.
    ///
    /// # Errors
    /// [`TokenError::Expired`] when the token has ended, [`TokenError::Unavailable`] when it cannot be said now.
    fn authenticate<'a>(
        &'a self,
        presented: Presented<'a>,
    ) -> BoxFuture<'a, Result<Option<Grants>, TokenError>>;

    /// Where tokens are registered, if they are; without it there are no commands for administrators.
    fn store(&self) -> Option<&dyn TokenStore> {
        None
    }

    /// Whether a token has a form that only this authenticator knows. Where there are several, no other is asked about it.
    fn claims(&self, token: &str) -> bool {
        let _ = token;
        false
    }

    /// Forgets what it keeps of a token, since that has changed: it is asked again, now or when somebody presents the token.
    fn forget(&self, token: &str) {
        let _ = token;
    }

    /// Whether it can answer yet; until it can, `GET /readyz` says that the server is not ready. Once it is, it stays so.
    fn is_ready(&self) -> bool {
        true
    }

    /// Does what is to be done while nobody asks, as long as the server runs.
    fn run(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// Keeps tokens and their tags. A token that is registered is valid.
///
/// What rights a token has to a tag, and when it ends, are kept as tags too, which begin with `$`: a store need not know
/// what they mean, as long as [`TokenEdit::apply`] says what to keep, and [`Grants::of_token`] reads it.
///
/// A change returns once it is durable: the client is answered right after. A server asks for the next change of a token
/// when the last one has returned; look-ups, and changes of other tokens, come at any time. Where others change what is
/// kept, the store tells the server by [`TokenStore::changes`], or they do by
/// [`Handle::token_changed`](crate::Handle::token_changed).
pub trait TokenStore: Authenticator {
    /// Makes a change: keeps with the token what [`TokenEdit::apply`] makes of what is kept with it. No other change of the
    /// token may come in between, also where several servers share the store: it is one transaction.
    ///
    /// # Errors
    /// Those of [`TokenEdit::apply`]; [`TokenError::Unavailable`] when the store cannot do it.
    fn edit<'a>(&'a self, edit: &'a TokenEdit) -> BoxFuture<'a, Result<(), TokenError>>;

    /// Returns what a token grants, most often [`Grants::of_token`] with its tags, in any order.
    ///
    /// # Errors
    /// [`TokenError::NotFound`] when the token is unknown.
    fn lookup<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Grants, TokenError>>;

    /// Lists the tokens behind one in the store's order, which is [`TokenPage::next`] of the part before and empty at first;
    /// `most` at most. A store that does not say how cannot.
    ///
    /// # Errors
    /// [`TokenError::Unsupported`] when the store cannot list its tokens.
    fn list<'a>(
        &'a self,
        after: &'a str,
        most: usize,
    ) -> BoxFuture<'a, Result<TokenPage, TokenError>> {
        let _ = (after, most);
        Box::pin(async { Err(TokenError::Unsupported) })
    }

    /// Tells what others change in the store, such as another server or a person, so that it acts at once on connections
    /// that are open. A server that runs follows it from its start to its end; one that ends at once, as unless a store
    /// has it otherwise, means that the store cannot tell.
    ///
    /// The server looks up each token that it is told and that a session goes by; until the store answers, what was
    /// granted stays granted. [`Changed::Any`] is for what was missed: all tokens in use are looked up then, a few at a
    /// time. An error says that the store cannot tell at the moment; it is logged, and [`Changed::Any`] belongs behind it.
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
