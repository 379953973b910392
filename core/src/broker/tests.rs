//! What must hold inside a broker between any two calls, whatever is done to it.

use alloc::format;
use std::collections::HashSet;

use super::*;
use crate::session::Role;

impl Broker {
    fn count(&self, slot: u32) -> usize {
        self.index.holding(slot).subscriptions
    }

    /// Checks everything that must hold between any two calls.
    fn assert_consistent(&self) {
        self.index.assert_consistent();
        let mut connected = 0;
        for (slot, place) in self.slots.iter().enumerate() {
            let is_free = self
                .free
                .iter()
                .filter(|&&free| free as usize == slot)
                .count();
            let Some(state) = &place.session else {
                assert_eq!(is_free, 1, "an empty slot is free once");
                assert_eq!(self.count(slot as u32), 0, "an empty slot holds nothing");
                continue;
            };
            assert_eq!(is_free, 0, "a taken slot is not free");
            connected += 1;
            let session = SessionId {
                slot: slot as u32,
                generation: place.generation,
            };
            if let Role::Token { token, place } = &state.role {
                let holders = &self.holders[token];
                assert_eq!(holders.sessions[*place as usize], session);
                for set in self.index.held(session.slot) {
                    let tags = self.index.sorted_tags(set);
                    assert!(holders.grants.allow_subscribe(&tags), "{tags:?} is granted");
                }
            }
            if self.access == Access::Scoped && matches!(state.role, Role::Anonymous) {
                assert_eq!(self.count(session.slot), 0, "nobody holds nothing");
            }
        }
        assert_eq!(connected, self.connected);
        assert_eq!(self.slots.len(), connected + self.free.len());
        for (token, holders) in &self.holders {
            let questions = self.slots.iter().filter_map(|slot| {
                let question = slot.session.as_ref()?.question.as_ref()?;
                Some(&question.about)
            });
            let asked_about = questions
                .filter(|about| matches!(about, About::Login { token: asked, .. } if **asked == **token))
                .count();
            assert_eq!(holders.asked_about, asked_about);
            assert!(
                !holders.sessions.is_empty() || asked_about > 0,
                "a token that nobody presents is forgotten"
            );
            for &session in &holders.sessions {
                let role = self.session(session).map(|state| &state.role);
                assert!(matches!(role, Some(Role::Token { token: held, .. }) if held == token));
            }
            if self.authenticator == Authenticator::Memory && !holders.sessions.is_empty() {
                let request = AuthRequest::Tags {
                    token: String::from(&**token),
                };
                let tags = self
                    .table
                    .clone()
                    .apply(&request)
                    .expect("it is registered");
                assert!(
                    holders.grants == Grants::new(&tags),
                    "grants are what the table says"
                );
            }
        }
    }
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(0x5851_F42D_4C95_7F2D)
            .wrapping_add(0x1405_7B7E_F767_814F);
        (self.0 >> 33) as usize % bound
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }

    fn message(&mut self) -> String {
        let command = self.pick(&[
            "subscribe",
            "subscribe",
            "subscribe",
            "unsubscribe",
            "publish",
            "publish",
            "register",
            "unregister",
            "set",
            "unset",
            "unset",
            "auth",
            "list",
            "listall",
            "tags",
        ]);
        let data = self.pick(&["t1", "t1", "t2", "server", "nobody"]);
        let tags: Vec<_> = (0..self.below(4))
            .map(|_| format!("\"{}\"", self.pick(&["a", "b", "c", "d"])))
            .collect();
        let tags = tags.join(",");
        match self.below(30) {
            0 => String::from("nonsense"),
            1 => String::from("{\"command\":\"ping\"}"),
            _ => format!("{{\"command\":\"{command}\",\"tags\":[{tags}],\"data\":\"{data}\"}}"),
        }
    }
}

