//! Owns the tokens in an SQLite database, as hashes; knows nothing of its callers.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mist_core::{TokenEdit, TokenError, TokenName};
use percent_encoding::percent_decode_str;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, TransactionBehavior};
use sha2::{Digest, Sha256};

use super::changed::{Changed, TokensInUse};
use super::hash::sha256_of;
use super::identity::Identity;
use super::question::{Answer, Difference, Question, Told};
use super::worker::{Blocking, PATIENCE};

/// "mist" in ASCII, in the database's header.
const APPLICATION: i32 = 0x6d69_7374;

/// The version of the tables below, in the database's header.
const SCHEMA: i32 = 1;

const TABLES: &str = "
    CREATE TABLE tokens (
        id INTEGER PRIMARY KEY,
        sha256 BLOB NOT NULL UNIQUE
    ) STRICT;
    CREATE TABLE tags (
        token_id INTEGER NOT NULL REFERENCES tokens (id) ON DELETE CASCADE,
        tag TEXT NOT NULL,
        PRIMARY KEY (token_id, tag)
    ) STRICT, WITHOUT ROWID;
";

/// A record of the last changes by any program, by which servers notice those of others. It is no part of the
/// schema's version: older servers neither need it nor mind it, and keep it up too.
const RECORD: &str = "
    CREATE TABLE IF NOT EXISTS changes (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        sha256 BLOB NOT NULL
    ) STRICT;
    CREATE TRIGGER IF NOT EXISTS changes_bound AFTER INSERT ON changes BEGIN
        DELETE FROM changes WHERE id <= NEW.id - 10000;
    END;
    CREATE TRIGGER IF NOT EXISTS token_removed AFTER DELETE ON tokens BEGIN
        INSERT INTO changes (sha256) VALUES (OLD.sha256);
    END;
    CREATE TRIGGER IF NOT EXISTS token_updated AFTER UPDATE ON tokens BEGIN
        INSERT INTO changes (sha256) VALUES (OLD.sha256);
    END;
    CREATE TRIGGER IF NOT EXISTS tag_added AFTER INSERT ON tags BEGIN
        INSERT INTO changes (sha256) SELECT sha256 FROM tokens WHERE id = NEW.token_id;
    END;
    CREATE TRIGGER IF NOT EXISTS tag_removed AFTER DELETE ON tags BEGIN
        INSERT INTO changes (sha256) SELECT sha256 FROM tokens WHERE id = OLD.token_id;
    END;
    CREATE TRIGGER IF NOT EXISTS tag_updated AFTER UPDATE ON tags BEGIN
        INSERT INTO changes (sha256) SELECT sha256 FROM tokens WHERE id IN (OLD.token_id, NEW.token_id);
    END;
";

/// An open database.
pub(super) struct Sqlite {
    connection: Connection,
    /// The last change that was seen.
    seen: i64,
    path: PathBuf,
    identity: Identity,
}

/// The path in `sqlite:///path/to.db` or `sqlite://relative.db`.
pub(super) fn path(uri: &str) -> Result<PathBuf, String> {
    let path = uri.split_once("://").map_or("", |(_, path)| path);
    if path.contains(['?', '#']) {
        return Err("it takes no parameters; write ? and # in the path as %3F and %23".into());
    }
    let path = percent_decode_str(path).decode_utf8();
    match path {
        Ok(path) if path == ":memory:" => Err("use memory:// to keep tokens in memory".into()),
        Ok(path) if !path.is_empty() && !path.contains('\0') => Ok(PathBuf::from(path.as_ref())),
        _ => Err("name the file, as in sqlite:///var/lib/mist/tokens.db".into()),
    }
}

