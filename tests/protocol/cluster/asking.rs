//! Owns what a client is told of all nodes by whichever it asks.

use mist_tests::client::Kind;
use mist_tests::nats::{Nats, Version};
use mist_tests::transcript::is_like;

use serde_json::Value;

use super::quick_start::run;
use super::{Node, meet, poll, settle};

#[tokio::test(flavor = "multi_thread")]
async fn each_node_answers_for_all_and_names_those_that_are_silent() {
    let Some(nats) = Nats::start(Version::Current, "") else {
        return;
    };
    let nodes = Node::start_all(3, &nats.uri()).await;
    let mut readers = Vec::new();
    for (node, tag) in nodes.iter().zip(["bus", "tram", "ferry"]) {
        let mut reader = node.place().ws().await;
        reader.subscribe(&[tag, "late"]).await;
        readers.push(reader);
    }
    settle(&nodes).await;
    for node in &nodes {
        let mut asker = node.place().ws().await;
        let tags = r#"{"command":"listall","data":"bus ferry late tram","subscribed":["bus","ferry","late","tram"],"id":1}"#;
        asker.send(r#"{"command":"listall","id":1}"#).await;
        assert_eq!(asker.recv().await, tags);
        // What comes behind waits for it.
        asker.send(r#"{"command":"nodes","id":2}"#).await;
        asker.send(r#"{"command":"ping"}"#).await;
        let answer = asker.recv().await;
        for name in ["a", "b", "c"] {
            assert!(answer.contains(&format!(r#""name":"{name}""#)), "{answer}");
        }
        assert_eq!(answer.matches("round_trip_us").count(), 2, "{answer}");
        assert!(answer.ends_with(r#","id":2}"#), "{answer}");
        assert_eq!(asker.recv().await, r#"{"command":"ping","data":"pong"}"#);
        // The others' figures come with their heartbeats.
        let heard = poll(async || {
            asker.send(r#"{"command":"who"}"#).await;
            is_like(r#"*"subscribers":3,"nodes":3}"#, &asker.recv().await)
        });
        assert!(heard.await, "node {} counts others", node.name);
        asker
            .send(r#"{"command":"publish","tags":["bus","late"],"data":"x","id":3}"#)
            .await;
        let delivered = usize::from(node.name == "a");
        let elsewhere = 1 - delivered;
        let receipt = format!(
            r#"{{"command":"publish","tags":["bus","late"],"data":"success","delivered":{delivered},"nodes":{elsewhere},"id":3}}"#
        );
        assert_eq!(asker.recv().await, receipt);
    }

    nodes[2].process.signal("STOP");
    let mut asker = nodes[0].place().ws().await;
    let some = r#"{"command":"listall","data":"bus late tram","subscribed":["bus","late","tram"],"silent":["c"]}"#;
    let silent = poll(async || {
        asker.send(r#"{"command":"listall"}"#).await;
        asker.recv().await == some
    });
    assert!(silent.await, "its silence is not told");
    asker.send(r#"{"command":"nodes"}"#).await;
    let answer = asker.recv().await;
    assert!(answer.contains(r#""silent":["c"]"#), "{answer}");
    // It is not forgotten at once when it counts as gone.
    nodes[0].logs(&["WARN", "a node is silent", "\"c\""]).await;
    asker.send(r#"{"command":"listall"}"#).await;
    assert_eq!(asker.recv().await, some);
    let host = nodes[0].process.address("tcp").to_string();
    let told = run(&["nodes", "--host", &host, "-o", "json"]);
    let told: Value = serde_json::from_str(&told).expect(&told);
    let told = told["nodes"].as_array().expect("an array");
    assert_eq!(told.len(), 3, "{told:?}");
    for node in told {
        assert!(node["uptime_seconds"].is_u64(), "{node}");
        assert!(node["waiting_bytes"].is_u64(), "{node}");
        assert_eq!(
            node["round_trip_us"].is_u64(),
            node["name"] == "b",
            "{node}"
        );
        let seconds = node["silent_seconds"].as_u64();
        assert_eq!(
            seconds.is_some_and(|it| it > 5),
            node["name"] == "c",
            "{node}"
        );
    }
    let table = run(&["nodes", "--host", &host]);
    let last = table.lines().last().expect("three lines");
    assert!(is_like("c *silent, last heard *s ago", last), "{table}");
    nodes[2].process.signal("CONT");
    meet(&nodes).await;
}

/// What a client that asks `who` is told.
async fn who(node: &Node) -> Value {
    let mut asker = node.place().ws().await;
    asker.send(r#"{"command":"who","id":1}"#).await;
    let answer = asker.recv().await;
    serde_json::from_str(&answer).expect(&answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_since_the_start_do_not_become_fewer_when_a_node_leaves() {
    let Some(nats) = Nats::start(Version::Debian, "") else {
        return;
    };
    let mut nodes = Node::start_all(2, &nats.uri()).await;
    for _ in 0..20 {
        nodes[1].place().ws().await;
    }
    let count = |answer: &Value| answer["connections"].as_u64().expect("a number");
    let heard = poll(async || count(&who(&nodes[0]).await) > 20);
    assert!(heard.await, "they are not counted");
    let before = count(&who(&nodes[0]).await);
    let mut leaver = nodes.pop().expect("two");
    leaver.process.signal("TERM");
    leaver.process.end();
    nodes[0].until_beside(0).await;
    let after = who(&nodes[0]).await;
    assert!(count(&after) > before, "{before} before, then {after}");
    assert_eq!(after["nodes"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_sees_of_all_nodes_what_it_is_granted() {
    let Some(nats) = Nats::start(Version::Current, "") else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let store = format!("sqlite://{}/tokens.db", folder.path().display());
    let arguments = [
        "--authenticator",
        &store,
        "--token",
        "TK",
        "--access",
        "scoped",
    ];
    let nodes = ["a", "b"].map(|name| Node::start(name, &nats.uri(), &arguments));
    meet(&nodes).await;
    let mut admin = nodes[0].place().admin(Kind::Tcp, "TK").await;
    admin
        .send(r#"{"command":"register","tags":["bus"],"data":"viewer","id":1}"#)
        .await;
    admin.expect_like(r#"*"data":"success","id":1}"#).await;
    let mut other = nodes[1].place().admin(Kind::Tcp, "TK").await;
    for tags in [r#"["bus","late"]"#, r#"["secret"]"#] {
        other
            .send(&format!(
                r#"{{"command":"subscribe","tags":{tags},"id":1}}"#
            ))
            .await;
        other.expect_like(r#"*"data":"success"*"#).await;
    }
    let mut viewer = nodes[0].place().admin(Kind::Ws, "viewer").await;
    viewer.send(r#"{"command":"listall"}"#).await;
    assert_eq!(
        viewer.recv().await,
        r#"{"command":"listall","data":"bus","subscribed":["bus"]}"#
    );

    // Whoever may not, is not told.
    let mut stranger = nodes[0].place().ws().await;
    stranger.send(r#"{"command":"nodes","id":1}"#).await;
    stranger
        .expect_like(
            r#"{"command":"nodes","error":"not authorized*","code":"unauthenticated","id":1}"#,
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_too_long_at_another_node_is_refused_as_it_is_there() {
    let Some(nats) = Nats::start(Version::Debian, "") else {
        return;
    };
    let limit = ["--limit", "outbox-bytes=4096"];
    let nodes = [
        Node::start("a", &nats.uri(), &limit),
        Node::start("b", &nats.uri(), &limit),
    ];
    meet(&nodes).await;
    let mut reader = nodes[1].place().ws().await;
    for number in 0..5 {
        let tag = number.to_string().repeat(1000);
        reader.subscribe(&[&tag]).await;
    }
    settle(&nodes).await;
    // However many want to know: they share what they are told.
    let mut askers = Vec::new();
    for _ in 0..5 {
        let mut asker = nodes[0].place().ws().await;
        asker.send(r#"{"command":"listall","id":1}"#).await;
        askers.push(asker);
    }
    for mut asker in askers {
        let answer = asker.recv().await;
        assert!(answer.contains("outbox-bytes"), "{answer}");
        assert!(!answer.contains("silent"), "{answer}");
    }
}
