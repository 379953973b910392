//! Pages of other sites: what they are refused, what they are allowed, and what a program that is no browser notices.

use super::*;

const UPGRADE: [&str; 4] = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

/// What a page can make a browser ask, and the status when it is let in.
const REQUESTS: [(&str, &str, &[&str], u16); 4] = [
    ("GET", "/subscribe/websocket", &UPGRADE, 101),
    ("GET", "/", &UPGRADE, 101),
    ("POST", "/publish?tags=a", &[], 200),
    ("GET", "/subscribe?tags=a", &[], 200),
];

async fn ask(address: SocketAddr, method: &str, target: &str, headers: &[&str]) -> Answer {
    let mut http = Http::open(address).await;
    http.write(request(method, target, headers, "")).await;
    let mut head = http.head().await;
    if head.status >= 400 {
        let length = head.header("content-length").parse().expect("a length");
        let mut body = vec![0; length];
        within(http.0.read_exact(&mut body)).await.expect("a body");
        head.body = String::from_utf8(body).expect("text");
    }
    head
}

#[tokio::test]
async fn a_page_of_another_site_is_refused_and_told_the_setting() {
    let site = Site::start().await;
    for door in site.doors() {
        for (method, target, headers, _) in REQUESTS {
            for origin in [
                "https://evil.example",
                "null",
                "http://localhost.evil.example",
            ] {
                let origin_header = format!("Origin: {origin}");
                let headers: Vec<_> = headers.iter().copied().chain([&*origin_header]).collect();
                let answer = ask(door, method, target, &headers).await;
                assert_eq!(answer.status, 403, "{method} {target} {origin}");
                let remedy = format!("have {origin} listed in its setting allow-origin");
                assert!(answer.error().contains(&remedy), "{answer:?}");
                assert_eq!(answer.header("access-control-allow-origin"), "");
            }
            // Two origins are none.
            let two = ["Origin: http://localhost", "Origin: https://evil.example"];
            let headers: Vec<_> = headers.iter().copied().chain(two).collect();
            assert_eq!(ask(door, method, target, &headers).await.status, 403);
        }
    }
    assert_eq!(site.handle.stats().sessions_total, 0);
}

#[tokio::test]
async fn a_page_of_this_machine_and_a_program_without_a_page_are_let_in() {
    let site = Site::start().await;
    for door in site.doors() {
        for (method, target, headers, status) in REQUESTS {
            assert_eq!(ask(door, method, target, headers).await.status, status);
            for origin in [
                format!("http://localhost:{}", site.http.port()),
                format!("http://127.0.0.1:{}", site.http.port()),
                "http://[::1]:5173".to_owned(),
            ] {
                let origin_header = format!("Origin: {origin}");
                let headers: Vec<_> = headers.iter().copied().chain([&*origin_header]).collect();
                let answer = ask(door, method, target, &headers).await;
                assert_eq!(answer.status, status, "{method} {target} {origin}");
                if status == 200 {
                    assert_eq!(answer.header("access-control-allow-origin"), origin);
                    assert_eq!(answer.header("vary"), "origin");
                }
            }
        }
    }
}

/// How a browser asks for another site's page without an origin: for an image, a script, a frame, a link.
const FETCHES: [[&str; 2]; 4] = [
    ["Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"],
    ["Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: script"],
    ["Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"],
    ["Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"],
];

