//! Owns messages of all sizes, whatever NATS takes at once: what does not fit goes in pieces, in its turn.

use mist_tests::client::Client;
use mist_tests::nats::{Nats, Version};

use super::{Node, settle};

async fn expect(reader: &mut Client, size: usize, data: &str) {
    let came = reader.recv().await;
    let wanted = format!(r#"{{"command":"publish","tags":["x"],"data":"{data}"}}"#);
    assert!(came == wanted, "of {size} bytes {} came", came.len());
}

async fn all_sizes_cross(version: Version, settings: &str) {
    let Some(nats) = Nats::start(version, settings) else {
        return;
    };
    let nodes = Node::start_all(2, &nats.uri()).await;
    let mut reader = nodes[1].place().ws().await;
    reader.subscribe(&["x"]).await;
    settle(&nodes).await;
    let mut publisher = nodes[0].place().tcp().await;
    let sizes = [
        1,
        4_000,
        4_096,
        12_200,
        12_288,
        16_384,
        65_400,
        65_500,
        65_536,
        131_072,
        1 << 20,
        3 << 20,
        // The whole line is as long as the limit.
        (4 << 20) - r#"{"command":"publish","tags":["x"],"data":""}"#.len(),
        10,
    ];
    for size in sizes {
        let data: String = (0..size)
            .map(|at| char::from(b'a' + (at % 26) as u8))
            .collect();
        publisher.publish(&["x"], &data).await;
        // Whatever is behind a large one does not overtake it.
        publisher.publish(&["x"], "small").await;
        expect(&mut reader, size, &data).await;
        expect(&mut reader, 5, "small").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_all_sizes_cross() {
    all_sizes_cross(Version::Debian, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_all_sizes_cross_a_nats_that_takes_little_at_once() {
    all_sizes_cross(Version::Current, "max_payload: 16384\n").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nats_that_takes_too_little_is_not_joined_which_is_said() {
    let Some(nats) = Nats::start(Version::Current, "max_payload: 4096\n") else {
        return;
    };
    let node = Node::start("a", &nats.uri(), &[]);
    let said = node.process.says("ERROR");
    assert!(said.contains("4096") && said.contains("16384"), "{said}");
    node.until_alone().await;
}
