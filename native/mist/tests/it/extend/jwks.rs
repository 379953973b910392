//! Keys of JWTs that come from an address: they are exchanged, do not come, and come again.

use std::net::SocketAddr;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use mist_tests::app::App;
use mist_tests::certificate::Certificate;
use mist_tests::site::limits;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::several::{AWAY, IN, WRONG, present};
use super::*;

/// A key of an issuer.
pub(super) struct Key {
    name: &'static str,
    pair: Ed25519KeyPair,
}

impl Key {
    pub(super) fn new(name: &'static str) -> Self {
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
        let pair = Ed25519KeyPair::from_pkcs8(made.as_ref()).expect("a key");
        Self { name, pair }
    }

    /// A good token.
    pub(super) fn token(&self) -> String {
        self.token_by_name(self.name)
    }

    /// One that says that it is signed with another key.
    fn token_by_name(&self, name: &str) -> String {
        self.token_for(name, 600)
    }

    /// One that ends after so many seconds.
    fn token_for(&self, name: &str, seconds: u64) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let ends = now.expect("after 1970").as_secs() + seconds;
        let encode = |text: String| URL_SAFE_NO_PAD.encode(text);
        let header = encode(format!(r#"{{"alg":"EdDSA","kid":"{name}"}}"#));
        let claims = encode(format!(
            r#"{{"iss":"us","aud":"mist","sub":"alice","exp":{ends},"mist":["a"]}}"#
        ));
        let signed = format!("{header}.{claims}");
        let signature = URL_SAFE_NO_PAD.encode(self.pair.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}

/// What an address of keys answers.
fn set(keys: &[&Key]) -> String {
    let one = |key: &&Key| {
        let x = URL_SAFE_NO_PAD.encode(key.pair.public_key());
        let name = key.name;
        format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"{name}","x":"{x}"}}"#)
    };
    let keys: Vec<_> = keys.iter().map(one).collect();
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

fn uri(app: &App) -> String {
    format!(
        "jwt://?jwks=http://{}/keys&issuer=us&audience=mist",
        app.address
    )
}

/// A server that takes the tokens of an issuer, however many are wrong.
async fn house(uri: &str) -> House {
    let uri = uri.to_owned();
    House::with(|builder| {
        builder
            .listen("http://127.0.0.1:0")
            .authenticator(&uri)
            .access(Access::Scoped)
            .limits(limits(&[("failed-tokens", 0)]))
    })
    .await
}

/// What a path answers.
async fn get(socket: SocketAddr, path: &str) -> String {
    let mut stream = within(TcpStream::connect(socket)).await.expect("connected");
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer))
        .await
        .expect("an answer");
    answer
}

/// A figure among the metrics.
async fn figure(house: &House, name: &str) -> u64 {
    let all = get(house.site.socket(1), "/metrics").await;
    let line = all.lines().find_map(|line| line.strip_prefix(name));
    let value = line.unwrap_or_else(|| panic!("no {name} in {all}"));
    value.trim().parse().expect("a number")
}

#[tokio::test]
async fn a_server_is_ready_once_it_has_its_first_keys() {
    let mut app = App::start().await;
    app.leave().await;
    let house = house(&uri(&app)).await;
    let key = Key::new("one");
    present(&house, &key.token(), AWAY).await;
    let http = house.site.socket(1);
    let answer = get(http, "/readyz").await;
    assert!(
        answer.starts_with("HTTP/1.1 503")
            && answer.ends_with("waiting for the authenticator jwt://…\n"),
        "{answer}"
    );
    assert!(get(http, "/healthz").await.starts_with("HTTP/1.1 200"));
    assert_eq!(figure(&house, "mist_jwt_key_sources_failing").await, 1);
    app.answer(200, "", &set(&[&key]));
    app.come_back().await;
    app.was_asked(1).await;
    // The answer is on its way to who waits for it.
    present(&house, &key.token(), IN).await;
    assert!(get(http, "/readyz").await.starts_with("HTTP/1.1 200"));
    assert_eq!(figure(&house, "mist_jwt_key_sources_failing").await, 0);
    assert_eq!(figure(&house, "mist_jwt_keys").await, 1);
}

