//! `GET /subscribe`: messages as server-sent events, and how the stream begins and ends.

use mist::client::Rights;

use super::*;

/// A stream of events, read as the specification of `EventSource` has it.
struct Events {
    http: Http,
    bytes: Vec<u8>,
}

impl Events {
    async fn open(address: SocketAddr, target: &str, headers: &[&str]) -> Self {
        let mut http = Http::open(address).await;
        http.write(request("GET", target, headers, "")).await;
        let head = http.head().await;
        assert_eq!(head.status, 200, "{head:?}");
        assert_eq!(head.header("content-type"), "text/event-stream");
        assert_eq!(head.header("cache-control"), "no-cache");
        assert_eq!(head.header("x-accel-buffering"), "no");
        let mut events = Self {
            http,
            bytes: Vec::new(),
        };
        // Before anything is published, so that the client sees that it is connected.
        assert_eq!(events.text().await.as_deref(), Some("retry:3000\n\n"));
        events
    }

    /// The text of the next event up to the blank line behind it; none when the stream has ended in good order.
    async fn text(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.bytes.windows(2).position(|two| two == b"\n\n") {
                let event: Vec<_> = self.bytes.drain(..end + 2).collect();
                return Some(String::from_utf8(event).expect("events are text"));
            }
            match self.http.chunk().await {
                Some(chunk) => self.bytes.extend(chunk),
                None => {
                    assert_eq!(self.bytes, b"", "half an event at the end");
                    return None;
                }
            }
        }
    }

    /// The data of the next event, which has no other fields.
    async fn data(&mut self) -> Option<String> {
        let text = self.text().await?;
        let mut lines = text.split(['\r', '\n']);
        let line = lines.next().expect("there is always a first");
        assert!(lines.all(str::is_empty), "several fields: {text:?}");
        Some(line.strip_prefix("data: ").expect(line).to_owned())
    }
}

async fn refused(site: &Site, target: &str, headers: &[&str]) -> Answer {
    site.open().await.ask("GET", target, headers, "").await
}

#[tokio::test]
async fn a_message_is_one_event_that_holds_it_as_every_client_gets_it() {
    let site = Site::start().await;
    for door in site.doors() {
        let mut events = Events::open(door, "/subscribe?tags=late,bus", &[]).await;
        assert_eq!(site.handle.publish(&["bus"], "not all tags"), 0);
        assert_eq!(site.handle.publish(&["line:7", "late", "bus"], "12 min"), 1);
        let wanted =
            r#"data: {"command":"publish","tags":["bus","late","line:7"],"data":"12 min"}"#;
        assert_eq!(events.text().await, Some(format!("{wanted}\n\n")));
    }
}

