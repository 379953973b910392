//! Owns the order in which changes of one token are made; knows nothing of stores and of what a change is.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use mist_net::lock::Mutex;
use tokio::sync::OwnedMutexGuard;

/// How long a change waits for earlier ones of the same token: longer than a store may take for one.
const PATIENCE: Duration = Duration::from_secs(15);

type Turn = Arc<tokio::sync::Mutex<()>>;

/// One queue per token that is being changed.
///
/// Without them, two changes of one token could be answered in another order than the store made them in, and
/// sessions would go on with grants that the store has taken away.
#[derive(Default)]
pub(super) struct Turns(Mutex<HashMap<Hash, Turn>>);

/// The SHA-256 of a token, by which it may be changed too.
type Hash = [u8; 32];

impl Turns {
    /// Waits until earlier changes of the token are answered; none when that takes too long.
    pub(super) async fn take(&self, token: Hash) -> Option<Held<'_>> {
        let turn = Arc::clone(self.0.lock().entry(token).or_default());
        // Made before waiting, so that it clears up also when the wait ends in vain.
        let mut held = Held {
            turns: self,
            token,
            guard: None,
        };
        let guard = tokio::time::timeout(PATIENCE, turn.lock_owned()).await;
        held.guard = Some(guard.ok()?);
        Some(held)
    }
}

/// A token's turn; the next one's begins when it is dropped.
pub(super) struct Held<'a> {
    turns: &'a Turns,
    token: Hash,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut turns = self.turns.0.lock();
        self.guard = None;
        // Each waiting change holds a clone.
        if turns
            .get(&self.token)
            .is_some_and(|turn| Arc::strong_count(turn) == 1)
        {
            turns.remove(&self.token);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_token_has_one_turn_at_a_time_and_leaves_nothing_behind() {
        let turns = Turns::default();
        let first = turns.take([1; 32]).await;
        let other = turns.take([2; 32]).await;
        assert!(first.is_some() && other.is_some());
        let mut second = Box::pin(turns.take([1; 32]));
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(first);
        let second = second.await;
        assert!(second.is_some());
        drop((second, other));
        assert!(turns.0.lock().is_empty());
    }

    #[tokio::test]
    async fn a_turn_that_nobody_waits_for_any_more_is_forgotten() {
        let turns = Turns::default();
        let first = turns.take([1; 32]).await;
        let mut second = Box::pin(turns.take([1; 32]));
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(second);
        assert_eq!(turns.0.lock().len(), 1);
        drop(first);
        assert!(turns.0.lock().is_empty());
    }
}
