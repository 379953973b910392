//! Owns matching against brute force: random sessions over real sockets, and a loop that looks at every subscription.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use mist_tests::client::{Client, Kind, Place, server, tags_json};

const TAGS: [&str; 10] = [
    "a",
    "b",
    "c",
    "",
    "A",
    "é",
    "日本 🎈",
    "[\"a\",\"b\"]",
    "x,y z",
    "{\"command\":\"ping\"}",
];

type Set = BTreeSet<&'static str>;

struct Session {
    client: Client,
    subscriptions: BTreeSet<Set>,
    expected: Vec<String>,
}

fn some_tags(dice: &mut Rng, most: usize) -> Vec<&'static str> {
    // Repetition is wanted: a set does not care.
    (0..=dice.usize(..most))
        .map(|_| *dice.choice(&TAGS).expect("one of them"))
        .collect()
}

fn delivered(tags: &[&str], data: &str) -> String {
    let sorted: BTreeSet<&str> = tags.iter().copied().collect();
    let sorted: Vec<&str> = sorted.into_iter().collect();
    format!(
        r#"{{"command":"publish","tags":{},"data":"{data}"}}"#,
        tags_json(&sorted)
    )
}

async fn settle(session: &mut Session) {
    let came = session.client.until_pong().await;
    let expected = std::mem::take(&mut session.expected);
    let kind = session.client.kind;
    assert_eq!(
        came, expected,
        "{kind:?} with subscriptions {:?}",
        session.subscriptions
    );
}

async fn random_sessions(seed: u64) {
    let server = server(&[]);
    let place = Place::of(&server);
    let mut dice = Rng::with_seed(seed);
    let mut sessions = Vec::new();
    for index in 0..10 {
        let client = place.connect(Kind::of(index)).await;
        sessions.push(Session {
            client,
            subscriptions: BTreeSet::new(),
            expected: Vec::new(),
        });
    }
    for step in 0..3000 {
        let who = dice.usize(..sessions.len());
        match dice.usize(..100) {
            0..15 => {
                let tags = some_tags(&mut dice, 4);
                sessions[who]
                    .client
                    .send(&format!(
                        r#"{{"command":"subscribe","tags":{}}}"#,
                        tags_json(&tags)
                    ))
                    .await;
                sessions[who]
                    .subscriptions
                    .insert(tags.iter().copied().collect());
                settle(&mut sessions[who]).await;
            }
            15..30 => {
                let held: Vec<Set> = sessions[who].subscriptions.iter().cloned().collect();
                let tags: Vec<&str> = if held.is_empty() || dice.usize(..4) == 0 {
                    some_tags(&mut dice, 4)
                } else {
                    dice.choice(&held)
                        .expect("one of them")
                        .iter()
                        .copied()
                        .rev()
                        .collect()
                };
                sessions[who]
                    .client
                    .send(&format!(
                        r#"{{"command":"unsubscribe","tags":{}}}"#,
                        tags_json(&tags)
                    ))
                    .await;
                sessions[who]
                    .subscriptions
                    .remove(&tags.iter().copied().collect::<Set>());
                settle(&mut sessions[who]).await;
            }
            30 => {
                settle(&mut sessions[who]).await;
                let client = place.connect(sessions[who].client.kind).await;
                let left = Session {
                    client,
                    subscriptions: BTreeSet::new(),
                    expected: Vec::new(),
                };
                std::mem::replace(&mut sessions[who], left)
                    .client
                    .close()
                    .await;
            }
            _ => {
                let tags = some_tags(&mut dice, 6);
                let message = delivered(&tags, &step.to_string());
                let set: Set = tags.iter().copied().collect();
                for (index, session) in sessions.iter_mut().enumerate() {
                    if index != who
                        && session
                            .subscriptions
                            .iter()
                            .any(|wanted| wanted.is_subset(&set))
                    {
                        session.expected.push(message.clone());
                    }
                }
                sessions[who].client.publish(&tags, &step.to_string()).await;
                settle(&mut sessions[who]).await;
            }
        }
    }
    for session in &mut sessions {
        settle(session).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_sessions_get_what_brute_force_says() {
    for seed in 1..=3 {
        random_sessions(seed).await;
    }
}

/// Everybody publishes at once; then only the order of each publisher is fixed.
#[tokio::test(flavor = "multi_thread")]
async fn concurrent_publishers_reach_exactly_who_matches_in_their_own_order() {
    const CLIENTS: usize = 10;
    const EACH: usize = 1000;
    let server = server(&[]);
    let place = Place::of(&server);
    let mut dice = Rng::with_seed(7);
    let mut clients = Vec::new();
    let mut subscriptions: Vec<Vec<Set>> = Vec::new();
    for index in 0..CLIENTS {
        let mut client = place.connect(Kind::of(index)).await;
        let mut own = Vec::new();
        for _ in 0..5 {
            let tags = some_tags(&mut dice, 3);
            client.subscribe(&tags).await;
            own.push(tags.into_iter().collect());
        }
        clients.push(client);
        subscriptions.push(own);
    }
    let plans: Vec<Vec<Vec<&str>>> = (0..CLIENTS)
        .map(|_| (0..EACH).map(|_| some_tags(&mut dice, 5)).collect())
        .collect();

    let mut tasks = Vec::new();
    for (index, mut client) in clients.into_iter().enumerate() {
        let plan = plans[index].clone();
        tasks.push(tokio::spawn(async move {
            let mut came = Vec::new();
            for (serial, tags) in plan.iter().enumerate() {
                client.publish(tags, &format!("{index}:{serial}")).await;
                // Reading now and then keeps the outbox short.
                if serial % 100 == 99 {
                    came.extend(client.until_pong().await);
                }
            }
            (client, came)
        }));
    }
    let mut ended = Vec::new();
    for task in tasks {
        ended.push(task.await.expect("no client fails"));
    }
    // Only now has everything been published.
    for (index, (mut client, mut came)) in ended.into_iter().enumerate() {
        came.extend(client.until_pong().await);
        let mut by_publisher: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for message in came {
            let parsed: serde_json::Value =
                serde_json::from_str(&message).expect("a message is JSON");
            let data = parsed["data"].as_str().expect("data is there");
            let publisher = data
                .split(':')
                .next()
                .and_then(|text| text.parse().ok())
                .expect("data names the publisher");
            by_publisher.entry(publisher).or_default().push(message);
        }
        for (publisher, plan) in plans.iter().enumerate() {
            let wanted: Vec<String> = plan
                .iter()
                .enumerate()
                .filter(|(_, tags)| {
                    let set: Set = tags.iter().copied().collect();
                    publisher != index
                        && subscriptions[index]
                            .iter()
                            .any(|wanted| wanted.is_subset(&set))
                })
                .map(|(serial, tags)| delivered(tags, &format!("{publisher}:{serial}")))
                .collect();
            let came = by_publisher.remove(&publisher).unwrap_or_default();
            assert!(
                came == wanted,
                "client {index}, publisher {publisher}: {} came, {} expected",
                came.len(),
                wanted.len()
            );
        }
    }
}
