//! Every limit, one below, at, and one above: and the text that names value, limit and setting.

use mist_core::message::{Messages, Scan};
use mist_core::{
    Access, Broker, Config, Credentials, DisconnectReason, Limits, Output, SessionId, TokenStorage,
};
use serde_json::{Value, json};

struct World {
    broker: Broker,
    session: SessionId,
}

impl World {
    fn new(set: impl Fn(&mut Limits)) -> Self {
        let mut config = Config::default();
        set(&mut config.limits);
        let mut broker = Broker::new(config, 1);
        let session = broker.connect(Credentials::default());
        Self { broker, session }
    }

    /// Says one thing; returns the error it is answered with, if any.
    fn say(&mut self, message: &Value) -> Option<String> {
        self.say_bytes(message.to_string().as_bytes())
    }

    fn say_bytes(&mut self, message: &[u8]) -> Option<String> {
        self.broker.handle_message(self.session, message);
        let (errors, _) = self.drain();
        assert!(errors.len() < 2, "{errors:?}");
        errors.into_iter().next()
    }

    fn drain(&mut self) -> (Vec<String>, Option<DisconnectReason>) {
        let mut errors = Vec::new();
        let mut close = None;
        while let Some(output) = self.broker.poll_output() {
            match output {
                Output::Send { message, .. } => {
                    assert_eq!(close, None, "nothing comes behind the end");
                    let message: Value = serde_json::from_slice(&message).expect("it is JSON");
                    if let Some(error) = message["error"].as_str() {
                        errors.push(error.to_owned());
                    }
                }
                Output::Close { reason, .. } => close = Some(reason),
                Output::Deliver { .. } | Output::Revoked { .. } => {}
                other => panic!("nothing else is expected: {other:?}"),
            }
        }
        (errors, close)
    }
}

fn tags(count: usize) -> Vec<String> {
    (0..count).map(|tag| tag.to_string()).collect()
}

#[test]
fn tags_per_message() {
    for limit in [1, 3, 64] {
        let mut world = World::new(|limits| limits.tags_per_message = limit);
        for count in 1..=limit + 2 {
            let error =
                world.say(&json!({ "command": "publish", "tags": tags(count), "data": "x" }));
            let expected = format!("{count} tags exceed the limit of {limit} (tags-per-message)");
            assert_eq!(error, (count > limit).then_some(expected));
        }
        // Duplicates count: they are work, too.
        let same = vec!["a"; limit + 1];
        assert!(
            world
                .say(&json!({ "command": "publish", "tags": same }))
                .is_some()
        );
    }
}

#[test]
fn tags_per_subscription() {
    for command in ["subscribe", "unsubscribe"] {
        for limit in [1, 4, 32] {
            let mut world = World::new(|limits| limits.tags_per_subscription = limit);
            for count in [limit - 1, limit, limit + 1, 63, 64, 65, 1000] {
                let error = world.say(&json!({ "command": command, "tags": tags(count) }));
                let expected = match count {
                    0 => Some(format!("Unable to {command} - missing tags")),
                    _ if count > limit => Some(format!(
                        "{count} tags exceed the limit of {limit} (tags-per-subscription)"
                    )),
                    _ => None,
                };
                assert_eq!(error, expected);
            }
        }
    }
    let mut world = World::new(|limits| limits.tags_per_subscription = 1000);
    assert_eq!(
        world.say(&json!({ "command": "subscribe", "tags": tags(64) })),
        None
    );
    assert_eq!(
        world.say(&json!({ "command": "subscribe", "tags": tags(65) })),
        Some("65 tags exceed the limit of 64 (tags-per-message)".to_owned())
    );
}

