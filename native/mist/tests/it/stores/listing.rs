//! Listing what a store keeps, through a server.

use std::collections::BTreeSet;

use mist::Access;
use mist::client::Event;
use sha2::{Digest, Sha256};

use super::*;

/// More than what one answer holds.
const COUNT: usize = 300;

async fn every_token_is_listed_once(kind: Kind) {
    let Some(home) = Home::new(kind) else { return };
    let builder = Server::builder().listen("tcp://127.0.0.1:0").token("top");
    let builder = builder.authenticator(&home.uri()).access(Access::Scoped);
    let house = House::of(builder).await.expect("it starts");
    let admin = house.admin().await;
    let listed = within(admin.0.admin().tokens("")).await.expect("listed");
    assert!(listed.tokens.is_empty() && listed.next.is_none());
    let name = |number: usize| format!("desk {number}");
    for number in 0..COUNT {
        let own = match number {
            0 => tags(&[]),
            _ => tags(&["b", &number.to_string(), "a"]),
        };
        admin.add_token(&name(number), &own).await.expect("made");
    }
    let mut held = Vec::new();
    for token in [&name(7), &name(7), &name(8)] {
        let client = Client::builder(&house.address).token(token);
        held.push(within(client.connect()).await.expect("connected"));
    }
    let (mut seen, mut after, mut parts) = (BTreeSet::new(), String::new(), 0);
    loop {
        let part = within(admin.0.admin().tokens(&after))
            .await
            .expect("listed");
        parts += 1;
        for token in part.tokens {
            let is_it = |number: &usize| match token.sha256.is_empty() {
                true => token.token == name(*number),
                false => token.sha256 == hex(&Sha256::digest(name(*number))),
            };
            let number = (0..COUNT).find(is_it).expect("one of ours");
            assert!(seen.insert(number), "{number} is told twice");
            let connections = match number {
                7 => 2,
                8 => 1,
                _ => 0,
            };
            assert_eq!(token.connections, connections, "{number}");
            let mut own = match number {
                0 => vec![],
                _ => tags(&["a", "b", &number.to_string()]),
            };
            own.sort_unstable();
            assert_eq!((&token.subscribe, &token.publish), (&own, &own));
            assert_eq!(token.sha256.is_empty(), kind != Kind::Sqlite);
        }
        match part.next {
            Some(next) => after = next,
            None => break,
        }
    }
    assert_eq!((seen.len(), parts), (COUNT, 2));
    house.end().await;
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn every_token_in_memory_is_listed_once() {
    every_token_is_listed_once(Kind::Memory).await;
}

#[tokio::test]
async fn every_token_in_sqlite_is_listed_once() {
    every_token_is_listed_once(Kind::Sqlite).await;
}

#[tokio::test]
async fn every_token_in_scribble_is_listed_once() {
    every_token_is_listed_once(Kind::Scribble).await;
}

#[tokio::test]
async fn every_token_in_postgres_is_listed_once() {
    every_token_is_listed_once(Kind::Postgres).await;
}

/// An administrator who has lost a token ends it by the hash that the list shows, on open connections too.
#[tokio::test]
async fn a_lost_token_is_changed_and_ended_by_its_hash() {
    let home = Home::new(Kind::Sqlite).expect("it needs nothing");
    let builder = Server::builder().listen("tcp://127.0.0.1:0").token("top");
    let builder = builder.authenticator(&home.uri()).access(Access::Scoped);
    let house = House::of(builder).await.expect("it starts");
    let admin = house.admin().await;
    for (token, tag) in [("lost", "a"), ("other", "a")] {
        admin.add_token(token, &tags(&[tag])).await.expect("made");
    }
    let connect = async |token| {
        let client = Client::builder(&house.address).token(token);
        let client = within(client.connect()).await.expect("connected");
        let _ = within(client.subscribe(["a"])).await.expect("granted");
        client
    };
    let (lost, other) = (connect("lost").await, connect("other").await);
    let hash = hex(&Sha256::digest("lost"));
    let by_hash = admin.0.admin().by_hash();
    within(by_hash.set(&hash, ["b"])).await.expect("set");
    assert_eq!(admin.tags("lost").await, Ok(tags(&["a", "b"])));
    let _ = within(lost.subscribe(["b"])).await.expect("granted");
    within(by_hash.unset(&hash, ["b"])).await.expect("unset");
    assert_eq!(admin.tags("lost").await, Ok(tags(&["a"])));
    within(lost.subscribe(["b"])).await.expect_err("taken");

    let mut events = lost.events();
    within(by_hash.end(&hash)).await.expect("ended");
    loop {
        let event = within(events.next()).await;
        if let Event::Closed { .. } = event.expect("that it is closed comes last") {
            break;
        }
    }
    assert_eq!(admin.tags("lost").await, Err(TokenError::NotFound));
    within(other.ping()).await.expect("it is there");
    let error = within(by_hash.set(&hash, ["b"])).await;
    let error = error.expect_err("it is gone").to_string();
    assert!(error.contains("Token not found"), "{error}");
    within(by_hash.unregister(&hash))
        .await
        .expect("unknown ones too");
    house.end().await;
}
