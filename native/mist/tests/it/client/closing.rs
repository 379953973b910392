//! How a client ends: everything sent, nothing left.

use std::time::Duration;

use mist::client::{ClientError, Event, Offline, State};
use mist_tests::proxy::Proxy;

use super::{TestServer, connect, eager, event, no_task_is_left, run, subscribe, texts};

async fn sends_everything(uri: &str) {
    let reader = connect(uri).await;
    let mut messages = subscribe(&reader, &["a"]).await;
    for round in 0..20 {
        let writer = connect(uri).await;
        for number in 0..1000 {
            writer
                .publish(["a"], &number.to_string())
                .await
                .expect("open");
        }
        writer.close().await.expect("all is sent");
        let received = texts(&mut messages, 1000).await;
        assert_eq!(received[999], "999", "round {round}");
    }
}

#[test]
fn closing_sends_what_was_handed_over_on_tcp() {
    let server = TestServer::start();
    run(sends_everything(&server.tcp));
}

#[test]
fn closing_sends_what_was_handed_over_on_websocket() {
    let server = TestServer::start();
    run(sends_everything(&server.ws));
}

#[test]
fn after_closing_no_task_is_left_and_everything_says_so() {
    let server = TestServer::start();
    run(async {
        for uri in [&server.tcp, &server.ws] {
            let client = connect(uri).await;
            let (mut messages, mut events) = (client.messages(), client.events());
            let mut subscription = subscribe(&client, &["a"]).await;
            client.close().await.expect("closed");
            client.clone().close().await.expect("closed again");
            no_task_is_left().await;
            assert_eq!(client.state(), State::Closed);
            assert_eq!(messages.next().await, None);
            assert_eq!(subscription.next().await, None);
            let closed = events.next().await;
            assert!(matches!(closed, Some(Event::Closed { .. })), "{closed:?}");
            assert_eq!(events.next().await, None);
            assert_eq!(client.events().next().await, None);
            assert_eq!(client.messages().next().await, None);
            for error in [
                client.publish(["a"], "x").await.expect_err("closed"),
                client.subscribe(["a"]).await.expect_err("closed"),
                client.ping().await.expect_err("closed"),
                client.flush().await.expect_err("closed"),
                subscription.unsubscribe().await.expect_err("closed"),
            ] {
                assert!(matches!(error, ClientError::Closed { .. }), "{error}");
            }
        }
    });
}

#[test]
fn dropping_the_last_clone_sends_what_was_handed_over_and_leaves_no_task() {
    let server = TestServer::start();
    run(async {
        for uri in [&server.tcp, &server.ws] {
            let (mut left, mut events) = {
                let client = connect(uri).await;
                let (mut all, events) = (client.messages(), client.events());
                // It keeps the client open.
                let mut subscription = subscribe(&client, &["b"]).await;
                drop(client);
                let writer = connect(uri).await;
                writer.clone().publish(["b"], "last").await.expect("open");
                drop(writer);
                assert_eq!(texts(&mut subscription, 1).await, ["last"]);
                assert_eq!(texts(&mut all, 1).await, ["last"]);
                (all, events)
            };
            while events.next().await.is_some() {}
            assert_eq!(left.next().await, None);
            no_task_is_left().await;
        }
    });
}

#[test]
fn closing_while_messages_pour_in_is_clean() {
    let server = TestServer::start();
    run(async {
        let writer = connect(&server.tcp).await;
        for uri in [&server.tcp, &server.ws] {
            let reader = connect(uri).await;
            let _unread = subscribe(&reader, &["a"]).await;
            let other = connect(uri).await;
            let mut messages = subscribe(&other, &["b"]).await;
            for number in 0..5000 {
                writer
                    .publish(["a"], &number.to_string())
                    .await
                    .expect("open");
            }
            reader.publish(["b"], "goodbye").await.expect("open");
            reader.close().await.expect("all is sent");
            assert_eq!(texts(&mut messages, 1).await, ["goodbye"]);
        }
    });
}

#[test]
fn closing_while_offline_says_that_kept_publishes_are_lost() {
    let server = TestServer::start();
    run(async {
        let proxy = Proxy::start(&server.tcp).await;
        let client = eager(&proxy.uri)
            .offline(Offline::buffer(10, 1000, Duration::MAX))
            .connect()
            .await
            .expect("open");
        let mut events = client.events();
        proxy.set_open(false);
        proxy.cut();
        event(&mut events, |event| matches!(event, Event::Waiting { .. })).await;
        for data in ["one", "two"] {
            client.publish(["a"], data).await.expect("kept");
        }
        let error = client.close().await.expect_err("never sent");
        assert!(
            error.to_string().contains("offline, with 2 publishes kept"),
            "{error}"
        );
    });
}
