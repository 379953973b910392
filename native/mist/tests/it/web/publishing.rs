//! `POST /publish`: both forms of the request, what gets to subscribers, and each way of being refused.

use super::*;

#[tokio::test]
async fn a_json_body_is_published_and_the_deliveries_are_counted() {
    let site = Site::start().await;
    let body = r#"{"data":"12 min","tags":["late","bus","late"]}"#;
    for delivered in 0..3 {
        let answer = site.post("/publish", &[], body).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), "application/json");
        let wanted = format!(
            "{{\"command\":\"publish\",\"tags\":[\"late\",\"bus\",\"late\"],\"data\":\"success\",\
             \"delivered\":{delivered}}}\n"
        );
        assert_eq!(answer.body, wanted);
        // Each stays subscribed for as long as its server.
        let client = site.client().await;
        client
            .subscribe(["bus"])
            .await
            .expect("subscribed")
            .detach();
        std::mem::forget(client);
    }
}

#[tokio::test]
async fn a_raw_body_is_published_under_the_tags_of_the_query() {
    let site = Site::start().await;
    let client = site.client().await;
    let mut messages = client.subscribe(["b & c", "ü"]).await.expect("subscribed");
    let data = "{\"no\":\tjson}\r\n\n \u{0} \u{2028} zwölf \u{1f600}\n";
    for (door, target) in [
        (site.http, "/publish?tags=a,b+%26%20c,%C3%BC"),
        (site.ws, "/publish?tags=%C3%BC&other=x&tags=a,b%20%26%20c"),
    ] {
        let kind = "Content-Type: application/x-www-form-urlencoded";
        let answer = Http::open(door)
            .await
            .ask("POST", target, &[kind], data)
            .await;
        assert!(answer.body.contains(r#""delivered":1"#), "{answer:?}");
        let message = within(messages.next()).await.expect("a message");
        assert_eq!(*message.tags, ["a", "b & c", "ü"]);
        assert_eq!(message.data, data);
    }
}

#[tokio::test]
async fn a_message_may_be_without_data_and_have_more_than_it_needs() {
    let site = Site::start().await;
    let client = site.client().await;
    let mut messages = client.subscribe(["a"]).await.expect("subscribed");
    for (target, body) in [
        ("/publish", r#"{"tags":["a"]}"#),
        ("/publish", r#"{"tags":["a"],"data":null}"#),
        (
            "/publish",
            r#"{"command":"who","id":7,"x":[1],"tags":["a"],"data":""}"#,
        ),
        ("/publish?tags=a", ""),
    ] {
        let answer = site.post(target, &[], body).await;
        let wanted = r#"{"command":"publish","tags":["a"],"data":"success","delivered":1}"#;
        assert_eq!(answer.body, format!("{wanted}\n"), "{target} {body}");
        let message = within(messages.next()).await.expect("a message");
        assert_eq!(message.data, "");
    }
}

#[tokio::test]
async fn data_of_a_json_body_may_be_any_value() {
    let site = Site::start().await;
    let client = site.client().await;
    let mut messages = client.subscribe(["a"]).await.expect("subscribed");
    for (value, data) in [
        ("5", "5"),
        ("[ 1.50, \"a b\" ]", r#"[1.50,"a b"]"#),
        (
            "{ \"z\" : null,\n \"a\": \"\\u00fc\" }",
            r#"{"z":null,"a":"\u00fc"}"#,
        ),
    ] {
        let body = format!(r#"{{"tags":["a"],"data":{value}}}"#);
        let answer = site.post("/publish", &[], &body).await;
        assert!(answer.body.contains(r#""delivered":1"#), "{answer:?}");
        let message = within(messages.next()).await.expect("a message");
        assert_eq!(message.data, data);
    }
}

#[tokio::test]
async fn what_cannot_be_published_is_told_why() {
    let site = Site::start().await;
    let wildcard = site.client().await;
    let mut messages = wildcard.subscribe(["a"]).await.expect("subscribed");
    let many: Vec<_> = (0..65).map(|serial| format!("{serial}")).collect();
    let many = format!("/publish?tags={}", many.join(","));
    let long = format!("/publish?tags={}", "x".repeat(1025));
    for (target, body, reason) in [
        ("/publish", &b"hello"[..], "not a message"),
        ("/publish", b"", "not a message"),
        ("/publish", b"{\"tags\":[\"a\"]", "not a message"),
        (
            "/publish",
            br#"{"tags":"a","data":"x"}"#,
            "tags must be an array of strings",
        ),
        (
            "/publish",
            br#"{"tags":["a",1],"data":"x"}"#,
            "tags must be an array of strings",
        ),
        (
            "/publish",
            br#"{"tags":["a"],"data":5x}"#,
            "it is not JSON - ",
        ),
        ("/publish", br#"[["a"],"x"]"#, "it must be an object"),
        ("/publish", br#""a""#, "it must be an object"),
        (
            "/publish",
            br#"{"tags":["a"],"data":"\ud800"}"#,
            "data holds half a surrogate pair",
        ),
        ("/publish", br#"[["a"],"x"] more"#, "not a message"),
        (
            "/publish",
            b"{\"tags\":[\"a\"],\"data\":\"\xff\"}",
            "not a message",
        ),
        ("/publish", br#"{"data":"x"}"#, "tags are missing"),
        (
            "/publish",
            br#"{"tags":null,"data":"x"}"#,
            "tags are missing",
        ),
        ("/publish", br#"{"tags":[],"data":"x"}"#, "missing tags"),
        ("/publish?tags=", b"x", "missing tag at byte 5"),
        ("/publish?tags=,", b"x", "missing tag at byte 5"),
        ("/publish?tags=a,", b"x", "missing tag at byte 7"),
        (
            "/publish?tags=a,%FF",
            b"x",
            "at byte 7 of the query is not UTF-8",
        ),
        ("/publish?tags=a,%zz", b"x", "at byte 7 of the query"),
        ("/publish?x-auth-token=%1", b"x", "at byte 13 of the query"),
        ("/publish?tags=a", b"\xff", "not UTF-8"),
        (
            &many,
            b"x",
            "65 tags exceed the limit of 64 (tags-per-message)",
        ),
        (&long, b"x", "exceed the limit of 1024 (tag-bytes)"),
    ] {
        let answer = site.post(target, &[], body).await;
        let picture = format!("{target} {:?}: {answer:?}", String::from_utf8_lossy(body));
        assert_eq!(answer.status, 400, "{picture}");
        assert!(answer.error().contains(reason), "{picture}");
        assert!(!answer.body.contains(r#""id""#), "{picture}");
    }
    assert_eq!(messages.try_next(), None);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_and_the_next_one_is_not() {
    let site = Site::limited("message-bytes", 1000).await;
    let wanted = "exceed the limit of 1000 (message-bytes)";
    for size in [1001, 100_000, 3_000_000] {
        let body = "x".repeat(size);
        let chunked = format!("{size:x}\r\n{body}\r\n0\r\n\r\n");
        for (headers, body) in [
            (&[][..], &body),
            (&["Transfer-Encoding: chunked"], &chunked),
        ] {
            let mut http = site.open().await;
            let answer = http.ask("POST", "/publish?tags=a", headers, body).await;
            assert_eq!(answer.status, 413, "{size}: {answer:?}");
            assert!(answer.error().contains(wanted), "{answer:?}");
            let answer = http.ask("POST", "/publish?tags=a", &[], "x").await;
            assert_eq!(answer.status, 200, "{answer:?}");
        }
    }
}

#[tokio::test]
async fn a_client_that_asks_first_need_not_send_what_is_too_large() {
    let site = Site::limited("message-bytes", 1000).await;
    let head = |length: usize| {
        format!(
            "POST /publish?tags=a HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    let mut http = site.open().await;
    http.write(head(500)).await;
    assert_eq!(http.head().await.status, 100);
    http.write("x".repeat(500)).await;
    assert_eq!(http.answer("POST").await.status, 200);
    http.write(head(1001)).await;
    assert_eq!(http.answer("POST").await.status, 413);
}

#[tokio::test]
async fn data_that_its_escapes_make_too_large_is_too_large() {
    let site = Site::limited("message-bytes", 1000).await;
    for data in ["\u{1}".repeat(300), "\n".repeat(900)] {
        let answer = site.post("/publish?tags=a", &[], data).await;
        assert_eq!(answer.status, 413, "{answer:?}");
        assert!(
            answer
                .body
                .contains("exceed the limit of 1000 (message-bytes)")
        );
    }
    site.until("their sessions have ended", |handle| {
        handle.stats().sessions == 0
    })
    .await;
}

#[tokio::test]
async fn under_scoped_access_every_tag_of_the_message_must_be_granted() {
    let site = Site::with_tokens(Access::Scoped).await;
    let admin = format!("X-AUTH-TOKEN: {ADMIN}");
    let reader = site.admin().await;
    let mut messages = reader.subscribe(["north"]).await.expect("subscribed");
    for (tags, header, status, reason) in [
        ("north", "", 401, "not authorized - this server is scoped"),
        (
            "north",
            "X-AUTH-TOKEN: nobody",
            401,
            "the token is not valid",
        ),
        ("north", "Authorization: Basic ZGVzaw==", 401, "scoped"),
        (
            "south",
            "X-AUTH-TOKEN: desk",
            403,
            "does not grant the tag 'south'",
        ),
        ("north,south", "X-AUTH-TOKEN: desk", 403, "'south'"),
        ("north", "X-AUTH-TOKEN: desk", 200, r#""delivered":1"#),
        (
            "north",
            "Authorization: Bearer desk",
            200,
            r#""delivered":1"#,
        ),
        ("south", &admin, 200, r#""delivered":0"#),
    ] {
        let headers = [header];
        let headers = if header.is_empty() { &[][..] } else { &headers };
        let answer = site
            .post(&format!("/publish?tags={tags}"), headers, "x")
            .await;
        assert_eq!(answer.status, status, "{tags} {header}: {answer:?}");
        assert!(answer.body.contains(reason), "{tags} {header}: {answer:?}");
        assert!(!answer.body.contains("nobody"), "{answer:?}");
        let challenge = if status == 401 { "Bearer" } else { "" };
        assert_eq!(answer.header("www-authenticate"), challenge);
    }
    for _ in 0..2 {
        assert!(within(messages.next()).await.is_some());
    }
    reader.ping().await.expect("a pong");
    assert_eq!(messages.try_next(), None, "what was refused came");
}

#[tokio::test]
async fn a_wrong_token_publishes_nothing_although_none_would() {
    let site = Site::with_tokens(Access::Open).await;
    let reader = site.client().await;
    let mut messages = reader.subscribe(["a"]).await.expect("subscribed");
    let answer = site
        .post("/publish?tags=a", &["X-AUTH-TOKEN: nobody"], "no")
        .await;
    assert_eq!(answer.status, 401, "{answer:?}");
    assert_eq!(site.post("/publish?tags=a", &[], "yes").await.status, 200);
    let message = within(messages.next()).await.expect("a message");
    assert_eq!(message.data, "yes");
}

#[tokio::test]
async fn a_token_that_cannot_be_looked_up_now_is_no_wrong_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tokens.db");
    let uri = format!("sqlite://{}", path.display());
    let site = Site::with(|builder| {
        let builder = builder.authenticator(&uri).token(ADMIN);
        builder.access(Access::Scoped)
    })
    .await;
    std::fs::remove_file(&path).expect("it was there");
    for target in ["/publish?tags=a", "/subscribe?tags=a"] {
        let method = if target.starts_with("/p") {
            "POST"
        } else {
            "GET"
        };
        let mut http = site.open().await;
        let answer = http.ask(method, target, &["X-AUTH-TOKEN: desk"], "x").await;
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.error().contains("try again later"), "{answer:?}");
        assert!(!answer.body.contains("tokens.db"), "{answer:?}");
    }
}
