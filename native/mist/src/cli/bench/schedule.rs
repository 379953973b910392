//! Owns publishing times that do not give way, and the times that messages took from there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How long before a moment the ticking thread wakes: systems wake threads late, so that it waits for the rest awake.
const EARLY: Duration = Duration::from_micros(80);

/// When each message of a run is due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    start: Instant,
    rate: f64,
}

impl Schedule {
    pub(super) fn new(start: Instant, rate: f64) -> Self {
        Self { start, rate }
    }

    pub(super) fn due(&self, number: u64) -> Instant {
        self.start + Duration::from_secs_f64(number as f64 / self.rate)
    }

    /// How many messages are due by now.
    pub(super) fn count(&self, now: Instant) -> u64 {
        match now.checked_duration_since(self.start) {
            // Rounding may find the last one a moment early or late; this asks the times themselves.
            Some(passed) => {
                let near = (passed.as_secs_f64() * self.rate) as u64;
                (near..near + 3)
                    .find(|&number| self.due(number) > now)
                    .unwrap_or(near)
            }
            None => 0,
        }
    }
}

/// How long messages took, in nanoseconds.
#[derive(Debug)]
pub(super) struct Delays {
    schedule: Schedule,
    /// From when a message was due to its arrival.
    pub(super) taken: Histogram<u64>,
    /// From when a message was due until it was handed over.
    pub(super) late: Histogram<u64>,
}

impl Delays {
    pub(super) fn new(schedule: Schedule) -> Self {
        let histogram = || Histogram::new(3).expect("three digits are allowed");
        Self {
            schedule,
            taken: histogram(),
            late: histogram(),
        }
    }

    pub(super) fn arrived(&mut self, number: u64, now: Instant) {
        note(&mut self.taken, now - self.schedule.due(number));
    }

    pub(super) fn sent(&mut self, number: u64, now: Instant) {
        note(&mut self.late, now - self.schedule.due(number));
    }
}

fn note(times: &mut Histogram<u64>, time: Duration) {
    let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    // It grows to whatever comes, as far as an address space reaches.
    let _ = times.record(nanoseconds);
}

/// A thread that wakes a publisher when messages are due: timers of the runtime are a millisecond coarse.
pub(super) struct Ticker {
    pub(super) tick: Arc<Notify>,
    has_ended: Arc<AtomicBool>,
}

impl Ticker {
    pub(super) fn start(schedule: Schedule, count: u64) -> Self {
        let (tick, has_ended) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
        let (told, ended) = (Arc::clone(&tick), Arc::clone(&has_ended));
        std::thread::spawn(move || {
            let mut number = 0;
            while number < count && !ended.load(Ordering::Relaxed) {
                let due = schedule.due(number);
                std::thread::sleep(due.saturating_duration_since(Instant::now() + EARLY));
                while Instant::now() < due {
                    std::hint::spin_loop();
                }
                // Looked at before the publisher is told: what falls due after this has a tick of its own.
                number = schedule.count(Instant::now()).max(number + 1);
                told.notify_one();
            }
        });
        Self { tick, has_ended }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.has_ended.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_is_counted_at_its_very_moment() {
        for rate in [0.5, 3.0, 1000.0, 999_999.0] {
            let schedule = Schedule::new(Instant::now(), rate);
            for number in [0, 1, 7, 1000, 123_457] {
                let due = schedule.due(number);
                assert_eq!(schedule.count(due), number + 1, "{rate} {number}");
                assert_eq!(schedule.count(due - Duration::from_nanos(1)), number);
            }
        }
    }
}
