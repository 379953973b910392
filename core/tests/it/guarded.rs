//! A host that says when a token is looked at: nothing is said before, and what comes behind waits its turn.

use mist_core::{
    Access, AuthRequest, Broker, Config, Credentials, DisconnectReason, Output, SessionId,
    TokenCheck, TokenError, TokenStorage,
};

fn broker(token_storage: TokenStorage) -> Broker {
    let config = Config {
        access: Access::Scoped,
        token_storage,
        token: Some("T".to_owned()),
        is_guarded: true,
        ..Config::default()
    };
    Broker::new(config, 1)
}

fn presented(broker: &mut Broker) -> SessionId {
    match broker.poll_output() {
        Some(Output::TokenPresented { session }) => session,
        other => panic!("a token is presented, not {other:?}"),
    }
}

fn checked(broker: &mut Broker) -> TokenCheck {
    match broker.poll_output() {
        Some(Output::TokenChecked { check, .. }) => check,
        other => panic!("a token is checked, not {other:?}"),
    }
}

fn said(broker: &mut Broker) -> String {
    match broker.poll_output() {
        Some(Output::Send { message, .. }) => String::from_utf8(message).expect("UTF-8"),
        other => panic!("something is said, not {other:?}"),
    }
}

#[test]
fn a_token_is_not_looked_at_before_the_host_says_so() {
    let mut broker = broker(TokenStorage::Memory);
    for (token, is_valid) in [("T", true), ("no", false)] {
        let session = broker.connect(Credentials::default());
        let messages = format!(
            "{{\"command\":\"auth\",\"data\":\"{token}\",\"id\":1}}\n{{\"command\":\"ping\"}}\n"
        );
        broker.handle_message(session, messages.as_bytes());
        assert_eq!(presented(&mut broker), session);
        assert!(broker.poll_output().is_none() && broker.is_waiting(session));
        broker.check_token(session);
        assert_eq!(checked(&mut broker) == TokenCheck::Valid, is_valid);
        assert_eq!(said(&mut broker).contains("success"), is_valid);
        assert!(
            said(&mut broker).contains("pong"),
            "what came behind follows"
        );
        assert_eq!(broker.needs_token(session), !is_valid);
        // Once is enough.
        broker.check_token(session);
        assert!(broker.poll_output().is_none() && !broker.is_waiting(session));
    }
}

#[test]
fn a_token_that_came_with_the_connection_waits_as_well() {
    let mut broker = broker(TokenStorage::Memory);
    let session = broker.connect(Credentials { token: Some("T") });
    assert_eq!(presented(&mut broker), session);
    broker.handle_message(session, br#"{"command":"subscribe","tags":["a"],"id":1}"#);
    assert!(broker.poll_output().is_none());
    broker.check_token(session);
    assert_eq!(checked(&mut broker), TokenCheck::Valid);
    assert!(said(&mut broker).contains("success"));
}

#[test]
fn a_store_is_asked_only_then_and_what_came_behind_waits_for_both() {
    let mut broker = broker(TokenStorage::Host);
    let session = broker.connect(Credentials::default());
    broker.handle_message(
        session,
        b"{\"command\":\"auth\",\"data\":\"desk\"}\n{\"command\":\"ping\"}\n",
    );
    presented(&mut broker);
    assert!(broker.poll_output().is_none());
    broker.check_token(session);
    let Some(Output::Ask { request, .. }) = broker.poll_output() else {
        panic!("the store is asked");
    };
    assert_eq!(request.token(), "desk");
    assert!(broker.poll_output().is_none());
    // It is not the host's turn to speak of the guard any more.
    broker.check_token(session);
    assert!(broker.poll_output().is_none() && broker.is_waiting(session));
    broker.handle_auth_reply(session, &request, Err(TokenError::NotFound));
    assert_eq!(checked(&mut broker), TokenCheck::Wrong);
    assert!(said(&mut broker).contains("not valid"));
    assert!(said(&mut broker).contains("pong"));
}

#[test]
fn a_store_that_fails_says_nothing_about_the_token() {
    let mut broker = broker(TokenStorage::Host);
    let session = broker.connect(Credentials {
        token: Some("desk"),
    });
    presented(&mut broker);
    broker.check_token(session);
    let request = AuthRequest::Authenticate {
        token: "desk".to_owned(),
    };
    assert!(matches!(broker.poll_output(), Some(Output::Ask { .. })));
    let away = Err(TokenError::Unavailable("away".to_owned()));
    broker.handle_auth_reply(session, &request, away);
    assert_eq!(checked(&mut broker), TokenCheck::Unknown);
    assert!(said(&mut broker).contains("try again later"));
    assert!(broker.poll_output().is_none());
}

#[test]
fn a_token_that_is_turned_away_is_not_looked_at_and_its_session_is_closed() {
    let mut broker = broker(TokenStorage::Host);
    let session = broker.connect(Credentials::default());
    broker.handle_message(
        session,
        b"{\"command\":\"auth\",\"data\":\"desk\",\"id\":1}\n{\"command\":\"ping\"}\n",
    );
    presented(&mut broker);
    assert_eq!(broker.presented_token(session), Some("desk"));
    broker.turn_away(session);
    // Of no command, since a client whose token is refused does not try again.
    let told = said(&mut broker);
    assert!(
        told.starts_with(r#"{"command":"","error":"too many wrong tokens"#),
        "{told}"
    );
    let Some(Output::Close { reason, .. }) = broker.poll_output() else {
        panic!("it is closed");
    };
    assert_eq!(reason, DisconnectReason::TurnedAway);
    broker.check_token(session);
    broker.turn_away(session);
    broker.handle_message(session, br#"{"command":"ping"}"#);
    assert!(broker.poll_output().is_none() && !broker.is_waiting(session));
    assert_eq!(broker.presented_token(session), None);
}

#[test]
fn whose_token_is_taken_while_the_next_waits_may_show_any() {
    let mut broker = broker(TokenStorage::Memory);
    let admin = broker.connect(Credentials { token: Some("T") });
    broker.check_token(admin);
    broker.handle_message(admin, br#"{"command":"register","data":"desk"}"#);
    let session = broker.connect(Credentials {
        token: Some("desk"),
    });
    broker.check_token(session);
    broker.handle_message(session, br#"{"command":"ping"}"#);
    broker.handle_message(session, br#"{"command":"auth","data":"T","id":1}"#);
    broker.handle_message(admin, br#"{"command":"unregister","data":"desk"}"#);
    while broker.poll_output().is_some() {}
    broker.check_token(session);
    assert_eq!(checked(&mut broker), TokenCheck::Valid);
    assert_eq!(
        said(&mut broker),
        r#"{"command":"auth","data":"success","id":1}"#
    );
}

#[test]
fn who_has_gone_is_not_looked_at() {
    let mut broker = broker(TokenStorage::Memory);
    let session = broker.connect(Credentials { token: Some("T") });
    presented(&mut broker);
    broker.disconnect(session);
    let next = broker.connect(Credentials { token: Some("T") });
    broker.check_token(session);
    assert_eq!(presented(&mut broker), next);
    assert!(broker.poll_output().is_none() && broker.is_waiting(next));
}

#[test]
fn where_there_is_nothing_to_check_nothing_waits() {
    let config = Config {
        is_guarded: true,
        ..Config::default()
    };
    let mut broker = Broker::new(config, 1);
    broker.connect(Credentials { token: Some("any") });
    assert!(broker.poll_output().is_none());
}
