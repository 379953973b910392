//! Owns the built-in token stores, except the one in memory, which the broker keeps itself.

use std::collections::HashMap;
use std::sync::Arc;
#[cfg(any(feature = "sqlite", feature = "scribble"))]
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
#[cfg(any(feature = "sqlite", feature = "scribble"))]
use futures_util::{StreamExt, stream};
use mist_core::{Grants, TokenEdit, TokenError, TokenPage};
#[cfg(any(feature = "sqlite", feature = "scribble"))]
use tokio::time::{MissedTickBehavior, interval};

use super::authenticator::{StoreFactory, TokenStore};
use super::changed::{Changed, TokensInUse};
#[cfg(feature = "postgres")]
use super::postgres::Postgres;
use super::question::{Answer, Question, Told};
#[cfg(all(feature = "scribble", unix))]
use super::scribble::Scribble;
#[cfg(feature = "sqlite")]
use super::sqlite::Sqlite;
#[cfg(any(feature = "sqlite", feature = "scribble"))]
use super::worker::{Blocking, Worker};

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

#[cfg(all(feature = "scribble", unix))]
async fn open_scribble(uri: String) -> Opened {
    let folder = super::scribble::folder(&uri)?;
    Ok(store(Worker::start(move || Scribble::open(&folder)).await?))
}

/// Only on Unix can file names hold any token, and folders be locked.
#[cfg(all(feature = "scribble", not(unix)))]
async fn open_scribble(_: String) -> Opened {
    Err("it is for Unix systems: use sqlite:///PATH".into())
}

#[cfg(feature = "postgres")]
async fn open_postgres(uri: String) -> Opened {
    Ok(store(Postgres::open(&uri).await?))
}

/// A store that answers questions in any order, and reports changes by others.
trait Ask: Send + Sync + 'static {
    fn ask(&self, question: Question) -> impl Future<Output = Answer> + Send;

    fn changes(&self, in_use: TokensInUse) -> BoxStream<'_, Result<Changed, TokenError>>;
}

/// How often a store in files looks for changes by others.
#[cfg(any(feature = "sqlite", feature = "scribble"))]
const LOOK: Duration = Duration::from_secs(1);

#[cfg(any(feature = "sqlite", feature = "scribble"))]
impl<S: Blocking> Ask for Worker<S> {
    fn ask(&self, question: Question) -> impl Future<Output = Answer> + Send {
        self.ask(move |store, deadline| store.answer(&question, deadline))
    }

    fn changes(&self, in_use: TokensInUse) -> BoxStream<'_, Result<Changed, TokenError>> {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let looks = stream::unfold((looks, false), move |(mut looks, has_failed)| {
            let in_use = in_use.clone();
            async move {
                looks.tick().await;
                let seen = self.ask(move |store, _| store.changes(&in_use)).await;
                let is_back = has_failed && seen.is_ok();
                let has_failed = seen.is_err();
                let seen: Vec<_> = match seen {
                    Ok(seen) => seen.into_iter().map(Ok).collect(),
                    Err(error) => vec![Err(error)],
                };
                let missed = is_back.then_some(Ok(Changed::Any));
                let told = stream::iter(seen.into_iter().chain(missed));
                Some((told, (looks, has_failed)))
            }
        });
        looks.flatten().boxed()
    }
}

#[cfg(feature = "postgres")]
impl Ask for Postgres {
    fn ask(&self, question: Question) -> impl Future<Output = Answer> + Send {
        self.ask(question)
    }

    fn changes(&self, _: TokensInUse) -> BoxStream<'_, Result<Changed, TokenError>> {
        self.changes()
    }
}

fn store(asked: impl Ask) -> Arc<dyn TokenStore> {
    Arc::new(Asked(asked))
}

/// Makes a [`TokenStore`] of what answers questions.
struct Asked<S>(S);

impl<S: Ask> TokenStore for Asked<S> {
    fn edit<'a>(&'a self, edit: &'a TokenEdit) -> BoxFuture<'a, Result<(), TokenError>> {
        let question = Question::Edit(edit.clone());
        Box::pin(async move { self.0.ask(question).await.map(|_| ()) })
    }

    fn lookup<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Grants, TokenError>> {
        Box::pin(async move {
            let told = self.0.ask(Question::Lookup(token.into())).await?;
            let tags = match told {
                Told::Tags(tags) => tags,
                Told::Page(_) => Vec::new(),
            };
            Ok(Grants::of_token(token, tags))
        })
    }

    fn list<'a>(
        &'a self,
        after: &'a str,
        most: usize,
    ) -> BoxFuture<'a, Result<TokenPage, TokenError>> {
        Box::pin(async move {
            match self.0.ask(Question::List(after.into(), most)).await? {
                Told::Page(page) => Ok(page),
                Told::Tags(_) => Ok(TokenPage::default()),
            }
        })
    }

    fn changes(&self, in_use: TokensInUse) -> BoxStream<'_, Result<Changed, TokenError>> {
        self.0.changes(in_use)
    }
}
