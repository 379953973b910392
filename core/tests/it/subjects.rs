//! What a host says that a token may do: two sets of tags, for a subject, which may show another token later.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use mist_core::{
    Access, Broker, Config, Credentials, Grants, Output, SessionId, Standing, TokenStorage,
};

/// A broker whose host says what tokens grant, and a session that has shown one.
fn with_grants(access: Access, token: &str, grants: Grants) -> (Broker, SessionId) {
    let config = Config {
        access,
        token_storage: TokenStorage::Host,
        token: Some("TK".to_owned()),
        ..Config::default()
    };
    let mut broker = Broker::new(config, 1);
    let token = Some(token);
    let session = broker.connect(Credentials { token });
    answer(&mut broker, grants);
    (broker, session)
}

/// Answers what the host is asked.
fn answer(broker: &mut Broker, grants: Grants) {
    let Some(Output::Ask { session, request }) = broker.poll_output() else {
        panic!("nothing is asked");
    };
    broker.handle_auth_reply(session, &request, Ok(Some(grants)));
}

/// Whom a token speaks for, and what it lets do.
fn of_subject(subject: &str, subscribe: &[&str], publish: &[&str]) -> Grants {
    let owned = |tags: &[&str]| tags.iter().map(|&tag| tag.to_owned()).collect();
    let mut grants = Grants::default();
    grants.subject = subject.to_owned();
    grants.subscribe = owned(subscribe);
    grants.publish = owned(publish);
    grants
}

/// Says something; returns what the session is told, and how many get a message.
fn said(broker: &mut Broker, session: SessionId, line: &str) -> (String, usize) {
    broker.handle_message(session, line.as_bytes());
    let (mut told, mut reached) = (String::new(), 0);
    while let Some(output) = broker.poll_output() {
        match output {
            Output::Send { message, .. } => told += &String::from_utf8_lossy(&message),
            Output::Deliver { targets, .. } => reached += targets.len(),
            other => panic!("{other:?}"),
        }
    }
    (told, reached)
}

/// The tokens that sessions go by, with their subjects, and those that are being looked up.
fn in_use(broker: &Broker) -> Vec<(String, Option<String>)> {
    let (mut found, mut from) = (BTreeMap::new(), 0);
    while let ControlFlow::Continue(next) = broker.tokens_in_use(from, |token, grants| {
        let subject = grants.map(|grants| grants.subject.clone());
        found.insert(token.to_owned(), subject);
    }) {
        assert!(next > from, "it goes on");
        from = next;
    }
    found.into_iter().collect()
}

