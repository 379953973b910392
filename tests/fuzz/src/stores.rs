//! Stored token files of any content: an answer or an error, and what a store says it has changed is changed.

use std::sync::{Arc, OnceLock};

use mist::auth::{EditKind, TokenEdit, TokenError, TokenStore};

use crate::{folder, runtime};

const TOKEN: &str = "token";

/// A changed store answers with what was changed; nothing is concluded from one that is damaged.
async fn use_it(store: &dyn TokenStore) {
    let before = store.tags(TOKEN).await;
    let added = store.add_tags(TOKEN, &["added".into()]).await;
    let after = store.tags(TOKEN).await;
    match (before, added) {
        (Ok(mut before), Ok(())) => {
            before.push("added".into());
            before.sort();
            before.dedup();
            let mut after = after.expect("it could be read before");
            after.sort();
            assert_eq!(after, before);
        }
        (Err(TokenError::NotFound), added) => {
            assert!(added.is_err(), "tags for a token that is not there");
        }
        _ => {}
    }
}

pub(crate) fn fuzz_scribble(bytes: &[u8]) {
    static STORE: OnceLock<(tempfile::TempDir, Arc<dyn TokenStore>)> = OnceLock::new();
    let (home, store) = STORE.get_or_init(|| {
        let home = folder();
        let uri = format!("scribble://?db={}", home.path().display());
        let store = runtime().block_on(mist::auth::open(&uri));
        (home, store.expect("an empty folder"))
    });
    let path = home.path().join(format!("tokens/{TOKEN}.json"));
    std::fs::write(path, bytes).expect("it is written");
    runtime().block_on(async {
        use_it(&**store).await;
        // Whatever is in it, it can be got rid of, unless it is another token's.
        match store.remove_token(TOKEN).await {
            Ok(()) => assert_eq!(store.tags(TOKEN).await, Err(TokenError::NotFound)),
            Err(TokenError::Invalid(_)) => {}
            Err(error) => panic!("{error}"),
        }
    });
}

pub(crate) fn fuzz_sqlite(bytes: &[u8]) {
    let home = folder();
    let path = home.path().join("tokens.db");
    std::fs::write(&path, bytes).expect("it is written");
    let uri = format!("sqlite://{}", path.display());
    runtime().block_on(async {
        if let Ok(store) = mist::auth::open(&uri).await {
            use_it(&*store).await;
            if store.add_token("new", &["tag".into()]).await.is_ok() {
                // What is damaged elsewhere may hinder reading, but not change what is read.
                let tags = store.tags("new").await;
                assert!(tags.is_err() || tags == Ok(vec!["tag".into()]), "{tags:?}");
            }
        }
    });
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

    async fn tags(&self, token: &str) -> Result<Vec<String>, TokenError> {
        let grants = self.lookup(token).await?;
        assert_eq!(grants.subscribe, grants.publish, "kept tags are for both");
        Ok(grants.subscribe)
    }
}

impl<S: TokenStore + ?Sized> Words for S {}
