//! Owns a flood that is held to a rate, and what it is to others: nothing. The flood itself loses nothing but time.

use std::time::{Duration, Instant};

use mist_tests::client::{Kind, PING, PONG, Place, eventually, is_well};
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::{Light, figure, gauges, message, server, sized};

const RATE: u64 = 200;
const THROTTLED: &str = r#"{"command":"throttled"}"#;
const HEALTHY: usize = 10;
/// As little as the system agrees to keep for a client that does not read.
const SMALL: Option<u32> = Some(4096);
/// Of one healthy client.
const PACE: Duration = Duration::from_millis(10);

/// Publishes at its pace until it is over, each message to a reader of its own; returns how many.
async fn publish(place: Place, number: usize, is_over: watch::Receiver<bool>) -> usize {
    let tag = format!("healthy-{number}");
    let mut reader = Light::open(place, Kind::of(number)).await;
    reader.subscribe(&[&tag]).await;
    let mut publisher = Light::open(place, Kind::of(number + 1)).await;
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut serial = 0;
    while !*is_over.borrow() {
        pace.tick().await;
        let message = message(&tag, &serial.to_string());
        publisher.send(&message).await;
        reader.expect(&message).await;
        publisher.barrier().await;
        serial += 1;
    }
    serial
}

/// Sends so many messages as quickly as they are taken, each tenth with a ping behind it, while a reader takes them.
async fn flood(place: Place, kind: Kind, count: u64) {
    let tag = format!("flood-{kind:?}");
    let tag = tag.as_str();
    let mut reader = Light::open(place, Kind::Tcp).await;
    reader.subscribe(&[tag]).await;
    let flooder = Light::open(place, kind).await;
    let mut bytes = Vec::new();
    for serial in 0..count {
        bytes.extend(flooder.framed(&message(tag, &serial.to_string())));
        if serial % 10 == 9 {
            bytes.extend(flooder.framed(PING));
        }
    }
    let (stream, mut writing) = flooder.stream.into_split();
    let start = Instant::now();
    let writer = tokio::spawn(async move {
        writing.write_all(&bytes).await.expect("taken");
        writing
    });
    for serial in 0..count {
        reader.expect(&message(tag, &serial.to_string())).await;
        // What came cannot have been more than the limit allows, however slow this machine is.
        let allowed = RATE as f64 * (1.0 + start.elapsed().as_secs_f64());
        assert!(serial as f64 <= allowed, "{serial} of {allowed}");
    }
    let writing = writer.await.expect("it does not fail");
    let mut flooder = Light {
        stream: stream.reunite(writing).expect("its own"),
        kind,
    };
    let mut pongs = 0;
    while pongs < count / 10 {
        match flooder.recv().await.as_str() {
            PONG => pongs += 1,
            other => assert_eq!(other, THROTTLED),
        }
    }
    figure(
        "rates",
        &format!("messages of a flood over {kind:?}, all in order, and in how long"),
        format!("{count}, {:.1?} at {RATE} a second", start.elapsed()),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_that_is_held_to_its_rate_is_whole_and_nothing_to_others() {
    let server = server(&["--limit", &format!("publishes-per-second={RATE}")]);
    let place = Place::of(&server);
    let (over, is_over) = watch::channel(false);
    let start = Instant::now();
    let healthy: Vec<_> = (0..HEALTHY)
        .map(|number| tokio::spawn(publish(place, number, is_over.clone())))
        .collect();
    let count = sized(4, 60) * RATE;
    tokio::join!(
        flood(place, Kind::Tcp, count),
        flood(place, Kind::Ws, count)
    );
    over.send(true).expect("they publish");
    let elapsed = start.elapsed();
    let mut sent = Vec::new();
    for healthy in healthy {
        sent.push(healthy.await.expect("none fails"));
    }
    let due = elapsed.as_millis() / PACE.as_millis();
    let least = sent.iter().min().expect("some");
    figure(
        "rates",
        "messages of each of ten healthy clients at least, of those due",
        format!("{least} of {due}"),
    );
    let exceeded = gauges(&server)
        .await
        .remove("mist_rates_exceeded_total{limit=\"publishes-per-second\"}")
        .expect("a figure");
    figure("rates", "times that a flood was held up", exceeded);
    assert!(exceeded > 0);
    server.says("(publishes-per-second)");
    is_well(place).await;
}

/// It waits for the server before it reads, as a program of one thread does, and answers no ping meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_held_up_is_taken_neither_for_dead_nor_for_stalled() {
    const COUNT: u64 = 12;
    let server = server(&[
        "--limit",
        "publishes-per-second=2,heartbeat-seconds=1,stall-seconds=1",
    ]);
    let place = Place::of(&server);
    for kind in [Kind::Tcp, Kind::Ws] {
        let mut reader = place.tcp().await;
        reader.subscribe(&["flood"]).await;
        let mut flooder = Light::open_with(place, kind, SMALL).await;
        flooder.subscribe(&["noise"]).await;
        for serial in 0..COUNT {
            flooder.send(&message("flood", &serial.to_string())).await;
        }
        // More than the system keeps for it, which it does not read.
        let noise = message("noise", &"n".repeat(1 << 20));
        for _ in 0..4 {
            let mut publisher = Light::open(place, Kind::Tcp).await;
            publisher.send(&noise).await;
            publisher.barrier().await;
        }
        // All of this comes from one that waits, so it was not cut.
        for serial in 0..COUNT {
            reader.expect(&message("flood", &serial.to_string())).await;
        }
    }
}

/// It would take days until all are let through. Only who is held up parks nothing that others need.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_held_up_is_told_so_and_leaves_others_their_room() {
    const FLOODERS: usize = 20;
    let server = server(&[
        "--limit",
        "publishes-per-second=1,input-total-bytes=131072,heartbeat-seconds=1",
    ]);
    let place = Place::of(&server);
    let mut innocent = Light::open(place, Kind::Tcp).await;
    let long = message("long", &"l".repeat(32 << 10));
    let (begin, end) = long.split_at(16 << 10);
    innocent
        .stream
        .write_all(begin.as_bytes())
        .await
        .expect("taken");
    let mut flooders = Vec::new();
    for number in 0..FLOODERS {
        let mut flooder = Light::open(place, Kind::of(number)).await;
        let one = flooder.framed(&message("flood", "x"));
        let flood = one.repeat((60 << 10) / one.len());
        flooder.stream.write_all(&flood).await.expect("taken");
        flooder.send(PING).await;
        flooders.push(flooder);
    }
    for _ in 0..2 {
        for flooder in &mut flooders {
            flooder.expect(THROTTLED).await;
        }
    }
    innocent
        .stream
        .write_all(end.as_bytes())
        .await
        .expect("taken");
    innocent.stream.write_all(b"\n").await.expect("taken");
    innocent.barrier().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_gone_keeps_no_place_while_it_is_held_up() {
    const PLACES: usize = 30;
    let limits = format!(
        "publish-bytes-per-second-per-address=1000,connections={}",
        PLACES + 1
    );
    let server = server(&["--limit", &limits]);
    let place = Place::of(&server);
    let mut left = Vec::new();
    for number in 0..PLACES {
        let mut leaver = Light::open(place, Kind::of(number)).await;
        let one = leaver.framed(&message("flood", "x"));
        let flood = one.repeat((30 << 10) / one.len());
        leaver.stream.write_all(&flood).await.expect("taken");
        left.push(leaver);
    }
    for leaver in left {
        // It says no goodbye: the connection is reset.
        leaver.stream.set_zero_linger().expect("a socket");
    }
    // All of them are free again: none of these is turned away.
    eventually(place, "the places are free", async || {
        let mut together = Vec::new();
        for _ in 0..PLACES {
            let mut client = Light::open(place, Kind::Tcp).await;
            client.send(PING).await;
            let answer = client.recv().await;
            if answer != PONG {
                assert!(answer.contains("too-many-connections"), "{answer}");
                return false;
            }
            together.push(client);
        }
        true
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_held_up_and_reads_nothing_for_long_is_cut() {
    let server = server(&["--limit", "publishes-per-second=1,stall-seconds=1"]);
    let place = Place::of(&server);
    let mut flooder = Light::open_with(place, Kind::Tcp, SMALL).await;
    flooder.subscribe(&["noise"]).await;
    let flood = [&message("flood", "x"), "\n"].concat().repeat(1000);
    flooder
        .stream
        .write_all(flood.as_bytes())
        .await
        .expect("taken");
    let noise = message("noise", &"n".repeat(1 << 20));
    for _ in 0..4 {
        let mut publisher = Light::open(place, Kind::Tcp).await;
        publisher.send(&noise).await;
        publisher.barrier().await;
    }
    server.says("(stall-seconds)");
}
