//! Owns coming and going: after any number of visits the server is as it was before.

use std::time::{Duration, Instant};

use mist_tests::PATIENCE;

use super::{Light, MIB, figure, gauges, memory, message, server, sized};
use mist_tests::client::{Kind, Place, eventually, is_well};

const VISITORS: usize = 8;

/// Comes, hears itself through a neighbour, leaves in one of several ways.
async fn visit(place: Place, visitor: usize, round: usize) {
    // What a visitor leaves on its way may arrive after it: nobody else waits under this tag.
    let tag = format!("{visitor} {round}");
    let mut reader = Light::open(place, Kind::of(round)).await;
    reader.subscribe(&[&tag, "churn"]).await;
    reader.subscribe(&[&tag]).await;
    let mut publisher = Light::open(place, Kind::of(round / 2)).await;
    let said = message(&tag, &format!("{round}"));
    publisher.send(&said).await;
    reader.expect(&said).await;
    match round % 4 {
        0 => {
            let all = format!(r#"{{"command":"unsubscribe","tags":["{tag}"]}}"#);
            reader.send(&all).await;
            reader.barrier().await;
        }
        // Leaves with messages on their way to it.
        1 => {
            for _ in 0..50 {
                publisher.send(&said).await;
            }
        }
        // Leaves in the middle of a word.
        2 => {
            let half = b"{\"command\":\"pub";
            let _ = tokio::io::AsyncWriteExt::write_all(&mut reader.stream, half).await;
        }
        _ => {}
    }
}

async fn visits(place: Place, rounds: usize, end: Option<Instant>) -> usize {
    let mut tasks = Vec::new();
    for visitor in 0..VISITORS {
        tasks.push(tokio::spawn(async move {
            let mut round = 0;
            while end.map_or(round < rounds, |end| Instant::now() < end) {
                visit(place, visitor, round).await;
                round += 1;
            }
            round
        }));
    }
    let mut all = 0;
    for task in tasks {
        all += task.await.expect("no visit fails");
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn coming_and_going_leaves_nothing_behind() {
    let server = server(&[]);
    let place = Place::of(&server);
    // What the first visits leave in caches stays.
    visits(place, 100, None).await;
    let (before, descriptors) = (memory(&server), server.descriptors());
    let end = sized(None, Some(Instant::now() + Duration::from_secs(180)));
    let count = visits(place, 250, end).await;
    eventually(place, "every descriptor is given back", async || {
        server.descriptors() <= descriptors + 1
    })
    .await;
    let gone = [
        "mist_sessions",
        "mist_subscribers",
        "mist_subscriptions",
        "mist_outbox_bytes",
    ];
    let start = Instant::now();
    loop {
        let left = gauges(&server).await;
        // The connection that asks is open.
        if left["mist_connections"] == 1 && gone.iter().all(|name| left[*name] == 0) {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "what is left: {left:?}");
    }
    let grown = memory(&server).saturating_sub(before);
    figure("churn", "visits", count);
    figure("churn", "memory kept", format!("{} KiB", grown >> 10));
    assert!(grown < 8 * MIB, "{} KiB after {count} visits", grown >> 10);
    is_well(place).await;
}
