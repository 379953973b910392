//! Measures who finds the receivers of a message fastest: mist, the floor, and rivals, all in turn.

use anyhow::Result;

use super::check;
use super::rivals::{Contender, Floor, Lines, Mist, Naive, Trie};
use super::workload::{KINDS, Kind, Text, Workload};
use crate::numbers::{grouped, short};

use super::Args;
use super::clock::{Plan, Work, race, timed};
use super::report::Report;

const TITLE: &str = "Matching: nanoseconds for one publish";
const HEAD: [&str; 10] = [
    "workload",
    "subscriptions",
    "matches",
    "mist",
    "floor",
    "× floor",
    "floor with look-up",
    "set-trie",
    "a-tree",
    "naive loop",
];

/// Messages whose answers are looked over by hand.
const CHECKED: usize = 24;
/// With more than that, a-tree takes minutes to take them in.
const TREE_UP_TO: usize = 10_000;
/// With more than that, the naive loop is not worth the wait.
const NAIVE_UP_TO: usize = 100_000;

/// Measures all workloads that are asked for.
pub(crate) fn run(args: &Args, plan: &Plan, report: &mut Report) -> Result<()> {
    for kind in KINDS {
        if !args.wants(&format!("match {}", kind.name)) {
            continue;
        }
        let sizes = match kind.name {
            "few" | "few-zipf" | "wide" => &[1000, 10_000, 100_000, 1_000_000][..],
            _ => &[10_000, 100_000],
        };
        for &size in sizes.iter().filter(|&&size| size <= plan.most) {
            eprintln!("match {} {}: {}", kind.name, grouped(size), kind.about);
            one(kind, size, plan, report)?;
        }
    }
    Ok(())
}

fn one(kind: Kind, size: usize, plan: &Plan, report: &mut Report) -> Result<()> {
    let workload = kind.build(size);
    let text = workload.text();
    let mut lines = Lines::new(&workload, "12 min");
    let mut mist = Mist::new(&workload, &mut lines);
    checked(&workload, &mut mist)?;
    let answers = mist.answers();
    let sum: usize = answers.iter().map(Vec::len).sum();
    let matches = sum as f64 / answers.len() as f64;

    let mut names = vec!["mist", "floor", "floor with look-up", "set-trie"];
    let mut bare = Floor::new(&workload, &text, &answers, false);
    let mut looking = Floor::new(&workload, &text, &answers, true);
    let mut trie = Trie::new(&workload, &text);
    let attributes = attributes(&workload);
    let mut tree = match size <= TREE_UP_TO {
        true => best_tree(&workload, &text, &attributes, plan)?,
        false => None,
    };
    let mut naive = (size <= NAIVE_UP_TO).then(|| Naive::new(&workload, &text));
    checked(&workload, &mut trie)?;
    let all = workload.messages.len();
    let mut works = vec![
        publishing(&mut mist, all),
        publishing(&mut bare, all),
        publishing(&mut looking, all),
        publishing(&mut trie, all),
    ];
    if let Some(naive) = &mut naive {
        checked(&workload, naive)?;
        names.push("naive loop");
        works.push(publishing(naive, all));
    }
    if let Some(tree) = &mut tree {
        names.push("a-tree");
        works.push(publishing(&mut **tree, all));
    }
    let taken = race(plan, &mut works);

    let case = format!("{} {}", kind.name, grouped(size));
    let found = |name: &str| {
        let place = names.iter().position(|known| *known == name)?;
        Some(taken[place])
    };
    let own = taken[0];
    let ratio = |name: &str| {
        found(name).map_or("–".into(), |other| {
            format!("{} ({} ×)", short(other), short(other / own))
        })
    };
    report.line(
        TITLE,
        &HEAD,
        &[
            kind.name.into(),
            grouped(size),
            short(matches),
            short(own),
            short(taken[1]),
            short(own / taken[1]),
            ratio("floor with look-up"),
            ratio("set-trie"),
            ratio("a-tree"),
            ratio("naive loop"),
        ],
    );
    if kind.is_ordinary {
        report.at_most("mist : floor", 3.0, own / taken[1], &case);
        report.at_most("mist : floor with look-up", 3.0, own / taken[2], &case);
        report.at_least("set-trie : mist", 1.5, taken[3] / own, &case);
        if let Some(tree) = found("a-tree").filter(|_| size == 10_000) {
            report.at_least("a-tree : mist at 10k", 100.0, tree / own, &case);
        }
    }
    Ok(())
}

fn checked(workload: &Workload, contender: &mut dyn Contender) -> Result<()> {
    // Spread over all messages: those of some workloads begin alike.
    let step = (workload.messages.len() / CHECKED).max(1);
    (0..workload.messages.len())
        .step_by(step)
        .try_for_each(|message| check(workload, contender, message))
}

/// Publishes the messages one after the other, again and again.
pub(crate) fn publishing<'a>(contender: &'a mut (impl Contender + ?Sized), all: usize) -> Work<'a> {
    let mut next = 0;
    timed(move |times| {
        std::hint::black_box(contender.publish_some(next, times, all));
        next = (next + times) % all;
        times
    })
}

/// The names of tags where a tree has an attribute for each.
fn attributes(workload: &Workload) -> Vec<String> {
    let name = |tag| format!("tag_{tag}");
    (0..workload.tags.len()).map(name).collect()
}

/// The tree in the form in which it answers fastest.
#[cfg(feature = "a-tree")]
fn best_tree<'a>(
    workload: &Workload,
    text: &'a Text,
    attributes: &'a [String],
    plan: &Plan,
) -> Result<Option<Box<dyn Contender + 'a>>> {
    use super::rivals::Tree;

    let mut best: Option<(f64, Tree<'a>)> = None;
    for form in Tree::FORMS {
        let mut tree = Tree::new(workload, text, attributes, form);
        checked(workload, &mut tree)?;
        let all = workload.messages.len();
        let taken = race(plan, &mut [publishing(&mut tree, all)])[0];
        eprintln!("  a-tree as {:?}: {} ns", tree.form(), short(taken));
        if best.as_ref().is_none_or(|(fastest, _)| taken < *fastest) {
            best = Some((taken, tree));
        }
    }
    Ok(best.map(|(_, tree)| Box::new(tree) as Box<dyn Contender>))
}

/// There is none without the crate.
#[cfg(not(feature = "a-tree"))]
fn best_tree<'a>(
    _: &Workload,
    _: &'a Text,
    _: &'a [String],
    _: &Plan,
) -> Result<Option<Box<dyn Contender + 'a>>> {
    Ok(None)
}
