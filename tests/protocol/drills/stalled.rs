//! Owns readers that take nothing while much is published: memory is bounded, healthy readers miss nothing.

use super::{Light, MIB, figure, gauges, has_descriptors, memory, message, server, sized};
use mist_tests::client::{Client, Kind, Place, is_well};

/// As little as the system agrees to keep for a reader that does not read.
const SMALL: Option<u32> = Some(4096);

async fn stalled(place: Place, count: usize, tag: &str) -> Vec<Light> {
    let mut readers = Vec::new();
    for index in 0..count {
        let mut reader = Light::open_with(place, Kind::of(index), SMALL).await;
        reader.subscribe(&[tag]).await;
        readers.push(reader);
    }
    readers
}

/// Publishes messages of `size` bytes, and takes them in as the healthy reader. Together they fit into what an outbox
/// may hold when there is too much in all; who keeps up never has more.
async fn round(
    publisher: &mut Client,
    healthy: &mut Light,
    tag: &str,
    serials: std::ops::Range<usize>,
    size: usize,
) {
    assert!(
        serials.len() * size < 60_000,
        "nobody could keep up with that"
    );
    let filler = "f".repeat(size);
    for serial in serials.clone() {
        publisher
            .publish(&[tag], &format!("{serial}:{filler}"))
            .await;
    }
    for serial in serials {
        healthy
            .expect(&message(tag, &format!("{serial}:{filler}")))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_stalled_among_ten_costs_the_others_nothing() {
    let server = server(&[]);
    let place = Place::of(&server);
    let rest = stalled(place, 1, "x").await;
    let mut readers = Vec::new();
    for index in 0..9 {
        let mut reader = Light::open(place, Kind::of(index)).await;
        reader.subscribe(&["x"]).await;
        readers.push(reader);
    }
    let mut publisher = place.tcp().await;
    let filler = "f".repeat(1000);
    let rounds = sized(40, 400);
    for round in 0..rounds {
        for serial in 0..500 {
            let data = format!("{round}:{serial}:{filler}");
            publisher.publish(&["x"], &data).await;
        }
        for reader in &mut readers {
            for serial in 0..500 {
                let data = format!("{round}:{serial}:{filler}");
                reader.expect(&message("x", &data)).await;
            }
        }
    }
    figure("stalled", "messages to each of nine healthy", rounds * 500);
    drop(rest);
    is_well(place).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_stalled_readers_hold_up_neither_a_healthy_one_nor_pings() {
    let wanted = sized(200, 1000);
    assert!(has_descriptors(wanted + 100), "too few descriptors");
    let server = server(&[]);
    let place = Place::of(&server);
    let readers = stalled(place, wanted, "x").await;
    let mut healthy = Light::open(place, Kind::Tcp).await;
    healthy.subscribe(&["x"]).await;
    let mut publisher = place.tcp().await;
    let mut witness = place.ws().await;
    let (mut highest, mut waiting) = (0, 0);
    for turn in 0..120 {
        let serials = turn * 14..turn * 14 + 14;
        round(&mut publisher, &mut healthy, "x", serials, 4000).await;
        witness.barrier().await;
        highest = highest.max(memory(&server));
        waiting = waiting.max(gauges(&server).await["mist_outbox_bytes"]);
    }
    figure("stalled", "stalled readers", wanted);
    figure(
        "stalled",
        "memory of the server at most",
        format!("{} MiB", highest / MIB),
    );
    figure(
        "stalled",
        "waiting in outboxes at most",
        format!("{} MiB", waiting / MIB),
    );
    assert!(highest < 1024 * MIB, "{} MiB", highest / MIB);
    drop(readers);
    is_well(place).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_outboxes_together_stay_within_their_limit_and_the_biggest_go_first() {
    const LIMIT: u64 = 16 << 20;
    const SIZE: usize = 16_000;
    let total = format!("outbox-total-bytes={LIMIT}");
    let count = sized(24, 240);
    assert!(has_descriptors(count + 100), "too few descriptors");
    // Only the limit on all together may cut anybody.
    let server = server(&[
        "--limit",
        &total,
        "--limit",
        "stall-seconds=600",
        "--limit",
        "heartbeat-seconds=0",
    ]);
    let place = Place::of(&server);
    let big = stalled(place, count, "much").await;
    let mut small = stalled(place, 2, "little").await;
    let mut healthy = Light::open(place, Kind::Tcp).await;
    healthy.subscribe(&["much"]).await;
    let mut publisher = place.tcp().await;
    // More than the sockets take in, so that these two stand still as well.
    let little = "l".repeat(SIZE);
    let mut few = 0;
    while gauges(&server).await["mist_outbox_bytes"] < 128 * 1024 {
        for _ in 0..8 {
            publisher.publish(&["little"], &little).await;
            few += 1;
        }
        publisher.barrier().await;
    }
    let allowed = LIMIT + (64 << 10) * (count as u64 + 3);
    let mut highest = 0;
    // Two rounds fit into what each may hold: that one is read is known here before the server has counted it.
    let mut serial = 0;
    let cut = "too much waits in all outboxes";
    while !server.log().contains(cut) {
        round(
            &mut publisher,
            &mut healthy,
            "much",
            serial..serial + 2,
            SIZE,
        )
        .await;
        serial += 2;
        highest = highest.max(gauges(&server).await["mist_outbox_bytes"]);
        assert!(
            serial < 1_000_000,
            "nobody is cut with {highest} bytes waiting"
        );
    }
    figure(
        "stalled",
        "limit of all outboxes",
        format!("{} KiB", LIMIT >> 10),
    );
    figure(
        "stalled",
        "waiting at most",
        format!("{} KiB", highest >> 10),
    );
    assert!(highest <= allowed, "{highest} bytes waited, {allowed} may");
    assert!(highest > LIMIT / 2, "{highest} bytes are not much");
    // It goes on, for whoever reads: the healthy reader has got everything, and those with little get theirs.
    for _ in 0..30 {
        let serials = serial..serial + 2;
        round(&mut publisher, &mut healthy, "much", serials, SIZE).await;
        serial += 2;
    }
    for reader in &mut small {
        for _ in 0..few {
            reader.expect(&message("little", &little)).await;
        }
        reader.barrier().await;
    }
    drop(big);
    is_well(place).await;
}
