//! The life of the connection.

use super::*;
use crate::{AuthRequest, Grants, TokenError};

#[test]
fn after_a_cut_come_the_token_then_the_subscriptions_then_open() {
    let mut world = World::with_broker(Options::default(), secured(Access::Open));
    world.token = Some(Token::Static("admin"));
    world.accept();
    world.exchange();
    world.subscribe(&["b", "a"]);
    world.subscribe(&["c"]);
    world.exchange();
    world.cut();
    assert_eq!(world.client.state(), State::Waiting);
    world.sent.clear();
    world.events.clear();
    world.advance_to_attempt();
    world.accept();
    let commands: Vec<&str> = world.sent.iter().map(|line| &line[..30]).collect();
    assert_eq!(
        commands,
        [
            r#"{"command":"auth","data":"admi"#,
            r#"{"command":"subscribe","tags":"#,
            r#"{"command":"subscribe","tags":"#,
        ]
    );
    while world.up_one() {}
    assert!(world.down_one() && world.down_one());
    assert_eq!(world.client.state(), State::Connecting, "one is missing");
    assert!(world.down_one());
    assert_eq!(
        world.events,
        [Event::Connecting, Event::Open { resumed: true }]
    );
    assert_eq!(world.held_by_broker(), world.wanted());
}

#[test]
fn a_refused_static_token_ends_the_client() {
    let mut world = World::with_broker(Options::default(), secured(Access::Open));
    world.token = Some(Token::Static("guess"));
    let (_, request) = world.subscribe(&["a"]);
    world.accept();
    world.exchange();
    assert_eq!(world.client.state(), State::Closed);
    assert!(world.session.is_none());
    assert!(world.client.poll_timeout().is_none(), "no further attempt");
    let Some(Err(RequestError::Closed {
        reason: CloseReason::AuthRefused(text),
    })) = world.answer(request)
    else {
        panic!("{:?}", world.answers);
    };
    assert!(text.text.contains("token"), "{text}");
}

#[test]
fn a_refused_fresh_token_is_tried_anew() {
    let mut world = World::with_broker(Options::default(), secured(Access::Open));
    world.token = Some(Token::Fresh("expired"));
    world.accept();
    world.exchange();
    assert_eq!(world.client.state(), State::Waiting);
    world.token = Some(Token::Fresh("admin"));
    world.advance_to_attempt();
    world.accept();
    world.exchange();
    assert_eq!(world.client.state(), State::Open);
    assert_eq!(world.events.last(), Some(&Event::Open { resumed: false }));
}

#[test]
fn a_static_token_is_presented_again_when_its_store_failed() {
    let config = crate::Config {
        token_storage: TokenStorage::Host,
        ..secured(Access::Scoped)
    };
    let mut world = World::with_broker(Options::default(), config);
    world.token = Some(Token::Static("desk"));
    let asked = AuthRequest::Authenticate {
        token: "desk".to_owned(),
    };
    for reply in [
        Err(TokenError::Unavailable("the disk is full".to_owned())),
        Ok(Some(Grants::of_token("desk", Vec::new()))),
    ] {
        let is_known = reply.is_ok();
        world.advance_to_attempt();
        world.accept();
        world.exchange();
        let session = world.session.expect("connected");
        world.broker.handle_auth_reply(session, &asked, reply);
        world.take_from_broker();
        world.exchange();
        let expected = match is_known {
            true => State::Open,
            false => State::Waiting,
        };
        assert_eq!(world.client.state(), expected);
    }
    let [waited] = &waiting_or_closed(&world.events)[..] else {
        panic!("{:?}", world.events);
    };
    assert!(waited.contains("try again later"), "{waited}");
}

#[test]
fn a_cut_fails_requests_and_keeps_subscriptions_waiting() {
    let mut world = World::open(Options::default());
    let (_, kept) = world.subscribe(&["kept"]);
    let acked = world
        .client
        .publish_acked(world.now, ["a"], "x")
        .expect("open");
    let asked = world
        .client
        .request(world.now, "who", &[], "")
        .expect("open");
    world.drain();
    world.cut();
    for (request, name) in [(acked, "publish"), (asked, "who")] {
        let Some(Err(error)) = world.answer(request) else {
            panic!("{name}: no error");
        };
        let text = error.to_string();
        assert!(text.contains(name) && text.contains("cut"), "{text}");
    }
    assert_eq!(world.answer(kept), None);
    let error = world
        .client
        .request(world.now, "who", &[], "")
        .expect_err("offline");
    assert!(error.to_string().contains("offline"), "{error}");
    world.advance(SECOND);
    world.accept();
    world.exchange();
    assert!(matches!(world.answer(kept), Some(Ok(_))));
}

