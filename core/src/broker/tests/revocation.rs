//! A grant is taken from many sessions, in parts.

use super::*;

#[test]
fn a_grant_of_many_subscriptions_is_taken_in_parts_and_then_answered() {
    for command in ["unset", "unregister"] {
        let (mut broker, admin) = scoped(TokenStorage::Memory);
        let holders: Vec<_> = (0..3)
            .map(|_| broker.connect(Credentials { token: Some("t1") }))
            .collect();
        for &holder in &holders {
            for number in 0..2000 {
                for granted in ["a", "b"] {
                    let text =
                        format!(r#"{{"command":"subscribe","tags":["{granted}","{number}"]}}"#);
                    broker.handle_message(holder, text.as_bytes());
                }
            }
        }
        assert_eq!(sent_to(&mut broker, admin), (Vec::new(), false));

        let text = format!(
            "{{\"command\":\"{command}\",\"data\":\"t1\",\"tags\":[\"b\"],\"id\":1}}\n{{\"command\":\"ping\"}}"
        );
        broker.handle_message(admin, text.as_bytes());
        let mut parts = 0;
        let mut texts = Vec::new();
        loop {
            let before = broker.stats().subscriptions;
            let (more, is_unfinished) = sent_to(&mut broker, admin);
            texts.extend(more);
            if !is_unfinished {
                break;
            }
            assert!(
                texts.is_empty() && broker.is_waiting(admin),
                "not before all is done"
            );
            // What is no longer granted cannot be had meanwhile.
            broker.handle_message(holders[2], br#"{"command":"subscribe","tags":["b","new"]}"#);
            assert_eq!(broker.stats().subscriptions, before);
            broker.proceed();
            assert!(before - broker.stats().subscriptions <= 16_384 / 64);
            parts += 1;
        }
        assert!(parts >= 5, "{parts} parts");
        assert_eq!(texts.len(), 2, "{texts:?}");
        assert!(texts[0].contains("success") && texts[1].contains("pong"));
        let left = if command == "unset" { 6000 } else { 0 };
        assert_eq!(broker.stats().subscriptions, left);
        broker.assert_consistent();
    }
}

#[test]
fn notices_of_long_tags_are_written_in_parts_and_weigh_six_times_the_subscriptions_at_most() {
    let (mut broker, admin) = scoped(TokenStorage::Memory);
    let holder = broker.connect(Credentials { token: Some("t1") });
    let mut weight = 0;
    for number in 0..100 {
        // As many bytes in a notice as may be.
        let mut tags: Vec<_> = (0..31)
            .map(|tag| format!("{number} {tag} {}", "\u{1}".repeat(1000)))
            .collect();
        tags.push(String::from("a"));
        let bytes = tags.iter().map(String::len).sum();
        weight += Limits::subscription_weight(1, tags.len(), bytes);
        let line = serde_json::json!({"command": "subscribe", "tags": tags});
        broker.handle_message(holder, format!("{line}").as_bytes());
    }
    let line = br#"{"command":"unset","data":"t1","tags":["a"],"id":1}"#;
    broker.handle_message(admin, line);
    let (mut notices, mut total) = (0, 0);
    loop {
        let (texts, is_unfinished) = sent_to(&mut broker, holder);
        let bytes: usize = texts.iter().map(String::len).sum();
        assert!(bytes < 1_200_000, "{bytes} bytes at once");
        notices += texts.len();
        total += bytes;
        if !is_unfinished {
            break;
        }
        let _ = broker.proceed();
    }
    assert_eq!(notices, 100);
    assert!(total <= 6 * weight, "{total} bytes for {weight}");
}

#[test]
fn changes_while_a_grant_is_being_taken_wait_for_their_turn() {
    let (mut broker, admin) = scoped(TokenStorage::Memory);
    let other = broker.connect(Credentials {
        token: Some("server"),
    });
    let holder = broker.connect(Credentials { token: Some("t1") });
    subscribe_to_many(&mut broker, holder, "a", 5000);
    broker.handle_message(
        admin,
        br#"{"command":"unset","data":"t1","tags":["a"],"id":1}"#,
    );
    broker.handle_message(other, br#"{"command":"unregister","data":"t1","id":2}"#);
    // One that is about no session is answered at once; one that left need not be answered.
    broker.handle_message(other, br#"{"command":"ping"}"#);
    assert!(broker.is_waiting(admin) && broker.is_waiting(other));
    broker.disconnect(admin);
    // The holder may present another token while its subscriptions are still being looked at.
    broker.handle_message(holder, br#"{"command":"auth","data":"server","id":3}"#);
    let mut texts = Vec::new();
    loop {
        let (more, is_unfinished) = sent_to(&mut broker, other);
        texts.extend(more);
        if !is_unfinished {
            break;
        }
        broker.proceed();
    }
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(texts[0].contains("\"id\":2") && texts[1].contains("pong"));
    broker.assert_consistent();
}

#[test]
fn sessions_of_one_token_may_leave_in_any_order() {
    let (mut broker, _) = scoped(TokenStorage::Memory);
    let mut dice = Dice(7);
    let mut sessions: Vec<_> = (0..300)
        .map(|_| broker.connect(Credentials { token: Some("t1") }))
        .collect();
    while !sessions.is_empty() {
        broker.disconnect(sessions.swap_remove(dice.below(sessions.len())));
        if sessions.len() % 16 == 0 {
            broker.assert_consistent();
        }
    }
}

#[test]
fn what_is_left_of_a_revocation_does_not_touch_who_gets_the_slot() {
    let (mut broker, admin) = scoped(TokenStorage::Memory);
    let holder = broker.connect(Credentials { token: Some("t1") });
    subscribe_to_many(&mut broker, holder, "a", 2000);
    broker.handle_message(admin, br#"{"command":"unregister","data":"t1","id":1}"#);
    assert!(broker.is_waiting(admin));
    broker.disconnect(holder);
    let next = broker.connect(Credentials {
        token: Some("server"),
    });
    assert_eq!(next.slot, holder.slot);
    subscribe_to_many(&mut broker, next, "other", 2000);
    while sent_to(&mut broker, admin).1 {
        let _ = broker.proceed();
    }
    assert!(!broker.is_waiting(admin));
    assert_eq!(broker.stats().subscriptions, 2000);
}

#[test]
fn what_was_taken_already_is_answered_behind_what_is_still_being_taken() {
    let (mut broker, admin) = scoped(TokenStorage::Memory);
    let other = broker.connect(Credentials {
        token: Some("server"),
    });
    let holder = broker.connect(Credentials { token: Some("t1") });
    subscribe_to_many(&mut broker, holder, "a", 2000);
    for session in [admin, other] {
        broker.handle_message(
            session,
            br#"{"command":"unset","data":"t1","tags":["a"],"id":1}"#,
        );
        assert!(broker.is_waiting(session));
    }
    // Nothing is taken by this one.
    let third = broker.connect(Credentials {
        token: Some("server"),
    });
    broker.handle_message(
        third,
        br#"{"command":"set","data":"t1","tags":["c"],"id":1}"#,
    );
    assert!(!broker.is_waiting(third));
    while broker.is_waiting(other) {
        assert!(broker.stats().subscriptions > 0 || !broker.is_waiting(admin));
        let _ = broker.proceed();
    }
    assert_eq!(broker.stats().subscriptions, 0);
}

/// What sessions lose is removed before others get their turn, so a renewal must not have them looked at for nothing.
#[test]
fn sessions_are_looked_at_only_where_a_token_grants_less_than_before() {
    let config = Config {
        access: Access::Scoped,
        token_storage: TokenStorage::Host,
        ..Config::default()
    };
    let mut broker = Broker::new(config, 1);
    let granted = |tags: &[&str], expires_at| Grants {
        subject: String::from("desk"),
        subscribe: tags.iter().map(|&tag| String::from(tag)).collect(),
        expires_at,
        ..Grants::default()
    };
    let answer = |broker: &mut Broker, grants: Grants| {
        let Some(Output::Ask { session, request }) = broker.poll_output() else {
            panic!("nothing is asked");
        };
        broker.handle_auth_reply(session, &request, Ok(Some(grants)));
    };
    let loser = broker.connect(Credentials {
        token: Some("losing"),
    });
    answer(&mut broker, granted(&["a"], None));
    subscribe_to_many(&mut broker, loser, "a", 2000);
    let [session, _] = [0, 1].map(|_| {
        let session = broker.connect(Credentials {
            token: Some("shared"),
        });
        answer(&mut broker, granted(&["a", "b"], Some(1)));
        broker.handle_message(session, br#"{"command":"ping"}"#);
        let _ = sent_to(&mut broker, session);
        session
    });
    broker.handle_token_change("losing", Some(granted(&[], None)));
    assert!(matches!(broker.poll_output(), Some(Output::Send { .. })));
    assert_eq!(broker.revocations.len(), 1);
    while broker.poll_output().is_some() {}

    // The time alone, said by a login and by the host.
    broker.connect(Credentials {
        token: Some("shared"),
    });
    answer(&mut broker, granted(&["b", "a"], Some(2)));
    assert_eq!(broker.holders["shared"].grants.expires_at, Some(2));
    broker.handle_token_change("shared", Some(granted(&["a", "b"], Some(3))));
    assert_eq!(broker.holders["shared"].grants.expires_at, Some(3));
    assert_eq!(broker.revocations.len(), 1);

    for (token, tags, waiting) in [
        ("shared", &["a", "b"][..], 1),
        ("same", &["a", "b"], 1),
        ("more", &["a", "b", "c"], 1),
        ("other", &["c", "d"], 2),
    ] {
        let line = format!(r#"{{"command":"auth","data":"{token}"}}"#);
        broker.handle_message(session, line.as_bytes());
        answer(&mut broker, granted(tags, None));
        assert_eq!(broker.revocations.len(), waiting, "{token}");
        assert_eq!(broker.is_waiting(session), waiting > 1, "{token}");
        while broker.poll_output().is_some() {}
    }
}
