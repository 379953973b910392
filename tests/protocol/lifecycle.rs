//! Owns starting and stopping: what keeps a server from starting, what it says, and how it leaves.

use std::net::TcpListener;

use mist_tests::process::{LISTENERS, Process, command, run_to_end};
use mist_tests::wire::{Incoming, Upgrade, Wire};

use mist_tests::client::{KINDS, Kind, PING, PONG, Place, is_well, server};

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
async fn an_idle_server_ends_at_once() {
    for _ in 0..10 {
        let mut server = server(&[]);
        let start = std::time::Instant::now();
        server.signal("TERM");
        let status = server.end();
        assert_eq!(status.code(), Some(0), "it wrote:\n{}", server.log());
        assert!(
            start.elapsed().as_secs() < 3,
            "it took {:?}",
            start.elapsed()
        );
    }
}

#[test]
fn a_port_in_use_is_an_error_at_once() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("an address").port().to_string();
    for scheme in ["tcp", "ws"] {
        let listeners = format!("tcp://127.0.0.1:0,{scheme}://127.0.0.1:{port}");
        let start = std::time::Instant::now();
        let (status, log) = run_to_end(&["--server", "--listeners", &listeners]);
        assert!(
            !status.success(),
            "it started although {port} is taken:\n{log}"
        );
        assert!(log.contains(&port), "the port is not named:\n{log}");
        assert!(
            start.elapsed().as_secs() < 3,
            "it took {:?}",
            start.elapsed()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsupported_scheme_is_skipped_with_an_error() {
    let all = [
        "--server",
        "--listeners",
        "carrier+pigeon://127.0.0.1:0, tcp://127.0.0.1:0 ,ws://127.0.0.1:0",
    ];
    let mut server = Process::run(&mut command(&all));
    server.await_addresses(2);
    assert!(
        server.log().contains("carrier+pigeon"),
        "the skipped scheme is not named:\n{}",
        server.log()
    );
    is_well(Place::of(&server)).await;
}

#[test]
fn without_any_usable_listener_the_server_refuses_to_start() {
    let (status, log) = run_to_end(&["--server", "--listeners", "carrier+pigeon://127.0.0.1:0"]);
    assert!(!status.success(), "it started:\n{log}");
    assert!(
        log.contains("carrier+pigeon"),
        "the scheme is not named:\n{log}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_may_be_repeated() {
    let all = [
        "--server",
        "--listeners",
        "tcp://127.0.0.1:0",
        "--listeners",
        "ws://127.0.0.1:0,tcp://127.0.0.1:0",
    ];
    let mut server = Process::run(&mut command(&all));
    server.await_addresses(3);
    is_well(Place::of(&server)).await;
}

#[test]
fn an_authenticator_without_a_token_refuses_to_start() {
    let all = [
        "--server",
        "--listeners",
        LISTENERS,
        "--authenticator",
        "memory://",
    ];
    let (status, log) = run_to_end(&all);
    assert!(!status.success(), "it started:\n{log}");
    assert!(log.contains("token"), "the reason is not named:\n{log}");
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

#[test]
fn an_unknown_authenticator_refuses_to_start() {
    let all = [
        "--server",
        "--listeners",
        LISTENERS,
        "--authenticator",
        "stone-tablet://x",
        "--token",
        "TK",
    ];
    let (status, log) = run_to_end(&all);
    assert!(!status.success(), "it started:\n{log}");
    assert!(
        log.contains("stone-tablet"),
        "the scheme is not named:\n{log}"
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

#[tokio::test(flavor = "multi_thread")]
async fn the_upgrade_answers_with_the_protocol_but_never_with_the_token() {
    let server = server(&["--authenticator", "memory://", "--token", "TK"]);
    let header = (
        "Sec-WebSocket-Protocol".to_owned(),
        "mist.v1, mist.bearer.VEs".to_owned(),
    );
    let upgrade = Upgrade {
        target: String::new(),
        headers: vec![header],
    };
    let (mut wire, response) = Wire::upgrade(server.address("ws"), &upgrade)
        .await
        .expect("it upgrades");
    let chosen = response
        .headers()
        .get("sec-websocket-protocol")
        .expect("a protocol is chosen");
    assert_eq!(chosen, "mist.v1");
    wire.send(r#"{"command":"tags","data":"none"}"#)
        .await
        .expect("it is sent");
    let Incoming::Message(answer) = wire.recv().await else {
        panic!("no answer")
    };
    assert!(
        String::from_utf8_lossy(&answer).contains("Token not found"),
        "not admin"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn other_paths_do_not_upgrade() {
    let server = server(&[]);
    let upgrade = Upgrade {
        target: "/elsewhere".to_owned(),
        headers: Vec::new(),
    };
    let refused = Wire::upgrade(server.address("ws"), &upgrade)
        .await
        .expect_err("there is nothing");
    assert!(refused.to_string().contains("404"), "{refused}");
    is_well(Place::of(&server)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http_answers_ping_and_upgrades_like_ws() {
    let server = Process::start_on("http://127.0.0.1:0,ws://127.0.0.1:0", &[]);
    for scheme in ["http", "ws"] {
        let address = server.address(scheme);
        let mut web = Wire::ws(address).await.expect("it upgrades");
        web.send(PING).await.expect("it is sent");
        assert_eq!(web.recv().await, Incoming::Message(PONG.into()));
        let mut plain = Wire::tcp(address).await.expect("it listens");
        let request = format!("GET /ping HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        plain
            .write(request.as_bytes())
            .await
            .expect("bytes are taken");
        let mut answer = String::new();
        loop {
            let bytes = plain.chunk().await.expect("the answer comes");
            if bytes.is_empty() {
                break;
            }
            answer.push_str(&String::from_utf8_lossy(&bytes));
        }
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\npong\n"),
            "{answer}"
        );
    }
}
