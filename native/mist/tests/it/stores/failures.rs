//! Stores that fail while a server runs: one command gets an error, all else goes on, and nothing is lost.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;

use super::*;

/// A file system of one MiB, gone with the test.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// None when we may not mount one, which is said.
    fn new() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let disk = Self(folder);
        let mounted = disk.mount(&["-t", "tmpfs", "-o", "size=1m,mode=0777", "tmpfs"]);
        if mounted {
            return Some(disk);
        }
        eprintln!("!!! SKIPPED, a disk that is full or read-only: only root may mount one");
        None
    }

    fn mount(&self, arguments: &[&str]) -> bool {
        let done = Command::new("mount")
            .args(arguments)
            .arg(self.0.path())
            .output();
        done.is_ok_and(|done| done.status.success())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all the space that is left.
    fn fill(&self) {
        let mut file = fs::File::create(self.path().join("ballast")).expect("made");
        for size in [4096, 1] {
            while file.write_all(&vec![b'x'; size]).is_ok() {}
        }
    }

    fn free(&self) {
        fs::remove_file(self.path().join("ballast")).expect("it is there");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount")
            .arg("--lazy")
            .arg(self.0.path())
            .status();
    }
}

/// Clients that need no token notice nothing.
async fn others_go_on(house: &House) {
    let (reader, writer) = within(async {
        tokio::join!(
            Client::connect(&house.address),
            Client::connect(&house.address)
        )
    })
    .await;
    let (reader, writer) = (reader.expect("connected"), writer.expect("connected"));
    let mut messages = within(reader.subscribe(["x"])).await.expect("subscribed");
    let told = within(writer.publish_acked(["x"], "on")).await;
    told.expect("published");
    let message = within(messages.next()).await.expect("a message");
    assert_eq!(message.data, "on");
}

fn unavailable<T: std::fmt::Debug>(answer: Result<T, TokenError>) -> String {
    match answer {
        Err(TokenError::Unavailable(why)) => why,
        other => panic!("{other:?}"),
    }
}

/// Registers tokens until the store cannot, and returns their number and the error.
async fn register_until_it_fails(admin: &Admin, name: &str) -> (usize, String) {
    for number in 0..5000 {
        let own = [format!("{number}"), "x".repeat(1000)];
        let made = admin.add_token(&format!("{name}{number}"), &own).await;
        if made.is_err() {
            return (number, unavailable(made));
        }
    }
    panic!("the disk never fills up");
}

async fn all_there(admin: &Admin, name: &str, count: usize) {
    for number in 0..count {
        let token = format!("{name}{number}");
        let mut tags = admin.tags(&token).await.expect("it was acknowledged");
        tags.sort_unstable();
        assert_eq!(tags, [number.to_string(), "x".repeat(1000)], "{token}");
    }
    let next = admin.tags(&format!("{name}{count}")).await;
    assert_eq!(next, Err(TokenError::NotFound), "it was refused");
}

async fn a_full_disk(uri: &str, disk: &SmallDisk, why: &str) {
    let house = House::at(uri).await.expect("it starts");
    let neighbour = House::at(uri).await.expect("two may share it");
    let (admin, other) = (house.admin().await, neighbour.admin().await);
    admin
        .add_token("before", &tags(&["a"]))
        .await
        .expect("made");
    disk.fill();
    // No folder made for a test has a hyphen in its name, which is quoted.
    let (count, told) = register_until_it_fails(&admin, "t-").await;
    assert!(told.contains(why), "{told}");
    for token in ["before", "t-0"] {
        assert!(!told.contains(token), "{told}");
    }
    let much: Vec<_> = (0..64).map(|number| format!("{number:01000}")).collect();
    for (house, admin) in [(&house, &admin), (&neighbour, &other)] {
        let told = unavailable(admin.add_tags("before", &much).await);
        assert!(told.contains(why), "{told}");
        others_go_on(house).await;
        assert_eq!(admin.tags("before").await, Ok(tags(&["a"])));
        all_there(admin, "t-", count).await;
    }
    disk.free();
    assert_eq!(admin.add_tags("before", &tags(&["b"])).await, Ok(()));
    assert_eq!(other.add_token("after", &tags(&["c"])).await, Ok(()));
    drop((admin, other));
    house.end().await;
    neighbour.end().await;
    let house = House::at(uri).await.expect("it starts again");
    let admin = house.admin().await;
    assert_eq!(admin.tags("before").await, Ok(tags(&["a", "b"])));
    assert_eq!(admin.tags("after").await, Ok(tags(&["c"])));
    all_there(&admin, "t-", count).await;
    drop(admin);
    house.end().await;
}

