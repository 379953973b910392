//! Tokens that end, with a server that says what the tests let it say.

use super::*;
use crate::ErrorCode;

const EXPIRED: &str = r#"{"command":"auth","error":"the token has ended","code":"token-expired"}"#;

/// Takes the newest request of a kind off the wire and answers it.
fn answer(world: &mut World, command: &str, fields: &str) {
    let begin = format!(r#"{{"command":"{command}""#);
    let at = world.sent.iter().position(|line| line.starts_with(&begin));
    let line = world.sent.remove(at.expect("it was asked"));
    let (_, id) = line.rsplit_once(r#""id":"#).expect("it has a number");
    world.say(&format!(r#"{begin}{fields},"id":{id}"#));
}

/// A client whose token ends in so many seconds, with a subscription.
fn open(config: Options, seconds: u64) -> World {
    let mut world = World::new(config);
    world.token = Some(Token::Fresh("first"));
    world.accept();
    answer(&mut world, "auth", &format!(r#","expires_in":{seconds}"#));
    world.subscribe(&["a"]);
    answer(&mut world, "subscribe", "");
    assert_eq!(world.client.state(), State::Open);
    assert_eq!(world.obtaining, 0);
    world.events.clear();
    world
}

fn give(world: &mut World, token: &str) {
    world.client.handle_token(world.now, token);
    world.drain();
}

fn fail(world: &mut World, is_final: bool) {
    world
        .client
        .handle_no_token(world.now, "signed out", is_final);
    world.drain();
}

fn failures(world: &World) -> usize {
    let is_failure = |event: &&Event| matches!(event, Event::TokenFailed { .. });
    world.events.iter().filter(is_failure).count()
}

/// Answers signs of life until the next token is asked for; returns when that is.
fn wait_for_renewal(world: &mut World) -> Duration {
    let asked = world.obtaining;
    while world.obtaining == asked {
        let due = world.client.poll_timeout().expect("a renewal is due");
        world.advance(due.saturating_sub(world.now));
        if world.sent.iter().any(|line| line.contains("ping")) {
            answer(world, "ping", "");
        }
    }
    world.now
}

#[test]
fn the_next_token_is_presented_in_time_and_nothing_else_changes() {
    let mut world = open(Options::default(), 1000);
    for round in 0..3 {
        let start = world.now;
        let life = (wait_for_renewal(&mut world) - start).as_secs();
        assert!((750..=900).contains(&life), "asked for after {life} s");
        give(&mut world, "next");
        assert_eq!(world.client.state(), State::Open);
        // What is published between the question and the answer goes out behind it.
        world.client.publish(world.now, ["x"], "y").expect("open");
        world.drain();
        let [auth, publish] = &world.sent[..] else {
            panic!("{:?}", world.sent);
        };
        assert!(auth.contains(r#""auth","data":"next""#) && publish.contains("publish"));
        answer(&mut world, "auth", r#","expires_in":1000"#);
        world.sent.clear();
        assert_eq!(world.obtaining, round + 1);
    }
    assert_eq!(world.events, []);
}

#[test]
fn clients_that_connect_together_do_not_renew_together() {
    let mut world = open(Options::default(), 1000);
    let mut times = Vec::new();
    for _ in 0..8 {
        let start = world.now;
        times.push((wait_for_renewal(&mut world) - start).as_secs());
        give(&mut world, "next");
        answer(&mut world, "auth", r#","expires_in":1000"#);
    }
    times.sort_unstable();
    times.dedup();
    assert!(times.len() > 4, "{times:?}");
}

#[test]
fn a_source_that_gives_the_same_token_again_is_not_asked_without_a_pause() {
    let mut world = open(Options::default(), 60);
    let end = 60 * SECOND;
    while world.now < end {
        wait_for_renewal(&mut world);
        give(&mut world, "same");
        let left = end.saturating_sub(world.now).as_secs();
        answer(&mut world, "auth", &format!(r#","expires_in":{left}"#));
    }
    assert!(world.obtaining <= 8, "asked {} times", world.obtaining);
}

#[test]
fn a_token_that_does_not_end_is_not_renewed_nor_is_one_without_a_source() {
    for (token, answered) in [
        (Token::Fresh("t"), ""),
        (Token::Static("t"), r#","expires_in":10"#),
    ] {
        let mut world = World::new(Options {
            heartbeat: None,
            ..Options::default()
        });
        world.token = Some(token);
        world.accept();
        answer(&mut world, "auth", answered);
        assert_eq!(world.client.state(), State::Open);
        assert_eq!(world.client.poll_timeout(), None);
    }
}

#[test]
fn a_token_that_has_ended_is_replaced_on_the_same_connection_and_all_is_restored() {
    let config = Options {
        offline: Offline::Buffer {
            messages: 9,
            bytes: 1000,
            max_age: 100 * SECOND,
        },
        ..Options::default()
    };
    let mut world = open(config, 1000);
    world.say(EXPIRED);
    assert_eq!(world.client.state(), State::Connecting);
    assert_eq!(world.events, [Event::Connecting]);
    // What is asked for meanwhile waits: the server would refuse it.
    let (_, later) = world.subscribe(&["b"]);
    let published = world.client.publish_acked(world.now, ["x"], "kept");
    world.drain();
    assert_eq!((world.sent.len(), world.obtaining), (0, 1));
    world.say(EXPIRED);
    assert_eq!(world.obtaining, 1);

    give(&mut world, "next");
    assert_eq!(world.sent.len(), 3, "{:?}", world.sent);
    assert!(world.sent[0].contains("auth"));
    answer(&mut world, "auth", r#","expires_in":1000"#);
    answer(&mut world, "subscribe", "");
    assert_eq!(world.client.state(), State::Connecting);
    answer(&mut world, "subscribe", "");
    let restored = [Event::Connecting, Event::Open { resumed: true }];
    assert_eq!(world.events, restored);
    assert!(matches!(world.answer(later), Some(Ok(_))));
    assert!(world.session.is_some(), "the connection is the same");
    answer(&mut world, "publish", r#","delivered":2"#);
    let published = world.answer(published.expect("kept"));
    assert!(matches!(published, Some(Ok(reply)) if reply.delivered == Some(2)));
}

#[test]
fn what_was_asked_for_on_the_old_token_is_not_taken_for_the_new_one() {
    let mut world = open(Options::default(), 1000);
    let (_, waiting) = world.subscribe(&["b"]);
    let asked_before = world.sent.remove(0);
    world.say(EXPIRED);
    let (_, id) = asked_before.rsplit_once(r#""id":"#).expect("numbered");
    world.say(&format!(
        r#"{{"command":"subscribe","tags":["b"],"error":"send auth","code":"unauthenticated","id":{id}"#
    ));
    assert_eq!(world.answer(waiting), None);
    give(&mut world, "next");
    for command in ["auth", "subscribe", "subscribe"] {
        answer(&mut world, command, "");
    }
    assert!(matches!(world.answer(waiting), Some(Ok(_))));
    assert_eq!(world.client.state(), State::Open);
}

#[test]
fn news_of_the_end_that_cross_the_next_token_ask_for_no_other() {
    let mut world = open(Options::default(), 1000);
    wait_for_renewal(&mut world);
    give(&mut world, "next");
    world.say(EXPIRED);
    assert_eq!(world.client.state(), State::Connecting);
    answer(&mut world, "auth", "");
    answer(&mut world, "subscribe", "");
    assert_eq!(world.client.state(), State::Open);
    assert_eq!(world.obtaining, 1);
}

#[test]
fn a_static_token_that_has_ended_closes_the_client() {
    let mut world = World::new(Options::default());
    world.token = Some(Token::Static("t"));
    world.accept();
    answer(&mut world, "auth", r#","expires_in":10"#);
    world.say(EXPIRED);
    assert_eq!(world.client.state(), State::Closed);
    let Some(Event::Closed {
        reason: CloseReason::AuthRefused(error),
    }) = world.events.last()
    else {
        panic!("{:?}", world.events);
    };
    assert_eq!(error.code, ErrorCode::TokenExpired);
    assert!(world.session.is_none() && world.client.poll_timeout().is_none());
}

#[test]
fn a_renewal_that_fails_is_tried_again_on_the_connection_and_told_each_time() {
    let mut world = open(Options::default(), 1000);
    let mut last = wait_for_renewal(&mut world);
    let refused = r#","error":"no","code":"wrong-token""#;
    for round in 1..6 {
        match round % 2 {
            0 => {
                give(&mut world, "wrong");
                answer(&mut world, "auth", refused);
            }
            _ => fail(&mut world, false),
        }
        assert_eq!(
            (failures(&world), world.client.state()),
            (round, State::Open)
        );
        let next = wait_for_renewal(&mut world);
        assert!(next - last >= SECOND, "again after {:?}", next - last);
        last = next;
    }
    // One that never answers is a failure, too.
    world.advance(Options::default().connect_timeout);
    assert_eq!(failures(&world), 6);
    give(&mut world, "late");
    assert!(world.sent.is_empty(), "{:?}", world.sent);
    wait_for_renewal(&mut world);
    give(&mut world, "next");
    answer(&mut world, "auth", r#","expires_in":1000"#);
    assert_eq!(world.client.state(), State::Open);
    assert_eq!(waiting_or_closed(&world.events), [""; 0]);
}

#[test]
fn a_source_that_always_fails_is_asked_at_intervals_of_a_second_at_least() {
    let config = Options {
        reconnect: Some(Backoff::new(Duration::ZERO, SECOND / 20)),
        ..Options::default()
    };
    let mut world = World::new(config);
    for round in 1..10 {
        fail(&mut world, false);
        assert_eq!(failures(&world), round);
        let Some(Event::Waiting { reason, retry_in }) = world.events.last() else {
            panic!("{:?}", world.events);
        };
        assert_eq!(reason, "signed out");
        assert!(*retry_in >= SECOND, "{retry_in:?}");
        world.is_dialling = false;
        world.advance_to_attempt();
    }
}

#[test]
fn a_source_that_says_there_will_be_no_token_closes_the_client() {
    let connecting = World::new(Options::default());
    let mut renewing = open(Options::default(), 100);
    wait_for_renewal(&mut renewing);
    let mut expired = open(Options::default(), 100);
    expired.say(EXPIRED);
    for mut world in [connecting, renewing, expired] {
        fail(&mut world, true);
        assert_eq!(world.client.state(), State::Closed);
        assert!(world.session.is_none() && world.client.poll_timeout().is_none());
        assert_eq!(
            waiting_or_closed(&world.events),
            ["closed: no token: signed out"]
        );
    }
}

#[test]
fn a_token_that_is_refused_after_the_end_is_followed_by_another_connection() {
    let mut world = open(Options::default(), 100);
    world.say(EXPIRED);
    give(&mut world, "old");
    answer(
        &mut world,
        "auth",
        r#","error":"it has ended","code":"token-expired""#,
    );
    assert_eq!(world.client.state(), State::Waiting);
    assert!(world.session.is_none());
    assert_eq!(failures(&world), 1);
    // What comes too late is for nobody.
    give(&mut world, "late");
    fail(&mut world, true);
    assert_eq!(world.client.state(), State::Waiting);
    world.advance_to_attempt();
    world.sent.clear();
    world.accept();
    answer(&mut world, "auth", "");
    answer(&mut world, "subscribe", "");
    assert_eq!(world.events.last(), Some(&Event::Open { resumed: true }));
}
