//! Owns the tables and what is said of promises; knows nothing of how figures come about.

use std::fmt::Write as _;
use std::io::Write as _;

/// One figure.
#[derive(Debug)]
struct Figure {
    section: &'static str,
    case: String,
    name: String,
    value: f64,
}

/// All that was measured.
#[derive(Debug, Default)]
pub(crate) struct Report {
    figures: Vec<Figure>,
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
    /// Whether nothing was measured.
    pub(crate) fn is_empty(&self) -> bool {
        self.figures.is_empty()
    }

    /// Notes a figure.
    pub(crate) fn add(&mut self, section: &'static str, case: &str, name: &str, value: f64) {
        self.figures.push(Figure {
            section,
            case: case.into(),
            name: name.into(),
            value,
        });
    }

    /// Adds a line to the table of this title; the first one is its head.
    pub(crate) fn line(&mut self, title: &'static str, head: &[&str], cells: &[String]) {
        let place = self.tables.iter().position(|(known, _)| *known == title);
        let place = place.unwrap_or_else(|| {
            let mut table = format!("| {} |\n|", head.join(" | "));
            for column in 0..head.len() {
                table.push_str(if column == 0 { "---|" } else { "---:|" });
            }
            table.push('\n');
            self.tables.push((title, table));
            self.tables.len() - 1
        });
        let _ = writeln!(self.tables[place].1, "| {} |", cells.join(" | "));
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

    /// All figures as JSON.
    pub(crate) fn json(&self) -> String {
        let figures = self.figures.iter().map(|figure| {
            let Figure {
                section,
                case,
                name,
                value,
            } = figure;
            format!(
                r#"  {{"section":"{section}","case":"{case}","name":"{name}","value":{value:.3}}}"#
            )
        });
        let figures: Vec<_> = figures.collect();
        format!("[\n{}\n]\n", figures.join(",\n"))
    }
}

/// A number in as many digits as say something.
pub(crate) fn short(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

/// A number of subscriptions as people say it.
pub(crate) fn count(value: usize) -> String {
    match value {
        value if value >= 1_000_000 && value % 1_000_000 == 0 => format!("{}M", value / 1_000_000),
        value if value >= 1000 && value % 1000 == 0 => format!("{}k", value / 1000),
        value => value.to_string(),
    }
}

/// Writes to standard output.
///
/// # Errors
/// When nobody reads it any more.
pub(crate) fn print(text: &str) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .map_err(|error| format!("cannot write the table: {error}"))
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
