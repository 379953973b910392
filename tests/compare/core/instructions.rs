//! Owns the check that the core needs no more instructions than it did: counting, the baseline, the comparison.
//!
//! What is counted is in `counted`. Instructions are the same on a busy machine and on one at rest.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};

use crate::numbers::{head, row};
use crate::{fetch, output, print, root};

/// By how many percent a count may be above its baseline; as far below, the baseline is out of date.
const TOLERATED: f64 = 20.0;

/// How a baseline is replaced.
const RECORD: &str = "cargo xtask bench instructions --record";

/// The function that counts: `counted` calls it once for each case.
const WATCHED: &str = "mist_compare::core::counted::watched";

/// What was counted, and the instructions to do it once.
type Case = (String, f64);

/// Counts, and compares with the baseline or replaces it.
pub(crate) fn run(record: bool) -> Result<ExitCode> {
    ensure!(
        cfg!(target_arch = "x86_64"),
        "the baseline is one of x86_64"
    );
    fetch("valgrind")?;
    let folder = std::env::temp_dir().join(format!("mist-instructions-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let counted = count(&folder);
    fs::remove_dir_all(&folder)?;
    let now = counted?;
    let file = root().join("tests/compare/instructions.txt");
    if record {
        // Another compiler makes other instructions.
        let compiler = output(Command::new("rustc").arg("--version").current_dir(root()))?;
        fs::write(&file, written(&now, &compiler))?;
        eprintln!("{} cases in {}", now.len(), file.display());
        return Ok(ExitCode::SUCCESS);
    }
    let known = fs::read_to_string(&file).with_context(|| format!("no {}", file.display()))?;
    let (text, is_well) = compare(&read(&known)?, &now);
    print(&text)?;
    Ok(ExitCode::from(u8::from(!is_well)))
}

/// Runs all cases under callgrind.
fn count(folder: &Path) -> Result<Vec<Case>> {
    let out = folder.join("out");
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--quiet", "--tool=callgrind", "--collect-atstart=no"])
        .arg(format!("--toggle-collect={WATCHED}"))
        .arg(format!("--dump-after={WATCHED}"))
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(std::env::current_exe()?)
        .arg("counted");
    let names = output(&mut valgrind)?;
    let cases = names.lines().enumerate().map(|(number, line)| {
        let dump = folder.join(format!("out.{}", number + 1));
        let dump = fs::read_to_string(&dump)
            .with_context(|| format!("callgrind saw fewer calls of {WATCHED} than there are"))?;
        let (times, name) = line.split_once(' ').context("a case has no name")?;
        Ok((name.to_owned(), total(&dump)? / times.parse::<f64>()?))
    });
    cases.collect()
}

/// The instructions of one dump of callgrind.
fn total(dump: &str) -> Result<f64> {
    let totals = dump.lines().find_map(|line| line.strip_prefix("totals:"));
    Ok(totals
        .context("callgrind wrote no totals")?
        .trim()
        .parse()?)
}

/// A baseline's text.
fn written(cases: &[Case], compiler: &str) -> String {
    let mut text = format!(
        "# Instructions that the core needs to do each of these once, on x86_64 with {compiler}.\n\
         # `cargo xtask test` fails when one needs {TOLERATED} % more. Written by `{RECORD}`.\n\n"
    );
    for (name, count) in cases {
        text += &format!("{count:>9.1}  {name}\n");
    }
    text
}

/// The cases in a baseline's text.
fn read(text: &str) -> Result<Vec<Case>> {
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let case = |line: &str| {
        let (count, name) = line.split_once(' ')?;
        Some((name.trim().to_owned(), count.parse().ok()?))
    };
    lines
        .map(|line| {
            case(line).with_context(|| format!("no count and name in the baseline: {line}"))
        })
        .collect()
}

/// A table of all cases, what is to be done, and whether nothing is wrong: each may need a little more, and the
/// baseline has to be one of the same cases.
fn compare(known: &[Case], now: &[Case]) -> (String, bool) {
    let find = |cases: &[Case], name: &str| {
        let case = cases.iter().find(|(its, _)| its == name);
        case.map(|(_, count)| *count)
    };
    let gone = known.iter().filter(|(name, _)| find(now, name).is_none());
    let (mut is_well, mut advice) = (true, Vec::new());
    let mut text = head(&["instructions", "baseline", "now", "change in %", ""], 1);
    for (name, _) in now.iter().chain(gone) {
        let (before, count) = (find(known, name), find(now, name));
        let change = before
            .zip(count)
            .map(|(known, now)| (now - known) / known * 100.0);
        let (verdict, to_do) = match change {
            Some(change) if change > TOLERATED => {
                ("TOO MANY", "if that is the price of something better: ")
            }
            Some(change) if change < -TOLERATED => (
                "far fewer",
                "a baseline that far above guards nothing any more: ",
            ),
            Some(_) => ("", ""),
            None => ("ON ONE SIDE ONLY", "the baseline is one of other cases: "),
        };
        is_well &= matches!(verdict, "" | "far fewer");
        if !to_do.is_empty() && !advice.contains(&to_do) {
            advice.push(to_do);
        }
        let shown =
            |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.1}"));
        text += &row(&[name, &shown(before), &shown(count), &shown(change), verdict]);
    }
    for to_do in advice {
        text += &format!("!!! {to_do}{RECORD}\n");
    }
    (text, is_well)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(known: &[(&str, f64)], now: &[(&str, f64)]) -> (String, bool) {
        let cases = |counts: &[(&str, f64)]| -> Vec<Case> {
            let case = |&(name, count): &(&str, f64)| (name.to_owned(), count);
            counts.iter().map(case).collect()
        };
        compare(&cases(known), &cases(now))
    }

    #[test]
    fn a_fifth_more_is_tolerated_and_the_next_instruction_fails() {
        let known = [("scan", 1000.0), ("match", 50.0)];
        let (text, is_well) = compared(&known, &[("scan", 1200.0), ("match", 50.0)]);
        assert!(is_well && !text.contains("!!!"), "{text}");
        // Also when another one is better.
        let (text, is_well) = compared(&known, &[("scan", 1201.0), ("match", 5.0)]);
        assert!(!is_well && text.contains("--record"), "{text}");
        assert!(
            text.contains("| scan | 1000.0 | 1201.0 | 20.1 | TOO MANY |"),
            "{text}"
        );
    }

    #[test]
    fn far_fewer_asks_to_record_and_does_not_fail() {
        let (text, is_well) = compared(&[("scan", 1000.0)], &[("scan", 799.0)]);
        assert!(
            is_well && text.contains("far fewer") && text.contains("--record"),
            "{text}"
        );
    }

    #[test]
    fn a_baseline_of_other_cases_fails() {
        let (one, both) = ([("scan", 10.0)], [("scan", 10.0), ("match", 10.0)]);
        for (known, now) in [(&one[..], &both[..]), (&both, &one)] {
            let (text, is_well) = compared(known, now);
            assert!(!is_well && text.contains("ON ONE SIDE ONLY"), "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let known = [("scan with blanks, 16 B", 1955.0), ("match few", 99500.9)];
        let known = known.map(|(name, count)| (name.to_owned(), count));
        assert_eq!(
            read(&written(&known, "rustc 1.95.0")).expect("cases"),
            known
        );
        assert!(read("12.5").is_err() && read("many match few").is_err());
    }

    #[test]
    fn the_total_of_a_dump_is_found() {
        let dump = "# callgrind format\nevents: Ir\nfn=(1) scan\n+1 7\ntotals: 10735\n";
        assert_eq!(total(dump).expect("a total"), 10_735.0);
        assert!(total("events: Ir\n").is_err());
    }
}
