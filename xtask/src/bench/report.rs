//! Owns the figures of a whole run: medians, the table, the JSON file.

use anyhow::Result;
use serde_json::{Value, json};

use super::server::Kind;
use super::trial::Figure;

/// For which part of a trial somebody else may use our processors before it counts as disturbed.
pub(crate) const CALM: f64 = 0.05;

/// One value of a figure.
struct Sample {
    value: f64,
    /// For which part of the trial others used our processors.
    held_up: f64,
}

/// All values of one figure.
struct Series {
    scenario: &'static str,
    size: usize,
    kind: Kind,
    figure: &'static str,
    is_main: bool,
    samples: Vec<Sample>,
}

impl Series {
    /// The median of the calm rounds; of all when none was calm.
    fn median(&self) -> f64 {
        let calm = |sample: &&Sample| sample.held_up <= CALM;
        let mut values: Vec<_> = self
            .samples
            .iter()
            .filter(calm)
            .map(|one| one.value)
            .collect();
        if values.is_empty() {
            values.extend(self.samples.iter().map(|sample| sample.value));
        }
        median(&values)
    }

    fn is_disturbed(&self) -> bool {
        self.samples.iter().all(|sample| sample.held_up > CALM)
    }
}

/// A figure of a whole run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Median {
    /// How much.
    pub(crate) value: f64,
    /// Whether no round was calm.
    pub(crate) is_disturbed: bool,
}

/// The figures of a run, in the order in which they first came.
#[derive(Default)]
pub(crate) struct Report {
    series: Vec<Series>,
    failures: Vec<String>,
}

impl Report {
    /// Adds what one trial measured.
    pub(crate) fn add(
        &mut self,
        scenario: &'static str,
        size: usize,
        kind: Kind,
        figures: &[Figure],
        held_up: f64,
    ) {
        for figure in figures {
            let same = |series: &&mut Series| {
                (series.scenario, series.size, series.kind, series.figure)
                    == (scenario, size, kind, figure.name)
            };
            let value = figure.value;
            let sample = Sample { value, held_up };
            match self.series.iter_mut().find(same) {
                Some(series) => series.samples.push(sample),
                None => self.series.push(Series {
                    scenario,
                    size,
                    kind,
                    figure: figure.name,
                    is_main: figure.is_main,
                    samples: vec![sample],
                }),
            }
        }
    }

    /// What to think of the figures if others were at work as well.
    pub(crate) fn disturbance(&self) -> Option<String> {
        let count = self
            .series
            .iter()
            .filter(|series| series.is_disturbed())
            .count();
        (count > 0).then(|| {
            let all = self.series.len();
            format!("{count} of {all} figures (with a ~) had no calm round: others were at work")
        })
    }

    /// Adds a trial that failed.
    pub(crate) fn add_failure(&mut self, failure: String) {
        self.failures.push(failure);
    }

    /// The trials that failed.
    pub(crate) fn failures(&self) -> &[String] {
        &self.failures
    }

    /// The payload sizes of a scenario.
    pub(crate) fn sizes(&self, scenario: &str) -> impl Iterator<Item = usize> {
        let of_it = self
            .series
            .iter()
            .filter(move |one| one.scenario == scenario);
        of_it.map(|one| one.size)
    }

    /// The median of one figure, if it was measured.
    pub(crate) fn median(
        &self,
        scenario: &str,
        size: usize,
        kind: Kind,
        figure: &str,
    ) -> Option<Median> {
        let wanted = (scenario, size, kind, figure);
        let found = self
            .series
            .iter()
            .find(|one| (one.scenario, one.size, one.kind, one.figure) == wanted)?;
        Some(Median {
            value: found.median(),
            is_disturbed: found.is_disturbed(),
        })
    }

    /// A Markdown table of the medians.
    pub(crate) fn table(&self, kinds: &[Kind]) -> String {
        let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
        let mut table = format!("| scenario | bytes | figure | {} |\n", names.join(" | "));
        table.push_str(&format!("|---|--:|---|{}\n", "--:|".repeat(kinds.len())));
        let mut done = Vec::new();
        for one in self.series.iter().filter(|one| one.is_main) {
            let row = (one.scenario, one.size, one.figure);
            if done.contains(&row) {
                continue;
            }
            done.push(row);
            table.push_str(&format!("| {} | {} | {} |", row.0, row.1, row.2));
            for kind in kinds {
                let cell = self.median(row.0, row.1, *kind, row.2);
                let cell = cell.map_or_else(
                    || "–".to_owned(),
                    |cell| {
                        let sign = if cell.is_disturbed { "~" } else { "" };
                        format!("{sign}{}", short(cell.value))
                    },
                );
                table.push_str(&format!(" {cell} |"));
            }
            table.push('\n');
        }
        table
    }

    /// Everything, with the values of each round.
    pub(crate) fn json(&self) -> Result<String> {
        let series: Vec<Value> = self
            .series
            .iter()
            .map(|one| {
                json!({
                    "scenario": one.scenario,
                    "bytes": one.size,
                    "server": one.kind.name(),
                    "figure": one.figure,
                    "median": one.median(),
                    "rounds": one.samples.iter().map(|sample| sample.value).collect::<Vec<_>>(),
                    "held_up": one.samples.iter().map(|sample| sample.held_up).collect::<Vec<_>>(),
                })
            })
            .collect();
        let whole = json!({ "figures": series, "failures": self.failures });
        Ok(serde_json::to_string_pretty(&whole)?)
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// Three digits or so.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_count_is_between_the_middle_two() {
        assert_eq!(median(&[4.0, 1.0, 2.0, 9.0]), 3.0);
        assert_eq!(median(&[4.0, 1.0, 2.0]), 2.0);
    }

    #[test]
    fn a_server_without_a_figure_gets_a_dash() {
        let mut report = Report::default();
        report.add("pipe", 16, Kind::Mist, &[Figure::main("x", 0.5)], 0.0);
        let table = report.table(&[Kind::Mist, Kind::Redis]);
        assert!(table.ends_with("| pipe | 16 | x | 0.50 | – |\n"), "{table}");
    }

    #[test]
    fn disturbed_rounds_count_only_where_there_is_no_calm_one() {
        let mut report = Report::default();
        report.add("pipe", 16, Kind::Mist, &[Figure::main("x", 9.0)], 0.5);
        assert!(report.table(&[Kind::Mist]).ends_with("| ~9.00 |\n"));
        report.add("pipe", 16, Kind::Mist, &[Figure::main("x", 0.5)], 0.0);
        assert!(report.table(&[Kind::Mist]).ends_with("| 0.50 |\n"));
    }
}
