//! Several servers on one store: what is taken away at one, or by hand, the others take away by themselves.

use std::fs;
use std::time::Instant;

use mist::Access;
use mist::client::Subscription;

use super::*;

/// A server that lets in only connections with a token.
pub(super) async fn scoped(uri: &str) -> House {
    let builder = Server::builder().listen("tcp://127.0.0.1:0").token("top");
    House::of(builder.authenticator(uri).access(Access::Scoped))
        .await
        .expect("it starts")
}

impl House {
    pub(super) async fn with(&self, token: &str) -> Client {
        let builder = Client::builder(&self.address).token(token);
        within(builder.connect()).await.expect("connected")
    }

    /// How many get a message.
    pub(super) async fn reached(&self, tag: &str) -> u64 {
        let publisher = self.with("top").await;
        let reached = within(publisher.publish_acked([tag], "x")).await;
        within(publisher.close()).await.expect("closed");
        reached.expect("published").delivered
    }
}

/// What a connection of another server has, until it is taken away.
pub(super) struct Held<'a> {
    house: &'a House,
    tag: &'a str,
    messages: Subscription,
}

impl<'a> Held<'a> {
    pub(super) async fn by(house: &'a House, client: &Client, tag: &'a str) -> Self {
        let messages = within(client.subscribe([tag])).await.expect("granted");
        assert_eq!(house.reached(tag).await, 1);
        let mut held = Self {
            house,
            tag,
            messages,
        };
        held.goes_on().await;
        held
    }

    async fn goes_on(&mut self) {
        within(self.messages.next()).await.expect("it is granted");
    }

    /// Waits until it is taken away; `what` says how.
    pub(super) async fn ends(mut self, since: Instant, kind: Kind, what: &str) {
        assert!(within(self.messages.next()).await.is_none(), "a message");
        eprintln!("{kind:?}: {what} noticed after {:?}", since.elapsed());
        assert_eq!(self.house.reached(self.tag).await, 0);
    }
}

async fn what_one_server_takes_away_the_others_do(kind: Kind) {
    let Some(home) = Home::new(kind) else { return };
    let (one, other) = (scoped(&home.uri()).await, scoped(&home.uri()).await);
    let admin = one.admin().await;
    let granted = admin.add_token("desk", &tags(&["north", "south"])).await;
    granted.expect("registered");
    let made = admin.add_token("else", &tags(&["north"])).await;
    made.expect("registered");
    let (here, there) = (one.with("desk").await, other.with("desk").await);
    within(here.subscribe(["north"]))
        .await
        .expect("granted")
        .detach();
    let north = Held::by(&other, &there, "north").await;
    let mut south = Held::by(&other, &there, "south").await;

    let since = Instant::now();
    let taken = admin.remove_tags("desk", &tags(&["north"])).await;
    taken.expect("taken away");
    assert_eq!(one.reached("north").await, 0);
    north.ends(since, kind, "unset").await;
    assert_eq!(other.reached("south").await, 1);
    south.goes_on().await;

    // Another token has what is its own.
    let others = other.with("else").await;
    let mut kept = Held::by(&other, &others, "north").await;
    let given = admin.add_tags("desk", &tags(&["east"])).await;
    given.expect("given");
    within(async { while there.subscribe(["east"]).await.is_err() {} }).await;

    let since = Instant::now();
    admin.remove_token("desk").await.expect("removed");
    south.ends(since, kind, "unregister").await;
    let refused = within(Client::builder(&other.address).token("desk").connect()).await;
    assert!(
        matches!(refused, Err(ClientError::AuthRefused { .. })),
        "{refused:?}"
    );
    assert_eq!(other.reached("north").await, 1);
    kept.goes_on().await;
    one.end().await;
    other.end().await;
}

#[tokio::test]
async fn sqlite_tells_every_server() {
    what_one_server_takes_away_the_others_do(Kind::Sqlite).await;
}

#[cfg(unix)]
#[tokio::test]
async fn scribble_tells_every_server() {
    what_one_server_takes_away_the_others_do(Kind::Scribble).await;
}

#[tokio::test]
async fn postgres_tells_every_server() {
    what_one_server_takes_away_the_others_do(Kind::Postgres).await;
}

