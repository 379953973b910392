//! The client against a real broker, with a network and a clock that the tests move.

use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};
use core::time::Duration;

use proptest::prelude::*;

use super::{
    Backoff, Client, CloseReason, Config, Event, Offline, Output, RequestError, RequestId, State,
    SubscriptionId, Token,
};
use crate::{Access, Authenticator, Broker, Credentials, SessionId};

const SECOND: Duration = Duration::from_secs(1);

/// A client, a broker, and what is between them.
struct World {
    client: Client,
    broker: Broker,
    now: Duration,
    token: Option<Token<'static>>,
    session: Option<SessionId>,
    /// The client has asked for a connection.
    is_dialling: bool,
    up: VecDeque<Vec<u8>>,
    down: VecDeque<Vec<u8>>,
    sent: Vec<String>,
    answers: BTreeMap<RequestId, Vec<Result<super::Reply, RequestError>>>,
    events: Vec<Event>,
}

impl World {
    fn new(config: Config) -> Self {
        Self::with_broker(config, crate::Config::default())
    }

    fn with_broker(config: Config, broker: crate::Config) -> Self {
        let mut world = Self {
            client: Client::new(config, 7, Duration::ZERO),
            broker: Broker::new(broker, 7),
            now: Duration::ZERO,
            token: None,
            session: None,
            is_dialling: false,
            up: VecDeque::new(),
            down: VecDeque::new(),
            sent: Vec::new(),
            answers: BTreeMap::new(),
            events: Vec::new(),
        };
        world.drain();
        world
    }

    fn open(config: Config) -> Self {
        let mut world = Self::new(config);
        world.accept();
        world.exchange();
        assert_eq!(world.client.state(), State::Open);
        world.events.clear();
        world.sent.clear();
        world
    }

    fn drain(&mut self) {
        while let Some(output) = self.client.poll_output() {
            match output {
                Output::Connect => self.is_dialling = true,
                Output::Send(bytes) => {
                    assert!(self.session.is_some(), "sent without a connection");
                    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
                        self.sent
                            .push(String::from_utf8(line.to_vec()).expect("UTF-8"));
                        self.up.push_back(line.to_vec());
                    }
                }
                Output::Disconnect => self.hang_up(),
                Output::Answer { request, result } => {
                    self.answers.entry(request).or_default().push(result);
                }
                Output::Event(event) => self.events.push(event),
            }
        }
    }

    fn hang_up(&mut self) {
        self.is_dialling = false;
        self.down.clear();
        if let Some(session) = self.session.take() {
            // What was written before the end still arrives.
            while let Some(line) = self.up.pop_front() {
                self.broker.handle_message(session, &line);
            }
            self.broker.disconnect(session);
            while self.broker.poll_output().is_some() {}
        }
    }

    fn accept(&mut self) {
        if core::mem::take(&mut self.is_dialling) {
            self.session = Some(self.broker.connect(Credentials::default()));
            self.client.handle_open(self.now, self.token);
            self.drain();
        }
    }

    fn cut(&mut self) {
        if self.session.is_some() || self.is_dialling {
            self.up.clear();
            self.hang_up();
            self.client.handle_close(self.now, "cut");
            self.drain();
        }
    }

    fn up_one(&mut self) -> bool {
        let (Some(session), Some(line)) = (self.session, self.up.pop_front()) else {
            return false;
        };
        self.broker.handle_message(session, &line);
        self.take_from_broker();
        true
    }

    fn take_from_broker(&mut self) {
        while let Some(output) = self.broker.poll_output() {
            match output {
                crate::Output::Send { session, message } if Some(session) == self.session => {
                    self.down.push_back(message);
                }
                crate::Output::Deliver {
                    targets,
                    message,
                    receipt,
                } => {
                    if self
                        .session
                        .is_some_and(|session| targets.contains(&session))
                    {
                        self.down.push_back(message);
                    }
                    if let Some(receipt) = receipt {
                        self.down.push_back(receipt.reply(targets.len()));
                    }
                }
                _ => {}
            }
        }
    }

    fn down_one(&mut self) -> bool {
        let Some(message) = self.down.pop_front() else {
            return false;
        };
        self.client.handle_frame(self.now, &message);
        self.drain();
        true
    }

    fn exchange(&mut self) {
        self.drain();
        while self.up_one() || self.down_one() {}
    }

    fn advance(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.client.poll_timeout().filter(|&due| due <= end) {
            self.now = self.now.max(due);
            self.client.handle_timeout(self.now);
            self.drain();
            let next = self.client.poll_timeout();
            assert!(next.is_none_or(|next| next > due), "{due:?} stays due");
        }
        self.now = end;
    }

    fn advance_to_attempt(&mut self) {
        while !self.is_dialling {
            let due = self.client.poll_timeout().expect("an attempt is due");
            self.advance(due.saturating_sub(self.now));
        }
    }

    fn say(&mut self, text: &str) {
        self.client.handle_frame(self.now, text.as_bytes());
        self.drain();
    }

    fn subscribe(&mut self, tags: &[&str]) -> (SubscriptionId, RequestId) {
        let ids = self.client.subscribe(self.now, tags).expect("not closed");
        self.drain();
        ids
    }

    fn answer(&self, request: RequestId) -> Option<&Result<super::Reply, RequestError>> {
        let answers = self.answers.get(&request)?;
        assert_eq!(answers.len(), 1, "{request:?}: {answers:?}");
        answers.first()
    }

    fn held_by_broker(&mut self) -> Vec<Vec<String>> {
        let request = self
            .client
            .request(self.now, "list", &[], "")
            .expect("open");
        self.exchange();
        let mut sets = self
            .answer(request)
            .expect("answered")
            .as_ref()
            .expect("a list")
            .subscriptions
            .clone();
        for set in &mut sets {
            set.sort_unstable();
        }
        sets.sort_unstable();
        sets
    }

    fn wanted(&self) -> Vec<Vec<String>> {
        self.client
            .subscriptions()
            .map(<[String]>::to_vec)
            .collect()
    }
}