impl Sqlite {
    /// Opens the database, and creates what is missing.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        // SQLite would open a file that cannot be written for reading only, and make new ones readable for everybody.
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options
            .open(path)
            .map_err(|error| format!("cannot write '{shown}': {error}"))?;
        drop(file);
        // The working directory may change later, and `file:` in front would mean something to SQLite.
        let path = std::path::absolute(path).map_err(|error| format!("'{shown}': {error}"))?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_with_flags(&path, flags).and_then(|mut connection| {
            let seen = match prepare(&mut connection)? {
                Found::Ours => Ok(last_change(&connection)?),
                found => Err(found),
            };
            Ok((connection, seen))
        });
        match opened {
            Ok((connection, Ok(seen))) => Ok(Self {
                connection,
                seen,
                identity: Identity::of(&path).map_err(|error| format!("'{shown}': {error}"))?,
                path,
            }),
            Ok((_, Err(Found::Newer(schema)))) => Err(format!(
                "'{shown}' was written by a newer mist (schema {schema}, this one knows {SCHEMA}): update mist"
            )),
            Ok((_, Err(_))) => Err(format!(
                "'{shown}' is a database of another program: name a file of its own"
            )),
            Err(error) => Err(explain(&path, &error)),
        }
    }

    fn edit(&mut self, edit: &TokenEdit) -> rusqlite::Result<Answer> {
        let hash = sha256_of(&edit.name);
        let hash = hash.as_slice();
        // Taking the write lock at once, it never fails halfway because another program was faster, nor does that change
        // the token in between.
        let change = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let known: Option<i64> = change
            .prepare_cached("SELECT id FROM tokens WHERE sha256 = ?1")?
            .query_row([hash], |row| row.get(0))
            .optional()?;
        let kept = match known {
            // Also one with something in it that cannot be read.
            Some(_) if edit.removes() => Some(Vec::new()),
            _ => tags(&change, hash)?,
        };
        let left = match edit.apply(kept.clone()) {
            Ok(left) => left,
            Err(error) => return Ok(Err(error)),
        };
        match (known, left) {
            (None, None) => {}
            (Some(id), None) => {
                change
                    .prepare_cached("DELETE FROM tokens WHERE id = ?1")?
                    .execute([id])?;
            }
            (known, Some(left)) => {
                let id = match known {
                    Some(id) => id,
                    None => insert(&change, hash)?,
                };
                let kept = kept.unwrap_or_default();
                let Difference { removed, added } = Difference::of(&kept, &left);
                let remove = "DELETE FROM tags WHERE token_id = ?1 AND tag = ?2";
                let mut remove = change.prepare_cached(remove)?;
                for tag in removed {
                    remove.execute((id, tag))?;
                }
                let add = "INSERT INTO tags (token_id, tag) VALUES (?1, ?2)";
                let mut add = change.prepare_cached(add)?;
                for tag in added {
                    add.execute((id, tag))?;
                }
            }
        }
        change.commit()?;
        Ok(Ok(Told::Tags(Vec::new())))
    }

    /// The tokens with hashes after this one, in hexadecimal digits.
    fn list(&self, after: &str, most: usize) -> rusqlite::Result<Answer> {
        let Some(after) = bytes(after) else {
            let why = "write the first digits of its SHA-256, an even number of hexadecimal ones";
            return Ok(Err(TokenError::Invalid(why.into())));
        };
        let mut rows = self.connection.prepare_cached(
            "SELECT sha256, tag FROM (SELECT * FROM tokens WHERE sha256 > ?1 ORDER BY sha256 LIMIT ?2) AS part
            LEFT JOIN tags ON token_id = part.id ORDER BY sha256",
        )?;
        let rows = rows.query_map((after, most as i64), |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut tokens: Vec<(TokenName, Vec<String>)> = Vec::new();
        for row in rows {
            let (hash, tag): ([u8; 32], Option<String>) = row?;
            let name = TokenName::Hash(hash);
            match tokens.last_mut() {
                Some((last, tags)) if *last == name => tags.extend(tag),
                _ => tokens.push((name, tag.into_iter().collect())),
            }
        }
        Ok(Ok(Told::page(tokens, most)))
    }

    /// The changes on record that were not seen yet, our own among them.
    fn new_changes(&mut self) -> rusqlite::Result<Vec<Changed>> {
        let record = self.connection.transaction()?;
        let last = last_change(&record)?;
        let seen = std::mem::replace(&mut self.seen, last);
        if last == seen {
            return Ok(Vec::new());
        }
        let oldest = "SELECT coalesce(min(id), 0) FROM changes";
        let oldest: i64 = record.query_row(oldest, [], |row| row.get(0))?;
        // It was shortened meanwhile, or is another, since a copy was restored.
        if last < seen || oldest > seen + 1 {
            return Ok(vec![Changed::Any]);
        }
        let query = "SELECT DISTINCT sha256 FROM changes WHERE id > ?1";
        let mut rows = record.prepare_cached(query)?;
        let hashes = rows.query_map([seen], |row| row.get(0))?;
        hashes.map(|hash| hash.map(Changed::Hash)).collect()
    }
}

impl Blocking for Sqlite {
    fn answer(&mut self, question: &Question, deadline: Instant) -> Answer {
        self.identity.check()?;
        let left = deadline.saturating_duration_since(Instant::now());
        let answer = self
            .connection
            .busy_timeout(left)
            .and_then(|()| match question {
                Question::Lookup(token) => {
                    let tags = tags(&self.connection, &Sha256::digest(token))?;
                    Ok(tags.map(Told::Tags).ok_or(TokenError::NotFound))
                }
                Question::Edit(edit) => self.edit(edit),
                Question::List(after, most) => self.list(after, *most),
            });
        answer.unwrap_or_else(|error| Err(TokenError::Unavailable(explain(&self.path, &error))))
    }

    fn changes(&mut self, _: &TokensInUse) -> Result<Vec<Changed>, TokenError> {
        self.identity.check()?;
        self.new_changes()
            .map_err(|error| TokenError::Unavailable(explain(&self.path, &error)))
    }
}

