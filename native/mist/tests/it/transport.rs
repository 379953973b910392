//! Encrypted listeners and Unix sockets: real sockets, and certificates that each test makes for itself.

mod addresses;
mod certificates;
mod handshakes;
#[cfg(unix)]
mod unix;

use mist::client::Client;
use mist::{BindError, Server};
use mist_tests::certificate::Certificate;
use mist_tests::site::{Site, limits};
use mist_tests::within;
use tokio::net::TcpStream;

async fn serve(certificate: &Certificate, listeners: &str) -> Site {
    serve_with(certificate, listeners, &[]).await
}

async fn serve_with(certificate: &Certificate, listeners: &str, changed: &[(&str, u64)]) -> Site {
    let builder = Server::builder().listen(listeners).limits(limits(changed));
    Site::start(builder.tls(certificate.file(), certificate.key())).await
}

async fn connect(uri: &str, files: &Certificate) -> Client {
    let connecting = Client::builder(uri).ca(files.file()).connect();
    within(connecting).await.expect(uri)
}

async fn refused(server: mist::ServerBuilder) -> BindError {
    server.bind().await.expect_err("it must not start")
}

#[tokio::test]
async fn every_transport_carries_messages() {
    let files = Certificate::default();
    let mut listeners = "tls://127.0.0.1:0, wss://127.0.0.1:0, https://127.0.0.1:0".to_owned();
    let socket = format!("unix://{}", files.path("mist.sock").display());
    if cfg!(unix) {
        listeners += &format!(", {socket}");
    }
    let site = serve(&files, &listeners).await;
    if cfg!(unix) {
        assert_eq!(site.uris[3], socket);
    }
    let mut uris = site.uris.clone();
    // A WebSocket is upgraded on an https listener, too.
    uris[2] = uris[2].replace("https", "wss");
    for uri in uris {
        let (reader, writer) = (connect(&uri, &files).await, connect(&uri, &files).await);
        let mut messages = within(reader.subscribe(["a"])).await.expect("subscribed");
        // More than one record and more than one write.
        let data = "x".repeat(1 << 20);
        let receipt = within(writer.publish_acked(["a", "b"], &data)).await;
        assert_eq!(receipt.expect("published").delivered, 1, "{uri}");
        let message = within(messages.next()).await.expect("a message");
        assert!(message.data == data, "{uri}");
        within(writer.close()).await.expect("closed");
        within(reader.close()).await.expect("closed");
    }
    site.stop().await;
}

#[tokio::test]
async fn what_is_queued_comes_before_the_end_and_the_end_is_announced() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let files = Certificate::default();
    let site = serve(&files, "tls://127.0.0.1:0").await;
    let mut stream = within(files.connect(site.socket(0))).await.expect("shaken");
    let hello = b"{\"command\":\"subscribe\",\"tags\":[\"a\"],\"id\":1}\n";
    stream.write_all(hello).await.expect("written");
    stream.flush().await.expect("written");
    let mut answer = [0; 1];
    within(stream.read_exact(&mut answer))
        .await
        .expect("an answer");
    let data = "y".repeat(1 << 20);
    for _ in 0..4 {
        assert_eq!(site.handle.publish(&["a"], &data), 1);
    }
    let stopping = tokio::spawn(site.stop());
    let mut rest = Vec::new();
    // An end without close_notify would be an error.
    within(stream.read_to_end(&mut rest))
        .await
        .expect("an end in order");
    let count = rest
        .windows(9)
        .filter(|word| word == b"\"publish\"")
        .count();
    assert_eq!(count, 4);
    within(stopping).await.expect("stopped");
}

#[tokio::test]
async fn a_client_that_has_sent_everything_still_gets_its_answers() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let files = Certificate::default();
    let site = serve(&files, "tls://127.0.0.1:0").await;
    let mut stream = within(files.connect(site.socket(0))).await.expect("shaken");
    // The last line lacks its end.
    let input = b"{\"command\":\"ping\"}\n{\"command\":\"ping\",\"id\":2}";
    stream.write_all(input).await.expect("written");
    stream.shutdown().await.expect("close_notify");
    let mut text = String::new();
    within(stream.read_to_string(&mut text))
        .await
        .expect("an end in order");
    assert_eq!(
        text,
        "{\"command\":\"ping\",\"data\":\"pong\"}\n{\"command\":\"ping\",\"data\":\"pong\",\"id\":2}\n"
    );
    site.stop().await;
}

#[tokio::test]
async fn http_is_spoken_over_tls() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let files = Certificate::default();
    let site = serve(&files, "https://127.0.0.1:0").await;
    let address = site.socket(0);
    let ask = async |request: String, until: &str| {
        let mut stream = files.connect(address).await.expect("shaken");
        stream.write_all(request.as_bytes()).await.expect("written");
        stream.flush().await.expect("written");
        let mut text = String::new();
        let mut buffer = [0; 4096];
        while !text.contains(until) {
            let count = stream.read(&mut buffer).await.expect("an answer");
            assert_ne!(count, 0, "the end instead of {until}: {text}");
            text += &String::from_utf8_lossy(&buffer[..count]);
        }
        (stream, text)
    };
    let subscribe = "GET /subscribe?tags=a HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned();
    let (mut events, _) = within(ask(subscribe, "text/event-stream")).await;
    let publish = "POST /publish?tags=a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi"
        .to_owned();
    within(ask(publish, "\"delivered\":1")).await;
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.contains("\"data\":\"hi\"}") {
        let count = within(events.read(&mut buffer)).await.expect("an event");
        assert_ne!(count, 0, "{text}");
        text += &String::from_utf8_lossy(&buffer[..count]);
    }
    drop(events);
    site.stop().await;
}
