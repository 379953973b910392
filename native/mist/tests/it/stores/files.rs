//! What the stores leave on the disk, and what they make of files that are not as they left them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rusqlite::Connection;

use super::*;

async fn refusal(uri: &str) -> String {
    match within(mist::auth::open(uri)).await {
        Ok(_) => panic!("{uri} was opened"),
        Err(why) => why,
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path)
        .expect("it is there")
        .permissions()
        .mode()
        & 0o777
}

/// All files below a folder with what they hold.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<_> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy();
            (name.into_owned(), fs::read(&path).expect("a file"))
        })
        .collect();
    found.sort();
    found
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|part| part == text.as_bytes())
}

#[tokio::test]
async fn no_token_stands_in_a_database() {
    let home = Home::new(Kind::Sqlite).expect("it needs nothing");
    let store = home.open().await;
    let (token, tag) = ("sesame-open-sesame", "a-tag-to-be-found");
    store.add_token(token, &tags(&[tag])).await.expect("made");
    let found = files(home.folder.path());
    assert!(found.iter().any(|(_, bytes)| holds(bytes, tag)));
    for (name, bytes) in found {
        assert!(!holds(&bytes, token), "{name}");
        assert_eq!(mode(&home.folder.path().join(&name)), 0o600, "{name}");
    }
}

#[tokio::test]
async fn a_database_that_is_not_ours_is_left_alone() {
    let home = Home::new(Kind::Sqlite).expect("it needs nothing");
    let folder = home.folder.path();
    let path = |name: &str| folder.join(name);
    fs::write(path("text"), "Dear diary,\n".repeat(1000)).expect("written");
    Connection::open(path("other"))
        .and_then(|other| other.execute_batch("CREATE TABLE tokens (x); PRAGMA user_version = 1"))
        .expect("made");
    home.open().await;
    Connection::open(path("tokens.db"))
        .and_then(|newer| newer.pragma_update(None, "user_version", 7))
        .expect("changed");
    fs::create_dir(path("folder")).expect("made");
    for (name, why) in [
        ("text", "is not an SQLite database"),
        ("other", "is a database of another program"),
        (
            "tokens.db",
            "was written by a newer mist (schema 7, this one knows 1)",
        ),
        ("folder", "Is a directory"),
        ("missing/tokens.db", "No such file or directory"),
    ] {
        let path = path(name);
        let before = fs::read(&path).ok();
        let refusal = refusal(&format!("sqlite://{}", path.display())).await;
        assert!(refusal.contains(why), "{refusal}");
        assert!(refusal.contains(&path.display().to_string()), "{refusal}");
        assert_eq!(fs::read(&path).ok(), before, "{name}");
    }
}

/// `sqlite3` in a shell does not follow references, and gives the number of a deleted row again.
#[tokio::test]
async fn a_new_token_has_no_tags_of_one_that_was_deleted_by_hand() {
    let home = Home::new(Kind::Sqlite).expect("it needs nothing");
    let store = home.open().await;
    store
        .add_token("old", &tags(&["all"]))
        .await
        .expect("added");
    Connection::open(home.folder.path().join("tokens.db"))
        .and_then(|shell| shell.execute_batch("PRAGMA foreign_keys = OFF; DELETE FROM tokens"))
        .expect("deleted");
    store
        .add_token("new", &tags(&["few"]))
        .await
        .expect("added");
    assert_eq!(store.tags("new").await, Ok(tags(&["few"])));
}

#[tokio::test]
async fn a_damaged_database_is_said_to_be() {
    let home = Home::new(Kind::Sqlite).expect("it needs nothing");
    let path = home.folder.path().join("tokens.db");
    let store = home.open().await;
    for number in 0..200 {
        let token = format!("t{number}");
        store.add_token(&token, &tags(&["a"])).await.expect("made");
    }
    drop(store);
    // Closing it here moves all from the log into the file itself.
    let whole = Connection::open(&path).expect("it opens");
    whole
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .expect("done");
    drop(whole);
    let mut bytes = fs::read(&path).expect("a file");
    let length = bytes.len();
    bytes[4096..length].fill(0x5a);
    fs::write(&path, bytes).expect("written");
    let told = match mist::auth::open(&home.uri()).await {
        Err(why) => why,
        Ok(store) => match store.tags("t7").await {
            Err(TokenError::Unavailable(why)) => why,
            other => panic!("{other:?}"),
        },
    };
    assert!(told.contains("is damaged: restore it"), "{told}");
}

