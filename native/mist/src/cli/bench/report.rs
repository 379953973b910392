//! Owns the figures of a run and how they are printed: a table, JSON, a CSV file; knows nothing of how they came about.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::args::{PrintArgs, Shape};
use super::inbox::Inbox;
use super::load::{Before, Ended, Load};
use crate::cli::exit::{Code, Stop};
use crate::cli::out;

/// One side of a run: what was published, or what was delivered.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Side {
    messages: u64,
    per_second: f64,
    /// Millions of bytes of data.
    mb_per_second: f64,
    /// Messages per second of one connection.
    client_min: f64,
    client_avg: f64,
    client_max: f64,
}

impl Side {
    /// Sums up connections: how many messages each had, and for how long. Nothing without connections.
    fn new(clients: &[(u64, Duration)], bytes: u64) -> Option<Self> {
        let rate = |messages: u64, time: Duration| match time.as_secs_f64() {
            0.0 => 0.0,
            seconds => messages as f64 / seconds,
        };
        let rates = clients.iter().map(|&(messages, time)| rate(messages, time));
        let rates: Vec<_> = rates.collect();
        let time = clients.iter().map(|&(_, time)| time).max()?;
        let messages = clients.iter().map(|&(messages, _)| messages).sum();
        Some(Self {
            messages,
            per_second: rounded(rate(messages, time)),
            mb_per_second: rounded(rate(bytes, time) / 1e6),
            client_min: rounded(rates.iter().copied().fold(f64::INFINITY, f64::min)),
            client_avg: rounded(rates.iter().sum::<f64>() / rates.len() as f64),
            client_max: rounded(rates.iter().copied().fold(0.0, f64::max)),
        })
    }
}

/// What went wrong on the way.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Faults {
    /// Messages that did not arrive, without a word; unknown when the end was not waited for.
    pub(super) lost: Option<u64>,
    /// Messages that did not arrive, as the server has said.
    pub(super) dropped: u64,
    pub(super) duplicates: u64,
    pub(super) out_of_order: u64,
}

impl Faults {
    /// Sums up over all subscribers; `missing` says how many messages one of them did not get.
    pub(super) fn new(
        inboxes: &[Arc<Inbox>],
        is_settled: bool,
        missing: impl Fn(&Inbox) -> u64,
    ) -> Self {
        let mut faults = Self::default();
        let mut lost = 0;
        for inbox in inboxes {
            let missing = missing(inbox);
            let tally = inbox.tally.lock();
            lost += missing.saturating_sub(tally.dropped);
            faults.dropped += tally.dropped;
            faults.duplicates += tally.sum(|flow| flow.duplicates);
            faults.out_of_order += tally.sum(|flow| flow.out_of_order);
        }
        faults.lost = is_settled.then_some(lost);
        faults
    }

    /// Says that messages were not delivered as promised, or warns that the measure was too much.
    pub(super) fn verdict(&self, is_quiet: bool, remedy: &str) -> Result<(), Stop> {
        if self.dropped > 0 && !is_quiet {
            out::note(&format!(
                "the server dropped {} messages, because they were not read fast enough: {remedy}",
                self.dropped
            ));
        }
        let broken = [
            (self.lost.unwrap_or(0), "lost without a notice"),
            (self.duplicates, "delivered twice"),
            (self.out_of_order, "out of order"),
        ];
        let broken = broken.iter().filter(|&&(count, _)| count > 0);
        let broken: Vec<_> = broken
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        if broken.is_empty() {
            return Ok(());
        }
        Err(Stop::new(
            Code::ServerError,
            format!("messages went wrong: {}", broken.join(", ")),
        ))
    }
}

/// The figures of a run.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    scenario: &'static str,
    size: usize,
    tags: usize,
    publishers: usize,
    subscribers: usize,
    subscriptions: usize,
    window: Option<u64>,
    seconds: f64,
    published: Option<Side>,
    delivered: Option<Side>,
    #[serde(flatten)]
    pub(super) faults: Faults,
    interrupted: bool,
    /// Why it ended early, unless that was Ctrl-C.
    error: Option<String>,
}

