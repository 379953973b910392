//! A server that is killed while tokens are changed: whatever it acknowledged is there afterwards.
//!
//! `MIST_KILLS` says how often each store's server is killed.

use std::collections::BTreeSet;

use mist::client::ErrorCode;
use mist::{Client, ClientError};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::*;
use crate::stores::{Home, Kind};

const KILLS: usize = 5;
const WRITERS: usize = 4;

/// A token's tags; none when there is no such token.
type State = Option<BTreeSet<String>>;

/// A token and what may be known of it.
struct Written {
    token: String,
    /// What the last acknowledgement said.
    sure: State,
    /// What the change on the way when the server was killed would make of it.
    open: Option<State>,
}

/// Changes tokens of its own, one after the other, until the connection breaks.
async fn write(client: Client, name: String, acknowledged: watch::Sender<usize>) -> Vec<Written> {
    let set = |tags: &[&str]| -> State { Some(tags.iter().map(|&tag| tag.to_owned()).collect()) };
    let mut written = Vec::new();
    for number in 0.. {
        let token = format!("{name}-{number}");
        let own = token.as_str();
        written.push(Written {
            token: token.clone(),
            sure: None,
            open: None,
        });
        let last = written.last_mut().expect("it was just put there");
        for step in 0..4 {
            let (next, answer) = match step {
                0 => (
                    set(&["a", own]),
                    client.admin().register(own, &["a", own]).await,
                ),
                1 => (set(&["a", "b", own]), client.admin().set(own, &["b"]).await),
                2 => (set(&["b"]), client.admin().unset(own, &["a", own]).await),
                _ if number % 4 == 3 => (None, client.admin().unregister(own).await),
                _ => continue,
            };
            match answer {
                Ok(()) => last.sure = next,
                Err(ClientError::ConnectionLost { .. }) => {
                    last.open = Some(next);
                    return written;
                }
                // It was not sent any more.
                Err(ClientError::Offline { .. } | ClientError::Closed { .. }) => return written,
                Err(error) => panic!("{token}: {error}"),
            }
            acknowledged.send_modify(|count| *count += 1);
        }
    }
    written
}

async fn connect(server: &Server) -> Client {
    let client = Client::builder(&server.host).token("top").reconnect(None);
    client.connect().await.expect("connected")
}

async fn check(client: &Client, written: &[Written]) {
    for Written { token, sure, open } in written {
        let found: State = match client.admin().tags(token).await {
            Ok(tags) => Some(tags.into_iter().collect()),
            Err(ClientError::Refused { reason, .. }) if reason.code == ErrorCode::TokenNotFound => {
                None
            }
            Err(error) => panic!("{token}: {error}"),
        };
        assert!(
            found == *sure || open.as_ref() == Some(&found),
            "{token} is {found:?}, was acknowledged as {sure:?}, and on the way to {open:?}"
        );
    }
}

fn random(below: usize) -> usize {
    let mut bytes = [0; 2];
    getrandom::fill(&mut bytes).expect("the system has some");
    usize::from(u16::from_ne_bytes(bytes)) % below
}

async fn drill(kind: Kind) {
    let Some(home) = Home::new(kind) else { return };
    let kills = std::env::var("MIST_KILLS").map_or(KILLS, |kills| {
        kills.parse().expect("MIST_KILLS is a number")
    });
    let uri = home.uri();
    let arguments = ["--authenticator", &uri, "--token", "top"];
    let mut all = Vec::new();
    for kill in 0..kills {
        let mut server = Server::start(&arguments);
        let (acknowledged, mut count) = watch::channel(0);
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let client = connect(&server).await;
            let name = format!("k{kill}-w{writer}");
            writers.spawn(write(client, name, acknowledged.clone()));
        }
        // At any moment: the others are anywhere in their changes when one is acknowledged.
        let enough = 1 + random(200);
        tokio::time::timeout(PATIENCE, count.wait_for(|&count| count >= enough))
            .await
            .expect("changes are acknowledged")
            .expect("the writers are there");
        server.running.child.kill().expect("it runs");
        let written: Vec<_> = writers.join_all().await.into_iter().flatten().collect();
        server.running.end();

        let server = Server::start(&arguments);
        check(&connect(&server).await, &written).await;
        all.extend(written);
    }
    let server = Server::start(&arguments);
    check(&connect(&server).await, &all).await;
    is_sound(&home);
}

/// Looks at what the store keeps without its help.
fn is_sound(home: &Home) {
    let folder = home.folder.path();
    match home.kind {
        Kind::Sqlite => {
            let database = rusqlite::Connection::open(folder.join("tokens.db")).expect("it opens");
            let verdict: String = database
                .query_row("PRAGMA integrity_check", [], |row| row.get(0))
                .expect("it answers");
            assert_eq!(verdict, "ok");
        }
        Kind::Scribble => {
            for file in std::fs::read_dir(folder.join("tokens")).expect("a folder") {
                let path = file.expect("an entry").path();
                let name = path.file_stem().expect("a name").to_string_lossy();
                let text = std::fs::read(&path).expect("it is readable");
                let entry: serde_json::Value = serde_json::from_slice(&text).expect("it is whole");
                assert_eq!(entry["Value"], *name);
            }
        }
        Kind::Memory | Kind::Postgres => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_loses_nothing_to_kill_9() {
    drill(Kind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scribble_loses_nothing_to_kill_9() {
    drill(Kind::Scribble).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_loses_nothing_to_kill_9() {
    drill(Kind::Postgres).await;
}
