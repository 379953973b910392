//! The examples do what they say.

// Their `main` is for people.
#[allow(dead_code)]
#[path = "../../../examples/admin.rs"]
mod admin;
#[allow(dead_code)]
#[path = "../../../examples/axum.rs"]
mod axum;
#[allow(dead_code)]
#[path = "../../../examples/client.rs"]
mod client;
#[allow(dead_code)]
#[path = "../../../examples/custom_authenticator.rs"]
mod custom_authenticator;
#[cfg(unix)]
#[allow(dead_code)]
#[path = "../../../examples/custom_listener.rs"]
mod custom_listener;
#[allow(dead_code)]
#[path = "../../../examples/custom_store.rs"]
mod custom_store;
#[allow(dead_code)]
#[path = "../../../examples/embed.rs"]
mod embed;
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

use mist_tests::proxy::Proxy;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

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
    let publish = async || writer.publish_acked(["bus"], text).await;
    while publish().await.expect("acked").delivered == 0 {}
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

#[test]
fn an_application_publishes_from_its_routes() {
    run(async {
        let server = Server::builder().listen("tcp://127.0.0.1:0");
        let server = server.bind().await.expect("bound");
        let uri = server.addresses()[0].to_string();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let site = listener.local_addr().expect("an address");
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let test = async {
            let client = connect(&uri).await;
            let mut messages = subscribe(&client, &["order", "paid"]).await;
            let ask = |head: &'static str, body: &'static str| async move {
                let mut stream = TcpStream::connect(site).await.expect("it listens");
                let length = body.len();
                let request = format!(
                    "{head} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
                );
                let taken = stream.write_all(request.as_bytes()).await;
                taken.expect("it is taken");
                let mut answer = String::new();
                let read = stream.read_to_string(&mut answer).await;
                read.expect("it is answered");
                answer
            };
            let answer = ask("POST /orders/paid", "No. 7").await;
            assert!(answer.ends_with("\r\n\r\n1 clients got it\n"), "{answer}");
            assert_eq!(texts(&mut messages, 1).await, ["No. 7"]);
            let answer = ask("GET /figures", "").await;
            let figures = "\r\n\r\n1 clients with 1 subscriptions\n";
            assert!(answer.ends_with(figures), "{answer}");
            stop.send(()).expect("it runs");
        };
        let example = axum::run(listener, server, async {
            let _ = stopped.await;
        });
        let (example, ()) = tokio::join!(example, test);
        example.expect("it works");
    });
}

#[test]
fn an_authenticator_of_ones_own_says_what_tokens_grant() {
    let server = TestServer::with(custom_authenticator::with_list);
    run(async {
        let reader = Client::builder(&server.tcp).token("reader");
        let reader = reader.connect().await.expect("it is known");
        let granted = reader.subscribe(["news"]).await;
        drop(granted.expect("it is granted"));
        let error = reader.subscribe(["weather"]).await.expect_err("it is not");
        assert!(error.to_string().contains("not authorized"), "{error}");
        let stranger = Client::builder(&server.tcp).token("stranger");
        stranger.connect().await.expect_err("it is not known");
    });
}

#[cfg(unix)]
#[test]
fn a_listener_of_ones_own_is_served() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mist.sock");
    let path = path.to_str().expect("UTF-8");
    run(async {
        let server = custom_listener::on_socket(Server::builder(), path).expect("a socket");
        let server = server.bind().await.expect("bound");
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        let client = connect(&format!("unix://{path}")).await;
        client.ping().await.expect("a pong");
        stop.send(()).expect("it runs");
        serving.await.expect("it has stopped");
    });
    assert!(!std::path::Path::new(path).exists());
}

#[test]
fn a_store_of_ones_own_keeps_tokens_from_one_server_to_the_next() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tokens.json");
    let start =
        || TestServer::with(|builder| custom_store::with_store(builder, &path).expect("it opens"));
    let server = start();
    run(async {
        let client = Client::builder(&server.tcp).token("SECRET");
        let client = client.connect().await.expect("it is the server's");
        let admin = client.admin();
        let tags = ["news", "sports"];
        admin.register("desk", tags).await.expect("it is kept");
        let again = admin.register("desk", tags).await;
        again.expect_err("it is there");
        let change = admin.unset("desk", ["sports"]).await;
        change.expect("it is changed");
        let unknown = admin.set("nobody", ["news"]).await;
        unknown.expect_err("it is not there");
    });
    drop(server);
    let server = start();
    run(async {
        let desk = Client::builder(&server.tcp).token("desk");
        let desk = desk.connect().await.expect("it was kept");
        let granted = desk.subscribe(["news"]).await;
        drop(granted.expect("it is granted"));
        desk.subscribe(["sports"]).await.expect_err("it is not");
    });
}

#[test]
fn a_program_serves_publishes_and_answers_commands() {
    run(async {
        let server = Server::builder().listen("tcp://127.0.0.1:0");
        let server = embed::with_upper(server).bind().await.expect("bound");
        let uri = server.addresses()[0].to_string();
        let ticking = tokio::spawn(embed::tick(server.handle()));
        let serving = tokio::spawn(server.run(std::future::pending()));
        let client = connect(&uri).await;
        let answer = client.request("upper", &[], "hello").await;
        assert_eq!(answer.expect("an answer").data, "HELLO");
        let mut ticks = subscribe(&client, &["tick"]).await;
        let count = ticks.next().await.expect("it is open").data;
        count.parse::<u64>().expect("a number");
        ticking.abort();
        serving.abort();
    });
}
