//! What must hold inside a broker between any two calls, whatever is done to it.

mod listing;
mod publish;
mod revocation;

use alloc::format;
use core::convert::Infallible;
use std::collections::HashSet;

use super::session::Role;
use super::*;
use crate::auth::{AuthReply, AuthRequest, EditKind, Grants, TokenEdit};
use crate::error::TokenError;
use crate::message::Messages;

impl Broker {
    fn count(&self, slot: u32) -> usize {
        self.index.holding(slot).subscriptions
    }

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
                assert_eq!(self.count(slot as u32), 0, "an empty slot holds nothing");
                continue;
            };
            assert_eq!(is_free, 0, "a taken slot is not free");
            connected += 1;
            let session = SessionId {
                slot: slot as u32,
                generation: place.generation,
            };
            if let Role::Token { token, place } = &state.role {
                let holders = &self.holders[token];
                assert_eq!(holders.sessions[*place as usize], session);
                for set in self.index.held(session.slot) {
                    let tags = self.index.sorted_tags(set);
                    assert!(
                        holders.grants.allow_subscription(tags.iter().copied()),
                        "{tags:?} is granted"
                    );
                }
            }
            if self.access == Access::Scoped
                && matches!(state.role, Role::Anonymous | Role::Revoked)
            {
                assert_eq!(self.count(session.slot), 0, "nobody holds nothing");
            }
        }
        assert_eq!(connected, self.connected);
        assert_eq!(self.slots.len(), connected + self.free.len());
        for (token, holders) in &self.holders {
            let questions = self.slots.iter().filter_map(|slot| {
                let question = slot.session.as_ref()?.question.as_ref()?;
                Some(&question.about)
            });
            let asked_about = questions
                .filter(|about| matches!(about, About::Login { token: asked, .. } if **asked == **token))
                .count();
            assert_eq!(holders.asked_about, asked_about);
            assert!(
                !holders.sessions.is_empty() || asked_about > 0,
                "a token that nobody presents is forgotten"
            );
            if let Some(end) = holders.grants.expires_at {
                assert!(self.ends.has(end, token), "its end is known");
            }
            for &session in &holders.sessions {
                let role = self.session(session).map(|state| &state.role);
                assert!(matches!(role, Some(Role::Token { token: held, .. }) if held == token));
            }
            if self.token_storage == TokenStorage::Memory && !holders.sessions.is_empty() {
                let granted = self.table.find(token).expect("it is registered");
                assert!(
                    holders.grants == granted.sorted(),
                    "grants are what the table says"
                );
            }
        }
    }
}

/// What a store answers.
fn answer(store: &mut TokenTable, request: &AuthRequest) -> AuthReply {
    match request {
        AuthRequest::Authenticate { token } => Ok(store.find(token)),
        AuthRequest::Lookup { token } => store.find(token).ok_or(TokenError::NotFound).map(Some),
        AuthRequest::Edit(edit) => {
            let Ok(done) = store.edit(edit, |_| Ok::<_, Infallible>(()));
            done.map(|()| None)
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
            token_storage: [TokenStorage::Memory, TokenStorage::Host][dice.below(2)],
            token: Some(String::from("server")),
            is_numbered: seed % 2 == 1,
            ..Config::default()
        };
        config.limits.bad_messages = 2;
        let mut broker = Broker::new(config, seed);
        let mut store = TokenTable::new();
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
                        let reply = answer(&mut store, &request);
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
            token_storage: TokenStorage::Host,
            ..Config::default()
        },
        1,
    );
    let grants = Grants::of_token("t", alloc::vec![String::from("a")]);
    let request = AuthRequest::Authenticate {
        token: String::from("t"),
    };
    let gone = broker.connect(Credentials { token: Some("t") });
    let here = broker.connect(Credentials { token: Some("t") });
    broker.disconnect(gone);
    broker.handle_auth_reply(gone, &request, Ok(Some(grants.clone())));
    broker.assert_consistent();
    assert!(broker.holders["t"].sessions.is_empty());
    broker.handle_auth_reply(here, &request, Ok(Some(grants)));
    broker.handle_message(here, br#"{"command":"subscribe","tags":["a"]}"#);
    broker.assert_consistent();
    // The session that asked for this one has gone as well.
    let unset = AuthRequest::Edit(TokenEdit {
        tags: alloc::vec![String::from("a")],
        ..TokenEdit::new(EditKind::Unset, "t")
    });
    broker.handle_auth_reply(gone, &unset, Ok(None));
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

/// A scoped broker in which "t1" grants `a` and `b`, and its admin.
fn scoped(token_storage: TokenStorage) -> (Broker, SessionId) {
    let config = Config {
        access: Access::Scoped,
        token_storage,
        token: Some(String::from("server")),
        ..Config::default()
    };
    let mut broker = Broker::new(config, 1);
    let admin = broker.connect(Credentials {
        token: Some("server"),
    });
    broker.handle_message(
        admin,
        br#"{"command":"register","data":"t1","tags":["a","b"]}"#,
    );
    (broker, admin)
}

/// Has a session subscribe to many pairs of a tag and a number.
fn subscribe_to_many(broker: &mut Broker, session: SessionId, tag: &str, count: usize) {
    for number in 0..count {
        let text = format!(r#"{{"command":"subscribe","tags":["{tag}","{number}"]}}"#);
        broker.handle_message(session, text.as_bytes());
    }
}

/// The texts that were sent to a session; stops where something takes long.
fn sent_to(broker: &mut Broker, session: SessionId) -> (Vec<String>, bool) {
    let mut texts = Vec::new();
    while let Some(output) = broker.poll_output() {
        match output {
            Output::Send {
                session: to,
                message,
            } if to == session => texts.push(String::from_utf8(message).expect("UTF-8")),
            Output::Proceed => return (texts, true),
            _ => {}
        }
    }
    (texts, false)
}

/// Decides what one line asks for.
fn decide(broker: &Broker, session: SessionId, line: &str, scratch: &mut Scratch) -> Verdict {
    let mut scan = Scan::new();
    let mut messages = Messages::lines(line.as_bytes());
    let message = messages.next(&mut scan, broker.limits());
    let message = message.expect("a message").expect("it can be read");
    broker.decide(session, &message, scratch)
}

#[test]
fn nobody_pays_for_what_another_made_the_broker_look_at() {
    let mut broker = Broker::new(Config::default(), 1);
    let reader = broker.connect(Credentials::default());
    let publisher = broker.connect(Credentials::default());
    broker.handle_message(reader, br#"{"command":"subscribe","tags":["a","b"]}"#);
    broker.handle_message(publisher, br#"{"command":"ping"}"#);
    let mut scratch = Scratch::new();
    let mut walked = |line: &str| {
        let _ = decide(&broker, publisher, line, &mut scratch);
        scratch.walked()
    };
    assert!(walked(r#"{"command":"publish","tags":["a","b"]}"#) > 0);
    for line in [
        r#"{"command":"ping"}"#,
        r#"{"command":"who"}"#,
        r#"{"command":"publish"}"#,
    ] {
        assert_eq!(walked(line), 0, "{line}");
    }
}
