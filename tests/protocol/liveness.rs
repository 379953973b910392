//! Owns peers that fall silent: half a request, a connection nobody answers on. They are closed, others are not.

use mist_tests::wire::{Incoming, Wire};

use crate::support::{PONG, embedded, eventually, is_well};

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
