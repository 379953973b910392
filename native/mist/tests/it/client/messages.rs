//! How messages get through: in order, large ones, many at once, and when nobody reads them.

use std::time::Duration;

use futures_util::StreamExt;
use mist::Limits;
use mist::client::{Client, ClientError, Event};

use super::{TestServer, connect, event, run, texts};

async fn in_order(uri: &str, count: usize) {
    let reader = connect(uri).await;
    reader.subscribe(["n"]).await.expect("subscribed");
    let mut messages = reader.messages();
    let writer = connect(uri).await;
    let publishing = tokio::spawn(async move {
        for number in 0..count {
            writer
                .publish(["n", "other"], &number.to_string())
                .await
                .expect("open");
        }
        writer.close().await.expect("all is sent");
    });
    for number in 0..count {
        let message = messages.next().await.expect("a message");
        assert_eq!(message.data, number.to_string());
    }
    publishing.await.expect("published");
}

#[test]
fn fifty_thousand_messages_keep_their_order_over_tcp() {
    let server = TestServer::start();
    run(in_order(&server.tcp, 50_000));
}

#[test]
fn fifty_thousand_messages_keep_their_order_over_websocket() {
    let server = TestServer::start();
    run(in_order(&server.ws, 50_000));
}

#[test]
fn a_large_message_arrives_whole() {
    let server = TestServer::start();
    run(async {
        let data = "a \"quote\", a \\ and é. ".repeat(50_000);
        for (from, to) in [(&server.tcp, &server.ws), (&server.ws, &server.tcp)] {
            let reader = connect(to).await;
            reader.subscribe(["large"]).await.expect("subscribed");
            let writer = connect(from).await;
            assert_eq!(
                writer.publish_acked(["large"], &data).await.expect("acked"),
                1
            );
            assert!(texts(&mut reader.messages(), 1).await == [&*data]);
        }
    });
}

#[test]
fn what_came_before_the_first_stream_is_not_lost() {
    let server = TestServer::start();
    run(async {
        let reader = connect(&server.tcp).await;
        reader.subscribe(["a"]).await.expect("subscribed");
        let writer = connect(&server.tcp).await;
        for text in ["1", "2", "3"] {
            writer.publish_acked(["a"], text).await.expect("acked");
        }
        // Each stream goes when it has taken one; the others stay for the next.
        for text in ["1", "2", "3"] {
            assert_eq!(texts(&mut reader.messages(), 1).await, [text]);
        }
        assert_eq!(reader.messages().try_next(), None);
    });
}

#[test]
fn several_streams_share_the_messages() {
    let server = TestServer::start();
    run(async {
        let reader = connect(&server.tcp).await;
        reader.subscribe(["a"]).await.expect("subscribed");
        let workers: Vec<_> = (0..3)
            .map(|_| {
                tokio::spawn(
                    reader
                        .messages()
                        .map(|message| message.data)
                        .collect::<Vec<_>>(),
                )
            })
            .collect();
        let writer = connect(&server.tcp).await;
        for number in 0..1000 {
            writer
                .publish(["a"], &number.to_string())
                .await
                .expect("open");
        }
        writer.ping().await.expect("all is published");
        reader.ping().await.expect("all is delivered");
        reader.close().await.expect("closed");
        let mut all = Vec::new();
        for worker in workers {
            all.extend(worker.await.expect("a worker"));
        }
        all.sort_unstable_by_key(|text| text.parse::<u32>().expect("a number"));
        let expected: Vec<_> = (0..1000).map(|number: u32| number.to_string()).collect();
        assert_eq!(all, expected);
    });
}

#[test]
fn a_client_that_does_not_read_is_still_answered_and_loses_nothing_here() {
    let server = TestServer::start();
    run(async {
        let reader = Client::builder(&server.tcp).message_buffer(4).connect();
        let reader = reader.await.expect("open");
        reader.subscribe(["a"]).await.expect("subscribed");
        let writer = connect(&server.tcp).await;
        let data = "x".repeat(1000);
        for _ in 0..5000 {
            writer.publish(["a"], &data).await.expect("open");
        }
        writer.ping().await.expect("all is published");
        // The answers stand behind the five thousand.
        reader.ping().await.expect("pong");
        assert_eq!(reader.list().await.expect("a list"), [["a"]]);
        let mut messages = reader.messages();
        for _ in 0..5000 {
            assert_eq!(messages.next().await.expect("a message").data.len(), 1000);
        }
    });
}

#[test]
fn a_client_that_never_reads_does_not_grow_for_ever() {
    let server = TestServer::start();
    run(async {
        let reader = Client::builder(&server.tcp)
            .message_buffer(4)
            .request_timeout(Duration::from_millis(500))
            .connect()
            .await
            .expect("open");
        reader.subscribe(["a"]).await.expect("subscribed");
        let writer = connect(&server.tcp).await;
        let data = "x".repeat(1 << 20);
        let mut published = 0;
        let error = loop {
            writer.publish_acked(["a"], &data).await.expect("acked");
            published += 1;
            if let Err(error) = reader.ping().await {
                break error;
            }
        };
        assert!(matches!(error, ClientError::Timeout { .. }), "{error}");
        assert!((32..80).contains(&published), "{published} MiB");
        let mut messages = reader.messages();
        for _ in 0..32 {
            messages.next().await.expect("a message");
        }
        reader.ping().await.expect("there is room again");
    });
}

#[test]
fn a_slow_reader_is_told_what_the_server_dropped() {
    let mut limits = Limits::default();
    limits.set("outbox-messages", 100).expect("a limit");
    let server = TestServer::with(|builder| builder.limits(limits));
    run(async {
        let reader = Client::builder(&server.tcp).message_buffer(1).connect();
        let reader = reader.await.expect("open");
        let mut events = reader.events();
        reader.subscribe(["a"]).await.expect("subscribed");
        let writer = connect(&server.tcp).await;
        let data = "x".repeat(100_000);
        let mut taken = 0;
        while writer.publish_acked(["a"], &data).await.expect("acked") == 1 {
            taken += 1;
        }
        let mut messages = reader.messages();
        for _ in 0..taken {
            messages.next().await.expect("a message");
        }
        let dropped = event(&mut events, |event| matches!(event, Event::Dropped { .. })).await;
        assert_eq!(dropped, Event::Dropped { count: 1 });
    });
}

#[test]
fn a_publish_can_wait_and_be_cancelled() {
    let server = TestServer::start();
    run(async {
        let reader = connect(&server.tcp).await;
        reader.subscribe(["a"]).await.expect("subscribed");
        let writer = connect(&server.tcp).await;
        let after = |text: &str, millis| {
            let delay = Duration::from_millis(millis);
            writer.publish_after(["a"], text, delay).expect("open")
        };
        let _second = after("second", 40);
        let cancelled = after("cancelled", 30);
        let first = after("first", 20);
        assert!(cancelled.cancel());
        assert_eq!(texts(&mut reader.messages(), 2).await, ["first", "second"]);
        assert!(!first.cancel());
    });
}
