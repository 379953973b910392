//! The client against a real broker, with a network and a clock that the tests move: what `tests/vectors/client.json`
//! cannot tell.

mod connection;
mod simulation;
mod verbs;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use super::{
    Action, Backoff, Client, Event, Offline, Options, RequestError, RequestId, State,
    SubscriptionId, Token,
};
use crate::{Broker, Credentials, SessionId};

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
    fn new(config: Options) -> Self {
        let mut world = Self {
            client: Client::new(config, 7, Duration::ZERO),
            broker: Broker::new(crate::Config::default(), 7),
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

    fn open(config: Options) -> Self {
        let mut world = Self::new(config);
        world.accept();
        world.exchange();
        assert_eq!(world.client.state(), State::Open);
        world.events.clear();
        world.sent.clear();
        world
    }

    fn drain(&mut self) {
        while let Some(action) = self.client.poll_action() {
            match action {
                Action::Connect => self.is_dialling = true,
                Action::ObtainToken => {}
                Action::Send(bytes) => {
                    assert!(self.session.is_some(), "sent without a connection");
                    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
                        self.sent
                            .push(String::from_utf8(line.to_vec()).expect("UTF-8"));
                        self.up.push_back(line.to_vec());
                    }
                }
                Action::Disconnect => self.hang_up(),
                Action::Answer { request, result } => {
                    self.answers.entry(request).or_default().push(result);
                }
                Action::Event(event) => self.events.push(event),
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
            self.client.handle_close(self.now, None, "cut");
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
                    ..
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
