//! What each subscription's stream gets, and when it ends.

use std::pin::pin;

use futures_util::FutureExt;
use mist::Access;
use mist::client::{Client, Event};
use mist_tests::proxy::Proxy;

use super::{TestServer, connect, eager, event, opened_again, run, subscribe, texts};

async fn each_has_its_own(uri: &str) {
    let reader = connect(uri).await;
    let mut bus = subscribe(&reader, &["bus"]).await;
    let mut late = subscribe(&reader, &["late", "bus"]).await;
    let mut same = subscribe(&reader, &["bus", "late"]).await;
    let mut all = reader.messages();
    let writer = connect(uri).await;
    for (tags, text) in [
        (&["bus"][..], "1"),
        (&["bus", "late", "line:7"], "2"),
        (&["late"], "3"),
        (&["late", "bus"], "4"),
    ] {
        // A server counts sessions, not subscriptions.
        let receipt = writer.publish_acked(tags, text).await.expect("acked");
        assert_eq!(receipt.delivered, u64::from(text != "3"));
    }
    assert_eq!(texts(&mut bus, 3).await, ["1", "2", "4"]);
    assert_eq!(texts(&mut late, 2).await, ["2", "4"]);
    assert_eq!(texts(&mut same, 2).await, ["2", "4"]);
    assert_eq!(texts(&mut all, 3).await, ["1", "2", "4"], "each once");

    same.unsubscribe().await.expect("one of two");
    drop(bus);
    // Behind what dropping has sent.
    let sets = reader.list().await.expect("a list");
    assert_eq!(sets, [["bus", "late"]]);
    for (tags, delivered) in [(&["bus"][..], 0), (&["bus", "late"], 1)] {
        let receipt = writer.publish_acked(tags, "5").await.expect("acked");
        assert_eq!(receipt.delivered, delivered, "{tags:?}");
    }
    assert_eq!(texts(&mut late, 1).await, ["5"]);
    assert_eq!(texts(&mut all, 1).await, ["5"]);
    assert_eq!((late.try_next(), all.try_next()), (None, None));
}

#[test]
fn each_has_its_own_messages_over_tcp() {
    let server = TestServer::start();
    run(each_has_its_own(&server.tcp));
}

#[test]
fn each_has_its_own_messages_over_websocket() {
    let server = TestServer::start();
    run(each_has_its_own(&server.ws));
}

#[test]
fn what_came_before_the_stream_was_read_is_not_lost() {
    let server = TestServer::start();
    run(async {
        let reader = connect(&server.tcp).await;
        let mut messages = subscribe(&reader, &["a"]).await;
        let writer = connect(&server.tcp).await;
        for text in ["1", "2", "3"] {
            writer.publish_acked(["a"], text).await.expect("acked");
        }
        reader.ping().await.expect("pong");
        for text in ["1", "2", "3"] {
            let message = messages.try_next().expect("it is there");
            assert_eq!(message.data, text);
        }
        assert_eq!(messages.try_next(), None);
    });
}

#[test]
fn a_detached_one_stays_for_the_stream_of_all() {
    let server = TestServer::start();
    run(async {
        let reader = connect(&server.tcp).await;
        let mut all = reader.messages();
        subscribe(&reader, &["a"]).await.detach();
        assert_eq!(reader.list().await.expect("a list"), [["a"]]);
        let writer = connect(&server.tcp).await;
        writer.publish(["a"], "x").await.expect("open");
        assert_eq!(texts(&mut all, 1).await, ["x"]);
    });
}

#[test]
fn who_does_not_wait_for_the_answer_does_not_subscribe() {
    let server = TestServer::start();
    run(async {
        let client = connect(&server.tcp).await;
        {
            let mut subscribing = pin!(client.subscribe(["a"]));
            // Polled once, it is handed over; mostly the answer is not there yet.
            drop((&mut subscribing).now_or_never());
        }
        assert_eq!(client.list().await.expect("a list").len(), 0);
    });
}

#[test]
fn one_that_was_dropped_while_offline_is_not_made_again() {
    let server = TestServer::start();
    run(async {
        let proxy = Proxy::start(&server.tcp).await;
        let client = eager(&proxy.uri).connect().await.expect("open");
        let mut events = client.events();
        let kept = subscribe(&client, &["kept"]).await;
        let dropped = subscribe(&client, &["dropped"]).await;
        proxy.set_open(false);
        proxy.cut();
        event(&mut events, |event| matches!(event, Event::Waiting { .. })).await;
        drop(dropped);
        proxy.set_open(true);
        opened_again(&mut events).await;
        assert_eq!(client.list().await.expect("a list"), [["kept"]]);
        drop(kept);
    });
}

#[test]
fn one_that_the_server_takes_away_ends_and_the_others_go_on() {
    let server = TestServer::with(|builder| {
        builder
            .authenticator("memory://")
            .token("admin")
            .access(Access::Scoped)
    });
    run(async {
        let root = Client::builder(&server.tcp).token("admin").connect();
        let root = root.await.expect("admin");
        root.admin()
            .register("t", ["a", "b"])
            .await
            .expect("registered");
        let client = Client::builder(&server.tcp).token("t").connect();
        let client = client.await.expect("a token's client");
        let mut lost = subscribe(&client, &["a"]).await;
        let mut kept = subscribe(&client, &["b"]).await;
        root.publish_acked(["a"], "last").await.expect("acked");
        root.admin().unset("t", ["a"]).await.expect("unset");
        // What was delivered before is still to be read.
        assert_eq!(texts(&mut lost, 1).await, ["last"]);
        assert_eq!(lost.next().await, None);
        root.publish(["a", "b"], "x").await.expect("open");
        assert_eq!(texts(&mut kept, 1).await, ["x"]);
        // Another may be asked for, and has nothing to do with the first.
        root.admin().set("t", ["a"]).await.expect("set");
        let mut again = subscribe(&client, &["a"]).await;
        drop(lost);
        root.publish(["a"], "y").await.expect("open");
        assert_eq!(texts(&mut again, 1).await, ["y"]);
    });
}
