//! A custom token store: here a JSON file that is rewritten at each change.
//!
//! Run it with `cargo run --example custom_store -- tokens.json`. `mist token add desk news --token SECRET` then registers
//! a token that may subscribe to sets with the tag `news`, and that is still registered when this runs again.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use mist::auth::{Grants, TokenEdit, TokenError, TokenStore};
use mist::{Access, Server, ServerBuilder};

/// What is kept with each token.
type Tokens = BTreeMap<String, Vec<String>>;

struct FileStore(Arc<Kept>);

struct Kept {
    path: PathBuf,
    tokens: Mutex<Tokens>,
}

impl FileStore {
    fn open(path: &Path) -> io::Result<Self> {
        let tokens = match fs::read(path) {
            Ok(text) => serde_json::from_slice(&text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Tokens::new(),
            Err(error) => return Err(error),
        };
        let (path, tokens) = (path.to_owned(), Mutex::new(tokens));
        Ok(Self(Arc::new(Kept { path, tokens })))
    }
}

impl Kept {
    fn edit(&self, edit: &TokenEdit) -> Result<(), TokenError> {
        let token = edit.token()?;
        // Held until the end, so that no other change comes in between.
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = tokens.clone();
        let kept = changed.remove(token);
        if let Some(tags) = edit.apply(kept)? {
            changed.insert(token.to_owned(), tags);
        }
        // The client is answered once this returns: the change must be on the disk by then.
        let written = self.write(&changed);
        written.map_err(|error| TokenError::Unavailable(error.to_string()))?;
        *tokens = changed;
        Ok(())
    }

    fn write(&self, tokens: &Tokens) -> io::Result<()> {
        let new = self.path.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(tokens)?)?;
        file.sync_all()?;
        fs::rename(new, &self.path)
    }
}

impl TokenStore for FileStore {
    fn edit<'a>(&'a self, edit: &'a TokenEdit) -> BoxFuture<'a, Result<(), TokenError>> {
        let (kept, edit) = (Arc::clone(&self.0), edit.clone());
        Box::pin(async {
            // Files block, and the server's threads must not.
            let edited = tokio::task::spawn_blocking(move || kept.edit(&edit)).await;
            edited.unwrap_or_else(|error| Err(TokenError::Uncertain(error.to_string())))
        })
    }

    fn lookup<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Grants, TokenError>> {
        Box::pin(async move {
            let tokens = self.0.tokens.lock().unwrap_or_else(PoisonError::into_inner);
            let tags = tokens.get(token).ok_or(TokenError::NotFound)?;
            Ok(Grants::of_token(token, tags.clone()))
        })
    }
}

/// What this shows; a test runs it, too.
pub(crate) fn with_store(server: ServerBuilder, path: &Path) -> io::Result<ServerBuilder> {
    let server = server.token("SECRET").access(Access::Scoped);
    Ok(server.verifier(FileStore::open(path)?))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1);
    let path = path.ok_or("name a file for the tokens: tokens.json")?;
    let server = Server::builder().listen("tcp://127.0.0.1:1445");
    let server = with_store(server, path.as_ref())?.bind().await?;
    eprintln!("listening on {}", server.addresses()[0]);
    server
        .run(async {
            let _ = tokio::signal::ctrl_c().await;
        })
        .await;
    Ok(())
}