impl Row {
    /// Takes stock of a leg.
    pub(super) fn new(
        shape: &Shape,
        size: usize,
        window: Option<u64>,
        load: &Load,
        before: &Before,
        ended: &Ended,
        faults: Faults,
    ) -> Self {
        let now = Instant::now();
        // What publishers elsewhere do begins with the first message.
        let first = load
            .inboxes
            .iter()
            .filter_map(|inbox| inbox.tally.lock().first)
            .min();
        let start = match load.outgoing.is_empty() {
            true => first.unwrap_or(before.start),
            false => before.start,
        };
        let since = |end: Option<Instant>| {
            let end = end.filter(|&end| end >= start);
            end.unwrap_or(now).saturating_duration_since(start)
        };
        let published = load
            .outgoing
            .iter()
            .zip(&before.sent)
            .map(|(outgoing, before)| {
                let end = *outgoing.active_at.lock();
                (outgoing.messages() - before, since(end))
            });
        let published: Vec<_> = published.collect();
        let mut bytes = 0;
        let delivered =
            load.inboxes
                .iter()
                .zip(&before.received)
                .map(|(inbox, &(messages, had))| {
                    let tally = inbox.tally.lock();
                    bytes += tally.bytes - had;
                    match tally.received - messages {
                        0 => (0, Duration::ZERO),
                        count => (count, since(tally.last)),
                    }
                });
        let delivered: Vec<_> = delivered.collect();
        let times = published.iter().chain(&delivered).map(|&(_, time)| time);
        let sent: u64 = published.iter().map(|&(messages, _)| messages).sum();
        Self {
            scenario: shape.scenario.name(),
            size,
            tags: shape.tags,
            publishers: shape.publishers,
            subscribers: shape.subscribers,
            subscriptions: shape.subscriptions,
            window,
            seconds: (times.max().unwrap_or_default().as_secs_f64() * 1e6).round() / 1e6,
            published: Side::new(&published, sent * size as u64),
            delivered: Side::new(&delivered, bytes),
            faults,
            interrupted: ended.is_interrupted(),
            error: ended.error(),
        }
    }

    fn line(&self) -> String {
        // What came in one go has no rate.
        let rate = |side: Option<Side>, of: fn(Side) -> f64| {
            let rated = side.filter(|&side| side.messages == 0 || of(side) > 0.0);
            rated.map_or("-".to_owned(), |side| grouped(of(side)))
        };
        let chief = self.delivered.or(self.published);
        let client = chief.map_or_else(String::new, |side| {
            let figures = [side.client_min, side.client_avg, side.client_max];
            figures.map(grouped).join(" / ")
        });
        format!(
            "{:<8} {:>7} {:>9} {:>12} {:>12} {:>9} {:>33} {:>6} {:>8} {:>7} {:>8}",
            self.scenario,
            self.size,
            format!("{}:{}", self.publishers, self.subscribers),
            rate(self.published, |side| side.per_second),
            rate(self.delivered, |side| side.per_second),
            chief.map_or("-".to_owned(), |side| format!("{:.1}", side.mb_per_second)),
            client,
            self.faults
                .lost
                .map_or("?".to_owned(), |lost| lost.to_string()),
            self.faults.dropped,
            self.faults.duplicates,
            self.faults.out_of_order,
        )
    }

    fn heading() -> String {
        format!(
            "{:<8} {:>7} {:>9} {:>12} {:>12} {:>9} {:>33} {:>6} {:>8} {:>7} {:>8}",
            "",
            "bytes",
            "from:to",
            "published/s",
            "delivered/s",
            "MB/s",
            "per client/s min / avg / max",
            "lost",
            "dropped",
            "doubled",
            "disorder",
        )
    }

    fn csv(&self) -> String {
        let side = |side: Option<Side>| match side {
            Some(side) => format!(
                "{},{},{},{},{},{}",
                side.messages,
                side.per_second,
                side.mb_per_second,
                side.client_min,
                side.client_avg,
                side.client_max
            ),
            None => ",".repeat(5),
        };
        let faults = &self.faults;
        let known = |figure: Option<u64>| figure.map_or(String::new(), |figure| figure.to_string());
        format!(
            "{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}\n",
            self.scenario,
            self.size,
            self.tags,
            self.publishers,
            self.subscribers,
            self.subscriptions,
            known(self.window),
            self.seconds,
            side(self.published),
            side(self.delivered),
            known(faults.lost),
            faults.dropped,
            faults.duplicates,
            faults.out_of_order,
            self.interrupted,
            self.error.as_deref().map(quoted).unwrap_or_default()
        )
    }
}

