//! Owns who verifies tokens, and the stores of them behind an authenticator URI; knows nothing of sessions and of who may do what.

#[cfg(any(feature = "sqlite", feature = "scribble", feature = "postgres"))]
mod built_in;
mod changed;
#[cfg(any(feature = "sqlite", feature = "scribble"))]
mod identity;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(all(feature = "scribble", unix))]
mod scribble;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(any(feature = "sqlite", feature = "scribble"))]
mod worker;

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use mist_core::{AuthReply, AuthRequest};
use mist_net::address::list;

pub use self::changed::{Changed, TokensInUse};
pub use mist_core::{Grants, TokenChange, TokenError};

/// Opens a token store given as a URI; the error is a text without secrets.
pub type AuthenticatorFactory =
    Arc<dyn Fn(String) -> BoxFuture<'static, Result<Arc<dyn Authenticator>, String>> + Send + Sync>;

/// What a client presents to be let in.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Presented<'a> {
    /// The token.
    pub token: &'a str,
}

impl<'a> Presented<'a> {
    /// A token, and nothing else that is known of whoever presents it.
    #[must_use]
    pub fn new(token: &'a str) -> Self {
        Self { token }
    }
}

/// Verifies tokens.
///
/// Implement it for tokens that nobody registers here, and register it with
/// [`ServerBuilder::authenticator_scheme`](crate::ServerBuilder::authenticator_scheme). Where tokens are registered,
/// implement [`TokenStore`], which is an authenticator too. Whoever asks waits, so it should give up within seconds.
pub trait Authenticator: Send + Sync + 'static {
    /// Says what the token may do; nothing where it is not valid.
    ///
    /// # Errors
    /// [`TokenError::Unavailable`] when it cannot be said now.
    fn authenticate<'a>(
        &'a self,
        presented: Presented<'a>,
    ) -> BoxFuture<'a, Result<Option<Grants>, TokenError>>;

    /// Where tokens are registered, if they are; without it no command for administrators finds any.
    fn store(&self) -> Option<&dyn TokenStore> {
        None
    }
}

/// Keeps tokens and their tags. A token that is registered is valid.
///
/// A change returns once it is durable: the client is answered right after. A server asks for the next change of a token
/// when the last one has returned; look-ups, and changes of other tokens, come at any time. Where others change what is
/// kept, the store tells the server by [`TokenStore::changes`], or they do by
/// [`Handle::token_changed`](crate::Handle::token_changed).
pub trait TokenStore: Authenticator {
    /// Makes a change. What is to be removed and is not there is no error, but for the token whose tags are changed.
    ///
    /// # Errors
    /// [`TokenError::Exists`] when the token to be registered is there already, [`TokenError::NotFound`] when the one
    /// whose tags change is not, [`TokenError::Unavailable`] when the store cannot do it.
    fn change<'a>(&'a self, change: &'a TokenChange) -> BoxFuture<'a, Result<(), TokenError>>;

    /// Returns what a token grants, most often [`Grants::of_token`] with its tags, in any order.
    ///
    /// # Errors
    /// [`TokenError::NotFound`] when the token is unknown.
    fn lookup<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Grants, TokenError>>;

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

/// Translates what the broker asks into a call.
pub(crate) async fn carry_out(
    authenticator: &dyn Authenticator,
    request: &AuthRequest,
) -> AuthReply {
    if let AuthRequest::Authenticate { token } = request {
        return authenticator.authenticate(Presented { token }).await;
    }
    let Some(store) = authenticator.store() else {
        let why = "this authenticator verifies tokens and keeps none".into();
        return Err(TokenError::Unavailable(why));
    };
    match request {
        AuthRequest::Change(change) => store.change(change).await.map(|()| None),
        AuthRequest::Lookup { token } | AuthRequest::Authenticate { token } => {
            store.lookup(token).await.map(Some)
        }
    }
}

/// Opens one of the durable stores, as a server does: `sqlite://`, `scribble://` or `postgres://`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use mist_server::auth::TokenChange;
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("tokens.db");
/// let store = mist_server::auth::open(&format!("sqlite://{}", path.display())).await?;
/// let (token, tags) = ("north-desk".to_owned(), vec!["district:north".to_owned()]);
/// store.change(&TokenChange::Register { token, tags }).await?;
/// assert_eq!(store.lookup("north-desk").await?.subscribe, ["district:north"]);
/// # Ok(()) }
/// ```
///
/// # Errors
/// A text that says what is wrong and what to do about it, without secrets.
pub async fn open(uri: &str) -> Result<Arc<dyn TokenStore>, String> {
    let scheme = uri.split("://").next().unwrap_or_default();
    let stores = built_in_stores();
    match stores.get(&*scheme.to_ascii_lowercase()) {
        Some(open) => open(uri.to_owned()).await,
        None => Err(format!(
            "unsupported scheme - known are {}",
            list(stores.keys().copied())
        )),
    }
}

/// How each of the stores that were compiled in is opened.
pub(crate) fn built_in() -> HashMap<String, AuthenticatorFactory> {
    let factory = |open: StoreFactory| -> AuthenticatorFactory {
        Arc::new(move |uri| Box::pin(async move { Ok(open(uri).await? as Arc<dyn Authenticator>) }))
    };
    let stores = built_in_stores().into_iter();
    stores
        .map(|(scheme, open)| (scheme.to_owned(), factory(open)))
        .collect()
}

type StoreFactory = fn(String) -> BoxFuture<'static, Result<Arc<dyn TokenStore>, String>>;

/// The schemes of the stores that were compiled in, and how each is opened.
fn built_in_stores() -> HashMap<&'static str, StoreFactory> {
    #[cfg(any(feature = "sqlite", feature = "scribble", feature = "postgres"))]
    return built_in::stores();
    #[cfg(not(any(feature = "sqlite", feature = "scribble", feature = "postgres")))]
    HashMap::new()
}
