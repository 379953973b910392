//! The public behaviour of the core, compared with oracles that are written as plainly as can be.

mod cluster;
mod dice;
mod expiry;
mod grants;
mod guarded;
mod json;
mod limits;
mod lines;
mod model;
mod numbers;
mod scanner;
mod sessions;
mod simulation;
mod subjects;
mod taps;
mod text;
mod tokens;

use proptest::test_runner::Config;

/// How property tests run: so many cases ordinarily, more with `PROPTEST_CASES`.
fn cases(ordinary: u32) -> Config {
    let wanted = std::env::var("PROPTEST_CASES").ok();
    Config {
        cases: wanted
            .and_then(|count| count.parse().ok())
            .unwrap_or(ordinary),
        failure_persistence: None,
        ..Config::default()
    }
}
