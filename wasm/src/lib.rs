//! Owns the edge between a web page and the broker: numbers and strings in and out; decides nothing.
//!
//! A page connects sessions, hands over the messages they send, and takes out what is to be sent to whom.

use std::collections::VecDeque;

use mist_core::{Config, Credentials, Output, SessionId};
use wasm_bindgen::prelude::wasm_bindgen;

/// A broker in this page.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Broker {
    broker: mist_core::Broker,
    /// By slot, so that a page holds plain numbers.
    sessions: Vec<Option<SessionId>>,
    sent: VecDeque<Sent>,
}

/// One message for one session.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Sent {
    session: u32,
    message: String,
}

#[wasm_bindgen]
impl Sent {
    /// Whom it is for.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn session(&self) -> u32 {
        self.session
    }

    /// The message: one JSON object.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn message(&self) -> String {
        self.message.clone()
    }
}

#[wasm_bindgen]
impl Broker {
    /// Creates a broker; `seed` comes from `crypto.getRandomValues`.
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            broker: mist_core::Broker::new(Config::default(), seed),
            sessions: Vec::new(),
            sent: VecDeque::new(),
        }
    }

    /// Opens a session and returns its number.
    pub fn connect(&mut self) -> u32 {
        let session = self.broker.connect(Credentials::default());
        let slot = session.slot();
        if self.sessions.len() <= slot {
            self.sessions.resize(slot + 1, None);
        }
        self.sessions[slot] = Some(session);
        slot as u32
    }

    /// Closes a session.
    pub fn disconnect(&mut self, session: u32) {
        if let Some(session) = self
            .sessions
            .get_mut(session as usize)
            .and_then(Option::take)
        {
            self.broker.disconnect(session);
        }
    }

    /// Handles a message that a session sends.
    pub fn handle(&mut self, session: u32, message: &str) {
        if let Some(&Some(session)) = self.sessions.get(session as usize) {
            self.broker.handle_message(session, message.as_bytes());
        }
    }

    /// Takes the next message that is to be sent, oldest first.
    pub fn poll(&mut self) -> Option<Sent> {
        loop {
            if let Some(sent) = self.sent.pop_front() {
                return Some(sent);
            }
            match self.broker.poll_output()? {
                Output::Send { session, message } => self.send(session, &message),
                Output::Deliver {
                    targets,
                    message,
                    receipt,
                } => {
                    targets
                        .iter()
                        .for_each(|&target| self.send(target, &message));
                    if let Some(receipt) = receipt {
                        self.send(receipt.session(), &receipt.reply(targets.len()));
                    }
                }
                Output::Close { session, .. } => self.disconnect(session.slot() as u32),
                // A broker without a token store and custom commands asks nothing.
                _ => {}
            }
        }
    }

    fn send(&mut self, session: SessionId, message: &[u8]) {
        self.sent.push_back(Sent {
            session: session.slot() as u32,
            message: String::from_utf8_lossy(message).into_owned(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_sessions_of_a_page_reach_each_other() {
        let mut broker = Broker::new(1);
        let (reader, writer) = (broker.connect(), broker.connect());
        broker.handle(reader, r#"{"command":"subscribe","tags":["a"]}"#);
        broker.handle(
            writer,
            r#"{"command":"publish","tags":["b","a"],"data":"hi","id":1}"#,
        );
        let mut poll = || broker.poll().map(|sent| (sent.session(), sent.message()));
        let delivered = r#"{"command":"publish","tags":["a","b"],"data":"hi"}"#;
        assert_eq!(poll(), Some((reader, delivered.into())));
        let answer =
            r#"{"command":"publish","tags":["b","a"],"data":"success","delivered":1,"id":1}"#;
        assert_eq!(poll(), Some((writer, answer.into())));
        assert_eq!(poll(), None);
    }
}
