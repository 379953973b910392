//! Handshakes that hang, fail, or are none.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

async fn rest(stream: &mut TcpStream) -> String {
    let mut rest = Vec::new();
    // A reset is an end, too.
    let _ = within(stream.read_to_end(&mut rest)).await;
    String::from_utf8_lossy(&rest).into_owned()
}

#[tokio::test]
async fn clients_that_do_not_go_on_hinder_nobody_and_are_cut() {
    let files = Certificate::default();
    let listeners = "tls://127.0.0.1:0, https://127.0.0.1:0";
    let site = serve_with(&files, listeners, &[("handshake-seconds", 1)]).await;
    let mut hanging = Vec::new();
    for address in [site.socket(0), site.socket(1)] {
        // Nothing at all, the beginning of a record, and a promise of more than comes.
        for beginning in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01\x00"] {
            let mut stream = TcpStream::connect(address).await.expect("it listens");
            stream.write_all(beginning).await.expect("taken");
            hanging.push(stream);
        }
    }
    let client = connect(&site.uris[0], &files).await;
    within(client.ping()).await.expect("a pong");
    for mut stream in hanging {
        assert_eq!(rest(&mut stream).await, "");
    }
    within(client.ping()).await.expect("still there");
    site.stop().await;
}

#[tokio::test]
async fn a_request_that_does_not_come_is_within_the_same_time() {
    let files = Certificate::default();
    let limits = [("handshake-seconds", 1)];
    let site = serve_with(&files, "https://127.0.0.1:0", &limits).await;
    let mut stream = within(files.connect(site.socket(0))).await.expect("shaken");
    let mut rest = Vec::new();
    let _ = within(stream.read_to_end(&mut rest)).await;
    site.stop().await;
}

#[tokio::test]
async fn a_server_that_stops_does_not_wait_for_handshakes() {
    let files = Certificate::default();
    let limits = [("handshake-seconds", 600), ("drain-seconds", 600)];
    let site = serve_with(&files, "tls://127.0.0.1:0", &limits).await;
    let mut stream = TcpStream::connect(site.socket(0))
        .await
        .expect("it listens");
    stream.write_all(b"\x16\x03").await.expect("taken");
    site.stop().await;
}

#[tokio::test]
async fn plain_words_at_an_encrypted_port_are_answered_in_plain_words() {
    let files = Certificate::default();
    let site = serve(&files, "tls://127.0.0.1:0, wss://127.0.0.1:0").await;
    let mut lines = TcpStream::connect(site.socket(0))
        .await
        .expect("it listens");
    lines
        .write_all(b"{\"command\":\"ping\"}\n")
        .await
        .expect("taken");
    let said = rest(&mut lines).await;
    assert!(
        said.ends_with(",\"code\":\"tls-required\"}\n") && said.contains("tls://"),
        "{said}"
    );
    let mut http = TcpStream::connect(site.socket(1))
        .await
        .expect("it listens");
    http.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .expect("taken");
    let said = rest(&mut http).await;
    assert!(
        said.starts_with("HTTP/1.1 400 ") && said.contains("https://"),
        "{said}"
    );
    // The client says it in its own words.
    let uri = site.uris[0].replace("tls", "tcp");
    let error = within(Client::builder(&uri).reconnect(None).connect()).await;
    let error = error.expect_err("not encrypted").to_string();
    assert!(error.contains("this port speaks TLS"), "{error}");
    site.stop().await;
}

#[tokio::test]
async fn tls_at_a_plain_port_is_closed_at_once() {
    let files = Certificate::default();
    let site = serve(&files, "tcp://127.0.0.1:0, ws://127.0.0.1:0").await;
    for (index, scheme) in [(0, "tls"), (1, "wss")] {
        let uri = format!("{scheme}://{}", site.socket(index));
        let error = within(
            Client::builder(&uri)
                .danger_accept_invalid_certs(true)
                .connect(),
        )
        .await;
        let error = error.expect_err("not encrypted").to_string();
        assert!(error.contains("speak TLS there"), "{error}");
    }
    site.stop().await;
}

#[tokio::test]
async fn too_many_connections_is_said_over_tls() {
    let files = Certificate::default();
    let site = serve_with(&files, "tls://127.0.0.1:0", &[("connections", 1)]).await;
    let one = connect(&site.uris[0], &files).await;
    within(one.ping()).await.expect("a pong");
    let mut other = within(files.connect(site.socket(0))).await.expect("shaken");
    let mut said = String::new();
    within(other.read_to_string(&mut said))
        .await
        .expect("an end in order");
    assert!(said.contains("too many connections"), "{said}");
    site.stop().await;
}
