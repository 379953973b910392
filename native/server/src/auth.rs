//! Owns who verifies tokens, and the stores of them behind an authenticator URI; knows nothing of sessions and of who may do what.

#[cfg(any(feature = "http", feature = "jwt"))]
mod answer;
mod authenticators;
#[cfg(any(feature = "sqlite", feature = "scribble", feature = "postgres"))]
mod built_in;
mod changed;
mod context;
#[cfg(any(feature = "http", feature = "jwt"))]
// Each of the two needs a part of it.
#[cfg_attr(not(all(feature = "http", feature = "jwt")), allow(dead_code))]
mod fetch;
#[cfg(feature = "http")]
mod http;
#[cfg(any(feature = "sqlite", feature = "scribble"))]
mod identity;
#[cfg(feature = "jwt")]
mod jwt;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(all(feature = "scribble", unix))]
mod scribble;
#[cfg(feature = "sqlite")]
mod sqlite;
mod wanted;
#[cfg(any(feature = "sqlite", feature = "scribble"))]
mod worker;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use mist_net::address::list;

pub(crate) use self::authenticators::{Authenticators, Member, Origin};
pub use self::changed::{Changed, TokensInUse};
use self::context::Context;
pub(crate) use self::wanted::Wanted;
pub use mist_core::{
    EditKind, Grants, ListedToken, Rights, TokenEdit, TokenError, TokenName, TokenPage,
};

/// Opens a token store given as a URI; the error is a text without secrets.
pub type AuthenticatorFactory =
    Arc<dyn Fn(String) -> BoxFuture<'static, Result<Arc<dyn Authenticator>, String>> + Send + Sync>;

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

/// Opens one of the durable stores, as a server does: `sqlite://`, `scribble://` or `postgres://`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use mist_server::auth::{EditKind, TokenEdit};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("tokens.db");
/// let store = mist_server::auth::open(&format!("sqlite://{}", path.display())).await?;
/// let mut edit = TokenEdit::new(EditKind::Register, "north-desk");
/// edit.tags = vec!["district:north".to_owned()];
/// store.edit(&edit).await?;
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

/// How each of the authenticators that were compiled in is opened.
pub(crate) fn built_in(context: &Context) -> HashMap<String, AuthenticatorFactory> {
    let store = |open: StoreFactory| -> AuthenticatorFactory {
        Arc::new(move |uri| Box::pin(async move { Ok(open(uri).await? as Arc<dyn Authenticator>) }))
    };
    let verifier = |open: VerifierFactory| -> AuthenticatorFactory {
        let context = context.clone();
        Arc::new(move |uri| open(uri, context.clone()))
    };
    let stores = built_in_stores().into_iter();
    let stores = stores.map(|(scheme, open)| (scheme.to_owned(), store(open)));
    let verifiers = VERIFIERS.iter();
    let verifiers = verifiers.map(|&(scheme, open)| (scheme.to_owned(), verifier(open)));
    stores.chain(verifiers).collect()
}

type VerifierFactory =
    fn(String, Context) -> BoxFuture<'static, Result<Arc<dyn Authenticator>, String>>;

/// The schemes of the authenticators that keep no tokens, and how each is opened.
const VERIFIERS: &[(&str, VerifierFactory)] = &[
    #[cfg(feature = "jwt")]
    ("jwt", |uri, context| Box::pin(jwt::open(uri, context))),
    #[cfg(feature = "http")]
    ("http", |uri, context| Box::pin(http::open(uri, context))),
    #[cfg(feature = "http")]
    ("https", |uri, context| Box::pin(http::open(uri, context))),
];

/// Checks the URI of an authenticator that was compiled in, as far as it has not to be opened.
pub(crate) fn check(scheme: &str, uri: &str) -> Result<(), String> {
    match (scheme, uri) {
        #[cfg(feature = "jwt")]
        ("jwt", uri) => jwt::check(uri),
        #[cfg(feature = "http")]
        ("http" | "https", uri) => http::check(uri),
        _ => Ok(()),
    }
}

/// Whether a scheme is that of a store that was compiled in.
pub(crate) fn is_store(scheme: &str) -> bool {
    built_in_stores().contains_key(scheme)
}

type StoreFactory = fn(String) -> BoxFuture<'static, Result<Arc<dyn TokenStore>, String>>;

/// The schemes of the stores that were compiled in, and how each is opened.
fn built_in_stores() -> HashMap<&'static str, StoreFactory> {
    #[cfg(any(feature = "sqlite", feature = "scribble", feature = "postgres"))]
    return built_in::stores();
    #[cfg(not(any(feature = "sqlite", feature = "scribble", feature = "postgres")))]
    HashMap::new()
}
