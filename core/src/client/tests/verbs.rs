//! What is asked, and what comes in.

use alloc::vec;

use super::*;

#[test]
fn equal_sets_share_one_subscription_on_the_wire() {
    let mut world = World::open(Options::default());
    let (first, one) = world.subscribe(&["b", "a", "a"]);
    let (second, two) = world.subscribe(&["a", "b"]);
    world.exchange();
    let (third, three) = world.subscribe(&["a", "b"]);
    assert_eq!(world.sent.len(), 1);
    assert!(
        [one, two, three]
            .iter()
            .all(|&request| matches!(world.answer(request), Some(Ok(_))))
    );
    for subscription in [third, first] {
        let request = world
            .client
            .unsubscribe(world.now, subscription)
            .expect("open");
        world.drain();
        assert!(matches!(world.answer(request), Some(Ok(_))));
    }
    assert_eq!(world.sent.len(), 1);
    let request = world.client.unsubscribe(world.now, second).expect("open");
    world.drain();
    assert_eq!(world.sent.len(), 2);
    assert_eq!(world.answer(request), None);
    world.exchange();
    assert!(matches!(world.answer(request), Some(Ok(_))));
    assert!(world.held_by_broker().is_empty());
}

#[test]
fn a_delivery_names_the_subscriptions_it_matches() {
    let mut world = World::open(Options::default());
    let (ab, _) = world.subscribe(&["a", "b"]);
    let (c, _) = world.subscribe(&["c"]);
    let (also_ab, _) = world.subscribe(&["b", "a"]);
    world.exchange();
    let other = world.broker.connect(Credentials::default());
    let publish = |world: &mut World, text: &str| {
        world.broker.handle_message(other, text.as_bytes());
        world.take_from_broker();
        world.exchange();
        match world.events.pop() {
            Some(Event::Message(delivery)) => delivery,
            event => panic!("{event:?}"),
        }
    };
    let text = r#"{"command":"publish","tags":["d","b","a"],"data":"x\ny"}"#;
    let delivery = publish(&mut world, text);
    assert_eq!(*delivery.tags, ["a", "b", "d"]);
    assert_eq!(delivery.data, "x\ny");
    assert_eq!(*delivery.subscriptions, [ab, also_ab]);
    world.client.unsubscribe(world.now, ab).expect("open");
    let delivery = publish(&mut world, text);
    assert_eq!(*delivery.subscriptions, [also_ab]);
    let delivery = publish(&mut world, r#"{"command":"publish","tags":["a","b","c"]}"#);
    assert_eq!(*delivery.subscriptions, [c, also_ab]);
    assert_eq!(delivery.data, "");
}

#[test]
fn a_request_without_an_answer_times_out_and_a_late_answer_is_nobodys() {
    let mut world = World::open(Options::default());
    let (_, subscribed) = world.subscribe(&["a"]);
    let asked = world
        .client
        .request(world.now, "who", &[], "")
        .expect("open");
    world.advance(10 * SECOND);
    for request in [subscribed, asked] {
        assert!(matches!(
            world.answer(request),
            Some(Err(RequestError::Timeout { .. }))
        ));
    }
    world.exchange();
    assert!(world.wanted().is_empty());
    assert!(world.held_by_broker().is_empty());
    assert_eq!(world.events, []);
}

#[test]
fn a_refused_subscription_is_not_wanted() {
    let mut world = World::with_broker(Options::default(), secured(Access::Scoped));
    world.token = Some(Token::Static("t"));
    let admin = world.broker.connect(Credentials {
        token: Some("admin"),
    });
    let register = br#"{"command":"register","tags":["mine","ours"],"data":"t"}"#;
    world.broker.handle_message(admin, register);
    world.accept();
    world.exchange();
    let (_, refused) = world.subscribe(&["theirs"]);
    let (_, taken) = world.subscribe(&["mine"]);
    world.exchange();
    assert!(matches!(
        world.answer(refused),
        Some(Err(RequestError::Refused { .. }))
    ));
    assert!(matches!(world.answer(taken), Some(Ok(_))));
    assert_eq!(world.wanted(), [["mine"]]);

    world
        .broker
        .handle_message(admin, br#"{"command":"unset","tags":["mine"],"data":"t"}"#);
    world.take_from_broker();
    world.exchange();
    assert!(world.wanted().is_empty());
    assert!(
        matches!(world.events.last(), Some(Event::SubscriptionLost { tags, .. }) if **tags == ["mine"]),
        "{:?}",
        world.events
    );
}

#[test]
fn a_refused_publish_without_acknowledgement_is_an_event() {
    let mut world = World::open(Options::default());
    let long = "x".repeat(2000);
    world
        .client
        .publish(world.now, [&long], "data")
        .expect("open");
    world.exchange();
    assert!(
        matches!(&world.events[..], [Event::Refused { command, error, .. }]
            if command == "publish" && error.text.contains("tag-bytes")),
        "{:?}",
        world.events
    );
}

#[test]
fn a_dropped_notice_is_an_event() {
    let mut world = World::open(Options::default());
    let notice = String::from_utf8(crate::dropped_notice(12)).expect("UTF-8");
    world.say(&notice);
    assert_eq!(world.events, [Event::Dropped { count: 12 }]);
}

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
fn an_answer_to_a_set_that_was_given_up_counts_for_no_later_one() {
    let mut world = World::open(Options::default());
    let (first, given_up) = world.subscribe(&["a"]);
    world.client.unsubscribe(world.now, first).expect("open");
    // The later sets take the former's place, in the table and on the wire.
    let (second, replaced) = world.subscribe(&["b"]);
    world.client.unsubscribe(world.now, second).expect("open");
    let (_, wanted) = world.subscribe(&["a"]);
    for request in [given_up, replaced] {
        assert_eq!(
            world.answer(request),
            Some(&Err(RequestError::Unsubscribed))
        );
    }
    assert_eq!(world.sent.len(), 5);
    for answers in 1..=5 {
        assert_eq!(world.answer(wanted), None, "after {answers} of 5 answers");
        assert!(world.up_one() && world.down_one());
    }
    assert!(matches!(world.answer(wanted), Some(Ok(_))));
    assert_eq!(world.held_by_broker(), [["a"]]);
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