#[tokio::test]
async fn sqlite_outlives_a_full_disk() {
    let Some(disk) = SmallDisk::new() else { return };
    let uri = format!("sqlite://{}/tokens.db", disk.path().display());
    a_full_disk(&uri, &disk, "no space left on the disk of").await;
}

#[tokio::test]
async fn scribble_outlives_a_full_disk() {
    let Some(disk) = SmallDisk::new() else { return };
    let uri = format!("scribble://?db={}", disk.path().display());
    a_full_disk(&uri, &disk, "No space left on device").await;
    let names = fs::read_dir(disk.path().join("tokens")).expect("a folder");
    for name in names.flatten().map(|entry| entry.file_name()) {
        assert!(name.to_string_lossy().ends_with(".json"), "{name:?}");
    }
}

#[tokio::test]
async fn postgres_outlives_a_full_disk() {
    let (Some(database), Some(disk)) = (Database::start(), SmallDisk::new()) else {
        return;
    };
    let uri = database.uri("");
    drop(within(mist::auth::open(&uri)).await.expect("it opens"));
    let space = disk.path().join("space");
    fs::create_dir(&space).expect("made");
    database::hand_over(&space);
    let create = format!("CREATE TABLESPACE small LOCATION '{}'", space.display());
    database.sql("mist", &create);
    for table in ["tokens", "tags"] {
        database.sql("mist", &format!("ALTER TABLE {table} SET TABLESPACE small"));
    }
    a_full_disk(&uri, &disk, "No space left on device").await;
    // It must not outlive its files.
    drop(database);
}

#[tokio::test]
async fn a_database_that_is_damaged_under_two_servers_costs_answers_only() {
    let home = Home::new(Kind::Sqlite).expect("it needs nothing");
    let houses = [
        House::at(&home.uri()).await.expect("it starts"),
        House::at(&home.uri()).await.expect("two may share it"),
    ];
    let admins = [houses[0].admin().await, houses[1].admin().await];
    for number in 0..200 {
        let token = format!("t{number}");
        let made = admins[number % 2].add_token(&token, &tags(&["a"])).await;
        made.expect("made");
    }
    let path = home.folder.path().join("tokens.db");
    let outside = rusqlite::Connection::open(&path).expect("it opens");
    let not_a_text = "INSERT INTO tags SELECT id, CAST(x'ff' AS TEXT) FROM tokens WHERE id = 8";
    outside.execute(not_a_text, []).expect("done");
    for admin in &admins {
        let told = unavailable(admin.tags("t7").await);
        assert!(told.contains("holds what mist did not write"), "{told}");
        assert_eq!(admin.tags("t6").await, Ok(tags(&["a"])));
    }
    // From the log into the file itself, of which the tables are overwritten.
    let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
    outside.query_row(checkpoint, [], |_| Ok(())).expect("done");
    let length = fs::metadata(&path).expect("a file").len();
    let file = fs::OpenOptions::new().write(true).open(&path);
    let mut file = file.expect("it opens");
    file.seek(SeekFrom::Start(4096)).expect("it has more");
    let noise = vec![0x5a; usize::try_from(length).expect("short") - 4096];
    file.write_all(&noise).expect("written");
    for (house, admin) in houses.iter().zip(&admins) {
        for told in [
            unavailable(admin.tags("t6").await),
            unavailable(admin.add_tags("t6", &tags(&["b"])).await),
            unavailable(admin.add_token("new", &[]).await),
        ] {
            assert!(told.contains("is damaged: restore it"), "{told}");
        }
        others_go_on(house).await;
    }
    drop(admins);
    for house in houses {
        house.end().await;
    }
}

