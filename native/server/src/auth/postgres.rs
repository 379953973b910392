//! Owns the tokens in a PostgreSQL database, in the original's tables; knows nothing of its callers.

mod address;
mod listen;
mod tls;

use std::error::Error as _;
use std::fmt::Write as _;
use std::future::ready;
use std::io;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use mist_core::{TokenEdit, TokenError, TokenName};
use mist_net::lock::Mutex;
use rustls::CertificateError;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::error::{Severity, SqlState};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, GenericClient, IsolationLevel, Transaction};

use self::address::{Address, Link};
use super::question::{Answer, Difference, Question, Told};
use mist_net::certificate_error;

/// How long a question may take in all: waiting for a connection, connecting, asking.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connections to the database.
const CONNECTIONS: usize = 4;

/// The database gives up a little before we do, and says so. A commit counts when it is on the disk, also in a database
/// that is set up otherwise. And should this process freeze in a transaction, it keeps others waiting for so long only.
const SESSION: &str = "
    SET statement_timeout = '4s';
    SET idle_in_transaction_session_timeout = '10s';
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// The original's tables.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS tokens (
        token text NOT NULL PRIMARY KEY,
        token_id serial NOT NULL UNIQUE
    );
    CREATE TABLE IF NOT EXISTS tags (
        token_id integer NOT NULL REFERENCES tokens (token_id) ON DELETE CASCADE,
        tag text NOT NULL,
        PRIMARY KEY (token_id, tag)
    )";

/// Any number, the same in all servers: of two that start at once, one waits while the other makes the tables.
const CREATION_LOCK: i64 = 0x6d69_7374;

/// A database, and connections to it that are made when they are needed.
pub(super) struct Postgres {
    address: Address,
    slots: Semaphore,
    idle: Mutex<Vec<Link>>,
}

/// Why the database did not do what it was asked.
enum Failure {
    /// It said so, and the connection can be used again.
    Refused(Error),
    /// The connection is gone, or was never made; nothing was changed.
    Lost(Error),
    /// There was no answer in time; nothing was changed.
    Late,
    /// It was about to make the change durable, and did not say whether it has.
    Uncertain(Option<Error>),
}

impl Failure {
    /// What an error of a step before the commit means.
    fn of(error: Error) -> Self {
        let refusal = error.as_db_error().and_then(|told| told.parsed_severity());
        if refusal == Some(Severity::Error) {
            Self::Refused(error)
        } else {
            Self::Lost(error)
        }
    }
}

impl Postgres {
    /// Connects to the database, and creates the tables when they are missing.
    pub(super) async fn open(uri: &str) -> Result<Self, String> {
        let store = Self {
            address: Address::parse(uri)?,
            slots: Semaphore::new(CONNECTIONS),
            idle: Mutex::default(),
        };
        match store.connect(Instant::now() + PATIENCE).await {
            Ok(link) => store.idle.lock().push(link),
            Err(failure) => return Err(store.explain(&failure)),
        }
        Ok(store)
    }

    /// Has a question answered.
    pub(super) async fn ask(&self, question: Question) -> Answer {
        refuse_nul(&question)?;
        let deadline = Instant::now() + PATIENCE;
        let Ok(_slot) = timeout_at(deadline, self.slots.acquire()).await else {
            return Err(TokenError::Unavailable(self.explain(&Failure::Late)));
        };
        loop {
            let idle = self.idle.lock().pop();
            let was_idle = idle.is_some();
            let link = match idle {
                Some(link) => Ok(link),
                None => self.connect(deadline).await,
            };
            let answer = match link {
                Ok(link) => self.ask_over(link, &question, deadline).await,
                Err(failure) => Err(failure),
            };
            let failure = match answer {
                Ok(reply) => return reply,
                // It broke while it was idle, as when the database was restarted.
                Err(Failure::Lost(_)) if was_idle => continue,
                Err(failure) => failure,
            };
            let why = self.explain(&failure);
            return Err(match failure {
                Failure::Uncertain(_) => TokenError::Uncertain(why),
                _ => TokenError::Unavailable(why),
            });
        }
    }

    async fn connect(&self, deadline: Instant) -> Result<Link, Failure> {
        let link = async {
            let mut link = self.address.connect(|_| ready(())).await?;
            link.client.batch_execute(SESSION).await?;
            create_tables(&mut link.client).await?;
            Ok(link)
        };
        match timeout_at(deadline, link).await {
            Ok(link) => link.map_err(Failure::Lost),
            Err(_) => Err(Failure::Late),
        }
    }

