//! Sessions of the host that get every message.

use mist_core::message::{Messages, Scan};
use mist_core::{Access, Broker, Config, Credentials, Output, Scratch, SessionId, Verdict};

/// Says something; returns who gets messages, and which.
fn delivered(broker: &mut Broker, session: SessionId, text: &str) -> Vec<(Vec<SessionId>, String)> {
    broker.handle_message(session, text.as_bytes());
    let mut all = Vec::new();
    while let Some(output) = broker.poll_output() {
        if let Output::Deliver {
            targets, message, ..
        } = output
        {
            let mut targets = targets;
            targets.sort_by_key(|target| target.slot());
            all.push((targets, String::from_utf8(message).expect("UTF-8")));
        }
    }
    all
}

#[test]
fn a_tap_gets_every_message_of_others_once_and_in_order() {
    for is_numbered in [false, true] {
        let config = Config {
            is_numbered,
            ..Config::default()
        };
        let mut broker = Broker::new(config, 1);
        let tap = broker.connect_tap();
        let [reader, writer] = [(); 2].map(|()| broker.connect(Credentials::default()));
        delivered(
            &mut broker,
            reader,
            r#"{"command":"subscribe","tags":["a"]}"#,
        );
        // It need not subscribe, and gets nothing twice if it does.
        delivered(&mut broker, tap, r#"{"command":"subscribe","tags":["a"]}"#);
        let lines = [
            r#"{"command":"publish","tags":["a"],"data":"1"}"#,
            r#"{"command":"publish","tags":["b"],"data":"2"}"#,
            r#"{"command":"publish","tags":["c","é"],"data":"3"}"#,
        ];
        let expected = [vec![tap, reader], vec![tap], vec![tap]];
        let expected: Vec<_> = expected
            .into_iter()
            .zip(lines)
            .map(|(targets, line)| (targets, line.to_owned()))
            .collect();
        assert_eq!(delivered(&mut broker, writer, &lines.join("\n")), expected);
        // Its own come to others only.
        let own = delivered(&mut broker, tap, lines[0]);
        assert_eq!(own, [(vec![reader], lines[0].to_owned())]);

        broker.disconnect(tap);
        let next = broker.connect(Credentials::default());
        assert_eq!(next.slot(), tap.slot());
        let after = delivered(&mut broker, writer, lines[1]);
        assert_eq!(after, [(vec![], String::new())], "its slot is another's");
    }
}

#[test]
fn a_message_that_is_matched_in_parts_comes_to_a_tap_once() {
    let config = Config {
        turn: Some(1),
        ..Config::default()
    };
    let mut broker = Broker::new(config, 1);
    let tap = broker.connect_tap();
    let writer = broker.connect(Credentials::default());
    let mut readers = vec![tap];
    for tags in [r#""a""#, r#""b""#, r#""a","b""#] {
        let reader = broker.connect(Credentials::default());
        readers.push(reader);
        for session in [reader, tap] {
            let text = format!(r#"{{"command":"subscribe","tags":[{tags}]}}"#);
            broker.handle_message(session, text.as_bytes());
        }
    }
    let line = r#"{"command":"publish","tags":["a","b"],"data":"x"}"#;
    broker.handle_message(writer, br#"{"command":"ping"}"#);
    let (mut scan, mut scratch) = (Scan::new(), Scratch::new());
    let message = Messages::lines(line.as_bytes()).next(&mut scan, broker.limits());
    let message = message.expect("a message").expect("it can be read");
    let verdict = broker.decide(writer, &message, &mut scratch);
    assert!(matches!(verdict, Verdict::Long(_)), "it takes parts");
    let expected = vec![(readers, line.to_owned())];
    assert_eq!(delivered(&mut broker, writer, line), expected);
}

#[test]
fn another_server_token_ends_what_the_former_allowed_but_no_tap() {
    let config = Config {
        access: Access::Scoped,
        token: Some("one".to_owned()),
        ..Config::default()
    };
    let mut broker = Broker::new(config, 1);
    let tap = broker.connect_tap();
    let show = |broker: &mut Broker, token| {
        let session = broker.connect(Credentials { token: Some(token) });
        broker.handle_message(session, br#"{"command":"subscribe","tags":["a"]}"#);
        session
    };
    let admin = show(&mut broker, "one");
    assert!(!broker.needs_token(admin));
    for token in [Some("one"), Some("two"), Some("two"), None, Some("")] {
        broker.set_token(token);
        let is_same = token == Some("one");
        assert_eq!(broker.needs_token(admin), !is_same, "{token:?}");
        assert_eq!(broker.stats().subscriptions, usize::from(is_same));
        assert!(!broker.needs_token(tap));
    }
    let nobody = show(&mut broker, "");
    assert!(broker.needs_token(nobody));
    broker.set_token(Some("two"));
    let next = show(&mut broker, "two");
    assert!(!broker.needs_token(next));
}
