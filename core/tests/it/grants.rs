//! The theorem of scoped access, by trying everything: with three tags, whatever is granted to whom, whatever is
//! subscribed to and whatever is published, nobody sees a message without a tag that is granted to them for subscribing, and
//! nobody reaches a subscription outside of what is granted to them for publishing. What is granted to one session for the
//! other right changes nothing of it.

use mist_core::{Access, Broker, Config, Credentials, Output, SessionId, TokenStorage};
use serde_json::json;

const TAGS: [&str; 3] = ["a", "b", "c"];

/// A set of the three tags, as bits.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Tags(u8);

impl Tags {
    fn all() -> impl Iterator<Item = Self> {
        (0..8).map(Self)
    }

    fn names(self) -> Vec<&'static str> {
        let is_in = |bit: &usize| self.0 >> bit & 1 == 1;
        (0..3).filter(is_in).map(|bit| TAGS[bit]).collect()
    }

    fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    fn is_within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

struct World {
    broker: Broker,
    admin: SessionId,
    tokens: usize,
}

impl World {
    fn new() -> Self {
        let config = Config {
            access: Access::Scoped,
            token_storage: TokenStorage::Memory,
            token: Some("server".to_owned()),
            ..Config::default()
        };
        let mut broker = Broker::new(config, 1);
        let admin = broker.connect(Credentials {
            token: Some("server"),
        });
        Self {
            broker,
            admin,
            tokens: 0,
        }
    }

    fn say(&mut self, session: SessionId, command: &str, tags: Tags, data: &str) {
        self.say_of(session, command, tags, data, "both");
    }

    fn say_of(&mut self, session: SessionId, command: &str, tags: Tags, data: &str, rights: &str) {
        let rights = ["register", "set", "unset"]
            .contains(&command)
            .then_some(rights);
        let message =
            json!({ "command": command, "tags": tags.names(), "data": data, "rights": rights });
        self.broker
            .handle_message(session, message.to_string().as_bytes());
    }

    /// Carries an admin command out, which must succeed.
    fn administer(&mut self, command: &str, tags: Tags, token: &str) {
        self.administer_rights(command, tags, token, "both");
    }

    fn administer_rights(&mut self, command: &str, tags: Tags, token: &str, rights: &str) {
        self.say_of(self.admin, command, tags, token, rights);
        for (session, text) in self.drain() {
            assert_ne!(session, self.admin, "{text}");
        }
    }

    /// A session with a new token.
    fn session(&mut self, grants: Tags) -> (SessionId, String) {
        self.tokens += 1;
        let token = format!("token{}", self.tokens);
        self.administer("register", grants, &token);
        let session = self.broker.connect(Credentials {
            token: Some(&token),
        });
        (session, token)
    }

    /// A session with a new token that may subscribe by some tags and publish with others.
    fn session_of(&mut self, subscribe: Tags, publish: Tags) -> (SessionId, String) {
        let (session, token) = self.session(Tags(0));
        self.administer_rights("set", subscribe, &token, "subscribe");
        self.administer_rights("set", publish, &token, "publish");
        (session, token)
    }

    /// Who was sent what.
    fn drain(&mut self) -> Vec<(SessionId, String)> {
        let mut sent = Vec::new();
        while let Some(output) = self.broker.poll_output() {
            let (targets, message) = match output {
                Output::Send { session, message } => (vec![session], message),
                Output::Deliver {
                    targets, message, ..
                } => (targets, message),
                Output::Revoked { .. } => continue,
                other => panic!("nothing else is expected: {other:?}"),
            };
            let text = String::from_utf8(message).expect("messages are UTF-8");
            sent.extend(targets.into_iter().map(|target| (target, text.clone())));
        }
        sent
    }

    fn is_refused(&mut self, session: SessionId) -> bool {
        let sent = self.drain();
        let mine = sent.iter().filter(|(target, _)| *target == session);
        mine.clone()
            .for_each(|(_, text)| assert!(text.contains("not authorized"), "{text}"));
        mine.count() > 0
    }
}

/// Publishes every message and checks who gets it.
fn check(world: &mut World, reader: (SessionId, Tags, Tags), writer: (SessionId, Tags)) {
    let (reader, read_grants, subscription) = reader;
    let (writer, write_grants) = writer;
    for message in Tags::all().filter(|tags| !tags.is_empty()) {
        world.say(writer, "publish", message, "x");
        let sent = world.drain();
        let is_seen = sent.iter().any(|(target, _)| *target == reader);
        let is_refused = sent.iter().any(|(target, _)| *target == writer);
        // The theorem.
        if is_seen {
            assert!(
                message.meets(read_grants),
                "a message without a granted tag was seen"
            );
            assert!(
                subscription.is_within(write_grants),
                "a subscription outside the grants was reached"
            );
            assert!(message.is_within(write_grants));
        }
        // And it is not kept by delivering nothing.
        assert_eq!(is_refused, !message.is_within(write_grants));
        let is_subscribed = subscription.meets(read_grants);
        let should_see = is_subscribed && subscription.is_within(message) && !is_refused;
        assert_eq!(is_seen, should_see);
    }
}

