//! Owns one history of a broker and its clients per seed, written down line by line. It decides nothing of what is
//! right: the same lines on every machine is all it is for.

#![forbid(unsafe_code)]

use std::fmt::Write;
use std::time::Duration;

use mist_core::client::{self, Client, Offline, SubscriptionId, Token};
use mist_core::{
    Access, Broker, Config, Credentials, CustomReply, CustomRequest, Limits, Output, SessionId,
    TokenStorage,
};
use wasm_bindgen::prelude::wasm_bindgen;

const TOKENS: [&str; 4] = ["server", "t1", "t2", "nobody"];
const TAGS: [&str; 8] = ["a", "b", "c", "d", "e", "", "é\"x", "😀\n"];
const COMMANDS: [&str; 10] = [
    "who", "listall", "list", "ping", "register", "set", "unset", "tags", "echo", "nope",
];
const SECOND: Duration = Duration::from_secs(1);

/// Plays the history of a seed and returns what happened.
#[wasm_bindgen]
#[must_use]
pub fn trace(seed: u32) -> String {
    let mut world = World::new(seed);
    for _ in 0..200 {
        world.step();
        // A host may be late.
        if !world.dice.once_in(3) {
            world.settle();
        }
    }
    world.settle();
    world.note(format_args!("{:?}", world.broker.stats()));
    world.text
}

/// Random numbers from a seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ mixed >> 31) % bound as u64) as usize
    }

    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    fn tags(&mut self) -> Vec<&'static str> {
        let count = self.below(5);
        (0..count).map(|_| self.pick(&TAGS)).collect()
    }
}

/// Who is behind a session.
#[derive(Clone, Copy)]
enum Peer {
    /// One that says anything.
    Raw,
    /// The client with this number.
    Client(usize),
}

struct World {
    text: String,
    dice: Dice,
    now: Duration,
    broker: Broker,
    /// In the order they came.
    sessions: Vec<(SessionId, Peer)>,
    clients: Vec<Client>,
    wanted: Vec<(usize, SubscriptionId)>,
}

impl World {
    fn new(seed: u32) -> Self {
        let mut dice = Dice(seed.into());
        let mut limits = Limits::default();
        limits.tags_per_message = 6;
        limits.subscriptions = 6;
        limits.bad_messages = 3;
        let config = Config {
            limits,
            access: dice.pick(&[Access::Open, Access::Scoped]),
            token: Some(TOKENS[0].to_owned()),
            token_storage: TokenStorage::Memory,
            has_verifiers: false,
            commands: vec!["echo".to_owned()],
            is_guarded: false,
            is_numbered: dice.once_in(2),
            turn: None,
        };
        let mut client = client::Options::default();
        client.offline = Offline::buffer(3, 200, 4 * SECOND);
        let mut broker = Broker::new(config, seed.into());
        let admin = broker.connect(Credentials {
            token: Some(TOKENS[0]),
        });
        for token in [TOKENS[1], TOKENS[2]] {
            let line = format!(r#"{{"command":"register","data":"{token}","tags":["a","b"]}}"#);
            broker.handle_message(admin, line.as_bytes());
        }
        Self {
            broker,
            clients: (0..3)
                .map(|number| Client::new(client.clone(), number, Duration::ZERO))
                .collect(),
            text: String::new(),
            dice,
            now: Duration::ZERO,
            sessions: vec![(admin, Peer::Raw)],
            wanted: Vec::new(),
        }
    }

    fn note(&mut self, what: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "{what}");
    }

    /// One thing that happens.
    fn step(&mut self) {
        match self.dice.below(20) {
            0 => self.connect(),
            1..9 => self.say(),
            9 | 10 => self.leave(),
            11 => self.wait(),
            _ => self.ask(),
        }
    }

    fn connect(&mut self) {
        let token = self.dice.once_in(2).then(|| self.dice.pick(&TOKENS));
        let session = self.broker.connect(Credentials { token });
        self.note(format_args!("connect {token:?}: {session:?}"));
        self.sessions.push((session, Peer::Raw));
    }