/// The tags of a token; none where there is no such token.
fn tags(connection: &Connection, hash: &[u8]) -> rusqlite::Result<Option<Vec<String>>> {
    let mut rows = connection.prepare_cached(
        "SELECT tags.tag FROM tokens LEFT JOIN tags ON tags.token_id = tokens.id WHERE tokens.sha256 = ?1",
    )?;
    let rows = rows.query_map([hash], |row| row.get(0))?;
    // A token without tags is one row without a tag.
    let rows: Vec<Option<String>> = rows.collect::<Result<_, _>>()?;
    Ok((!rows.is_empty()).then(|| rows.into_iter().flatten().collect()))
}

/// Adds a token without tags.
fn insert(connection: &Connection, hash: &[u8]) -> rusqlite::Result<i64> {
    connection
        .prepare_cached("INSERT INTO tokens (sha256) VALUES (?1)")?
        .execute([hash])?;
    let id = connection.last_insert_rowid();
    // Tokens that were deleted by hand may have left their tags behind, and numbers are reused.
    connection
        .prepare_cached("DELETE FROM tags WHERE token_id = ?1")?
        .execute([id])?;
    Ok(id)
}

/// What hexadecimal digits stand for.
fn bytes(digits: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = digits.as_bytes().chunks(2).map(|pair| {
        let value = 16 * digit(pair[0])? + digit(*pair.get(1)?)?;
        u8::try_from(value).ok()
    });
    pairs.collect()
}

fn last_change(connection: &Connection) -> rusqlite::Result<i64> {
    let query = "SELECT coalesce(max(id), 0) FROM changes";
    connection
        .prepare_cached(query)?
        .query_row([], |row| row.get(0))
}

/// Which program's database it is.
enum Found {
    Ours,
    Newer(i32),
    Foreign,
}

fn prepare(connection: &mut Connection) -> rusqlite::Result<Found> {
    connection.busy_timeout(PATIENCE)?;
    // First of all, so that another program's database is not changed.
    if let Some(found @ (Found::Newer(_) | Found::Foreign)) = look(connection)? {
        return Ok(found);
    }
    switch_to_wal(connection)?;
    // A change is on the disk when its commit returns.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    let creation = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another server may have been faster.
    let found = match look(&creation)? {
        Some(found) => found,
        None => {
            creation.execute_batch(TABLES)?;
            creation.pragma_update(None, "application_id", APPLICATION)?;
            creation.pragma_update(None, "user_version", SCHEMA)?;
            Found::Ours
        }
    };
    if let Found::Ours = found {
        creation.execute_batch(RECORD)?;
    }
    creation.commit()?;
    Ok(found)
}

/// Which program's database it is; `None` if it is still empty.
fn look(connection: &Connection) -> rusqlite::Result<Option<Found>> {
    let number = |query: &str| connection.query_row(query, [], |row| row.get::<_, i32>(0));
    let application = number("PRAGMA application_id")?;
    let schema = number("PRAGMA user_version")?;
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    Ok(match (application, schema) {
        (0, 0) if tables == 0 => None,
        (APPLICATION, SCHEMA) => Some(Found::Ours),
        (APPLICATION, newer) => Some(Found::Newer(newer)),
        _ => Some(Found::Foreign),
    })
}

/// Writers and readers do not wait for each other then. SQLite does not wait for others while it switches, so we do.
fn switch_to_wal(connection: &Connection) -> rusqlite::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && Instant::now() < deadline =>
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            done => return done,
        }
    }
}

fn explain(path: &Path, error: &rusqlite::Error) -> String {
    let path = path.display();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => format!("no space left on the disk of '{path}'"),
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen) => {
            format!("'{path}' or its folder cannot be written")
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => format!(
            "another program has locked '{path}' for more than {} s",
            PATIENCE.as_secs()
        ),
        Some(ErrorCode::NotADatabase) => {
            format!("'{path}' is not an SQLite database: name another file")
        }
        Some(ErrorCode::DatabaseCorrupt) => {
            format!("'{path}' is damaged: restore it from a backup")
        }
        Some(ErrorCode::SystemIoFailure) => format!(
            "'{path}' cannot be read or written: check its disk, and that no other program changes its files"
        ),
        Some(_) => format!("'{path}': {error}"),
        // What is in it is of another type, or no text.
        None => format!("'{path}' holds what mist did not write: restore it from a backup"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_names_a_file() {
        let named = |uri| path(uri).map(|path| path.to_string_lossy().into_owned());
        assert_eq!(named("sqlite:///a/b.db").as_deref(), Ok("/a/b.db"));
        assert_eq!(named("sqlite://b.db").as_deref(), Ok("b.db"));
        assert_eq!(named("sqlite://a%20%3F.db").as_deref(), Ok("a ?.db"));
        for uri in [
            "sqlite:",
            "sqlite://",
            "sqlite://:memory:",
            "sqlite://%00",
            "sqlite://%ff",
            "sqlite:///a?mode=ro",
        ] {
            assert!(named(uri).is_err(), "{uri}");
        }
    }
}
