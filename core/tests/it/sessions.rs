//! What becomes of sessions: coming, waiting, going, and what is said at the wrong time.

use mist_core::message::{Messages, Scan};
use mist_core::{
    Access, AuthReply, AuthRequest, Broker, Config, Credentials, CustomReply, EditKind, Grants,
    Output, Scratch, SessionId, TokenEdit, TokenError, TokenStorage, Verdict, dropped_notice,
    too_many_connections,
};

fn broker(access: Access, token_storage: TokenStorage) -> Broker {
    let config = Config {
        access,
        token_storage,
        token: Some("server".to_owned()),
        commands: vec!["echo".to_owned()],
        ..Config::default()
    };
    Broker::new(config, 1)
}

fn connect(broker: &mut Broker, token: &str) -> SessionId {
    broker.connect(Credentials { token: Some(token) })
}

fn say(broker: &mut Broker, session: SessionId, message: &str) {
    broker.handle_message(session, message.as_bytes());
}

/// The texts that are sent, whomever to.
fn texts(broker: &mut Broker) -> Vec<String> {
    let mut texts = Vec::new();
    while let Some(output) = broker.poll_output() {
        match output {
            Output::Send { message, .. } | Output::Deliver { message, .. } => {
                texts.push(String::from_utf8(message).expect("messages are UTF-8"));
            }
            other => panic!("nothing else is expected: {other:?}"),
        }
    }
    texts
}

/// What a store says of the token "t".
fn granted(tags: &[&str]) -> AuthReply {
    let tags = tags.iter().map(|&tag| tag.to_owned()).collect();
    Ok(Some(Grants::of_token("t", tags)))
}

fn ask(broker: &mut Broker) -> (SessionId, AuthRequest) {
    match broker.poll_output() {
        Some(Output::Ask { session, request }) => (session, request),
        other => panic!("a question is expected: {other:?}"),
    }
}

const PING: &str = r#"{"command":"ping"}"#;

