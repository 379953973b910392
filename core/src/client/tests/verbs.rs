//! What is asked, and what comes in.

use alloc::vec;

use super::*;

#[test]
fn tags_are_needed() {
    let mut world = World::open(Options::default());
    let none: [&str; 0] = [];
    let missing = |error| matches!(error, RequestError::MissingTags { .. });
    assert!(missing(
        world
            .client
            .subscribe(world.now, none)
            .expect_err("no tags")
    ));
    assert!(missing(
        world
            .client
            .publish(world.now, none, "x")
            .expect_err("no tags")
    ));
    assert!(missing(
        world
            .client
            .publish_acked(world.now, none, "x")
            .expect_err("no tags")
    ));
    world.drain();
    assert_eq!(world.sent.len(), 0);
}

#[test]
fn an_unreadable_message_costs_only_itself() {
    let mut world = World::open(Options::default());
    let lines = b"nonsense\n{\"command\":\"publish\",\"tags\":[\"a\"]}\n";
    world.client.handle_lines(world.now, lines);
    world.drain();
    assert!(
        matches!(&world.events[..], [Event::Unreadable { error }, Event::Message(_)] if error.contains("JSON")),
        "{:?}",
        world.events
    );
}

#[test]
fn an_answer_of_another_form_is_taken_for_what_can_be_read_of_it() {
    let mut world = World::open(Options::default());
    for (fields, sets, delivered) in [
        (
            r#""subscriptions":[["b\u0061",""],[],["c"]],"delivered":7"#,
            vec![vec!["ba", ""], vec![], vec!["c"]],
            Some(7),
        ),
        (r#""subscriptions":[],"delivered":0"#, vec![], Some(0)),
        (
            r#""subscriptions":[["a"],5],"delivered":-1"#,
            vec![vec!["a"]],
            None,
        ),
        (
            r#""subscriptions":{"a":[["b"]]},"delivered":"7""#,
            vec![],
            None,
        ),
        (r#""subscriptions":null,"delivered":1e3"#, vec![], None),
    ] {
        let request = world
            .client
            .request(world.now, "list", &[], "")
            .expect("open");
        let number = request.0;
        world.say(&format!(r#"{{"command":"list",{fields},"id":{number}}}"#));
        let Some(Ok(reply)) = world.answer(request) else {
            panic!("{fields}");
        };
        assert_eq!(reply.subscriptions, sets, "{fields}");
        assert_eq!(reply.delivered, delivered, "{fields}");
    }
}

fn flush(world: &mut World) -> Result<(), RequestError> {
    let request = world.client.flush(world.now)?;
    world.exchange();
    world.answer(request).expect("answered").clone().map(|_| ())
}

fn publish(world: &mut World, data: &str) {
    world
        .client
        .publish(world.now, ["a"], data)
        .expect("open or kept");
    world.drain();
}

fn come_back(world: &mut World) {
    world.advance_to_attempt();
    world.accept();
    world.exchange();
    assert_eq!(world.client.state(), State::Open);
}

#[test]
fn a_flush_says_once_that_publishes_were_lost_before_it() {
    let mut world = World::open(Options::default());
    publish(&mut world, "lost");
    world.cut();
    let error = world.client.flush(world.now).expect_err("lost");
    assert!(
        matches!(&error, RequestError::ConnectionLost { command, reason } if command == "flush" && reason == "cut"),
        "{error}"
    );
    let error = world.client.flush(world.now).expect_err("offline");
    assert!(matches!(error, RequestError::Offline { .. }), "{error}");
    come_back(&mut world);
    flush(&mut world).expect("nothing more was lost");

    // On the next connection it is known just as well.
    publish(&mut world, "lost too");
    world.cut();
    come_back(&mut world);
    flush(&mut world).expect_err("lost");
    flush(&mut world).expect("nothing more was lost");
}

#[test]
fn what_an_answer_stands_behind_was_not_lost() {
    let mut world = World::open(Options::default());
    publish(&mut world, "taken");
    let who = world.client.request(world.now, "who", &[], "");
    world.exchange();
    assert!(world.answer(who.expect("open")).is_some());
    world.cut();
    come_back(&mut world);
    flush(&mut world).expect("all was taken");

    // An answer to what was asked before the publish shows nothing.
    let who = world.client.request(world.now, "who", &[], "");
    world.drain();
    publish(&mut world, "lost");
    while world.up.len() > 1 {
        world.up_one();
    }
    while world.down_one() {}
    assert!(world.answer(who.expect("open")).is_some());
    world.cut();
    come_back(&mut world);
    flush(&mut world).expect_err("lost");
}

#[test]
fn a_loss_that_a_flush_was_answered_with_is_forgiven_and_no_other() {
    let mut world = World::open(Options::default());
    publish(&mut world, "lost");
    let first = world.client.flush(world.now).expect("open");
    world.drain();
    world.cut();
    assert!(matches!(
        world.answer(first),
        Some(Err(RequestError::ConnectionLost { .. }))
    ));
    world.client.forgive_loss(first);
    come_back(&mut world);
    flush(&mut world).expect("it was said");

    publish(&mut world, "lost");
    let second = world.client.flush(world.now).expect("open");
    publish(&mut world, "lost behind the flush");
    world.cut();
    world.client.forgive_loss(second);
    come_back(&mut world);
    flush(&mut world).expect_err("the second was lost as well");
}

#[test]
fn a_flush_says_that_kept_publishes_were_discarded() {
    let mut world = World::open(Options {
        offline: Offline::Buffer {
            messages: 10,
            bytes: 1000,
            max_age: 5 * SECOND,
        },
        ..Options::default()
    });
    world.cut();
    publish(&mut world, "kept");
    come_back(&mut world);
    flush(&mut world).expect("it was sent");
    world.cut();
    publish(&mut world, "discarded");
    world.advance(5 * SECOND);
    world.accept();
    world.exchange();
    let error = flush(&mut world).expect_err("discarded");
    assert!(error.to_string().contains("offline for 5s"), "{error}");
}