#[test]
fn silence_is_asked_about_and_then_given_up() {
    let mut world = World::open(Options::default());
    world.advance(25 * SECOND);
    assert!(
        world.sent[0].starts_with(r#"{"command":"ping""#),
        "{:?}",
        world.sent
    );
    world.exchange();
    // Any message is a sign of life.
    world.advance(20 * SECOND);
    world.say(r#"{"command":"publish","tags":["a"]}"#);
    world.advance(24 * SECOND);
    assert_eq!(world.sent.len(), 1);
    world.advance(SECOND);
    assert_eq!(world.sent.len(), 2);
    world.advance(9 * SECOND);
    assert_eq!(world.client.state(), State::Open);
    world.advance(SECOND);
    assert!(world.session.is_none());
    assert_eq!(
        waiting_or_closed(&world.events),
        ["waiting: no sign of life within 10s"]
    );
}

#[test]
fn who_is_told_that_it_is_held_up_waits_for_its_answers_and_gives_nothing_up() {
    let mut world = World::open(Options::default());
    let (_, subscribed) = world.subscribe(&["a"]);
    let asked = world.client.request(world.now, "who", &[], "");
    let asked = asked.expect("open");
    for _ in 0..100 {
        world.advance(9 * SECOND);
        world.say(r#"{"command":"throttled"}"#);
    }
    assert_eq!(world.client.state(), State::Open);
    assert!(world.events.is_empty() && world.answers.is_empty());
    world.exchange();
    for request in [subscribed, asked] {
        assert!(matches!(world.answer(request), Some(Ok(_))));
    }
    // What is asked then has its time like anything else.
    let late = world.client.request(world.now, "who", &[], "");
    let late = late.expect("open");
    world.say(r#"{"command":"throttled"}"#);
    world.advance(10 * SECOND);
    assert!(matches!(
        world.answer(late),
        Some(Err(RequestError::Timeout { .. }))
    ));
}

#[test]
fn a_client_that_does_not_read_misses_no_sign_of_life() {
    let mut world = World::open(Options::default());
    world.advance(25 * SECOND);
    world.client.hold(world.now, true);
    world.advance(300 * SECOND);
    world.client.hold(world.now, false);
    world.advance(24 * SECOND);
    assert_eq!(world.client.state(), State::Open);
    assert_eq!(world.sent.len(), 1);
}

#[test]
fn a_probe_asks_at_once_or_connects_at_once() {
    let mut world = World::open(Options::default());
    world.client.probe(world.now);
    world.client.probe(world.now);
    world.drain();
    assert_eq!(world.sent.len(), 1);
    world.cut();
    world.client.probe(world.now);
    world.drain();
    assert!(world.is_dialling);
}

#[test]
fn a_server_that_never_answers_is_left() {
    let mut world = World::new(Options::default());
    world.advance(10 * SECOND);
    assert_eq!(
        waiting_or_closed(&world.events),
        ["waiting: no connection within 10s"]
    );
    world.advance(SECOND);
    world.subscribe(&["a"]);
    world.accept();
    assert_eq!(world.client.state(), State::Connecting);
    world.advance(10 * SECOND);
    assert_eq!(waiting_or_closed(&world.events).len(), 2);
}

#[test]
fn attempts_thin_out_until_a_connection_lasts() {
    let mut world = World::new(Options::default());
    let mut longest = Duration::ZERO;
    let mut fail = |world: &mut World| {
        world.cut();
        match world.events.last() {
            Some(Event::Waiting { retry_in, .. }) => longest = longest.max(*retry_in),
            event => panic!("{event:?}"),
        }
        world.advance_to_attempt();
        longest
    };
    for _ in 0..30 {
        fail(&mut world);
    }
    assert!(fail(&mut world) > 10 * SECOND);
    world.accept();
    world.exchange();
    for _ in 0..3 {
        world.advance(10 * SECOND);
        world.exchange();
    }
    world.cut();
    assert!(
        matches!(world.events.last(), Some(Event::Waiting { retry_in, .. }) if *retry_in <= SECOND / 2)
    );
}

#[test]
fn without_reconnecting_a_cut_is_the_end() {
    let config = Options {
        reconnect: None,
        ..Options::default()
    };
    let mut world = World::open(config);
    let (_, request) = world.subscribe(&["a"]);
    world.cut();
    assert_eq!(world.client.state(), State::Closed);
    assert_eq!(waiting_or_closed(&world.events), ["closed: cut"]);
    assert!(matches!(
        world.answer(request),
        Some(Err(RequestError::Closed { .. }))
    ));
}

#[test]
fn publishes_are_refused_while_offline() {
    let mut world = World::new(Options::default());
    let error = world
        .client
        .publish(world.now, ["a"], "x")
        .expect_err("offline");
    assert!(matches!(error, RequestError::Offline { .. }));
    let error = world
        .client
        .publish_acked(world.now, ["a"], "x")
        .expect_err("offline");
    assert!(matches!(error, RequestError::Offline { .. }));
}

#[test]
fn publishes_are_kept_within_bounds_and_sent_before_open() {
    let config = Options {
        offline: Offline::Buffer {
            messages: 3,
            bytes: 1000,
            max_age: 5 * SECOND,
        },
        ..Options::default()
    };
    let mut world = World::new(config);
    world.client.publish(world.now, ["old"], "1").expect("kept");
    let expired = world
        .client
        .publish_acked(world.now, ["old"], "2")
        .expect("kept");
    world.advance(3 * SECOND);
    let acked = world
        .client
        .publish_acked(world.now, ["a"], "3")
        .expect("kept");
    let error = world
        .client
        .publish(world.now, ["a"], "4")
        .expect_err("full");
    assert!(matches!(
        error,
        RequestError::BufferFull { publishes: 3, .. }
    ));
    world.advance(2 * SECOND);
    assert!(matches!(
        world.answer(expired),
        Some(Err(RequestError::Timeout { .. }))
    ));
    assert_eq!(
        world.events.last(),
        Some(&Event::Discarded { publishes: 1 })
    );
    world.client.publish(world.now, ["b"], "5").expect("kept");
    let error = world
        .client
        .publish(world.now, ["b"], &"x".repeat(1000))
        .expect_err("full");
    assert!(matches!(error, RequestError::BufferFull { .. }));
    world.accept();
    world.exchange();
    assert!(matches!(world.answer(acked), Some(Ok(reply)) if reply.delivered == Some(0)));
    let sent: Vec<bool> = ["ping", r#""data":"3""#, r#""data":"5""#]
        .iter()
        .zip(&world.sent)
        .map(|(text, sent)| sent.contains(text))
        .collect();
    assert_eq!(sent, [true; 3], "{:?}", world.sent);
    assert_eq!(world.sent.len(), 3);
}

#[test]
fn closing_sends_what_was_handed_over_and_fails_what_was_asked() {
    let mut world = World::open(Options::default());
    world
        .client
        .publish(world.now, ["a"], "last")
        .expect("open");
    let asked = world
        .client
        .request(world.now, "who", &[], "")
        .expect("open");
    world.client.close();
    world.client.close();
    world.drain();
    assert_eq!(world.sent.len(), 2);
    assert!(world.session.is_none());
    assert_eq!(
        waiting_or_closed(&world.events),
        ["closed: closed by the application"]
    );
    assert!(matches!(
        world.answer(asked),
        Some(Err(RequestError::Closed { .. }))
    ));
    assert!(matches!(
        world.client.subscribe(world.now, ["a"]),
        Err(RequestError::Closed { .. })
    ));
    assert!(matches!(
        world.client.publish(world.now, ["a"], ""),
        Err(RequestError::Closed { .. })
    ));
    assert!(world.client.poll_timeout().is_none());
}

#[test]
fn the_longest_durations_wait_for_ever() {
    let config = Options {
        request_timeout: Duration::MAX,
        connect_timeout: Duration::MAX,
        heartbeat: Some(Duration::MAX),
        heartbeat_timeout: Duration::MAX,
        reconnect: Some(Backoff::new(Duration::MAX, Duration::MAX)),
        offline: Offline::Buffer {
            messages: 1,
            bytes: 1000,
            max_age: Duration::MAX,
        },
        ..Options::default()
    };
    let mut world = World::new(config);
    let year = 365 * 24 * 3600 * SECOND;
    world.advance(year);
    world.client.publish(world.now, ["a"], "x").expect("kept");
    world.advance(year);
    world.accept();
    world.advance(year);
    assert_eq!(world.client.state(), State::Connecting);
    world.exchange();
    let asked = world
        .client
        .request(world.now, "who", &[], "")
        .expect("open");
    world.drain();
    world.client.probe(world.now);
    world.advance(year);
    assert_eq!(world.client.state(), State::Open);
    assert_eq!(world.answer(asked), None);
    world.cut();
    assert!(
        world
            .client
            .poll_timeout()
            .is_some_and(|due| due > world.now)
    );
}

#[test]
fn a_heartbeat_of_zero_is_none() {
    let mut world = World::open(Options {
        heartbeat: Some(Duration::ZERO),
        ..Options::default()
    });
    world.advance(3600 * SECOND);
    assert_eq!(world.client.state(), State::Open);
    assert!(world.sent.is_empty(), "{:?}", world.sent);
}
