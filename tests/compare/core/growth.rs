//! Measures how the cost of a publish grows: with subscriptions, and with those that match.

use anyhow::{Context as _, Result, bail};

use super::rivals::{Contender as _, Lines, Mist};
use super::workload::{Kind, shared};
use crate::numbers::short;
use mist_core::{Scratch, Verdict};

use super::Args;
use super::clock::{Plan, race, timed};
use super::matching::publishing;
use super::report::Report;

const SIZES: [usize; 4] = [1000, 10_000, 100_000, 1_000_000];
const MATCHES: [usize; 6] = [1, 10, 100, 1000, 10_000, 100_000];

/// Measures what is asked for.
pub(crate) fn run(args: &Args, plan: &Plan, report: &mut Report) -> Result<()> {
    for name in ["few", "few-zipf", "wide"] {
        if args.wants(&format!("growth {name}")) {
            let kind = Kind::named(name).context("no such workload")?;
            with_subscriptions(kind, plan, report);
        }
    }
    for (name, sets) in [("one set", 1), ("eight sets", 8)] {
        if args.wants(&format!("growth {name}")) {
            with_matches(name, sets, plan, report)?;
        }
    }
    Ok(())
}

/// All sizes in one race, since the question is one of ratios.
fn with_subscriptions(kind: Kind, plan: &Plan, report: &mut Report) {
    eprintln!("growth {}: {}", kind.name, kind.about);
    let sizes = SIZES.iter().filter(|&&size| size <= plan.most);
    let workloads: Vec<_> = sizes.map(|&size| kind.build(size)).collect();
    let mut lines: Vec<_> = workloads
        .iter()
        .map(|workload| Lines::new(workload, "12 min"))
        .collect();
    let both = workloads.iter().zip(&mut lines);
    let mut brokers: Vec<_> = both
        .map(|(workload, lines)| Mist::new(workload, lines))
        .collect();
    let mut works: Vec<_> = brokers
        .iter_mut()
        .map(|mist| {
            let all = mist.messages.len();
            publishing(mist, all)
        })
        .collect();
    let taken = race(plan, &mut works);
    let mut cells = vec![kind.name.to_owned()];
    for nanoseconds in &taken {
        cells.push(short(*nanoseconds));
    }
    cells.resize(SIZES.len() + 1, "–".into());
    let growth = taken[taken.len() - 1] / taken[0];
    cells.push(short(growth));
    report.line(
        "Growth: nanoseconds for one publish against so many subscriptions",
        &["workload", "1k", "10k", "100k", "1M", "last : first"],
        &cells,
    );
    report.at_most(
        "last : first of growing subscriptions",
        5.0,
        growth,
        kind.name,
    );
}

fn with_matches(name: &str, sets: usize, plan: &Plan, report: &mut Report) -> Result<()> {
    eprintln!("growth {name}: a message that more and more clients get");
    let sizes = MATCHES.iter().filter(|&&size| size >= sets);
    let workloads: Vec<_> = sizes.map(|&size| shared(size, sets)).collect();
    let mut lines: Vec<_> = workloads
        .iter()
        .map(|workload| Lines::new(workload, "12 min"))
        .collect();
    let both = workloads.iter().zip(&mut lines);
    let mut brokers: Vec<_> = both
        .map(|(workload, lines)| Mist::new(workload, lines))
        .collect();
    for (mist, workload) in brokers.iter_mut().zip(&workloads) {
        if mist.publish(0) != workload.clients {
            bail!("a message misses some of {}", workload.clients);
        }
    }
    let mut works: Vec<_> = brokers.iter_mut().map(passing_on).collect();
    let taken = race(plan, &mut works);
    let mut cells = vec![name.to_owned()];
    let mut each = Vec::new();
    for (workload, nanoseconds) in workloads.iter().zip(&taken) {
        each.push(nanoseconds / workload.clients as f64);
    }
    cells.resize(1 + MATCHES.len() - taken.len(), "–".into());
    let both = taken.iter().zip(&each);
    cells.extend(both.map(|(all, each)| format!("{} ({})", short(*all), short(*each))));
    report.line(
        "Growth: nanoseconds for one publish that so many clients get, and for each of them",
        &["clients in", "1", "10", "100", "1k", "10k", "100k"],
        &cells,
    );
    // From a thousand on nothing but the clients counts.
    let (thousand, most) = (each[each.len() - 3], each[each.len() - 1]);
    let what = "for each of 100k clients : for each of 1k";
    report.at_most(what, 1.5, most / thousand, name);
    Ok(())
}

/// Finds the clients, writes the message once, and looks at every client once, as a host does.
fn passing_on<'a>(mist: &'a mut Mist<'_>) -> super::clock::Work<'a> {
    let mut scratch = Scratch::new();
    let mut body = Vec::new();
    timed(move |times| {
        let message = &mist.messages[0];
        let mut sum = 0;
        for _ in 0..times {
            let verdict = mist.broker.decide(mist.publisher, message, &mut scratch);
            if let Verdict::Deliver(_) = verdict {
                body.clear();
                scratch.write_body(message, &mut body);
                for &target in scratch.targets() {
                    sum ^= target;
                }
            }
        }
        std::hint::black_box((sum, &body));
        times
    })
}
