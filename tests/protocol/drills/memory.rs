//! Owns what clients can make the server keep: how much of it there may be, and that it is given back.

use std::time::Instant;

use fastrand::Rng;
use mist_tests::PATIENCE;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Light, MIB, figure, gauges, memory, message, server, sized};
use mist_tests::client::{Kind, Place, is_well, tags_json};

fn lines(command: &str, sets: impl Iterator<Item = [String; 2]>) -> String {
    let line = |set: [String; 2]| {
        let tags = tags_json(&set);
        format!("{{\"command\":\"{command}\",\"tags\":{tags}}}\n")
    };
    sets.map(line).collect()
}

fn set_of(client: usize, number: usize) -> [String; 2] {
    [
        format!("common {}", number % 1000),
        format!("{client}'s {number}"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_of_a_burst_of_subscriptions_is_given_back() {
    const CLIENTS: usize = 8;
    let each = sized(20_000, 60_000);
    let server = server(&[]);
    let place = Place::of(&server);
    // Somebody is there before the burst, and somebody comes in the middle and stays.
    let mut first = place.tcp().await;
    first.subscribe(&["stays", "from before"]).await;
    is_well(place).await;
    let before = memory(&server);
    for leaves_at_once in [true, false] {
        let (mut clients, mut stay) = (Vec::new(), Vec::new());
        for number in 0..CLIENTS {
            let mut client = place.connect(Kind::of(number)).await;
            let sets = (0..each).map(|at| set_of(number, at));
            for part in lines("subscribe", sets).lines() {
                client.send(part).await;
            }
            client.barrier().await;
            clients.push(client);
            let mut guest = place.tcp().await;
            guest
                .subscribe(&["stays", &format!("guest {number}")])
                .await;
            stay.push(guest);
        }
        let height = memory(&server);
        assert!(height > before + (CLIENTS * each * 40) as u64, "{height}");
        for (number, client) in clients.iter_mut().enumerate() {
            if !leaves_at_once {
                let sets = (0..each).map(|at| set_of(number, at));
                for part in lines("unsubscribe", sets).lines() {
                    client.send(part).await;
                }
                client.barrier().await;
            }
        }
        drop(clients);
        let allowed = 2 * before;
        let start = Instant::now();
        let mut now = memory(&server);
        // What is freed goes back to the system a little later.
        while now > allowed && start.elapsed() < PATIENCE {
            first.barrier().await;
            now = memory(&server);
        }
        let way = if leaves_at_once {
            "who left"
        } else {
            "who unsubscribed"
        };
        figure(
            "memory",
            &format!(
                "{} subscriptions of {way}: before, height, after",
                CLIENTS * each
            ),
            format!("{} / {} / {} KiB", before >> 10, height >> 10, now >> 10),
        );
        assert!(
            now <= allowed,
            "{} MiB are kept of {}",
            now / MIB,
            height / MIB
        );
        // Who stayed has what it subscribed to.
        for (number, guest) in stay.iter_mut().enumerate() {
            let tag = format!("guest {number}");
            first.publish(&["stays", &tag], "x").await;
            let came = r#"{"command":"publish","tags":["TAG","stays"],"data":"x"}"#;
            guest.expect(&came.replace("TAG", &tag)).await;
        }
    }
    is_well(place).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_of_long_tags_are_bounded_for_one_and_for_all() {
    const TOTAL: u64 = 24 << 20;
    let total = format!("subscription-total-bytes={TOTAL}");
    let server = server(&["--limit", &total]);
    let place = Place::of(&server);
    let before = memory(&server);
    let mut dice = Rng::with_seed(1);
    let mut told = Vec::new();
    let mut clients = Vec::new();
    for number in 0..4 {
        let mut client = place.connect(Kind::of(number)).await;
        loop {
            let tags: Vec<_> = (0..32)
                .map(|_| format!("{:0>1000}", dice.u64(..)))
                .collect();
            let tags = tags_json(&tags);
            client
                .send(&format!(
                    r#"{{"command":"subscribe","tags":{tags},"id":1}}"#
                ))
                .await;
            let answer = client.recv().await;
            if let Some((_, text)) = answer.split_once("\"error\":\"") {
                told.push(text.split_once('"').expect("it ends").0.to_owned());
                break;
            }
        }
        // It goes on, and what it has is still there.
        client.barrier().await;
        clients.push(client);
    }
    assert!(told[0].ends_with("(subscription-bytes)"), "{told:?}");
    assert!(told[3].ends_with("(subscription-total-bytes)"), "{told:?}");
    let grown = memory(&server).saturating_sub(before);
    figure(
        "memory",
        "subscriptions of 32 KiB, limit of 24 MiB",
        format!("{} KiB", grown >> 10),
    );
    assert!(grown < 2 * TOTAL, "{grown} bytes");
    drop(clients);
    // What they held is removed by and by.
    while gauges(&server).await["mist_subscription_bytes"] > TOTAL / 2 {}
    is_well(place).await;
}

/// Sends a message but for its last bytes.
async fn begin(place: Place, kind: Kind, bytes: usize) -> Light {
    let mut client = Light::open(place, kind).await;
    let whole = client.framed(&message("t", &"x".repeat(bytes)));
    let begun = &whole[..whole.len() - 10];
    client.stream.write_all(begun).await.expect("taken");
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_are_never_whole_are_bounded_for_all_together() {
    const LIMIT: usize = 4 << 20;
    const SIZE: usize = 500_000;
    let limit = format!("input-total-bytes={LIMIT}");
    let server = server(&["--limit", &limit]);
    let place = Place::of(&server);
    let count = sized(24, 240);
    is_well(place).await;
    let before = memory(&server);
    let mut largest = begin(place, Kind::Tcp, SIZE + 100_000).await;
    let mut half = Vec::new();
    for number in 0..count {
        half.push(begin(place, Kind::of(number), SIZE).await);
    }
    let grown = memory(&server).saturating_sub(before);
    // The one of which most has come is cut, and told why.
    let mut told = Vec::new();
    let reading = tokio::time::timeout(PATIENCE, largest.stream.read_to_end(&mut told));
    reading.await.expect("it is cut").expect("in good order");
    let told = String::from_utf8(told).expect("UTF-8");
    assert!(told.contains("(input-total-bytes); closing"), "{told}");
    // Somebody who does go on is read to the end.
    let mut reader = place.ws().await;
    reader.subscribe(&["whole"]).await;
    let mut writer = place.tcp().await;
    let data = "w".repeat(300_000);
    writer.publish(&["whole"], &data).await;
    reader.expect(&message("whole", &data)).await;
    // So are others, until no more is left than half of the bound.
    let (mut kept, mut left) = (u64::MAX, count);
    while left > LIMIT / SIZE {
        let gauges = gauges(&server).await;
        kept = gauges["mist_input_bytes"];
        // Besides the two who are well.
        left = gauges["mist_sessions"] as usize - 2;
        for client in &mut half {
            // Who was cut closes its side, too.
            let mut buffer = [0; 1024];
            while client
                .stream
                .try_read(&mut buffer)
                .is_ok_and(|count| count > 0)
            {}
        }
    }
    figure(
        "memory",
        &format!("{count} beginnings of 500 KB, limit of 4 MiB"),
        format!("{} KiB at most, {left} are left", grown >> 10),
    );
    drop(half);
    while kept > 0 {
        kept = gauges(&server).await["mist_input_bytes"];
    }
    is_well(place).await;
}
