//! The examples do what they say.

// Their `main` is for people.
#[allow(dead_code)]
#[path = "../../../examples/admin.rs"]
mod admin;
#[allow(dead_code)]
#[path = "../../../examples/client.rs"]
mod client;
#[allow(dead_code)]
#[path = "../../../examples/offline_buffer.rs"]
mod offline_buffer;
#[allow(dead_code)]
#[path = "../../../examples/reconnect.rs"]
mod reconnect;
#[allow(dead_code)]
#[path = "../../../examples/subscriptions.rs"]
mod subscriptions;
#[allow(dead_code)]
#[path = "../../../examples/tls.rs"]
mod tls;

use mist::{Access, Client, Server};
use mist_tests::certificate::Certificate;

use super::proxy::Proxy;
use super::{TestServer, connect, run, subscribe, texts};

#[test]
fn a_client_publishes_and_subscribes() {
    let server = TestServer::start();
    run(async { client::run(&server.tcp).await.expect("it works") });
}

#[test]
fn each_subscription_has_a_stream() {
    let server = TestServer::start();
    run(async { subscriptions::run(&server.ws).await.expect("it works") });
}

#[test]
fn tokens_are_managed() {
    let server = TestServer::with(|builder| {
        builder
            .authenticator("memory://")
            .token("SECRET")
            .access(Access::Scoped)
    });
    run(async {
        admin::run(&server.tcp, "SECRET").await.expect("it works");
    });
}

#[test]
fn a_server_is_trusted_by_a_file() {
    let files = Certificate::default();
    run(async {
        let server = Server::builder()
            .listen("tls://127.0.0.1:0")
            .tls(files.file(), files.key())
            .bind()
            .await
            .expect("bound");
        let uri = server.addresses()[0].to_string();
        let serving = tokio::spawn(server.run(std::future::pending()));
        let ca = files.file();
        let ca = ca.to_str().expect("UTF-8");
        tls::run(&uri, ca).await.expect("it works");
        serving.abort();
    });
}

#[test]
fn a_subscription_outlives_its_connection() {
    let server = TestServer::start();
    run(async {
        let proxy = Proxy::start(&server.tcp).await;
        let writer = connect(&server.tcp).await;
        let uri = proxy.uri.clone();
        let example = tokio::spawn(async move {
            reconnect::run(&uri).await.expect("it works");
        });
        for round in 1..4 {
            until_published(&writer, "on time").await;
            proxy.cut();
            until(|| proxy.connections() > round).await;
        }
        until_published(&writer, "stop").await;
        example.await.expect("it has stopped");
    });
}

/// Publishes until somebody gets it.
async fn until_published(writer: &Client, text: &str) {
    while writer.publish_acked(["bus"], text).await.expect("acked") == 0 {}
}

async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        tokio::task::yield_now().await;
    }
}

#[test]
fn what_is_published_without_a_connection_arrives_later() {
    let server = TestServer::start();
    run(async {
        let reader = connect(&server.tcp).await;
        let mut messages = subscribe(&reader, &["reading"]).await;
        let proxy = Proxy::start(&server.tcp).await;
        let (lines, received) = tokio::sync::mpsc::channel(1);
        let test = async {
            lines.send("1".to_owned()).await.expect("it reads");
            assert_eq!(texts(&mut messages, 1).await, ["1"]);
            proxy.set_open(false);
            proxy.cut();
            // It has noticed when it tries again.
            until(|| proxy.connections() > 1).await;
            for line in ["2", "3", "4"] {
                lines.send(line.to_owned()).await.expect("it reads");
            }
            drop(lines);
            proxy.set_open(true);
            assert_eq!(texts(&mut messages, 3).await, ["2", "3", "4"]);
        };
        let example = offline_buffer::run(&proxy.uri, received);
        let (example, ()) = tokio::join!(example, test);
        example.expect("it works");
    });
}
