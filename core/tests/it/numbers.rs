//! A host that knows tags and tag sets by number.

use std::collections::BTreeMap;

use mist_core::{Access, Broker, Config, Credentials, Output, Scratch, SessionId, TokenStorage};

fn numbered(access: Access) -> Broker {
    let config = Config {
        access,
        token_storage: TokenStorage::Memory,
        token: Some("server".into()),
        is_numbered: true,
        ..Config::default()
    };
    Broker::new(config, 1)
}

fn connect(broker: &mut Broker, token: Option<&str>) -> SessionId {
    let session = broker.connect(Credentials { token });
    broker.handle_message(session, br#"{"command":"ping"}"#);
    session
}

fn subscribe(broker: &mut Broker, session: SessionId, tags: &str) {
    let message = format!(r#"{{"command":"subscribe","tags":{tags}}}"#);
    broker.handle_message(session, message.as_bytes());
}

fn tags(broker: &mut Broker) -> BTreeMap<String, u32> {
    let mut tags = BTreeMap::new();
    while let Some((number, name)) = broker.take_changed_tag() {
        tags.extend(name.map(|name| (name.to_owned(), number)));
    }
    tags
}

#[test]
fn publishing_by_numbers_finds_sets_and_then_sessions() {
    let mut broker = numbered(Access::Open);
    let [page, other] = [(); 2].map(|()| connect(&mut broker, None));
    subscribe(&mut broker, page, r#"["a","b"]"#);
    subscribe(&mut broker, other, r#"["b"]"#);
    subscribe(&mut broker, other, r#"["b","c"]"#);
    let known = tags(&mut broker);
    let both = broker.set_number(page, &["b", "a"]).expect("held");
    let single = broker.set_number(other, &["b"]).expect("held");
    assert_eq!(broker.set_number(page, &["b"]), None, "somebody else's");

    let mut scratch = Scratch::new();
    let published = [known["a"], known["b"], 4_000_000];
    assert!(broker.decide_numbers(page, &published, &mut scratch));
    let mut sets: Vec<_> = scratch.sets().collect();
    sets.sort_unstable();
    let mut expected = [both, single];
    expected.sort_unstable();
    assert_eq!(sets, expected);
    broker.find_targets(page, &mut scratch);
    assert_eq!(scratch.targets(), [other.slot() as u32]);
}

#[test]
fn a_session_with_grants_is_sent_the_ordinary_way() {
    let mut broker = numbered(Access::Scoped);
    let admin = connect(&mut broker, Some("server"));
    let register = br#"{"command":"register","tags":["a"],"data":"t"}"#;
    broker.handle_message(admin, register);
    let [holder, nobody] = [Some("t"), None].map(|token| connect(&mut broker, token));
    subscribe(&mut broker, admin, r#"["a"]"#);
    let known = tags(&mut broker);
    let mut scratch = Scratch::new();
    assert!(broker.decide_numbers(admin, &[known["a"]], &mut scratch));
    assert!(!broker.decide_numbers(holder, &[known["a"]], &mut scratch));
    assert!(!broker.decide_numbers(nobody, &[known["a"]], &mut scratch));

    while broker.poll_output().is_some() {}
    let publish = br#"{"command":"publish","tags":["a"],"data":"hi"}"#;
    broker.handle_message(holder, publish);
    let Some(Output::Deliver { sets, .. }) = broker.poll_output() else {
        panic!("it is granted");
    };
    let number = broker.set_number(admin, &["a"]).expect("held");
    assert_eq!(sets, [number]);
}

#[test]
fn a_message_that_only_its_publisher_wants_is_for_no_set() {
    let mut broker = numbered(Access::Open);
    let session = connect(&mut broker, None);
    subscribe(&mut broker, session, r#"["a"]"#);
    while broker.poll_output().is_some() {}
    let publish = br#"{"command":"publish","tags":["a"],"data":"hi","id":1}"#;
    broker.handle_message(session, publish);
    let Some(Output::Deliver { targets, sets, .. }) = broker.poll_output() else {
        panic!("it is decided");
    };
    assert!(
        targets.is_empty() && sets.is_empty(),
        "{targets:?} {sets:?}"
    );
}

#[test]
fn a_frame_that_waits_keeps_its_line_ends_as_blanks() {
    let config = Config {
        commands: vec!["slow".into()],
        ..Config::default()
    };
    let mut broker = Broker::new(config, 1);
    let session = connect(&mut broker, None);
    while broker.poll_output().is_some() {}
    broker.handle_frame(session, br#"{"command":"slow"}"#);
    assert!(matches!(broker.poll_output(), Some(Output::Custom { .. })));
    broker.handle_frame(session, b"{\"command\":\n\"ping\"}");
    assert!(broker.poll_output().is_none());
    broker.handle_custom_reply(session, Ok(None));
    let Some(Output::Send { message, .. }) = broker.poll_output() else {
        panic!("it was kept");
    };
    assert_eq!(message, br#"{"command":"ping","data":"pong"}"#);
}
