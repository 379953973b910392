//! Listing and ending the tokens that are registered, however many there are.

use mist_core::message::{RegisteredToken, Scan};
use mist_core::{
    Access, Broker, Config, Credentials, DisconnectReason, Grants, Limits, Output, SessionId,
    TokenStorage,
};

fn broker(token_storage: TokenStorage) -> (Broker, SessionId) {
    let config = Config {
        access: Access::Scoped,
        token_storage,
        token: Some("TK".to_owned()),
        ..Config::default()
    };
    let mut broker = Broker::new(config, 1);
    let admin = broker.connect(Credentials { token: Some("TK") });
    (broker, admin)
}

/// What is answered to `tokens`: the tokens, what is to be asked for next, and how many bytes it took.
fn tokens(
    broker: &mut Broker,
    admin: SessionId,
    after: &str,
) -> (Vec<RegisteredToken>, String, usize) {
    let line = format!(r#"{{"command":"tokens","data":"{after}"}}"#);
    broker.handle_message(admin, line.as_bytes());
    let Some(Output::Send { message, .. }) = broker.poll_output() else {
        panic!("no answer");
    };
    let text = String::from_utf8(message).expect("text");
    let mut scan = Scan::new();
    let end = scan.scan(&text, 0, &Limits::default());
    assert_eq!(end.ok(), Some(text.len()));
    let answer = scan.message(&text);
    let next = answer.data().unwrap_or_default().into_owned();
    (answer.registered(), next, text.len())
}

#[test]
fn a_hundred_thousand_tokens_are_listed_in_short_answers() {
    let (mut broker, admin) = broker(TokenStorage::Memory);
    let name = |number: usize| format!("t{number:06}");
    for number in 0..100_000 {
        let token = name(number);
        let line = format!(r#"{{"command":"register","tags":["x"],"data":"{token}"}}"#);
        broker.handle_message(admin, line.as_bytes());
    }
    let (mut seen, mut after, mut answers) = (0, String::new(), 0);
    loop {
        let (part, next, bytes) = tokens(&mut broker, admin, &after);
        assert!(part.len() <= 256 && bytes < 64 << 10, "{bytes}");
        for token in part {
            assert_eq!(token.token, name(seen));
            seen += 1;
        }
        answers += 1;
        if next.is_empty() {
            break;
        }
        after = next;
    }
    assert_eq!((seen, answers), (100_000, 100_000 / 256 + 1));
}

#[test]
fn an_answer_ends_with_the_token_that_makes_it_long() {
    let (mut broker, admin) = broker(TokenStorage::Memory);
    let tags: Vec<_> = (0..64)
        .map(|number| format!(r#""{number:01000}""#))
        .collect();
    for number in 0..20 {
        let tags = tags.join(",");
        let line = format!(r#"{{"command":"register","tags":[{tags}],"data":"t{number:02}"}}"#);
        broker.handle_message(admin, line.as_bytes());
    }
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let (part, next, bytes) = tokens(&mut broker, admin, &after);
        assert!(bytes < (256 << 10) + 70_000, "{bytes}");
        seen.extend(part.into_iter().map(|token| token.token));
        if next.is_empty() {
            break;
        }
        after = next;
    }
    let all: Vec<_> = (0..20).map(|number| format!("t{number:02}")).collect();
    assert_eq!(seen, all);
}

/// However many go by a token, others have the broker in between.
#[test]
fn those_who_go_by_an_ended_token_are_closed_in_parts() {
    let (mut broker, admin) = broker(TokenStorage::Memory);
    for line in [
        r#"{"command":"register","tags":["x"],"data":"t"}"#,
        r#"{"command":"register","tags":["x"],"data":"u"}"#,
    ] {
        broker.handle_message(admin, line.as_bytes());
    }
    for _ in 0..1000 {
        broker.connect(Credentials { token: Some("t") });
    }
    let changing = broker.connect(Credentials { token: Some("t") });
    broker.connect(Credentials { token: Some("u") });
    broker.handle_message(admin, br#"{"command":"end","data":"t","id":1}"#);
    let (mut closed, mut parts, mut answers) = (0, 0, 0);
    while let Some(output) = broker.poll_output() {
        match output {
            Output::Close { session, reason } => {
                assert_eq!(reason, DisconnectReason::TokenEnded);
                assert_ne!(session, changing);
                closed += 1;
            }
            Output::Send { session, message } if session == admin => {
                let answer = String::from_utf8_lossy(&message).into_owned();
                assert_eq!(answer, r#"{"command":"end","data":"success","id":1}"#);
                assert_eq!(closed, 1000, "it proves that they are gone");
                answers += 1;
            }
            Output::Proceed => {
                if parts == 0 {
                    assert!(closed > 0 && closed < 500, "{closed} at a time");
                    // It has not been closed yet, and shows another token.
                    broker.handle_message(changing, br#"{"command":"auth","data":"u"}"#);
                }
                parts += 1;
                broker.proceed();
            }
            _ => {}
        }
    }
    assert!(parts > 1);
    assert_eq!(answers, 1);
    let (listed, ..) = tokens(&mut broker, admin, "");
    assert_eq!(listed.len(), 1);
    assert_eq!((&*listed[0].token, listed[0].connections), ("u", 2));
}

/// The store has ended the token; that is so for all who go by it, whoever is still there to be told.
#[test]
fn a_token_is_ended_also_when_the_admin_who_asked_for_it_has_gone() {
    let (mut broker, admin) = broker(TokenStorage::Host);
    let session = broker.connect(Credentials { token: Some("t") });
    let Some(Output::Ask { request, .. }) = broker.poll_output() else {
        panic!("the host is asked");
    };
    let granted = Grants::of_token("t", vec!["x".to_owned()]);
    broker.handle_auth_reply(session, &request, Ok(Some(granted)));
    broker.handle_message(admin, br#"{"command":"end","data":"t"}"#);
    let Some(Output::Ask { request, .. }) = broker.poll_output() else {
        panic!("the host is asked");
    };
    broker.disconnect(admin);
    broker.handle_auth_reply(admin, &request, Ok(None));
    let mut closed = Vec::new();
    while let Some(output) = broker.poll_output() {
        if let Output::Close { session, reason } = output {
            closed.push((session, reason));
        }
    }
    assert_eq!(closed, [(session, DisconnectReason::TokenEnded)]);
}
