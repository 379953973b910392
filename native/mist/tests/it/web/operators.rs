//! `/healthz`, `/readyz` and `/metrics`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

const GAUGES: [&str; 7] = [
    "mist_connections",
    "mist_sessions",
    "mist_outbox_bytes",
    "mist_input_bytes",
    "mist_subscription_bytes",
    "mist_subscribers",
    "mist_subscriptions",
];
const COUNTERS: [&str; 9] = [
    "mist_sessions_opened",
    "mist_messages_published",
    "mist_messages_delivered",
    "mist_messages_dropped",
    "mist_messages_unreadable",
    "mist_connections_refused",
    "mist_handshakes_failed",
    "mist_tokens_refused",
    "mist_tokens_turned_away",
];

#[tokio::test]
async fn a_server_that_runs_is_alive_and_ready() {
    let site = Site::start().await;
    for door in site.doors() {
        let mut http = Http::open(door).await;
        for (target, text) in [("/healthz", "ok\n"), ("/readyz", "ready\n")] {
            let answer = http.ask("GET", target, &[], "").await;
            assert_eq!((answer.status, &*answer.body), (200, text));
        }
    }
    assert_eq!(site.handle.stats().sessions_total, 0);
}

/// What a client accepts, and the form that it gets then.
const FORMS: [(&str, &str); 2] = [
    (
        "Accept: text/plain; version=0.0.4",
        "text/plain; version=0.0.4; charset=utf-8",
    ),
    (
        "Accept: application/openmetrics-text; version=1.0.0, text/plain; version=0.0.4; q=0.5",
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
    ),
];

/// Reads a text in which every family is described before its only sample.
fn figures(answer: &Answer) -> BTreeMap<String, u64> {
    let is_open = answer.header("content-type").starts_with("application/");
    let body = match is_open {
        true => answer.body.strip_suffix("# EOF\n").expect("an end"),
        false => &answer.body,
    };
    let mut figures = BTreeMap::new();
    let mut lines = body.lines();
    while let Some(help) = lines.next() {
        let (family, help) = help
            .strip_prefix("# HELP ")
            .and_then(|rest| rest.split_once(' '))
            .expect(help);
        assert!(help.ends_with('.') && help.len() > 10, "{family}: {help}");
        let kind = lines.next().expect("a type");
        let kind = kind.strip_prefix(&format!("# TYPE {family} ")).expect(kind);
        let sample = lines.next().expect("a sample");
        let (sample, value) = sample.split_once(' ').expect(sample);
        let name = match kind {
            "counter" => sample.strip_suffix("_total").expect(sample),
            "gauge" => sample,
            other => panic!("{family} is a {other}"),
        };
        // Only for OpenMetrics the name of a counter is not that of its sample.
        assert_eq!(family, if is_open { name } else { sample });
        let value = value.parse().expect(value);
        assert_eq!(figures.insert(name.to_owned(), value), None, "{name} twice");
    }
    figures
}

#[tokio::test]
async fn metrics_come_in_the_form_that_is_accepted() {
    let site = Site::start().await;
    let mut http = site.open().await;
    let mut all = Vec::new();
    for (accept, kind) in FORMS {
        for method in ["GET", "HEAD"] {
            let answer = http.ask(method, "/metrics", &[accept], "").await;
            assert_eq!(answer.status, 200);
            assert_eq!(answer.header("content-type"), kind, "{accept}");
            assert_eq!(answer.header("vary"), "accept");
            if method == "GET" {
                all.push(figures(&answer));
            }
        }
    }
    assert_eq!(all[0], all[1]);
    // Browsers and curl take anything: what can be shown.
    for headers in [&[][..], &["Accept: */*"]] {
        let answer = http.ask("GET", "/metrics", headers, "").await;
        assert_eq!(answer.header("content-type"), FORMS[0].1);
    }
}