#[tokio::test]
async fn keys_are_exchanged_without_a_restart_and_old_ones_are_good_no_more() {
    let app = App::start().await;
    let (old, new) = (Key::new("old"), Key::new("new"));
    app.answer(200, "", &set(&[&old]));
    let house = house(&uri(&app)).await;
    present(&house, &old.token(), IN).await;
    // Signed by another than it says.
    present(&house, &new.token_by_name("old"), WRONG).await;
    assert_eq!(app.asked().len(), 1);
    app.answer(200, "", &set(&[&new]));
    present(&house, &new.token(), IN).await;
    assert_eq!(app.asked().len(), 2);
    // It is let in no more; whether its key has come back since nobody knows.
    present(&house, &old.token(), AWAY).await;
    assert_eq!(app.asked().len(), 2);
    assert_eq!(figure(&house, "mist_jwt_key_fetches_total").await, 2);
    let head = &app.asked()[0].head;
    assert!(head.starts_with("GET /keys HTTP/1.1\r\n"), "{head}");
}

#[tokio::test]
async fn ten_thousand_unknown_keys_are_asked_for_once() {
    let begun = Instant::now();
    let app = App::start().await;
    let key = Key::new("one");
    app.answer(200, "", &set(&[&key]));
    let house = house(&uri(&app)).await;
    present(&house, &key.token(), IN).await;
    // All come while it is asked, or behind it: those are wrong, these may have a key that came since.
    app.hold();
    let tokens = (0..10_000).map(|number| key.token_by_name(&format!("unknown-{number}")));
    let mut waiting = FuturesUnordered::new();
    for token in tokens {
        let (house, token) = (&house, token);
        waiting.push(async move { present(house, &token, r#""error":"#).await });
        if waiting.len() == 1_000 {
            app.release();
            waiting.next().await;
        }
    }
    while waiting.next().await.is_some() {}
    // Once when it begins and once for an unknown key, and again every 30 seconds on a machine that takes so long.
    let asked = app.asked().len();
    let most = 2 + (begun.elapsed().as_secs() / 30) as usize;
    assert!((2..=most).contains(&asked), "{asked} times, not {most}");
    present(&house, &key.token(), IN).await;
    let new = Key::new("new");
    app.answer(200, "", &set(&[&key, &new]));
    present(&house, &new.token(), AWAY).await;
    assert_eq!(app.asked().len(), asked);
}

#[tokio::test]
async fn a_key_that_is_not_there_when_it_is_asked_for_is_wrong() {
    let app = App::start().await;
    let key = Key::new("one");
    app.answer(200, "", &set(&[&key]));
    let house = house(&uri(&app)).await;
    present(&house, &key.token(), IN).await;
    present(&house, &key.token_by_name("unknown"), WRONG).await;
    assert_eq!(app.asked().len(), 2);
}

#[tokio::test]
async fn while_the_issuer_is_away_known_keys_are_good_and_nobody_is_told_that_another_is_wrong() {
    let mut app = App::start().await;
    let (old, new) = (Key::new("old"), Key::new("new"));
    app.answer(200, "", &set(&[&old]));
    let house = house(&uri(&app)).await;
    present(&house, &old.token(), IN).await;
    app.leave().await;
    present(&house, &new.token(), AWAY).await;
    present(&house, &new.token(), AWAY).await;
    present(&house, &old.token(), IN).await;
    // It is asked again by and by.
    app.answer(200, "", &set(&[&old, &new]));
    app.come_back().await;
    app.was_asked(2).await;
    present(&house, &new.token(), IN).await;
    for (status, body) in [
        (500, String::new()),
        (200, "<html>".into()),
        (302, set(&[])),
    ] {
        let app = App::start().await;
        app.answer(status, "Location: http://127.0.0.1:1/\r\n", &body);
        let house = self::house(&uri(&app)).await;
        present(&house, &new.token(), AWAY).await;
    }
}

#[tokio::test]
async fn keys_come_over_tls_from_those_who_are_trusted() {
    let certificate = Certificate::default();
    let app = App::start_encrypted(&certificate).await;
    let key = Key::new("one");
    app.answer(200, "", &set(&[&key]));
    let uri = uri(&app).replace("http://", "https://");
    let trusting = format!("{uri}&ca={}", certificate.file().display());
    present(&house(&trusting).await, &key.token(), IN).await;
    assert_eq!(app.asked().len(), 1);
    // A system that trusts nobody refuses to start.
    let builder = || {
        Server::builder()
            .listen("tcp://127.0.0.1:0")
            .authenticator(&uri)
            .access(Access::Scoped)
    };
    match builder().bind().await {
        Ok(_) => {
            present(&house(&uri).await, &key.token(), AWAY).await;
        }
        Err(error) => assert!(
            error.to_string().contains("trusts no certificates"),
            "{error}"
        ),
    }
    assert_eq!(app.asked().len(), 1);
}

#[tokio::test]
async fn a_session_ends_with_its_jwt_unless_it_shows_a_newer_one() {
    let app = App::start().await;
    let key = Key::new("one");
    app.answer(200, "", &set(&[&key]));
    let house = house(&format!("{}&leeway=0", uri(&app))).await;
    let short = key.token_for("one", 3);
    let mut peers = [
        present(&house, &short, r#""expires_in":"#).await,
        present(&house, &short, r#""expires_in":"#).await,
    ];
    for peer in &mut peers {
        peer.ask(
            r#"{"command":"subscribe","tags":["a"],"id":2}"#,
            r#"{"command":"subscribe","tags":["a"],"data":"success","id":2}"#,
        )
        .await;
    }
    let [staying, ending] = &mut peers;
    let auth = format!(r#"{{"command":"auth","data":"{}","id":3}}"#, key.token());
    staying.send(&auth).await;
    let line = staying.line().await;
    assert!(line.contains(IN), "{line}");
    let line = loop {
        let line = ending.line().await;
        if !line.contains(r#""command":"unsubscribe""#) {
            break line;
        }
    };
    assert!(line.contains(r#""code":"token-expired""#), "{line}");
    present(&house, &short, r#""code":"token-expired""#).await;
    staying.barrier().await;
    let delivered = house.site.handle.publish(&["a"], "1");
    assert_eq!(delivered, 1);
    staying
        .expect(r#"{"command":"publish","tags":["a"],"data":"1"}"#)
        .await;
}

/// Users with JWTs, and services with registered tokens.
#[tokio::test]
async fn jwts_and_a_store_go_side_by_side() {
    let app = App::start().await;
    let key = Key::new("one");
    app.answer(200, "", &set(&[&key]));
    let house = House::with(|builder| {
        builder
            .authenticator(&uri(&app))
            .authenticator("memory://")
            .token("s3cret")
            .access(Access::Scoped)
    })
    .await;
    let mut admin = house.admin().await;
    admin
        .ask(
            r#"{"command":"register","data":"service","tags":["a"],"id":1}"#,
            r#"{"command":"register","tags":["a"],"data":"success","id":1}"#,
        )
        .await;
    let mut service = present(&house, "service", IN).await;
    let mut user = present(&house, &key.token(), IN).await;
    user.ask(
        r#"{"command":"subscribe","tags":["a"],"id":2}"#,
        r#"{"command":"subscribe","tags":["a"],"data":"success","id":2}"#,
    )
    .await;
    service
        .ask(
            r#"{"command":"publish","tags":["a"],"data":"1","id":2}"#,
            r#"{"command":"publish","tags":["a"],"data":"success","delivered":1,"id":2}"#,
        )
        .await;
    user.expect(r#"{"command":"publish","tags":["a"],"data":"1"}"#)
        .await;
    // Another token of the same user takes the place of the first.
    let renewed = key.token();
    user.send(&format!(
        r#"{{"command":"auth","data":"{renewed}","id":3}}"#
    ))
    .await;
    let line = user.line().await;
    assert!(line.contains(IN), "{line}");
    user.send(r#"{"command":"unregister","data":"service","id":4}"#)
        .await;
    let line = user.line().await;
    assert!(line.contains(r#""code":"not-admin""#), "{line}");
}
