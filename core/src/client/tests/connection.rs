//! The life of the connection.

use alloc::collections::BTreeSet;

use super::*;

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
fn clients_that_connect_together_do_not_renew_together() {
    let renewal = |seed| {
        let options = Options {
            heartbeat: None,
            ..Options::default()
        };
        let mut client = Client::new(options, seed, Duration::ZERO);
        client.handle_open(Duration::ZERO, Some(Token::Fresh("t")));
        let answer = br#"{"command":"auth","expires_in":1000,"id":1}"#;
        client.handle_frame(Duration::ZERO, answer);
        client.poll_timeout().expect("it is due").as_secs()
    };
    let times: BTreeSet<_> = (0..8).map(renewal).collect();
    assert!(times.len() > 4, "{times:?}");
    assert!(
        times.iter().all(|time| (750..=900).contains(time)),
        "{times:?}"
    );
}