const CSV: &str = "scenario,size,tags,publishers,subscribers,subscriptions,window,seconds,\
published_messages,published_per_second,published_mb_per_second,publisher_min,publisher_avg,publisher_max,\
delivered_messages,delivered_per_second,delivered_mb_per_second,subscriber_min,subscriber_avg,subscriber_max,\
lost,dropped,duplicates,out_of_order,interrupted,error\n";

/// Where the rows go.
pub(super) struct Report<'a> {
    print: &'a PrintArgs,
    csv: Option<Csv<'a>>,
    has_heading: bool,
}

impl<'a> Report<'a> {
    /// Opens the file, if there is to be one.
    pub(super) fn new(print: &'a PrintArgs) -> Result<Self, Stop> {
        let mut csv = print.csv.as_deref().map(Csv::create).transpose()?;
        if let Some(csv) = &mut csv {
            csv.write(CSV)?;
        }
        Ok(Self {
            print,
            csv,
            has_heading: print.quiet,
        })
    }

    pub(super) fn row(&mut self, row: &Row) -> Result<(), Stop> {
        if let Some(csv) = &mut self.csv {
            csv.write(&row.csv())?;
        }
        if self.print.answer.is_json() {
            return json(row);
        }
        if !std::mem::replace(&mut self.has_heading, true) {
            out::line(&Row::heading())?;
        }
        out::line(&row.line())
    }
}

/// Prints figures as one line of JSON.
pub(super) fn json(figures: &impl Serialize) -> Result<(), Stop> {
    let line = serde_json::to_string(figures);
    out::line(&line.map_err(|error| Stop::failed(format!("cannot print JSON: {error}")))?)
}

/// A file with comma-separated values.
pub(super) struct Csv<'a> {
    path: &'a Path,
    file: File,
}

impl<'a> Csv<'a> {
    pub(super) fn create(path: &'a Path) -> Result<Self, Stop> {
        let file = File::create(path).map_err(|error| unwritable(path, &error))?;
        Ok(Self { path, file })
    }

    pub(super) fn write(&mut self, text: &str) -> Result<(), Stop> {
        let written = self.file.write_all(text.as_bytes());
        written.map_err(|error| unwritable(self.path, &error))
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> Stop {
    Stop::failed(format!("cannot write '{}': {error}", path.display()))
}

/// A text as one value, whatever is in it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// To a tenth, which is more than any of it is worth.
pub(super) fn rounded(figure: f64) -> f64 {
    (figure * 10.0).round() / 10.0
}

/// A whole number with commas.
fn grouped(figure: f64) -> String {
    let digits = format!("{figure:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_three() {
        for (figure, text) in [
            (0.0, "0"),
            (999.4, "999"),
            (1000.0, "1,000"),
            (1_234_567.8, "1,234,568"),
        ] {
            assert_eq!(grouped(figure), text);
        }
    }

    #[test]
    fn a_side_is_as_slow_as_its_last_client() {
        let second = Duration::from_secs(1);
        let side = Side::new(&[(100, second), (100, 2 * second)], 2_000_000).expect("clients");
        assert_eq!(
            (side.messages, side.per_second, side.mb_per_second),
            (200, 100.0, 1.0)
        );
        assert_eq!(
            (side.client_min, side.client_avg, side.client_max),
            (50.0, 75.0, 100.0)
        );
        assert!(Side::new(&[], 0).is_none());
        let idle = Side::new(&[(0, Duration::ZERO)], 0).expect("a client");
        assert_eq!(idle.per_second, 0.0);
    }

    #[test]
    fn loss_without_a_notice_is_an_error_and_with_one_is_not() {
        let faults = Faults {
            lost: Some(0),
            dropped: 7,
            ..Faults::default()
        };
        assert!(faults.verdict(true, "").is_ok());
        let faults = Faults {
            lost: Some(2),
            out_of_order: 1,
            ..faults
        };
        let stop = faults.verdict(true, "").expect_err("lost");
        assert_eq!(stop.code, Code::ServerError);
        let text = stop.text.expect("a text");
        assert!(
            text.contains("2 lost") && text.contains("1 out of order"),
            "{text}"
        );
    }
}
