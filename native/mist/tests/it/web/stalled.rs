//! Clients that ask over HTTP and take nothing of the answer.

use super::*;

/// How many connections the server has, this one included.
async fn connections(witness: &mut Http) -> String {
    let answer = witness.ask("GET", "/metrics", &[], "").await;
    let mut lines = answer.body.lines();
    let line = lines.find_map(|line| line.strip_prefix("mist_connections "));
    line.expect("a gauge").to_owned()
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_an_answer_is_closed() {
    let site = Site::limited("stall-seconds", 1).await;
    let mut witness = site.open().await;
    // Events that are not read.
    let mut reader = site.open().await;
    reader
        .write(request("GET", "/subscribe?tags=a", &[], ""))
        .await;
    assert_eq!(reader.head().await.status, 200);
    let data = "x".repeat(64 << 10);
    for _ in 0..256 {
        site.handle.publish(&["a"], &data);
    }
    // Answers that are not read: a great many requests, one behind the other.
    let mut asker = site.open().await;
    let asking = tokio::spawn(async move {
        let requests = request("GET", "/metrics", &[], "").repeat(10_000);
        // It breaks off when the server closes.
        let _ = asker.0.write_all(&requests).await;
        asker
    });
    // One who only waits for an event is not concerned.
    let mut waiting = site.open().await;
    waiting
        .write(request("GET", "/subscribe?tags=b", &[], ""))
        .await;
    assert_eq!(waiting.head().await.status, 200);
    let beginning = waiting.chunk().await.expect("how the stream begins");
    assert_eq!(beginning, b"retry:3000\n\n");
    let closing = async { while connections(&mut witness).await != "2" {} };
    within(closing).await;
    assert_eq!(site.handle.publish(&["b"], "still there"), 1);
    let event = waiting.chunk().await.expect("an event");
    assert!(String::from_utf8_lossy(&event).contains("still there"));
    drop((reader, asking));
    site.stop().await;
}
