//! Owns the token stores that come with the program, but for the one in memory, which the broker keeps itself.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use mist_core::{Grants, TokenChange, TokenError};

#[cfg(feature = "postgres")]
use super::postgres::Postgres;
#[cfg(feature = "scribble")]
use super::scribble::Scribble;
#[cfg(feature = "sqlite")]
use super::sqlite::Sqlite;
#[cfg(any(feature = "sqlite", feature = "scribble"))]
use super::worker::Worker;
use super::{StoreFactory, TokenStore};

/// Their schemes, and how each is opened.
pub(super) fn stores() -> HashMap<&'static str, StoreFactory> {
    let stores: &[(_, StoreFactory)] = &[
        #[cfg(feature = "sqlite")]
        ("sqlite", |uri| Box::pin(open_sqlite(uri))),
        #[cfg(feature = "scribble")]
        ("scribble", |uri| Box::pin(open_scribble(uri))),
        #[cfg(feature = "postgres")]
        ("postgres", |uri| Box::pin(open_postgres(uri))),
        #[cfg(feature = "postgres")]
        ("postgresql", |uri| Box::pin(open_postgres(uri))),
    ];
    stores.iter().copied().collect()
}

type Opened = Result<Arc<dyn TokenStore>, String>;

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

/// What a store is asked.
pub(super) enum Question {
    Lookup(String),
    Change(TokenChange),
}

/// What it answers: the token's tags, or nothing for a change.
pub(super) type Answer = Result<Vec<String>, TokenError>;

#[cfg(any(feature = "postgres", test))]
impl Question {
    pub(super) fn token(&self) -> &str {
        match self {
            Self::Lookup(token) => token,
            Self::Change(change) => change.token(),
        }
    }
}

/// A store that takes each question as it comes.
trait Ask: Send + Sync + 'static {
    fn ask(&self, question: Question) -> impl Future<Output = Answer> + Send;
}

#[cfg(any(feature = "sqlite", feature = "scribble"))]
impl Ask for Worker {
    fn ask(&self, question: Question) -> impl Future<Output = Answer> + Send {
        self.ask(question)
    }
}

#[cfg(feature = "postgres")]
impl Ask for Postgres {
    fn ask(&self, question: Question) -> impl Future<Output = Answer> + Send {
        self.ask(question)
    }
}

fn store(asked: impl Ask) -> Arc<dyn TokenStore> {
    Arc::new(Asked(asked))
}

/// Makes a token store of one that takes questions.
struct Asked<S>(S);

impl<S: Ask> TokenStore for Asked<S> {
    fn change<'a>(&'a self, change: &'a TokenChange) -> BoxFuture<'a, Result<(), TokenError>> {
        let question = Question::Change(change.clone());
        Box::pin(async move { self.0.ask(question).await.map(|_| ()) })
    }

    fn lookup<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Grants, TokenError>> {
        Box::pin(async move {
            let tags = self.0.ask(Question::Lookup(token.into())).await?;
            Ok(Grants::of_token(token, tags))
        })
    }
}
