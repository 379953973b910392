//! Owns nodes that come and go while traffic flows: nothing that was answered is lost with one that leaves, and with one
//! that is killed no more than what was on its way.

use mist_tests::nats::{Nats, Version};

use super::flow::Flow;
use super::{Node, meet};
use crate::drills::{figure, sized};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_joins_gets_all_and_one_that_leaves_loses_nothing_that_was_answered() {
    let Some(nats) = Nats::start(Version::Current, "") else {
        return;
    };
    let mut nodes = Node::start_all(3, &nats.uri()).await;
    let mut flow = Flow::start(&nodes).await;
    let rounds = sized(2, 200);
    for round in 0..rounds {
        nodes.push(Node::start(&format!("n{round}"), &nats.uri(), &[]));
        meet(&nodes).await;
        flow.join(&nodes).await;
        flow.is_whole();

        let mut leaver = nodes.remove(round % 3);
        flow.leaves(&leaver);
        leaver.process.signal("TERM");
        let status = leaver.process.end();
        assert_eq!(status.code(), Some(0), "{}", leaver.process.log());
        flow.gets_all_answered_by(&leaver).await;
        meet(&nodes).await;
        flow.heals().await;
        flow.is_whole();
    }
    let count = flow.finish().await;
    figure(
        "cluster",
        "nodes that joined, and that left",
        format!("{rounds} each"),
    );
    figure(
        "cluster",
        "messages published meanwhile, all of them heard",
        count,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_killed_takes_the_end_of_its_messages_with_it_and_nothing_else() {
    let Some(nats) = Nats::start(Version::Debian, "") else {
        return;
    };
    let mut nodes = Node::start_all(4, &nats.uri()).await;
    let mut flow = Flow::start(&nodes).await;
    let rounds = sized(1, 100);
    for round in 0..rounds {
        let mut killed: Vec<_> = nodes.drain(..2).collect();
        for node in &mut killed {
            flow.leaves(node);
            node.process.signal("KILL");
            node.process.end();
        }
        flow.heals().await;
        meet(&nodes).await;
        for node in &killed {
            flow.got_a_beginning_of(node);
        }
        for node in killed {
            // Under the name of one that is gone. That it is another is known by more than the name.
            nodes.push(Node::start(&node.name, &nats.uri(), &[]));
        }
        meet(&nodes).await;
        for (at, node) in nodes.iter().enumerate().skip(2) {
            assert!(
                !node.process.log().contains("WARN"),
                "{}",
                node.process.log()
            );
            flow.join(&nodes[..=at]).await;
        }
        flow.heals().await;
        assert_eq!(nodes.len(), 4, "in round {round}");
    }
    flow.is_whole();
    flow.finish().await;
    figure("cluster", "nodes killed", 2 * rounds);
}
