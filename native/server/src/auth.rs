//! Owns the token stores behind an authenticator URI; knows nothing of sessions and of who may do what.

mod identity;
mod postgres;
mod scribble;
mod sqlite;
mod worker;

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use mist_core::{AuthReply, AuthRequest};

pub use mist_core::TokenError;

use self::postgres::Postgres;
use self::scribble::Scribble;
use self::sqlite::Sqlite;
use self::worker::Worker;

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
/// let store = mist::auth::open(&format!("sqlite://{}", path.display())).await?;
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
        None => Err("unsupported scheme - known are postgres://, scribble://, sqlite://".into()),
    }
}

/// The stores that come with the program, but for the one in memory, which the broker keeps itself.
pub(crate) fn built_in() -> HashMap<String, AuthenticatorFactory> {
    let sqlite: AuthenticatorFactory = Arc::new(|uri| {
        Box::pin(async move {
            let path = sqlite::path(&uri)?;
            Ok(store(Worker::start(move || Sqlite::open(&path)).await?))
        })
    });
    let scribble: AuthenticatorFactory = Arc::new(|uri| {
        Box::pin(async move {
            let folder = scribble::folder(&uri)?;
            Ok(store(Worker::start(move || Scribble::open(&folder)).await?))
        })
    });
    let postgres: AuthenticatorFactory =
        Arc::new(|uri| Box::pin(async move { Ok(store(Postgres::open(&uri).await?)) }));
    HashMap::from([
        ("sqlite".to_owned(), sqlite),
        ("scribble".to_owned(), scribble),
        ("postgresql".to_owned(), Arc::clone(&postgres)),
        ("postgres".to_owned(), postgres),
    ])
}

/// A store that takes each question as the broker puts it.
trait Ask: Send + Sync + 'static {
    fn ask(&self, request: AuthRequest) -> impl Future<Output = AuthReply> + Send;
}

impl Ask for Worker {
    fn ask(&self, request: AuthRequest) -> impl Future<Output = AuthReply> + Send {
        self.ask(request)
    }
}

impl Ask for Postgres {
    fn ask(&self, request: AuthRequest) -> impl Future<Output = AuthReply> + Send {
        self.ask(request)
    }
}

fn store(asked: impl Ask) -> Arc<dyn Authenticator> {
    Arc::new(Asked(asked))
}

/// Makes an authenticator of a store that takes questions.
struct Asked<S>(S);

impl<S: Ask> Asked<S> {
    fn change(&self, request: AuthRequest) -> BoxFuture<'_, Result<(), TokenError>> {
        Box::pin(async move { self.0.ask(request).await.map(|_| ()) })
    }
}

impl<S: Ask> Authenticator for Asked<S> {
    fn add_token<'a>(
        &'a self,
        token: &'a str,
        tags: &'a [String],
    ) -> BoxFuture<'a, Result<(), TokenError>> {
        let (token, tags) = (token.into(), tags.into());
        self.change(AuthRequest::Register { token, tags })
    }

    fn remove_token<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<(), TokenError>> {
        let token = token.into();
        self.change(AuthRequest::Unregister { token })
    }

    fn add_tags<'a>(
        &'a self,
        token: &'a str,
        tags: &'a [String],
    ) -> BoxFuture<'a, Result<(), TokenError>> {
        let (token, tags) = (token.into(), tags.into());
        self.change(AuthRequest::Set { token, tags })
    }

    fn remove_tags<'a>(
        &'a self,
        token: &'a str,
        tags: &'a [String],
    ) -> BoxFuture<'a, Result<(), TokenError>> {
        let (token, tags) = (token.into(), tags.into());
        self.change(AuthRequest::Unset { token, tags })
    }

    fn tags<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Vec<String>, TokenError>> {
        let token = token.into();
        Box::pin(self.0.ask(AuthRequest::Tags { token }))
    }
}