#[tokio::test]
async fn metrics_are_all_there_and_move() {
    let mut limits = mist::Limits::default();
    limits.set("outbox-messages", 3).expect("a limit");
    limits.set("connections", 3).expect("a limit");
    let site = Site::with(|builder| builder.limits(limits)).await;
    let before = figures(&site.get("/metrics").await);
    let names: Vec<_> = before.keys().map(String::as_str).collect();
    let mut wanted: Vec<_> = GAUGES.into_iter().chain(COUNTERS).collect();
    wanted.sort_unstable();
    assert_eq!(names, wanted);
    for (name, value) in &before {
        assert_eq!(*value, u64::from(name == "mist_connections"), "{name}");
    }

    let client = site.client().await;
    let _subscription = client.subscribe(["a"]).await.expect("subscribed");
    let _other = client.subscribe(["b", "c"]).await.expect("subscribed");
    client.ping().await.expect("a pong");
    // Its task has no turn meanwhile, so that its outbox fills up.
    let delivered: usize = (0..5).map(|_| site.handle.publish(&["a"], "x")).sum();
    assert_eq!(delivered, 3);
    assert_eq!(site.handle.publish(&["other"], "x"), 0);
    let mut raw = Http::open(site.tcp).await;
    raw.write("no JSON\n{\"command\":\"ping\"}\n").await;
    let mut lines = String::new();
    for _ in 0..2 {
        within(raw.0.read_line(&mut lines)).await.expect("a line");
    }
    assert!(lines.contains("pong"), "{lines}");
    let mut third = site.open().await;
    third.ask("GET", "/ping", &[], "").await;
    let mut fourth = site.open().await;
    let refused = fourth.ask("GET", "/ping", &[], "").await;
    assert_eq!(refused.status, 503);
    let after = figures(&third.ask("GET", "/metrics", &[FORMS[1].0], "").await);
    for (name, value) in [
        ("mist_connections", 3),
        ("mist_sessions", 2),
        ("mist_subscribers", 1),
        ("mist_subscriptions", 2),
        ("mist_sessions_opened", 2),
        ("mist_messages_published", 6),
        ("mist_messages_delivered", 3),
        ("mist_messages_dropped", 2),
        ("mist_messages_unreadable", 1),
        ("mist_connections_refused", 1),
    ] {
        assert_eq!(after[name], value, "{name} in {after:?}");
    }
}

#[tokio::test]
async fn page_and_metrics_are_for_everybody_unless_they_are_switched_off() {
    for (page, metrics) in [(true, true), (false, true), (true, false), (false, false)] {
        let site = Site::with(|builder| {
            let builder = builder.authenticator("memory://").token(ADMIN);
            let builder = builder.access(Access::Scoped);
            builder.page(page).metrics(metrics)
        })
        .await;
        for door in site.doors() {
            let mut http = Http::open(door).await;
            for target in ["/ping", "/healthz", "/readyz"] {
                assert_eq!(http.ask("GET", target, &[], "").await.status, 200);
            }
            for (target, wanted) in [
                ("/", if page { 200 } else { 426 }),
                ("/metrics", if metrics { 200 } else { 404 }),
            ] {
                let answer = http.ask("GET", target, &[], "").await;
                assert_eq!(answer.status, wanted, "{target}: {answer:?}");
                let answer = http.ask("POST", target, &[], "").await;
                assert_eq!(answer.status, if wanted == 200 { 405 } else { wanted });
            }
            let lost = http.ask("GET", "/nowhere", &[], "").await.error();
            assert_eq!(lost.contains("/metrics"), metrics, "{lost}");
        }
    }
}

#[tokio::test]
async fn a_figure_of_the_hosts_own_stands_among_them() {
    let value = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&value);
    let site =
        Site::with(|builder| builder.counter("of_ours", "What the host counts", counted)).await;
    for number in [7, 8] {
        value.store(number, Ordering::Relaxed);
        let metrics = site.get("/metrics").await.body;
        let line = format!("\nmist_of_ours_total {number}\n");
        assert!(metrics.contains(&line), "{metrics}");
    }
}

