//! Owns `mist latency`: one publisher on a schedule, and how long its messages took.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::Instant;

use super::args::{LatencyArgs, Scenario, Shape, TagSets};
use super::inbox::Inbox;
use super::link::{Opener, check_open_files};
use super::load::{Interrupts, Load, Measure};
use super::plan::{Plan, fresh_name};
use super::progress::Progress;
use super::report::{Csv, Faults, json, rounded};
use super::schedule::{Delays, Schedule};
use crate::cli::connect::Target;
use crate::cli::exit::{Code, Stop};
use crate::cli::out;

/// How long the bars of the histogram are.
const BAR: usize = 40;
/// How long after the connections are open the schedule starts.
const LEAD: Duration = Duration::from_millis(10);

/// What was measured.
#[derive(Debug, Serialize)]
struct Figures {
    kind: &'static str,
    rate: f64,
    subscribers: usize,
    size: usize,
    seconds: f64,
    /// Messages or pings that were sent.
    sent: u64,
    /// Times that were measured.
    measured: u64,
    min_us: f64,
    p50_us: f64,
    p90_us: f64,
    p99_us: f64,
    p999_us: f64,
    max_us: f64,
    sent_late_p99_us: f64,
    sent_late_max_us: f64,
    #[serde(flatten)]
    faults: Faults,
    interrupted: bool,
    error: Option<String>,
}

pub(super) async fn measure(
    target: &Target,
    args: &LatencyArgs,
    mut interrupts: Interrupts,
) -> Result<(), Stop> {
    let mut csv = args.print.csv.as_deref().map(Csv::create).transpose()?;
    let shape = Shape {
        scenario: Scenario::FanOut,
        publishers: 1,
        subscribers: if args.ping {
            0
        } else {
            args.subscribers.unwrap_or(1) as usize
        },
        tags: 1,
        tag_sets: TagSets::Repeating,
        subscriptions: 0,
    };
    check_open_files(shape.connections())?;
    let opener = Opener::new(target).await?;
    let count = (args.rate * args.duration.as_secs_f64()).ceil().max(1.0) as u64;
    let plan = Plan::new(&shape, &fresh_name());
    let measure = Measure {
        size: args.size.unwrap_or(128),
        window: u64::MAX,
        most: u64::MAX,
        first_id: 0,
    };
    // The schedule starts when the connections are open, which is not known yet.
    let delays = Arc::new(Mutex::new(Delays::new(Schedule::new(
        Instant::now(),
        args.rate,
    ))));
    let print = &args.print;
    let connecting = Progress::opening(shape.connections(), print);
    let opening = Load::open(
        &opener,
        plan,
        measure,
        Some(Arc::clone(&delays)),
        interrupts.clone(),
        &connecting,
    );
    let mut load = tokio::select! {
        biased;
        _ = interrupts.changed() => return Err(Stop::quiet(Code::Interrupted)),
        load = opening => load?,
    };
    drop(connecting);
    let name = if args.ping { "ping" } else { "latency" };
    let mut progress = Progress::new(name, Some(count), None, print);
    let start = Instant::now() + LEAD;
    let schedule = Schedule::new(start, args.rate);
    *delays.lock() = Delays::new(schedule);
    let ended = load.keep(schedule, count, args.ping, &mut progress).await?;
    drop(progress);

    let missing = |inbox: &Inbox| {
        let sent = inbox.gate.sent.load(Ordering::Relaxed);
        sent.saturating_sub(inbox.tally.lock().received)
    };
    let faults = Faults::new(&load.inboxes, ended.is_settled, missing);
    let delays = delays.lock();
    let figures = Figures {
        kind: name,
        rate: args.rate,
        subscribers: shape.subscribers,
        size: if args.ping { 0 } else { measure.size },
        seconds: rounded(start.elapsed().as_secs_f64()),
        sent: load.outgoing.iter().map(|it| it.messages()).sum(),
        measured: delays.taken.len(),
        min_us: micros(delays.taken.min()),
        p50_us: quantile(&delays.taken, 0.5),
        p90_us: quantile(&delays.taken, 0.9),
        p99_us: quantile(&delays.taken, 0.99),
        p999_us: quantile(&delays.taken, 0.999),
        max_us: micros(delays.taken.max()),
        sent_late_p99_us: quantile(&delays.late, 0.99),
        sent_late_max_us: micros(delays.late.max()),
        faults,
        interrupted: ended.is_interrupted(),
        error: ended.error(),
    };
    if let Some(csv) = &mut csv {
        csv.write(&distribution(&delays.taken))?;
    }
    if print.answer.is_json() {
        json(&figures)?;
    } else {
        if !print.quiet {
            out::raw(figures.heading().as_bytes())?;
        }
        out::line(&figures.line())?;
        if !print.quiet {
            out::raw(figures.notes().as_bytes())?;
            out::raw(histogram(&delays.taken).as_bytes())?;
        }
    }
    ended.stop.map_or(Ok(()), Err)?;
    faults.verdict(print.quiet, "a lower --rate avoids that")
}

