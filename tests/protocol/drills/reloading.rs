//! Owns settings that are read again while there is much to do: no connection is lost, no message, and nothing changes
//! where a file is wrong.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mist_tests::client::{Kind, PING, Place};
use mist_tests::process::{LISTENERS, Process};
use mist_tests::wire::Incoming;

use super::{figure, gauges, message, sized};

const PUBLISHERS: usize = 4;
const READERS: usize = 8;

/// What the file says in turn, and what the log then says.
const FILES: [(&str, &str); 4] = [
    (
        "limits: {tag-bytes: 100, message-bytes: 100000, outbox-bytes: 1000000}\n",
        "SIGHUP: changed: allow-origin, limit message-bytes",
    ),
    ("limits: {tag-bytes: 0", "as it was: "),
    ("allow-origin: ['*']\n", "SIGHUP: changed: allow-origin"),
    ("allow-origin: [nonsense]\n", "as it was: "),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_hangups_under_load_disturb_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("mist.yml");
    fs::write(&config, "allow-origin: ['*']\n").expect("written");
    let listeners = format!("{LISTENERS},http://127.0.0.1:0");
    let config_flag = config.to_str().expect("UTF-8");
    let mut server = Process::start_on(&listeners, &["--config", config_flag]);
    let place = Place::of(&server);
    let is_over = Arc::new(AtomicBool::new(false));

    let mut reading = Vec::new();
    for index in 0..READERS {
        let mut reader = place.connect(Kind::of(index)).await;
        reader.subscribe(&["load"]).await;
        reading.push(tokio::spawn(async move {
            let mut next = [0_usize; PUBLISHERS];
            // Each publisher says at its end how many there were.
            let mut ends = 0;
            while ends < PUBLISHERS {
                let came = reader.recv().await;
                let publisher = (0..PUBLISHERS).find(|one| {
                    came == message("load", &format!("{one}:{}", next[*one]))
                        || came == message("load", &format!("{one} sent {}", next[*one]))
                });
                let publisher = publisher.unwrap_or_else(|| panic!("{came} after {next:?}"));
                match came.contains("sent") {
                    true => ends += 1,
                    false => next[publisher] += 1,
                }
            }
            next.iter().sum::<usize>()
        }));
    }
    let mut publishing = Vec::new();
    for one in 0..PUBLISHERS {
        let mut publisher = place.connect(Kind::of(one)).await;
        let is_over = Arc::clone(&is_over);
        publishing.push(tokio::spawn(async move {
            let mut serial = 0;
            // As fast as the server answers, so that nobody is dropped for being slow.
            while !is_over.load(Ordering::Relaxed) {
                for _ in 0..100 {
                    let said = message("load", &format!("{one}:{serial}"));
                    publisher.send(&said).await;
                    serial += 1;
                }
                publisher.send(PING).await;
                let Incoming::Message(_) = publisher.wire.recv().await else {
                    panic!("publisher {one} was closed");
                };
            }
            let said = message("load", &format!("{one} sent {serial}"));
            publisher.send(&said).await;
            publisher.barrier().await;
        }));
    }

    let hangups = sized(100, 1000);
    for round in 0..hangups {
        let (text, said) = FILES[round % FILES.len()];
        fs::write(&config, text).expect("written");
        server.signal("HUP");
        server.says(said);
    }
    is_over.store(true, Ordering::Relaxed);
    for publisher in publishing {
        publisher.await.expect("no publisher is lost");
    }
    let mut read = 0;
    for reader in reading {
        read += reader.await.expect("every reader gets every message");
    }
    let gauges = gauges(&server).await;
    assert_eq!(gauges["mist_messages_dropped_total"], 0);
    server.signal("TERM");
    assert_eq!(server.end().code(), Some(0), "{}", server.log());
    figure("reloading", "hang-ups", hangups);
    figure("reloading", "connections lost", 0);
    figure("reloading", "messages read, all in order", read);
}
