//! Bounds by address: connections of one, and of those behind a proxy that is believed.

use super::*;

const UPGRADE: [&str; 4] = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

const REASON: &str = "the limit is 2 (connections-per-address)";

async fn bounded(proxies: &[&str]) -> Site {
    let mut limits = mist::Limits::default();
    limits.set("connections-per-address", 2).expect("a limit");
    Site::with(|builder| {
        let builder = builder.limits(limits);
        let trust = |builder: ServerBuilder, network: &&str| builder.trusted_proxies(network);
        proxies.iter().fold(builder, trust)
    })
    .await
}

async fn upgrade(address: SocketAddr, client: &str) -> (u16, Http) {
    upgrade_with(address, &format!("X-Forwarded-For: {client}")).await
}

async fn upgrade_with(address: SocketAddr, header: &str) -> (u16, Http) {
    let headers: Vec<_> = UPGRADE.iter().copied().chain([header]).collect();
    let mut http = Http::open(address).await;
    http.write(request("GET", "/", &headers, "")).await;
    let answer = http.head().await;
    (answer.status, http)
}

#[tokio::test]
async fn an_address_has_so_many_connections_and_the_next_is_told_why_not() {
    let site = bounded(&[]).await;
    let first = site.client().await;
    first.ping().await.expect("served");
    let mut second = site.open().await;
    second.ask("GET", "/ping", &[], "").await;
    let third = site.open().await.ask("GET", "/ping", &[], "").await;
    assert_eq!(third.status, 503);
    assert!(third.error().contains(REASON), "{third:?}");
    let line = Http::open(site.tcp).await.rest().await;
    let line = String::from_utf8(line).expect("text");
    assert!(line.contains(REASON) && line.ends_with("}\n"), "{line}");
    // Nobody's word counts here, wherever it says that it comes from.
    assert_eq!(upgrade(site.ws, "192.0.2.1").await.0, 503);
    first.close().await.expect("closed");
    // The server may see it a moment later than the client.
    let asking = async { while site.get("/ping").await.status != 200 {} };
    within(asking).await;
}

#[tokio::test]
async fn clients_of_a_trusted_proxy_are_counted_by_their_own_addresses() {
    let site = bounded(&["127.0.0.0/8"]).await;
    let mut open = Vec::new();
    for client in ["192.0.2.1", "6.6.6.6, 192.0.2.1", "192.0.2.2", "192.0.2.2"] {
        let (status, http) = upgrade(site.ws, client).await;
        assert_eq!(status, 101, "{client}");
        open.push(http);
    }
    for client in ["192.0.2.1", "192.0.2.9, 192.0.2.2", "192.0.2.1, 127.0.0.1"] {
        assert_eq!(upgrade(site.ws, client).await.0, 503, "{client}");
    }
    let events = |client: &str| {
        let header = format!("X-Forwarded-For: {client}");
        request("GET", "/subscribe?tags=a", &[&header], "")
    };
    let mut refused = site.open().await;
    refused.write(events("192.0.2.1")).await;
    assert_eq!(refused.answer("GET").await.status, 503);
    let mut third = site.open().await;
    third.write(events("192.0.2.3")).await;
    assert_eq!(third.head().await.status, 200);
    // What only asks is not counted, and the proxy's own connections are not either.
    let short = ["X-Forwarded-For: 192.0.2.1"];
    assert_eq!(refused.ask("GET", "/ping", &short, "").await.status, 200);
    drop(open);
    let asking = async { while upgrade(site.ws, "192.0.2.1").await.0 != 101 {} };
    within(asking).await;
}

#[tokio::test]
async fn clients_that_a_trusted_proxy_does_not_name_are_counted_as_the_proxy() {
    for unnamed in [
        "X-Real-IP: 192.0.2.1",
        "X-Forwarded-For: unknown",
        "X-Forwarded-For: \"192.0.2.1\"",
        "Forwarded: for=_hidden",
        "Forwarded: for=unknown, proto=https",
    ] {
        let site = bounded(&["127.0.0.0/8"]).await;
        let (status, _one) = upgrade_with(site.ws, unnamed).await;
        assert_eq!(status, 101, "{unnamed}");
        // On a TCP listener nothing names a client.
        let _other = site.client().await;
        let (status, _none) = upgrade_with(site.ws, unnamed).await;
        assert_eq!(status, 503, "{unnamed}");
        let line = Http::open(site.tcp).await.rest().await;
        let line = String::from_utf8(line).expect("text");
        assert!(line.contains(REASON), "{line}");
        let events = request("GET", "/subscribe?tags=a", &[unnamed], "");
        let mut refused = site.open().await;
        refused.write(events).await;
        assert!(refused.answer("GET").await.error().contains(REASON));
        // Who is named has a bound of its own.
        assert_eq!(upgrade(site.ws, "192.0.2.1").await.0, 101);
    }
}