#[test]
fn a_session_that_has_gone_is_nothing_even_when_its_slot_is_taken() {
    let mut broker = broker(Access::Open, TokenStorage::Host);
    let old = broker.connect(Credentials::default());
    say(&mut broker, old, r#"{"command":"subscribe","tags":["a"]}"#);
    broker.disconnect(old);
    broker.disconnect(old);
    assert_eq!(broker.stats().sessions, 0);
    let new = broker.connect(Credentials::default());
    assert_eq!(old.slot(), new.slot());
    assert_ne!(old, new);

    say(&mut broker, old, r#"{"command":"subscribe","tags":["b"]}"#);
    say(&mut broker, old, "nonsense");
    broker.disconnect(old);
    assert!(!broker.is_waiting(old));
    broker.handle_custom_reply(old, Ok(Some(CustomReply::default())));
    let mut scan = Scan::new();
    let limits = broker.limits().clone();
    let message = Messages::lines(PING.as_bytes()).next(&mut scan, &limits);
    let message = message.expect("there is one").expect("it is read");
    assert!(matches!(
        broker.decide(old, &message, &mut Scratch::new()),
        Verdict::Exclusive
    ));
    assert!(broker.handle(old, &message).is_none());
    assert_eq!(broker.stats().subscriptions, 0);
    assert_eq!(broker.stats().sessions, 1);
    assert_eq!(texts(&mut broker), [""; 0]);
}

#[test]
fn what_waits_for_a_session_that_goes_is_passed_over_but_questions_are_not() {
    let mut broker = broker(Access::Open, TokenStorage::Host);
    let reader = broker.connect(Credentials::default());
    let writer = broker.connect(Credentials::default());
    let admin = connect(&mut broker, "server");
    say(
        &mut broker,
        reader,
        r#"{"command":"subscribe","tags":["a"]}"#,
    );
    say(
        &mut broker,
        writer,
        r#"{"command":"publish","tags":["a"],"data":"x","id":1}"#,
    );
    say(&mut broker, reader, PING);
    say(&mut broker, reader, r#"{"command":"echo"}"#);
    say(
        &mut broker,
        admin,
        r#"{"command":"register","data":"t","tags":["a"]}"#,
    );
    broker.disconnect(reader);
    broker.disconnect(admin);
    // Somebody else in the same slots.
    broker.connect(Credentials::default());
    broker.connect(Credentials::default());
    let Some(Output::Deliver {
        targets, receipt, ..
    }) = broker.poll_output()
    else {
        panic!("the publisher is answered still");
    };
    assert!(targets.is_empty());
    let receipt = receipt.expect("the publish had an id");
    assert_eq!(receipt.session(), writer);
    assert_eq!(
        receipt.reply(targets.len()),
        br#"{"command":"publish","tags":["a"],"data":"success","delivered":0,"id":1}"#
    );
    let (asker, request) = ask(&mut broker);
    assert_eq!((asker, request.token()), (admin, "t"));
    assert!(broker.poll_output().is_none());
    broker.handle_auth_reply(asker, &request, Ok(None));
    assert!(broker.poll_output().is_none());
}

#[test]
fn going_takes_several_steps_for_a_big_subscriber_and_all_of_it_counts() {
    let mut broker = broker(Access::Open, TokenStorage::None);
    let big = broker.connect(Credentials::default());
    for tag in 0..200 {
        say(
            &mut broker,
            big,
            &format!(r#"{{"command":"subscribe","tags":["{tag}"]}}"#),
        );
    }
    let mut steps = 1;
    while !broker.disconnect_some(big) {
        steps += 1;
        // Half gone: nothing it says counts, and its slot is taken.
        say(&mut broker, big, PING);
        say(
            &mut broker,
            big,
            r#"{"command":"subscribe","tags":["new"]}"#,
        );
        let other = broker.connect(Credentials::default());
        assert_ne!(other.slot(), big.slot());
        broker.disconnect(other);
    }
    assert!(steps > 2, "{steps} steps");
    assert_eq!(
        (broker.stats().sessions, broker.stats().subscriptions),
        (0, 0)
    );
    assert!(broker.disconnect_some(big));
    assert_eq!(texts(&mut broker), [""; 0]);
}

#[test]
fn a_login_that_finds_fewer_grants_takes_the_rest_from_those_before_it() {
    let mut broker = broker(Access::Scoped, TokenStorage::Host);
    let first = connect(&mut broker, "t");
    let (_, request) = ask(&mut broker);
    broker.handle_auth_reply(first, &request, granted(&["a", "b"]));
    say(
        &mut broker,
        first,
        r#"{"command":"subscribe","tags":["a"]}"#,
    );
    say(
        &mut broker,
        first,
        r#"{"command":"subscribe","tags":["b"]}"#,
    );
    // Meanwhile somebody else has changed the store.
    let second = connect(&mut broker, "t");
    let (_, request) = ask(&mut broker);
    broker.handle_auth_reply(second, &request, granted(&["b"]));
    assert_eq!(
        texts(&mut broker),
        [
            r#"{"command":"unsubscribe","tags":["a"],"error":"subscription removed - the token no longer grants any of its tags","code":"revoked"}"#
        ]
    );
    assert_eq!(broker.stats().subscriptions, 1);
}

#[test]
fn an_empty_server_token_makes_nobody_admin() {
    let config = Config {
        token: Some(String::new()),
        token_storage: TokenStorage::Memory,
        ..Config::default()
    };
    let mut broker = Broker::new(config, 1);
    let session = broker.connect(Credentials::default());
    say(&mut broker, session, r#"{"command":"auth"}"#);
    say(&mut broker, session, r#"{"command":"register","data":"t"}"#);
    let texts = texts(&mut broker);
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(
        texts.iter().all(|text| text.contains("not authorized")),
        "{texts:?}"
    );
}

#[test]
fn what_comes_while_a_session_waits_is_answered_afterwards_in_order() {
    let mut broker = broker(Access::Open, TokenStorage::Host);
    let admin = connect(&mut broker, "server");
    let lines = r#"{"command":"ping","id":1}
{"command":"register","data":"t","id":2}{"command":"ping","id":3}
nonsense
{"command":"tags","data":"t"}
{"command":"ping","id":4}"#;
    say(&mut broker, admin, lines);
    assert!(broker.is_waiting(admin));
    say(&mut broker, admin, r#"{"command":"ping","id":5}"#);
    let ids = |broker: &mut Broker| -> Vec<String> {
        let mut ids = Vec::new();
        while broker.poll_output().is_some_and(|output| match output {
            Output::Send { message, .. } => {
                let text = String::from_utf8(message).expect("messages are UTF-8");
                ids.push(text.rsplit(':').next().unwrap_or_default().replace('}', ""));
                true
            }
            Output::Ask { .. } => false,
            other => panic!("nothing else is expected: {other:?}"),
        }) {}
        ids
    };
    assert_eq!(ids(&mut broker), ["1"]);
    let register = AuthRequest::Edit(TokenEdit::new(EditKind::Register, "t"));
    broker.handle_auth_reply(admin, &register, Ok(None));
    let seen = ids(&mut broker);
    assert_eq!(&seen[..2], ["2", "3"]);
    assert_eq!(seen[2], "\"unreadable\"");
    assert!(broker.is_waiting(admin));
    let tags = AuthRequest::Lookup {
        token: "t".to_owned(),
    };
    broker.handle_auth_reply(
        admin,
        &tags,
        Err(TokenError::Unavailable("disk full".to_owned())),
    );
    let seen = ids(&mut broker);
    assert_eq!(seen[0], "\"store-unavailable\"");
    assert_eq!(&seen[1..], ["4", "5"]);
    assert!(!broker.is_waiting(admin));
}

#[test]
fn nothing_is_decided_for_a_session_that_waits_or_has_not_spoken() {
    let mut broker = broker(Access::Open, TokenStorage::Host);
    let session = broker.connect(Credentials::default());
    let mut scan = Scan::new();
    let limits = broker.limits().clone();
    let line = br#"{"command":"publish","tags":["a"],"data":"x"}"#;
    let message = Messages::lines(line).next(&mut scan, &limits);
    let message = message.expect("there is one").expect("it is read");
    let mut scratch = Scratch::new();
    let mut is_decided = |broker: &Broker| {
        !matches!(
            broker.decide(session, &message, &mut scratch),
            Verdict::Exclusive
        )
    };
    assert!(!is_decided(&broker), "it may be the first message");
    say(&mut broker, session, PING);
    assert!(is_decided(&broker));
    say(&mut broker, session, "nonsense");
    assert!(!is_decided(&broker), "it ends a row of bad messages");
    say(&mut broker, session, PING);
    assert!(is_decided(&broker));
    say(&mut broker, session, r#"{"command":"echo"}"#);
    assert!(!is_decided(&broker), "it must not overtake what waits");
    broker.handle_custom_reply(session, Ok(None));
    assert!(is_decided(&broker));
}

#[test]
fn one_decision_serves_all_messages_with_the_same_text_of_tags() {
    let mut broker = broker(Access::Open, TokenStorage::None);
    let reader = broker.connect(Credentials::default());
    let writer = broker.connect(Credentials::default());
    say(
        &mut broker,
        reader,
        r#"{"command":"subscribe","tags":["a"]}"#,
    );
    say(&mut broker, writer, PING);
    texts(&mut broker);
    // The second goes out as it comes in, the first and third do not.
    for tags in [r#"["b","a"]"#, r#"["a","b"]"#, r#"["a","\u0062"]"#] {
        assert_eq!(decided_once(&broker, writer, tags), AB);
    }
}

const AB: &str = r#"{"command":"publish","tags":["a","b"],"data":"1"}
{"command":"publish","tags":["a","b"],"data":"2"}
{"command":"publish","tags":["a","b"]}
{"command":"publish","tags":["a","b"],"data":"3"}
"#;

/// What is delivered of several messages with the same tags, of which only the first is decided.
fn decided_once(broker: &Broker, writer: SessionId, tags: &str) -> String {
    let lines = format!(
        r#"{{"command":"publish","tags":{tags},"data":"1"}}
{{"data":"2", "tags":{tags}, "command":"publish"}}
{{"command":"publish","tags":{tags}}}
{{"command":"publish","tags":{tags},"data":"3"}}
"#
    );
    let limits = broker.limits().clone();
    let (mut scan, mut scratch, mut bodies) = (Scan::new(), Scratch::new(), Vec::new());
    let lines = lines.as_bytes();
    let mut messages = Messages::lines(lines);
    let mut text = None;
    while let Some(message) = messages.next(&mut scan, &limits) {
        let message = message.expect("it is read");
        if text.is_none() {
            broker.decide(writer, &message, &mut scratch);
        }
        assert_eq!(
            *text.get_or_insert(message.tags_text().to_owned()),
            message.tags_text()
        );
        scratch.write_body(&message, &mut bodies);
        bodies.push(b'\n');
    }
    String::from_utf8(bodies).expect("bodies are UTF-8")
}

#[test]
fn a_store_that_fails_leaves_a_login_where_it_was() {
    for access in [Access::Open, Access::Scoped] {
        for (error, text) in [
            (TokenError::NotFound, "the token is not valid"),
            (
                TokenError::Invalid("it has a slash".to_owned()),
                "the token is not valid",
            ),
            (
                TokenError::Unavailable("gone".to_owned()),
                "Token store unavailable, the token was not looked at - try again later",
            ),
        ] {
            let mut broker = broker(access, TokenStorage::Host);
            let session = broker.connect(Credentials::default());
            say(
                &mut broker,
                session,
                r#"{"command":"auth","data":"t","id":9}"#,
            );
            let (_, request) = ask(&mut broker);
            broker.handle_auth_reply(session, &request, Err(error));
            say(&mut broker, session, r#"{"command":"list"}"#);
            let texts = texts(&mut broker);
            assert!(
                texts[0].contains(text) && texts[0].ends_with(",\"id\":9}"),
                "{texts:?}"
            );
            assert!(
                !texts[0].contains("gone"),
                "what is wrong is told to admins only"
            );
            assert_eq!(
                texts[1].contains("not authorized"),
                access == Access::Scoped
            );
        }
    }
}

#[test]
fn a_notice_of_drops_has_no_words_but_the_number() {
    assert_eq!(
        dropped_notice(u64::MAX),
        br#"{"command":"dropped","data":"18446744073709551615"}"#
    );
    assert_eq!(
        too_many_connections(7),
        br#"{"command":"","error":"too many connections: the limit is 7 (connections); closing","code":"too-many-connections"}"#
    );
}

#[test]
fn the_host_publishes_to_every_match() {
    let mut broker = broker(Access::Scoped, TokenStorage::None);
    let session = connect(&mut broker, "server");
    say(
        &mut broker,
        session,
        r#"{"command":"subscribe","tags":["a","b"]}"#,
    );
    let mut scratch = Scratch::new();
    for (data, expected) in [
        (
            "x\n\"y\"",
            r#"{"command":"publish","tags":["a","b","c"],"data":"x\n\"y\""}"#,
        ),
        ("", r#"{"command":"publish","tags":["a","b","c"]}"#),
    ] {
        let mut body = Vec::new();
        let long = broker.route(&["c", "b", "a", "b"], data, &mut scratch, &mut body);
        assert!(long.is_none());
        assert_eq!(scratch.targets(), [session.slot() as u32]);
        assert_eq!(body, expected.as_bytes());
    }
    let long = broker.route(&["a"], "x", &mut scratch, &mut Vec::new());
    assert!(long.is_none());
    assert!(scratch.targets().is_empty());
}

#[test]
fn tokens_show_in_nothing_that_is_printed() {
    let config = Config {
        access: Access::Scoped,
        token_storage: TokenStorage::Memory,
        token: Some("hush-server".to_owned()),
        ..Config::default()
    };
    let credentials = Credentials {
        token: Some("hush-credentials"),
    };
    let mut printed = format!("{config:?} {credentials:?}");
    let mut broker = Broker::new(config, 1);
    let admin = connect(&mut broker, "hush-server");
    say(
        &mut broker,
        admin,
        r#"{"command":"register","data":"hush-registered","tags":["a"]}"#,
    );
    let session = connect(&mut broker, "hush-registered");
    say(
        &mut broker,
        session,
        r#"{"command":"auth","data":"hush-wrong"}"#,
    );
    say(
        &mut broker,
        session,
        r#"{"command":"tags","data":"hush-registered"}"#,
    );
    printed += &format!("{broker:?}");
    while let Some(output) = broker.poll_output() {
        printed += &format!("{output:?}");
        if let Output::Send { message, .. } = output {
            printed += &String::from_utf8_lossy(&message);
        }
    }
    let request = AuthRequest::Edit(TokenEdit::new(EditKind::Unregister, "hush-request"));
    printed += &format!("{request:?}");
    let mut scan = Scan::new();
    let bytes = br#"{"command":"auth","data":"hush-message"}"#;
    let mut messages = Messages::lines(bytes);
    printed += &format!("{messages:?}");
    printed += &format!("{:?}", messages.next(&mut scan, broker.limits()));
    assert!(!printed.contains("hush"), "{printed}");
}