    async fn ask_over(
        &self,
        mut link: Link,
        question: &Question,
        deadline: Instant,
    ) -> Result<Answer, Failure> {
        let mut is_committing = false;
        let answer = carry_out(&mut link.client, question, &mut is_committing);
        let answer = match timeout_at(deadline, answer).await {
            Ok(answer) => answer.map_err(Failure::of),
            Err(_) => Err(Failure::Late),
        };
        let answer = answer.map_err(|failure| match failure {
            Failure::Lost(error) if is_committing => Failure::Uncertain(Some(error)),
            Failure::Late if is_committing => Failure::Uncertain(None),
            failure => failure,
        });
        if let Ok(_) | Err(Failure::Refused(_)) = answer {
            self.idle.lock().push(link);
        }
        answer
    }

    /// Says what is wrong where, and what to do about it.
    fn explain(&self, failure: &Failure) -> String {
        let address = &self.address;
        let (Failure::Refused(error) | Failure::Lost(error) | Failure::Uncertain(Some(error))) =
            failure
        else {
            return format!(
                "{address}: no answer within {} s - check that it runs, and that nothing holds up the network or its locks",
                PATIENCE.as_secs()
            );
        };
        let Some(told) = error.as_db_error() else {
            if let Some(why) = certificate_fault(error) {
                let what = certificate_error::words(why, address.host(), Some("sslrootcert=FILE"));
                return format!("{address}: its certificate {what}");
            }
            let mut text = format!("{address}: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                // Writing to a string does not fail.
                let _ = write!(text, ": {error}");
                cause = error.source();
            }
            return text + " - check host, port and sslmode, and that it runs";
        };
        // Its detail and hint could quote what was asked.
        let message = told.message();
        let remedy = match *told.code() {
            SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
                " - check user, password and sslmode, and the database's pg_hba.conf"
            }
            SqlState::INVALID_CATALOG_NAME => " - create it, or name another with ?db=NAME",
            SqlState::INSUFFICIENT_PRIVILEGE => {
                " - the user needs to read and change the tables tokens and tags, or to create them"
            }
            SqlState::UNDEFINED_COLUMN => {
                " - its tables tokens and tags are another program's: name another database"
            }
            _ => "",
        };
        format!("{address}: {message}{remedy}")
    }
}

/// Why the database's certificate is not accepted, if that is what is wrong.
fn certificate_fault(error: &Error) -> Option<&CertificateError> {
    let source = error.source()?.downcast_ref::<io::Error>()?;
    match source.get_ref()?.downcast_ref()? {
        rustls::Error::InvalidCertificate(why) => Some(why),
        _ => None,
    }
}

/// Asks first, since creating what is there already takes rights that a user of the tables may not have.
async fn create_tables(client: &mut Client) -> Result<(), Error> {
    let there = "SELECT to_regclass('tokens') IS NOT NULL AND to_regclass('tags') IS NOT NULL";
    let is_there: bool = client.query_typed_one(there, &[]).await?.get(0);
    if !is_there {
        let creation = client.transaction().await?;
        creation
            .batch_execute(&format!("SELECT pg_advisory_xact_lock({CREATION_LOCK})"))
            .await?;
        creation.batch_execute(TABLES).await?;
        creation.commit().await?;
    }
    let probe = "SELECT token, tag FROM tokens LEFT JOIN tags USING (token_id) LIMIT 0";
    client.batch_execute(probe).await
}

async fn carry_out(
    client: &mut Client,
    question: &Question,
    is_committing: &mut bool,
) -> Result<Answer, Error> {
    let edit = match question {
        Question::Lookup(token) => {
            return Ok(match tags(client, token).await? {
                Ok(tags) => tags.map(Told::Tags).ok_or(TokenError::NotFound),
                Err(error) => Err(error),
            });
        }
        Question::List(after, most) => return list(client, after, *most).await,
        Question::Edit(edit) => edit,
    };
    let change = client
        .build_transaction()
        .isolation_level(IsolationLevel::ReadCommitted)
        .start()
        .await?;
    let token = match edit.token() {
        Ok(token) => token,
        Err(error) => return Ok(Err(error)),
    };
    let made = make(&change, edit, token).await?;
    if made.is_ok() {
        tell(&change, token).await?;
        // Dropped without a commit, it is rolled back.
        *is_committing = true;
        change.commit().await?;
    }
    Ok(made.map(|()| Told::Tags(Vec::new())))
}

/// The tags of a token; none where there is no such token.
async fn tags(
    client: &impl GenericClient,
    token: &str,
) -> Result<Result<Option<Vec<String>>, TokenError>, Error> {
    let query = "SELECT tag FROM tokens LEFT JOIN tags USING (token_id) WHERE token = $1";
    let rows = match client.query_typed(query, &[(&token, Type::TEXT)]).await {
        Ok(rows) => rows,
        Err(error) => return unfit(error, TokenError::Invalid).map(Err),
    };
    // A token without tags is one row without a tag.
    let tags = rows.iter().filter_map(|row| row.get::<_, Option<_>>(0));
    Ok(Ok((!rows.is_empty()).then(|| tags.collect())))
}

