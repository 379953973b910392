//! Owns the tokens in a folder of JSON files, one per token, as the original keeps them; knows nothing of its callers.
//!
//! A token is the name of its file, so no text that leaves this module may hold a path below the folder.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mist_core::{TokenEdit, TokenError, TokenName, TokenPage};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize};

use super::changed::{Changed, TokensInUse};
use super::identity::{Identity, Version};
use super::question::{Answer, Question, Told, listed};
use super::worker::{Blocking, PATIENCE};
use mist_net::file;

/// Longest name of a file on the file systems in use, less `.json`.
const LONGEST: usize = 255 - ".json".len();

/// What is written first and then takes the place of a token's file. One is enough, since one change is made at a time.
const TEMPORARY: &str = ".mist.tmp";

/// An open folder.
pub(super) struct Scribble {
    folder: PathBuf,
    /// The folder itself, to lock it and to make its entries durable.
    handle: File,
    identity: Identity,
    watch: Watch,
}

/// What is known of the files, to see what others change.
#[derive(Default)]
struct Watch {
    /// The version of each token's file at the last look; none where there was no such file. A look-up changes nothing here:
    /// what it finds may be for another session than those that go by the token.
    versions: HashMap<String, Option<Version>>,
    /// The version of the folder when all files were looked at, once that is settled.
    folder: Option<Version>,
    /// How often only the folder was looked at since then.
    skipped: usize,
}

/// Up to this many tokens in use, all of their files are checked each second. With more, most checks are of the
/// folder alone: other programs put a new file in the place of the old one, so that the folder changes with it. Some editors
/// write into the file itself.
const LOOKED_AT: usize = 1_000;
/// Looks at the folder alone, at most, until all files are looked at.
const LOOKS_AT_FOLDER: usize = 15;

/// What a file holds.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    value: String,
    /// The original writes `null` for none.
    #[serde(default, deserialize_with = "nullable")]
    tags: BTreeMap<String, Nothing>,
}

/// The original's empty struct: `{}`.
#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Nothing {}

impl Serialize for Nothing {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_map(Some(0))?.end()
    }
}

fn nullable<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, Nothing>, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// The folder in `scribble://?db=/folder`.
pub(super) fn folder(uri: &str) -> Result<PathBuf, String> {
    let (_, query) = uri.split_once('?').unwrap_or_default();
    let mut folder = None;
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match (&*name, &*value) {
            ("db", value) if !value.is_empty() && !value.contains('\0') => {
                folder = Some(PathBuf::from(value));
            }
            ("db", _) => {}
            (name, _) => return Err(format!("unknown parameter '{name}': it takes db only")),
        }
    }
    folder.ok_or_else(|| "name the folder, as in scribble://?db=/var/lib/mist".into())
}