#[test]
fn grants_hold_for_every_subscription_and_every_message() {
    let mut world = World::new();
    for read_grants in Tags::all() {
        for write_grants in Tags::all() {
            let (writer, _) = world.session(write_grants);
            for subscription in Tags::all().filter(|tags| !tags.is_empty()) {
                let (reader, _) = world.session(read_grants);
                world.say(reader, "subscribe", subscription, "");
                assert_eq!(world.is_refused(reader), !subscription.meets(read_grants));
                check(
                    &mut world,
                    (reader, read_grants, subscription),
                    (writer, write_grants),
                );
                world.broker.disconnect(reader);
            }
            world.broker.disconnect(writer);
        }
    }
}

#[test]
fn the_right_to_subscribe_and_that_to_publish_are_two_sets() {
    let mut world = World::new();
    for read_grants in Tags::all() {
        for write_grants in Tags::all() {
            // One session reads by the one and writes by the other; what it cannot do by one it must not do by the other.
            let (one, _) = world.session_of(read_grants, write_grants);
            for subscription in Tags::all().filter(|tags| !tags.is_empty()) {
                world.say(one, "subscribe", subscription, "");
                assert_eq!(world.is_refused(one), !subscription.meets(read_grants));
                for other_grants in Tags::all() {
                    let (other, _) = world.session_of(write_grants, other_grants);
                    check(
                        &mut world,
                        (one, read_grants, subscription),
                        (other, other_grants),
                    );
                    world.broker.disconnect(other);
                }
                world.say(one, "unsubscribe", subscription, "");
            }
            for message in Tags::all().filter(|tags| !tags.is_empty()) {
                world.say(one, "publish", message, "x");
                assert_eq!(world.is_refused(one), !message.is_within(write_grants));
            }
            world.broker.disconnect(one);
        }
    }
}

#[test]
fn rights_are_taken_apart_and_grants_hold_after_it() {
    let mut world = World::new();
    let (writer, _) = world.session(Tags(7));
    let (reader, _) = world.session(Tags(7));
    for subscribe in Tags::all() {
        for publish in Tags::all() {
            for taken in Tags::all() {
                for rights in ["subscribe", "publish", "both"] {
                    let (session, token) = world.session_of(subscribe, publish);
                    for subscription in Tags::all().filter(|tags| tags.meets(subscribe)) {
                        world.say(session, "subscribe", subscription, "");
                    }
                    world.drain();
                    world.say_of(world.admin, "unset", taken, &token, rights);
                    world.drain();
                    let left = |grants: Tags, right| match right == rights || rights == "both" {
                        true => grants.without(taken),
                        false => grants,
                    };
                    let (subscribe, publish) =
                        (left(subscribe, "subscribe"), left(publish, "publish"));
                    for tags in Tags::all().filter(|tags| !tags.is_empty()) {
                        world.say(writer, "publish", tags, "x");
                        // It held all sets by which it may subscribe.
                        let is_seen = receivers(&mut world).contains(&session);
                        assert_eq!(is_seen, tags.meets(subscribe));
                        world.say(session, "publish", tags, "x");
                        assert_eq!(world.is_refused(session), !tags.is_within(publish));
                    }
                    world.broker.disconnect(session);
                }
            }
        }
    }
    world.broker.disconnect(reader);
}

#[test]
fn nothing_holds_after_the_end_and_all_of_it_before() {
    let mut world = World::new();
    let (writer, _) = world.session(Tags(7));
    let mut now = 1_000;
    for grants in Tags::all() {
        for subscription in Tags::all().filter(|tags| !tags.is_empty()) {
            world.broker.handle_time(now);
            let (reader, token) = world.session(grants);
            let line = json!({ "command": "set", "data": token, "ttl": 5 });
            world
                .broker
                .handle_message(world.admin, line.to_string().as_bytes());
            world.say(reader, "subscribe", subscription, "");
            world.drain();
            world.broker.handle_time(now + 4);
            assert!(world.drain().is_empty());
            check(
                &mut world,
                (reader, grants, subscription),
                (writer, Tags(7)),
            );
            world.broker.handle_time(now + 5);
            let told = world.drain();
            assert!(
                matches!(&told[..], [(session, text)] if *session == reader && text.contains("token-expired")),
                "it is told once: {told:?}"
            );
            assert!(world.broker.needs_token(reader));
            check(
                &mut world,
                (reader, Tags(0), subscription),
                (writer, Tags(7)),
            );
            world.broker.disconnect(reader);
            now += 10;
        }
    }
    assert_eq!(world.broker.next_expiry(), None, "nothing is left behind");
}

