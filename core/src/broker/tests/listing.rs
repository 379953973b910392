//! The answers to `list` and `listall`, at once and in parts.

use super::*;

fn decided(broker: &Broker, session: SessionId, line: &str) -> (Verdict, Scratch) {
    let mut scratch = Scratch::new();
    let verdict = decide(broker, session, line, &mut scratch);
    (verdict, scratch)
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
        let (verdict, _) = decided(&broker, session, &line);
        let Verdict::Long(Long::Listing(mut listing)) = verdict else {
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
    subscribe_to_many(&mut broker, session, "common", 1000);
    for command in ["list", "listall"] {
        let line = format!("{{\"command\":\"{command}\"}}\n");
        let limit = if command == "list" { 5_000 } else { 3_000 };
        broker.limits.outbox_bytes = limit;
        let (verdict, scratch) = decided(&broker, session, &line);
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
    let answer = match decided(broker, session, &line) {
        (Verdict::Reply, scratch) => scratch.reply().to_vec(),
        (Verdict::Long(Long::Listing(mut listing)), _) => {
            while !broker.list_some(&mut listing) {}
            listing.encode()
        }
        (verdict, _) => panic!("{verdict:?}"),
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