#[test]
fn brokers_stay_consistent_under_random_sessions() {
    for seed in 0..150 {
        let mut dice = Dice(seed);
        let mut config = Config {
            access: [Access::Open, Access::Scoped, Access::Scoped][dice.below(3)],
            authenticator: [Authenticator::Memory, Authenticator::Host][dice.below(2)],
            token: Some(String::from("server")),
            is_numbered: seed % 2 == 1,
            ..Config::default()
        };
        config.limits.bad_messages = 2;
        let mut broker = Broker::new(config, seed);
        let mut store = TokenTable::new(1);
        let mut sessions = Vec::new();
        let mut questions = VecDeque::new();
        for _ in 0..150 {
            match dice.below(20) {
                0..4 => {
                    let token =
                        [None, Some("server"), Some("t1"), Some("t1"), Some("t2")][dice.below(5)];
                    sessions.push(broker.connect(Credentials { token }));
                }
                4..6 if !sessions.is_empty() => {
                    let session = sessions.swap_remove(dice.below(sessions.len()));
                    broker.disconnect(session);
                }
                6 if !sessions.is_empty() => {
                    broker.disconnect_some(sessions[dice.below(sessions.len())]);
                }
                7..12 => {
                    // The store answers in the order in which it was asked.
                    if let Some((session, request)) = questions.pop_front() {
                        let reply = store.apply(&request);
                        broker.handle_auth_reply(session, &request, reply);
                    }
                }
                _ if !sessions.is_empty() => {
                    let session = sessions[dice.below(sessions.len())];
                    let lines: Vec<_> = (0..1 + dice.below(3)).map(|_| dice.message()).collect();
                    broker.handle_message(session, lines.join("\n").as_bytes());
                }
                _ => {}
            }
            while let Some(output) = broker.poll_output() {
                if let Output::Ask { session, request } = output {
                    questions.push_back((session, request));
                }
            }
            broker.assert_consistent();
        }
        sessions
            .into_iter()
            .for_each(|session| broker.disconnect(session));
        broker.assert_consistent();
        assert!(broker.holders.is_empty());
        assert_eq!(broker.stats().subscriptions, 0);
    }
}

