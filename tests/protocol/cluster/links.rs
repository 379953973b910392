//! Owns trouble of one node's own: its link to NATS is cut, refused or silent, or it does nothing for a while. The others
//! notice, and afterwards all is as before; what was missed is counted and told.

use std::time::{Duration, Instant};

use mist_tests::PATIENCE;
use mist_tests::nats::{Nats, Version};
use mist_tests::proxy::Proxy;
use mist_tests::wire::Incoming;
use tokio::time::timeout;

use super::flow::Flow;
use super::{Node, meet, poll, settle};
use crate::drills::{figure, sized};

/// Two nodes and a third one behind a proxy, with traffic.
struct Ground {
    nodes: Vec<Node>,
    flow: Flow,
    proxy: Proxy,
    _nats: Nats,
}

impl Ground {
    async fn new(version: Version) -> Option<Self> {
        let nats = Nats::start(version, "")?;
        let proxy = Proxy::start(&nats.uri()).await;
        let nodes = vec![
            Node::start("a", &nats.uri(), &[]),
            Node::start("b", &nats.uri(), &[]),
            Node::start("c", &proxy.uri, &[]),
        ];
        meet(&nodes).await;
        Some(Self {
            flow: Flow::start(&nodes).await,
            nodes,
            proxy,
            _nats: nats,
        })
    }

    /// The others see that the third has gone, and nothing else happens to them.
    async fn goes_on_without_the_third(&self) {
        for node in &self.nodes[..2] {
            node.until_beside(1).await;
        }
        self.flow.flows_within_nodes().await;
        let is_other = |name: &str| name != "c";
        let between = |from: &str, to: &str| is_other(from) && is_other(to);
        self.flow.flows("messages of the others", between).await;
    }

    async fn is_whole_again(&self) -> u64 {
        meet(&self.nodes).await;
        self.flow.heals().await;
        self.flow.are_gaps_told(&self.nodes).await
    }

    /// Waits until the third has opened another connection.
    async fn comes_back(&self, before: usize) {
        let came = poll(async || self.proxy.connections() > before);
        assert!(came.await, "it opens no other connection");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_may_be_cut() {
    let Some(ground) = Ground::new(Version::Current).await else {
        return;
    };
    let rounds = sized(5, 200);
    let mut missed = 0;
    for _ in 0..rounds {
        let before = ground.proxy.connections();
        ground.proxy.cut();
        ground.comes_back(before).await;
        missed = ground.is_whole_again().await;
    }
    figure("cluster", "links cut", rounds);
    figure("cluster", "messages missed", missed);

    // And stay so.
    ground.proxy.set_open(false);
    ground.proxy.cut();
    ground.nodes[2].until_alone().await;
    ground.goes_on_without_the_third().await;
    ground.proxy.set_open(true);
    ground.is_whole_again().await;
    ground.flow.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_may_fall_silent() {
    let Some(ground) = Ground::new(Version::Debian).await else {
        return;
    };
    let rounds = sized(1, 100);
    for _ in 0..rounds {
        // There is no other way: the node finds out for itself that nothing comes any more.
        ground.proxy.set_open(false);
        ground.proxy.silence();
        ground.nodes[2].until_alone().await;
        ground.goes_on_without_the_third().await;
        ground.proxy.set_open(true);
        ground.proxy.release();
        ground.is_whole_again().await;
    }
    for _ in 0..rounds {
        // There is another way. What was said over the first comes when nobody waits for it any more.
        let before = ground.proxy.connections();
        ground.proxy.silence();
        ground.comes_back(before).await;
        ground.is_whole_again().await;
        ground.proxy.release();
        ground.is_whole_again().await;
    }
    figure("cluster", "links silent", 2 * rounds);
    ground.flow.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_may_do_nothing_for_a_while() {
    let Some(ground) = Ground::new(Version::Current).await else {
        return;
    };
    let rounds = sized(1, 200);
    for _ in 0..rounds {
        let stopped = &ground.nodes[2].process;
        stopped.signal("STOP");
        for node in &ground.nodes[..2] {
            node.until_beside(1).await;
        }
        let is_other = |name: &str| name != "c";
        let between = |from: &str, to: &str| is_other(from) && is_other(to);
        ground.flow.flows("messages of the others", between).await;
        stopped.signal("CONT");
        ground.is_whole_again().await;
    }
    figure("cluster", "nodes stopped", rounds);
    ground.flow.finish().await;
}

/// NATS cuts who does not take what is sent: the node notices, and its clients are told how much they did not get.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_nats_finds_too_slow_says_what_is_missing() {
    const BYTES: usize = 16 << 10;
    let settings = "max_pending: 1048576\nwrite_deadline: \"500ms\"\n";
    let Some(nats) = Nats::start(Version::Current, settings) else {
        return;
    };
    let nodes = Node::start_all(2, &nats.uri()).await;
    let mut publisher = nodes[0].place().tcp().await;
    let mut reader = nodes[1].place().ws().await;
    reader
        .send(r#"{"command":"subscribe","tags":["x"],"id":1}"#)
        .await;
    reader
        .expect(r#"{"command":"subscribe","tags":["x"],"data":"success","id":1}"#)
        .await;
    settle(&nodes).await;
    nodes[1].process.signal("STOP");
    let mut sent = 0;
    while !nats.process().log().contains("Slow Consumer") {
        for _ in 0..50 {
            let data = format!("{sent}:{}", "z".repeat(BYTES));
            publisher.publish(&["x"], &data).await;
            sent += 1;
        }
        publisher.barrier().await;
        let taken = (sent * BYTES) >> 20;
        assert!(taken < 300, "NATS takes {taken} MiB for who takes nothing");
    }
    nodes[1].process.signal("CONT");
    nodes[1].logs(&["WARN", "NATS is away"]).await;
    meet(&nodes).await;
    // It goes on, and then it is known of each message what became of it.
    let back = sent;
    let (mut next, mut came, mut dropped) = (0, 0, 0);
    let start = Instant::now();
    while next <= back || came + dropped < next {
        assert!(
            start.elapsed() < PATIENCE,
            "{came} came and {dropped} were told of, of {next}"
        );
        publisher.publish(&["x"], &format!("{sent}:")).await;
        sent += 1;
        let pause = Duration::from_millis(20);
        while let Ok(incoming) = timeout(pause, reader.wire.next()).await {
            let Incoming::Message(message) = incoming else {
                panic!("{incoming:?}");
            };
            let message = String::from_utf8(message).expect("UTF-8");
            let data = message.split_once(r#""data":""#).expect(&message).1;
            if message.starts_with(r#"{"command":"dropped""#) {
                dropped += data.trim_end_matches("\"}").parse::<usize>().expect(data);
            } else {
                let serial = data.split(':').next().and_then(|word| word.parse().ok());
                let serial: usize = serial.expect(data);
                assert!(serial >= next, "{serial} after {next}");
                next = serial + 1;
                came += 1;
            }
        }
    }
    assert!(
        came + dropped == next && dropped > 0,
        "{came} came, {dropped} were told of, of {next}"
    );
    figure(
        "cluster",
        "messages that a node was too slow for, and said so",
        dropped,
    );
}
