//! Owns the token stores that come with the program, but for the one in memory, which the broker keeps itself.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use mist_core::{AuthReply, AuthRequest, TokenError};

#[cfg(feature = "postgres")]
use super::postgres::Postgres;
#[cfg(feature = "scribble")]
use super::scribble::Scribble;
#[cfg(feature = "sqlite")]
use super::sqlite::Sqlite;
#[cfg(any(feature = "sqlite", feature = "scribble"))]
use super::worker::Worker;
use super::{Authenticator, AuthenticatorFactory};

/// Their schemes, and how each is opened.
pub(super) fn factories() -> HashMap<String, AuthenticatorFactory> {
    HashMap::from([
        #[cfg(feature = "sqlite")]
        ("sqlite".to_owned(), factory(open_sqlite)),
        #[cfg(feature = "scribble")]
        ("scribble".to_owned(), factory(open_scribble)),
        #[cfg(feature = "postgres")]
        ("postgres".to_owned(), factory(open_postgres)),
        #[cfg(feature = "postgres")]
        ("postgresql".to_owned(), factory(open_postgres)),
    ])
}

type Opened = Result<Arc<dyn Authenticator>, String>;

fn factory<F: Future<Output = Opened> + Send + 'static>(
    open: fn(String) -> F,
) -> AuthenticatorFactory {
    Arc::new(move |uri| Box::pin(open(uri)))
}

#[cfg(feature = "sqlite")]
async fn open_sqlite(uri: String) -> Opened {
    let path = super::sqlite::path(&uri)?;
    Ok(store(Worker::start(move || Sqlite::open(&path)).await?))
}

#[cfg(feature = "scribble")]
async fn open_scribble(uri: String) -> Opened {
    let folder = super::scribble::folder(&uri)?;
    Ok(store(Worker::start(move || Scribble::open(&folder)).await?))
}

#[cfg(feature = "postgres")]
async fn open_postgres(uri: String) -> Opened {
    Ok(store(Postgres::open(&uri).await?))
}

/// A store that takes each question as the broker puts it.
trait Ask: Send + Sync + 'static {
    fn ask(&self, request: AuthRequest) -> impl Future<Output = AuthReply> + Send;
}

#[cfg(any(feature = "sqlite", feature = "scribble"))]
impl Ask for Worker {
    fn ask(&self, request: AuthRequest) -> impl Future<Output = AuthReply> + Send {
        self.ask(request)
    }
}

#[cfg(feature = "postgres")]
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