#[tokio::test]
async fn another_site_is_refused_also_where_the_browser_names_no_origin() {
    let site = Site::start().await;
    for door in site.doors() {
        for (method, target, headers, status) in REQUESTS {
            for [mode, destination] in FETCHES {
                for (value, wanted) in [
                    ("cross-site", 403),
                    ("same-site", 403),
                    ("Same-Origin", 403),
                    ("same-origin\r\nSec-Fetch-Site: cross-site", 403),
                    ("same-origin", status),
                    ("none", status),
                ] {
                    let value = format!("Sec-Fetch-Site: {value}");
                    let fetch = [mode, destination, &*value];
                    let headers: Vec<_> = headers.iter().copied().chain(fetch).collect();
                    let answer = ask(door, method, target, &headers).await;
                    assert_eq!(answer.status, wanted, "{method} {target} {fetch:?}");
                    if wanted == 403 {
                        assert!(answer.error().contains("allow-origin"), "{answer:?}");
                    }
                }
            }
        }
        // An origin that is allowed says more than the site it is on.
        let own = format!("Origin: http://localhost:{}", site.http.port());
        let headers = ["Sec-Fetch-Site: same-site", &own];
        let answer = ask(door, "GET", "/subscribe?tags=a", &headers).await;
        assert_eq!(answer.status, 200);
    }
    let open = Site::with(|builder| builder.allow_origin("*")).await;
    let headers = ["Sec-Fetch-Site: cross-site"];
    let answer = ask(open.http, "GET", "/subscribe?tags=a", &headers).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_link_from_another_site_leads_to_the_page() {
    let site = Site::start().await;
    for [mode, destination] in FETCHES {
        let fetch = ["Sec-Fetch-Site: cross-site", mode, destination];
        for target in ["/", "/ping", "/healthz", "/readyz", "/metrics"] {
            let answer = site.open().await.ask("GET", target, &fetch, "").await;
            assert_eq!(answer.status, 200, "{target}");
            assert_eq!(answer.header("access-control-allow-origin"), "");
        }
    }
}

#[tokio::test]
async fn a_page_that_is_allowed_may_ask_and_read_the_answer() {
    let site = Site::with(|builder| builder.allow_origin("https://*.example.com")).await;
    let origin = "Origin: https://app.example.com";
    for (method, target, headers, status) in REQUESTS {
        let headers: Vec<_> = headers.iter().copied().chain([origin]).collect();
        assert_eq!(
            ask(site.http, method, target, &headers).await.status,
            status
        );
    }
    // Errors, too, may be read.
    let refused = site
        .open()
        .await
        .ask("POST", "/publish", &[origin], "nonsense")
        .await;
    assert_eq!(refused.status, 400);
    assert_eq!(
        refused.header("access-control-allow-origin"),
        "https://app.example.com"
    );
    let other = ["Origin: https://example.com"];
    assert_eq!(
        ask(site.http, "POST", "/publish?tags=a", &other)
            .await
            .status,
        403
    );
}

#[tokio::test]
async fn a_browser_that_asks_first_is_told_what_is_allowed() {
    let site = Site::with(|builder| builder.allow_origin("https://app.example.com")).await;
    let asks = [
        "Access-Control-Request-Method: POST",
        "Access-Control-Request-Headers: authorization,content-type",
    ];
    for target in ["/publish", "/publish/", "/subscribe?tags=a"] {
        let allowed = [asks[0], asks[1], "Origin: https://app.example.com"];
        let mut http = site.open().await;
        http.write(request("OPTIONS", target, &allowed, "")).await;
        let answer = http.head().await;
        assert_eq!(answer.status, 204, "{target}");
        for (name, value) in [
            ("access-control-allow-origin", "https://app.example.com"),
            ("access-control-allow-methods", "GET, POST"),
            ("vary", "origin"),
        ] {
            assert_eq!(answer.header(name), value, "{target}");
        }
        let headers = answer.header("access-control-allow-headers");
        for name in ["authorization", "content-type", "x-auth-token"] {
            assert!(headers.contains(name), "{headers}");
        }
        // The connection goes on.
        assert_eq!(http.ask("GET", "/ping", &[], "").await.body, "pong\n");
        let refused = [asks[0], asks[1], "Origin: https://evil.example"];
        let answer = site.open().await.ask("OPTIONS", target, &refused, "").await;
        assert_eq!(answer.status, 403, "{target}");
    }
    assert_eq!(site.handle.stats().sessions_total, 0);
}

/// A request that names a host.
async fn ask_host(address: SocketAddr, target: &str, host: &str) -> Answer {
    let mut http = Http::open(address).await;
    http.write(format!("GET {target} HTTP/1.1\r\n{host}\r\n\r\n"))
        .await;
    http.answer("GET").await
}

#[tokio::test]
async fn a_name_that_somebody_else_has_pointed_here_is_refused_on_every_path() {
    let site = Site::start().await;
    for door in site.doors() {
        for target in [
            "/",
            "/ping",
            "/metrics",
            "/publish",
            "/subscribe?tags=a",
            "/nowhere",
        ] {
            let answer = ask_host(door, target, "Host: evil.example:8888").await;
            assert_eq!(answer.status, 421, "{target}");
            let refusal = answer.error();
            assert!(
                refusal.contains("evil.example") && refusal.contains("allow-host"),
                "{answer:?}"
            );
        }
        for host in [
            "Host: localhost",
            "Host: 127.0.0.1:1",
            "Host: [::1]",
            "Host: a.localhost",
        ] {
            assert_eq!(ask_host(door, "/ping", host).await.status, 200, "{host}");
        }
        let two = "Host: localhost\r\nHost: evil.example";
        assert_eq!(ask_host(door, "/ping", two).await.status, 421);
        let whole = ask_host(door, "http://evil.example/ping", "Host: localhost").await;
        assert_eq!(whole.status, 421);
        // What says no host at all is no browser.
        let mut old = Http::open(door).await;
        old.write("GET /ping HTTP/1.0\r\n\r\n").await;
        assert!(old.rest().await.starts_with(b"HTTP/1.0 200"));
    }
}

#[tokio::test]
async fn a_name_that_was_given_is_the_servers_own() {
    let site = Site::with(|builder| builder.allow_host("mist.example.com")).await;
    let answer = ask_host(site.http, "/ping", "Host: mist.example.com").await;
    assert_eq!(answer.status, 200);
    let answer = ask_host(site.http, "/ping", "Host: evil.example").await;
    assert_eq!(answer.status, 421);
}
