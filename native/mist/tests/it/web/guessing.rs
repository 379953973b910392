//! Guessing tokens: what it costs the guesser, and that it costs nobody else anything, on every kind of listener.

use std::time::Instant;

use futures_util::{FutureExt, SinkExt};
use mist::client::ClientError;
use tokio_tungstenite::tungstenite::Message;

use super::strangers::{ask_lines, said, scoped, upgrade};
use super::*;

const TOO_MANY: &str =
    "too many wrong tokens from your address (failed-tokens): try again later; closing";

fn auth(token: &str) -> String {
    format!("{{\"command\":\"auth\",\"data\":\"{token}\",\"id\":1}}\n")
}

/// Presents a token in one of the four ways there are; returns whether it is taken.
async fn present(site: &Site, way: usize, token: &str) -> bool {
    match way {
        0 => {
            let lines = ask_lines(site, &auth(token), 1).await;
            lines[0].contains("success")
        }
        1 => {
            let mut socket = upgrade(site, &[&format!("X-Auth-Token: {token}")]).await;
            let ping = Message::text(r#"{"command":"ping"}"#);
            within(socket.send(ping)).await.expect("sent");
            !said(&mut socket).await.to_string().contains("not valid")
        }
        2 => {
            let bearer = format!("Authorization: Bearer {token}");
            let answer = site.post("/publish?tags=a", &[&bearer], "x").await;
            answer.status == 200
        }
        _ => {
            let target = format!("/subscribe?tags=a&x-auth-token={token}");
            let mut http = site.open().await;
            http.write(request("GET", &target, &[], "")).await;
            http.head().await.status == 200
        }
    }
}

/// Connections that have presented wrong tokens, and wait for what is said of them.
async fn guessers(site: &Site, count: usize) -> Vec<Http> {
    let mut all = Vec::new();
    for number in 0..count {
        let mut guesser = Http::open(site.tcp).await;
        guesser.write(auth(&format!("guess {number}"))).await;
        all.push(guesser);
    }
    all
}

fn is_answered(guesser: &mut Http) -> bool {
    let mut line = String::new();
    guesser.0.read_line(&mut line).now_or_never().is_some()
}

async fn refused(site: &Site) -> u64 {
    let metrics = site.get("/metrics").await.body;
    let (_, behind) = metrics
        .split_once("\nmist_tokens_refused_total ")
        .expect("it is there");
    let (count, _) = behind.split_once('\n').expect("a line");
    count.parse().expect("a number")
}

#[tokio::test]
async fn after_wrong_tokens_in_any_way_further_ones_wait_and_nobody_else_does() {
    for way in 0..4 {
        let site = scoped(Access::Scoped, &[("failed-tokens", 2)]).await;
        let others = site.client().await;
        let start = Instant::now();
        assert!(!present(&site, way, "wrong").await);
        assert!(!present(&site, (way + 1) % 4, "wrong").await);
        let (is_taken, ()) = tokio::join!(
            // Also the right one: who guesses must not see from the pause that it is.
            present(&site, way, ADMIN),
            async {
                for _ in 0..100 {
                    others.ping().await.expect("others are served");
                }
                assert_eq!(site.get("/ping").await.body, "pong\n");
            }
        );
        assert!(is_taken);
        let waited = start.elapsed();
        assert!(waited >= Duration::from_secs(1), "{waited:?}");
        assert_eq!(refused(&site).await, 2);
    }
}

#[tokio::test]
async fn who_was_let_in_before_is_let_in_beside_a_guesser_behind_the_same_address() {
    let site = scoped(Access::Scoped, &[("failed-tokens", 2)]).await;
    let admin = site.admin().await;
    admin
        .admin()
        .register("desk", ["a"])
        .await
        .expect("registered");
    assert!(present(&site, 0, "desk").await);
    let mut guessers = guessers(&site, 30).await;
    for way in 0..4 {
        for token in ["desk", ADMIN] {
            assert!(present(&site, way, token).await, "{way}");
        }
    }
    let last = guessers.last_mut().expect("there are some");
    assert!(!is_answered(last), "it has still to wait");
    // A token that was taken back is let in by nobody's memory.
    admin
        .admin()
        .unregister("desk")
        .await
        .expect("unregistered");
    assert!(!present(&site, 0, "desk").await);
}

#[tokio::test]
async fn a_token_of_ones_own_does_not_make_guessing_quicker() {
    let site = scoped(Access::Scoped, &[]).await;
    let admin = site.admin().await;
    admin
        .admin()
        .register("own", ["a"])
        .await
        .expect("registered");
    let start = Instant::now();
    for number in 0..200 {
        assert!(present(&site, 0, "own").await);
        let mut guess = Http::open(site.tcp).await;
        guess.write(auth(&number.to_string())).await;
    }
    let most = 5 + start.elapsed().as_secs() + 1;
    let refused = refused(&site).await;
    assert!((1..=most).contains(&refused), "{refused} of {most}");
}

#[tokio::test]
async fn a_newcomer_beside_many_guessers_is_told_to_try_again_and_gets_in_then() {
    let site = scoped(Access::Scoped, &[("failed-tokens", 1)]).await;
    let guessers = guessers(&site, 40).await;
    let token = format!("X-Auth-Token: {ADMIN}");
    tokio::join!(
        async {
            let mut tcp = Http::open(site.tcp).await;
            tcp.write(auth(ADMIN)).await;
            let told = format!(
                "{{\"command\":\"\",\"error\":\"{TOO_MANY}\",\"code\":\"too-many-wrong-tokens\"}}\n"
            );
            assert_eq!(String::from_utf8(tcp.rest().await).expect("text"), told);
        },
        async {
            let mut socket = upgrade(&site, &[&token]).await;
            assert!(said(&mut socket).await.to_string().contains(TOO_MANY));
            let Message::Close(Some(frame)) = said(&mut socket).await else {
                panic!("it says goodbye");
            };
            assert_eq!(u16::from(frame.code), 1008);
        },
        async {
            let answer = site.post("/publish?tags=a", &[&token], "x").await;
            assert_eq!((answer.status, answer.header("retry-after")), (429, "10"));
            assert!(answer.body.contains(TOO_MANY), "{answer:?}");
        },
        async {
            // Not that it is refused, for which a client does not try again.
            let builder = Client::builder(&format!("tcp://{}", site.tcp)).token(ADMIN);
            let error = within(builder.connect()).await.expect_err("turned away");
            assert!(matches!(error, ClientError::Connect { .. }), "{error:?}");
            assert!(error.to_string().contains("try again later"), "{error}");
        },
    );
    // None is left that would be before it.
    assert!(present(&site, 0, ADMIN).await);
    drop(guessers);
    let metrics = site.get("/metrics").await.body;
    assert!(!metrics.contains("mist_tokens_turned_away_total 0\n"));
}

#[tokio::test]
async fn a_token_that_waits_is_given_time_and_does_not_hold_up_the_end() {
    let limits = [("failed-tokens", 1), ("authentication-seconds", 1)];
    let site = scoped(Access::Scoped, &limits).await;
    // The last ones wait for longer than they have to authenticate.
    for mut guesser in guessers(&site, 4).await {
        let mut line = String::new();
        within(guesser.0.read_line(&mut line))
            .await
            .expect("a line");
        assert!(line.contains("not valid"), "{line}");
    }
    let _waiting = guessers(&site, 1).await;
    let handle = site.handle.clone();
    let mut witness = site.open().await;
    while handle.stats().sessions == 0 {
        witness.ask("GET", "/ping", &[], "").await;
    }
    let metrics = tokio::runtime::Handle::current().metrics();
    site.stop().await;
    assert_eq!(metrics.num_alive_tasks(), 0, "run() has returned");
}

#[tokio::test]
async fn clients_of_a_trusted_proxy_guess_for_themselves() {
    let mut limits = mist::Limits::default();
    limits.set("failed-tokens", 1).expect("a limit");
    let site = Site::with(|builder| {
        let builder = builder
            .authenticator("memory://")
            .token(ADMIN)
            .limits(limits);
        builder.access(Access::Scoped).trusted_proxies("127.0.0.1")
    })
    .await;
    let ask = async |client: &str, token: &str| {
        let headers = [
            format!("X-Forwarded-For: {client}"),
            format!("X-Auth-Token: {token}"),
        ];
        let headers = [&*headers[0], &*headers[1]];
        site.post("/publish?tags=a", &headers, "x").await.status
    };
    let start = Instant::now();
    assert_eq!(ask("192.0.2.1", "wrong").await, 401);
    let (held, other) = tokio::join!(
        async { (ask("192.0.2.1", ADMIN).await, start.elapsed()) },
        ask("192.0.2.2", ADMIN),
    );
    assert_eq!((held.0, other), (200, 200));
    assert!(held.1 >= Duration::from_secs(1), "{held:?}");
}