fn waiting_or_closed(events: &[Event]) -> Vec<String> {
    events
        .iter()
        .filter_map(|event| match event {
            Event::Waiting { reason, .. } => Some(format!("waiting: {reason}")),
            Event::Closed { reason } => Some(format!("closed: {reason}")),
            _ => None,
        })
        .collect()
}

fn secured(access: Access) -> crate::Config {
    crate::Config {
        access,
        token: Some("admin".to_owned()),
        authenticator: Authenticator::Memory,
        ..crate::Config::default()
    }
}

#[test]
fn after_a_cut_come_the_token_then_the_subscriptions_then_open() {
    let mut world = World::with_broker(Config::default(), secured(Access::Open));
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
    let mut world = World::with_broker(Config::default(), secured(Access::Open));
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
    assert!(text.contains("token"), "{text}");
}

#[test]
fn a_refused_fresh_token_is_tried_anew() {
    let mut world = World::with_broker(Config::default(), secured(Access::Open));
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
fn equal_sets_share_one_subscription_on_the_wire() {
    let mut world = World::open(Config::default());
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
    let mut world = World::open(Config::default());
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
fn a_cut_fails_requests_and_keeps_subscriptions_waiting() {
    let mut world = World::open(Config::default());
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
fn a_request_without_an_answer_times_out_and_a_late_answer_is_nobodys() {
    let mut world = World::open(Config::default());
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
    let mut world = World::with_broker(Config::default(), secured(Access::Scoped));
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
    let mut world = World::open(Config::default());
    let long = "x".repeat(2000);
    world
        .client
        .publish(world.now, [&long], "data")
        .expect("open");
    world.exchange();
    assert!(
        matches!(&world.events[..], [Event::Refused { command, error, .. }]
            if command == "publish" && error.contains("tag-bytes")),
        "{:?}",
        world.events
    );
}

#[test]
fn a_dropped_notice_is_an_event() {
    let mut world = World::open(Config::default());
    let notice = String::from_utf8(crate::broker::dropped_notice(12)).expect("UTF-8");
    world.say(&notice);
    assert_eq!(world.events, [Event::Dropped { count: 12 }]);
}

#[test]
fn silence_is_asked_about_and_then_given_up() {
    let mut world = World::open(Config::default());
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
fn a_client_that_does_not_read_misses_no_sign_of_life() {
    let mut world = World::open(Config::default());
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
    let mut world = World::open(Config::default());
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
    let mut world = World::new(Config::default());
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
    let mut world = World::new(Config::default());
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
    let config = Config {
        reconnect: None,
        ..Config::default()
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
    let mut world = World::new(Config::default());
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
    let config = Config {
        offline: Offline::Buffer {
            messages: 3,
            bytes: 1000,
            max_age: 5 * SECOND,
        },
        ..Config::default()
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
    let mut world = World::open(Config::default());
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
fn tags_are_needed() {
    let mut world = World::open(Config::default());
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
    assert!(!world.client.expects_answer());
}

#[test]
fn an_unreadable_message_costs_only_itself() {
    let mut world = World::open(Config::default());
    let lines = b"nonsense\n{\"command\":\"publish\",\"tags\":[\"a\"]}\n";
    world.client.handle_lines(world.now, lines);
    world.drain();
    assert!(
        matches!(&world.events[..], [Event::Unreadable { error }, Event::Message(_)] if error.contains("JSON")),
        "{:?}",
        world.events
    );
}

#[derive(Clone, Debug)]
enum Step {
    Subscribe(u8),
    Unsubscribe(u8),
    PublishAcked,
    Ask,
    Probe,
    Cut,
    Accept,
    Up,
    Down,
    Exchange,
    Advance(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u8..6).prop_map(Step::Subscribe),
        4 => any::<u8>().prop_map(Step::Unsubscribe),
        1 => Just(Step::PublishAcked),
        1 => Just(Step::Ask),
        1 => Just(Step::Probe),
        1 => Just(Step::Cut),
        3 => Just(Step::Accept),
        5 => Just(Step::Up),
        5 => Just(Step::Down),
        2 => Just(Step::Exchange),
        2 => (0u16..15_000).prop_map(Step::Advance),
    ]
}

const SETS: [&[&str]; 6] = [
    &["a"],
    &["b"],
    &["a", "b"],
    &["b", "a"],
    &["c", "a", "b"],
    &[""],
];

fn play(steps: &[Step], ending: bool) {
    let config = Config {
        offline: Offline::Buffer {
            messages: 4,
            bytes: 10_000,
            max_age: 3 * SECOND,
        },
        reconnect: Some(Backoff {
            min: SECOND,
            max: 4 * SECOND,
        }),
        ..Config::default()
    };
    let mut world = World::new(config);
    let mut asked: BTreeSet<RequestId> = BTreeSet::new();
    let mut locals: Vec<(SubscriptionId, RequestId, usize)> = Vec::new();
    for step in steps {
        match *step {
            Step::Subscribe(set) => {
                let set = usize::from(set);
                let (subscription, request) = world.subscribe(SETS[set]);
                locals.push((subscription, request, set));
                asked.insert(request);
            }
            Step::Unsubscribe(pick) if !locals.is_empty() => {
                let (subscription, ..) = locals.remove(usize::from(pick) % locals.len());
                asked.insert(
                    world
                        .client
                        .unsubscribe(world.now, subscription)
                        .expect("open"),
                );
            }
            Step::Unsubscribe(_) => {}
            Step::PublishAcked => {
                asked.extend(world.client.publish_acked(world.now, ["a"], "x").ok());
            }
            Step::Ask => asked.extend(world.client.request(world.now, "who", &[], "").ok()),
            Step::Probe => world.client.probe(world.now),
            Step::Cut => world.cut(),
            Step::Accept => world.accept(),
            Step::Up => drop(world.up_one()),
            Step::Down => drop(world.down_one()),
            Step::Exchange => world.exchange(),
            Step::Advance(time) => world.advance(Duration::from_millis(u64::from(time))),
        }
        world.drain();
    }
    if ending {
        world.client.close();
        world.drain();
        assert!(world.session.is_none() && world.client.poll_timeout().is_none());
    } else {
        for _ in 0..4 {
            world.accept();
            world.exchange();
            if world.client.state() == State::Open {
                break;
            }
            world.advance(4 * SECOND);
        }
        assert_eq!(world.client.state(), State::Open);
        let held = world.held_by_broker();
        assert_eq!(held, world.wanted(), "the server and the client differ");
        // What the application was told it has is what is wanted; a subscribe that failed is not there.
        let told: BTreeSet<Vec<&str>> = locals
            .iter()
            .filter(|(_, request, _)| matches!(world.answer(*request), Some(Ok(_))))
            .map(|&(.., set)| {
                let mut set = SETS[set].to_vec();
                set.sort_unstable();
                set
            })
            .collect();
        assert_eq!(
            held,
            Vec::from_iter(told),
            "the application was told otherwise"
        );
    }
    for &request in &asked {
        let answers = world.answers.get(&request).map_or(0, Vec::len);
        assert_eq!(answers, 1, "{request:?} has {answers} answers");
    }
    assert!(!world.client.expects_answer());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_happens_the_server_holds_what_is_wanted_and_every_request_has_one_answer(
        steps in proptest::collection::vec(step(), 0..120),
        ending in proptest::bool::weighted(0.2),
    ) {
        play(&steps, ending);
    }
}

#[test]
fn a_flapping_connection_restores_many_subscriptions() {
    let mut steps = vec![Step::Accept];
    for round in 0..60u8 {
        steps.extend([
            Step::Subscribe(round % 6),
            Step::Exchange,
            Step::Cut,
            Step::Advance(4_000),
            Step::Accept,
        ]);
    }
    play(&steps, false);
}
