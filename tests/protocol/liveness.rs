//! Owns peers that fall silent: half a request, a connection nobody answers on. They are closed, others are not.

use std::time::Instant;

use mist_tests::PATIENCE;
use mist_tests::wire::{Incoming, Wire};

use mist_tests::client::{KINDS, Kind, PING, PONG, Place, embedded, eventually, is_well};

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_never_ends_is_closed() {
    let place = embedded(&[("handshake-seconds", 1)]).await;
    for beginning in ["", "GET", "GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow:"] {
        let mut client = Wire::tcp(place.ws).await.expect("it listens");
        client
            .write(beginning.as_bytes())
            .await
            .expect("bytes are taken");
        loop {
            let bytes = client
                .chunk()
                .await
                .unwrap_or_else(|error| panic!("after {beginning:?}: {error}"));
            if bytes.is_empty() {
                break;
            }
        }
    }
    is_well(place).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_that_no_longer_answers_pings_is_closed_and_one_that_does_is_not() {
    let place = embedded(&[("heartbeat-seconds", 1)]).await;
    let mut silent = place.ws().await;
    silent.subscribe(&["x"]).await;
    let mut alive = place.ws().await;
    alive.subscribe(&["x"]).await;
    // Reading is what answers pings.
    let reading = tokio::spawn(async move { (alive.wire.next().await, alive) });
    let mut witness = place.tcp().await;
    eventually(place, "only the one that reads is left", async || {
        witness.send(r#"{"command":"who"}"#).await;
        witness.recv().await.contains("Subscribers connected: 1")
    })
    .await;
    witness.publish(&["x"], "still there?").await;
    let (came, mut alive) = reading.await.expect("it reads");
    let wanted = r#"{"command":"publish","tags":["x"],"data":"still there?"}"#;
    assert_eq!(came, Incoming::Message(wanted.into()));
    alive.barrier().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_tcp_client_is_left_alone() {
    let place = embedded(&[
        ("heartbeat-seconds", 1),
        ("handshake-seconds", 1),
        ("stall-seconds", 1),
    ])
    .await;
    let mut idle = place.tcp().await;
    // Two clocks of a second each run out on others meanwhile.
    let mut unfinished = Wire::tcp(place.ws).await.expect("it listens");
    unfinished.write(b"GET").await.expect("bytes are taken");
    while !unfinished.chunk().await.expect("it is closed").is_empty() {}
    let mut silent = place.ws().await;
    silent.subscribe(&["x"]).await;
    eventually(place, "the silent one is closed", async || {
        idle.send(r#"{"command":"listall"}"#).await;
        idle.recv().await == r#"{"command":"listall"}"#
    })
    .await;
    idle.send(r#"{"command":"ping"}"#).await;
    idle.expect(PONG).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_connections_as_the_limit_says_may_be_open_and_the_next_is_told_why_not() {
    for kind in KINDS {
        let place = embedded(&[("connections", 3)]).await;
        let mut open = Vec::new();
        for _ in 0..3 {
            let mut client = place.connect(kind).await;
            client.barrier().await;
            open.push(client);
        }
        match kind {
            Kind::Tcp => {
                let mut refused = place.tcp().await;
                refused
                    .expect_like(
                        r#"{"command":"","error":"*connections*","code":"too-many-connections"}"#,
                    )
                    .await;
                refused.expect_closed().await;
            }
            Kind::Ws => {
                let refused = Wire::ws(place.ws)
                    .await
                    .expect_err("there are three already");
                assert!(refused.to_string().contains("503"), "{refused}");
            }
        }
        // One that leaves makes room for another; the server may see it a moment later than the client.
        open.swap_remove(0).close().await;
        let start = Instant::now();
        while !is_served(place, kind).await {
            assert!(
                start.elapsed() < PATIENCE,
                "there is no room although one has left"
            );
        }
    }
}

async fn is_served(place: Place, kind: Kind) -> bool {
    let connected = match kind {
        Kind::Tcp => Wire::tcp(place.tcp).await,
        Kind::Ws => Wire::ws(place.ws).await,
    };
    let Ok(mut wire) = connected else {
        return false;
    };
    wire.send(PING).await.is_ok() && wire.recv().await == Incoming::Message(PONG.into())
}
