//! Owns starting and stopping: what a server says, and how it leaves.

use mist_tests::client::{KINDS, Kind, Place, is_well, server};
use mist_tests::wire::{Upgrade, Wire};

async fn leaves_cleanly_on(signal: &str) {
    let mut server = server(&[]);
    let place = Place::of(&server);
    let mut clients = Vec::new();
    for kind in KINDS {
        let mut client = place.connect(kind).await;
        client.subscribe(&["x"]).await;
        clients.push(client);
    }
    let mut publisher = place.tcp().await;
    for serial in 0..100 {
        publisher.publish(&["x"], &serial.to_string()).await;
    }
    publisher.barrier().await;
    server.signal(signal);
    // What was queued still comes, then the end.
    for mut client in clients {
        for serial in 0..100 {
            client
                .expect(&format!(
                    r#"{{"command":"publish","tags":["x"],"data":"{serial}"}}"#
                ))
                .await;
        }
        let code = client.expect_closed().await;
        if client.kind == Kind::Ws {
            assert_eq!(code, Some(1001), "going away");
        }
    }
    publisher.expect_closed().await;
    let status = server.end();
    assert_eq!(status.code(), Some(0), "it wrote:\n{}", server.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_flushes_closes_and_exits_with_zero() {
    leaves_cleanly_on("TERM").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigint_flushes_closes_and_exits_with_zero() {
    leaves_cleanly_on("INT").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_waits_for_a_client_that_still_reads() {
    for kind in KINDS {
        let mut server = server(&[]);
        let place = Place::of(&server);
        let mut late = place.connect(kind).await;
        late.subscribe(&["x"]).await;
        let mut publisher = place.tcp().await;
        // More than the sockets between them can hold, less than an outbox.
        let data = "y".repeat(1 << 20);
        for _ in 0..7 {
            publisher.publish(&["x"], &data).await;
        }
        publisher.barrier().await;
        server.signal("TERM");
        // The others are told at once; then it has begun.
        publisher.expect_closed().await;
        let message = format!(r#"{{"command":"publish","tags":["x"],"data":"{data}"}}"#);
        for _ in 0..7 {
            late.expect(&message).await;
        }
        let code = late.expect_closed().await;
        assert!(kind == Kind::Tcp || code == Some(1001), "{code:?}");
        let status = server.end();
        assert_eq!(status.code(), Some(0), "it wrote:\n{}", server.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_client_does_not_hold_up_the_end_for_ever() {
    let mut server = server(&[]);
    let place = Place::of(&server);
    let mut stalled = place.tcp().await;
    stalled.subscribe(&["x"]).await;
    let mut publisher = place.tcp().await;
    for _ in 0..8 {
        publisher.publish(&["x"], &"y".repeat(1 << 20)).await;
    }
    publisher.barrier().await;
    server.signal("TERM");
    let status = server.end();
    assert_eq!(status.code(), Some(0), "it wrote:\n{}", server.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_without_an_authenticator_starts_with_a_warning() {
    let server = server(&["--token", "s3cret-TK"]);
    let place = Place::of(&server);
    for kind in KINDS {
        let mut client = place.connect(kind).await;
        client
            .send(r#"{"command":"auth","data":"s3cret-TK"}"#)
            .await;
        // Without a store there are no admin commands, whoever asks.
        client.send(r#"{"command":"tags","id":1}"#).await;
        let mut answer = client.recv().await;
        if answer.starts_with(r#"{"command":"auth""#) {
            answer = client.recv().await;
        }
        assert_eq!(
            answer,
            r#"{"command":"tags","error":"Unknown Command","code":"unknown-command","id":1}"#
        );
    }
    is_well(place).await;
    let log = server.log();
    assert!(log.contains("authenticator"), "there is no warning:\n{log}");
    assert!(
        !log.contains("s3cret-TK"),
        "the token is in the log:\n{log}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_stay_out_of_the_log() {
    let server = server(&[
        "--authenticator",
        "memory://",
        "--token",
        "s3cret-TK",
        "--log-level",
        "TRACE",
    ]);
    let place = Place::of(&server);
    let target = "/subscribe/websocket?x-auth-token=s3cret-TK".to_owned();
    let query = Upgrade {
        target,
        headers: Vec::new(),
    };
    let mut by_query = Wire::upgrade(server.address("ws"), &query)
        .await
        .expect("it upgrades")
        .0;
    let header = ("X-AUTH-TOKEN".to_owned(), "s3cret-TK-wrong".to_owned());
    let wrong = Upgrade {
        target: String::new(),
        headers: vec![header],
    };
    let mut by_header = Wire::upgrade(server.address("ws"), &wrong)
        .await
        .expect("it upgrades")
        .0;
    let mut admin = place.admin(Kind::Tcp, "s3cret-TK").await;
    admin
        .send(r#"{"command":"register","tags":["x"],"data":"s3cret-client","id":1}"#)
        .await;
    admin
        .expect(r#"{"command":"register","tags":["x"],"data":"success","id":1}"#)
        .await;
    admin.close().await;
    by_query.close().await.expect("it closes");
    by_header.close().await.expect("it closes");
    assert!(
        !server.log().contains("s3cret"),
        "a token is in the log:\n{}",
        server.log()
    );
}
