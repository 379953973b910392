//! What a client asks, and what it is answered.

use std::io::{BufRead, BufReader, Write};
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use mist::client::{Client, ClientError, Event, Who};
use mist::{Access, Limits};
use mist_tests::proxy::Proxy;
use tokio::net::TcpListener;

use super::{TestServer, connect, event, run, subscribe, texts, within};

async fn everyday(uri: &str) {
    let reader = connect(uri).await;
    let mut messages = reader.messages();
    let both = subscribe(&reader, &["b", "a", "b"]).await;
    assert_eq!(both.tags(), ["a", "b"]);
    let _other = subscribe(&reader, &["c d"]).await;
    assert_eq!(
        reader.list().await.expect("a list"),
        [vec!["a", "b"], vec!["c d"]]
    );

    let writer = connect(uri).await;
    for (tags, delivered) in [(&["a", "b", "z"][..], 1), (&["a", "z"], 0)] {
        let receipt = writer.publish_acked(tags, "x").await.expect("acked");
        assert_eq!((receipt.delivered, receipt.nodes), (delivered, None));
    }
    writer
        .publish(["c d"], "with \"quotes\"\nand é")
        .await
        .expect("open");
    assert_eq!(
        writer.list_all().await.expect("tags"),
        ["a", "b", "c d"],
        "the wire cannot tell a blank in a tag from one between tags"
    );
    let Who {
        connections,
        subscribers,
        ..
    } = writer.who().await.expect("numbers");
    assert!(
        connections >= 2 && subscribers == 1,
        "{connections} {subscribers}"
    );
    assert!(writer.ping().await.expect("pong") < super::PATIENCE);

    let first = messages.next().await.expect("a message");
    assert_eq!(
        (&*first.tags, &*first.data),
        (&["a".into(), "b".into(), "z".into()][..], "x")
    );
    assert_eq!(texts(&mut messages, 1).await, ["with \"quotes\"\nand é"]);

    both.unsubscribe().await.expect("unsubscribed");
    let receipt = writer.publish_acked(["a", "b"], "x").await;
    assert_eq!(receipt.expect("acked").delivered, 0);
    reader.close().await.expect("closed");
    writer.close().await.expect("closed");
}

#[test]
fn everyday_use_over_tcp() {
    let server = TestServer::start();
    run(everyday(&server.tcp));
}

#[test]
fn everyday_use_over_websocket() {
    let server = TestServer::start();
    run(everyday(&server.ws));
}

#[test]
fn an_address_without_a_scheme_means_tcp() {
    let server = TestServer::start();
    run(async {
        let address = server.tcp.trim_start_matches("tcp://");
        connect(address).await.ping().await.expect("pong");
    });
}

#[test]
fn an_admin_manages_tokens() {
    let server = TestServer::secured();
    run(async {
        let admin = Client::builder(&server.ws).token("admin").connect();
        let client = admin.await.expect("admin");
        let admin = client.admin();
        admin.register("t", ["a", "b"]).await.expect("registered");
        let error = admin.register("t", ["a"]).await.expect_err("exists");
        assert_eq!(
            error.to_string(),
            "the server refused register: Token already exists"
        );
        admin.set("t", ["c"]).await.expect("set");
        admin.unset("t", ["a"]).await.expect("unset");
        assert_eq!(admin.tags("t").await.expect("tags"), ["b", "c"]);
        admin.unregister("t").await.expect("unregistered");
        let error = admin.tags("t").await.expect_err("gone");
        assert!(matches!(error, ClientError::Refused { .. }), "{error}");

        let other = connect(&server.tcp).await;
        let error = other
            .admin()
            .register("t", ["a"])
            .await
            .expect_err("not admin");
        assert!(error.to_string().contains("not authorized"), "{error}");
    });
}

#[test]
fn a_custom_command_is_answered_and_an_unknown_one_refused() {
    let server = TestServer::start();
    run(async {
        let client = connect(&server.tcp).await;
        let error = client
            .request("nope", &["a"], "x")
            .await
            .expect_err("unknown");
        assert_eq!(
            error.to_string(),
            "the server refused nope: Unknown Command"
        );
    });
}

#[test]
fn what_is_refused_without_an_acknowledgement_is_an_event() {
    let server = TestServer::with(|builder| {
        builder
            .authenticator("memory://")
            .token("admin")
            .access(Access::Scoped)
    });
    run(async {
        let admin = Client::builder(&server.tcp).token("admin").connect();
        let admin = admin.await.expect("admin");
        let admin = admin.admin();
        admin.register("t", ["mine"]).await.expect("registered");
        let client = Client::builder(&server.tcp).token("t").connect();
        let client = client.await.expect("a token's client");
        let mut events = client.events();
        client.publish(["theirs"], "x").await.expect("handed over");
        let refused = event(&mut events, |event| matches!(event, Event::Refused { .. })).await;
        assert!(format!("{refused:?}").contains("theirs"), "{refused:?}");
        let error = client.subscribe(["theirs"]).await.expect_err("not granted");
        assert!(matches!(error, ClientError::Refused { .. }), "{error}");

        let mut mine = client.subscribe(["mine"]).await.expect("granted");
        admin.unset("t", ["mine"]).await.expect("unset");
        let lost = |event: &Event| matches!(event, Event::SubscriptionLost { tags, .. } if **tags == ["mine"]);
        event(&mut events, lost).await;
        assert_eq!(mine.next().await, None, "its stream has ended");
    });
}

