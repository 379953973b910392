//! The token stores: one contract for all of them, what befalls them, and what they keep through it.

mod contract;
#[cfg(unix)]
mod database;
#[cfg(unix)]
mod failures;
#[cfg(unix)]
mod files;
mod listing;
mod meeting;
#[cfg(unix)]
mod postgres;
#[cfg(unix)]
mod sharing;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use mist::auth::{EditKind, Grants, TokenEdit, TokenError, TokenStore};
use mist::client::ErrorCode;
use mist::{Client, ClientError, Server};
use mist_tests::site::Site;
use tempfile::TempDir;

#[cfg(unix)]
pub(crate) use self::database::Database;

/// PostgreSQL is tested on Unix.
#[cfg(not(unix))]
pub(crate) struct Database;

#[cfg(not(unix))]
impl Database {
    pub(crate) fn start() -> Option<Self> {
        eprintln!("skipped: PostgreSQL is not started here");
        None
    }

    pub(crate) fn uri(&self, _: &str) -> String {
        unreachable!("it was never started")
    }
}

/// How long anything may take before the test fails; nothing waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(60);

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("it took too long")
}

fn tags(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// Which store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Memory,
    Sqlite,
    Scribble,
    Postgres,
}

/// Where a store keeps its tokens, gone with the test.
pub(crate) struct Home {
    pub(crate) kind: Kind,
    pub(crate) folder: TempDir,
    database: Option<Database>,
}

impl Home {
    /// None when the machine lacks what the store needs, which is said.
    pub(crate) fn new(kind: Kind) -> Option<Self> {
        let database = match kind {
            Kind::Postgres => Some(Database::start()?),
            _ => None,
        };
        Some(Self {
            kind,
            folder: tempfile::tempdir().expect("a folder"),
            database,
        })
    }

    pub(crate) fn uri(&self) -> String {
        let folder = self.folder.path().display();
        match (self.kind, &self.database) {
            (Kind::Sqlite, _) => format!("sqlite://{folder}/tokens.db"),
            (Kind::Scribble, _) => format!("scribble://?db={folder}"),
            (Kind::Postgres, Some(database)) => database.uri(""),
            _ => "memory://".into(),
        }
    }

    fn database(&self) -> &Database {
        self.database.as_ref().expect("it is PostgreSQL's")
    }

    async fn open(&self) -> Arc<dyn TokenStore> {
        within(mist::auth::open(&self.uri()))
            .await
            .expect("it opens")
    }
}

/// A server that keeps its tokens in a store.
struct House {
    address: String,
    site: Site,
}

impl House {
    async fn at(uri: &str) -> Result<Self, mist::BindError> {
        let builder = Server::builder().listen("tcp://127.0.0.1:0");
        Self::of(builder.authenticator(uri).token("top")).await
    }

    async fn of(builder: mist::ServerBuilder) -> Result<Self, mist::BindError> {
        let site = Site::try_start(builder).await?;
        let address = site.uris[0].clone();
        Ok(Self { address, site })
    }

    async fn admin(&self) -> Admin {
        let client = Client::builder(&self.address)
            .token("top")
            .request_timeout(PATIENCE);
        Admin(within(client.connect()).await.expect("connected"))
    }

    async fn end(self) {
        self.site.stop().await;
    }
}

/// A store seen through a server: what clients are told, put back into the terms of the trait.
struct Admin(Client);

fn understood<T>(answer: Result<T, ClientError>) -> Result<T, TokenError> {
    answer.map_err(|error| {
        let ClientError::Refused { reason, .. } = &error else {
            panic!("{error}");
        };
        let after = |start: &str| {
            let (_, why) = reason.text.split_once(start).expect("it says why");
            why.trim_start_matches(" - ").to_owned()
        };
        match reason.code {
            ErrorCode::TokenExists => TokenError::Exists,
            ErrorCode::TokenNotFound => TokenError::NotFound,
            ErrorCode::InvalidToken => TokenError::Invalid(after("Invalid token")),
            ErrorCode::InvalidTag => TokenError::InvalidTag(after("Invalid tag")),
            ErrorCode::StoreUnavailable => TokenError::Unavailable(after("nothing was changed")),
            ErrorCode::Uncertain => TokenError::Uncertain(after("may have been made")),
            code => panic!("{code:?}: {reason}"),
        }
    })
}

impl TokenStore for Admin {
    fn edit<'a>(&'a self, edit: &'a TokenEdit) -> BoxFuture<'a, Result<(), TokenError>> {
        Box::pin(async move {
            let (token, tags) = (edit.token()?, &edit.tags);
            let mut admin = self.0.admin().rights(edit.rights);
            if let Some(end) = edit.expires_at {
                admin = admin.ttl(Duration::from_secs(end - edit.now));
            }
            understood(match edit.kind {
                EditKind::Register => admin.register(token, tags).await,
                EditKind::Unregister => admin.unregister(token).await,
                EditKind::End => admin.end(token).await,
                EditKind::Set => admin.set(token, tags).await,
                EditKind::Unset => admin.unset(token, tags).await,
            })
        })
    }

    fn lookup<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Grants, TokenError>> {
        Box::pin(async move {
            let known = understood(self.0.admin().grants(token).await)?;
            let mut grants = Grants::of_token(token, Vec::new());
            (grants.subscribe, grants.publish) = (known.subscribe, known.publish);
            grants.expires_at = known.expires_in.map(|left| left.as_secs());
            Ok(grants)
        })
    }
}

/// An edit of both rights.
fn made(kind: EditKind, token: &str, tags: &[String]) -> TokenEdit {
    let mut edit = TokenEdit::new(kind, token);
    edit.tags = tags.to_owned();
    edit.tags.sort_unstable();
    edit
}

/// What a store is asked, in few words.
trait Words: TokenStore {
    async fn add_token(&self, token: &str, tags: &[String]) -> Result<(), TokenError> {
        self.edit(&made(EditKind::Register, token, tags)).await
    }

    async fn remove_token(&self, token: &str) -> Result<(), TokenError> {
        self.edit(&made(EditKind::Unregister, token, &[])).await
    }

    async fn add_tags(&self, token: &str, tags: &[String]) -> Result<(), TokenError> {
        self.edit(&made(EditKind::Set, token, tags)).await
    }

    async fn remove_tags(&self, token: &str, tags: &[String]) -> Result<(), TokenError> {
        self.edit(&made(EditKind::Unset, token, tags)).await
    }

    async fn tags(&self, token: &str) -> Result<Vec<String>, TokenError> {
        let grants = self.lookup(token).await?;
        assert_eq!(grants.subscribe, grants.publish, "kept tags are for both");
        Ok(grants.subscribe)
    }
}

impl<S: TokenStore + ?Sized> Words for S {}