#[tokio::test]
async fn a_database_that_another_program_holds_is_an_error_until_it_lets_go() {
    let home = Home::new(Kind::Sqlite).expect("it needs nothing");
    let store = home.open().await;
    store.add_token("t", &tags(&["a"])).await.expect("made");
    let other = Connection::open(home.folder.path().join("tokens.db")).expect("it opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("begun");
    let (a, b) = (tags(&["b"]), tags(&["c"]));
    let both = within(async { tokio::join!(store.add_tags("t", &a), store.add_tags("t", &b)) });
    // The second does not wait all over again.
    let (first, second) = both.await;
    for answer in [first, second] {
        let Err(TokenError::Unavailable(why)) = answer else {
            panic!("{answer:?}");
        };
        assert!(why.contains("another program has locked"), "{why}");
    }
    // Logins are not held up.
    assert_eq!(store.tags("t").await, Ok(tags(&["a"])));
    other.execute_batch("ROLLBACK").expect("ended");
    assert_eq!(store.add_tags("t", &a).await, Ok(()));
    assert_eq!(store.tags("t").await, Ok(tags(&["a", "b"])));
}

#[tokio::test]
async fn scribble_writes_what_the_original_writes() {
    let home = Home::new(Kind::Scribble).expect("it needs nothing");
    let store = home.open().await;
    let tokens = home.folder.path().join("tokens");
    store
        .add_token("desk", &tags(&["b", "a"]))
        .await
        .expect("made");
    store.add_token("bare", &[]).await.expect("made");
    let desk = "{\n\t\"Value\": \"desk\",\n\t\"Tags\": {\n\t\t\"a\": {},\n\t\t\"b\": {}\n\t}\n}";
    let bare = "{\n\t\"Value\": \"bare\",\n\t\"Tags\": {}\n}";
    let found = [
        ("bare.json".to_owned(), bare.into()),
        ("desk.json".to_owned(), desk.into()),
    ];
    assert_eq!(files(&tokens), found);
    assert_eq!(mode(&tokens), 0o700);
    assert_eq!(mode(&tokens.join("desk.json")), 0o600);
    store.remove_token("desk").await.expect("removed");
    assert_eq!(files(&tokens), found[..1]);
}

#[tokio::test]
async fn a_folder_of_the_original_is_taken_over() {
    let home = Home::new(Kind::Scribble).expect("it needs nothing");
    let tokens = home.folder.path().join("tokens");
    fs::create_dir(&tokens).expect("made");
    for (name, text) in [
        (
            "a<b",
            "{\n\t\"Value\": \"a\\u003cb\",\n\t\"Tags\": {\n\t\t\"x\\u0026y\": {},\n\t\t\"z\": {}\n\t}\n}",
        ),
        ("none", "{\"Value\":\"none\",\"Tags\":null}"),
        (
            "more",
            "{\"Value\":\"more\",\"Since\":2016,\"Tags\":{\"q\":{}}}\n",
        ),
    ] {
        fs::write(tokens.join(format!("{name}.json")), text).expect("written");
    }
    // What a crash of the original leaves is not a token, and one of ours neither.
    fs::write(tokens.join("half.json.tmp"), "{\n\t\"Val").expect("written");
    fs::write(tokens.join(".mist.tmp"), "{\n\t\"Val").expect("written");
    let store = home.open().await;
    assert!(!tokens.join(".mist.tmp").exists());
    assert_eq!(store.tags("a<b").await, Ok(tags(&["x&y", "z"])));
    assert_eq!(store.tags("none").await, Ok(vec![]));
    assert_eq!(store.tags("more").await, Ok(tags(&["q"])));
    assert_eq!(store.tags("half").await, Err(TokenError::NotFound));
    store
        .add_tags("none", &tags(&["n"]))
        .await
        .expect("changed");
    store
        .remove_tags("a<b", &tags(&["z"]))
        .await
        .expect("changed");
    let store = home.open().await;
    assert_eq!(store.tags("none").await, Ok(tags(&["n"])));
    assert_eq!(store.tags("a<b").await, Ok(tags(&["x&y"])));
}

#[tokio::test]
async fn a_damaged_file_costs_its_own_token_only() {
    let home = Home::new(Kind::Scribble).expect("it needs nothing");
    let tokens = home.folder.path().join("tokens");
    let house = House::at(&home.uri()).await.expect("it starts");
    let admin = house.admin().await;
    admin.add_token("whole", &tags(&["a"])).await.expect("made");
    for (damage, at) in [
        ("", "line 1, column 0"),
        ("{\n\t\"Value\": \"secret", "line 2, column"),
        ("\"secret\"", "line 1, column"),
        ("{\"Tags\":{}}", "line 1, column"),
        ("{\"Value\":\"secret\",\"Tags\":[\"a\"]}", "line 1, column"),
        (
            "{\"Value\":\"secret\",\"Tags\":{\"a\":7}}",
            "line 1, column",
        ),
        ("{\"Value\":\"secret\"} {", "line 1, column"),
    ] {
        fs::write(tokens.join("secret.json"), damage).expect("written");
        let asked = [
            admin.add_token("secret", &[]).await,
            admin.add_tags("secret", &tags(&["a"])).await,
            admin.remove_tags("secret", &tags(&["a"])).await,
            admin.tags("secret").await.map(|_| ()),
        ];
        for answer in asked {
            let Err(TokenError::Unavailable(why)) = answer else {
                panic!("{damage}: {answer:?}");
            };
            assert!(why.contains("is damaged at"), "{why}");
            assert!(why.contains(at), "{damage}: {why}");
            assert!(!why.contains("secret"), "{why}");
        }
        assert_eq!(
            fs::read(tokens.join("secret.json")).ok(),
            Some(damage.into())
        );
        assert_eq!(admin.tags("whole").await, Ok(tags(&["a"])));
    }
    assert_eq!(admin.remove_token("secret").await, Ok(()));
    assert_eq!(admin.add_token("secret", &tags(&["b"])).await, Ok(()));
    assert_eq!(admin.tags("secret").await, Ok(tags(&["b"])));
    drop(admin);
    house.end().await;
}

#[tokio::test]
async fn a_file_with_another_tokens_value_is_not_taken_for_it() {
    let home = Home::new(Kind::Scribble).expect("it needs nothing");
    let store = home.open().await;
    // As a file system that does not tell `Admin` from `admin` would show it.
    let path = home.folder.path().join("tokens/admin.json");
    let text = "{\"Value\":\"Admin\",\"Tags\":{\"all\":{}}}";
    fs::write(&path, text).expect("written");
    for answer in [
        store.tags("admin").await.map(|_| ()),
        store.add_token("admin", &[]).await,
        store.add_tags("admin", &tags(&["a"])).await,
        store.remove_token("admin").await,
    ] {
        assert!(matches!(answer, Err(TokenError::Invalid(_))), "{answer:?}");
    }
    assert_eq!(fs::read_to_string(&path).ok().as_deref(), Some(text));
}

#[tokio::test]
async fn what_cannot_be_opened_keeps_a_server_from_starting() {
    let home = Home::new(Kind::Scribble).expect("it needs nothing");
    let file = home.folder.path().join("file");
    fs::write(&file, "").expect("written");
    let below_a_file = format!("scribble://?db={}", file.display());
    for (uri, why) in [
        (below_a_file.as_str(), "Not a directory"),
        ("scribble://", "name the folder, as in scribble://?db="),
        (
            "scribble:///var/lib/mist",
            "name the folder, as in scribble://?db=",
        ),
        ("scribble://?db=", "name the folder, as in scribble://?db="),
        ("scribble://?dir=/x", "unknown parameter 'dir'"),
        ("sqlite://", "name the file, as in sqlite://"),
        ("sqlite://:memory:", "use memory://"),
        ("postgres://", "write postgres://USER:PASSWORD@HOST"),
    ] {
        let Err(error) = House::at(uri).await else {
            panic!("{uri} was opened");
        };
        let error = error.to_string();
        assert!(
            error.starts_with("cannot open the authenticator '"),
            "{error}"
        );
        assert!(error.contains(why), "{uri}: {error}");
    }
}