#[tokio::test]
async fn nothing_is_confirmed_into_a_store_that_was_taken_away() {
    for (kind, names) in [
        (
            Kind::Sqlite,
            &["tokens.db", "tokens.db-wal", "tokens.db-shm"][..],
        ),
        (Kind::Scribble, &["tokens"]),
    ] {
        let home = Home::new(kind).expect("it needs nothing");
        let houses = [
            House::at(&home.uri()).await.expect("it starts"),
            House::at(&home.uri()).await.expect("two may share it"),
        ];
        let admins = [houses[0].admin().await, houses[1].admin().await];
        admins[0].add_token("t", &tags(&["a"])).await.expect("made");
        let place = |name: &str| home.folder.path().join(name);
        for name in names {
            fs::rename(place(name), place(&format!("aside-{name}"))).expect("moved");
        }
        let are_refused = || async {
            for admin in &admins {
                for told in [
                    unavailable(admin.tags("t").await),
                    unavailable(admin.add_token("u", &[]).await),
                    unavailable(admin.add_tags("t", &tags(&["b"])).await),
                    unavailable(admin.remove_tags("t", &tags(&["a"])).await),
                    unavailable(admin.remove_token("t").await),
                ] {
                    assert!(told.contains("was removed or replaced"), "{told}");
                }
            }
        };
        are_refused().await;
        // Another one is in its place, as when a backup is put there.
        let another = home.open().await;
        another.add_token("t", &[]).await.expect("made");
        are_refused().await;
        drop(another);
        for name in names {
            // Of an SQLite database that is closed, one file is left.
            let _ = fs::remove_file(place(name));
            let _ = fs::remove_dir_all(place(name));
            fs::rename(place(&format!("aside-{name}")), place(name)).expect("moved");
        }
        for admin in &admins {
            assert_eq!(admin.tags("t").await, Ok(tags(&["a"])));
        }
        admins[1].add_tags("t", &tags(&["b"])).await.expect("made");
        assert_eq!(admins[0].tags("t").await, Ok(tags(&["a", "b"])));
        drop(admins);
        for house in houses {
            house.end().await;
        }
    }
}

#[tokio::test]
async fn a_folder_that_turns_read_only_is_an_error_until_it_can_be_written() {
    let Some(disk) = SmallDisk::new() else { return };
    let folder = disk.path().display();
    let uri = format!("scribble://?db={folder}");
    let house = House::at(&uri).await.expect("it starts");
    let admin = house.admin().await;
    admin.add_token("t", &tags(&["a"])).await.expect("made");
    assert!(disk.mount(&["-o", "remount,ro"]));
    for answer in [
        admin.add_token("u", &[]).await,
        admin.add_tags("t", &tags(&["b"])).await,
        admin.remove_tags("t", &tags(&["a"])).await,
        admin.remove_token("t").await,
    ] {
        let why = unavailable(answer);
        assert!(why.contains("Read-only file system"), "{why}");
        assert!(why.contains(&format!("'{folder}/tokens'")), "{why}");
    }
    others_go_on(&house).await;
    assert_eq!(admin.tags("t").await, Ok(tags(&["a"])));
    for uri in [&uri, &format!("sqlite://{folder}/tokens.db")] {
        let Err(error) = House::at(uri).await else {
            panic!("{uri} was opened");
        };
        let error = error.to_string();
        assert!(error.contains("Read-only file system"), "{error}");
    }
    assert!(disk.mount(&["-o", "remount,rw"]));
    assert_eq!(admin.add_tags("t", &tags(&["b"])).await, Ok(()));
    assert_eq!(admin.tags("t").await, Ok(tags(&["a", "b"])));
    drop(admin);
    house.end().await;
}

#[tokio::test]
async fn a_database_that_stops_and_comes_back_is_found_again() {
    let Some(mut database) = Database::start() else {
        return;
    };
    let house = House::at(&database.uri("")).await.expect("it starts");
    let admin = house.admin().await;
    admin.add_token("t", &tags(&["a"])).await.expect("made");
    for round in 0..3 {
        database.stop();
        let why = unavailable(admin.add_tags("t", &tags(&["lost"])).await);
        let place = format!("database 'mist' at 127.0.0.1:{}: ", database.port);
        assert!(why.starts_with(&place), "{why}");
        assert!(why.contains("Connection refused"), "{why}");
        unavailable(admin.tags("t").await);
        others_go_on(&house).await;
        assert!(database.begin(&[]));
        // Connections from before are not tried one by one at the asker's expense.
        let tag = format!("r{round}");
        assert_eq!(admin.add_tags("t", &tags(&[&tag])).await, Ok(()));
    }
    assert_eq!(admin.tags("t").await, Ok(tags(&["a", "r0", "r1", "r2"])));
    // Restarted while nobody asks: the kept connections are dead, and nobody is told.
    let admins = [
        house.admin().await,
        house.admin().await,
        house.admin().await,
    ];
    for admin in &admins {
        assert!(admin.tags("t").await.is_ok());
    }
    database.stop();
    assert!(database.begin(&[]));
    let (a, b, c) = within(async {
        tokio::join!(
            admins[0].tags("t"),
            admins[1].tags("t"),
            admins[2].tags("t")
        )
    })
    .await;
    assert!(a.is_ok() && b.is_ok() && c.is_ok(), "{a:?} {b:?} {c:?}");
}