/// A server with two listeners for operators, over TCP and at a path, and the address of the first.
async fn with_operators(
    path: &std::path::Path,
    build: impl FnOnce(ServerBuilder) -> ServerBuilder,
) -> (Site, SocketAddr) {
    let listeners = "tcp://127.0.0.1:0, http://127.0.0.1:0, ws://127.0.0.1:0";
    let builder = build(Server::builder().listen(listeners));
    let operators = format!("tcp://127.0.0.1:0, unix://{}", path.display());
    let server = builder.operator_listen(&operators).bind().await;
    let server = server.expect("it can be bound");
    let [first, second] = server.operator_addresses() else {
        panic!("{:?}", server.operator_addresses());
    };
    assert_eq!((first.scheme(), second.scheme()), ("http", "unix"));
    let operators = first.socket().expect("a socket");
    let site = site::Site::run(server);
    let site = Site {
        tcp: site.socket(0),
        http: site.socket(1),
        ws: site.socket(2),
        handle: site.handle.clone(),
        site,
    };
    (site, operators)
}

const FOR_OPERATORS: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

#[tokio::test]
async fn with_a_listener_for_operators_their_paths_are_nowhere_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("operators");
    let (site, operators) = with_operators(&path, |builder| {
        let builder = builder.authenticator("memory://").token(ADMIN);
        builder.access(Access::Scoped)
    })
    .await;
    for door in site.doors() {
        let mut http = Http::open(door).await;
        for target in FOR_OPERATORS {
            let token = format!("X-AUTH-TOKEN: {ADMIN}");
            let answer = http.ask("GET", target, &[&token], "").await;
            assert_eq!(answer.status, 404, "{target}");
            assert!(!answer.error().contains(target), "{answer:?}");
        }
        assert_eq!(http.ask("GET", "/ping", &[], "").await.status, 200);
    }
    let mut http = Http::open(operators).await;
    for target in FOR_OPERATORS {
        // Whatever is in front of it: who reaches it may see it.
        let forwarded = ["X-Forwarded-For: 192.0.2.1"];
        assert_eq!(http.ask("GET", target, &forwarded, "").await.status, 200);
        assert_eq!(http.ask("POST", target, &[], "x").await.status, 405);
        let mut stream = tokio::net::UnixStream::connect(&path)
            .await
            .expect("it listens");
        let request = request("GET", target, &["Connection: close"], "");
        stream.write_all(&request).await.expect("taken");
        let mut answer = String::new();
        within(stream.read_to_string(&mut answer))
            .await
            .expect("text");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    // Nothing else is here: no command, no page, no WebSocket.
    for (method, target) in [
        ("GET", "/"),
        ("GET", "/ping"),
        ("GET", "/subscribe?tags=a"),
        ("POST", "/publish?tags=a"),
        ("GET", "/subscribe/websocket"),
    ] {
        let upgrade = ["Upgrade: websocket", "Sec-WebSocket-Version: 13"];
        let answer = http.ask(method, target, &upgrade, "x").await;
        assert_eq!(answer.status, 404, "{target}");
        let error = answer.error();
        assert!(
            error.contains("/healthz") && !error.contains("/publish"),
            "{error}"
        );
    }
    site.stop().await;
    assert!(!path.exists(), "its socket is removed");
}

#[tokio::test]
async fn operators_are_let_in_where_clients_are_too_many() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("operators");
    let limits = limits(&[
        ("connections", 1),
        ("connections-per-address", 1),
        ("connects-per-second-per-address", 1),
        ("connects-per-second", 1),
    ]);
    let (site, operators) = with_operators(&path, |builder| builder.limits(limits)).await;
    let _first = site.client().await;
    let mut all = Vec::new();
    for _ in 0..10 {
        let mut http = Http::open(operators).await;
        assert_eq!(http.ask("GET", "/metrics", &[], "").await.status, 200);
        all.push(http);
    }
}

