//! Owns nodes with lower limits than others: what others' clients publish over these is not taken, which is told, counted and
//! logged, and everything else goes on.

use mist_tests::client::Client;
use mist_tests::nats::{Nats, Version};

use super::{Node, State, meet, poll, settle};

/// Waits until so many messages were told of as missing; returns what came besides.
async fn until_dropped(reader: &mut Client, wanted: u64) -> Vec<String> {
    let (mut dropped, mut others) = (0, Vec::new());
    while dropped < wanted {
        let came = reader.recv().await;
        match came.strip_prefix(r#"{"command":"dropped","data":""#) {
            Some(rest) => dropped += rest.trim_end_matches("\"}").parse::<u64>().expect(&came),
            None => others.push(came),
        }
    }
    assert_eq!(dropped, wanted, "{others:?}");
    others
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_the_limits_of_a_node_is_a_gap_there() {
    let Some(nats) = Nats::start(Version::Current, "") else {
        return;
    };
    let low = [
        "--limit",
        "message-bytes=1000",
        "--limit",
        "tags-per-message=3",
        "--limit",
        "tag-bytes=10",
    ];
    let nodes = vec![
        Node::start("a", &nats.uri(), &[]),
        Node::start("b", &nats.uri(), &low),
    ];
    meet(&nodes).await;
    let mut reader = nodes[1].place().ws().await;
    reader
        .send(r#"{"command":"subscribe","tags":["x"],"id":1}"#)
        .await;
    reader.expect_like(r#"*"data":"success","id":1}"#).await;
    let mut other = nodes[0].place().ws().await;
    other.subscribe(&["x"]).await;
    // Its probes have longer tags.
    let mut publisher = nodes[0].place().tcp().await;
    let crosses = poll(async || {
        publisher.publish(&["x"], "probe").await;
        let probe = r#"{"command":"publish","tags":["x"],"data":"probe"}"#;
        let pause = std::time::Duration::from_millis(50);
        let next = tokio::time::timeout(pause, reader.recv());
        next.await.is_ok_and(|came| came == probe)
    });
    assert!(crosses.await, "nothing crosses");
    publisher.publish(&["x"], "begin").await;
    loop {
        if reader.recv().await.contains(r#""data":"begin""#) {
            break;
        }
    }
    // In one envelope with others, and in pieces.
    let over: [(&[&str], usize); 4] = [
        (&["x"], 2_000),
        (&["x", "y", "z", "four"], 1),
        (&["x", "elevenbytes"], 1),
        (&["x"], 3 << 20),
    ];
    for (tags, bytes) in over {
        publisher.publish(&["x"], "in front").await;
        publisher.publish(tags, &"o".repeat(bytes)).await;
        publisher.publish(&["x"], "behind").await;
    }
    let mut came = until_dropped(&mut reader, over.len() as u64).await;
    while came.len() < 2 * over.len() {
        came.push(reader.recv().await);
    }
    for (at, message) in came.iter().enumerate() {
        let data = ["in front", "behind"][at % 2];
        assert_eq!(
            *message,
            format!(r#"{{"command":"publish","tags":["x"],"data":"{data}"}}"#)
        );
    }
    let counted =
        |state: &State| state.figure("refused_total") + state.missed() == over.len() as u64;
    nodes[1].until("counts them", counted).await;
    nodes[1]
        .logs(&["WARN", "over the limits of this server"])
        .await;
    meet(&nodes).await;
    settle(&nodes[..1]).await;
}
