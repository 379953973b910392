//! Owns when keys are fetched again. It reads no clock.

use std::time::Duration;

use hyper::header::{AGE, CACHE_CONTROL, HeaderMap};
use tokio::time::Instant;

/// How long keys are valid if the answer does not say so, and the bounds if it does.
const LIFETIME: Duration = Duration::from_secs(10 * 60);
const SHORTEST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// How often they are fetched because a token names one that is missing.
const EVERY: Duration = Duration::from_secs(30);

/// The pause after a failed fetch; it doubles each time, up to [`SHORTEST`].
const FIRST_RETRY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Schedule {
    pub(super) due: Instant,
    /// When they were last fetched because one was missing.
    missed: Option<Instant>,
    failures: u32,
}

impl Schedule {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            due: now,
            missed: None,
            failures: 0,
        }
    }

    /// Notes that a token names a missing key; returns whether the keys are due because of that.
    pub(super) fn miss(&mut self, now: Instant) -> bool {
        let is_soon = self.missed.is_some_and(|missed| now < missed + EVERY);
        if !is_soon {
            self.missed = Some(now);
            self.due = self.due.min(now);
        }
        !is_soon
    }

    /// Notes that keys have been fetched, which are valid for so long.
    pub(super) fn succeed(&mut self, now: Instant, lifetime: Duration) {
        self.failures = 0;
        self.due = now + lifetime;
    }

    pub(super) fn fail(&mut self, now: Instant) {
        let wait = FIRST_RETRY.saturating_mul(1 << self.failures.min(16));
        self.failures += 1;
        self.due = now + wait.min(SHORTEST);
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failures > 0
    }
}

/// How long an answer is fresh by its headers (RFC 9111 §4.2).
pub(super) fn lifetime(headers: &HeaderMap) -> Duration {
    let directives = headers.get_all(CACHE_CONTROL).iter();
    let directives = directives.filter_map(|value| value.to_str().ok());
    let mut lifetime = None;
    for directive in directives.flat_map(|value| value.split(',')) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "no-store" | "no-cache" => return SHORTEST,
            "max-age" => lifetime = value.trim().trim_matches('"').parse().ok(),
            _ => {}
        }
    }
    let Some(seconds) = lifetime else {
        return LIFETIME;
    };
    let age = headers.get(AGE).and_then(|age| age.to_str().ok());
    let age = age.and_then(|age| age.parse().ok()).unwrap_or(0);
    Duration::from_secs(u64::saturating_sub(seconds, age)).clamp(SHORTEST, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn any_number_of_unknown_keys_is_one_reason_in_30_seconds() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start);
        schedule.succeed(start, LIFETIME);
        let misses =
            |schedule: &mut Schedule, now| (0..10_000).filter(|_| schedule.miss(now)).count();
        assert_eq!(misses(&mut schedule, start + SECOND), 1);
        assert_eq!(schedule.due, start + SECOND);
        schedule.succeed(start + SECOND, LIFETIME);
        assert_eq!(misses(&mut schedule, start + 30 * SECOND), 0);
        assert_eq!(schedule.due, start + SECOND + LIFETIME);
        assert_eq!(misses(&mut schedule, start + 31 * SECOND), 1);
    }

    #[test]
    fn what_does_not_come_is_asked_for_ever_more_seldom_and_then_as_before() {
        let now = Instant::now();
        let mut schedule = Schedule::new(now);
        let waits: Vec<_> = (0..40)
            .map(|_| {
                schedule.fail(now);
                (schedule.due - now).as_secs()
            })
            .collect();
        assert_eq!(waits[..8], [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(waits[39], 60);
        assert!(schedule.has_failed());
        schedule.succeed(now, LIFETIME);
        assert!(!schedule.has_failed());
        schedule.fail(now);
        assert_eq!(schedule.due, now + FIRST_RETRY);
    }

    #[test]
    fn keys_are_good_for_as_long_as_their_headers_say_within_reason() {
        let of = |headers: &[(&'static str, &'static str)]| {
            let mut map = HeaderMap::new();
            for &(name, value) in headers {
                map.append(name, hyper::header::HeaderValue::from_static(value));
            }
            lifetime(&map).as_secs()
        };
        assert_eq!(of(&[]), 600);
        assert_eq!(of(&[("cache-control", "public, Max-Age=900")]), 900);
        assert_eq!(
            of(&[
                ("cache-control", "public"),
                ("cache-control", "max-age=\"90\"")
            ]),
            90
        );
        assert_eq!(of(&[("cache-control", "max-age=900"), ("age", "300")]), 600);
        assert_eq!(of(&[("cache-control", "max-age=900"), ("age", "1000")]), 60);
        assert_eq!(of(&[("cache-control", "max-age=0")]), 60);
        assert_eq!(of(&[("cache-control", "max-age=900, no-cache")]), 60);
        assert_eq!(of(&[("cache-control", "max-age=99999999999")]), 86_400);
        assert_eq!(of(&[("cache-control", "max-age=much")]), 600);
    }
}
