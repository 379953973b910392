//! Those who have not authenticated where they must: how much they may send, how long they may take; on every kind of
//! listener.

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::*;

const UPGRADE: [&str; 4] = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

const LATE: &str = r#"{"command":"auth","error":"not authorized - no valid token within 1 seconds (authentication-seconds); closing","code":"unauthenticated"}"#;

pub(super) type Socket = tokio_tungstenite::WebSocketStream<BufReader<TcpStream>>;

pub(super) async fn scoped(access: Access, limits: &[(&str, u64)]) -> Site {
    let mut all = mist::Limits::default();
    for (name, value) in limits {
        all.set(name, *value).expect("a limit");
    }
    Site::with(|builder| {
        let builder = builder.authenticator("memory://").token(ADMIN);
        builder.access(access).limits(all)
    })
    .await
}

pub(super) async fn upgrade(site: &Site, more: &[&str]) -> Socket {
    let headers: Vec<&str> = UPGRADE.iter().chain(more).copied().collect();
    let mut http = Http::open(site.ws).await;
    assert_eq!(http.ask("GET", "/", &headers, "").await.status, 101);
    Socket::from_raw_socket(http.0, Role::Client, None).await
}

pub(super) async fn said(socket: &mut Socket) -> Message {
    within(socket.next()).await.expect("open").expect("a frame")
}

/// What a TCP client is answered, line by line.
pub(super) async fn ask_lines(site: &Site, messages: &str, count: usize) -> Vec<String> {
    let mut tcp = Http::open(site.tcp).await;
    tcp.write(messages).await;
    let mut lines = Vec::new();
    for _ in 0..count {
        let mut line = String::new();
        within(tcp.0.read_line(&mut line)).await.expect("a line");
        lines.push(line.trim_end().to_owned());
    }
    lines
}

