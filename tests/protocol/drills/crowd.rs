//! Owns numbers: many connections, many subscriptions. It must not know what one client may do wrong.

use mist_tests::PATIENCE;
use mist_tests::process::{LISTENERS, Process, command};
use mist_tests::wire::{Incoming, Wire};

use super::{Light, MIB, figure, gauges, has_descriptors, memory, message, server, sized};
use mist_tests::client::{Kind, Place, eventually, is_well};

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_gets_a_message_each_and_leaves_nothing_behind() {
    let wanted: usize = sized(2_000, 10_000);
    let mut count = wanted;
    while !has_descriptors(count + 100) && count > 100 {
        count /= 2;
    }
    // Nobody here answers pings of WebSocket while the others come in.
    let server = server(&["--limit", "heartbeat-seconds=0"]);
    let place = Place::of(&server);
    is_well(place).await;
    let (before, descriptors) = (memory(&server), server.descriptors());
    let mut crowd = Vec::new();
    for index in 0..count {
        let mut client = Light::open(place, Kind::of(index)).await;
        client.subscribe(&["all"]).await;
        crowd.push(client);
    }
    let grown = memory(&server).saturating_sub(before);
    let gauges_now = gauges(&server).await;
    assert_eq!(gauges_now["mist_subscribers"], count as u64);
    let mut publisher = place.tcp().await;
    for round in 0..5 {
        let said = message("all", &format!("round {round}"));
        publisher.send(&said).await;
        publisher.barrier().await;
        for client in &mut crowd {
            client.expect(&said).await;
        }
    }
    figure(
        "crowd",
        "connections",
        format!("{count} of {wanted} wanted"),
    );
    figure(
        "crowd",
        "memory each",
        format!("{} bytes", grown / count as u64),
    );
    assert!(grown < 64 * MIB + count as u64 * 16_384, "{grown} bytes");
    drop((crowd, publisher));
    eventually(place, "every descriptor is given back", async || {
        server.descriptors() <= descriptors + 1
    })
    .await;
    is_well(place).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_subscriptions_on_one_connection_are_told_apart() {
    const COUNT: usize = 10_000;
    let server = server(&[]);
    let place = Place::of(&server);
    let before = memory(&server);
    let mut client = place.tcp().await;
    let mut bytes = String::new();
    for serial in 0..COUNT {
        let line = format!(r#"{{"command":"subscribe","tags":["x","{serial}"]}}"#);
        bytes.push_str(&line);
        bytes.push('\n');
    }
    client.write(bytes.as_bytes()).await;
    client.barrier().await;
    let grown = memory(&server).saturating_sub(before);
    figure(
        "crowd",
        "10,000 subscriptions",
        format!("{} KiB", grown >> 10),
    );
    assert!(grown < 32 * MIB, "{grown} bytes");
    assert_eq!(gauges(&server).await["mist_subscriptions"], COUNT as u64);
    let mut publisher = place.ws().await;
    for serial in (0..COUNT).step_by(97) {
        // Without a subscription of its own, and with exactly one.
        publisher.publish(&["x"], "nobody").await;
        publisher.publish(&[&serial.to_string()], "nobody").await;
        publisher.publish(&["x", &serial.to_string()], "one").await;
    }
    publisher.barrier().await;
    for serial in (0..COUNT).step_by(97) {
        let mut tags = ["x".to_owned(), serial.to_string()];
        tags.sort();
        let tags = mist_tests::client::tags_json(&tags);
        let wanted = format!(r#"{{"command":"publish","tags":{tags},"data":"one"}}"#);
        client.expect(&wanted).await;
    }
    client
        .write(bytes.replace("subscribe", "unsubscribe").as_bytes())
        .await;
    client.barrier().await;
    assert_eq!(gauges(&server).await["mist_subscriptions"], 0);
    client.close().await;
    is_well(place).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_few_descriptors_the_next_client_is_told_why_it_is_refused() {
    const DESCRIPTORS: usize = 128;
    let arguments = ["--server", "--listeners", LISTENERS];
    let own = command(&arguments);
    let mut confined = std::process::Command::new("prlimit");
    confined
        .arg(format!("--nofile={DESCRIPTORS}:{DESCRIPTORS}"))
        .arg(own.get_program())
        .args(own.get_args())
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let mut server = Process::run(&mut confined);
    server.await_addresses(2);
    let place = Place::of(&server);
    let mut inside = Vec::new();
    let reason = loop {
        let mut client = place.tcp().await;
        client.send(mist_tests::client::PING).await;
        let answer = client.recv().await;
        if answer != mist_tests::client::PONG {
            break answer;
        }
        inside.push(client);
        assert!(inside.len() < DESCRIPTORS, "more than there can be");
    };
    let told = reason.contains("connections") && reason.contains("error");
    assert!(told, "{reason}");
    // Many more than there are descriptors at once.
    let mut waiting = Vec::new();
    for index in 0..3 * DESCRIPTORS {
        let address = if index % 2 == 0 { place.tcp } else { place.ws };
        waiting.push(tokio::net::TcpStream::connect(address).await);
    }
    for client in &mut inside {
        client.barrier().await;
    }
    figure("crowd", "let in with 128 descriptors", inside.len());
    drop((waiting, inside));
    eventually_well(place).await;
    assert!(server.is_running());
}

/// Those who have left may still be counted for a moment, and the next is refused then.
async fn eventually_well(place: Place) {
    let start = std::time::Instant::now();
    loop {
        let mut client = place.tcp().await;
        // A refusal may come before the ping is taken.
        let _ = client.wire.send(mist_tests::client::PING).await;
        let pong = Incoming::Message(mist_tests::client::PONG.into());
        if client.wire.recv().await == pong && Wire::ws(place.ws).await.is_ok() {
            break client.close().await;
        }
        assert!(start.elapsed() < PATIENCE, "still full");
    }
    is_well(place).await;
}
