//! Owns the tables and what is said of promises; knows nothing of how figures come about.

use std::fmt::Write as _;

use crate::numbers::{row, short};

/// All that was measured.
#[derive(Debug, Default)]
pub(crate) struct Report {
    tables: Vec<(&'static str, String)>,
    promises: Vec<Promise>,
}

/// What mist is to reach, and whether it does.
#[derive(Debug)]
struct Promise {
    what: String,
    bound: f64,
    is_least: bool,
    /// The worst value of all cases, and the case.
    worst: Option<(f64, String)>,
}

impl Report {
    /// Adds a line to the table of this title; the first one is its head.
    pub(crate) fn line(&mut self, title: &'static str, head: &[&str], cells: &[String]) {
        let place = self.tables.iter().position(|(known, _)| *known == title);
        let place = place.unwrap_or_else(|| {
            self.tables.push((title, crate::numbers::head(head, 1)));
            self.tables.len() - 1
        });
        self.tables[place].1 += &row(cells);
    }

    /// Holds a value against the most it may be.
    pub(crate) fn at_most(&mut self, what: &str, bound: f64, value: f64, case: &str) {
        self.hold(what, bound, false, value, case);
    }

    /// Holds a value against the least it may be.
    pub(crate) fn at_least(&mut self, what: &str, bound: f64, value: f64, case: &str) {
        self.hold(what, bound, true, value, case);
    }

    fn hold(&mut self, what: &str, bound: f64, is_least: bool, value: f64, case: &str) {
        let place = self.promises.iter().position(|known| known.what == what);
        let place = place.unwrap_or_else(|| {
            self.promises.push(Promise {
                what: what.into(),
                bound,
                is_least,
                worst: None,
            });
            self.promises.len() - 1
        });
        let worst = &mut self.promises[place].worst;
        let is_worse = |(known, _): &(f64, String)| match is_least {
            true => value < *known,
            false => value > *known,
        };
        if worst.as_ref().is_none_or(is_worse) {
            *worst = Some((value, case.into()));
        }
    }

    /// All tables, and the promises last.
    pub(crate) fn markdown(&self) -> String {
        let mut text = String::new();
        for (title, table) in &self.tables {
            let _ = writeln!(text, "### {title}\n\n{table}");
        }
        if self.promises.is_empty() {
            return text;
        }
        text.push_str("### Promises\n\n| promise | worst | where | |\n|---|---:|---|---|\n");
        for promise in &self.promises {
            let Some((value, case)) = &promise.worst else {
                continue;
            };
            let (sign, is_kept) = match promise.is_least {
                true => ("≥", *value >= promise.bound),
                false => ("≤", *value <= promise.bound),
            };
            let verdict = if is_kept { "kept" } else { "**MISSED**" };
            let (what, bound) = (&promise.what, promise.bound);
            let _ = writeln!(
                text,
                "| {what} {sign} {bound} | {} | {case} | {verdict} |",
                short(*value)
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_is_judged_by_its_worst_case() {
        let mut report = Report::default();
        report.at_most("times the floor", 3.0, 2.0, "few 1k");
        report.at_most("times the floor", 3.0, 3.5, "few 1M");
        report.at_least("times faster", 1.5, 1.6, "few 1k");
        report.at_least("times faster", 1.5, 40.0, "few 1M");
        let text = report.markdown();
        assert!(text.contains("| times the floor ≤ 3 | 3.50 | few 1M | **MISSED** |"));
        assert!(text.contains("| times faster ≥ 1.5 | 1.60 | few 1k | kept |"));
    }
}
