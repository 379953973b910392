//! An application that is asked over HTTP what a token may do.

use futures_util::future::join_all;
use mist_tests::app::App;
use mist_tests::certificate::Certificate;
use mist_tests::site::limits;

use super::several::{AWAY, IN, WRONG, present};
use super::*;

async fn house(uri: &str) -> House {
    let uri = uri.to_owned();
    House::with(|builder| builder.authenticator(&uri).access(Access::Scoped)).await
}

fn uri(app: &App) -> String {
    format!("http://{}/auth?x=1", app.address)
}

#[tokio::test]
async fn it_is_told_what_is_presented_and_says_what_that_may_do() {
    let app = App::start().await;
    app.answer(
        200,
        "",
        r#"{"subscribe":["news","$x"],"publish":["chat"],"subject":"alice","more":1}"#,
    );
    let house = House::with(|builder| {
        builder
            .listen("tcp://127.0.0.1:0")
            .authenticator(&uri(&app))
            .access(Access::Scoped)
    })
    .await;
    let mut peer = present(&house, "t1", IN).await;
    peer.ask(
        r#"{"command":"subscribe","tags":["news"],"id":2}"#,
        r#"{"command":"subscribe","tags":["news"],"data":"success","id":2}"#,
    )
    .await;
    for (request, code) in [
        (
            r#"{"command":"subscribe","tags":["chat"],"id":3}"#,
            "not-granted",
        ),
        (
            r#"{"command":"publish","tags":["news"],"data":"","id":3}"#,
            "not-granted",
        ),
        (r#"{"command":"auth","data":"","id":3}"#, "auth-not-first"),
    ] {
        app.answer(403, "", "");
        peer.send(request).await;
        let line = peer.line().await;
        assert!(
            line.contains(&format!(r#""code":"{code}""#)),
            "{request}: {line}"
        );
    }
    let asked = app.asked();
    assert!(
        asked[0].head.starts_with("POST /auth?x=1 HTTP/1.1\r\n"),
        "{}",
        asked[0].head
    );
    assert!(
        asked[0].head.contains("content-type: application/json\r\n"),
        "{}",
        asked[0].head
    );
    assert_eq!(asked[0].body, r#"{"token":"t1","listener":"pipe://here"}"#);
    // A client that has an address.
    let socket = house.site.socket(1);
    let mut stream = tokio::net::TcpStream::connect(socket)
        .await
        .expect("connected");
    let auth = "{\"command\":\"auth\",\"data\":\"t2\"}\n";
    stream.write_all(auth.as_bytes()).await.expect("sent");
    app.was_asked(asked.len() + 1).await;
    let last = app.asked().pop().expect("asked");
    assert_eq!(
        last.body,
        format!(r#"{{"token":"t2","address":"127.0.0.1","listener":"tcp://{socket}"}}"#)
    );
    // One connection is enough for one after the other.
    assert_eq!(app.connections(), 1);
}

#[tokio::test]
async fn it_says_no_and_then_the_token_is_wrong() {
    let app = App::start().await;
    let house = house(&uri(&app)).await;
    for status in [401, 403] {
        app.answer(status, "", "whatever");
        present(&house, "no", WRONG).await;
    }
    // That is not kept.
    assert_eq!(app.asked().len(), 2);
}

#[tokio::test]
async fn what_it_cannot_say_is_no_guess_of_the_client() {
    let mut app = App::start().await;
    let house = house(&uri(&app)).await;
    let long = format!(r#"{{"subscribe":["{}"]}}"#, "x".repeat(64 << 10));
    for (status, body) in [
        (404, ""),
        (429, ""),
        (500, r#"{"subscribe":["a"]}"#),
        (302, r#"{"subscribe":["a"]}"#),
        (204, ""),
        (200, ""),
        (200, "[]"),
        (200, r#"{"subscribe":"a"}"#),
        (200, r#"{"publish":[1]}"#),
        (200, r#"{"subject":""}"#),
        (200, r#"{"subject":7}"#),
        (200, r#"{"ttl":0}"#),
        (200, r#"{"ttl":-1}"#),
        (200, r#"{"ttl":1.5}"#),
        (200, r#"{"ttl":"60"}"#),
        (200, r#"{"ttl":99999999999}"#),
        (200, &long),
    ] {
        app.answer(status, "", body);
        present(&house, "t1", AWAY).await;
    }
    app.leave().await;
    present(&house, "t1", AWAY).await;
    app.answer(200, "", "{}");
    app.come_back().await;
    present(&house, "t1", IN).await;
}

/// Longer than nobody wants to wait for it.
#[tokio::test]
async fn it_has_a_deadline() {
    let app = App::start().await;
    app.answer(200, "", "{}");
    app.hold();
    let house = house(&uri(&app)).await;
    present(&house, "t1", AWAY).await;
    app.release();
    present(&house, "t1", IN).await;
}

#[tokio::test]
async fn many_who_present_one_token_are_one_question() {
    let app = App::start().await;
    app.answer(200, "", r#"{"subscribe":["a"]}"#);
    app.hold();
    let house = house(&uri(&app)).await;
    let peers = (0..100).map(|_| present(&house, "t1", IN));
    let (_, ()) = tokio::join!(join_all(peers), async {
        app.was_asked(1).await;
        app.release();
    });
    // Whoever came later than the answer has asked again: without a ttl it is not kept.
    let often = app.asked().len();
    assert!(often < 100, "{often}");
    app.answer(200, "", r#"{"subscribe":["a"],"ttl":600}"#);
    present(&house, "t1", IN).await;
    let often = app.asked().len();
    let peers = (0..100).map(|_| present(&house, "t1", IN));
    join_all(peers).await;
    assert_eq!(app.asked().len(), often);
    // Another token is another question.
    present(&house, "t2", IN).await;
    assert_eq!(app.asked().len(), often + 1);
}

#[tokio::test]
async fn what_is_kept_is_good_while_it_is_away_and_asked_again_when_somebody_says_so() {
    let mut app = App::start().await;
    app.answer(200, "", r#"{"subscribe":["a"],"ttl":600}"#);
    let house = house(&uri(&app)).await;
    let mut peer = present(&house, "t1", IN).await;
    peer.ask(
        r#"{"command":"subscribe","tags":["a"],"id":2}"#,
        r#"{"command":"subscribe","tags":["a"],"data":"success","id":2}"#,
    )
    .await;
    app.leave().await;
    present(&house, "t1", IN).await;
    let error = house.site.handle.token_changed("t1").await;
    assert!(
        matches!(error, Err(TokenError::Unavailable(_))),
        "{error:?}"
    );
    app.answer(200, "", r#"{"subscribe":["b"],"ttl":600}"#);
    app.come_back().await;
    let asked = app.asked().len();
    house.site.handle.token_changed("t1").await.expect("asked");
    let lost = peer.line().await;
    assert!(lost.contains(r#""code":"revoked""#), "{lost}");
    assert_eq!(app.asked()[asked].body, r#"{"token":"t1"}"#);
    app.answer(401, "", "");
    present(&house, "t1", WRONG).await;
    // The same where no session goes by it any more.
    app.answer(200, "", r#"{"ttl":600}"#);
    drop(present(&house, "t2", IN).await);
    house.site.handle.token_changed("t2").await.expect("asked");
    app.answer(401, "", "");
    house.site.handle.token_changed("t2").await.expect("asked");
    present(&house, "t2", WRONG).await;
}

#[tokio::test]
async fn so_many_questions_are_asked_at_a_time() {
    let app = App::start().await;
    app.answer(200, "", "{}");
    app.hold();
    let house = House::with(|builder| {
        let limits = limits(&[("failed-tokens", 0)]);
        builder
            .authenticator(&uri(&app))
            .access(Access::Scoped)
            .limits(limits)
    })
    .await;
    let tokens: Vec<_> = (0..200).map(|number| format!("t{number}")).collect();
    let peers = tokens.iter().map(|token| present(&house, token, IN));
    let (_, ()) = tokio::join!(join_all(peers), async {
        app.was_asked(64).await;
        // Those that wait here have a connection each, and others have none.
        assert_eq!(app.connections(), 64);
        app.release();
    });
    assert_eq!(app.connections(), 64);
    assert_eq!(app.asked().len(), 200);
}

#[tokio::test]
async fn it_is_asked_over_tls_and_shown_a_password() {
    let certificate = Certificate::default();
    let app = App::start_encrypted(&certificate).await;
    app.answer(200, "", "{}");
    let uri = format!(
        "https://mist:s3%20cret@localhost:{}/#ca={}",
        app.address.port(),
        certificate.file().display()
    );
    present(&house(&uri).await, "t1", IN).await;
    let head = &app.asked()[0].head;
    assert!(head.starts_with("POST / HTTP/1.1\r\n"), "{head}");
    // base64 of `mist:s3 cret`.
    assert!(
        head.contains("authorization: Basic bWlzdDpzMyBjcmV0\r\n"),
        "{head}"
    );
    assert!(
        head.contains(&format!("host: localhost:{}\r\n", app.address.port())),
        "{head}"
    );
}

#[tokio::test]
async fn an_address_that_is_none_is_named_before_anything_starts() {
    for (uri, word) in [
        ("https://", "cannot open the authenticator 'https://…'"),
        ("http://a/b#x=1", "ca=FILE"),
        ("http://a/b#ca=x", "https:// alone"),
        ("jwt://?issuer=i&audience=a", "jwks=URL"),
        (
            "jwt://?key-file=/no/such/file&issuer=i&audience=a",
            "cannot read it",
        ),
    ] {
        let builder = Server::builder()
            .listen("tcp://127.0.0.1:0")
            .authenticator(uri)
            .access(Access::Scoped);
        let error = builder.check().expect_err(uri).to_string();
        assert!(error.contains(word), "{uri}: {error}");
    }
}

/// Else whoever comes from where an older answer is kept would give all sessions of the token what was taken from them.
#[tokio::test]
async fn an_answer_takes_the_place_of_those_that_were_given_elsewhere() {
    let app = App::start().await;
    app.answer(200, "", r#"{"subscribe":["a","b"],"ttl":600}"#);
    let house = House::with(|builder| {
        builder
            .listen("tcp://127.0.0.1:0")
            .authenticator(&uri(&app))
            .access(Access::Scoped)
    })
    .await;
    // Through one listener, then through the other, then through the first again.
    let mut first = present(&house, "t1", IN).await;
    app.answer(200, "", r#"{"subscribe":["b"],"ttl":600}"#);
    let uri = house.site.uris.last().expect("a listener");
    let elsewhere = within(mist::Client::builder(uri).token("t1").connect()).await;
    let elsewhere = elsewhere.expect("let in");
    present(&house, "t1", IN).await;
    first
        .send(r#"{"command":"subscribe","tags":["a"],"id":2}"#)
        .await;
    let line = first.line().await;
    assert!(line.contains(r#""code":"not-granted""#), "{line}");
    within(elsewhere.close()).await.expect("closed");
}