/// Has somebody change the store by hand: take `a` from the token `desk`, then take the token `desk`, then all tokens.
async fn what_is_taken_by_hand_is_gone(kind: Kind, home: &Home, by_hand: [&dyn Fn(); 3]) {
    let house = scoped(&home.uri()).await;
    let admin = house.admin().await;
    for token in ["desk", "last"] {
        let made = admin.add_token(token, &tags(&["a", "b"])).await;
        made.expect("registered");
    }
    let (desk, last) = (house.with("desk").await, house.with("last").await);
    let a = Held::by(&house, &desk, "a").await;
    let b = Held::by(&house, &desk, "b").await;
    let since = Instant::now();
    by_hand[0]();
    // Who looks it up before the server has noticed changes nothing for those that go by it.
    let left = within(admin.tags("desk")).await.expect("it is there");
    assert_eq!(left, ["b"]);
    a.ends(since, kind, "a tag removed by hand").await;
    let since = Instant::now();
    by_hand[1]();
    let refused = within(Client::builder(&house.address).token("desk").connect()).await;
    assert!(
        matches!(refused, Err(ClientError::AuthRefused { .. })),
        "{refused:?}"
    );
    b.ends(since, kind, "a token removed by hand").await;
    let a = Held::by(&house, &last, "a").await;
    let since = Instant::now();
    by_hand[2]();
    a.ends(since, kind, "all removed by hand").await;
    house.end().await;
}

#[tokio::test]
async fn what_is_taken_by_hand_from_sqlite_is_gone() {
    let home = Home::new(Kind::Sqlite).expect("it needs nothing");
    let sql = |statements: &str| {
        let path = home.folder.path().join("tokens.db");
        let outside = rusqlite::Connection::open(path).expect("it opens");
        outside.execute_batch(statements).expect("done");
    };
    let by_hand: [&dyn Fn(); 3] = [
        &|| sql("DELETE FROM tags WHERE tag = 'a' AND token_id = 1"),
        &|| sql("DELETE FROM tokens WHERE id = 1"),
        // More than what the record of changes holds.
        &|| {
            sql(
                "BEGIN; DELETE FROM tokens; INSERT INTO tokens (id, sha256) VALUES (9, x'00');
                 WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
                 INSERT INTO tags SELECT 9, i FROM n; COMMIT",
            );
        },
    ];
    what_is_taken_by_hand_is_gone(Kind::Sqlite, &home, by_hand).await;
}

