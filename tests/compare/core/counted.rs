//! What is counted in instructions: each case once, inside of one function that callgrind watches.
//!
//! It knows nothing of callgrind: started by itself it does the same work and counts nothing.

use std::fmt::Write as _;
use std::hint::black_box;

use anyhow::{Context as _, Result, bail};

use super::rivals::{Contender as _, Lines, Mist, connected, subscribe_all};
use super::workload::{KINDS, Kind, Workload, shared};
use crate::print;
use mist_core::message::{Messages, Scan};
use mist_core::{Credentials, Limits, Scratch, Verdict};

use super::costs::{FORMS, buffer, new_sets, scan_all};

/// So many subscriptions that lists have their length, and few enough to be added under callgrind in no time.
const SUBSCRIPTIONS: usize = 4000;

/// The cases that were counted, in order, with how often each did its work.
#[derive(Debug, Default)]
struct Cases(String);

impl Cases {
    /// Does the work once to have everything warm, and once to be counted.
    fn count(&mut self, name: &str, times: usize, mut work: impl FnMut()) {
        work();
        watched(&mut work);
        let _ = writeln!(self.0, "{times} {name}");
    }
}

/// The only function in which callgrind counts; the name is known to xtask.
#[inline(never)]
fn watched(work: &mut dyn FnMut()) {
    work();
    // Nothing may be left to do when it returns, so that no call of the work becomes a jump.
    black_box(());
}

/// Does all cases, and says which they were: a line each, with how often the work was done.
pub(crate) fn run() -> Result<()> {
    let mut cases = Cases::default();
    scanning(&mut cases);
    encoding(&mut cases);
    matching(&mut cases);
    whole_way(&mut cases)?;
    changing(&mut cases)?;
    print(&cases.0)
}

fn scanning(cases: &mut Cases) {
    let limits = Limits::default();
    let mut scan = Scan::new();
    for (form, text) in FORMS {
        for size in [16, 128, 1024] {
            let (lines, _) = buffer(text, size);
            let one = &lines[..lines.len() / scan_all(&lines, &mut scan, &limits)];
            let lines = one.repeat(16);
            cases.count(&format!("scan {form}, {size} B"), 16, || {
                black_box(scan_all(&lines, &mut scan, &limits));
            });
        }
    }
}

fn encoding(cases: &mut Cases) {
    for size in [16, 128, 1024] {
        let workload = shared(1, 1);
        let mut lines = Lines::new(&workload, &"x".repeat(size));
        let mist = Mist::new(&workload, &mut lines);
        let message = &mist.messages[0];
        let mut scratch = Scratch::new();
        mist.broker.decide(mist.publisher, message, &mut scratch);
        let mut out = Vec::new();
        cases.count(&format!("encode {size} B"), 16, || {
            out.clear();
            for _ in 0..16 {
                scratch.write_body(message, &mut out);
            }
        });
    }
}

fn matching(cases: &mut Cases) {
    for kind in KINDS {
        let mut workload = kind.build(SUBSCRIPTIONS);
        publishing(cases, &format!("match {}", kind.name), &workload);
        if kind.name == "few" {
            workload.sort_messages();
            publishing(cases, "match few, tags in order", &workload);
            // Ten times as many, in lists that are three times as long: what looking at one more costs.
            publishing(cases, "match few of 40k", &kind.build(10 * SUBSCRIPTIONS));
        }
    }
}

fn publishing(cases: &mut Cases, name: &str, workload: &Workload) {
    let mut lines = Lines::new(workload, "12 min");
    let mut mist = Mist::new(workload, &mut lines);
    let all = mist.messages.len();
    let times = all.min(64);
    cases.count(name, times, || {
        black_box(mist.publish_some(0, times, all));
    });
}

/// From the line that comes in to the one that goes out, as the server does it.
fn whole_way(cases: &mut Cases) -> Result<()> {
    let workload = shared(1, 1);
    let mut nothing = Lines::new(&workload, "");
    let mist = Mist::new(&workload, &mut nothing);
    let (broker, publisher) = (&mist.broker, mist.publisher);
    let limits = broker.limits().clone();
    let text = r#"{"command":"publish","tags":["line:0","late","district:north"],"data":"DATA"}"#;
    let line = text.replace("DATA", &"x".repeat(128)) + "\n";
    let lines = line.repeat(16);
    let (mut scan, mut scratch, mut out) = (Scan::new(), Scratch::new(), Vec::new());
    let mut delivered = 0;
    cases.count("publish from line to line, 128 B", 16, || {
        out.clear();
        delivered = 0;
        let mut messages = Messages::lines(lines.as_bytes());
        while let Some(Ok(message)) = messages.next(&mut scan, &limits) {
            if let Verdict::Deliver(_) = broker.decide(publisher, &message, &mut scratch) {
                scratch.write_body(&message, &mut out);
                delivered += scratch.targets().len();
            }
        }
    });
    match delivered {
        16 => Ok(()),
        other => bail!("{other} deliveries, not 16"),
    }
}

fn changing(cases: &mut Cases) -> Result<()> {
    let kind = Kind::named("few-zipf").context("no such workload")?;
    let workload = kind.build(SUBSCRIPTIONS);
    let (mut broker, clients) = connected(&workload);
    subscribe_all(&workload, &mut broker, &clients);
    let sets = new_sets(&workload, 64);
    let before = broker.stats().subscriptions;
    let mut is_first = true;
    // The first time is not counted: it is taken back, so that the second does the same.
    cases.count("subscribe", sets.len(), || {
        for (client, (on, _)) in clients.iter().zip(&sets) {
            broker.handle_message(*client, on);
        }
        if std::mem::take(&mut is_first) {
            for (client, (_, off)) in clients.iter().zip(&sets) {
                broker.handle_message(*client, off);
            }
        }
    });
    let mut is_first = true;
    cases.count("unsubscribe", sets.len(), || {
        for (client, (_, off)) in clients.iter().zip(&sets) {
            broker.handle_message(*client, off);
        }
        if std::mem::take(&mut is_first) {
            for (client, (on, _)) in clients.iter().zip(&sets) {
                broker.handle_message(*client, on);
            }
        }
    });
    cases.count("connect, subscribe, disconnect", sets.len(), || {
        for (on, _) in &sets {
            let session = broker.connect(Credentials::default());
            broker.handle_message(session, on);
            broker.disconnect(session);
        }
    });
    if broker.stats().subscriptions != before {
        bail!("what was subscribed to was not all taken back");
    }
    Ok(())
}
