//! Owns publishers that are faster than the way to the other nodes: they wait for it, so that they lose nothing, and leave
//! room on it to others.

use mist_tests::nats::{Nats, Version};

use super::{Node, meet, settle};

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_waits_for_the_way_to_other_nodes() {
    const MESSAGES: usize = 10_000;
    let Some(nats) = Nats::start(Version::Debian, "") else {
        return;
    };
    // Far less than is published at once.
    let nodes = [
        Node::start("a", &nats.uri(), &["--limit", "outbox-bytes=262144"]),
        Node::start("b", &nats.uri(), &[]),
    ];
    meet(&nodes).await;
    let mut reader = nodes[1].place().ws().await;
    reader.subscribe(&["flood"]).await;
    let mut other = nodes[1].place().ws().await;
    other.subscribe(&["calm"]).await;
    settle(&nodes).await;
    let mut flooder = nodes[0].place().tcp().await;
    let message = |number: usize| {
        let rest = "x".repeat(1000);
        format!(r#"{{"command":"publish","tags":["flood"],"data":"{number:05} {rest}"}}"#)
    };
    let lines: Vec<_> = (0..MESSAGES).map(message).collect();
    let flood = lines.join("\n") + "\n";
    let flooding = tokio::spawn(async move {
        flooder.write(flood.as_bytes()).await;
        flooder
    });
    let mut calm = nodes[0].place().tcp().await;
    for (number, line) in lines.iter().enumerate() {
        assert!(reader.recv().await == *line, "message {number}");
        if number % 500 == 0 {
            let data = number.to_string();
            calm.publish(&["calm"], &data).await;
            let wanted = format!(r#"{{"command":"publish","tags":["calm"],"data":"{data}"}}"#);
            assert_eq!(other.recv().await, wanted);
        }
    }
    flooding.await.expect("all is written");
    let state = nodes[0].state().await;
    assert_eq!(state.lost(), 0, "{state:?}");
    let state = nodes[1].state().await;
    assert_eq!(state.missed(), 0, "{state:?}");
}