#[test]
fn tags_are_needed() {
    let server = TestServer::start();
    run(async {
        let client = connect(&server.tcp).await;
        let none: [&str; 0] = [];
        for error in [
            client.subscribe(none).await.expect_err("no tags"),
            client.publish(none, "x").await.expect_err("no tags"),
            client.publish_acked(none, "x").await.expect_err("no tags"),
        ] {
            assert!(
                error
                    .to_string()
                    .ends_with("without tags: name at least one"),
                "{error}"
            );
        }
    });
}

#[test]
fn a_refused_connection_names_host_and_port() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        drop(listener);
        for scheme in ["tcp", "ws"] {
            let error = Client::connect(&format!("{scheme}://{address}")).await;
            let error = error.expect_err("nobody listens").to_string();
            assert!(
                error.contains(&address) && error.contains("connection refused"),
                "{error}"
            );
        }
    });
}

#[test]
fn a_wrong_address_is_said_before_anything_is_tried() {
    run(async {
        let error = Client::connect("udp://127.0.0.1:1")
            .await
            .expect_err("no such scheme");
        assert!(matches!(error, ClientError::InvalidUri { .. }), "{error}");
    });
}

#[test]
fn a_server_that_stops_answering_is_not_waited_for_for_ever() {
    let server = TestServer::start();
    run(async {
        let proxy = Proxy::start(&server.tcp).await;
        let client = Client::builder(&proxy.uri)
            .request_timeout(Duration::from_millis(50))
            .connect()
            .await
            .expect("open");
        proxy.silence();
        let error = client.ping().await.expect_err("no answer").to_string();
        assert!(error.contains("ping") && error.contains("50ms"), "{error}");
    });
}

#[test]
fn a_server_that_says_nothing_is_none() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        for (scheme, text) in [
            ("tcp", "connected, but the server sent nothing for 50ms"),
            ("ws", "no connection within 50ms"),
        ] {
            let error = Client::builder(&format!("{scheme}://{address}"))
                .connect_timeout(Duration::from_millis(50))
                .connect()
                .await
                .expect_err("the system takes the connection, nobody else")
                .to_string();
            assert!(error.contains(text) && error.contains(&address), "{error}");
        }
    });
}

#[test]
fn a_message_over_the_servers_limit_has_a_clear_error() {
    let mut limits = Limits::default();
    limits.set("message-bytes", 1000).expect("a limit");
    let server = TestServer::with(|builder| builder.limits(limits));
    run(async {
        let client = Client::builder(&server.tcp).reconnect(None).connect();
        let client = client.await.expect("open");
        let mut events = client.events();
        client
            .publish(["a"], &"x".repeat(2000))
            .await
            .expect("handed over");
        let refused = event(&mut events, |event| matches!(event, Event::Refused { .. })).await;
        assert!(
            format!("{refused:?}").contains("message-bytes"),
            "{refused:?}"
        );
    });
}

#[test]
fn the_longest_durations_wait_for_ever() {
    let server = TestServer::start();
    run(async {
        let client = Client::builder(&server.tcp)
            .request_timeout(Duration::MAX)
            .connect_timeout(Duration::MAX)
            .heartbeat(Duration::MAX)
            .connect()
            .await
            .expect("open");
        client.ping().await.expect("pong");
        client.flush().await.expect("taken");
        client.close().await.expect("closed");
    });
}

/// On one thread, so that the client's task has gone as far as it can whenever the test waits.
#[tokio::test]
async fn a_request_behind_bytes_that_nobody_reads_ends_at_its_own_deadline() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let uri = format!("tcp://{}", listener.local_addr().expect("an address"));
    let (release, released) = std::sync::mpsc::channel::<()>();
    let server = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a connection");
        let mut asked = String::new();
        BufReader::new(&stream)
            .read_line(&mut asked)
            .expect("the client asks for a sign of life");
        (&stream)
            .write_all(asked.as_bytes())
            .expect("its number is all that the answer needs");
        let _ = released.recv();
    });
    within(async {
        // Nothing but the request has a deadline within an hour.
        let client = Client::builder(&uri)
            .connect_timeout(Duration::from_secs(3600))
            .request_timeout(Duration::from_millis(50))
            .heartbeat(None)
            .reconnect(None)
            .send_buffer(1000)
            .connect()
            .await
            .expect("open");
        let much = "x".repeat(64 << 20);
        client.publish(["a"], &much).await.expect("handed over");
        // This one waits until the writer has the other, and then stays behind it.
        client.publish(["a"], "x").await.expect("handed over");
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        let error = client.ping().await.expect_err("nobody reads");
        assert!(matches!(error, ClientError::Timeout { .. }), "{error}");
    })
    .await;
    drop(release);
    server.join().expect("the server has ended");
}

#[test]
fn tags_may_come_from_the_client_itself_and_from_code_that_panics() {
    let server = TestServer::start();
    run(async {
        let client = connect(&server.tcp).await;
        let reader = connect(&server.tcp).await;
        let mut messages = subscribe(&reader, &["Open"]).await;
        let state = || std::iter::once_with(|| format!("{:?}", client.state()));
        client.publish(state(), "one").await.expect("open");
        client.publish_acked(state(), "two").await.expect("acked");

        let broken = || {
            ["Open", "broken"]
                .iter()
                .inspect(|tag| assert_eq!(**tag, "Open"))
        };
        let publish = AssertUnwindSafe(client.publish(broken(), "half"));
        publish.catch_unwind().await.expect_err("it panics");
        let publish = AssertUnwindSafe(client.publish_acked(broken(), "half"));
        publish.catch_unwind().await.expect_err("it panics");
        client.publish(["Open"], "three").await.expect("open");
        assert_eq!(texts(&mut messages, 3).await, ["one", "two", "three"]);
    });
}
