//! Owns the figures of a whole run: medians, and the table of all of them.

use crate::numbers::{head, median, row, short};
use crate::peers::server::Kind;
use crate::peers::trial::Figure;

/// For which part of a trial somebody else may use our processors before it counts as disturbed.
pub(crate) const CALM: f64 = 0.05;

/// Scenario, payload size, figure.
type Place = (&'static str, usize, &'static str);

/// All values of one figure, each with the part of its trial in which others used our processors.
struct Series {
    place: Place,
    kind: Kind,
    samples: Vec<(f64, f64)>,
}

impl Series {
    fn is_disturbed(&self) -> bool {
        self.samples.iter().all(|(_, held_up)| *held_up > CALM)
    }

    /// The median of the calm rounds; of all when none was calm.
    fn median(&self) -> Median {
        let is_disturbed = self.is_disturbed();
        let counts = |(_, held_up): &&(f64, f64)| is_disturbed || *held_up <= CALM;
        let values = self.samples.iter().filter(counts).map(|(value, _)| *value);
        Median {
            value: median(&values.collect::<Vec<_>>()),
            is_disturbed,
        }
    }
}

/// A figure of a whole run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Median {
    pub(crate) value: f64,
    /// Whether no round was calm.
    is_disturbed: bool,
}

impl Median {
    pub(crate) fn spelled(&self) -> String {
        let sign = if self.is_disturbed { "~" } else { "" };
        format!("{sign}{}", short(self.value))
    }
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
        for &(figure, value) in figures {
            let place = (scenario, size, figure);
            let same = |one: &&mut Series| (one.place, one.kind) == (place, kind);
            match self.series.iter_mut().find(same) {
                Some(series) => series.samples.push((value, held_up)),
                None => self.series.push(Series {
                    place,
                    kind,
                    samples: vec![(value, held_up)],
                }),
            }
        }
    }

    /// What to think of the figures if others were at work as well.
    pub(crate) fn disturbance(&self) -> Option<String> {
        let all = self.series.len();
        let disturbed = self.series.iter().filter(|one| one.is_disturbed()).count();
        (disturbed > 0).then(|| {
            format!(
                "{disturbed} of {all} figures (with a ~) had no calm round: others were at work"
            )
        })
    }

    pub(crate) fn add_failure(&mut self, failure: String) {
        self.failures.push(failure);
    }

    pub(crate) fn failures(&self) -> &[String] {
        &self.failures
    }

    /// The payload sizes of a scenario.
    pub(crate) fn sizes(&self, scenario: &str) -> impl Iterator<Item = usize> {
        let of_it = self.series.iter().map(|one| one.place);
        of_it.filter_map(move |(its, size, _)| (its == scenario).then_some(size))
    }

    /// The median of one figure, if it was measured.
    pub(crate) fn median(
        &self,
        scenario: &str,
        size: usize,
        kind: Kind,
        figure: &str,
    ) -> Option<Median> {
        let place = (scenario, size, figure);
        let is_it = |one: &&Series| one.place == place && one.kind == kind;
        self.series.iter().find(is_it).map(Series::median)
    }

    /// A Markdown table of the medians.
    pub(crate) fn table(&self, kinds: &[Kind]) -> String {
        let mut columns = vec!["scenario, bytes", "figure"];
        columns.extend(kinds.iter().map(|kind| kind.name()));
        let mut table = head(&columns, 2);
        let mut done = Vec::new();
        for place in self.series.iter().map(|one| one.place) {
            if done.contains(&place) {
                continue;
            }
            done.push(place);
            let (scenario, size, figure) = place;
            let mut cells = vec![format!("{scenario}, {size}"), figure.to_owned()];
            cells.extend(kinds.iter().map(|&kind| {
                let median = self.median(scenario, size, kind, figure);
                median.map_or_else(|| "–".to_owned(), |median| median.spelled())
            }));
            table += &row(&cells);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_without_a_figure_gets_a_dash() {
        let mut report = Report::default();
        report.add("pipe", 16, Kind::Mist, &[("x", 0.5)], 0.0);
        let table = report.table(&[Kind::Mist, Kind::Redis]);
        assert!(table.ends_with("| pipe, 16 | x | 0.50 | – |\n"), "{table}");
    }

    #[test]
    fn disturbed_rounds_count_only_where_there_is_no_calm_one() {
        let mut report = Report::default();
        report.add("pipe", 16, Kind::Mist, &[("x", 9.0)], 0.5);
        assert!(report.table(&[Kind::Mist]).ends_with("| ~9.00 |\n"));
        report.add("pipe", 16, Kind::Mist, &[("x", 0.5)], 0.0);
        assert!(report.table(&[Kind::Mist]).ends_with("| 0.50 |\n"));
    }
}
