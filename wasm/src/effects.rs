//! What the page is to do after a call, in the form in which it is read there; knows nothing of brokers.

use alloc::vec::Vec;

/// What is to be done, as `core.ts` knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// Send a text to a session.
    Send,
    /// Hand a message of a session to the page itself, if the first number is 1, and to the sessions that follow it.
    Deliver,
    /// Run a custom command of a session: its name, its data, its tags.
    Command,
    /// Notice that a session was let go.
    Closed,
    /// Call `expire` at this time, in seconds since 1970; at no time if there is none.
    Expiry,
    /// Tell the application what is wrong with an option.
    Wrong,
}

/// A list of what is to be done. Each item is its kind, a session, its numbers behind their count, and its texts behind
/// theirs, each behind its length. All numbers are of 32 bits, their low end first.
#[derive(Debug, Default)]
pub struct Effects(Vec<u8>);

/// What a list may take for longer than it is needed.
const KEPT: usize = 64 << 10;

impl Effects {
    /// An empty list.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The bytes of the list.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Empties the list.
    pub fn clear(&mut self) {
        self.0.clear();
        self.0.shrink_to(KEPT);
    }

    /// Says what is wrong with an option.
    pub fn refuse(&mut self, why: &str) {
        self.push(Kind::Wrong, 0, &[], &[why.as_bytes()]);
    }

    pub(crate) fn push(&mut self, kind: Kind, session: usize, numbers: &[u32], texts: &[&[u8]]) {
        self.number(kind as usize);
        self.number(session);
        self.number(numbers.len());
        for &number in numbers {
            self.number(number as usize);
        }
        self.number(texts.len());
        for text in texts {
            self.number(text.len());
            self.0.extend_from_slice(text);
        }
    }

    fn number(&mut self, number: usize) {
        self.0.extend_from_slice(&(number as u32).to_le_bytes());
    }
}
