//! Owns what a baseline says and when a count is too far from it; knows nothing of how is counted.

use std::fmt::Write as _;

use anyhow::{Context, Result};

/// By how many percent a count may be above its baseline; as far below, the baseline is out of date.
const TOLERATED: f64 = 20.0;

/// How a baseline is replaced.
const RECORD: &str = "cargo xtask bench instructions --record";

/// Something that was counted.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Case {
    pub(super) name: String,
    /// Instructions to do it once.
    pub(super) count: f64,
}

/// The cases in a baseline's text.
///
/// # Errors
///
/// When a line is not a count and a name.
pub(super) fn read(text: &str) -> Result<Vec<Case>> {
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let case = |line: &str| {
        let parts = line.split_once(' ').context("no name");
        let (count, name) = parts.with_context(|| format!("a line without a name: {line}"))?;
        Ok(Case {
            name: name.trim().into(),
            count: count
                .parse()
                .with_context(|| format!("a line without a count: {line}"))?,
        })
    };
    lines.map(case).collect()
}

/// A baseline's text.
pub(super) fn write(cases: &[Case], compiler: &str) -> String {
    let mut text = format!(
        "# Instructions that the core needs to do each of these once, on x86_64 with {compiler}.\n\
         # `cargo xtask test` fails when one needs {TOLERATED} % more. Written by `{RECORD}`.\n\n"
    );
    for Case { name, count } in cases {
        let _ = writeln!(text, "{count:>9.1}  {name}");
    }
    text
}

/// The instructions of one dump of callgrind.
pub(super) fn total(dump: &str) -> Option<u64> {
    let totals = dump.lines().find_map(|line| line.strip_prefix("totals:"))?;
    totals.trim().parse().ok()
}

/// How a count stands to its baseline.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    Fine,
    TooMany,
    FarFewer,
    /// Without a baseline.
    New,
    /// Only in the baseline.
    Gone,
}

struct Row {
    name: String,
    known: Option<f64>,
    now: Option<f64>,
    verdict: Verdict,
}

impl Row {
    fn new(name: &str, known: Option<f64>, now: Option<f64>) -> Self {
        let verdict = match (known, now) {
            (Some(known), Some(now)) if change(known, now) > TOLERATED => Verdict::TooMany,
            (Some(known), Some(now)) if change(known, now) < -TOLERATED => Verdict::FarFewer,
            (Some(_), Some(_)) => Verdict::Fine,
            (None, _) => Verdict::New,
            (_, None) => Verdict::Gone,
        };
        Self {
            name: name.into(),
            known,
            now,
            verdict,
        }
    }
}

/// The change in percent.
fn change(known: f64, now: f64) -> f64 {
    (now - known) / known * 100.0
}

/// All cases beside their baseline.
pub(super) struct Comparison(Vec<Row>);

impl Comparison {
    /// Compares what is known with what was counted now.
    pub(super) fn new(known: &[Case], now: &[Case]) -> Self {
        let find = |cases: &[Case], name: &str| {
            let case = cases.iter().find(|case| case.name == name);
            case.map(|case| case.count)
        };
        let counted = now
            .iter()
            .map(|case| Row::new(&case.name, find(known, &case.name), Some(case.count)));
        let gone = known
            .iter()
            .filter(|case| find(now, &case.name).is_none())
            .map(|case| Row::new(&case.name, Some(case.count), None));
        Self(counted.chain(gone).collect())
    }

    fn has(&self, verdict: Verdict) -> bool {
        self.0.iter().any(|row| row.verdict == verdict)
    }

    /// Whether one needs too many, or the baseline is one of other cases.
    pub(super) fn has_failed(&self) -> bool {
        self.has(Verdict::TooMany) || self.has(Verdict::New) || self.has(Verdict::Gone)
    }

