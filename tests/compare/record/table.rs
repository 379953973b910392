//! Owns how the table in BENCHMARKS.md is made of the medians; which rows it has is in `rows.txt`.

use super::report::{Median, Report};
use crate::numbers::{grouped, head, row};
use crate::peers::scenario::ONE_SIZE;
use crate::peers::server::Kind;
use crate::peers::trial::PER_DELIVERY;

const ROWS: &str = include_str!("rows.txt");

/// What stands for all payload sizes in a title.
const SIZES: &str = "SIZES";

/// Rows of one kind.
struct Group {
    better: &'static str,
    title: &'static str,
    /// Each with a label, and scenario and figure of one value or more.
    rows: Vec<(&'static str, Vec<(&'static str, &'static str)>)>,
}

fn groups() -> Vec<Group> {
    let text = ROWS.split("\n\n").skip(1);
    let figure = |text: &'static str| text.split_once(' ').unwrap_or((text, PER_DELIVERY));
    let group = |text: &'static str| {
        let mut lines = text.lines().map(|line| line.split(" | "));
        let mut first = lines.next()?;
        Some(Group {
            better: first.next()?,
            title: first.next()?,
            rows: lines
                .filter_map(|mut cells| Some((cells.next()?, cells.map(figure).collect())))
                .collect(),
        })
    };
    text.filter_map(group).collect()
}

/// The table of the medians; rows that nobody has figures for are left out.
pub(super) fn table(report: &Report, servers: &[(Kind, String)]) -> String {
    let mut columns = vec![String::new()];
    columns.extend(servers.iter().map(|(kind, version)| {
        // What has changed in the third number changes no figure.
        let short: Vec<_> = version.split('.').take(2).collect();
        format!("{} {}", kind.name(), short.join("."))
            .trim_end()
            .to_owned()
    }));
    columns.push("times better than the best peer".to_owned());
    let mut table = head(&columns, 1);
    for group in groups() {
        let sizes = sizes(report, &group);
        let rows = group.rows.iter();
        let rows: String = rows
            .filter_map(|(label, figures)| {
                line(report, servers, group.better, label, figures, &sizes)
            })
            .collect();
        if !rows.is_empty() {
            let all: Vec<_> = sizes.iter().map(|&size| grouped(size)).collect();
            let mut cells = vec![String::new(); columns.len()];
            cells[0] = format!("*{}*", group.title.replace(SIZES, &all.join(" / ")));
            table += &row(&cells);
            table += &rows;
        }
    }
    // An empty cell is one blank wide.
    table.replace("|  |", "| |").replace("|  |", "| |")
}

/// The payload sizes of a group.
fn sizes(report: &Report, group: &Group) -> Vec<usize> {
    if !group.title.contains(SIZES) {
        return vec![ONE_SIZE];
    }
    let scenarios = group.rows.iter().flat_map(|(_, figures)| figures);
    let mut sizes: Vec<_> = scenarios
        .flat_map(|(scenario, _)| report.sizes(scenario))
        .collect();
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

fn line(
    report: &Report,
    servers: &[(Kind, String)],
    better: &str,
    label: &str,
    figures: &[(&str, &str)],
    sizes: &[usize],
) -> Option<String> {
    let medians = |kind: Kind| -> Vec<Option<Median>> {
        let sized = |(scenario, figure)| {
            let median = move |&size| report.median(scenario, size, kind, figure);
            sizes.iter().map(median)
        };
        figures.iter().copied().flat_map(sized).collect()
    };
    let all: Vec<_> = servers.iter().map(|(kind, _)| medians(*kind)).collect();
    if all.iter().flatten().all(Option::is_none) {
        return None;
    }
    let peers = || {
        servers
            .iter()
            .zip(&all)
            .filter(|((kind, _), _)| kind.is_peer())
    };
    let times = medians(Kind::Mist)
        .into_iter()
        .enumerate()
        .map(|(at, own)| {
            let own = own?.value;
            let peers = peers().filter_map(|(_, medians)| Some(medians[at]?.value));
            let times = match better {
                "less" => peers.reduce(f64::min)? / own,
                "more" => own / peers.reduce(f64::max)?,
                _ => return None,
            };
            let digits = if times < 10.0 { 1 } else { 0 };
            times.is_finite().then(|| format!("{times:.digits$}"))
        });
    let mut cells = vec![label.to_owned()];
    for medians in &all {
        let spelled = medians.iter().map(|one| one.map(|one| one.spelled()));
        cells.push(cell(spelled.collect()));
    }
    cells.push(cell(times.collect()));
    Some(row(&cells))
}

/// One cell with all its values; an empty one if there is none.
fn cell(values: Vec<Option<String>>) -> String {
    if values.iter().all(Option::is_none) {
        return String::new();
    }
    let spelled = values.into_iter();
    let spelled = spelled.map(|value| value.unwrap_or_else(|| "–".to_owned()));
    spelled.collect::<Vec<_>>().join(" / ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::scenario::SCENARIOS;

    #[test]
    fn every_row_is_of_a_scenario_that_there_is() {
        let groups = groups();
        assert_eq!(groups.len(), 10);
        for (label, figures) in groups.iter().flat_map(|group| &group.rows) {
            assert!(!figures.is_empty(), "nothing is in the row {label}");
            for (scenario, _) in figures {
                let is_known = SCENARIOS.iter().any(|one| one.name == *scenario);
                assert!(is_known, "there is no {scenario}");
            }
        }
    }

    fn add(report: &mut Report, scenario: &'static str, size: usize, kind: Kind, value: f64) {
        report.add(scenario, size, kind, &[(PER_DELIVERY, value)], 0.0);
    }

    #[test]
    fn sizes_share_a_cell_and_the_best_peer_is_the_measure() {
        let mut report = Report::default();
        // The relay is no peer, and other builds are not recorded.
        for (kind, small, large) in [
            (Kind::Mist, 0.1, 0.2),
            (Kind::Other, 0.01, 0.01),
            (Kind::Nats, 0.6, 0.5),
            (Kind::DebianNats, 0.3, 0.9),
            (Kind::Mosquitto, 0.8, 0.4),
            (Kind::Relay, 0.01, 0.01),
        ] {
            add(&mut report, "pipe", 16, kind, small);
            add(&mut report, "pipe", 1024, kind, large);
        }
        let kinds = [
            Kind::Mist,
            Kind::Nats,
            Kind::DebianNats,
            Kind::Mosquitto,
            Kind::Relay,
        ];
        let servers = kinds.map(|kind| (kind, "1.2.3".to_owned()));
        let table = table(&report, &servers);
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(
            lines,
            [
                "| | mist 1.2 | nats 1.2 | debian-nats 1.2 | mosquitto 1.2 | relay 1.2 | times better than the best peer |",
                "|---|--:|--:|--:|--:|--:|--:|",
                "| *CPU µs of the server per delivered message, 16 / 1,024 bytes* | | | | | | |",
                "| one publisher, one subscriber | 0.10 / 0.20 | 0.60 / 0.50 | 0.30 / 0.90 | 0.80 / 0.40 | 0.01 / 0.01 \
                 | 3.0 / 2.0 |",
            ]
        );
    }

    #[test]
    fn what_is_missing_is_a_dash_beside_others_and_nothing_alone() {
        let mut report = Report::default();
        add(&mut report, "repeating-pipe", ONE_SIZE, Kind::Mist, 1234.4);
        let servers = [Kind::Mist, Kind::Relay].map(|kind| (kind, String::new()));
        let table = table(&report, &servers);
        assert!(table.ends_with("| 1,234 / – | | |\n"), "{table}");
    }
}
