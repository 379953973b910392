//! Measures what subscriptions take of the memory.

use super::rivals::{connected, subscribe_all};
use super::workload::Kind;
use crate::numbers::{grouped, short};

use super::Args;
use super::allocator::bytes;
use super::clock::Plan;
use super::report::Report;

const SIZES: [usize; 3] = [10_000, 100_000, 1_000_000];

/// Measures what is asked for.
pub(crate) fn run(args: &Args, plan: &Plan, report: &mut Report) {
    for name in ["few", "few-zipf", "wide", "many", "long", "crowd"] {
        let kind = Kind::named(name).filter(|_| args.wants(&format!("memory {name}")));
        if let Some(kind) = kind {
            of_kind(kind, plan, report);
        }
    }
}

fn of_kind(kind: Kind, plan: &Plan, report: &mut Report) {
    eprintln!("memory {}: {}", kind.name, kind.about);
    let mut cells = vec![kind.name.to_owned()];
    let mut session = 0.0;
    for size in SIZES.into_iter().filter(|&size| size <= plan.most) {
        let workload = kind.build(size);
        let before = bytes();
        let (mut broker, clients) = connected(&workload);
        let after = bytes() - size_of_val(&clients[..]);
        session = (after - before) as f64 / clients.len() as f64;
        subscribe_all(&workload, &mut broker, &clients);
        let taken = bytes() - size_of_val(&clients[..]) - after;
        // Who subscribes to a set again has it once.
        let each = taken as f64 / broker.stats().subscriptions as f64;
        cells.push(short(each));
        let case = format!("{} {}", kind.name, grouped(size));
        // A tag takes memory too; where each subscription brings one, that is the larger part.
        if kind.name != "wide" {
            report.at_most("bytes for a subscription", 130.0, each, &case);
        }
    }
    cells.resize(SIZES.len() + 1, "–".into());
    cells.push(short(session));
    report.line(
        "Memory: bytes allocated for one subscription of so many, and for a session without",
        &["workload", "10k", "100k", "1M", "session"],
        &cells,
    );
}
