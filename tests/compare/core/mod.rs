//! The core by itself, next to others that answer the same questions, and what it costs in instructions.

mod allocator;
mod clock;
mod costs;
pub(crate) mod counted;
mod growth;
pub(crate) mod instructions;
mod matching;
mod memory;
mod report;
mod rivals;
mod workload;

use anyhow::{Result, bail, ensure};

use crate::print;
use clock::Plan;
use report::Report;

/// The arguments of `cargo xtask bench core`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only what has NAME in its name, such as `match few`, `growth`, `scan`; may be repeated
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,

    /// Short turns and up to 10,000 subscriptions: shows that all works, measures little
    #[arg(long)]
    quick: bool,
}

impl Args {
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| name.contains(only.as_str()))
    }
}

/// Measures the core beside its rivals, and prints tables.
pub(crate) fn run(args: &Args) -> Result<()> {
    let plan = Plan::new(args.quick);
    let mut report = Report::default();
    matching::run(args, &plan, &mut report)?;
    growth::run(args, &plan, &mut report)?;
    costs::run(args, &plan, &mut report)?;
    memory::run(args, &plan, &mut report);
    let text = report.markdown();
    ensure!(
        !text.is_empty(),
        "nothing is called {}",
        args.only.join(" or ")
    );
    print(&text)
}

/// What is said when a contender does not find whom it should.
fn check(
    workload: &workload::Workload,
    contender: &mut dyn rivals::Contender,
    message: usize,
) -> Result<()> {
    let wanted = workload.receivers(message);
    contender.publish(message);
    let mut found = contender.targets().to_vec();
    found.sort_unstable();
    if found == wanted {
        return Ok(());
    }
    bail!(
        "{} finds {} clients for message {message}, not the {} that get it",
        contender.name(),
        found.len(),
        wanted.len()
    )
}

#[cfg(test)]
mod tests {
    use super::rivals::{Contender, Floor, Lines, Mist, Naive, Trie};
    use super::*;

    #[test]
    fn all_contenders_find_the_clients_that_get_a_message() {
        for kind in workload::KINDS {
            let workload = kind.build(500);
            let text = workload.text();
            let mut lines = Lines::new(&workload, "12 min");
            let mut mist = Mist::new(&workload, &mut lines);
            let answers = mist.answers();
            let (mut bare, mut looking) = (
                Floor::new(&workload, &text, &answers, false),
                Floor::new(&workload, &text, &answers, true),
            );
            let (mut naive, mut trie) = (Naive::new(&workload, &text), Trie::new(&workload, &text));
            let contenders: [&mut dyn Contender; 5] =
                [&mut mist, &mut bare, &mut looking, &mut naive, &mut trie];
            for contender in contenders {
                for message in 0..workload.messages.len().min(64) {
                    let checked = check(&workload, contender, message);
                    checked.unwrap_or_else(|error| panic!("{}: {error}", kind.name));
                }
            }
        }
    }

    #[test]
    fn a_contender_that_misses_a_client_is_caught() {
        let workload = workload::shared(50, 1);
        let text = workload.text();
        let mut answers = vec![workload.receivers(0)];
        let mut floor = Floor::new(&workload, &text, &answers, false);
        assert!(check(&workload, &mut floor, 0).is_ok());
        answers[0].pop();
        let mut floor = Floor::new(&workload, &text, &answers, false);
        assert_eq!(
            check(&workload, &mut floor, 0)
                .expect_err("one is missing")
                .to_string(),
            "floor finds 49 clients for message 0, not the 50 that get it"
        );
    }
}