#[test]
fn tag_bytes() {
    for command in ["subscribe", "unsubscribe", "publish"] {
        for limit in [1, 8, 1024] {
            let mut world = World::new(|limits| limits.tag_bytes = limit);
            for length in [limit - 1, limit, limit + 1] {
                let text = "t".repeat(length);
                let error = world.say(&json!({ "command": command, "tags": ["a", text] }));
                let expected =
                    format!("{length} bytes in a tag exceed the limit of {limit} (tag-bytes)");
                assert_eq!(error, (length > limit).then_some(expected));
                // Decoded bytes count, not the literal's.
                let escaped = "\\u0074".repeat(length);
                let line = format!(r#"{{"command":"{command}","tags":["{escaped}"]}}"#);
                assert_eq!(world.say_bytes(line.as_bytes()).is_some(), length > limit);
            }
        }
    }
}

#[test]
fn subscriptions() {
    for limit in [0, 1, 5] {
        let mut world = World::new(|limits| limits.subscriptions = limit);
        for count in 1..=limit + 2 {
            let error = world.say(&json!({ "command": "subscribe", "tags": [count.to_string()] }));
            let expected = format!(
                "{} subscriptions exceed the limit of {limit} (subscriptions)",
                limit + 1
            );
            assert_eq!(error, (count > limit).then_some(expected));
            assert_eq!(world.broker.stats().subscriptions, count.min(limit));
        }
        if limit > 0 {
            // One that is held already is no more; one that was given up makes room.
            assert_eq!(
                world.say(&json!({ "command": "subscribe", "tags": ["1", "1"] })),
                None
            );
            assert_eq!(
                world.say(&json!({ "command": "unsubscribe", "tags": ["1"] })),
                None
            );
            assert_eq!(
                world.say(&json!({ "command": "subscribe", "tags": ["new"] })),
                None
            );
        }
    }
}

#[test]
fn subscriptions_of_all_sessions_together() {
    for limit in [0, 1, 4] {
        let mut world = World::new(|limits| limits.subscriptions_total = limit);
        let sessions = [
            world.session,
            world.broker.connect(Credentials::default()),
            world.broker.connect(Credentials::default()),
        ];
        for count in 1..=limit + 2 {
            world.session = sessions[count % sessions.len()];
            let error = world.say(&json!({ "command": "subscribe", "tags": [count.to_string()] }));
            let expected = format!(
                "{} subscriptions of all sessions exceed the limit of {limit} (subscriptions-total)",
                limit + 1
            );
            assert_eq!(error, (count > limit).then_some(expected));
            assert_eq!(world.broker.stats().subscriptions, count.min(limit));
        }
        if limit > 0 {
            world.session = sessions[1];
            let again = json!({ "command": "subscribe", "tags": ["1"] });
            assert_eq!(world.say(&again), None, "it is held already");
            world.broker.disconnect(sessions[1]);
            world.session = sessions[0];
            let other = json!({ "command": "subscribe", "tags": ["other"] });
            assert_eq!(world.say(&other), None, "one that left makes room");
        }
    }
}

/// What the limit of bytes says a subscription weighs.
fn weight(tags: &[&str]) -> usize {
    let names: usize = tags.iter().map(|tag| tag.len()).sum();
    64 + 8 * tags.len() + names
}

#[test]
fn subscription_bytes() {
    let first = ["a", "some tag"];
    let second = ["b", "c", "a tag of thirty bytes at least"];
    let both = weight(&first) + weight(&second);
    for limit in [both - 1, both, both + 1] {
        let mut world = World::new(|limits| limits.subscription_bytes = limit);
        let subscribe = |tags: &[&str]| json!({ "command": "subscribe", "tags": tags });
        assert_eq!(world.say(&subscribe(&first)), None);
        let text = format!(
            "{both} bytes of subscriptions exceed the limit of {limit} (subscription-bytes)"
        );
        assert_eq!(
            world.say(&subscribe(&second)),
            (limit < both).then_some(text)
        );
        // What is held already weighs nothing more, what was given up nothing at all, and each session counts for itself.
        assert_eq!(world.say(&subscribe(&first)), None);
        let unsubscribe = json!({ "command": "unsubscribe", "tags": first });
        assert_eq!(world.say(&unsubscribe), None);
        assert_eq!(world.say(&subscribe(&second)), None);
        world.session = world.broker.connect(Credentials::default());
        assert_eq!(world.say(&subscribe(&first)), None);
    }
}

#[test]
fn subscription_bytes_of_all_sessions_together() {
    let limit = 100_000;
    let mut world = World::new(|limits| limits.subscription_total_bytes = limit);
    let tag = |number: usize| format!("{number:0>1000}");
    let mut refused = None;
    let mut count = 0;
    while refused.is_none() {
        world.session = world.broker.connect(Credentials::default());
        refused = world.say(&json!({ "command": "subscribe", "tags": [tag(count)] }));
        count += 1;
    }
    assert!((80..=100).contains(&count), "{count} tags of 1,000 bytes");
    let refused = refused.expect("the loop has ended");
    let (value, text) = refused.split_once(' ').expect("a number is first");
    assert!((limit..limit + 2000).contains(&value.parse().expect("a number")));
    assert_eq!(
        text,
        format!(
            "bytes of the subscriptions of all sessions exceed the limit of {limit} \
             (subscription-total-bytes)"
        )
    );
    // A name counts once, however many hold it; but there is no room for any.
    let first = json!({ "command": "subscribe", "tags": [tag(0)] });
    assert!(world.say(&first).is_some());
    let sessions: Vec<_> = (0..40)
        .map(|_| world.broker.connect(Credentials::default()))
        .collect();
    assert_eq!(world.broker.stats().subscriptions, count - 1);
    drop(sessions);
}

#[test]
fn message_bytes() {
    for limit in [60, 1000] {
        let overhead = r#"{"command":"publish","tags":["t"],"data":""}"#.len();
        for length in [limit - 1, limit, limit + 1] {
            for is_ended in [false, true] {
                let mut world = World::new(|limits| limits.message_bytes = limit);
                let data = "d".repeat(length - overhead);
                let mut line = format!(r#"{{"command":"publish","tags":["t"],"data":"{data}"}}"#);
                if is_ended {
                    line.push('\n');
                }
                world.broker.handle_message(world.session, line.as_bytes());
                let (errors, close) = world.drain();
                if length > limit {
                    let text = format!(
                        "{length} bytes of one message exceed the limit of {limit} (message-bytes); closing"
                    );
                    assert_eq!(errors, [text]);
                    assert_eq!(close, Some(DisconnectReason::MessageTooLarge));
                } else {
                    assert!(errors.is_empty() && close.is_none(), "{errors:?}");
                }
            }
        }
    }
}

#[test]
fn bytes_before_authentication() {
    for (early, all, setting) in [
        (60, 1000, "unauthenticated-bytes"),
        (1000, 60, "message-bytes"),
    ] {
        let scoped = || {
            let mut config = Config {
                access: Access::Scoped,
                token_storage: TokenStorage::Memory,
                token: Some("T".to_owned()),
                ..Config::default()
            };
            config.limits.unauthenticated_bytes = early;
            config.limits.message_bytes = all;
            let mut broker = Broker::new(config, 1);
            let session = broker.connect(Credentials::default());
            World { broker, session }
        };
        let ping = |length: usize| {
            let overhead = r#"{"command":"ping","data":""}"#.len();
            format!(
                r#"{{"command":"ping","data":"{}"}}"#,
                "d".repeat(length - overhead)
            )
        };
        for length in [59, 60, 61] {
            let mut world = scoped();
            world
                .broker
                .handle_message(world.session, ping(length).as_bytes());
            let (errors, close) = world.drain();
            if length > 60 {
                let text =
                    format!("61 bytes of one message exceed the limit of 60 ({setting}); closing");
                assert_eq!(errors, [text]);
                assert_eq!(close, Some(DisconnectReason::MessageTooLarge));
            } else {
                assert!(errors.is_empty() && close.is_none(), "{errors:?}");
            }
        }
        // The message right behind the token is held to the limit of those who have shown one.
        let mut world = scoped();
        let auth = r#"{"command":"auth","data":"T"}"#;
        for length in [all - 1, all, all + 1] {
            let both = format!("{auth}\n{}", ping(length));
            world.session = world.broker.connect(Credentials::default());
            world.broker.handle_message(world.session, both.as_bytes());
            let (errors, close) = world.drain();
            assert_eq!(close.is_some(), length > all, "{errors:?}");
            if length > all {
                assert!(errors[0].contains("(message-bytes)"), "{errors:?}");
            }
        }
        // Whose token is taken away is a stranger again.
        let mut admin = scoped();
        assert_eq!(admin.say_bytes(auth.as_bytes()), None);
        let desk = json!({ "command": "register", "data": "desk", "tags": ["a"] });
        assert_eq!(admin.say(&desk), None);
        let client = admin.broker.connect(Credentials {
            token: Some("desk"),
        });
        assert_eq!(
            admin.say(&json!({ "command": "unregister", "data": "desk" })),
            None
        );
        assert!(admin.broker.needs_token(client));
        admin
            .broker
            .handle_message(client, ping(early.min(all) + 1).as_bytes());
        let (errors, close) = admin.drain();
        assert!(errors[0].contains(setting), "{errors:?}");
        assert_eq!(close, Some(DisconnectReason::MessageTooLarge));
    }
}

#[test]
fn who_does_not_authenticate_in_time_is_told_and_closed() {
    let world = |access, token_storage, is_guarded| {
        let config = Config {
            access,
            token_storage,
            is_guarded,
            token: Some("T".to_owned()),
            ..Config::default()
        };
        let mut broker = Broker::new(config, 1);
        let session = broker.connect(Credentials::default());
        World { broker, session }
    };
    let text = "not authorized - no valid token within 5 seconds (authentication-seconds); closing";
    // The wrong token is answered, and is no token.
    for says in [
        None,
        Some(r#"{"command":"ping"}"#),
        Some(r#"{"command":"auth","data":"no"}"#),
    ] {
        let mut late = world(Access::Scoped, TokenStorage::Memory, false);
        if let Some(says) = says {
            late.say_bytes(says.as_bytes());
        }
        for _ in 0..2 {
            late.broker.handle_unauthenticated(late.session);
        }
        let (errors, close) = late.drain();
        assert_eq!(
            (errors, close),
            (
                vec![text.to_owned()],
                Some(DisconnectReason::Unauthenticated)
            )
        );
    }
    let auth = br#"{"command":"auth","data":"T"}"#;
    let mut admitted = world(Access::Scoped, TokenStorage::Memory, false);
    assert_eq!(admitted.say_bytes(auth), None);
    admitted.broker.handle_unauthenticated(admitted.session);
    assert_eq!(admitted.drain(), (Vec::new(), None));
    let mut open = world(Access::Open, TokenStorage::Memory, false);
    open.broker.handle_unauthenticated(open.session);
    assert_eq!(open.drain(), (Vec::new(), None));
    // Who waits for us is not late.
    let mut waiting = world(Access::Scoped, TokenStorage::Memory, true);
    waiting.broker.handle_message(waiting.session, auth);
    waiting.broker.handle_unauthenticated(waiting.session);
    assert!(matches!(
        waiting.broker.poll_output(),
        Some(Output::TokenPresented { .. })
    ));
    assert!(waiting.broker.poll_output().is_none());
}

#[test]
fn a_message_the_host_did_not_keep_is_answered_like_one_it_did() {
    let mut world = World::new(|limits| limits.message_bytes = 100);
    world.broker.handle_too_long(world.session, 101);
    let (errors, close) = world.drain();
    assert_eq!(
        errors,
        ["101 bytes of one message exceed the limit of 100 (message-bytes); closing"]
    );
    assert_eq!(close, Some(DisconnectReason::MessageTooLarge));
    // Nothing it says afterwards counts.
    world
        .broker
        .handle_message(world.session, br#"{"command":"ping"}"#);
    world.broker.handle_message(world.session, b"nonsense");
    assert_eq!(world.drain(), (Vec::new(), None));
}

#[test]
fn bad_messages_in_a_row() {
    for limit in [1, 2, 16, 255] {
        let mut world = World::new(|limits| limits.bad_messages = limit);
        // One less than the limit, then a good one, starts the count again.
        for _ in 0..2 {
            for _ in 1..limit {
                assert!(world.say_bytes(b"nonsense").is_some());
            }
            assert_eq!(world.say(&json!({ "command": "ping" })), None);
        }
        for _ in 1..limit {
            assert!(world.say_bytes(b"nonsense").is_some());
        }
        // Blank lines are no messages, neither good nor bad.
        assert_eq!(world.say_bytes(b"\n \r\n"), None);
        world.broker.handle_message(
            world.session,
            b"nonsense\nnonsense\n{\"command\":\"ping\"}\n",
        );
        let (errors, close) = world.drain();
        assert_eq!(errors.len(), 2);
        assert_eq!(
            errors[1],
            format!("{limit} invalid messages in a row (bad-messages); closing")
        );
        assert_eq!(close, Some(DisconnectReason::BadMessages));
    }
}

#[test]
fn nesting() {
    for limit in [2, 3, 16, 64] {
        let mut world = World::new(|limits| limits.nesting = limit);
        for depth in [limit - 1, limit, limit + 1] {
            let inner = usize::from(depth) - 1;
            let value = format!("{}0{}", "[".repeat(inner), "]".repeat(inner));
            let error = world.say_bytes(format!(r#"{{"command":"ping","x":{value}}}"#).as_bytes());
            let expected = format!(
                "nested deeper than the limit of {limit} (nesting), at byte {}",
                r#"{"command":"ping","x":"#.len() + inner - 1
            );
            assert_eq!(error, (depth > limit).then_some(expected));
        }
    }
}

#[test]
fn nesting_out_of_range_is_the_nearest_that_works() {
    for (nesting, works) in [(0, 2), (1, 2), (65, 64), (255, 64)] {
        let mut limits = Limits::default();
        limits.nesting = nesting;
        let mut scan = Scan::new();
        for (depth, is_read) in [(works, true), (works + 1, false)] {
            let text = format!(
                r#"{{"x":{}{}}}"#,
                "[".repeat(depth - 1),
                "]".repeat(depth - 1)
            );
            assert_eq!(scan.scan(&text, 0, &limits).is_ok(), is_read);
        }
        let line = "{\"command\":\"publish\",\"tags\":[\"a\"],\"data\":\"x\"}\n";
        assert!(scan.scan(line, 0, &limits).is_ok());
        assert!(scan.scan_publish_line(line, 0, &limits).is_some());
    }
}

#[test]
fn settings_are_checked_and_named() {
    let mut limits = Limits::default();
    for (setting, value, text) in [
        ("nesting", 1, "nesting: 1 is not between 2 and 64"),
        ("nesting", 65, "nesting: 65 is not between 2 and 64"),
        (
            "bad-messages",
            0,
            "bad-messages: 0 is not between 1 and 255",
        ),
        (
            "bad-messages",
            256,
            "bad-messages: 256 is not between 1 and 255",
        ),
        (
            "message-bytes",
            (1 << 30) + 1,
            "message-bytes: 1073741825 is over 1073741824",
        ),
        (
            "stall-seconds",
            1 << 32,
            "stall-seconds: 4294967296 is over 4294967295",
        ),
    ] {
        assert_eq!(limits.set(setting, value), Err(text.to_owned()));
    }
    assert_eq!(limits, Limits::default(), "what is refused changes nothing");
    for (setting, value) in [
        ("nesting", 2),
        ("nesting", 64),
        ("bad-messages", 255),
        ("message-bytes", 1 << 30),
    ] {
        assert_eq!(limits.set(setting, value), Ok(()));
    }
    assert_eq!(
        (limits.nesting, limits.bad_messages, limits.message_bytes),
        (64, 255, 1 << 30)
    );
}

#[test]
fn an_answer_to_what_is_too_big_is_small() {
    let mut world = World::new(|_| {});
    let many = json!({ "command": "publish", "tags": tags(100_000) }).to_string();
    let long = json!({ "command": "subscribe", "tags": ["t".repeat(1_000_000)] }).to_string();
    let custom = json!({ "command": "tags", "tags": tags(100_000), "data": "token" }).to_string();
    for message in [many, long] {
        world
            .broker
            .handle_message(world.session, message.as_bytes());
        let Some(Output::Send { message, .. }) = world.broker.poll_output() else {
            panic!("it is answered");
        };
        assert!(message.len() < 200, "{} bytes", message.len());
    }
    // Of an unknown command no more tags come back than a message may have.
    world
        .broker
        .handle_message(world.session, custom.as_bytes());
    let Some(Output::Send { message, .. }) = world.broker.poll_output() else {
        panic!("it is answered");
    };
    assert!(message.len() < 1_000, "{} bytes", message.len());
}

#[test]
fn limits_hold_in_frames_as_in_lines() {
    let mut limits = Limits::default();
    limits.message_bytes = 30;
    let mut scan = Scan::new();
    let frame = br#"{"command":"ping","data":"12345"}"#;
    let mut messages = Messages::frame(frame);
    let Some(Err(unreadable)) = messages.next(&mut scan, &limits) else {
        panic!("it is too long");
    };
    assert!(unreadable.error.is_too_long());
    assert!(messages.next(&mut scan, &limits).is_none());
}

#[test]
fn token_bytes() {
    for limit in [1, 8, 4096] {
        let mut config = Config {
            token_storage: TokenStorage::Memory,
            token: Some("T".to_owned()),
            ..Config::default()
        };
        config.limits.token_bytes = limit;
        let mut broker = Broker::new(config, 1);
        let session = broker.connect(Credentials { token: Some("T") });
        let mut admin = World { broker, session };
        for length in [limit - 1, limit, limit + 1] {
            let token = "t".repeat(length);
            let text =
                format!("{length} bytes in a token exceed the limit of {limit} (token-bytes)");
            let expected = (length > limit).then_some(text);
            for command in ["register", "set", "tags", "unregister"] {
                if length > 0 {
                    let told =
                        admin.say(&json!({ "command": command, "data": token, "tags": ["a"] }));
                    assert_eq!(told, expected, "{command}");
                }
            }
            // As a token that is presented, in a message and with the connection.
            let session = admin.broker.connect(Credentials::default());
            let message = json!({ "command": "auth", "data": token }).to_string();
            admin.broker.handle_message(session, message.as_bytes());
            let (errors, _) = admin.drain();
            assert_eq!(
                errors.contains(&expected.clone().unwrap_or_default()),
                length > limit
            );
            admin.broker.connect(Credentials {
                token: Some(&token),
            });
            let (errors, _) = admin.drain();
            assert_eq!(
                errors.contains(&expected.unwrap_or_default()),
                length > limit
            );
        }
    }
}

#[test]
fn bytes_of_all_registered_tokens() {
    let limit = 2000;
    let mut config = Config {
        token_storage: TokenStorage::Memory,
        token: Some("T".to_owned()),
        ..Config::default()
    };
    config.limits.token_total_bytes = limit;
    let mut broker = Broker::new(config, 1);
    let session = broker.connect(Credentials { token: Some("T") });
    let mut admin = World { broker, session };
    let tag = |number: usize| format!("{number:0>100}");
    for round in 0..3 {
        let mut count = 0;
        let refused = loop {
            let (command, token) = match count {
                0 => ("register", "a"),
                _ => ("set", "a"),
            };
            let message = json!({ "command": command, "data": token, "tags": [tag(count)] });
            if let Some(text) = admin.say(&message) {
                break text;
            }
            count += 1;
        };
        assert!((10..20).contains(&count), "{count} tags of 100 bytes");
        let text = "bytes of registered tokens exceed the limit of 2000 (token-total-bytes)";
        assert!(refused.ends_with(text), "{refused}");
        let another = json!({ "command": "register", "data": "b", "tags": [tag(0)] });
        assert!(
            admin.say(&another).is_some(),
            "nor is there room for another"
        );
        // What is taken away makes room, by whichever command.
        if round % 2 == 0 {
            admin
                .say(&json!({ "command": "unset", "data": "a", "tags": [tag(0), tag(1), tag(2)] }));
            assert_eq!(admin.say(&another), None);
        }
        for token in ["a", "b"] {
            assert_eq!(
                admin.say(&json!({ "command": "unregister", "data": token })),
                None
            );
        }
    }
}
