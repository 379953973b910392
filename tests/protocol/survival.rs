//! Owns what killed or hurt the original program: each case here is one it did not survive.

use std::process::Command;

use fastrand::Rng;
use mist_tests::wire::{Incoming, Wire};

use mist_tests::client::{KINDS, Kind, PONG, Place, eventually, is_well, server};

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_may_leave_while_messages_to_them_are_pending() {
    let mut server = server(&[]);
    let place = Place::of(&server);
    let publishing = tokio::spawn(async move {
        let mut publisher = place.tcp().await;
        for serial in 0..40_000 {
            publisher.publish(&["x"], &serial.to_string()).await;
            if serial % 500 == 0 {
                publisher.barrier().await;
            }
        }
        publisher.barrier().await;
    });
    for index in 0..400 {
        let mut subscriber = place.connect(Kind::of(index)).await;
        subscriber
            .send(r#"{"command":"subscribe","tags":["x"]}"#)
            .await;
        subscriber.send(r#"{"command":"ping"}"#).await;
        // Anything at all proves that it is subscribed; what is pending then is thrown away with the socket.
        subscriber.recv().await;
    }
    publishing.await.expect("the publisher ends");
    is_well(place).await;
    let mut witness = place.tcp().await;
    eventually(place, "nobody is subscribed any more", async || {
        witness.send(r#"{"command":"who"}"#).await;
        witness.recv().await.contains("Subscribers connected: 0")
    })
    .await;
    assert!(server.is_running());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_and_listall_answer_during_churn() {
    let server = server(&[]);
    let place = Place::of(&server);
    let mut tasks = Vec::new();
    for index in 0..6 {
        tasks.push(tokio::spawn(async move {
            for round in 0..80 {
                let mut client = place.connect(Kind::of(index)).await;
                let tags = [
                    "churn".to_owned(),
                    (round % 7).to_string(),
                    index.to_string(),
                ];
                client.subscribe(&tags).await;
                client.subscribe(&tags[..1]).await;
                if round % 2 == 0 {
                    client.close().await;
                }
            }
        }));
    }
    for kind in KINDS {
        tasks.push(tokio::spawn(async move {
            let mut client = place.connect(kind).await;
            for _ in 0..1500 {
                client.send(r#"{"command":"who"}"#).await;
                client.expect_like(r#"{"command":"who","data":"Lifetime  connections: *\nSubscribers connected: *","connections":*,"subscribers":*}"#).await;
                client.send(r#"{"command":"listall"}"#).await;
                client.expect_like(r#"{"command":"listall"*}"#).await;
                client.send(r#"{"command":"list"}"#).await;
                client.expect(r#"{"command":"list"}"#).await;
            }
        }));
    }
    for task in tasks {
        task.await.expect("nobody fails");
    }
    is_well(place).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_commands_over_websocket_mix_with_deliveries() {
    const COUNT: usize = 5000;
    let server = server(&[]);
    let place = Place::of(&server);
    let mut client = place.ws().await;
    client.subscribe(&["x"]).await;
    let publishing = tokio::spawn(async move {
        let mut publisher = place.tcp().await;
        for serial in 0..COUNT {
            publisher.publish(&["x"], &serial.to_string()).await;
        }
        publisher.barrier().await;
    });
    let (mut unknown, mut delivered) = (0, 0);
    for serial in 0..COUNT {
        client
            .send(&format!(r#"{{"command":"nope","data":"{serial}"}}"#))
            .await;
        if serial % 50 == 49 {
            while unknown <= serial {
                let message = client.recv().await;
                if message
                    == format!(
                        r#"{{"command":"nope","data":"{unknown}","error":"Unknown Command","code":"unknown-command"}}"#
                    )
                {
                    unknown += 1;
                } else {
                    assert_eq!(
                        message,
                        format!(r#"{{"command":"publish","tags":["x"],"data":"{delivered}"}}"#)
                    );
                    delivered += 1;
                }
            }
        }
    }
    publishing.await.expect("the publisher ends");
    for message in client.until_pong().await {
        assert_eq!(
            message,
            format!(r#"{{"command":"publish","tags":["x"],"data":"{delivered}"}}"#)
        );
        delivered += 1;
    }
    assert_eq!((unknown, delivered), (COUNT, COUNT));
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_may_be_registered_by_many_at_once() {
    const ADMINS: usize = 8;
    const EACH: usize = 200;
    let server = server(&["--authenticator", "memory://", "--token", "TK"]);
    let place = Place::of(&server);
    let mut tasks = Vec::new();
    for index in 0..ADMINS {
        tasks.push(tokio::spawn(async move {
            let mut admin = place.admin(Kind::of(index), "TK").await;
            let mut won = 0;
            for round in 0..EACH {
                admin.send(&format!(r#"{{"command":"register","tags":["{index}"],"data":"own {index} {round}","id":1}}"#)).await;
                admin.expect(&format!(r#"{{"command":"register","tags":["{index}"],"data":"success","id":1}}"#)).await;
                admin.send(&format!(r#"{{"command":"register","tags":["{index}"],"data":"shared {round}","id":2}}"#)).await;
                let answer = admin.recv().await;
                if answer.contains(r#""data":"success""#) {
                    won += 1;
                } else {
                    assert!(answer.contains("Token already exists"), "{answer}");
                }
            }
            won
        }));
    }
    let mut won = 0;
    for task in tasks {
        won += task.await.expect("no admin fails");
    }
    assert_eq!(won, EACH, "each shared token is registered exactly once");
    let mut admin = place.admin(Kind::Tcp, "TK").await;
    for index in 0..ADMINS {
        for round in 0..EACH {
            admin
                .send(&format!(
                    r#"{{"command":"tags","data":"own {index} {round}"}}"#
                ))
                .await;
            admin
                .expect(&format!(r#"{{"command":"tags","tags":["{index}"]}}"#))
                .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn client_errors_in_the_first_moments_do_not_end_the_server() {
    for _ in 0..5 {
        let mut server = server(&[]);
        let place = Place::of(&server);
        let (tcp, ws) = (server.address("tcp"), server.address("ws"));
        for index in 0..20 {
            match index % 5 {
                0 => drop(place.tcp().await),
                1 => {
                    let mut client = place.tcp().await;
                    client.send("garbage").await;
                }
                2 => {
                    let mut client = place.tcp().await;
                    client.write(b"{\"command\":\"pub").await;
                }
                3 => {
                    // Not HTTP at all, at the WebSocket's door.
                    let mut client = Wire::tcp(ws).await.expect("it listens");
                    client
                        .write(b"\x00\x01\x02garbage\r\n\r\n")
                        .await
                        .expect("bytes are taken");
                }
                _ => {
                    // HTTP at the door of the lines.
                    let mut client = Wire::tcp(tcp).await.expect("it listens");
                    client
                        .write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                        .await
                        .expect("bytes are taken");
                    assert!(matches!(client.recv().await, Incoming::Message(_)));
                }
            }
        }
        is_well(place).await;
        assert!(server.is_running());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_recovers_when_descriptors_run_out() {
    const ROOM: usize = 6;
    let server = server(&[]);
    let place = Place::of(&server);
    // First connections may open descriptors that stay.
    is_well(place).await;
    let mut witness = place.tcp().await;
    witness.barrier().await;
    let limit = server.descriptors() + ROOM;
    let lowered = Command::new("prlimit")
        .args([
            "--pid",
            &server.id().to_string(),
            &format!("--nofile={limit}:"),
        ])
        .status()
        .expect("prlimit is installed");
    assert!(lowered.success(), "prlimit: {lowered}");
    // The kernel accepts these on its own; the server has no descriptors for all of them.
    let mut waiting = Vec::new();
    for _ in 0..4 * ROOM {
        waiting.push(place.tcp().await);
    }
    witness.barrier().await;
    for client in &mut waiting[..2] {
        client.barrier().await;
    }
    drop(waiting);
    let mut late = place.tcp().await;
    late.barrier().await;
    late.close().await;
    is_well(place).await;
    witness.barrier().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_unsubscribes_everything_before_leaving_leaves_nothing_behind() {
    let server = server(&[]);
    let place = Place::of(&server);
    let mut witness = place.tcp().await;
    let mut dice = Rng::with_seed(1);
    for index in 0..300 {
        let mut client = place.connect(Kind::of(index)).await;
        let tags: Vec<String> = (0..=dice.usize(..3))
            .map(|_| dice.usize(..50).to_string())
            .collect();
        client.subscribe(&tags).await;
        client
            .send(&format!(
                r#"{{"command":"unsubscribe","tags":{}}}"#,
                mist_tests::client::tags_json(&tags)
            ))
            .await;
        client.barrier().await;
        client.close().await;
    }
    witness.send(r#"{"command":"listall"}"#).await;
    witness.expect(r#"{"command":"listall"}"#).await;
    witness.send(r#"{"command":"who"}"#).await;
    witness
        .expect(
            r#"{"command":"who","data":"Lifetime  connections: 301\nSubscribers connected: 0","connections":301,"subscribers":0}"#,
        )
        .await;
}

/// Whatever half-open, silent or vanished clients leave behind is given back.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_vanish_give_their_descriptors_back() {
    let server = server(&[]);
    let place = Place::of(&server);
    is_well(place).await;
    let before = server.descriptors();
    for index in 0..500 {
        let mut client = place.connect(Kind::of(index)).await;
        client.subscribe(&["x"]).await;
        if index % 3 == 0 {
            client.send(r#"{"command":"ping"}"#).await;
            client.expect(PONG).await;
        }
    }
    eventually(place, "every descriptor is given back", async || {
        server.descriptors() <= before + 1
    })
    .await;
}
