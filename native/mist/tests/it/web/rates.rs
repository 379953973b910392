//! Rates: what is done too often waits on a connection, and is refused to a request; whose the rates are.

use std::time::Instant;

use super::*;

const TOKENS: [(&str, &str); 2] = [("desk", "north"), ("gate", "north")];

/// A server with rates and with tokens that may say `north`.
async fn with(access: Access, rates: &[(&str, u64)]) -> Site {
    let limits = limits(rates);
    let site = Site::with(|builder| {
        let builder = builder.authenticator("memory://").token(ADMIN);
        builder.access(access).limits(limits)
    })
    .await;
    let admin = site.admin().await;
    for (token, tag) in TOKENS {
        let registered = admin.admin().register(token, [tag]).await;
        registered.expect("registered");
    }
    admin.close().await.expect("closed");
    site
}

fn line(data: impl std::fmt::Display) -> String {
    format!("{{\"command\":\"publish\",\"tags\":[\"north\"],\"data\":\"{data}\"}}\n")
}

/// Logs in over TCP and does one thing after the other, without waiting.
async fn say(site: &Site, token: &str, lines: &str) -> Http {
    let mut http = Http::open(site.tcp).await;
    let auth = format!("{{\"command\":\"auth\",\"data\":\"{token}\"}}\n");
    http.write(auth + lines).await;
    http
}

/// A listener of the program's own hears what nobody else may miss.
async fn heard(tap: &mut mist::Tap, count: usize) -> Vec<String> {
    let mut heard = Vec::new();
    while heard.len() < count {
        let Some(mist::Tapped::Message { data, .. }) = within(tap.next()).await else {
            panic!("after {heard:?}");
        };
        heard.push(data);
    }
    heard
}

#[tokio::test]
async fn a_request_over_a_rate_is_told_when_to_come_again() {
    let (publish, subscribe) = ("/publish?tags=north", "/subscribe?tags=north&tags=a");
    for (setting, rate, target, method) in [
        ("publishes-per-second", 1, publish, "POST"),
        ("publishes-per-second-per-address", 1, publish, "POST"),
        ("publish-bytes-per-second", 10, publish, "POST"),
        ("subscribes-per-second-per-address", 1, subscribe, "GET"),
    ] {
        let site = with(Access::Open, &[(setting, rate)]).await;
        let mut http = site.open().await;
        let mut refused = http.ask(method, target, &[], "x").await;
        // The first is within it, unless it does two things.
        if refused.status == 200 {
            refused = http.ask(method, target, &[], "x").await;
        }
        assert_eq!(refused.status, 429, "{setting}: {refused:?}");
        let seconds: u64 = refused.header("retry-after").parse().expect("a number");
        assert!((1..=200).contains(&seconds), "{refused:?}");
        let error = refused.error();
        assert!(
            error.contains(&format!("the limit is {rate} ({setting})")),
            "{error}"
        );
        assert!(
            refused.body.contains("\"code\":\"rate-exceeded\""),
            "{refused:?}"
        );
        // It was not carried out, and the connection goes on.
        assert_eq!(http.ask("GET", "/ping", &[], "").await.status, 200);
        let metrics = http.ask("GET", "/metrics", &[], "").await.body;
        let figure = format!("\nmist_rates_exceeded_total{{limit=\"{setting}\"}} ");
        let (_, value) = metrics.split_once(&figure).expect(&metrics);
        assert!(!value.starts_with("0\n"), "{metrics}");
    }
}

#[tokio::test]
async fn a_request_that_is_refused_may_be_made_later() {
    let site = with(Access::Open, &[("publishes-per-second-per-address", 1)]).await;
    let start = Instant::now();
    let mut accepted = 0;
    while accepted < 3 {
        let answer = site.post("/publish?tags=north", &[], "x").await;
        match answer.status {
            200 => accepted += 1,
            status => assert_eq!(status, 429),
        }
        let allowed = 1.0 + start.elapsed().as_secs_f64();
        assert!(f64::from(accepted) <= allowed, "{accepted} of {allowed}");
    }
}