fn publish(length: usize) -> String {
    let data = "d".repeat(length);
    format!(r#"{{"command":"publish","tags":["a"],"data":"{data}","id":1}}"#)
}

#[tokio::test]
async fn a_stranger_is_closed_after_a_while_and_told_why() {
    let site = scoped(Access::Scoped, &[("authentication-seconds", 1)]).await;
    let known = site.admin().await;
    let mut socket = upgrade(&site, &[]).await;
    let mut wrong = upgrade(&site, &["X-Auth-Token: wrong"]).await;
    let silent = Http::open(site.tcp).await;
    let mut half = Http::open(site.tcp).await;
    half.write(r#"{"command":"au"#).await;
    for tcp in [silent, half] {
        let rest = String::from_utf8(tcp.rest().await).expect("text");
        assert_eq!(rest.trim_end(), LATE);
    }
    assert!(said(&mut wrong).await.to_string().contains("not valid"));
    for socket in [&mut socket, &mut wrong] {
        assert_eq!(said(socket).await.to_string(), LATE);
        let Message::Close(Some(frame)) = said(socket).await else {
            panic!("it says goodbye");
        };
        assert_eq!(u16::from(frame.code), 1008);
    }
    // The time before the request counts as well.
    assert_eq!(Http::open(site.ws).await.rest().await, b"");
    known.ping().await.expect("whoever has authenticated stays");
    known.close().await.expect("closed");
}

#[tokio::test]
async fn a_stranger_who_drips_a_request_is_not_given_more_time() {
    let site = scoped(Access::Scoped, &[("authentication-seconds", 1)]).await;
    let mut http = site.open().await;
    http.write("POST /publish?tags=a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000\r\n\r\n")
        .await;
    let answer = http.drip("POST").await;
    assert_eq!(answer.status, 408, "{answer:?}");
    let error = answer.error();
    assert!(error.contains("(authentication-seconds)"), "{error}");
}

#[tokio::test]
async fn whose_token_is_revoked_has_the_time_of_a_stranger_to_show_another() {
    let site = scoped(Access::Scoped, &[("authentication-seconds", 1)]).await;
    let admin = site.admin().await;
    for token in ["one", "two"] {
        admin
            .admin()
            .register(token, ["x"])
            .await
            .expect("registered");
    }
    let mut stays = upgrade(&site, &["X-Auth-Token: one"]).await;
    let mut goes = upgrade(&site, &["X-Auth-Token: one"]).await;
    let text = r#"{"command":"subscribe","tags":["x"],"id":1}"#;
    for socket in [&mut stays, &mut goes] {
        socket.send(text.into()).await.expect("sent");
        assert!(said(socket).await.to_string().contains("success"));
    }
    admin.admin().unregister("one").await.expect("unregistered");
    for socket in [&mut stays, &mut goes] {
        let came = said(socket).await.to_string();
        assert!(came.contains("subscription removed"), "{came}");
    }
    let text = r#"{"command":"auth","data":"two","id":2}"#;
    stays.send(text.into()).await.expect("sent");
    assert!(said(&mut stays).await.to_string().contains("success"));
    assert_eq!(said(&mut goes).await.to_string(), LATE);
    assert!(matches!(said(&mut goes).await, Message::Close(Some(_))));
    let text = r#"{"command":"ping","id":3}"#;
    stays.send(text.into()).await.expect("sent");
    let pong = r#"{"command":"ping","data":"pong","id":3}"#;
    assert_eq!(said(&mut stays).await.to_string(), pong);
}

#[tokio::test]
async fn with_open_access_nobody_has_to_hurry_or_to_be_brief() {
    let limits = [("authentication-seconds", 1), ("unauthenticated-bytes", 10)];
    let site = scoped(Access::Open, &limits).await;
    let client = site.client().await;
    let scoped = scoped(Access::Scoped, &limits).await;
    // Somebody else's time runs out meanwhile.
    Http::open(scoped.tcp).await.rest().await;
    client
        .publish(["a"], "longer than ten bytes")
        .await
        .expect("published");
    client.ping().await.expect("served");
}

#[tokio::test]
async fn what_comes_right_behind_the_token_may_be_large() {
    let site = scoped(Access::Scoped, &[]).await;
    let auth = format!(r#"{{"command":"auth","data":"{ADMIN}"}}"#);
    for length in [5_000, 60_000, 1 << 20] {
        let lines = ask_lines(&site, &format!("{auth}\n{}\n", publish(length)), 1).await;
        assert!(lines[0].contains("success"), "{lines:?}");
        let mut socket = upgrade(&site, &[]).await;
        for message in [auth.clone(), publish(length)] {
            within(socket.feed(Message::text(message)))
                .await
                .expect("taken");
        }
        within(socket.flush()).await.expect("sent");
        assert!(said(&mut socket).await.to_string().contains("success"));
        let token = format!("X-Auth-Token: {ADMIN}");
        let mut socket = upgrade(&site, &[&token]).await;
        within(socket.send(Message::text(publish(length))))
            .await
            .expect("sent");
        assert!(said(&mut socket).await.to_string().contains("success"));
        let body = "d".repeat(length);
        let answer = site.post("/publish?tags=a", &[&token], &body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

#[tokio::test]
async fn a_message_of_a_stranger_that_never_ends_is_not_kept() {
    let site = scoped(Access::Scoped, &[]).await;
    let reason = "exceed the limit of 4096 (unauthenticated-bytes); closing";
    let mut tcp = Http::open(site.tcp).await;
    tcp.write("x".repeat(5_000)).await;
    let said_on_tcp = String::from_utf8(tcp.rest().await).expect("text");
    assert!(said_on_tcp.contains(reason), "{said_on_tcp}");
    // The head of a frame of a million bytes, and some of them.
    let mut http = Http::open(site.ws).await;
    assert_eq!(http.ask("GET", "/", &UPGRADE, "").await.status, 101);
    let mut frame = vec![0x81, 0xFF];
    frame.extend(1_000_000_u64.to_be_bytes());
    frame.extend([0; 4]);
    frame.extend([b'x'; 5_000]);
    http.write(&frame).await;
    let said_on_ws = String::from_utf8_lossy(&http.rest().await).into_owned();
    assert!(said_on_ws.contains(reason), "{said_on_ws}");
    let answer = site.post("/publish?tags=a", &[], "d".repeat(4_097)).await;
    assert_eq!(answer.status, 413);
    assert_eq!(
        answer.error(),
        "4097 bytes exceed the limit of 4096 (unauthenticated-bytes)"
    );
    let answer = site.post("/publish?tags=a", &[], "d".repeat(3_000)).await;
    assert_eq!(answer.status, 401);
    // Nor is that of somebody whose token is wrong even read.
    let mut wrong = site.open().await;
    wrong
        .write("POST /publish?tags=a HTTP/1.1\r\nHost: localhost\r\nX-Auth-Token: no\r\nContent-Length: 900000\r\n\r\n")
        .await;
    assert_eq!(wrong.answer("POST").await.status, 401);
}

#[tokio::test]
async fn a_body_whose_token_is_revoked_is_read_no_further() {
    let site = Site::with_tokens(Access::Scoped).await;
    let mut http = site.open().await;
    http.write(
        "POST /publish?tags=north HTTP/1.1\r\nHost: localhost\r\nX-Auth-Token: desk\r\nExpect: 100-continue\r\n\
         Content-Length: 1000000\r\n\r\n",
    )
    .await;
    assert_eq!(http.head().await.status, 100, "the token is good");
    http.write("x".repeat(10_000)).await;
    let admin = site.admin().await;
    admin
        .admin()
        .unregister("desk")
        .await
        .expect("unregistered");
    http.write("x").await;
    let answer = http.answer("POST").await;
    assert_eq!(answer.status, 401, "{answer:?}");
    assert_eq!(answer.header("www-authenticate"), "Bearer");
    assert!(answer.error().contains("taken back"), "{answer:?}");
}
