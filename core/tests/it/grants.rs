//! The theorem of scoped access, by trying everything: with three tags, whatever is granted to whom, whatever is
//! subscribed to and whatever is published, nobody sees a message without a tag that is granted to them, and nobody
//! reaches a subscription outside of what is granted to them.

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
        let message = json!({ "command": command, "tags": tags.names(), "data": data });
        self.broker
            .handle_message(session, message.to_string().as_bytes());
    }

    /// Carries an admin command out, which must succeed.
    fn administer(&mut self, command: &str, tags: Tags, token: &str) {
        self.say(self.admin, command, tags, token);
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