#[tokio::test]
async fn all_connections_of_a_subject_share_its_rate_and_the_servers_own_token_has_none() {
    const RATE: usize = 10;
    let rate = [("publishes-per-second-per-subject", RATE as u64)];
    let site = with(Access::Scoped, &rate).await;
    let mut tap = site.handle.tap();
    let start = Instant::now();
    let burst: String = (0..RATE).map(line).collect();
    let first = say(&site, "desk", &burst).await;
    heard(&mut tap, RATE).await;
    // What it has left is nothing, whichever way it comes.
    let auth = ["X-AUTH-TOKEN: desk"];
    while start.elapsed().as_millis() < 50 {
        let refused = site.post("/publish?tags=north", &auth, "x").await;
        assert_eq!(refused.status, 429, "{refused:?}");
        assert!(refused.error().contains("per-subject"));
    }
    let second = say(&site, "desk", &line("late")).await;
    // Others are not concerned: another subject, and the server.
    let mut other = say(&site, "gate", &line("other")).await;
    let lines: String = (0..10 * RATE).map(line).collect();
    let ping = "{\"command\":\"ping\"}\n";
    let mut server = say(&site, ADMIN, &(lines + ping)).await;
    other.write(ping).await;
    for free in [&mut other, &mut server] {
        let mut pong = String::new();
        within(free.0.read_line(&mut pong)).await.expect("a pong");
        assert!(pong.contains("pong"), "{pong}");
    }
    let mut all = heard(&mut tap, 2 + 10 * RATE).await;
    all.retain(|data| data.parse::<usize>().is_err());
    all.sort();
    assert_eq!(all, ["late", "other"]);
    drop((first, second));
}

