//! Owns guessing tokens as fast as one address can, with a valid token of one's own in between, and what it is to others
//! behind the same address.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::{figure, gauges, server, sized};
use mist_tests::client::{Client, Kind, Place};

const TOKEN: &str = "s3cret-TK";
const GUESSERS: usize = 10;

/// Connects and presents a token; returns how long it took to be let in.
async fn log_in(place: Place, token: &str) -> Duration {
    let start = Instant::now();
    let mut client: Client = place.tcp().await;
    let auth = format!(r#"{{"command":"auth","data":"{token}","id":1}}"#);
    client.send(&auth).await;
    client
        .expect(r#"{"command":"auth","data":"success","id":1}"#)
        .await;
    start.elapsed()
}

/// Guesses fifty times a second, and does not wait for the answers; returns how often.
async fn guess(place: Place, number: usize, is_over: watch::Receiver<bool>) -> usize {
    let mut pace = tokio::time::interval(Duration::from_millis(20));
    let mut guesses = 0;
    while !*is_over.borrow() {
        pace.tick().await;
        let mut stream = TcpStream::connect(place.tcp).await.expect("it listens");
        let auth = format!("{{\"command\":\"auth\",\"data\":\"{number}/{guesses}\"}}\n");
        // Where very many wait already, it may be closed before.
        let _ = stream.write_all(auth.as_bytes()).await;
        guesses += 1;
        if guesses % 4 == 0 {
            log_in(place, "own").await;
        }
    }
    guesses
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_guesses_slowly_and_shuts_out_nobody_who_was_there_before() {
    let all = [
        "--access",
        "scoped",
        "--authenticator",
        "memory://",
        "--token",
        TOKEN,
    ];
    let server = server(&all);
    let place = Place::of(&server);
    let mut admin = place.admin(Kind::Tcp, TOKEN).await;
    for token in ["own", "desk"] {
        let register = format!(r#"{{"command":"register","tags":["a"],"data":"{token}","id":1}}"#);
        admin.send(&register).await;
        assert!(admin.recv().await.contains("success"));
        log_in(place, token).await;
    }
    let start = Instant::now();
    let (over, is_over) = watch::channel(false);
    let guessing: Vec<_> = (0..GUESSERS)
        .map(|number| tokio::spawn(guess(place, number, is_over.clone())))
        .collect();
    let (mut logins, mut longest) = (0, Duration::ZERO);
    while start.elapsed() < sized(Duration::from_secs(3), Duration::from_secs(60)) {
        longest = longest.max(log_in(place, "desk").await);
        admin.barrier().await;
        logins += 1;
    }
    over.send(true).expect("they guess");
    let mut guesses = 0;
    for guesser in guessing {
        guesses += guesser.await.expect("no guesser fails");
    }
    let looked_at = gauges(&server).await["mist_tokens_refused_total"];
    let seconds = start.elapsed().as_secs();
    figure(
        "guessing",
        "tokens guessed, and looked at",
        format!("{guesses}, {looked_at} in {seconds} s"),
    );
    figure(
        "guessing",
        "logins meanwhile of one who was there before, and the longest",
        format!("{logins}, {longest:.1?}"),
    );
    assert!(guesses > 10 * looked_at as usize);
    // Five at once, then one a second.
    assert!(
        (1..=5 + seconds + 1).contains(&looked_at),
        "{looked_at} in {seconds} s"
    );
}
