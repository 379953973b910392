//! A client with several servers.

use std::collections::BTreeSet;

use mist::client::{AddressError, Client, ClientError, ConnectError};
use mist_tests::proxy::Proxy;
use tokio::net::TcpListener;

use super::{TestServer, eager, opened_again, run};

/// An address where nobody listens.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    format!("tcp://{address}")
}

#[test]
fn the_first_connection_is_to_the_first_that_can_be_connected_to() {
    let server = TestServer::start();
    run(async {
        let (one, two) = (
            Proxy::start(&server.tcp).await,
            Proxy::start(&server.tcp).await,
        );
        let client = Client::builder(&nobody().await)
            .server(&one.uri)
            .server(&two.uri)
            .connect()
            .await
            .expect("open");
        client.ping().await.expect("pong");
        assert_eq!((one.connections(), two.connections()), (1, 0));
    });
}

#[test]
fn another_takes_over_when_one_is_gone() {
    let server = TestServer::start();
    run(async {
        let (one, two) = (
            Proxy::start(&server.tcp).await,
            Proxy::start(&server.tcp).await,
        );
        let client = eager(&one.uri).server(&two.uri).connect();
        let client = client.await.expect("open");
        let mut events = client.events();
        let _subscription = client.subscribe(["a"]).await.expect("subscribed");
        one.set_open(false);
        one.cut();
        opened_again(&mut events).await;
        assert_eq!(two.connections(), 1);
        assert_eq!(client.list().await.expect("a list"), [["a"]]);
    });
}

#[test]
fn clients_that_come_back_spread() {
    let server = TestServer::start();
    run(async {
        let (one, two) = (
            Proxy::start(&server.tcp).await,
            Proxy::start(&server.tcp).await,
        );
        let client = eager(&one.uri).server(&two.uri).connect();
        let client = client.await.expect("open");
        let mut events = client.events();
        let mut reached = BTreeSet::new();
        while reached.len() < 2 {
            let before = (one.connections(), two.connections());
            one.cut();
            two.cut();
            opened_again(&mut events).await;
            reached.insert((one.connections() > before.0, two.connections() > before.1));
        }
    });
}

#[test]
fn what_is_wrong_with_each_is_said() {
    run(async {
        let (one, two) = (nobody().await, nobody().await);
        let error = Client::builder(&one).server(&two).connect().await;
        let error = error.expect_err("nobody listens");
        let text = error.to_string();
        for uri in [&one, &two] {
            let address = uri.trim_start_matches("tcp://");
            let refused = format!("{address}: connection refused");
            assert!(text.contains(&refused), "{text}");
        }
    });
}

#[test]
fn errors_have_their_causes() {
    run(async {
        let error = Client::connect(&nobody().await).await;
        let ClientError::Connect {
            source: Some(ConnectError::Io(cause)),
            ..
        } = error.expect_err("nobody listens")
        else {
            panic!("not what the system says");
        };
        assert_eq!(cause.kind(), std::io::ErrorKind::ConnectionRefused);

        let error = Client::builder("tcp://127.0.0.1")
            .server("udp://h")
            .connect();
        let error = error.await.expect_err("no such scheme");
        let cause = std::error::Error::source(&error).expect("a cause");
        let cause = cause.downcast_ref::<AddressError>();
        assert!(
            matches!(cause, Some(AddressError::UnknownScheme { .. })),
            "{error}"
        );
    });
}