#[test]
fn a_token_may_make_an_administrator() {
    let mut grants = of_subject("ops", &["a"], &[]);
    grants.admin = true;
    let (mut broker, session) = with_grants(Access::Scoped, "t", grants);
    broker.handle_message(session, br#"{"command":"register","data":"new"}"#);
    assert!(matches!(broker.poll_output(), Some(Output::Ask { .. })));
    broker.handle_message(session, br#"{"command":"publish","tags":["a"]}"#);
    assert!(broker.poll_output().is_none(), "it waits for the store");
}

#[test]
fn a_later_token_of_the_same_subject_takes_the_place_of_the_first() {
    let (mut broker, session) = with_grants(
        Access::Scoped,
        "one",
        of_subject("desk", &["a", "b"], &["a"]),
    );
    for tag in ["a", "b"] {
        let line = format!(r#"{{"command":"subscribe","tags":["{tag}"]}}"#);
        assert_eq!(said(&mut broker, session, &line).0, "");
    }
    broker.handle_message(session, br#"{"command":"auth","data":"two","id":1}"#);
    assert!(broker.is_waiting(session));
    answer(&mut broker, of_subject("desk", &["c", "b"], &["b"]));
    let (told, _) = said(&mut broker, session, r#"{"command":"list"}"#);
    let removed = r#"{"command":"unsubscribe","tags":["a"],"error":"#;
    let accepted = r#"{"command":"auth","data":"success","id":1}"#;
    let place = |part: &str| {
        told.find(part)
            .unwrap_or_else(|| panic!("no {part} in {told}"))
    };
    assert!(place(removed) < place(accepted));
    assert!(
        told.ends_with(r#"{"command":"list","data":"b","subscriptions":[["b"]]}"#),
        "{told}"
    );
    assert_eq!(
        said(
            &mut broker,
            session,
            r#"{"command":"subscribe","tags":["c"]}"#
        )
        .0,
        ""
    );
    assert_eq!(in_use(&broker), [("two".into(), Some("desk".into()))]);

    // Of another subject, or unknown, it changes nothing.
    for reply in [Ok(Some(of_subject("other", &["x"], &["x"]))), Ok(None)] {
        broker.handle_message(session, br#"{"command":"auth","data":"three"}"#);
        let Some(Output::Ask {
            session: asker,
            request,
        }) = broker.poll_output()
        else {
            panic!("nothing is asked");
        };
        broker.handle_auth_reply(asker, &request, reply);
        let (told, _) = said(&mut broker, session, r#"{"command":"list"}"#);
        assert!(told.contains("auth-not-first"), "{told}");
        assert!(told.contains(r#"[["b"],["c"]]"#), "{told}");
    }
    // Nor does the server's own token, which is for the first message.
    let (told, _) = said(&mut broker, session, r#"{"command":"auth","data":"TK"}"#);
    assert!(told.contains("auth-not-first"), "{told}");
    assert_eq!(in_use(&broker), [("two".into(), Some("desk".into()))]);
}

#[test]
fn a_later_token_takes_the_rights_of_an_administrator_back_where_access_is_open_too() {
    let mut grants = of_subject("ops", &[], &[]);
    grants.admin = true;
    let (mut broker, session) = with_grants(Access::Open, "one", grants);
    let register = r#"{"command":"register","data":"new"}"#;
    broker.handle_message(session, register.as_bytes());
    let Some(Output::Ask { request, .. }) = broker.poll_output() else {
        panic!("an administrator may register");
    };
    broker.handle_auth_reply(session, &request, Ok(None));
    broker.handle_message(session, br#"{"command":"auth","data":"two"}"#);
    answer(&mut broker, of_subject("ops", &[], &[]));
    let (told, _) = said(&mut broker, session, register);
    assert!(told.contains("not authorized"), "{told}");
}

#[test]
fn logins_under_way_are_asked_about_again_when_a_subject_changes() {
    let before = of_subject("desk", &["a"], &[]);
    let (mut broker, first) = with_grants(Access::Scoped, "one", before.clone());
    let second = broker.connect(Credentials { token: Some("two") });
    broker.handle_message(first, br#"{"command":"auth","data":"three"}"#);
    let mut asked = Vec::new();
    while let Some(output) = broker.poll_output() {
        if let Output::Ask { session, request } = output {
            asked.push((session, request));
        }
    }
    assert_eq!(asked.len(), 2);
    // Nobody knows yet whose the tokens are that are being asked about.
    let known = [("one", Some("desk")), ("three", None), ("two", None)];
    let known = known.map(|(token, subject)| (token.to_owned(), subject.map(str::to_owned)));
    assert_eq!(in_use(&broker), known);
    for (token, _) in &known {
        assert_eq!(broker.note_token_change(token).is_some(), token == "one");
    }
    for (session, request) in &asked {
        broker.handle_auth_reply(*session, request, Ok(Some(before.clone())));
    }
    for _ in &asked {
        answer(&mut broker, of_subject("desk", &["b"], &[]));
    }
    for session in [first, second] {
        let line = r#"{"command":"subscribe","tags":["a"]}"#;
        let (told, _) = said(&mut broker, session, line);
        assert!(told.contains("not-granted"), "{told}");
    }
}

#[test]
fn a_token_that_others_change_is_carried_over_to_its_sessions() {
    let (mut broker, session) =
        with_grants(Access::Scoped, "t", of_subject("t", &["a", "b"], &["a"]));
    for tag in ["a", "b"] {
        let line = format!(r#"{{"command":"subscribe","tags":["{tag}"]}}"#);
        assert_eq!(said(&mut broker, session, &line).0, "");
    }
    assert!(broker.note_token_change("nobody's").is_none());
    assert!(broker.note_token_change("t").is_some());
    broker.handle_token_change("t", Some(of_subject("t", &["b"], &["b"])));
    let (told, _) = said(
        &mut broker,
        session,
        r#"{"command":"publish","tags":["a"],"id":1}"#,
    );
    assert!(
        told.contains(r#""tags":["a"],"error":"subscription removed"#),
        "{told}"
    );
    assert!(told.contains("not-granted"), "{told}");

    // Who logs in meanwhile is asked about again.
    let late = broker.connect(Credentials { token: Some("t") });
    let Some(Output::Ask { request, .. }) = broker.poll_output() else {
        panic!("nothing is asked");
    };
    broker.note_token_change("t");
    let stale = Ok(Some(of_subject("t", &["a"], &["a"])));
    broker.handle_auth_reply(late, &request, stale);
    answer(&mut broker, of_subject("t", &["b"], &["b"]));
    let (told, _) = said(&mut broker, late, r#"{"command":"subscribe","tags":["a"]}"#);
    assert!(told.contains("not-granted"), "{told}");

    // The token itself goes.
    broker.handle_token_change("t", None);
    let mut revoked = Vec::new();
    while let Some(output) = broker.poll_output() {
        if let Output::Revoked { session } = output {
            revoked.push(session);
        }
    }
    assert_eq!(revoked, [session, late]);
    assert!(broker.needs_token(session) && broker.stats().subscriptions == 0);
    assert!(
        broker.note_token_change("t").is_none(),
        "no session goes by it"
    );
}

#[test]
fn the_tokens_of_very_many_sessions_are_told_in_parts() {
    let (mut broker, _) = with_grants(Access::Scoped, "t0", of_subject("s0", &[], &[]));
    for number in 1..2000 {
        let token = format!("t{number}");
        broker.connect(Credentials {
            token: Some(&token),
        });
        answer(&mut broker, of_subject(&format!("s{number}"), &[], &[]));
    }
    let mut first = 0;
    assert!(broker.tokens_in_use(0, |_, _| first += 1).is_continue());
    assert!(first < 1000, "{first} at a time");
    assert_eq!(in_use(&broker).len(), 2000);
}

#[test]
fn a_host_is_told_whom_sessions_speak_for_once_that_changes() {
    for access in [Access::Open, Access::Scoped] {
        let mut admin = of_subject("a", &[], &[]);
        // Otherwise a token is not kept in mind where access is open.
        admin.admin = true;
        let (mut broker, session) = with_grants(access, "t", admin.clone());
        let told = |broker: &mut Broker| {
            let (mut changed, mut revoked) = (Vec::new(), Vec::new());
            while let Some(output) = broker.poll_output() {
                match output {
                    Output::SubjectChanged { session } => changed.push(session),
                    Output::Revoked { session } => revoked.push(session),
                    _ => {}
                }
            }
            (changed, revoked)
        };
        assert_eq!(told(&mut broker), (vec![], vec![]));
        assert_eq!(broker.standing(session), Standing::Subject("a"));
        broker.handle_token_change("t", Some(admin.clone()));
        assert_eq!(told(&mut broker), (vec![], vec![]));
        admin.subject = "b".to_owned();
        broker.handle_token_change("t", Some(admin));
        assert_eq!(told(&mut broker), (vec![session], vec![]));
        assert_eq!(broker.standing(session), Standing::Subject("b"));
        broker.handle_token_change("t", None);
        assert_eq!(told(&mut broker), (vec![], vec![session]));
        let token = Some("TK");
        let server = broker.connect(Credentials { token });
        assert_eq!(broker.standing(server), Standing::Server);
        broker.set_token(Some("another"));
        assert_eq!(told(&mut broker), (vec![], vec![server]));
        assert_eq!(broker.standing(server), Standing::Stranger);
    }
}
