//! What holds for HTTP as such: paths and methods, connections that carry several requests, peers that do not go on.

use super::*;

#[tokio::test]
async fn ping_is_answered_with_pong_to_the_byte() {
    let site = Site::start().await;
    for door in site.doors() {
        let answer = Http::open(door).await.ask("GET", "/ping", &[], "").await;
        assert_eq!((answer.status, &*answer.body), (200, "pong\n"));
        assert!(answer.header("content-type").starts_with("text/plain"));
    }
}

#[tokio::test]
async fn an_unknown_path_is_told_the_known_ones() {
    let site = Site::start().await;
    for target in [
        "/elsewhere",
        "/ping/pong",
        "/subscribers",
        "/subscribe/websockets",
        "/wss",
        // No path at all.
        "localhost:80",
        "*",
    ] {
        let answer = site.get(target).await;
        assert_eq!(answer.status, 404, "{target}");
        for known in [
            "GET /ping",
            "POST /publish",
            "GET /subscribe",
            "/healthz",
            "/readyz",
            "/metrics",
            "/subscribe/websocket",
        ] {
            assert!(answer.error().contains(known), "{target}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn another_method_is_told_the_right_one() {
    let site = Site::start().await;
    for (method, target, right) in [
        ("GET", "/publish?tags=a", "POST"),
        ("PUT", "/publish?tags=a", "POST"),
        ("POST", "/subscribe?tags=a", "GET"),
        ("HEAD", "/subscribe?tags=a", "GET"),
        ("POST", "/ping", "GET, HEAD"),
        ("DELETE", "/", "GET, HEAD"),
        ("POST", "/healthz", "GET, HEAD"),
        ("POST", "/readyz", "GET, HEAD"),
        ("OPTIONS", "/metrics", "GET, HEAD"),
    ] {
        let answer = site.open().await.ask(method, target, &[], "").await;
        assert_eq!(answer.status, 405, "{method} {target}");
        assert_eq!(answer.header("allow"), right, "{method} {target}");
        if method != "HEAD" {
            let text = format!("method not allowed - here it is {right}");
            assert_eq!(answer.error(), text, "{method} {target}");
        }
    }
    assert_eq!(site.handle.stats().sessions_total, 0);
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let site = Site::start().await;
    for target in ["/ping", "/", "/healthz", "/readyz", "/metrics"] {
        let mut http = site.open().await;
        let head = http.ask("HEAD", target, &[], "").await;
        // A body would stand in the way of the next answer.
        let get = http.ask("GET", target, &[], "").await;
        assert_eq!((head.status, get.status), (200, 200), "{target}");
        for name in ["content-type", "content-length"] {
            assert_eq!(head.header(name), get.header(name), "{target}");
        }
    }
}

#[tokio::test]
async fn a_connection_carries_one_request_after_the_other() {
    let site = Site::start().await;
    let mut http = site.open().await;
    for (method, target, body, status) in [
        ("GET", "/ping", "", 200),
        ("POST", "/publish?tags=a", "x", 200),
        ("POST", "/publish", "no JSON", 400),
        ("GET", "/subscribe", "", 400),
        ("GET", "/elsewhere", "", 404),
        ("GET", "/ping", "", 200),
    ] {
        let answer = http.ask(method, target, &[], body).await;
        assert_eq!(answer.status, status, "{method} {target}");
    }
    let last = http.ask("GET", "/ping", &["Connection: close"], "").await;
    assert_eq!(last.body, "pong\n");
    assert_eq!(http.rest().await, b"");
}

#[tokio::test]
async fn requests_that_come_all_at_once_are_answered_in_order() {
    let site = Site::start().await;
    let client = site.client().await;
    let mut messages = client.subscribe(["a"]).await.expect("subscribed");
    let mut http = site.open().await;
    let mut all = Vec::new();
    for serial in 0..50 {
        all.extend(request("POST", "/publish?tags=a", &[], serial.to_string()));
        all.extend(request("GET", "/ping", &[], ""));
    }
    http.write(&all).await;
    for serial in 0..50 {
        let published = http.answer("POST").await;
        assert!(published.body.contains(r#""delivered":1"#), "{published:?}");
        assert_eq!(http.answer("GET").await.body, "pong\n");
        let message = within(messages.next()).await.expect("a message");
        assert_eq!(message.data, serial.to_string());
    }
}

#[tokio::test]
async fn an_upgrade_to_something_else_is_passed_over() {
    let site = Site::start().await;
    let headers = [
        "Connection: Upgrade, HTTP2-Settings",
        "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA",
    ];
    for (target, wanted) in [("/", "<!doctype html>"), ("/ping", "pong\n")] {
        let answer = site.open().await.ask("GET", target, &headers, "").await;
        assert_eq!(answer.status, 200);
        assert!(answer.body.starts_with(wanted), "{target}");
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let site = Site::start().await;
    let large = format!("X-Large: {}", "x".repeat(1_000_000));
    let mut http = site.open().await;
    // The server may close before it has taken all of it.
    let _ = http
        .0
        .write_all(&request("GET", "/ping", &[&large], ""))
        .await;
    let rest = http.rest().await;
    assert!(
        rest.is_empty() || rest.starts_with(b"HTTP/1.1 431"),
        "{}",
        String::from_utf8_lossy(&rest)
    );
    assert_eq!(site.get("/ping").await.status, 200);
}

#[tokio::test]
async fn a_head_has_a_hundred_headers_and_a_target_as_much_as_fits() {
    let site = Site::start().await;
    let headers: Vec<_> = (0..99).map(|number| format!("X-{number}: x")).collect();
    let headers: Vec<_> = headers.iter().map(String::as_str).collect();
    // The host is one of them.
    let most = site.open().await.ask("GET", "/ping", &headers, "").await;
    assert_eq!(most.status, 200);
    let more: Vec<_> = headers.iter().copied().chain(["X-More: x"]).collect();
    let refused = site.open().await.ask("GET", "/ping", &more, "").await;
    assert_eq!(refused.status, 431);
    let target = format!("/ping?{}", "x".repeat(20_000));
    assert_eq!(site.get(&target).await.status, 200);
    // No target may be longer than 65,534 bytes.
    let target = format!("/ping?{}", "x".repeat(65_529));
    let mut http = site.open().await;
    let _ = http.0.write_all(&request("GET", &target, &[], "")).await;
    let rest = String::from_utf8_lossy(&http.rest().await).into_owned();
    assert!(
        rest.starts_with("HTTP/1.1 414") || rest.starts_with("HTTP/1.1 431"),
        "{rest}"
    );
}

#[tokio::test]
async fn a_connection_at_rest_between_requests_is_closed() {
    let site = Site::limited("handshake-seconds", 1).await;
    let mut used = site.open().await;
    assert_eq!(used.ask("GET", "/ping", &[], "").await.status, 200);
    assert_eq!(used.rest().await, b"");
}

#[tokio::test]
async fn a_request_that_does_not_go_on_is_cut() {
    let site = Site::limited("handshake-seconds", 1).await;
    let mut fresh = site.open().await;
    fresh.write("GET /ping HTTP/1.1\r\nHost: mi").await;
    let mut used = site.open().await;
    assert_eq!(used.ask("GET", "/ping", &[], "").await.status, 200);
    used.write("GET /ping HT").await;
    let mut upgrade = Http::open(site.ws).await;
    upgrade
        .write("GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-Web")
        .await;
    let mut body = site.open().await;
    body.write("POST /publish?tags=a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nab")
        .await;
    assert_eq!(body.answer("POST").await.status, 408);
    for http in [fresh, used, upgrade, body] {
        assert_eq!(http.rest().await, b"");
    }
    site.until("nothing is left of them", |handle| {
        handle.stats().sessions == 0
    })
    .await;
}

#[tokio::test]
async fn a_body_that_only_drips_is_cut() {
    let site = Site::limited("handshake-seconds", 1).await;
    let mut http = site.open().await;
    http.write(
        "POST /publish?tags=a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000000\r\n\r\n",
    )
    .await;
    let answer = http.drip("POST").await;
    assert_eq!(answer.status, 408, "{answer:?}");
    let error = answer.error();
    assert!(error.contains("slower than 64 KiB a second"), "{error}");
}

#[tokio::test]
async fn a_request_that_does_not_go_on_does_not_outlive_the_server() {
    let site = Site::limited("drain-seconds", 1).await;
    let silent = site.open().await;
    let mut head = site.open().await;
    head.write("GET /ping HTTP/1.1\r\nHost: mi").await;
    let mut body = site.open().await;
    body.write("POST /publish?tags=a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nab")
        .await;
    let mut used = site.open().await;
    used.ask("GET", "/ping", &[], "").await;
    let metrics = tokio::runtime::Handle::current().metrics();
    site.stop().await;
    assert_eq!(metrics.num_alive_tasks(), 0, "run() has returned");
    for http in [silent, head, body, used] {
        assert_eq!(http.rest().await, b"");
    }
}
