//! Owns how the README's table is made of the medians.
//!
//! Which rows it has is the business of `rows`.

use super::super::report::{Median, Report};
use super::super::scenario::ONE_SIZE;
use super::super::server::Kind;
use super::rows::{Better, GROUPS, Group, Row, SIZES};

/// The table of the medians; rows that nobody has figures for are left out.
pub(super) fn table(report: &Report, servers: &[(Kind, String)]) -> String {
    let mut table = "| |".to_owned();
    for (kind, version) in servers {
        // What has changed in the third number changes no figure.
        let short: Vec<_> = version.split('.').take(2).collect();
        let name = format!("{} {}", kind.name(), short.join("."));
        table.push_str(&format!(" {} |", name.trim_end()));
    }
    table.push_str(" times better than the best peer |\n|---|");
    table.push_str(&"--:|".repeat(servers.len() + 1));
    table.push('\n');
    for group in GROUPS {
        let sizes = sizes(report, group);
        let rows: Vec<_> = group
            .rows
            .iter()
            .filter_map(|row| line(report, servers, group, row, &sizes))
            .collect();
        if rows.is_empty() {
            continue;
        }
        let all: Vec<_> = sizes.iter().map(|&size| grouped(size)).collect();
        let title = group.title.replace(SIZES, &all.join(" / "));
        table.push_str(&format!(
            "| *{title}* |{}\n",
            " |".repeat(servers.len() + 1)
        ));
        table.push_str(&rows.concat());
    }
    table
}

/// The payload sizes of a group.
fn sizes(report: &Report, group: &Group) -> Vec<usize> {
    if !group.title.contains(SIZES) {
        return vec![ONE_SIZE];
    }
    let scenarios = group.rows.iter().flat_map(|row| row.figures);
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
    group: &Group,
    row: &Row,
    sizes: &[usize],
) -> Option<String> {
    let places: Vec<_> = row
        .figures
        .iter()
        .flat_map(|(scenario, figure)| sizes.iter().map(move |&size| (*scenario, size, *figure)))
        .collect();
    let medians = |kind: Kind| -> Vec<Option<Median>> {
        let places = places.iter();
        places
            .map(|(scenario, size, figure)| report.median(scenario, *size, kind, figure))
            .collect()
    };
    let mut line = format!("| {} |", row.label);
    let mut is_empty = true;
    for (kind, _) in servers {
        let medians = medians(*kind);
        is_empty &= medians.iter().all(Option::is_none);
        line.push_str(&cell(&medians, |one| spelled(*one)));
    }
    let peers = servers.iter().filter(|(kind, _)| kind.is_peer());
    let peers: Vec<_> = peers.map(|(kind, _)| medians(*kind)).collect();
    let times: Vec<_> = medians(Kind::Mist)
        .iter()
        .enumerate()
        .map(|(at, own)| {
            let peers = peers.iter().filter_map(|medians| medians[at]);
            times(group.better, own.as_ref(), peers)
        })
        .collect();
    line.push_str(&cell(&times, |times| spelled_times(*times)));
    line.push('\n');
    (!is_empty).then_some(line)
}

/// One cell with all its values; an empty one if there is none.
fn cell<T>(values: &[Option<T>], spell: impl Fn(&T) -> String) -> String {
    if values.iter().all(Option::is_none) {
        return " |".to_owned();
    }
    let texts: Vec<_> = values
        .iter()
        .map(|value| value.as_ref().map_or_else(|| "–".to_owned(), &spell))
        .collect();
    format!(" {} |", texts.join(" / "))
}

/// How many times better than the best of the others.
fn times(better: Better, own: Option<&Median>, peers: impl Iterator<Item = Median>) -> Option<f64> {
    let own = own?.value;
    let peers = peers.map(|peer| peer.value);
    let times = match better {
        Better::Less => peers.reduce(f64::min)? / own,
        Better::More => own / peers.reduce(f64::max)?,
        Better::Neither => return None,
    };
    times.is_finite().then_some(times)
}

fn spelled(median: Median) -> String {
    let sign = if median.is_disturbed { "~" } else { "" };
    let value = median.value;
    let text = match value {
        value if value < 10.0 => format!("{value:.2}"),
        value if value < 100.0 => format!("{value:.1}"),
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive and far below 2⁵³"
        )]
        value => grouped(value.round() as usize),
    };
    format!("{sign}{text}")
}

fn spelled_times(times: f64) -> String {
    if times < 10.0 {
        format!("{times:.1}")
    } else {
        format!("{times:.0}")
    }
}

/// A number with commas between its thousands.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::super::cost::PER_DELIVERY;
    use super::super::super::trial::Figure;
    use super::*;

    fn add(report: &mut Report, scenario: &'static str, size: usize, kind: Kind, value: f64) {
        let figure = Figure::main(PER_DELIVERY, value);
        report.add(scenario, size, kind, &[figure], 0.0);
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
