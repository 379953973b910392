//! Owns what becomes of a cluster whose NATS goes away, comes back, or is not there yet. Meanwhile every node serves its own
//! clients; nothing is kept for later, and what others did not get is counted and told.

use mist_tests::client::is_well;
use mist_tests::nats::{Nats, VERSIONS, Version};

use super::flow::Flow;
use super::{Ear, Node, Way, meet, settle};
use crate::drills::{figure, sized};

async fn total(nodes: &[Node], of: fn(&super::State) -> u64) -> u64 {
    let mut all = 0;
    for node in nodes {
        all += of(&node.state().await);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_may_be_killed_and_come_back() {
    for version in VERSIONS {
        let Some(mut nats) = Nats::start(version, "") else {
            continue;
        };
        let nodes = Node::start_all(3, &nats.uri()).await;
        let flow = Flow::start(&nodes).await;
        let rounds = sized(2, 100);
        let mut missed = 0;
        for _ in 0..rounds {
            let lost = total(&nodes, super::State::lost).await;
            nats.kill();
            for node in &nodes {
                node.until_alone().await;
            }
            flow.flows_within_nodes().await;
            flow.flows_within_nodes().await;
            assert!(
                total(&nodes, super::State::lost).await > lost,
                "none is lost"
            );
            nats.begin();
            meet(&nodes).await;
            flow.heals().await;
            missed = flow.are_gaps_told(&nodes).await;
        }
        // Each is missed by two, and some more were on their way when NATS was killed.
        assert!(
            missed >= 2 * total(&nodes, super::State::lost).await,
            "{missed} missed"
        );
        let published = flow.finish().await;
        figure(
            "cluster",
            &format!("{version:?}'s NATS killed and back"),
            rounds,
        );
        figure("cluster", "messages published", published);
        figure("cluster", "messages missed by others, and told", missed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_may_come_later_than_the_nodes() {
    let Some(mut nats) = Nats::reserve(Version::Current, "") else {
        return;
    };
    let nodes = ["a", "b"].map(|name| Node::start(name, &nats.uri(), &[]));
    let optional = Node::start("c", &nats.uri(), &["--cluster-optional"]);
    for node in &nodes {
        node.until_alone().await;
        is_well(node.place()).await;
        node.logs(&["WARN", "NATS"]).await;
    }
    let state = optional.state().await;
    assert!(state.is_ready && state.joined() == 0, "{state:?}");
    is_well(optional.place()).await;
    nats.begin();
    let nodes: Vec<_> = nodes.into_iter().chain([optional]).collect();
    meet(&nodes).await;
    let mut ear = Ear::open(&nodes[0], Way::Tcp, &[vec!["x"]], false).await;
    settle(&nodes).await;
    for node in &nodes[1..] {
        let mut publisher = node.place().tcp().await;
        publisher.publish(&["x"], &node.name).await;
        let wanted = format!(
            r#"{{"command":"publish","tags":["x"],"data":"{}"}}"#,
            node.name
        );
        assert_eq!(ear.hear().await, wanted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_three_servers_of_nats_each_may_be_lost() {
    let Some(mut nats) = Nats::cluster(Version::Current, 3) else {
        return;
    };
    let hosts: Vec<_> = nats
        .iter()
        .map(|one| format!("127.0.0.1:{}", one.port))
        .collect();
    let nodes: Vec<_> = (0..3)
        .map(|at| {
            let mut hosts = hosts.clone();
            hosts.rotate_left(at);
            let uri = format!("nats://{}", hosts.join(","));
            Node::start(["a", "b", "c"][at], &uri, &[])
        })
        .collect();
    meet(&nodes).await;
    let flow = Flow::start(&nodes).await;
    let rounds = sized(3, 200);
    for round in 0..rounds {
        let lost = &mut nats[round % 3];
        lost.kill();
        flow.heals().await;
        meet(&nodes).await;
        lost.begin();
        flow.heals().await;
        flow.are_gaps_told(&nodes).await;
    }
    let missed = flow.are_gaps_told(&nodes).await;
    let published = flow.finish().await;
    figure("cluster", "servers of three lost and back", rounds);
    figure("cluster", "of messages published", published);
    figure("cluster", "missed, and told", missed);
}