#[tokio::test]
async fn each_tags_is_a_subscription_and_a_message_comes_once() {
    let site = Site::start().await;
    let mut events =
        Events::open(site.http, "/subscribe?tags=a,b&tags=c&x=y&tags=d%2Ce", &[]).await;
    assert_eq!(site.handle.stats().subscriptions, 3);
    for (tags, data) in [
        (&["a"][..], None),
        (&["a", "b"], Some("first")),
        (&["c"], Some("second")),
        (&["d"], None),
        (&["d", "e"], Some("third")),
        (&["a", "b", "c", "d", "e"], Some("all")),
    ] {
        let delivered = site.handle.publish(tags, data.unwrap_or("none"));
        assert_eq!(delivered, usize::from(data.is_some()), "{tags:?}");
        if let Some(data) = data {
            let came = events.data().await.expect("an event");
            assert!(came.ends_with(&format!(r#""data":"{data}"}}"#)), "{came}");
        }
    }
}

#[tokio::test]
async fn what_is_in_a_message_cannot_pose_as_a_field_or_another_event() {
    let site = Site::start().await;
    let mut events = Events::open(site.http, "/subscribe?tags=a", &[]).await;
    let evil = "x\n\nevent: admin\rdata: forged\r\n\r\nid: 1\n\u{85}\u{2028}\u{2029}retry: 0\n\n";
    let other = site.client().await;
    other.publish(["a", evil], evil).await.expect("published");
    // As written by somebody who escapes nothing that need not be.
    site.post("/publish?tags=a", &[], evil).await;
    site.handle.publish(&["a", evil], evil);
    site.handle.publish(&["a"], "the end");
    for _ in 0..3 {
        let data = events.data().await.expect("an event");
        let message: serde_json::Value = serde_json::from_str(&data).expect(&data);
        assert_eq!(message["data"], evil);
        assert_eq!(message["tags"][0], "a");
    }
    let wanted = r#"{"command":"publish","tags":["a"],"data":"the end"}"#;
    assert_eq!(events.data().await.as_deref(), Some(wanted));
}

#[tokio::test]
async fn nothing_is_lost_between_the_first_subscription_and_the_last() {
    let site = Site::start().await;
    let handle = site.handle.clone();
    let publishing = tokio::spawn(async move {
        let mut delivered = Vec::new();
        for serial in 0_u64.. {
            if handle.publish(&["a"], &serial.to_string()) == 1 {
                delivered.push(serial);
            }
            if handle.stats().subscriptions == 50 && delivered.len() >= 50 {
                break;
            }
            tokio::task::yield_now().await;
        }
        delivered
    });
    let more: String = (1..50).map(|serial| format!("&tags=b{serial}")).collect();
    let mut events = Events::open(site.http, &format!("/subscribe?tags=a{more}"), &[]).await;
    for serial in within(publishing).await.expect("published") {
        let wanted = format!(r#"{{"command":"publish","tags":["a"],"data":"{serial}"}}"#);
        assert_eq!(events.data().await, Some(wanted));
    }
}

#[tokio::test]
async fn a_client_that_leaves_is_forgotten() {
    let site = Site::start().await;
    let witness = site.client().await;
    let mut events = Vec::new();
    for _ in 0..3 {
        events.push(Events::open(site.http, "/subscribe?tags=a", &[]).await);
    }
    let who = witness.who().await.expect("an answer");
    assert_eq!((who.connections, who.subscribers), (4, 3));
    drop(events);
    site.until("only the witness is left", |handle| {
        let stats = handle.stats();
        stats.sessions == 1 && stats.subscriptions == 0
    })
    .await;
    let who = witness.who().await.expect("an answer");
    assert_eq!((who.connections, who.subscribers), (4, 0));
}

#[tokio::test]
async fn the_end_of_the_server_ends_the_stream_behind_what_was_queued() {
    let site = Site::start().await;
    let mut events = Events::open(site.http, "/subscribe?tags=a", &[]).await;
    for serial in 0..100 {
        site.handle.publish(&["a"], &serial.to_string());
    }
    site.stop().await;
    for serial in 0..100 {
        let wanted = format!(r#"{{"command":"publish","tags":["a"],"data":"{serial}"}}"#);
        assert_eq!(events.data().await, Some(wanted));
    }
    assert_eq!(events.data().await, None);
    assert_eq!(events.http.rest().await, b"");
}

#[tokio::test]
async fn who_asks_for_nothing_or_too_much_is_told_so() {
    let site = Site::start().await;
    let many: Vec<_> = (0..33).map(|serial| serial.to_string()).collect();
    let many = format!("/subscribe?tags=a&tags={}", many.join(","));
    for (target, reason) in [
        ("/subscribe", "ask for /subscribe?tags=a,b"),
        ("/subscribe?tag=a", "ask for /subscribe?tags=a,b"),
        ("/subscribe?tags=", "missing tag at byte 5"),
        ("/subscribe?tags=a&tags=,", "missing tag at byte 12"),
        // A variable that is not set must not make a subscription wider, nor half a character another tag.
        ("/subscribe?tags=p,", "missing tag at byte 7"),
        (
            "/subscribe?tags=p,%ff",
            "at byte 7 of the query is not UTF-8",
        ),
        ("/subscribe?tags=p,%zz", "at byte 7 of the query"),
        ("/subscribe?tags=p&other=%", "at byte 13 of the query"),
        (
            "/subscribe?tags=p&x-auth-token=",
            "no token behind 'x-auth-token=' at byte 20",
        ),
        (
            &many,
            "33 tags exceed the limit of 32 (tags-per-subscription)",
        ),
    ] {
        let answer = refused(&site, target, &[]).await;
        assert_eq!(answer.status, 400, "{target}: {answer:?}");
        assert!(answer.error().contains(reason), "{target}: {answer:?}");
        assert!(!answer.body.contains(r#""id""#), "{target}: {answer:?}");
    }
    site.until("nothing stays subscribed", |handle| {
        handle.stats().subscriptions == 0
    })
    .await;
}

#[tokio::test]
async fn under_scoped_access_one_tag_must_be_granted_and_what_is_taken_away_is_said() {
    let site = Site::with_tokens(Access::Scoped).await;
    for (target, header, status) in [
        ("/subscribe?tags=north", "Accept: text/event-stream", 401),
        ("/subscribe?tags=north", "X-AUTH-TOKEN: nobody", 401),
        ("/subscribe?tags=south", "X-AUTH-TOKEN: desk", 403),
        (
            "/subscribe?tags=north&tags=south",
            "X-AUTH-TOKEN: desk",
            403,
        ),
    ] {
        let answer = refused(&site, target, &[header]).await;
        assert_eq!(answer.status, status, "{target} {header}: {answer:?}");
        assert!(answer.error().contains("not authorized"), "{answer:?}");
        assert!(!answer.body.contains("nobody"), "{answer:?}");
    }
    // `EventSource` can send no header.
    let target = "/subscribe?tags=north,late&x-auth-token=desk";
    let mut events = Events::open(site.http, target, &[]).await;
    assert_eq!(site.handle.publish(&["late", "north"], "x"), 1);
    let wanted = r#"{"command":"publish","tags":["late","north"],"data":"x"}"#;
    assert_eq!(events.data().await.as_deref(), Some(wanted));
    let admin = site.admin().await;
    admin.admin().unset("desk", ["north"]).await.expect("unset");
    let came = events.data().await.expect("an event");
    let start = r#"{"command":"unsubscribe","tags":["late","north"],"error":"subscription removed"#;
    assert!(came.starts_with(start), "{came}");
    assert_eq!(site.handle.publish(&["late", "north"], "y"), 0);
    assert_eq!(events.data().await, None, "nothing can come any more");
}

#[tokio::test]
async fn rights_are_apart_over_http_and_a_stream_ends_with_its_token() {
    let site = Site::with_tokens(Access::Scoped).await;
    let admin = site.admin().await;
    for (token, rights, seconds) in [
        ("viewer", Rights::Subscribe, 3_600),
        ("writer", Rights::Publish, 3_600),
        ("guest", Rights::Both, 3),
    ] {
        let tokens = admin.admin().rights(rights);
        let tokens = tokens.ttl(Duration::from_secs(seconds));
        let made = tokens.register(token, ["news"]).await;
        made.expect("registered");
    }
    let mut guest = Events::open(site.http, "/subscribe?tags=news&x-auth-token=guest", &[]).await;
    let mut viewer = Events::open(site.http, "/subscribe?tags=news&x-auth-token=viewer", &[]).await;
    let answer = refused(&site, "/subscribe?tags=news", &["X-AUTH-TOKEN: writer"]).await;
    assert_eq!(answer.status, 403, "{answer:?}");
    assert!(
        answer.body.contains(r#""code":"not-granted""#),
        "{answer:?}"
    );
    for (token, status, part) in [
        ("viewer", 403, r#""code":"not-granted""#),
        ("writer", 200, r#""delivered":"#),
    ] {
        let header = format!("X-AUTH-TOKEN: {token}");
        let answer = site.post("/publish?tags=news", &[&header], "x").await;
        assert_eq!(answer.status, status, "{token}: {answer:?}");
        assert!(answer.body.contains(part), "{token}: {answer:?}");
    }
    let wanted = r#"{"command":"publish","tags":["news"],"data":"x"}"#;
    assert_eq!(viewer.data().await.as_deref(), Some(wanted));
    // The guest's may have ended before that.
    let mut last = String::new();
    while let Some(came) = guest.data().await {
        last = came;
    }
    assert!(last.contains(r#""code":"token-expired""#), "{last}");
    let answer = refused(&site, "/subscribe?tags=news", &["X-AUTH-TOKEN: guest"]).await;
    assert_eq!(answer.status, 401, "{answer:?}");
    assert!(
        answer.body.contains(r#""code":"token-expired""#),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_stream_goes_on_for_what_was_not_taken_away_and_ends_with_the_token() {
    let site = Site::with_tokens(Access::Scoped).await;
    let admin = site.admin().await;
    admin.admin().set("desk", ["west"]).await.expect("set");
    let target = "/subscribe?tags=north,late&tags=west&tags=late,north&x-auth-token=desk";
    let mut events = Events::open(site.http, target, &[]).await;
    admin.admin().unset("desk", ["north"]).await.expect("unset");
    let came = events.data().await.expect("an event");
    assert!(
        came.contains(r#""tags":["late","north"],"error""#),
        "{came}"
    );
    assert_eq!(site.handle.publish(&["west"], "x"), 1);
    let came = events.data().await.expect("an event");
    assert!(came.contains(r#""data":"x""#), "{came}");
    admin
        .admin()
        .unregister("desk")
        .await
        .expect("unregistered");
    let came = events.data().await.expect("an event");
    assert!(came.contains(r#""tags":["west"],"error""#), "{came}");
    assert_eq!(events.data().await, None);
}