impl Scribble {
    /// Opens the folder, creates it when it is missing, and clears away what a crash left.
    pub(super) fn open(folder: &Path) -> Result<Self, String> {
        let shown = folder.display();
        let shown = &shown;
        let cannot = |what: &'static str| {
            move |error: io::Error| format!("cannot {what} '{shown}': {error}")
        };
        let folder = std::path::absolute(folder).map_err(cannot("find"))?;
        let tokens = folder.join("tokens");
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&tokens)
            .map_err(cannot("create"))?;
        for made in [Some(folder.as_path()), folder.parent()]
            .into_iter()
            .flatten()
        {
            // It may be a folder we cannot read, or a file system that does not take it; the check below is what counts.
            let _ = File::open(made).and_then(|made| made.sync_all());
        }
        let handle = File::open(&tokens).map_err(cannot("open"))?;
        let store = Self {
            identity: Identity::of(&tokens).map_err(cannot("open"))?,
            folder: tokens,
            handle,
            watch: Watch::default(),
        };
        let lock = store
            .lock(Instant::now() + PATIENCE)
            .map_err(cannot("lock"))?;
        store
            .write_temporary(b"")
            .and_then(fs::remove_file)
            .map_err(cannot("write to"))?;
        drop(lock);
        Ok(store)
    }

    /// Keeps other servers on this folder from changing it meanwhile.
    fn lock(&self, deadline: Instant) -> io::Result<Locked<'_>> {
        loop {
            match self.handle.try_lock() {
                Ok(()) => return Ok(Locked(&self.handle)),
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(io::Error::other("another server does not let go of it"));
                }
            }
        }
    }

    fn path(&self, token: &str) -> Result<PathBuf, TokenError> {
        let why = if token.is_empty() {
            "scribble keeps it as the name of a file, which cannot be empty".into()
        } else if token == "." || token == ".." || token.contains(['/', '\0']) {
            "scribble keeps it as the name of a file, which cannot be . or .. or hold a slash or NUL".into()
        } else if token.len() > LONGEST {
            format!(
                "scribble keeps it as the name of a file, which holds {LONGEST} bytes at most; this one has {}",
                token.len()
            )
        } else {
            return Ok(self.folder.join(format!("{token}.json")));
        };
        Err(TokenError::Invalid(why))
    }

    /// Reads a token's file.
    fn load(&self, path: &Path, token: &str) -> Result<Entry, TokenError> {
        let text = file::read(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => TokenError::NotFound,
            _ => self.unavailable("read a file in", &error),
        })?;
        let entry: Entry = serde_json::from_slice(&text).map_err(|error| {
            // Its own words could quote the token.
            TokenError::Unavailable(format!(
                "the token's file in '{}' is damaged at line {}, column {}: repair it, or unregister the token",
                self.folder.display(),
                error.line(),
                error.column()
            ))
        })?;
        if entry.value == token {
            Ok(entry)
        } else {
            // A file system that takes `a` for `A` gives us the other one's file.
            Err(TokenError::Invalid(format!(
                "its file in '{}' is another token's",
                self.folder.display()
            )))
        }
    }

    fn save(&self, path: &Path, entry: &Entry) -> Result<(), TokenError> {
        let mut text = Vec::new();
        let format = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        entry
            .serialize(&mut serde_json::Serializer::with_formatter(
                &mut text, format,
            ))
            .map_err(|error| TokenError::Unavailable(error.to_string()))?;
        self.write_temporary(&text)
            .and_then(|temporary| fs::rename(temporary, path))
            .map_err(|error| {
                let _ = fs::remove_file(self.folder.join(TEMPORARY));
                self.unavailable("write to", &error)
            })?;
        self.settle()
    }

    fn write_temporary(&self, text: &[u8]) -> io::Result<PathBuf> {
        let path = self.folder.join(TEMPORARY);
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)?;
        file.write_all(text)?;
        file.sync_all()?;
        Ok(path)
    }

    /// Makes new, changed and removed names durable.
    fn settle(&self) -> Result<(), TokenError> {
        self.handle.sync_all().map_err(|error| {
            TokenError::Uncertain(format!(
                "cannot make the change in '{}' durable: {error}",
                self.folder.display()
            ))
        })
    }

    fn edit(&self, edit: &TokenEdit, deadline: Instant) -> Result<(), TokenError> {
        let token = edit.token()?;
        let path = self.path(token)?;
        let _lock = self
            .lock(deadline)
            .map_err(|error| self.unavailable("lock", &error))?;
        let kept = match self.load(&path, token) {
            Ok(entry) => Some(entry.tags.into_keys().collect()),
            Err(TokenError::NotFound) => None,
            // A damaged one can be removed, which is the way to be rid of it.
            Err(TokenError::Unavailable(_)) if edit.removes() => Some(Vec::new()),
            Err(error) => return Err(error),
        };
        let is_there = kept.is_some();
        match edit.apply(kept)? {
            Some(tags) => {
                let tags = tags.into_iter().map(|tag| (tag, Nothing {}));
                let entry = Entry {
                    value: token.to_owned(),
                    tags: tags.collect(),
                };
                self.save(&path, &entry)
            }
            None if is_there => {
                fs::remove_file(&path)
                    .map_err(|error| self.unavailable("remove a file in", &error))?;
                self.settle()
            }
            None => Ok(()),
        }
    }

    fn unavailable(&self, what: &str, error: &io::Error) -> TokenError {
        let folder = self.folder.display();
        TokenError::Unavailable(format!("cannot {what} '{folder}': {error}"))
    }
}

