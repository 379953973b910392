//! Owns clients that take nothing: their cost is bounded, they are told what they missed, others notice nothing.

use std::time::Duration;

use mist_tests::process::Process;
use mist_tests::wire::Incoming;
use tokio::time::timeout;

use mist_tests::client::{
    Client, KINDS, Kind, PING, Place, eventually, is_well, server, tags_json,
};

const MIB: u64 = 1 << 20;

fn memory(server: &Process) -> u64 {
    server.memory()
}

/// Publishes `rounds` times a mebibyte in 1,024 messages; a healthy reader takes each round in.
async fn flood(publisher: &mut Client, healthy: &mut Client, tag: &str, rounds: usize) {
    let filler = "f".repeat(1000);
    for round in 0..rounds {
        for serial in 0..1024 {
            publisher
                .publish(&[tag], &format!("{round}:{serial}:{filler}"))
                .await;
        }
        for serial in 0..1024 {
            let data = format!("{round}:{serial}:{filler}");
            let tags = tags_json(&[tag]);
            healthy
                .expect(&format!(
                    r#"{{"command":"publish","tags":{tags},"data":"{data}"}}"#
                ))
                .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stalled_subscribers_cost_a_bounded_amount_of_memory_and_nobody_else_notices() {
    let server = server(&[]);
    let place = Place::of(&server);
    let mut stalled = Vec::new();
    for kind in KINDS {
        let mut client = place.connect(kind).await;
        client.subscribe(&["x"]).await;
        stalled.push(client);
    }
    let mut healthy = place.ws().await;
    healthy.subscribe(&["x"]).await;
    let mut publisher = place.tcp().await;
    let before = memory(&server);
    flood(&mut publisher, &mut healthy, "x", 100).await;
    let grown = memory(&server).saturating_sub(before);
    // Two outboxes of 8 MiB each, and what the allocator and the buffers of four connections add to them.
    assert!(grown < 64 * MIB, "memory grew by {} MiB", grown / MIB);
    healthy.barrier().await;
    drop(stalled);
    is_well(place).await;
}

/// Counts deliveries up to the answer to a ping, and what the server says it dropped on the way.
async fn catch_up(client: &mut Client) -> Option<(usize, usize)> {
    let (mut delivered, mut dropped) = (0, 0);
    loop {
        let message = match client.wire.recv().await {
            Incoming::Message(message) => String::from_utf8(message).expect("a message is UTF-8"),
            // It has stalled too long and was cut.
            Incoming::Closed(_) => return None,
            Incoming::Nothing => panic!("nothing came after {delivered} messages"),
        };
        if message.starts_with(r#"{"command":"publish""#) {
            delivered += 1;
        } else if let Some(count) = message.strip_prefix(r#"{"command":"dropped","data":""#) {
            dropped += count
                .strip_suffix("\"}")
                .and_then(|text| text.parse::<usize>().ok())
                .expect("a count");
        } else if message.contains(r#""id":"end""#) {
            return Some((delivered, dropped));
        } else {
            panic!("unexpected: {message}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_that_catches_up_is_told_how_many_messages_it_missed() {
    const ROUNDS: usize = 40;
    let server = server(&[]);
    let place = Place::of(&server);
    for kind in KINDS {
        let mut slow = place.connect(kind).await;
        slow.send(r#"{"command":"subscribe","tags":["x"],"id":1}"#)
            .await;
        slow.expect(r#"{"command":"subscribe","tags":["x"],"data":"success","id":1}"#)
            .await;
        let mut healthy = place.tcp().await;
        healthy.subscribe(&["x"]).await;
        let mut publisher = place.tcp().await;
        flood(&mut publisher, &mut healthy, "x", ROUNDS).await;
        // Taking in what is queued makes room; from the second ping on the account is settled.
        slow.send(r#"{"command":"ping","id":"end"}"#).await;
        let first = catch_up(&mut slow).await;
        if let Some((delivered, dropped)) = first {
            slow.send(r#"{"command":"ping","id":"end"}"#).await;
            let (more, missed) = catch_up(&mut slow).await.expect("it reads now");
            let (delivered, dropped) = (delivered + more, dropped + missed);
            assert!(dropped > 0, "40 MiB did not fill an outbox of 8 MiB");
            assert_eq!(
                delivered + dropped,
                ROUNDS * 1024,
                "{delivered} delivered, {dropped} dropped"
            );
        }
        healthy.close().await;
        publisher.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_learns_how_many_outboxes_took_its_message() {
    let server = server(&[]);
    let place = Place::of(&server);
    let mut stalled = place.tcp().await;
    stalled.subscribe(&["x"]).await;
    let mut publisher = place.tcp().await;
    let data = "f".repeat(100_000);
    let mut refused = 0;
    for serial in 0..1000 {
        publisher
            .send(&format!(
                r#"{{"command":"publish","tags":["x"],"data":"{data}","id":{serial}}}"#
            ))
            .await;
        let answer = publisher.recv().await;
        if answer
            == format!(
                r#"{{"command":"publish","tags":["x"],"data":"success","delivered":0,"id":{serial}}}"#
            )
        {
            refused += 1;
        } else {
            assert_eq!(
                answer,
                format!(
                    r#"{{"command":"publish","tags":["x"],"data":"success","delivered":1,"id":{serial}}}"#
                )
            );
        }
    }
    assert!(refused > 0, "100 MB went into an outbox of 8 MiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_pings_without_reading_is_bounded_and_its_socket_comes_back() {
    let server = server(&[]);
    let place = Place::of(&server);
    is_well(place).await;
    let before = memory(&server);
    let descriptors = server.descriptors();
    let mut deaf = place.tcp().await;
    let burst = format!("{PING}\n").repeat(4096);
    let mut written = 0;
    // Either the server stops reading, or it goes on and drops, or it closes; it may not hoard.
    while written < 128 << 20 {
        match timeout(Duration::from_secs(2), deaf.wire.write(burst.as_bytes())).await {
            Ok(Ok(())) => written += burst.len(),
            Ok(Err(_)) | Err(_) => break,
        }
    }
    let grown = memory(&server).saturating_sub(before);
    assert!(
        grown < 48 * MIB,
        "memory grew by {} MiB after {} MiB of pings",
        grown / MIB,
        written >> 20
    );
    is_well(place).await;
    drop(deaf);
    // The witness itself holds one descriptor.
    eventually(place, "the socket is closed", async || {
        server.descriptors() <= descriptors + 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_takes_nothing_for_ten_seconds_is_closed() {
    let server = server(&[]);
    let place = Place::of(&server);
    let mut stalled = place.connect(Kind::Tcp).await;
    stalled.subscribe(&["x"]).await;
    let mut publisher = place.tcp().await;
    let data = "f".repeat(1 << 20);
    for _ in 0..16 {
        publisher.publish(&["x"], &data).await;
    }
    publisher.barrier().await;
    let start = std::time::Instant::now();
    let asked = r#"{"command":"who"}"#;
    loop {
        publisher.send(asked).await;
        let answer = publisher.recv().await;
        if answer.contains("Subscribers connected: 0") {
            break;
        }
        assert!(
            start.elapsed() < Duration::from_secs(25),
            "it is still there: {answer}"
        );
        // Waiting for the server's clock, not for a message.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(
        start.elapsed() > Duration::from_secs(5),
        "a pause of {:?} was too long already",
        start.elapsed()
    );
}