#[test]
fn grants_hold_after_anything_was_taken_from_the_reader() {
    let mut world = World::new();
    let (writer, _) = world.session(Tags(7));
    for read_grants in Tags::all() {
        for taken in Tags::all() {
            for subscription in Tags::all().filter(|tags| !tags.is_empty()) {
                let (reader, token) = world.session(read_grants);
                world.say(reader, "subscribe", subscription, "");
                world.drain();
                world.say(world.admin, "unset", taken, &token);
                let left = read_grants.without(taken);
                let told: Vec<_> = world
                    .drain()
                    .into_iter()
                    .filter(|(target, _)| *target == reader)
                    .collect();
                let is_removed = subscription.meets(read_grants) && !subscription.meets(left);
                assert_eq!(
                    told.len(),
                    usize::from(is_removed),
                    "it is told what it has lost: {told:?}"
                );
                for (_, text) in told {
                    assert!(
                        text.contains(&json!(subscription.names()).to_string()),
                        "{text}"
                    );
                }
                check(&mut world, (reader, left, subscription), (writer, Tags(7)));
                // What is given back may be subscribed to again, but does not come back by itself.
                world.administer("set", read_grants, &token);
                let kept = if subscription.meets(left) {
                    read_grants
                } else {
                    Tags(0)
                };
                check(&mut world, (reader, kept, subscription), (writer, Tags(7)));
                world.administer("unregister", Tags(0), &token);
                check(
                    &mut world,
                    (reader, Tags(0), subscription),
                    (writer, Tags(7)),
                );
                world.say(reader, "subscribe", subscription, "");
                assert!(world.is_refused(reader));
                world.broker.disconnect(reader);
            }
        }
    }
}

#[test]
fn grants_hold_after_anything_was_taken_from_the_writer() {
    let mut world = World::new();
    let (reader, _) = world.session(Tags(7));
    for subscription in Tags::all().filter(|tags| !tags.is_empty()) {
        world.say(reader, "subscribe", subscription, "");
        for write_grants in Tags::all() {
            for taken in Tags::all() {
                let (writer, token) = world.session(write_grants);
                world.administer("unset", taken, &token);
                let left = write_grants.without(taken);
                check(&mut world, (reader, Tags(7), subscription), (writer, left));
                world.administer("unregister", Tags(0), &token);
                check(
                    &mut world,
                    (reader, Tags(7), subscription),
                    (writer, Tags(0)),
                );
                world.broker.disconnect(writer);
            }
        }
        world.say(reader, "unsubscribe", subscription, "");
    }
}

#[test]
fn sessions_with_one_token_lose_together_and_others_lose_nothing() {
    let mut world = World::new();
    let (first, token) = world.session(Tags(3));
    let second = world.broker.connect(Credentials {
        token: Some(&token),
    });
    let (other, _) = world.session(Tags(3));
    let (writer, _) = world.session(Tags(7));
    for session in [first, second, other] {
        world.say(session, "subscribe", Tags(1), "");
        world.say(session, "subscribe", Tags(2), "");
        world.say(session, "subscribe", Tags(3), "");
    }
    world.administer("unset", Tags(1), &token);
    world.say(writer, "publish", Tags(1), "x");
    assert_eq!(receivers(&mut world), [other]);
    world.say(writer, "publish", Tags(3), "x");
    assert_eq!(receivers(&mut world), [first, second, other]);
    // One leaves; the other's grants stay.
    world.broker.disconnect(first);
    world.say(second, "subscribe", Tags(6), "");
    world.say(writer, "publish", Tags(6), "x");
    assert_eq!(receivers(&mut world), [second, other]);
    world.administer("unregister", Tags(0), &token);
    world.say(writer, "publish", Tags(7), "x");
    assert_eq!(receivers(&mut world), [other]);
}

fn receivers(world: &mut World) -> Vec<SessionId> {
    let mut receivers: Vec<_> = world
        .drain()
        .into_iter()
        .map(|(session, _)| session)
        .collect();
    receivers.sort_by_key(|session| session.slot());
    receivers
}
