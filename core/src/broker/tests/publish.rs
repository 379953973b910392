//! A message that is published in parts.

use super::*;

/// A scoped broker in which a message takes a part for each that gets it, and who publishes there with which message.
fn in_parts() -> (Broker, SessionId, SessionId, String) {
    let config = Config {
        access: Access::Scoped,
        token_storage: TokenStorage::Memory,
        token: Some(String::from("server")),
        turn: Some(1),
        ..Config::default()
    };
    let mut broker = Broker::new(config, 1);
    let mut connect = |token| broker.connect(Credentials { token: Some(token) });
    let (admin, readers) = (connect("server"), [(); 6].map(|()| connect("server")));
    let names: Vec<_> = (0..6).map(|number| format!("\"{number}\"")).collect();
    let tags = names.join(",");
    let register = format!(r#"{{"command":"register","data":"t1","tags":["a","spare",{tags}]}}"#);
    broker.handle_message(admin, register.as_bytes());
    for (reader, name) in readers.iter().zip(&names) {
        let subscribe = format!(r#"{{"command":"subscribe","tags":["a",{name}]}}"#);
        broker.handle_message(*reader, subscribe.as_bytes());
    }
    let publisher = broker.connect(Credentials { token: Some("t1") });
    // With so many sets the message asks for its pairs.
    let many = readers[0];
    for number in 0..20 {
        let subscribe = format!(r#"{{"command":"subscribe","tags":["c","c{number}"]}}"#);
        broker.handle_message(many, subscribe.as_bytes());
    }
    broker.handle_message(publisher, br#"{"command":"ping"}"#);
    let publish = format!(r#"{{"command":"publish","tags":["a",{tags}],"id":"of it"}}"#) + "\n";
    (broker, admin, publisher, publish)
}

fn begin(broker: &Broker, publisher: SessionId, publish: &str) -> Walk {
    let mut scratch = Scratch::new();
    match decide(broker, publisher, publish, &mut scratch) {
        Verdict::Long(Long::Publish(walk)) => *walk,
        other => panic!("it takes long: {other:?}"),
    }
}

/// How many get it before and after something happens.
fn served(happens: impl FnOnce(&mut Broker, SessionId, SessionId)) -> (usize, usize) {
    let (mut broker, admin, publisher, publish) = in_parts();
    let mut walk = begin(&broker, publisher, &publish);
    let mut scratch = Scratch::new();
    let mut before = 0;
    while before < 2 {
        assert!(!broker.publish_some(&mut walk, &mut scratch));
        before += scratch.targets().len();
    }
    happens(&mut broker, admin, publisher);
    let mut after = 0;
    loop {
        let is_last = broker.publish_some(&mut walk, &mut scratch);
        after += scratch.targets().len();
        if is_last {
            return (before, after);
        }
    }
}

#[test]
fn it_ends_when_its_publisher_may_not_publish_it_any_more() {
    let say = |line: &'static str| {
        served(|broker, admin, _| broker.handle_message(admin, line.as_bytes()))
    };
    assert_eq!(say(r#"{"command":"ping"}"#), (2, 4));
    let other = r#"{"command":"unset","data":"t1","tags":["spare"]}"#;
    assert_eq!(say(other), (2, 4), "it does not have this tag");
    let one = r#"{"command":"unset","data":"t1","tags":["3"]}"#;
    assert_eq!(say(one), (2, 0));
    let all = r#"{"command":"unregister","data":"t1"}"#;
    assert_eq!(say(all), (2, 0));
    let gone = served(|broker, admin, publisher| {
        broker.handle_message(admin, all.as_bytes());
        broker.disconnect(publisher);
    });
    assert_eq!(gone, (2, 0), "nor does it go on when the publisher leaves");
}

#[test]
fn all_that_it_keeps_is_counted() {
    let (broker, _, publisher, publish) = in_parts();
    let bare = begin(&broker, publisher, &publish.replace(r#","id":"of it""#, "")).bytes();
    let long = format!("\"{}\"", "x".repeat(60));
    let with_receipt = begin(&broker, publisher, &publish.replace("\"of it\"", &long));
    // The seven tags are those of the answer too.
    let least = bare + long.len() + 7 * size_of::<String>();
    assert!(with_receipt.bytes() >= least, "{with_receipt:?}");
}
