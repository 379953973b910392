//! Tokens that end, with a server that says what the tests let it say.

use super::*;

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