    /// A table of all cases.
    pub(super) fn table(&self) -> String {
        let mut text =
            "| instructions | baseline | now | change | |\n|---|---:|---:|---:|---|\n".to_owned();
        let shown = |count: Option<f64>| count.map_or("–".into(), |count| format!("{count:.1}"));
        for row in &self.0 {
            let verdict = match row.verdict {
                Verdict::Fine => "",
                Verdict::TooMany => "TOO MANY",
                Verdict::FarFewer => "far fewer",
                Verdict::New => "NOT IN THE BASELINE",
                Verdict::Gone => "NOT COUNTED ANY MORE",
            };
            let change = match (row.known, row.now) {
                // Nought is added since there is one below it as well.
                (Some(known), Some(now)) => {
                    let tenths = (change(known, now) * 10.0).round() + 0.0;
                    format!("{:+.1} %", tenths / 10.0)
                }
                _ => "–".into(),
            };
            let (known, now) = (shown(row.known), shown(row.now));
            let _ = writeln!(
                text,
                "| {} | {known} | {now} | {change} | {verdict} |",
                row.name
            );
        }
        text
    }

    /// What is to be done.
    pub(super) fn advice(&self) -> String {
        let mut text = String::new();
        if self.has(Verdict::TooMany) {
            let _ = writeln!(
                text,
                "!!! more than {TOLERATED} % above the baseline; if that is the price of something better: {RECORD}"
            );
        }
        if self.has(Verdict::New) || self.has(Verdict::Gone) {
            let _ = writeln!(text, "!!! the baseline is one of other cases: {RECORD}");
        }
        if self.has(Verdict::FarFewer) {
            let _ = writeln!(
                text,
                "more than {TOLERATED} % below the baseline, so that it guards nothing any more: {RECORD}"
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cases(counts: &[(&str, f64)]) -> Vec<Case> {
        let case = |&(name, count): &(&str, f64)| Case {
            name: name.into(),
            count,
        };
        counts.iter().map(case).collect()
    }

    fn compared(known: &[(&str, f64)], now: &[(&str, f64)]) -> Comparison {
        Comparison::new(&cases(known), &cases(now))
    }

    #[test]
    fn a_fifth_more_is_tolerated_and_the_next_instruction_fails() {
        let fine = compared(
            &[("scan", 1000.0), ("match", 50.0)],
            &[("scan", 1200.0), ("match", 50.0)],
        );
        assert!(!fine.has_failed());
        assert_eq!(fine.advice(), "");
        let worse = compared(
            &[("scan", 1000.0), ("match", 50.0)],
            &[("scan", 1201.0), ("match", 50.0)],
        );
        assert!(worse.has_failed());
        assert!(
            worse
                .table()
                .contains("| scan | 1000.0 | 1201.0 | +20.1 % | TOO MANY |")
        );
        assert!(worse.advice().contains("--record"));
    }

    #[test]
    fn one_that_is_worse_fails_though_another_is_better() {
        let both = compared(
            &[("scan", 1000.0), ("match", 1000.0)],
            &[("scan", 10.0), ("match", 1500.0)],
        );
        assert!(both.has_failed());
    }

    #[test]
    fn far_fewer_asks_to_record_and_does_not_fail() {
        let better = compared(&[("scan", 1000.0)], &[("scan", 799.0)]);
        assert!(!better.has_failed());
        assert!(better.advice().contains("below the baseline"));
        assert!(better.advice().contains("--record"));
    }

    #[test]
    fn a_baseline_of_other_cases_fails() {
        let new = compared(&[("scan", 10.0)], &[("scan", 10.0), ("match", 10.0)]);
        assert!(new.has_failed() && new.table().contains("NOT IN THE BASELINE"));
        let gone = compared(&[("scan", 10.0), ("match", 10.0)], &[("scan", 10.0)]);
        assert!(gone.has_failed() && gone.table().contains("NOT COUNTED ANY MORE"));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let known = cases(&[("scan with blanks, 16 B", 1955.0), ("match few", 99500.9)]);
        let text = write(&known, "rustc 1.95.0");
        assert_eq!(read(&text).unwrap_or_default(), known);
        assert!(read("12.5").is_err() && read("many match few").is_err());
    }

    #[test]
    fn the_total_of_a_dump_is_found() {
        let dump = "# callgrind format\nevents: Ir\nfn=(1) scan\n+1 7\ntotals: 10735\n";
        assert_eq!(total(dump), Some(10_735));
        assert_eq!(total("events: Ir\n"), None);
    }
}
