//! Owns when a server counts as standing still; knows no clock.

use std::time::Duration;

use tokio::time::Instant;

/// How long nothing may come back before the server counts as standing still.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How long what is on its way may take to arrive once nothing more is sent.
pub(super) const GRACE: Duration = Duration::from_secs(1);

/// What a look at a run shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pulse {
    /// Something comes back, or nothing has to.
    Fine,
    /// Nothing has come back for so long that it has to be found out whether anything will. Said once.
    Doubtful,
    /// Nothing comes back.
    Gone,
}

/// What was seen so far.
pub(super) struct Stall {
    settled: u64,
    moved_at: Instant,
    pub(super) is_doubtful: bool,
}

impl Stall {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            settled: 0,
            moved_at: now,
            is_doubtful: false,
        }
    }

    /// Takes note of how much has come back by now, and whether more is to come.
    pub(super) fn look(&mut self, now: Instant, settled: u64, is_behind: bool) -> Pulse {
        if settled != self.settled || !is_behind {
            (self.settled, self.moved_at) = (settled, now);
            return Pulse::Fine;
        }
        let quiet = now.saturating_duration_since(self.moved_at);
        if quiet >= PATIENCE - GRACE && !std::mem::replace(&mut self.is_doubtful, true) {
            Pulse::Doubtful
        } else if quiet >= PATIENCE {
            Pulse::Gone
        } else {
            Pulse::Fine
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_gone_when_nothing_comes_back_for_as_long_as_is_said() {
        let start = Instant::now();
        let mut stall = Stall::new(start);
        assert_eq!(stall.look(start, 5, true), Pulse::Fine);
        let doubt = start + PATIENCE - GRACE;
        assert_eq!(stall.look(doubt, 5, true), Pulse::Doubtful);
        assert_eq!(stall.look(doubt, 5, true), Pulse::Fine);
        assert_eq!(stall.look(start + PATIENCE, 5, true), Pulse::Gone);
    }

    #[test]
    fn a_long_time_without_a_look_is_a_doubt_first() {
        let start = Instant::now();
        let mut stall = Stall::new(start);
        stall.look(start, 5, true);
        assert_eq!(stall.look(start + 2 * PATIENCE, 5, true), Pulse::Doubtful);
        assert_eq!(stall.look(start + 2 * PATIENCE, 5, true), Pulse::Gone);
    }

    #[test]
    fn what_comes_back_and_what_need_not_are_signs_of_life() {
        let start = Instant::now();
        let mut stall = Stall::new(start);
        for (round, settled) in [(1, 1), (2, 2), (3, 2)] {
            let now = start + PATIENCE * round;
            assert_eq!(stall.look(now, settled, round < 3), Pulse::Fine);
        }
        assert!(!stall.is_doubtful);
    }
}
