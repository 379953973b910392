//! What happens when a connection is cut, and when it comes back.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use mist::Client;
use mist::client::{Backoff, ClientError, CloseReason, Event, Events, Offline, State};
use mist_tests::proxy::Proxy;
use mist_tests::site::Site;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use super::{TestServer, connect, eager, event, opened_again, run, subscribe, texts};

async fn resubscribes(uri: &str) {
    let proxy = Proxy::start(uri).await;
    let reader = eager(&proxy.uri).connect().await.expect("open");
    let mut events = reader.events();
    let mut one = subscribe(&reader, &["a"]).await;
    let mut two = subscribe(&reader, &["b", "c"]).await;
    let gone = subscribe(&reader, &["gone"]).await;
    gone.unsubscribe().await.expect("unsubscribed");
    let writer = connect(uri).await;
    for round in 0..5 {
        proxy.cut();
        opened_again(&mut events).await;
        for tags in [&["a"][..], &["c", "b"]] {
            let receipt = writer.publish_acked(tags, &round.to_string()).await;
            assert_eq!(
                receipt.expect("acked").delivered,
                1,
                "the server holds it once open is said"
            );
        }
        assert_eq!(texts(&mut one, 1).await, [round.to_string()]);
        assert_eq!(texts(&mut two, 1).await, [round.to_string()]);
        let sets = reader.list().await.expect("a list");
        assert_eq!(sets, [vec!["a"], vec!["b", "c"]]);
    }
    assert_eq!(proxy.connections(), 6);
}

#[test]
fn who_is_sent_away_by_a_server_that_restarts_waits_longer_than_others() {
    run(async {
        // The first attempt after anything else comes at once.
        let backoff = Backoff::new(Duration::ZERO, Duration::from_secs(5));
        for (drain, waits) in [(Duration::ZERO, false), (Duration::from_millis(1), true)] {
            let builder = mist::Server::builder().listen("ws://127.0.0.1:0");
            let builder = builder.drain(Duration::ZERO, drain);
            let site = Site::start(builder).await;
            let client = Client::builder(&site.uris[0]).reconnect(backoff);
            let client = client.connect().await.expect("open");
            let mut events = client.events();
            site.stop().await;
            let waiting = event(&mut events, |event| matches!(event, Event::Waiting { .. })).await;
            let Event::Waiting { retry_in, .. } = waiting else {
                unreachable!("it was looked for");
            };
            assert_eq!(!retry_in.is_zero(), waits, "{retry_in:?}");
        }
    });
}

#[test]
fn a_cut_connection_comes_back_with_its_subscriptions_over_tcp() {
    let server = TestServer::start();
    run(resubscribes(&server.tcp));
}

#[test]
fn a_cut_connection_comes_back_with_its_subscriptions_over_websocket() {
    let server = TestServer::start();
    run(resubscribes(&server.ws));
}

#[test]
fn what_is_asked_when_the_connection_is_cut_fails_with_the_reason() {
    let server = TestServer::start();
    run(async {
        let proxy = Proxy::start(&server.tcp).await;
        let client = eager(&proxy.uri).connect().await.expect("open");
        let mut events = client.events();
        proxy.silence();
        let mut asked = pin!(client.publish_acked(["a"], "x"));
        let mut subscribed = pin!(client.subscribe(["a"]));
        // Polled once, both are handed over.
        assert!((&mut asked).now_or_never().is_none());
        assert!((&mut subscribed).now_or_never().is_none());
        proxy.cut();
        event(&mut events, |event| matches!(event, Event::Waiting { .. })).await;
        let error = asked.await.expect_err("no answer");
        assert!(
            matches!(error, ClientError::ConnectionLost { .. }),
            "{error}"
        );
        // The subscription is wanted still, and the next connection has it.
        let _subscription = subscribed.await.expect("subscribed");
        assert_eq!(client.list().await.expect("a list"), [["a"]]);
    });
}