    /// A session sends a line, mostly one that can be read.
    fn say(&mut self) {
        let Some(&(session, _)) = self.some_session() else {
            return;
        };
        let command = match self.dice.below(12) {
            0..5 => "publish",
            5..8 => "subscribe",
            8 => "unsubscribe",
            9 => "auth",
            _ => self.dice.pick(&COMMANDS),
        };
        let data = self
            .dice
            .pick(&[TOKENS[0], TOKENS[1], TOKENS[2], "", "12 min", "\u{1}"]);
        let tags = self.dice.tags();
        let mut line = format!(r#"{{"command":{command:?},"tags":{tags:?},"data":{data:?}"#);
        if self.dice.once_in(2) {
            let _ = write!(line, r#","id":{}"#, self.dice.below(100));
        }
        if !self.dice.once_in(15) {
            line.push('}');
        }
        self.note(format_args!("{session:?} says {line}"));
        self.broker.handle_message(session, line.as_bytes());
    }

    fn some_session(&mut self) -> Option<&(SessionId, Peer)> {
        let count = self.sessions.len();
        (count > 0).then(|| &self.sessions[self.dice.below(count)])
    }

    fn leave(&mut self) {
        let Some(&(session, _)) = self.some_session() else {
            return;
        };
        self.note(format_args!("{session:?} leaves"));
        self.close(session, "cut");
    }

    /// Forgets a session, and tells the client behind it.
    fn close(&mut self, session: SessionId, reason: &str) {
        self.broker.disconnect(session);
        let Some(place) = self.sessions.iter().position(|(one, _)| *one == session) else {
            return;
        };
        if let (_, Peer::Client(number)) = self.sessions.remove(place) {
            self.clients[number].handle_close(self.now, None, reason);
        }
    }

    fn wait(&mut self) {
        self.now += Duration::from_millis(self.dice.below(8_000) as u64);
        let now = self.now;
        self.note(format_args!("it is {now:?}"));
        for client in &mut self.clients {
            client.handle_timeout(now);
        }
    }

    /// An application uses its client.
    fn ask(&mut self) {
        let number = self.dice.below(self.clients.len());
        let tags = self.dice.tags();
        let now = self.now;
        let client = &mut self.clients[number];
        let said = match self.dice.below(9) {
            0..3 => {
                let subscribed = client.subscribe(now, &tags);
                if let Ok((subscription, _)) = subscribed {
                    self.wanted.push((number, subscription));
                }
                format!("subscribe {tags:?}: {subscribed:?}")
            }
            3 if !self.wanted.is_empty() => {
                let (number, subscription) = self.wanted.remove(self.dice.below(self.wanted.len()));
                let asked = self.clients[number].unsubscribe(now, subscription);
                format!("unsubscribe of {number} {subscription:?}: {asked:?}")
            }
            3 | 4 => format!("publish {tags:?}: {:?}", client.publish(now, &tags, "loud")),
            5 | 6 => format!(
                "publish {tags:?}: {:?}",
                client.publish_acked(now, &tags, "7")
            ),
            7 => {
                let command = self.dice.pick(&COMMANDS);
                format!(
                    "{command} {tags:?}: {:?}",
                    client.request(now, command, &tags, "t1")
                )
            }
            _ => {
                client.probe(now);
                "probe".to_owned()
            }
        };
        self.note(format_args!("client {number}: {said}"));
    }

    /// Carries out what broker and clients want until they want nothing more.
    fn settle(&mut self) {
        loop {
            if let Some(output) = self.broker.poll_output() {
                self.carry_out(output);
                continue;
            }
            let number = (0..self.clients.len()).find_map(|number| {
                let output = self.clients[number].poll_action()?;
                Some((number, output))
            });
            match number {
                Some((number, output)) => self.carry_out_for(number, output),
                None => return,
            }
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Send { session, message } => self.deliver(session, &message),
            Output::Deliver {
                targets,
                sets,
                message,
                receipt,
                ..
            } => {
                self.note(format_args!("{} targets, sets {sets:?}", targets.len()));
                for &target in &targets {
                    self.deliver(target, &message);
                }
                if let Some(receipt) = receipt {
                    self.deliver(receipt.session(), &receipt.reply(targets.len()));
                }
            }
            Output::Custom { session, request } => {
                let CustomRequest { tags, data, .. } = request;
                let reply = match data.is_empty() {
                    true => Err("nothing to say".to_owned()),
                    false => Ok(Some(CustomReply { tags, data })),
                };
                self.broker.handle_custom_reply(session, reply);
            }
            Output::Close { session, reason } => {
                self.note(format_args!("{session:?} closed: {reason:?}"));
                self.close(session, "hung up");
            }
            Output::Proceed => drop(self.broker.proceed()),
            other => self.note(format_args!("{other:?}")),
        }
    }

    fn deliver(&mut self, session: SessionId, message: &[u8]) {
        self.note(format_args!(
            "{session:?} gets {}",
            String::from_utf8_lossy(message)
        ));
        let peer = self.sessions.iter().find(|(one, _)| *one == session);
        if let Some(&(_, Peer::Client(number))) = peer {
            self.clients[number].handle_frame(self.now, message);
        }
    }

    fn carry_out_for(&mut self, number: usize, output: client::Action) {
        let now = self.now;
        match output {
            client::Action::Connect if self.dice.once_in(4) => {
                self.clients[number].handle_close(now, None, "nobody there");
            }
            client::Action::Connect => {
                let session = self.broker.connect(Credentials::default());
                self.note(format_args!("client {number} is {session:?}"));
                self.sessions.push((session, Peer::Client(number)));
                let token = (number > 0).then(|| Token::Fresh(TOKENS[number - 1]));
                self.clients[number].handle_open(now, token);
            }
            // Nobody gives it tokens.
            client::Action::ObtainToken => {}
            client::Action::Send(bytes) => {
                let session = self.session_of(number);
                for line in bytes
                    .split(|&byte| byte == b'\n')
                    .filter(|line| !line.is_empty())
                {
                    self.note(format_args!(
                        "client {number} sends {}",
                        String::from_utf8_lossy(line)
                    ));
                    if let Some(session) = session {
                        self.broker.handle_message(session, line);
                    }
                }
            }
            client::Action::Disconnect => {
                self.note(format_args!("client {number} hangs up"));
                if let Some(session) = self.session_of(number) {
                    self.sessions.retain(|(one, _)| *one != session);
                    self.broker.disconnect(session);
                }
            }
            other => self.note(format_args!("client {number}: {other:?}")),
        }
    }

    fn session_of(&self, number: usize) -> Option<SessionId> {
        let mut sessions = self.sessions.iter();
        let mine = sessions.find(|(_, peer)| matches!(peer, Peer::Client(its) if *its == number));
        mine.map(|&(session, _)| session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_history() {
        assert_eq!(trace(3), trace(3));
        assert_ne!(trace(3), trace(4));
    }

    #[test]
    fn histories_have_everything_in_them() {
        let all: String = (0..100).map(trace).collect();
        for what in [
            "Open { resumed: true }",
            "Message(",
            "ConnectionLost",
            "SubscriptionLost",
            "Discarded",
            "Refused",
            "closed: ",
            "delivered\":2",
            "does not grant",
            "nothing to say",
        ] {
            assert!(all.contains(what), "{what} never happens");
        }
    }
}