/// The tokens behind one, in the database's order.
async fn list(client: &Client, after: &str, most: usize) -> Result<Answer, Error> {
    let query = "
        SELECT token, array_remove(array_agg(tag), NULL)
        FROM (SELECT * FROM tokens WHERE token > $1 ORDER BY token LIMIT $2) AS part
        LEFT JOIN tags USING (token_id) GROUP BY token ORDER BY token";
    let about = [(&after as _, Type::TEXT), (&(most as i64) as _, Type::INT8)];
    let rows = match client.query_typed(query, &about).await {
        Ok(rows) => rows,
        Err(error) => return unfit(error, TokenError::Invalid).map(Err),
    };
    let tokens = rows
        .iter()
        .map(|row| (TokenName::Token(row.get(0)), row.get(1)));
    Ok(Ok(Told::page(tokens.collect(), most)))
}

async fn make(
    change: &Transaction<'_>,
    edit: &TokenEdit,
    name: &str,
) -> Result<Result<(), TokenError>, Error> {
    let token = [(&name as _, Type::TEXT)];
    // Others who change the token wait until we are through.
    let lock = "SELECT token_id FROM tokens WHERE token = $1 FOR UPDATE";
    let insert = "INSERT INTO tokens (token) VALUES ($1) ON CONFLICT DO NOTHING RETURNING token_id";
    loop {
        let known = match change.query_typed_opt(lock, &token).await {
            Ok(row) => row.map(|row| row.get::<_, i32>(0)),
            Err(error) => return unfit(error, TokenError::Invalid).map(Err),
        };
        // What others have committed before we had the lock is seen here.
        let kept = match (known, edit.removes()) {
            (Some(_), false) => match tags(change, name).await? {
                Ok(tags) => tags,
                Err(error) => return Ok(Err(error)),
            },
            _ => None,
        };
        let left = match edit.apply(kept.clone()) {
            Ok(left) => left,
            Err(error) => return Ok(Err(error)),
        };
        let Some(left) = left else {
            let remove = "DELETE FROM tokens WHERE token = $1";
            change.execute_typed(remove, &token).await?;
            return Ok(Ok(()));
        };
        let id = match known {
            Some(id) => id,
            None => match change.query_typed_opt(insert, &token).await {
                Ok(Some(row)) => row.get(0),
                // Another server was faster.
                Ok(None) => continue,
                Err(error) => return unfit(error, TokenError::Invalid).map(Err),
            },
        };
        let kept = kept.unwrap_or_default();
        let Difference { removed, added } = Difference::of(&kept, &left);
        for (query, tags) in [
            (
                "DELETE FROM tags WHERE token_id = $1 AND tag = ANY ($2)",
                removed,
            ),
            (
                "INSERT INTO tags (token_id, tag) SELECT $1, unnest($2)",
                added,
            ),
        ] {
            if tags.is_empty() {
                continue;
            }
            let about = [(&id as _, Type::INT4), (&tags as _, Type::TEXT_ARRAY)];
            if let Err(error) = change.execute_typed(query, &about).await {
                return unfit(error, TokenError::InvalidTag).map(Err);
            }
        }
        return Ok(Ok(()));
    }
}

/// Tells texts that the database cannot hold from all else that goes wrong.
fn unfit(error: Error, kind: fn(String) -> TokenError) -> Result<TokenError, Error> {
    let why = match error.code() {
        Some(&SqlState::PROGRAM_LIMIT_EXCEEDED) => {
            "it is too long for an index of the database, which takes about 2,700 bytes"
        }
        Some(&SqlState::UNTRANSLATABLE_CHARACTER | &SqlState::CHARACTER_NOT_IN_REPERTOIRE) => {
            "the database's encoding lacks one of its characters"
        }
        _ => return Err(error),
    };
    Ok(kind(why.into()))
}

/// The one character that no PostgreSQL text holds.
fn refuse_nul(question: &Question) -> Result<(), TokenError> {
    let tags = match question {
        Question::Lookup(_) | Question::List(..) => &[][..],
        Question::Edit(edit) => &edit.tags,
    };
    let why = || "PostgreSQL cannot hold NUL in a text".to_owned();
    if question.token().contains('\0') {
        Err(TokenError::Invalid(why()))
    } else if tags.iter().any(|tag| tag.contains('\0')) {
        Err(TokenError::InvalidTag(why()))
    } else {
        Ok(())
    }
}

/// Has other servers hear of a change once it is committed.
async fn tell(change: &Transaction<'_>, token: &str) -> Result<(), Error> {
    let hash = BASE64_STANDARD.encode(Sha256::digest(token));
    let query = "SELECT pg_notify('mist_tokens', $1)";
    change
        .query_typed(query, &[(&hash, Type::TEXT)])
        .await
        .map(drop)
}