#[test]
fn a_publish_while_offline_is_refused_unless_buffering_is_chosen() {
    let server = TestServer::start();
    run(async {
        let proxy = Proxy::start(&server.tcp).await;
        let strict = eager(&proxy.uri).connect().await.expect("open");
        let buffering = eager(&proxy.uri)
            .offline(Offline::buffer(10, 1000, Duration::from_secs(60)))
            .connect()
            .await
            .expect("open");
        let reader = connect(&server.tcp).await;
        let mut messages = subscribe(&reader, &["a"]).await;
        let (mut strict_events, mut events) = (strict.events(), buffering.events());
        proxy.set_open(false);
        proxy.cut();
        for events in [&mut strict_events, &mut events] {
            event(events, |event| matches!(event, Event::Waiting { .. })).await;
        }
        let error = strict.publish(["a"], "refused").await.expect_err("offline");
        assert!(matches!(error, ClientError::Offline { .. }), "{error}");
        buffering.publish(["a"], "kept").await.expect("buffered");
        proxy.set_open(true);
        buffering.flush().await.expect("taken");
        assert_eq!(texts(&mut messages, 1).await, ["kept"]);
    });
}

#[test]
fn a_token_that_is_refused_is_not_tried_again() {
    let server = TestServer::secured();
    run(async {
        let proxy = Proxy::start(&server.tcp).await;
        let error = eager(&proxy.uri).token("guess").connect().await;
        let error = error.expect_err("refused");
        assert!(matches!(error, ClientError::AuthRefused { .. }), "{error}");
        assert_eq!(proxy.connections(), 1);

        let admin = eager(&server.tcp)
            .token("admin")
            .connect()
            .await
            .expect("admin");
        let admin = admin.admin();
        admin.register("t", ["a"]).await.expect("registered");
        let client = eager(&proxy.uri).token("t").connect().await.expect("open");
        let mut events = client.events();
        admin.unregister("t").await.expect("unregistered");
        proxy.cut();
        let closed = event(&mut events, |event| matches!(event, Event::Closed { .. })).await;
        assert!(
            matches!(
                &closed,
                Event::Closed {
                    reason: CloseReason::AuthRefused(_),
                    ..
                }
            ),
            "{closed:?}"
        );
        assert_eq!(events.next().await, None, "its task has ended");
        assert_eq!(client.state(), State::Closed);
        assert_eq!(proxy.connections(), 3);
        let error = client.ping().await.expect_err("closed");
        assert!(matches!(error, ClientError::AuthRefused { .. }), "{error}");
    });
}

#[test]
fn a_fetched_token_is_fetched_for_every_attempt() {
    let server = TestServer::secured();
    run(async {
        let proxy = Proxy::start(&server.tcp).await;
        let fetched = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&fetched);
        let client = eager(&proxy.uri)
            .token_from(move || {
                let token = match count.fetch_add(1, Ordering::SeqCst) {
                    0 => Ok("admin".to_owned()),
                    1 => Ok("expired".to_owned()),
                    2 => Err("the token service is away".into()),
                    _ => Ok("admin".to_owned()),
                };
                async { token }
            })
            .connect()
            .await
            .expect("open");
        let mut events = client.events();
        proxy.cut();
        opened_again(&mut events).await;
        assert_eq!(fetched.load(Ordering::SeqCst), 4);
        client
            .admin()
            .tags("unknown")
            .await
            .expect_err("admin, but unknown");
    });
}

#[test]
fn a_connection_that_died_silently_is_found_dead_and_made_anew() {
    let server = TestServer::start();
    run(async {
        let proxy = Proxy::start(&server.tcp).await;
        let client = eager(&proxy.uri)
            .heartbeat(Duration::from_millis(50))
            .connect()
            .await
            .expect("open");
        let mut events = client.events();
        proxy.silence();
        let waiting = event(&mut events, |event| matches!(event, Event::Waiting { .. })).await;
        assert!(
            matches!(&waiting, Event::Waiting { reason, .. } if reason.contains("sign of life")),
            "{waiting:?}"
        );
        opened_again(&mut events).await;
        client.ping().await.expect("pong");
    });
}