#[tokio::test]
async fn connections_are_refused_over_the_rate_of_their_address() {
    let site = Site::limited("connects-per-second-per-address", 3).await;
    let start = Instant::now();
    let (mut refused, mut let_in) = (0, 0);
    while refused < 3 {
        let answer = match refused {
            0 => site.get("/ping").await,
            _ => {
                let mut line = String::new();
                let mut tcp = Http::open(site.tcp).await;
                // Whoever is refused is closed, and may lose what it says then.
                let _ = tcp.0.write_all(b"{\"command\":\"ping\"}\n").await;
                within(tcp.0.read_line(&mut line)).await.expect("a line");
                if line.contains("pong") {
                    let_in += 1;
                    continue;
                }
                assert_eq!(
                    line,
                    "{\"command\":\"\",\"error\":\"too much in a second: the limit is 3 \
                     (connects-per-second-per-address); try again later; closing\",\"code\":\"rate-exceeded\"}\n"
                );
                refused += 1;
                continue;
            }
        };
        match answer.status {
            200 => let_in += 1,
            status => {
                assert_eq!((status, answer.header("retry-after")), (429, "1"));
                assert!(answer.error().contains("connects-per-second-per-address"));
                refused += 1;
            }
        }
    }
    let allowed = 3.0 * (1.0 + start.elapsed().as_secs_f64());
    assert!(f64::from(let_in) <= allowed, "{let_in} of {allowed}");
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_client_has_the_rate_of_its_own_address() {
    let limits = limits(&[
        ("connects-per-second-per-address", 1),
        ("publishes-per-second", 1),
    ]);
    let site = Site::with(|builder| builder.limits(limits).trusted_proxies("127.0.0.1")).await;
    let mut proxy = site.open().await;
    let mut statuses = Vec::new();
    for client in ["192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.3"] {
        let header = format!("X-Forwarded-For: {client}");
        let answer = proxy.ask("POST", "/publish?tags=a", &[&header], "x").await;
        statuses.push(answer.status);
    }
    // The rate of one connection is not that of all who come over it.
    assert_eq!(statuses, [200, 429, 200, 200]);
}

#[tokio::test]
async fn in_all_connections_are_accepted_later() {
    const RATE: u32 = 5;
    let site = Site::limited("connects-per-second", RATE.into()).await;
    let start = Instant::now();
    let mut all = Vec::new();
    for _ in 0..3 * RATE {
        all.push(Http::open(site.tcp).await);
    }
    for (number, client) in (1..).zip(&mut all) {
        client.write("{\"command\":\"ping\"}\n").await;
        let mut pong = String::new();
        within(client.0.read_line(&mut pong)).await.expect("a pong");
        assert!(pong.contains("pong"), "{pong}");
        let allowed = f64::from(RATE) * (1.0 + start.elapsed().as_secs_f64());
        assert!(f64::from(number) <= allowed, "{number} of {allowed}");
    }
    assert_eq!(site.handle.stats().sessions, all.len());
}

#[tokio::test]
async fn a_rate_that_is_set_later_holds_connections_that_are_open() {
    let site = Site::start().await;
    let mut tap = site.handle.tap();
    let mut open = Http::open(site.tcp).await;
    open.write(line("before").repeat(100)).await;
    heard(&mut tap, 100).await;
    let described = Server::builder().limits(limits(&[("publishes-per-second", 1)]));
    site.handle.reload(&described).expect("it can be changed");
    let start = Instant::now();
    open.write(line("after").repeat(3)).await;
    for count in 1..=3 {
        heard(&mut tap, 1).await;
        let allowed = 1.0 + start.elapsed().as_secs_f64();
        assert!(f64::from(count) <= allowed, "{count} of {allowed}");
    }
}

#[tokio::test]
async fn connections_over_the_rate_of_their_subject_are_closed_and_others_are_let_in_later() {
    let site = with(Access::Scoped, &[("connects-per-second-per-subject", 1)]).await;
    let start = Instant::now();
    let (mut let_in, mut refused) = (0, 0);
    while let_in < 3 || refused < 3 {
        let mut client = say(&site, "desk", "{\"command\":\"ping\"}\n").await;
        let mut line = String::new();
        within(client.0.read_line(&mut line)).await.expect("a line");
        if line.contains("pong") {
            let_in += 1;
            let allowed = 1.0 + start.elapsed().as_secs_f64();
            assert!(f64::from(let_in) <= allowed, "{let_in} of {allowed}");
            continue;
        }
        assert_eq!(
            line,
            "{\"command\":\"\",\"error\":\"too much in a second: the limit is 1 \
             (connects-per-second-per-subject); try again later; closing\",\"code\":\"rate-exceeded\"}\n"
        );
        line.clear();
        let count = within(client.0.read_line(&mut line)).await;
        assert_eq!(count.unwrap_or(0), 0, "{line}");
        refused += 1;
    }
}

#[tokio::test]
async fn who_waits_for_a_rate_goes_on_at_once_where_it_is_lifted() {
    let site = Site::limited("publishes-per-second", 1).await;
    let mut tap = site.handle.tap();
    let mut open = Http::open(site.tcp).await;
    // It would take three hours.
    open.write(line("x").repeat(10_000)).await;
    heard(&mut tap, 2).await;
    site.handle
        .reload(&Server::builder())
        .expect("it can be changed");
    heard(&mut tap, 9_998).await;
}

#[tokio::test]
async fn whoever_has_shown_a_token_that_is_the_servers_no_more_is_held_to_the_rates() {
    let rates = limits(&[("publishes-per-second", 1)]);
    let site = with(Access::Open, &[("publishes-per-second", 1)]).await;
    let mut tap = site.handle.tap();
    let mut former = say(&site, ADMIN, &line("admin").repeat(100)).await;
    heard(&mut tap, 100).await;
    let described = Server::builder().limits(rates).token("another");
    site.handle.reload(&described).expect("it can be changed");
    let start = Instant::now();
    former.write(line("former").repeat(3)).await;
    for count in 1..=3 {
        heard(&mut tap, 1).await;
        let allowed = 1.0 + start.elapsed().as_secs_f64();
        assert!(f64::from(count) <= allowed, "{count} of {allowed}");
    }
}

#[tokio::test]
async fn a_message_over_ten_seconds_of_a_rate_of_bytes_is_refused_and_those_behind_it_are_not() {
    let site = Site::limited("publish-bytes-per-second", 100).await;
    let mut tap = site.handle.tap();
    let mut client = Http::open(site.tcp).await;
    client.write(line("x".repeat(1000)) + &line("next")).await;
    let mut answer = String::new();
    within(client.0.read_line(&mut answer))
        .await
        .expect("a line");
    let text = "too many bytes in a message: it has 1049, the limit is 1000, ten seconds' worth of publish-bytes-per-second";
    assert!(
        answer.contains(text) && answer.contains("\"code\":\"limit-exceeded\""),
        "{answer}"
    );
    assert_eq!(heard(&mut tap, 1).await, ["next"]);
    let refused = site
        .post("/publish?tags=north", &[], &"x".repeat(1000))
        .await;
    assert_eq!(refused.status, 400, "{refused:?}");
}
