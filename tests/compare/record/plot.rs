//! Owns the plot: a bar for each server in some scenarios, on a logarithmic axis.

use std::fmt::Write as _;

use anyhow::{Result, bail};

use super::Report;
use crate::numbers::short;
use crate::peers::scenario::ONE_SIZE;
use crate::peers::server::Kind;
use crate::peers::trial::PER_DELIVERY;

/// What the plot says, for who cannot see it.
pub(super) const ALTERNATIVE: &str =
    "Bars of the server's CPU time per delivered message; the figures are in the table below";

const SCENARIOS: &[(&str, &str)] = &[
    ("pipe", "1 to 1"),
    ("fan-10", "1 to 10"),
    ("fan-100", "1 to 100"),
    ("fan-1000", "1 to 1,000"),
    ("pairs-50", "50 pairs"),
    ("varying-pipe", "1 to 1, tags vary"),
    ("varying-fan-100", "1 to 100, tags vary"),
    ("varying-pairs-50", "50 pairs, tags vary"),
    ("ws-fan-100", "WebSocket, 1 to 100"),
];

/// With colours of its own, so that it can be read on any page.
const STYLE: &str = "\
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .title { font-size: 15px; font-weight: 600 }
  .note, .axis { fill: #57606a }
  .page { fill: #ffffff; stroke: #d0d7de }
  .line { stroke: #d8dee4 }
  .mist { fill: #0a66c2 }
  .nats { fill: #2a9d8f }
  .debian-nats { fill: #a3c9a8 }
  .redis { fill: #d1495b }
  .mosquitto { fill: #8a63b3 }
  .relay { fill: #9aa4ae }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .note, .axis { fill: #9aa4ae }
    .page { fill: #161b22; stroke: #30363d }
    .line { stroke: #30363d }
    .mist { fill: #4c9aff }
    .nats { fill: #3fb8a8 }
    .debian-nats { fill: #4c6f52 }
    .redis { fill: #ef6f7f }
    .mosquitto { fill: #b08fd8 }
    .relay { fill: #6e7681 }
  }
";

const WIDTH: f64 = 760.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 700.0;
const TOP: f64 = 84.0;
const BAR: f64 = 13.0;
const GAP: f64 = 14.0;

/// A scenario and what each server takes in it.
struct Bars {
    label: &'static str,
    values: Vec<(Kind, f64)>,
}

/// Draws the medians that there are.
pub(super) fn draw(report: &Report, kinds: &[Kind]) -> Result<String> {
    let mut groups = Vec::new();
    for &(scenario, label) in SCENARIOS {
        let value = |&kind: &Kind| {
            let median = report.median(scenario, ONE_SIZE, kind, PER_DELIVERY)?;
            (median.value > 0.0).then_some((kind, median.value))
        };
        let values: Vec<_> = kinds.iter().filter_map(value).collect();
        if !values.is_empty() {
            groups.push(Bars { label, values });
        }
    }
    let all = || groups.iter().flat_map(|bars| &bars.values);
    let Some(least) = all().map(|(_, value)| *value).reduce(f64::min) else {
        bail!("there is nothing to draw: no trial with {ONE_SIZE} bytes");
    };
    let most = all().map(|(_, value)| *value).fold(least, f64::max);
    let axis = Axis::around(least, most);
    let shown = |kind: &&Kind| all().any(|(other, _)| other == *kind);
    let kinds: Vec<_> = kinds.iter().filter(shown).copied().collect();
    Ok(svg(&groups, &axis, &kinds)?)
}

fn svg(groups: &[Bars], axis: &Axis, kinds: &[Kind]) -> Result<String, std::fmt::Error> {
    let height_of = |bars: &Bars| {
        let count = bars.values.iter().fold(0.0, |count, _| count + 1.0);
        count * BAR + GAP
    };
    let bottom = TOP + groups.iter().map(height_of).sum::<f64>();
    let height = bottom + 34.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\">\n<title>{ALTERNATIVE}</title>\n<style>\n{STYLE}</style>\n"
    );
    let (inner, tall) = (WIDTH - 1.0, height - 1.0);
    writeln!(
        svg,
        r#"<rect class="page" x="0.5" y="0.5" width="{inner}" height="{tall}" rx="6"/>"#
    )?;
    let title = "Server CPU per delivered message, µs";
    writeln!(svg, r#"<text class="title" x="16" y="28">{title}</text>"#)?;
    let note = format!("{ONE_SIZE}-byte payloads; logarithmic axis; less is better");
    writeln!(svg, r#"<text class="note" x="16" y="47">{note}</text>"#)?;
    for (at, kind) in kinds.iter().enumerate() {
        let (x, name) = (at * 100 + 16, kind.name());
        writeln!(
            svg,
            r#"<rect class="{name}" x="{x}" y="58" width="11" height="11" rx="2"/><text x="{}" y="68">{name}</text>"#,
            x + 17
        )?;
    }
    for tick in &axis.0 {
        let x = axis.place(*tick);
        writeln!(
            svg,
            r#"<line class="line" x1="{x:.1}" x2="{x:.1}" y1="{TOP}" y2="{bottom}"/>"#
        )?;
        let y = bottom + 18.0;
        writeln!(
            svg,
            r#"<text class="axis" x="{x:.1}" y="{y}" text-anchor="middle">{tick}</text>"#
        )?;
    }
    let mut y = TOP + GAP / 2.0;
    for bars in groups {
        let middle = y + (height_of(bars) - GAP) / 2.0 + 4.0;
        let (x, label) = (LEFT - 10.0, bars.label);
        writeln!(
            svg,
            r#"<text x="{x}" y="{middle}" text-anchor="end">{label}</text>"#
        )?;
        for (kind, value) in &bars.values {
            let (end, name, thick) = (axis.place(*value), kind.name(), BAR - 2.0);
            let (width, x, base) = (end - LEFT, end + 5.0, y + 10.0);
            writeln!(
                svg,
                r#"<rect class="{name}" x="{LEFT}" y="{y}" width="{width:.1}" height="{thick}"/><text class="note" x="{x:.1}" y="{base}">{}</text>"#,
                short(*value)
            )?;
            y += BAR;
        }
        y += GAP;
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}

/// Equal distances for equal ratios.
struct Axis(Vec<f64>);

impl Axis {
    /// Begins well below the least value, so that its bar can be seen; has lines at 1, 2, 5, 10 and so on.
    fn around(least: f64, most: f64) -> Self {
        let powers = (-4..5).flat_map(|power| [1, 2, 5].map(|digit| (digit, power)));
        let ticks: Vec<f64> = powers
            .filter_map(|(digit, power)| format!("{digit}e{power}").parse().ok())
            .collect();
        let first = ticks
            .iter()
            .rposition(|tick| *tick <= least * 0.7)
            .unwrap_or(0);
        let behind = ticks.iter().position(|tick| *tick >= most);
        let last = behind.unwrap_or(ticks.len() - 1).max(first + 1);
        Self(ticks[first..=last].to_vec())
    }

    fn place(&self, value: f64) -> f64 {
        let (start, end) = (self.0[0], self.0[self.0.len() - 1]);
        let part = (value / start).ln() / (end / start).ln();
        LEFT + part * (RIGHT - LEFT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_server_has_a_bar_where_it_has_a_figure() {
        let mut report = Report::default();
        for (scenario, kind, value) in [
            ("pipe", Kind::Mist, 0.09),
            ("pipe", Kind::Redis, 0.73),
            ("ws-fan-100", Kind::Mist, 0.1),
        ] {
            report.add(scenario, ONE_SIZE, kind, &[(PER_DELIVERY, value)], 0.0);
        }
        let kinds = [Kind::Mist, Kind::Nats, Kind::Redis];
        let svg = draw(&report, &kinds).expect("there is something to draw");
        // One more for the legend; who has no figure is not in it.
        assert_eq!(svg.matches(r#"<rect class="mist""#).count(), 3);
        assert_eq!(svg.matches(r#"<rect class="redis""#).count(), 2);
        assert_eq!(svg.matches(r#"<rect class="nats""#).count(), 0);
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    }

    #[test]
    fn the_axis_holds_all_values_and_equal_ratios_are_equally_far() {
        let axis = Axis::around(0.04, 7.0);
        assert_eq!(axis.0, [0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0]);
        let far = |from: f64, to: f64| axis.place(to) - axis.place(from);
        assert!((far(0.1, 0.2) - far(1.0, 2.0)).abs() < 1e-9);
        assert_eq!(axis.place(0.02), LEFT);
        assert!((axis.place(10.0) - RIGHT).abs() < 1e-9);
    }

    #[test]
    fn nothing_to_draw_is_an_error() {
        let error = draw(&Report::default(), &[Kind::Mist]).expect_err("there is nothing");
        assert!(error.to_string().contains("nothing to draw"));
    }
}