#[test]
fn without_reconnecting_a_cut_closes_the_client() {
    let server = TestServer::start();
    run(async {
        let proxy = Proxy::start(&server.tcp).await;
        let client = eager(&proxy.uri)
            .reconnect(None)
            .connect()
            .await
            .expect("open");
        let mut messages = client.messages();
        proxy.cut();
        assert_eq!(messages.next().await, None);
        let error = client.ping().await.expect_err("closed");
        assert!(matches!(error, ClientError::Closed { .. }), "{error}");
        assert_eq!(proxy.connections(), 1);
    });
}

#[test]
fn a_flush_on_the_next_connection_says_what_was_lost_with_the_last() {
    let server = TestServer::start();
    run(async {
        let proxy = Proxy::start(&server.tcp).await;
        let client = eager(&proxy.uri).connect().await.expect("open");
        let mut events = client.events();
        proxy.silence();
        for number in 0..100 {
            let data = number.to_string();
            client.publish(["a"], &data).await.expect("open");
        }
        proxy.cut();
        opened_again(&mut events).await;
        let error = client.flush().await.expect_err("all are lost");
        assert!(
            matches!(error, ClientError::ConnectionLost { .. }),
            "{error}"
        );
        client.flush().await.expect("nothing more was lost");
    });
}

#[test]
fn a_loss_that_one_flush_says_is_not_said_by_the_next() {
    let server = TestServer::start();
    run(async {
        let proxy = Proxy::start(&server.tcp).await;
        let client = eager(&proxy.uri).connect().await.expect("open");
        let mut events = client.events();
        proxy.silence();
        client.publish(["a"], "lost").await.expect("open");
        let mut flushed = pin!(client.flush());
        // Polled once, it is asked.
        assert!((&mut flushed).now_or_never().is_none());
        proxy.cut();
        let error = flushed.await.expect_err("cut");
        assert!(
            matches!(error, ClientError::ConnectionLost { .. }),
            "{error}"
        );
        opened_again(&mut events).await;
        client.flush().await.expect("nothing more was lost");
    });
}

#[test]
fn what_one_server_said_last_is_not_why_the_next_connection_ends() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let uri = format!("tcp://{}", listener.local_addr().expect("an address"));
        // Says `words`, then answers for the token with what was asked, and `outcome` at its end.
        let serve = async |words: &str, outcome: &str| {
            let (stream, _) = listener.accept().await.expect("a connection");
            let mut stream = BufReader::new(stream);
            let mut asked = String::new();
            stream.read_line(&mut asked).await.expect("a token");
            let answer = format!("{words}{}", asked.replace('}', outcome));
            stream.write_all(answer.as_bytes()).await.expect("taken");
            stream
        };
        let connecting = eager(&uri).token_from(async || Ok("t".into())).connect();
        let (client, first) = tokio::join!(connecting, serve("", "}"));
        let client = client.expect("open");
        let mut events = client.events();
        let mut reasons = Vec::new();
        drop(first);
        reasons.push(why_waiting(&mut events).await);
        let words = "{\"command\":\"\",\"error\":\"words\"}\n";
        let _second = serve(words, ",\"error\":\"refused\"}").await;
        reasons.push(why_waiting(&mut events).await);
        drop(serve("", "}").await);
        reasons.push(why_waiting(&mut events).await);
        assert_eq!(
            reasons,
            [
                "the server closed the connection",
                "the server refused the token: refused",
                "the server closed the connection",
            ]
        );
    });
}

async fn why_waiting(events: &mut Events) -> String {
    loop {
        if let Event::Waiting { reason, .. } = events.next().await.expect("the client is open") {
            return reason;
        }
    }
}