impl Scribble {
    /// The tokens in use whose files have changed since the last check, and those that were not in use then.
    fn changed(&mut self, in_use: &TokensInUse) -> io::Result<Vec<Changed>> {
        let folder = Version::of(&self.handle.metadata()?);
        let is_same = self.watch.folder == Some(folder);
        let most = (self.watch.versions.len() / LOOKED_AT).min(LOOKS_AT_FOLDER);
        if is_same && self.watch.skipped < most {
            self.watch.skipped += 1;
            return Ok(Vec::new());
        }
        let tokens = in_use.list();
        let (mut changed, mut versions) = (Vec::new(), HashMap::with_capacity(tokens.len()));
        for token in tokens {
            let Ok(path) = self.path(&token) else {
                continue;
            };
            let version = match fs::metadata(path) {
                Ok(found) => Some(Version::of(&found)),
                Err(error) if error.kind() == ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
            if self.watch.versions.get(&token) != Some(&version) {
                changed.push(Changed::Token(token.clone()));
            }
            versions.insert(token, version);
        }
        self.watch = Watch {
            versions,
            folder: Some(folder).filter(Version::is_settled),
            skipped: 0,
        };
        Ok(changed)
    }
}

impl Scribble {
    /// The tokens with names after this one. Each page reads the names of all.
    fn list(&self, after: &str, most: usize) -> io::Result<TokenPage> {
        let mut names = Vec::new();
        for file in fs::read_dir(&self.folder)? {
            let file = file?.file_name();
            let name = file.to_str().and_then(|name| name.strip_suffix(".json"));
            names.extend(name.filter(|name| *name > after).map(String::from));
        }
        names.sort_unstable();
        let has_more = names.len() > most;
        names.truncate(most);
        let next = names.last().filter(|_| has_more).cloned();
        let tokens = names.into_iter().filter_map(|name| {
            let entry = self.load(&self.path(&name).ok()?, &name);
            let tags = match entry {
                Ok(entry) => entry.tags.into_keys().collect(),
                // It may have gone, or be another one's.
                Err(TokenError::NotFound | TokenError::Invalid(_)) => return None,
                // A damaged one grants nothing.
                Err(_) => Vec::new(),
            };
            Some(listed(TokenName::Token(name), tags))
        });
        let tokens = tokens.collect();
        Ok(TokenPage { tokens, next })
    }
}

impl Blocking for Scribble {
    fn answer(&mut self, question: &Question, deadline: Instant) -> Answer {
        self.identity.check()?;
        match question {
            Question::Lookup(token) => {
                let entry = self.load(&self.path(token)?, token)?;
                Ok(Told::Tags(entry.tags.into_keys().collect()))
            }
            Question::Edit(edit) => {
                self.edit(edit, deadline)?;
                Ok(Told::Tags(Vec::new()))
            }
            Question::List(after, most) => {
                let page = self.list(after, *most);
                let page = page.map_err(|error| self.unavailable("list the files in", &error));
                page.map(Told::Page)
            }
        }
    }

    fn changes(&mut self, in_use: &TokensInUse) -> Result<Vec<Changed>, TokenError> {
        self.identity.check()?;
        self.changed(in_use)
            .map_err(|error| self.unavailable("look at a file in", &error))
    }
}

/// The folder, locked until this is dropped.
struct Locked<'a>(&'a File);

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str =
        "{\n\t\"Value\": \"tök\\u0026en\",\n\t\"Tags\": {\n\t\t\"a\": {},\n\t\t\"b\": {}\n\t}\n}";
    const TOKEN: &str = "tök&en";

    fn ask(store: &mut Scribble) -> Answer {
        let token = TOKEN.into();
        store.answer(&Question::Lookup(token), Instant::now())
    }

    #[test]
    fn a_file_is_whole_or_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = Scribble::open(folder.path()).expect("it opens");
        let path = folder.path().join(format!("tokens/{TOKEN}.json"));
        let mut load = |bytes: &[u8]| {
            fs::write(&path, bytes).expect("written");
            ask(&mut store)
        };
        let tags = Ok(Told::Tags(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(load(WHOLE.as_bytes()), tags);
        for end in 0..WHOLE.len() {
            let half = load(&WHOLE.as_bytes()[..end]);
            assert!(
                matches!(half, Err(TokenError::Unavailable(_))),
                "{end} bytes: {half:?}"
            );
        }
        for at in 0..WHOLE.len() {
            for bit in 0..8 {
                let mut bytes = WHOLE.as_bytes().to_vec();
                bytes[at] ^= 1 << bit;
                // A changed tag is still a tag; but no other token is taken for this one, and nothing panics.
                if let Ok(Told::Tags(tags)) = load(&bytes) {
                    assert!(tags.len() <= 2, "{tags:?}");
                }
            }
        }
    }

    #[test]
    fn a_uri_names_a_folder() {
        assert_eq!(folder("scribble://?db=/a/b"), Ok("/a/b".into()));
        assert_eq!(folder("scribble://?db=rel%20ative"), Ok("rel ative".into()));
        for uri in [
            "scribble",
            "scribble://?",
            "scribble://?db=%00",
            "scribble://?path=/a",
        ] {
            assert!(folder(uri).is_err(), "{uri}");
        }
    }
}
