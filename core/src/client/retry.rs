//! Owns when the next attempt to connect is due; knows nothing of connections.

use core::time::Duration;

/// How long to wait before an attempt to reconnect: a random time up to a ceiling that doubles with each failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backoff {
    /// The first ceiling.
    pub min: Duration,
    /// The highest ceiling.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            min: Duration::from_millis(500),
            max: Duration::from_secs(20),
        }
    }
}

/// The close code of a server that ends its connections by and by before it restarts.
pub(super) const SERVICE_RESTART: u16 = 1012;

/// The highest pause after that: what such a server let go of should not be elsewhere all at once.
const AFTER_RESTART: Duration = Duration::from_secs(5);

/// The low half of a number.
const LOW: u64 = u32::MAX as u64;

impl Backoff {
    /// Waits a random time up to `min`, then up to twice that, and so on, up to `max`.
    #[must_use]
    pub const fn new(min: Duration, max: Duration) -> Self {
        Self { min, max }
    }

    /// Returns what is added to the first delay after a [`SERVICE_RESTART`].
    pub(super) fn pause_after_restart(&self, random: u64) -> Duration {
        Self::new(AFTER_RESTART, self.max).delay(0, random)
    }

    /// Returns the delay before the attempt after `failures` failed ones; `random` picks within the ceiling.
    ///
    /// The whole range down to nothing is used, so that the clients of a server that restarts come back spread out.
    pub(super) fn delay(&self, failures: u32, random: u64) -> Duration {
        let doubled = self.min.saturating_mul(1 << failures.min(20));
        let ceiling = doubled.min(self.max);
        let seconds = ceiling.as_secs().saturating_mul(1_000_000);
        let micros = seconds.saturating_add(u64::from(ceiling.subsec_micros()));
        // The high half of a product is a fraction of one factor without a division's bias.
        let fraction = random >> 32;
        let picked = (micros >> 32) * fraction + (((micros & LOW) * fraction) >> 32);
        Duration::from_micros(picked)
    }
}

/// A stream of numbers from a seed (SplitMix64): enough for jitter, never for secrets.
#[derive(Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_doubles_up_to_the_maximum() {
        let backoff = Backoff::default();
        let ceilings: [u64; 8] = core::array::from_fn(|failures| {
            backoff.delay(failures as u32, u64::MAX).as_millis() as u64 + 1
        });
        assert_eq!(ceilings, [500, 1000, 2000, 4000, 8000, 16000, 20000, 20000]);
        assert!(backoff.delay(u32::MAX, u64::MAX) <= backoff.max);
    }

    #[test]
    fn a_pause_after_a_restart_is_random_and_no_longer_than_the_highest_delay() {
        let pause = |backoff: Backoff, random| backoff.pause_after_restart(random).as_secs_f64();
        let short = Backoff::new(Duration::from_millis(1), Duration::from_secs(2));
        for (backoff, most) in [(Backoff::default(), 5.0), (short, 2.0)] {
            assert!((pause(backoff, u64::MAX) - most).abs() < 1e-3);
            assert!((pause(backoff, u64::MAX / 2) - most / 2.0).abs() < 1e-3);
            assert_eq!(pause(backoff, 0), 0.0);
        }
    }

    #[test]
    fn the_jitter_reaches_down_to_nothing() {
        let mut random = Random(7);
        let backoff = Backoff::default();
        let delays = [(); 1000].map(|()| backoff.delay(4, random.next()));
        let short = delays.iter().filter(|delay| delay.as_secs() < 4).count();
        assert!(
            (400..600).contains(&short),
            "{short} of 1000 in the lower half"
        );
        assert!(delays.iter().any(|delay| delay.as_millis() < 100));
    }
}