#[test]
fn answers_that_come_late_find_nobody_and_still_count() {
    let mut broker = Broker::new(
        Config {
            access: Access::Scoped,
            authenticator: Authenticator::Host,
            ..Config::default()
        },
        1,
    );
    let tags = |tags: &[&str]| Ok(tags.iter().copied().map(String::from).collect());
    let request = AuthRequest::Tags {
        token: String::from("t"),
    };
    let gone = broker.connect(Credentials { token: Some("t") });
    let here = broker.connect(Credentials { token: Some("t") });
    broker.disconnect(gone);
    broker.handle_auth_reply(gone, &request, tags(&["a"]));
    broker.assert_consistent();
    assert!(broker.holders["t"].sessions.is_empty());
    broker.handle_auth_reply(here, &request, tags(&["a"]));
    broker.handle_message(here, br#"{"command":"subscribe","tags":["a"]}"#);
    broker.assert_consistent();
    // The session that asked for this one has gone as well.
    let unset = AuthRequest::Unset {
        token: String::from("t"),
        tags: alloc::vec![String::from("a")],
    };
    broker.handle_auth_reply(gone, &unset, tags(&[]));
    assert_eq!(broker.stats().subscriptions, 0);
    broker.assert_consistent();
}

#[test]
fn ids_of_slots_that_are_used_again_are_all_different() {
    let mut broker = Broker::new(Config::default(), 1);
    let mut seen = HashSet::new();
    for _ in 0..100 {
        let session = broker.connect(Credentials::default());
        assert!(seen.insert(session));
        broker.disconnect(session);
    }
    assert_eq!(broker.slots.len(), 1);
}

/// A scoped broker in which "t1" grants `a` and `b`, and its admin.
fn scoped(authenticator: Authenticator) -> (Broker, SessionId) {
    let config = Config {
        access: Access::Scoped,
        authenticator,
        token: Some(String::from("server")),
        ..Config::default()
    };
    let mut broker = Broker::new(config, 1);
    let admin = broker.connect(Credentials {
        token: Some("server"),
    });
    broker.handle_message(
        admin,
        br#"{"command":"register","data":"t1","tags":["a","b"]}"#,
    );
    (broker, admin)
}

/// The texts that were sent to a session; stops where something takes long.
fn sent_to(broker: &mut Broker, session: SessionId) -> (Vec<String>, bool) {
    let mut texts = Vec::new();
    while let Some(output) = broker.poll_output() {
        match output {
            Output::Send {
                session: to,
                message,
            } if to == session => texts.push(String::from_utf8(message).expect("UTF-8")),
            Output::Proceed => return (texts, true),
            _ => {}
        }
    }
    (texts, false)
}

#[test]
fn a_grant_of_many_subscriptions_is_taken_in_parts_and_then_answered() {
    for command in ["unset", "unregister"] {
        let (mut broker, admin) = scoped(Authenticator::Memory);
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
    let (mut broker, admin) = scoped(Authenticator::Memory);
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
    let (mut broker, admin) = scoped(Authenticator::Memory);
    let other = broker.connect(Credentials {
        token: Some("server"),
    });
    let holder = broker.connect(Credentials { token: Some("t1") });
    for number in 0..5000 {
        let text = format!(r#"{{"command":"subscribe","tags":["a","{number}"]}}"#);
        broker.handle_message(holder, text.as_bytes());
    }
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
    let (mut broker, _) = scoped(Authenticator::Memory);
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
fn a_long_list_is_gathered_in_parts_and_says_the_same() {
    let mut broker = Broker::new(Config::default(), 1);
    let session = broker.connect(Credentials::default());
    let mut sets: Vec<_> = (0..3000)
        .map(|number| [format!("common{}", number % 7), format!("rare{number}")])
        .collect();
    for [one, other] in &sets {
        let text = format!(r#"{{"command":"subscribe","tags":["{one}","{other}"]}}"#);
        broker.handle_message(session, text.as_bytes());
    }
    broker.handle_message(session, br#"{"command":"ping","id":1}"#);
    sent_to(&mut broker, session);
    for command in ["list", "listall"] {
        let line = format!("{{\"command\":\"{command}\",\"tags\":[\"echo\"],\"id\":7}}\n");
        let (mut scan, mut scratch) = (Scan::new(), Scratch::new());
        let mut messages = Messages::lines(line.as_bytes());
        let message = messages
            .next(&mut scan, broker.limits())
            .expect("one")
            .expect("valid");
        let Verdict::Long(mut listing) = broker.decide(session, &message, &mut scratch) else {
            panic!("it is long");
        };
        let mut parts = 1;
        while !broker.list_some(&mut listing) {
            parts += 1;
        }
        assert!(parts >= 6, "{parts} parts");
        let text = String::from_utf8(listing.encode()).expect("UTF-8");
        broker.handle_message(session, line.as_bytes());
        assert_eq!(sent_to(&mut broker, session).0, [text.as_str()], "at once");

        let reply: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(
            (&reply["id"], &reply["tags"][0]),
            (&7.into(), &"echo".into())
        );
        sets.sort_by_key(|set| set.join(","));
        let mut tags: Vec<_> = sets.concat();
        tags.sort();
        tags.dedup();
        if command == "list" {
            assert_eq!(reply["subscriptions"], serde_json::json!(sets));
            let texts: Vec<_> = sets.iter().map(|set| set.join(",")).collect();
            assert_eq!(reply["data"], texts.join(" "));
        } else {
            assert_eq!(reply["data"], tags.join(" "));
        }
    }
}

#[test]
fn a_list_that_no_outbox_holds_is_refused_at_once() {
    let mut config = Config::default();
    config.limits.outbox_bytes = 5_000;
    let mut broker = Broker::new(config, 1);
    let session = broker.connect(Credentials::default());
    for number in 0..1000 {
        let text = format!(r#"{{"command":"subscribe","tags":["common","{number}"]}}"#);
        broker.handle_message(session, text.as_bytes());
    }
    for command in ["list", "listall"] {
        let line = format!("{{\"command\":\"{command}\"}}\n");
        let (mut scan, mut scratch) = (Scan::new(), Scratch::new());
        let mut messages = Messages::lines(line.as_bytes());
        let message = messages
            .next(&mut scan, broker.limits())
            .expect("one")
            .expect("valid");
        let limit = if command == "list" { 5_000 } else { 3_000 };
        broker.limits.outbox_bytes = limit;
        let verdict = broker.decide(session, &message, &mut scratch);
        assert!(matches!(verdict, Verdict::Reply), "{verdict:?}");
        assert_eq!(scratch.walked(), 0, "nothing is looked at");
        let text = String::from_utf8_lossy(scratch.reply());
        let expected = format!("bytes of an answer exceed the limit of {limit} (outbox-bytes)");
        assert!(text.contains(&expected), "{text}");
    }
}

/// Lists by `command`, in parts where it is long.
fn listed(broker: &Broker, session: SessionId, command: &str) -> String {
    let line = format!("{{\"command\":\"{command}\",\"tags\":[\"e\\n\"],\"id\":\"i\"}}\n");
    let (mut scan, mut scratch) = (Scan::new(), Scratch::new());
    let mut messages = Messages::lines(line.as_bytes());
    let message = messages
        .next(&mut scan, broker.limits())
        .expect("one")
        .expect("valid");
    let answer = match broker.decide(session, &message, &mut scratch) {
        Verdict::Reply => scratch.reply().to_vec(),
        Verdict::Long(mut listing) => {
            while !broker.list_some(&mut listing) {}
            listing.encode()
        }
        verdict => panic!("{verdict:?}"),
    };
    String::from_utf8(answer).expect("UTF-8")
}

#[test]
fn a_list_of_awkward_tags_is_whole_in_order_and_never_larger_than_an_outbox() {
    let parts = [
        "a",
        "b",
        ",",
        " ",
        "\"",
        "\\",
        "\n",
        "\u{1}",
        "\0",
        "ü",
        "\u{10ffff}",
    ];
    let mut dice = Dice(3);
    for count in [0, 1, 2, 5, 40, 3000] {
        let mut broker = Broker::new(Config::default(), 1);
        let session = broker.connect(Credentials::default());
        broker.handle_message(session, br#"{"command":"ping","id":1}"#);
        let mut sets = Vec::new();
        for _ in 0..count {
            let mut tag = || (0..dice.below(5)).map(|_| dice.pick(&parts)).collect();
            let mut tags: Vec<String> = alloc::vec![tag(), tag(), tag()];
            tags.truncate(1 + dice.below(3));
            let line = serde_json::json!({"command": "subscribe", "tags": tags});
            broker.handle_message(session, format!("{line}").as_bytes());
            tags.sort();
            tags.dedup();
            sets.push(tags);
        }
        sets.sort_by_key(|tags| (tags.join(","), tags.clone()));
        sets.dedup();
        let mut tags = sets.concat();
        tags.sort();
        tags.dedup();
        let texts: Vec<_> = sets.iter().map(|tags| tags.join(",")).collect();
        for command in ["list", "listall"] {
            broker.limits.outbox_bytes = 8 << 20;
            let whole = listed(&broker, session, command);
            let reply: serde_json::Value = serde_json::from_str(&whole).expect("JSON");
            let data = if command == "list" { &texts } else { &tags };
            assert_eq!(
                (&reply["tags"][0], &reply["id"]),
                (&"e\n".into(), &"i".into())
            );
            if count > 0 {
                assert_eq!(reply["data"], data.join(" "));
            }
            if count > 0 && command == "list" {
                assert_eq!(reply["subscriptions"], serde_json::json!(sets));
            }
            // There is always room for a refusal.
            for limit in (whole.len() - 3..whole.len() + 3).filter(|limit| *limit > 160) {
                broker.limits.outbox_bytes = limit;
                let answer = listed(&broker, session, command);
                if limit > whole.len() {
                    assert_eq!(answer, whole);
                } else if limit < whole.len() {
                    assert!(answer.len() <= limit, "{} of {limit}", answer.len());
                    let refusal = format!("exceed the limit of {limit} (outbox-bytes)");
                    assert!(answer.contains(&refusal), "{answer}");
                }
            }
        }
    }
}

#[test]
fn what_is_left_of_a_revocation_does_not_touch_who_gets_the_slot() {
    let (mut broker, admin) = scoped(Authenticator::Memory);
    let holder = broker.connect(Credentials { token: Some("t1") });
    for number in 0..2000 {
        let text = format!(r#"{{"command":"subscribe","tags":["a","{number}"]}}"#);
        broker.handle_message(holder, text.as_bytes());
    }
    broker.handle_message(admin, br#"{"command":"unregister","data":"t1","id":1}"#);
    assert!(broker.is_waiting(admin));
    broker.disconnect(holder);
    let next = broker.connect(Credentials {
        token: Some("server"),
    });
    assert_eq!(next.slot, holder.slot);
    for number in 0..2000 {
        let text = format!(r#"{{"command":"subscribe","tags":["other","{number}"]}}"#);
        broker.handle_message(next, text.as_bytes());
    }
    while sent_to(&mut broker, admin).1 {
        let _ = broker.proceed();
    }
    assert!(!broker.is_waiting(admin));
    assert_eq!(broker.stats().subscriptions, 2000);
}

#[test]
fn what_was_taken_already_is_answered_behind_what_is_still_being_taken() {
    let (mut broker, admin) = scoped(Authenticator::Memory);
    let other = broker.connect(Credentials {
        token: Some("server"),
    });
    let holder = broker.connect(Credentials { token: Some("t1") });
    for number in 0..2000 {
        let text = format!(r#"{{"command":"subscribe","tags":["a","{number}"]}}"#);
        broker.handle_message(holder, text.as_bytes());
    }
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

#[test]
fn nobody_pays_for_what_another_made_the_broker_look_at() {
    let mut broker = Broker::new(Config::default(), 1);
    let reader = broker.connect(Credentials::default());
    let publisher = broker.connect(Credentials::default());
    broker.handle_message(reader, br#"{"command":"subscribe","tags":["a","b"]}"#);
    broker.handle_message(publisher, br#"{"command":"ping"}"#);
    let (mut scan, mut scratch) = (Scan::new(), Scratch::default());
    let mut walked = |line: &str| {
        let mut messages = Messages::lines(line.as_bytes());
        let message = messages
            .next(&mut scan, broker.limits())
            .expect("a message");
        let message = message.expect("it can be read");
        let _ = broker.decide(publisher, &message, &mut scratch);
        scratch.walked()
    };
    assert!(walked(r#"{"command":"publish","tags":["a","b"]}"#) > 0);
    for line in [
        r#"{"command":"ping"}"#,
        r#"{"command":"who"}"#,
        r#"{"command":"publish"}"#,
    ] {
        assert_eq!(walked(line), 0, "{line}");
    }
}
