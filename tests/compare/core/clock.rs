//! Owns how time is taken: contenders in turn, medians of rounds; knows nothing of what they do.

use std::time::{Duration, Instant};

use crate::numbers::median;

/// How long things are measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// How often each contender has its turn.
    pub(crate) rounds: usize,
    /// How long a turn is.
    pub(crate) turn: Duration,
    /// The most subscriptions.
    pub(crate) most: usize,
}

impl Plan {
    /// The long form, or the short one that shows that all works.
    pub(crate) fn new(is_quick: bool) -> Self {
        match is_quick {
            true => Self {
                rounds: 3,
                turn: Duration::from_millis(2),
                most: 10_000,
            },
            false => Self {
                rounds: 9,
                turn: Duration::from_millis(10),
                most: 1_000_000,
            },
        }
    }
}

/// Does something at least as many times as it is asked to; says how many times, and how long the part that counts took.
pub(crate) type Work<'a> = Box<dyn FnMut(usize) -> (usize, Duration) + 'a>;

/// Times all of `work`, which does it as often as asked.
pub(crate) fn timed<'a>(mut work: impl FnMut(usize) -> usize + 'a) -> Work<'a> {
    Box::new(move |times| {
        let started = Instant::now();
        let done = work(times);
        (done, started.elapsed())
    })
}

/// The nanoseconds that each takes for once, as the median of turns that alternate.
///
/// Whatever disturbs the machine disturbs neighbours alike, so ratios hold where times do not.
pub(crate) fn race(plan: &Plan, works: &mut [Work<'_>]) -> Vec<f64> {
    let mut times: Vec<_> = works.iter_mut().map(|work| warm(plan, work)).collect();
    let mut samples = vec![Vec::new(); works.len()];
    for _ in 0..plan.rounds {
        let turns = works.iter_mut().zip(&mut times).zip(&mut samples);
        for ((work, times), samples) in turns {
            let (done, took) = work(*times);
            samples.push(took.as_secs_f64() * 1e9 / done as f64);
        }
    }
    samples
        .into_iter()
        .map(|samples| median(&samples))
        .collect()
}

/// Works for a turn at least, and returns how often it can in one.
fn warm(plan: &Plan, work: &mut Work<'_>) -> usize {
    let mut times = 1;
    loop {
        let (done, took) = work(times);
        if took >= plan.turn {
            let fits = done as f64 * plan.turn.as_secs_f64() / took.as_secs_f64();
            return (fits as usize).max(1);
        }
        times = (times * 2).max(done);
    }
}
