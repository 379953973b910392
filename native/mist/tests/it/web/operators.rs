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