impl Figures {
    fn heading(&self) -> String {
        let (sent, rate, seconds) = (self.sent, self.rate, self.seconds);
        match self.kind {
            "ping" => format!("{sent} pings at {rate}/s in {seconds} s\n"),
            _ => format!(
                "{sent} messages of {} bytes at {rate}/s in {seconds} s, subscribers: {}\n",
                self.size, self.subscribers
            ),
        }
    }

    fn line(&self) -> String {
        format!(
            "min {:.1}  p50 {:.1}  p90 {:.1}  p99 {:.1}  p99.9 {:.1}  max {:.1} µs",
            self.min_us, self.p50_us, self.p90_us, self.p99_us, self.p999_us, self.max_us
        )
    }

    fn notes(&self) -> String {
        let lost = self
            .faults
            .lost
            .map_or("?".to_owned(), |lost| lost.to_string());
        format!(
            "sent late: p99 {:.1}  max {:.1} µs\nlost {lost}  dropped {}  doubled {}  out of order {}\n\n",
            self.sent_late_p99_us,
            self.sent_late_max_us,
            self.faults.dropped,
            self.faults.duplicates,
            self.faults.out_of_order
        )
    }
}

fn micros(nanoseconds: u64) -> f64 {
    rounded(nanoseconds as f64 / 1e3)
}

fn quantile(times: &Histogram<u64>, quantile: f64) -> f64 {
    micros(times.value_at_quantile(quantile))
}

/// How many times there are up to each doubling.
fn histogram(times: &Histogram<u64>) -> String {
    let mut text = String::new();
    if times.is_empty() {
        return text;
    }
    // In microseconds; the first row holds all below one.
    let row = |time: u64| (time / 1000).checked_ilog2().map_or(0, |power| power + 1);
    let mut counts = vec![0; row(times.max()) as usize + 1];
    for value in times.iter_recorded() {
        counts[row(value.value_iterated_to()) as usize] += value.count_at_value();
    }
    let most = counts.iter().copied().max().unwrap_or(1);
    let first = counts.iter().position(|&count| count > 0).unwrap_or(0);
    for (power, &count) in counts.iter().enumerate().skip(first) {
        let bar = "#".repeat((count as usize * BAR).div_ceil(most as usize));
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "{:>9} µs {count:>9} {bar}",
            format!("< {}", 1_u64 << power)
        );
    }
    text
}

/// Which share of the times is no longer than what, as comma-separated values.
fn distribution(times: &Histogram<u64>) -> String {
    let mut text = "percentile,microseconds,count\n".to_owned();
    let mut count = 0;
    for value in times.iter_quantiles(5) {
        count += value.count_since_last_iteration();
        let _ = writeln!(
            text,
            "{:.4},{},{count}",
            value.quantile_iterated_to() * 100.0,
            micros(value.value_iterated_to())
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_there_are_times() {
        let mut times = Histogram::new(3).expect("three digits");
        times.record_n(5_000, 10).expect("it resizes");
        times.record_n(20_000, 1).expect("it resizes");
        let text = histogram(&times);
        let lines: Vec<_> = text.lines().map(|line| line.trim().to_owned()).collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(
            lines[0].starts_with("< 8 µs")
                && lines[0].ends_with(&format!("10 {}", "#".repeat(BAR)))
        );
        assert!(lines[1].ends_with(" 0"), "{text}");
        assert!(
            lines[2].starts_with("< 32 µs") && lines[2].ends_with("1 ####"),
            "{text}"
        );
    }

    #[test]
    fn a_distribution_ends_with_all() {
        let mut times = Histogram::new(3).expect("three digits");
        (1..=100).for_each(|time| times.record(time * 1000).expect("it resizes"));
        let text = distribution(&times);
        assert!(text.starts_with("percentile,microseconds,count\n"));
        let last = text.lines().last().expect("lines");
        assert!(
            last.starts_with("100.0000,100") && last.ends_with(",100"),
            "{last}"
        );
    }
}