#[tokio::test]
async fn a_database_that_freezes_holds_up_only_who_asks_it() {
    let Some(database) = Database::start() else {
        return;
    };
    let house = House::at(&database.uri("")).await.expect("it starts");
    let admins = [house.admin().await, house.admin().await];
    let admin = &admins[0];
    admin.add_token("t", &tags(&["a"])).await.expect("made");
    database.freeze();
    let (b, c) = (tags(&["b"]), tags(&["c"]));
    let uri = database.uri("");
    let (first, second, started, ()) = within(async {
        tokio::join!(
            admin.add_tags("t", &b),
            admins[1].add_token("u", &c),
            House::at(&uri),
            others_go_on(&house),
        )
    })
    .await;
    for why in [unavailable(first), unavailable(second)] {
        assert!(why.contains("no answer within 5 s"), "{why}");
    }
    let error = started.err().expect("nobody answers").to_string();
    assert!(error.contains("no answer within 5 s"), "{error}");
    database.thaw();
    assert_eq!(admin.tags("t").await, Ok(tags(&["a"])));
    assert_eq!(admin.tags("u").await, Err(TokenError::NotFound));
    assert_eq!(admin.add_tags("t", &b).await, Ok(()));
    assert_eq!(admin.add_token("u", &c).await, Ok(()));
    assert_eq!(admin.tags("t").await, Ok(tags(&["a", "b"])));
}

#[tokio::test]
async fn a_row_that_somebody_holds_is_an_error_and_changes_nothing() {
    let Some(database) = Database::start() else {
        return;
    };
    let uri = database.uri("");
    let store = within(mist::auth::open(&uri)).await.expect("it opens");
    store.add_token("t", &tags(&["a"])).await.expect("made");
    let (other, driver) = database.connect().await;
    let driver = tokio::spawn(driver);
    other
        .batch_execute("BEGIN; SELECT FROM tokens FOR UPDATE")
        .await
        .expect("held");
    let why = unavailable(within(store.add_tags("t", &tags(&["b"]))).await);
    assert!(why.contains("statement timeout"), "{why}");
    // Logins are not held up.
    assert_eq!(store.tags("t").await, Ok(tags(&["a"])));
    drop(other);
    within(driver).await.expect("it ends").expect("in order");
    assert_eq!(store.add_tags("t", &tags(&["c"])).await, Ok(()));
    let mut kept = store.tags("t").await.expect("it is there");
    kept.sort_unstable();
    assert_eq!(kept, ["a", "c"]);
}

#[tokio::test]
async fn a_connection_lost_in_the_commit_leaves_it_open_whether_it_was_made() {
    let Some(database) = Database::start() else {
        return;
    };
    let house = House::at(&database.uri("")).await.expect("it starts");
    let admin = house.admin().await;
    admin.add_token("t", &tags(&["a"])).await.expect("made");
    database.sql(
        "mist",
        "CREATE FUNCTION leave() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;
         CREATE CONSTRAINT TRIGGER leave AFTER INSERT ON tags
           DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION leave()",
    );
    let Err(TokenError::Uncertain(why)) = admin.add_tags("t", &tags(&["b"])).await else {
        panic!("nobody can know");
    };
    assert!(why.contains("terminating connection"), "{why}");
    database.sql("mist", "DROP TRIGGER leave ON tags");
    assert_eq!(admin.add_tags("t", &tags(&["b"])).await, Ok(()));
    assert_eq!(admin.tags("t").await, Ok(tags(&["a", "b"])));
}