#[tokio::test]
async fn what_is_taken_by_hand_from_scribble_is_gone() {
    let home = Home::new(Kind::Scribble).expect("it needs nothing");
    let file = |token: &str| home.folder.path().join(format!("tokens/{token}.json"));
    let by_hand: [&dyn Fn(); 3] = [
        // Into the file itself, so that the folder does not change.
        &|| fs::write(file("desk"), r#"{"Value":"desk","Tags":{"b":{}}}"#).expect("written"),
        &|| fs::remove_file(file("desk")).expect("removed"),
        // As the original does, and most editors.
        &|| {
            fs::write(file("new"), r#"{"Value":"last","Tags":null}"#).expect("written");
            fs::rename(file("new"), file("last")).expect("renamed");
        },
    ];
    what_is_taken_by_hand_is_gone(Kind::Scribble, &home, by_hand).await;
}

#[tokio::test]
async fn what_is_taken_by_hand_from_postgres_is_gone() {
    let Some(home) = Home::new(Kind::Postgres) else {
        return;
    };
    let sql = |statements: &str| drop(home.database().sql("mist", statements));
    let by_hand: [&dyn Fn(); 3] = [
        &|| {
            sql(
                "DELETE FROM tags WHERE tag = 'a' AND token_id = (SELECT token_id FROM tokens WHERE token = 'desk')",
            )
        },
        &|| sql("DELETE FROM tokens WHERE token = 'desk'"),
        &|| sql("TRUNCATE tokens CASCADE"),
    ];
    what_is_taken_by_hand_is_gone(Kind::Postgres, &home, by_hand).await;
}

/// The tables are somebody else's, so that the database does not tell by itself what changes in them.
#[tokio::test]
async fn servers_tell_each_other_also_where_the_tables_are_not_theirs() {
    let Some(home) = Home::new(Kind::Postgres) else {
        return;
    };
    let database = home.database();
    drop(within(mist::auth::open(&database.uri(""))).await);
    database.sql(
        "mist",
        "CREATE USER small PASSWORD 'pw';
         GRANT SELECT, INSERT, UPDATE, DELETE ON tokens, tags TO small;
         GRANT USAGE ON SEQUENCE tokens_token_id_seq TO small",
    );
    let uri = database.uri_of("small", "pw", "127.0.0.1", "");
    let (one, other) = (scoped(&uri).await, scoped(&uri).await);
    let admin = one.admin().await;
    let made = admin.add_token("desk", &tags(&["a"])).await;
    made.expect("registered");
    let desk = other.with("desk").await;
    let a = Held::by(&other, &desk, "a").await;
    let triggers = "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'mist%'";
    assert_eq!(database.sql("mist", triggers), "0");
    let since = Instant::now();
    admin.remove_token("desk").await.expect("removed");
    let what = "unregister without triggers";
    a.ends(since, Kind::Postgres, what).await;
}

/// What changes while a server cannot hear of it is asked about when it can.
#[tokio::test]
async fn what_changed_while_postgres_was_away_is_asked_about_when_it_is_back() {
    let Some(mut database) = Database::start() else {
        return;
    };
    let house = scoped(&database.uri("")).await;
    let admin = house.admin().await;
    for token in ["desk", "kept"] {
        let made = admin.add_token(token, &tags(&[token])).await;
        made.expect("registered");
    }
    let (desk, kept) = (house.with("desk").await, house.with("kept").await);
    let mut gone = Held::by(&house, &desk, "desk").await;
    let mut stays = Held::by(&house, &kept, "kept").await;
    database.stop();
    // What was granted stays granted meanwhile.
    assert_eq!(house.reached("desk").await, 1);
    gone.goes_on().await;
    // Where the server does not look for it.
    let port = database.port;
    database.port = mist_tests::process::free_port();
    assert!(database.begin(&[]));
    database.sql("mist", "DELETE FROM tokens WHERE token = 'desk'");
    database.stop();
    database.port = port;
    let since = Instant::now();
    assert!(database.begin(&[]));
    gone.ends(since, Kind::Postgres, "a change while it was away")
        .await;
    assert_eq!(house.reached("kept").await, 1);
    stays.goes_on().await;
}

#[tokio::test]
async fn what_changed_while_files_were_away_is_asked_about_when_they_are_back() {
    for (kind, names) in [
        (
            Kind::Sqlite,
            &["tokens.db", "tokens.db-wal", "tokens.db-shm"][..],
        ),
        (Kind::Scribble, &["tokens"]),
    ] {
        let home = Home::new(kind).expect("it needs nothing");
        let house = scoped(&home.uri()).await;
        let admin = house.admin().await;
        let made = admin.add_token("desk", &tags(&["a"])).await;
        made.expect("registered");
        let desk = house.with("desk").await;
        let a = Held::by(&house, &desk, "a").await;
        let place = |name: &str| home.folder.path().join(name);
        for name in names {
            fs::rename(place(name), place(&format!("aside-{name}"))).expect("moved");
        }
        assert!(admin.tags("desk").await.is_err());
        let aside = place(&format!("aside-{}", names[0]));
        match kind {
            Kind::Sqlite => {
                // Where its log is looked for.
                for end in ["-wal", "-shm"] {
                    let from = place(&format!("aside-tokens.db{end}"));
                    assert!(from.is_file(), "{from:?}");
                }
                let outside = rusqlite::Connection::open(aside).expect("it opens");
                outside.execute("DELETE FROM tokens", []).expect("done");
                // What is in the log belongs to the names it has now.
                std::mem::forget(outside);
            }
            _ => fs::remove_file(aside.join("desk.json")).expect("removed"),
        }
        let since = Instant::now();
        for name in names {
            fs::rename(place(&format!("aside-{name}")), place(name)).expect("moved");
        }
        a.ends(since, kind, "a change while it was away").await;
        house.end().await;
    }
}
