//! Owns who belongs together: clusters are told apart by their names, and nodes by more than theirs.

use std::fs;
use std::process::Command;

use mist_tests::nats::{Nats, Speaker, Version};
use mist_tests::process::{Process, command};
use mist_tests::within;

use super::{Ear, Node, Way, meet, settle};

fn message(tag: &str, data: &str) -> String {
    format!(r#"{{"command":"publish","tags":["{tag}"],"data":"{data}"}}"#)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clusters_on_one_nats_do_not_see_each_other() {
    let Some(nats) = Nats::start(Version::Current, "") else {
        return;
    };
    let east = Node::start_all(2, &format!("{}?name=east", nats.uri())).await;
    let west = Node::start_all(2, &format!("{}?name=west", nats.uri())).await;
    let mut ears = Vec::new();
    for nodes in [&east, &west] {
        ears.push(Ear::open(&nodes[0], Way::Tcp, &[vec!["x"]], false).await);
        settle(nodes).await;
    }
    // What passes NATS last comes last: if the first went to the other cluster, too, it would be there before.
    for (nodes, data) in [
        (&east, "of the east"),
        (&west, "of the west"),
        (&east, "again"),
    ] {
        let mut publisher = nodes[1].place().tcp().await;
        publisher.publish(&["x"], data).await;
        let ear = &mut ears[usize::from(data == "of the west")];
        assert_eq!(ear.hear().await, message("x", data));
    }
    meet(&east).await;
    meet(&west).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_of_one_name_go_on_and_are_warned_of() {
    let Some(nats) = Nats::start(Version::Current, "") else {
        return;
    };
    let nodes = ["twin", "twin", "other"].map(|name| Node::start(name, &nats.uri(), &[]));
    meet(&nodes).await;
    for node in &nodes {
        node.logs(&["WARN", "'twin'"]).await;
    }
    let mut ear = Ear::open(&nodes[0], Way::Ws, &[vec!["x"]], false).await;
    settle(&nodes).await;
    for node in &nodes[1..] {
        node.place().tcp().await.publish(&["x"], &node.name).await;
        assert_eq!(ear.hear().await, message("x", &node.name));
    }
}

/// Those who come and go are in the log of the others, by name.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_who_joins_and_who_leaves() {
    let Some(nats) = Nats::start(Version::Debian, "") else {
        return;
    };
    let mut nodes = Node::start_all(2, &nats.uri()).await;
    let mut leaver = nodes.pop().expect("two");
    leaver.process.signal("TERM");
    leaver.process.end();
    meet(&nodes).await;
    nodes[0].logs(&["INFO", "a node has joined", "\"b\""]).await;
    nodes[0].logs(&["INFO", "a node has left", "\"b\""]).await;
}

/// By a flag, in the environment, and in a file.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_may_be_named_in_three_ways() {
    let Some(nats) = Nats::start(Version::Current, "") else {
        return;
    };
    let uri = |name: &str| format!("{}?node={name}", nats.uri());
    let listeners = "tcp://127.0.0.1:0,ws://127.0.0.1:0,http://127.0.0.1:0";
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("mist.yml");
    fs::write(&file, format!("cluster: {}\n", uri("file"))).expect("written");
    let start = |name: &str, change: fn(&mut Command, &str), value: &str| {
        let mut command = command(&["--server", "--listeners", listeners]);
        change(&mut command, value);
        let mut process = Process::run(&mut command);
        process.await_addresses(3);
        Node {
            name: name.to_owned(),
            process,
        }
    };
    let by_flag = |command: &mut Command, uri: &str| _ = command.args(["--cluster", uri]);
    let by_variable = |command: &mut Command, uri: &str| _ = command.env("MIST_CLUSTER", uri);
    let by_file = |command: &mut Command, path: &str| _ = command.args(["--config", path]);
    let nodes = [
        start("flag", by_flag, &uri("flag")),
        start("variable", by_variable, &uri("variable")),
        start("file", by_file, &file.display().to_string()),
    ];
    meet(&nodes).await;
}

/// A program that listens on NATS gets what is written in the documentation.
#[tokio::test(flavor = "multi_thread")]
async fn messages_go_over_the_subject_of_the_cluster() {
    let Some(nats) = Nats::start(Version::Current, "") else {
        return;
    };
    let nodes = Node::start_all(2, &format!("{}?name=east", nats.uri())).await;
    let _reader = Ear::open(&nodes[1], Way::Tcp, &[vec!["x"]], false).await;
    settle(&nodes).await;
    let mut speaker = Speaker::connect(&nats).await;
    speaker.subscribe("mist.east.>").await;
    nodes[0].place().tcp().await.publish(&["x"], "here").await;
    let wanted = message("x", "here");
    within(async { while !String::from_utf8_lossy(&speaker.next().await).contains(&wanted) {} })
        .await;
}