#[tokio::test]
async fn figures_need_the_servers_token_from_elsewhere_where_access_is_scoped() {
    let site = Site::with_tokens(Access::Scoped).await;
    let mut http = site.open().await;
    // From this machine, without a proxy.
    assert_eq!(http.ask("GET", "/metrics", &[], "").await.status, 200);
    for elsewhere in [
        "X-Forwarded-For: 127.0.0.1",
        "Forwarded: for=127.0.0.1",
        "X-Real-IP: 127.0.0.1",
        "CF-Connecting-IP: 127.0.0.1",
        "X-Forwarded-Server: proxy",
        "Via: 1.1 proxy",
    ] {
        let ask = async |http: &mut Http, headers: &[&str], target: &str| {
            let headers: Vec<_> = [elsewhere].iter().chain(headers).copied().collect();
            http.ask("GET", target, &headers, "").await
        };
        let answer = ask(&mut http, &[], "/metrics").await;
        assert_eq!(
            (answer.status, answer.header("www-authenticate")),
            (401, "Bearer")
        );
        assert!(answer.error().contains("the server's token"), "{answer:?}");
        assert!(!answer.body.contains("mist_"), "{answer:?}");
        let answer = ask(&mut http, &["X-AUTH-TOKEN: desk"], "/metrics").await;
        assert_eq!(answer.status, 403, "{answer:?}");
        assert!(answer.error().contains("the server's own token"));
        for (header, target) in [
            ("X-AUTH-TOKEN: s3cret", "/metrics"),
            ("Authorization: Bearer s3cret", "/metrics"),
            ("Accept: */*", "/metrics?x-auth-token=s3cret"),
        ] {
            let answer = ask(&mut http, &[header], target).await;
            assert_eq!(answer.status, 200, "{header} {target}");
            assert!(answer.body.contains("mist_connections "));
        }
        // Probes have no token.
        for target in ["/healthz", "/readyz"] {
            assert_eq!(ask(&mut http, &[], target).await.status, 200);
        }
    }
    // A token that is guessed here is one that was guessed.
    let wrong = ["Via: 1.1 proxy", "X-AUTH-TOKEN: wrong"];
    assert_eq!(http.ask("GET", "/metrics", &wrong, "").await.status, 401);
    let figures = figures(&http.ask("GET", "/metrics", &[], "").await);
    assert_eq!(figures["mist_tokens_refused"], 1);
}

/// A proxy on this machine may leave no header, and pass on the name by which others know the server.
#[tokio::test]
async fn a_request_is_local_where_it_names_this_machine_as_this_machine_does() {
    let site = Site::with(|builder| {
        let builder = builder.authenticator("memory://").token(ADMIN);
        let builder = builder.access(Access::Scoped);
        builder.allow_host("mist.example.com")
    })
    .await;
    for (host, status) in [
        ("localhost:8080", 200),
        ("a.localhost", 200),
        ("127.0.0.1:1", 200),
        ("[::1]", 200),
        ("192.0.2.7", 401),
        ("[2001:db8::7]:80", 401),
        ("0.0.0.0", 401),
        ("mist.example.com", 401),
        ("other.example.com", 421),
    ] {
        let target = format!("http://{host}/metrics");
        assert_eq!(site.get(&target).await.status, status, "{host}");
    }
}

#[tokio::test]
async fn a_trusted_proxy_on_this_machine_does_not_make_its_clients_local() {
    let site = Site::with(|builder| {
        let builder = builder.authenticator("memory://").token(ADMIN);
        let builder = builder.access(Access::Scoped);
        builder.trusted_proxies("127.0.0.0/8")
    })
    .await;
    for headers in [
        &[][..],
        &["X-Forwarded-For: 127.0.0.1"],
        &["X-Forwarded-For: 192.0.2.1"],
    ] {
        let mut http = site.open().await;
        assert_eq!(http.ask("GET", "/metrics", headers, "").await.status, 401);
    }
}
