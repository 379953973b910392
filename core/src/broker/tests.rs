//! What must hold inside a broker between any two calls, whatever is done to it.

use alloc::format;
use std::collections::HashSet;

use super::*;

impl Broker {
    /// Checks everything that must hold between any two calls.
    fn assert_consistent(&self) {
        self.index.assert_consistent();
        let mut connected = 0;
        for (slot, place) in self.slots.iter().enumerate() {
            let is_free = self
                .free
                .iter()
                .filter(|&&free| free as usize == slot)
                .count();
            let Some(state) = &place.session else {
                assert_eq!(is_free, 1, "an empty slot is free once");
                assert_eq!(
                    self.index.count(slot as u32),
                    0,
                    "an empty slot holds nothing"
                );
                continue;
            };
            assert_eq!(is_free, 0, "a taken slot is not free");
            connected += 1;
            let session = SessionId {
                slot: slot as u32,
                generation: place.generation,
            };
            if let Role::Token(token) = &state.role {
                let holders = &self.holders[token];
                let times = holders
                    .sessions
                    .iter()
                    .filter(|&&other| other == session)
                    .count();
                assert_eq!(times, 1, "a session stands once with its token");
                for set in self.index.held(session.slot) {
                    assert!(holders.grants.allow_subscribe(&set), "{set:?} is granted");
                }
            }
            if self.access == Access::Scoped && matches!(state.role, Role::Anonymous) {
                assert_eq!(self.index.count(session.slot), 0, "nobody holds nothing");
            }
        }
        assert_eq!(connected, self.connected);
        assert_eq!(self.slots.len(), connected + self.free.len());
        for (token, holders) in &self.holders {
            assert!(
                !holders.sessions.is_empty(),
                "a token that nobody presents is forgotten"
            );
            for &session in &holders.sessions {
                let role = self.session(session).map(|state| &state.role);
                assert!(matches!(role, Some(Role::Token(held)) if held == token));
            }
            if self.authenticator == Authenticator::Memory {
                let request = AuthRequest::Tags {
                    token: String::from(&**token),
                };
                let tags = self
                    .table
                    .clone()
                    .apply(&request)
                    .expect("it is registered");
                assert!(
                    holders.grants == Grants::new(&tags),
                    "grants are what the table says"
                );
            }
        }
    }
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(0x5851_F42D_4C95_7F2D)
            .wrapping_add(0x1405_7B7E_F767_814F);
        (self.0 >> 33) as usize % bound
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }

    fn message(&mut self) -> String {
        let command = self.pick(&[
            "subscribe",
            "subscribe",
            "subscribe",
            "unsubscribe",
            "publish",
            "publish",
            "register",
            "unregister",
            "set",
            "unset",
            "unset",
            "auth",
            "list",
            "listall",
            "tags",
        ]);
        let data = self.pick(&["t1", "t1", "t2", "server", "nobody"]);
        let tags: Vec<_> = (0..self.below(4))
            .map(|_| format!("\"{}\"", self.pick(&["a", "b", "c", "d"])))
            .collect();
        let tags = tags.join(",");
        match self.below(30) {
            0 => String::from("nonsense"),
            1 => String::from("{\"command\":\"ping\"}"),
            _ => format!("{{\"command\":\"{command}\",\"tags\":[{tags}],\"data\":\"{data}\"}}"),
        }
    }
}

#[test]
fn brokers_stay_consistent_under_random_sessions() {
    for seed in 0..150 {
        let mut dice = Dice(seed);
        let mut config = Config {
            access: [Access::Open, Access::Scoped, Access::Scoped][dice.below(3)],
            authenticator: [Authenticator::Memory, Authenticator::Host][dice.below(2)],
            token: Some(String::from("server")),
            is_numbered: seed % 2 == 1,
            ..Config::default()
        };
        config.limits.bad_messages = 2;
        let mut broker = Broker::new(config, seed);
        let mut store = TokenTable::new(1);
        let mut sessions = Vec::new();
        let mut questions = VecDeque::new();
        for _ in 0..150 {
            match dice.below(20) {
                0..4 => {
                    let token =
                        [None, Some("server"), Some("t1"), Some("t1"), Some("t2")][dice.below(5)];
                    sessions.push(broker.connect(Credentials { token }));
                }
                4..6 if !sessions.is_empty() => {
                    let session = sessions.swap_remove(dice.below(sessions.len()));
                    broker.disconnect(session);
                }
                6 if !sessions.is_empty() => {
                    broker.disconnect_some(sessions[dice.below(sessions.len())]);
                }
                7..12 => {
                    // The store answers in the order in which it was asked.
                    if let Some((session, request)) = questions.pop_front() {
                        let reply = store.apply(&request);
                        broker.handle_auth_reply(session, &request, reply);
                    }
                }
                _ if !sessions.is_empty() => {
                    let session = sessions[dice.below(sessions.len())];
                    let lines: Vec<_> = (0..1 + dice.below(3)).map(|_| dice.message()).collect();
                    broker.handle_message(session, lines.join("\n").as_bytes());
                }
                _ => {}
            }
            while let Some(output) = broker.poll_output() {
                if let Output::Ask { session, request } = output {
                    questions.push_back((session, request));
                }
            }
            broker.assert_consistent();
        }
        sessions
            .into_iter()
            .for_each(|session| broker.disconnect(session));
        broker.assert_consistent();
        assert!(broker.holders.is_empty());
        assert_eq!(broker.stats().subscriptions, 0);
    }
}

#[test]
fn answers_that_come_late_find_nobody_and_still_count() {
    let mut broker = Broker::new(
        Config {
            access: Access::Scoped,
            authenticator: Authenticator::Host,
            ..Config::default()
        },
        1,
    );
    let tags = |tags: &[&str]| Ok(tags.iter().copied().map(String::from).collect());
    let request = AuthRequest::Tags {
        token: String::from("t"),
    };
    let gone = broker.connect(Credentials { token: Some("t") });
    let here = broker.connect(Credentials { token: Some("t") });
    broker.disconnect(gone);
    broker.handle_auth_reply(gone, &request, tags(&["a"]));
    assert!(broker.holders.is_empty());
    broker.handle_auth_reply(here, &request, tags(&["a"]));
    broker.handle_message(here, br#"{"command":"subscribe","tags":["a"]}"#);
    broker.assert_consistent();
    // The session that asked for this one has gone as well.
    let unset = AuthRequest::Unset {
        token: String::from("t"),
        tags: alloc::vec![String::from("a")],
    };
    broker.handle_auth_reply(gone, &unset, tags(&[]));
    assert_eq!(broker.stats().subscriptions, 0);
    broker.assert_consistent();
}

#[test]
fn ids_of_slots_that_are_used_again_are_all_different() {
    let mut broker = Broker::new(Config::default(), 1);
    let mut seen = HashSet::new();
    for _ in 0..100 {
        let session = broker.connect(Credentials::default());
        assert!(seen.insert(session));
        broker.disconnect(session);
    }
    assert_eq!(broker.slots.len(), 1);
}
