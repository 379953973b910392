//! WebSocket upgrades: where, how, and with which token.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::*;

/// The request of the RFC's own example, whose answer is known.
const UPGRADE: [&str; 4] = [
    "Connection: keep-alive, Upgrade",
    "Upgrade: WebSocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

type Socket = WebSocketStream<BufReader<TcpStream>>;

/// Upgrades with further headers; the head of the answer, and the socket.
async fn upgrade(address: SocketAddr, target: &str, more: &[&str]) -> (Answer, Socket) {
    let headers: Vec<&str> = UPGRADE.iter().chain(more).copied().collect();
    let mut http = Http::open(address).await;
    let answer = http.ask("GET", target, &headers, "").await;
    assert_eq!(answer.status, 101, "{target} {more:?}: {answer:?}");
    (
        answer,
        WebSocketStream::from_raw_socket(http.0, Role::Client, None).await,
    )
}

async fn ask(socket: &mut Socket, message: &str) -> String {
    within(socket.send(Message::text(message)))
        .await
        .expect("sent");
    said(socket).await
}

async fn said(socket: &mut Socket) -> String {
    let message = within(socket.next()).await.expect("open").expect("a frame");
    message.into_text().expect("text").as_str().to_owned()
}

#[tokio::test]
async fn every_path_upgrades_on_every_listener() {
    let site = Site::start().await;
    for door in site.doors() {
        for target in [
            "/",
            "/?x=y",
            "/ws",
            "/subscribe/websocket",
            "/subscribe/websocket/",
            "/subscribe/websocket/x",
            "/subscribe/websocket/x/y?z",
        ] {
            let (answer, mut socket) = upgrade(door, target, &[]).await;
            assert!(answer.header("upgrade").eq_ignore_ascii_case("websocket"));
            assert!(answer.header("connection").eq_ignore_ascii_case("upgrade"));
            let accept = answer.header("sec-websocket-accept");
            assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "{target}");
            assert_eq!(answer.header("sec-websocket-protocol"), "");
            let pong = ask(&mut socket, r#"{"command":"ping"}"#).await;
            assert_eq!(pong, r#"{"command":"ping","data":"pong"}"#, "{target}");
        }
        for target in ["/elsewhere", "/wss", "/ping/", "/subscribe/websockets"] {
            let mut http = Http::open(door).await;
            let answer = http.ask("GET", target, &UPGRADE, "").await;
            assert_ne!(answer.status, 101, "{target}");
        }
    }
}

#[tokio::test]
async fn what_is_sent_right_behind_the_request_is_heard() {
    let site = Site::start().await;
    let mut all = request("GET", "/", &UPGRADE, "");
    let message = br#"{"command":"ping"}"#;
    // A text frame under the mask of zeros.
    all.extend([0x81, 0x80 | message.len() as u8, 0, 0, 0, 0]);
    all.extend(message);
    let mut http = site.open().await;
    http.write(&all).await;
    assert_eq!(http.head().await.status, 101);
    let mut socket: Socket = WebSocketStream::from_raw_socket(http.0, Role::Client, None).await;
    assert_eq!(
        said(&mut socket).await,
        r#"{"command":"ping","data":"pong"}"#
    );
}

#[tokio::test]
async fn an_upgrade_that_lacks_something_is_told_what() {
    let site = Site::start().await;
    let [connection, protocol, version, key] = UPGRADE;
    let no_key = "Sec-WebSocket-Key has to be there once, with 16 bytes in base64";
    for (headers, status, reason) in [
        (vec![connection, protocol, key], 426, "version 13"),
        (
            vec![connection, protocol, "Sec-WebSocket-Version: 8", key],
            426,
            "version 13",
        ),
        (vec![connection, protocol, version], 400, no_key),
        (
            vec![connection, protocol, version, "Sec-WebSocket-Key: x"],
            400,
            no_key,
        ),
        // Fifteen bytes, seventeen, and sixteen without their padding.
        (
            vec![
                connection,
                protocol,
                version,
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j",
            ],
            400,
            no_key,
        ),
        (
            vec![
                connection,
                protocol,
                version,
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZTE=",
            ],
            400,
            no_key,
        ),
        (
            vec![
                connection,
                protocol,
                version,
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ",
            ],
            400,
            no_key,
        ),
        (vec![connection, protocol, version, key, key], 400, no_key),
        // As a proxy passes them on that knows nothing of WebSockets.
        (
            vec![version, key],
            426,
            "lacks 'Upgrade: websocket' and 'Connection: upgrade'",
        ),
        (
            vec!["Connection: keep-alive", protocol, version, key],
            426,
            "lacks 'Connection: upgrade'",
        ),
        (
            vec![connection, version, key],
            426,
            "lacks 'Upgrade: websocket'",
        ),
        (vec![key], 426, "lacks 'Upgrade: websocket'"),
    ] {
        for target in ["/", "/ws", "/subscribe/websocket"] {
            let mut http = site.open().await;
            let answer = http.ask("GET", target, &headers, "").await;
            assert_eq!(answer.status, status, "{headers:?}: {answer:?}");
            assert!(answer.error().contains(reason), "{headers:?}: {answer:?}");
            if status == 426 {
                assert_eq!(answer.header("sec-websocket-version"), "13");
                assert_eq!(answer.header("upgrade"), "websocket");
            }
            // The connection goes on.
            assert_eq!(http.ask("GET", "/ping", &[], "").await.status, 200);
        }
    }
    for door in site.doors() {
        let mut http = Http::open(door).await;
        let answer = http.ask("GET", "/subscribe/websocket", &[], "").await;
        assert_eq!(answer.status, 426);
        assert!(answer.error().contains("there is a WebSocket here"));
        // As nginx asks by itself.
        let mut old = Http::open(door).await;
        let request = String::from_utf8(request("GET", "/", &UPGRADE, "")).expect("text");
        old.write(request.replace("HTTP/1.1", "HTTP/1.0")).await;
        let rest = String::from_utf8(old.rest().await).expect("text");
        assert!(rest.starts_with("HTTP/1.0 426 "), "{rest}");
        assert!(rest.contains("speak HTTP/1.1"), "{rest}");
    }
    assert_eq!(site.handle.stats().sessions_total, 0);
}

#[tokio::test]
async fn the_protocol_is_answered_and_the_token_next_to_it_is_not() {
    let site = Site::with_tokens(Access::Scoped).await;
    let token = BASE64_URL_SAFE_NO_PAD.encode(ADMIN);
    for (offer, answered) in [
        ("Sec-WebSocket-Protocol: mist.v1".to_owned(), "mist.v1"),
        (
            format!("Sec-WebSocket-Protocol: mist.bearer.{token}, mist.v1"),
            "mist.v1",
        ),
        (
            format!(
                "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: mist.v1,mist.bearer.{token}"
            ),
            "mist.v1",
        ),
        (format!("Sec-WebSocket-Protocol: mist.bearer.{token}"), ""),
        ("Sec-WebSocket-Protocol: mist.v2, chat".to_owned(), ""),
    ] {
        let (answer, mut socket) = upgrade(site.ws, "/", &[&offer]).await;
        assert_eq!(answer.header("sec-websocket-protocol"), answered, "{offer}");
        assert!(!format!("{answer:?}").contains(&token), "{answer:?}");
        let who = ask(&mut socket, r#"{"command":"who"}"#).await;
        assert_eq!(
            who.contains("not authorized"),
            !offer.contains("bearer"),
            "{offer}: {who}"
        );
    }
}

/// Who a connection is, by what it may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Admin,
    /// The holder of the token `desk`.
    Desk,
    Nobody,
    /// As nobody, but told so.
    Refused,
}

async fn who_is(socket: &mut Socket) -> Who {
    let mut said = ask(socket, r#"{"command":"tags","data":"unknown"}"#).await;
    if said.starts_with(r#"{"command":"auth","error":"not authorized"#) {
        assert!(self::said(socket).await.contains("not authorized"));
        return Who::Refused;
    }
    if said.contains("Token not found") {
        return Who::Admin;
    }
    assert!(said.contains("not authorized"), "{said}");
    said = ask(socket, r#"{"command":"subscribe","tags":["north"],"id":1}"#).await;
    if said.contains("success") {
        return Who::Desk;
    }
    assert!(said.contains("not authorized"), "{said}");
    Who::Nobody
}

#[tokio::test]
async fn a_token_comes_by_header_bearer_protocol_or_query_in_this_order() {
    let site = Site::with_tokens(Access::Scoped).await;
    let admin = site.admin().await;
    let foreign = "schlüssel ✓";
    admin
        .admin()
        .register(foreign, ["north"])
        .await
        .expect("registered");
    let encoded = |token: &str| {
        let token = BASE64_URL_SAFE_NO_PAD.encode(token);
        format!("Sec-WebSocket-Protocol: mist.v1, mist.bearer.{token}")
    };
    let query = format!("/?x-auth-token={ADMIN}");
    let cases: Vec<(&str, Vec<String>, Who)> = vec![
        ("/", vec![], Who::Nobody),
        ("/", vec![format!("X-AUTH-TOKEN: {ADMIN}")], Who::Admin),
        ("/", vec![format!("x-Auth-tokeN:{ADMIN}")], Who::Admin),
        ("/", vec!["X-AUTH-TOKEN: desk".into()], Who::Desk),
        ("/", vec![format!("X-AUTH-TOKEN: {foreign}")], Who::Desk),
        ("/", vec!["X-AUTH-TOKEN: wrong".into()], Who::Refused),
        (
            "/",
            vec![format!("Authorization: Bearer {ADMIN}")],
            Who::Admin,
        ),
        (
            "/",
            vec![format!("authorization: bEARER  {ADMIN} ")],
            Who::Admin,
        ),
        (
            "/",
            vec!["Authorization: Basic czNjcmV0".into()],
            Who::Nobody,
        ),
        ("/", vec![format!("Authorization: {ADMIN}")], Who::Nobody),
        ("/", vec![encoded(ADMIN)], Who::Admin),
        ("/", vec![encoded(foreign)], Who::Desk),
        (&query, vec![], Who::Admin),
        (
            "/subscribe/websocket?X-Auth-Token=s3cret&x=y",
            vec![],
            Who::Admin,
        ),
        ("/ws?a=b&X-AUTH-TOKEN=%733cret", vec![], Who::Admin),
        ("/?x-auth-token=wrong", vec![], Who::Refused),
        // The first beats the others, even when it is wrong.
        (&query, vec!["X-AUTH-TOKEN: desk".into()], Who::Desk),
        (&query, vec!["X-AUTH-TOKEN: wrong".into()], Who::Refused),
        (&query, vec!["Authorization: Bearer desk".into()], Who::Desk),
        (&query, vec![encoded("desk")], Who::Desk),
        (
            "/",
            vec![
                "Authorization: Bearer wrong".into(),
                format!("X-AUTH-TOKEN: {ADMIN}"),
            ],
            Who::Admin,
        ),
        (
            "/",
            vec!["Authorization: Bearer desk".into(), encoded(ADMIN)],
            Who::Desk,
        ),
        // An empty one is none.
        ("/", vec!["X-AUTH-TOKEN:".into()], Who::Nobody),
        (&query, vec!["X-AUTH-TOKEN:".into()], Who::Admin),
        (&query, vec!["Authorization: Bearer ".into()], Who::Admin),
        (&query, vec!["Authorization: Bearer".into()], Who::Admin),
        (&query, vec![encoded("")], Who::Admin),
    ];
    for (target, headers, wanted) in cases {
        let headers: Vec<_> = headers.iter().map(String::as_str).collect();
        let (_, mut socket) = upgrade(site.ws, target, &headers).await;
        let who = who_is(&mut socket).await;
        assert_eq!(who, wanted, "{target} {headers:?}");
    }
}

#[tokio::test]
async fn a_token_that_cannot_be_read_is_refused_and_not_shown() {
    let site = Site::with_tokens(Access::Open).await;
    let not_utf8 = BASE64_URL_SAFE_NO_PAD.encode(b"s3cret\xff");
    let header = |name: &str| [name.as_bytes(), b": s3cret\xff"].concat();
    let cases: [(&str, Vec<u8>, &str); 8] = [
        ("/?x-auth-token=", vec![], "no token behind"),
        (
            "/?a=b&x-auth-token=s3cret%f",
            vec![],
            "at byte 23 of the query",
        ),
        (
            "/?x-auth-token=s3cret%ff",
            vec![],
            "at byte 19 of the query is not UTF-8",
        ),
        ("/?other=%zz", vec![], "at byte 6 of the query"),
        (
            "/",
            header("X-Auth-Token"),
            "the header x-auth-token is not UTF-8",
        ),
        (
            "/",
            header("Authorization"),
            "the header authorization is not UTF-8",
        ),
        (
            "/",
            b"Sec-WebSocket-Protocol: mist.bearer.s3cret!".to_vec(),
            "is not base64url",
        ),
        (
            "/",
            format!("Sec-WebSocket-Protocol: mist.v1, mist.bearer.{not_utf8}").into(),
            "is not UTF-8",
        ),
    ];
    for (target, header, reason) in cases {
        let mut all = request("GET", target, &UPGRADE, "");
        if !header.is_empty() {
            all.truncate(all.len() - 2);
            all.extend([&*header, b"\r\n\r\n"].concat());
        }
        let mut http = site.open().await;
        http.write(&all).await;
        let answer = http.answer("GET").await;
        assert_eq!(answer.status, 400, "{target}: {answer:?}");
        assert!(answer.error().contains(reason), "{target}: {answer:?}");
        assert!(!answer.body.contains("s3cret"), "{target}: {answer:?}");
    }
    // Only the one that registered the token.
    assert_eq!(site.handle.stats().sessions_total, 1);
}
