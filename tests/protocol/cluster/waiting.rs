//! Owns publishes that are answered for the whole cluster: `"wait":"cluster"` on every transport, `?wait=cluster` over HTTP.

use mist_tests::client::{Client, Kind};
use mist_tests::http::ask;
use mist_tests::nats::{Nats, Version};

use super::{Node, poll, settle};

fn publish(data: &str, id: usize) -> String {
    format!(
        r#"{{"command":"publish","tags":["bus","late"],"data":"{data}","wait":"cluster","id":{id}}}"#
    )
}

fn receipt(delivered: usize, nodes: usize, rest: &str) -> String {
    format!(
        r#"{{"command":"publish","tags":["bus","late"],"data":"success"{rest},"delivered":{delivered},"nodes":{nodes}"#
    )
}

async fn reader(node: &Node) -> Client {
    let mut reader = node.place().connect(Kind::Ws).await;
    reader.subscribe(&["bus"]).await;
    reader
}

/// The data of the next messages.
async fn heard(reader: &mut Client, count: usize) -> Vec<String> {
    let mut all = Vec::new();
    while all.len() < count {
        let message = reader.recv().await;
        let data = message.split(r#""data":""#).nth(1).expect(&message);
        all.push(data.trim_end_matches("\"}").to_owned());
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_may_wait_for_what_all_nodes_deliver() {
    let Some(nats) = Nats::start(Version::Current, "") else {
        return;
    };
    let nodes = Node::start_all(3, &nats.uri()).await;
    let mut readers = Vec::new();
    for (node, count) in nodes.iter().zip([1, 2, 0]) {
        for _ in 0..count {
            readers.push(reader(node).await);
        }
    }
    settle(&nodes).await;
    // In pieces.
    let large = "x".repeat(200_000);
    for (at, node) in nodes.iter().enumerate() {
        let mut publisher = node.place().connect(Kind::of(at)).await;
        publisher.publish(&["bus"], "in front").await;
        for (id, data) in ["counted", &large].into_iter().enumerate() {
            let wanted = receipt(3, 2, "") + &format!(r#","id":{id}}}"#);
            let whole = poll(async || {
                publisher.send(&publish(data, id)).await;
                publisher.send(r#"{"command":"ping"}"#).await;
                let answer = publisher.recv().await;
                let pong = publisher.recv().await;
                assert_eq!(pong, r#"{"command":"ping","data":"pong"}"#);
                // On a busy machine a node may not be in time, which it says.
                assert!(answer == wanted || answer.contains("silent"), "{answer}");
                answer == wanted
            });
            assert!(whole.await, "never of all nodes");
        }
        publisher.publish(&["bus"], "behind").await;
        for reader in &mut readers {
            let mut all = Vec::new();
            while all.last().is_none_or(|data| data != "behind") {
                all.extend(heard(reader, 1).await);
            }
            all.dedup();
            let wanted = ["in front", "counted", &large, "behind"];
            assert!(all == wanted, "node {}: {} messages", node.name, all.len());
        }
        let target = "/publish?tags=bus,late&wait=cluster";
        let address = node.process.address("http");
        let wanted = (200, receipt(3, 2, "") + "}\n");
        let whole = poll(async || ask(address, "POST", target, "here").await == wanted);
        assert!(whole.await, "never of all nodes");
        publisher.publish(&["bus"], "end").await;
        for reader in &mut readers {
            while heard(reader, 1).await != ["end"] {}
        }
    }
    let wrong = "/publish?tags=bus&wait=for%20me";
    let (status, why) = ask(nodes[0].process.address("http"), "POST", wrong, "x").await;
    assert!(status == 400 && why.contains("wait is 'for me'"), "{why}");

    // One that says nothing is named, also once it counts as silent.
    nodes[1].process.signal("STOP");
    let mut publisher = nodes[0].place().tcp().await;
    let silent = receipt(1, 1, r#","silent":["b"]"#) + r#","id":1}"#;
    let is_named = poll(async || {
        publisher.send(&publish("one is silent", 1)).await;
        publisher.recv().await == silent
    });
    assert!(is_named.await, "its silence is not told");
    nodes[0].logs(&["WARN", "a node is silent", "\"b\""]).await;
    let is_named = poll(async || {
        publisher.send(&publish("for a while", 1)).await;
        publisher.recv().await == silent
    });
    assert!(is_named.await, "it is forgotten");
    nodes[1].process.signal("CONT");
    let whole = receipt(3, 2, "") + r#","id":2}"#;
    let all = poll(async || {
        publisher.send(&publish("all are back", 2)).await;
        publisher.recv().await == whole
    });
    assert!(all.await, "it is not back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_alone_answers_at_once() {
    let Some(mut nats) = Nats::start(Version::Debian, "") else {
        return;
    };
    let node = Node::start("a", &nats.uri(), &[]);
    node.until_beside(0).await;
    let _reader = reader(&node).await;
    let mut publisher = node.place().tcp().await;
    let answer = receipt(1, 0, "") + r#","id":1}"#;
    publisher.send(&publish("alone", 1)).await;
    assert_eq!(publisher.recv().await, answer);
    nats.kill();
    node.until_alone().await;
    publisher.send(&publish("without NATS", 1)).await;
    assert_eq!(publisher.recv().await, answer);
}
