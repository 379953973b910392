//! How messages get through: in order, large ones, many at once, and when nobody reads them.

use mist::Limits;
use mist::client::{Client, Event};
use tokio::sync::oneshot;

use super::{TestServer, connect, event, run, subscribe, texts};

async fn in_order(uri: &str, count: usize) {
    let reader = connect(uri).await;
    let mut messages = subscribe(&reader, &["n"]).await;
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
            let mut messages = subscribe(&reader, &["large"]).await;
            let writer = connect(from).await;
            let receipt = writer.publish_acked(["large"], &data).await;
            assert_eq!(receipt.expect("acked").delivered, 1);
            assert!(texts(&mut messages, 1).await == [&*data]);
        }
    });
}

#[test]
fn a_client_that_does_not_read_is_still_answered_and_loses_nothing_that_there_is_room_for() {
    let server = TestServer::start();
    run(async {
        let reader = connect(&server.tcp).await;
        let mut messages = subscribe(&reader, &["a"]).await;
        let writer = connect(&server.tcp).await;
        let data = "x".repeat(1000);
        for _ in 0..5000 {
            writer.publish(["a"], &data).await.expect("open");
        }
        writer.flush().await.expect("all is published");
        // The answers stand behind the five thousand.
        reader.ping().await.expect("pong");
        assert_eq!(reader.list().await.expect("a list"), [["a"]]);
        for _ in 0..5000 {
            assert_eq!(messages.next().await.expect("a message").data.len(), 1000);
        }
        assert_eq!(messages.dropped(), 0);
    });
}

#[test]
fn a_stream_that_is_not_read_lags_and_holds_up_nobody() {
    let server = TestServer::start();
    run(async {
        let reader = Client::builder(&server.tcp).message_buffer(4).connect();
        let reader = reader.await.expect("open");
        let mut events = reader.events();
        let mut unread = subscribe(&reader, &["a"]).await;
        let mut read = subscribe(&reader, &["b"]).await;
        let mut all = reader.messages();
        let writer = connect(&server.tcp).await;
        for number in 0..100 {
            let data = number.to_string();
            writer
                .publish_acked(["a", "b"], &data)
                .await
                .expect("acked");
            assert_eq!(texts(&mut read, 1).await, [&*data]);
            assert_eq!(texts(&mut all, 1).await, [&*data]);
        }
        let lagged = event(&mut events, |event| matches!(event, Event::Lagged { .. })).await;
        assert!(
            matches!(&lagged, Event::Lagged { tags, .. } if **tags == ["a"]),
            "{lagged:?}"
        );
        assert_eq!(
            (unread.dropped(), read.dropped(), all.dropped()),
            (96, 0, 0)
        );
        assert_eq!(texts(&mut unread, 4).await, ["0", "1", "2", "3"]);
        assert_eq!(unread.try_next(), None);
        // It goes on with what comes now, and tells anew when it lags anew.
        for number in 100..106 {
            let data = number.to_string();
            writer.publish_acked(["a"], &data).await.expect("acked");
        }
        reader.ping().await.expect("all is delivered");
        event(&mut events, |event| matches!(event, Event::Lagged { .. })).await;
        assert_eq!(texts(&mut unread, 4).await, ["100", "101", "102", "103"]);
        assert_eq!(unread.dropped(), 98);
    });
}

#[test]
fn a_client_that_never_reads_does_not_grow_for_ever() {
    let server = TestServer::start();
    run(async {
        let reader = connect(&server.tcp).await;
        let mut events = reader.events();
        let mut messages = subscribe(&reader, &["a"]).await;
        let writer = connect(&server.tcp).await;
        let data = "x".repeat(1 << 20);
        for _ in 0..40 {
            let receipt = writer.publish_acked(["a"], &data).await;
            assert_eq!(receipt.expect("acked").delivered, 1);
            reader.ping().await.expect("the socket is read on");
        }
        event(&mut events, |event| matches!(event, Event::Lagged { .. })).await;
        let mut kept = 0;
        while messages.try_next().is_some() {
            kept += 1;
        }
        assert_eq!((kept, messages.dropped()), (31, 9), "32 MiB and no more");
        writer.publish_acked(["a"], "y").await.expect("acked");
        assert_eq!(texts(&mut messages, 1).await, ["y"]);
    });
}

#[test]
fn a_client_that_is_held_up_is_told_what_the_server_dropped() {
    let mut limits = Limits::default();
    limits.set("outbox-messages", 100).expect("a limit");
    let server = TestServer::with(|builder| builder.limits(limits));
    let writer = server.spawn({
        let uri = server.tcp.clone();
        async move { connect(&uri).await }
    });
    run(async {
        let reader = connect(&server.tcp).await;
        let mut events = reader.events();
        let _subscription = subscribe(&reader, &["a"]).await;
        // The only thread on which the client's task could run is busy, while the other runtime publishes.
        let (release, released) = std::sync::mpsc::channel::<()>();
        let (stand, stands) = oneshot::channel();
        let busy = tokio::spawn(async move {
            stand.send(()).expect("the test is waiting");
            let _ = released.recv();
        });
        stands.await.expect("the thread is taken");
        let writer = writer.await.expect("open");
        let data = "x".repeat(100_000);
        let flood = server.spawn(async move {
            let publish = async || writer.publish_acked(["a"], &data).await;
            while publish().await.expect("acked").delivered == 1 {}
        });
        flood.await.expect("the outbox is full");
        drop(release);
        busy.await.expect("released");
        let dropped = event(&mut events, |event| matches!(event, Event::Dropped { .. })).await;
        assert!(
            matches!(dropped, Event::Dropped { count: 1, .. }),
            "{dropped:?}"
        );
    });
}

#[test]
fn what_is_flushed_has_been_taken() {
    let server = TestServer::start();
    run(async {
        for uri in [&server.tcp, &server.ws] {
            let reader = connect(uri).await;
            let mut messages = subscribe(&reader, &["a"]).await;
            let writer = connect(uri).await;
            for number in 0..1000 {
                let data = number.to_string();
                writer.publish(["a"], &data).await.expect("open");
            }
            writer.flush().await.expect("taken");
            // What the server has taken stands in front of its answer.
            reader.ping().await.expect("pong");
            for number in 0..1000 {
                let message = messages.try_next().expect("it is there");
                assert_eq!(message.data, number.to_string());
            }
        }
    });
}
