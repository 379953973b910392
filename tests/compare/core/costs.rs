//! Measures the steps before and behind matching: reading, writing, subscribing, connecting.

use std::cell::RefCell;
use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::rivals::{Lines, Mist, connected, subscribe_all, write_line};
use super::workload::{Kind, Workload, shared};
use crate::numbers::{grouped, short};
use fastrand::Rng;
use mist_core::message::{Messages, Scan};
use mist_core::{Credentials, Limits, Scratch};

use super::Args;
use super::clock::{Plan, Work, race, timed};
use super::report::Report;

/// Forms of one publish; `DATA` stands for the data.
pub(crate) const FORMS: [(&str, &str); 5] = [
    (
        "as clients write it",
        r#"{"command":"publish","tags":["line:7","late","district:north"],"data":"DATA"}"#,
    ),
    (
        "as Python writes it",
        r#"{"command": "publish", "tags": ["line:7", "late", "district:north"], "data": "DATA"}"#,
    ),
    (
        "with blanks",
        r#"{ "command": "publish", "tags": ["line:7", "late", "district:north"], "data": "DATA" }"#,
    ),
    (
        "in another order",
        r#"{"tags":["line:7","late","district:north"],"data":"DATA","command":"publish"}"#,
    ),
    (
        "with escapes",
        r#"{"command":"publish","tags":["line:7","late","caf\u00e9"],"data":"\"DATA\"\n"}"#,
    ),
];

/// As much as a host reads at once.
const BUFFER: usize = 64 * 1024;

/// Measures what is asked for.
pub(crate) fn run(args: &Args, plan: &Plan, report: &mut Report) -> Result<()> {
    for (form, text) in FORMS {
        for size in [16, 128, 1024] {
            if args.wants(&format!("scan {form} {size}")) {
                scanning(form, text, size, plan, report)?;
            }
        }
    }
    for size in [16, 128, 1024] {
        if args.wants(&format!("encode {size}")) {
            encoding(size, plan, report)?;
        }
    }
    if args.wants("change") {
        changing(plan, report);
    }
    Ok(())
}

/// Lines of one form that fill a buffer, and how many they are.
pub(crate) fn buffer(text: &str, size: usize) -> (Vec<u8>, usize) {
    let line = text.replace("DATA", &"x".repeat(size)) + "\n";
    let count = BUFFER / line.len();
    (line.repeat(count).into_bytes(), count)
}

/// Reads all messages of a buffer; returns how many there are.
#[inline]
pub(crate) fn scan_all(lines: &[u8], scan: &mut Scan, limits: &Limits) -> usize {
    let mut count = 0;
    let mut messages = Messages::lines(lines);
    while let Some(Ok(message)) = messages.next(scan, limits) {
        black_box(&message);
        count += 1;
    }
    count
}

fn scanning(form: &str, text: &str, size: usize, plan: &Plan, report: &mut Report) -> Result<()> {
    eprintln!("scan {form} {size}");
    let (lines, count) = buffer(text, size);
    let limits = Limits::default();
    let mut scan = Scan::new();
    if scan_all(&lines, &mut scan, &limits) != count {
        bail!("a message {form} cannot be read");
    }
    let scanned = timed(|times| {
        let buffers = times.div_ceil(count);
        for _ in 0..buffers {
            black_box(scan_all(black_box(&lines), &mut scan, &limits));
        }
        buffers * count
    });
    let checked = timed(|times| {
        let buffers = times.div_ceil(count);
        for _ in 0..buffers {
            black_box(std::str::from_utf8(black_box(&lines)).is_ok());
        }
        buffers * count
    });
    let taken = race(plan, &mut [scanned, checked]);
    let case = format!("{form}, {size} B");
    let bytes = lines.len() as f64 / count as f64;
    report.line(
        "Scan: nanoseconds to read one publish out of a buffer of 64 KiB",
        &[
            "form, data",
            "bytes",
            "mist",
            "GB/s",
            "check of UTF-8 alone",
        ],
        &[
            case,
            short(bytes),
            short(taken[0]),
            short(bytes / taken[0]),
            short(taken[1]),
        ],
    );
    Ok(())
}

fn encoding(size: usize, plan: &Plan, report: &mut Report) -> Result<()> {
    eprintln!("encode {size}");
    let workload = shared(1, 1);
    let mut lines = Lines::new(&workload, &"x".repeat(size));
    let mist = Mist::new(&workload, &mut lines);
    let message = &mist.messages[0];
    let mut scratch = Scratch::new();
    mist.broker.decide(mist.publisher, message, &mut scratch);
    let mut body = Vec::new();
    scratch.write_body(message, &mut body);
    if body.len() < size {
        bail!("nothing is delivered");
    }
    let model = body.clone();
    let (mut out, mut copy) = (Vec::new(), Vec::new());
    let written = timed(|times| {
        for _ in 0..times {
            out.clear();
            scratch.write_body(black_box(message), &mut out);
            black_box(&out);
        }
        times
    });
    let copied = timed(|times| {
        for _ in 0..times {
            copy.clear();
            copy.extend_from_slice(black_box(&model));
            black_box(&copy);
        }
        times
    });
    let taken = race(plan, &mut [written, copied]);
    let case = format!("{size} B");
    report.line(
        "Encode: nanoseconds to write one delivered message",
        &["data", "bytes", "mist", "copy of the same bytes"],
        &[
            case,
            model.len().to_string(),
            short(taken[0]),
            short(taken[1]),
        ],
    );
    Ok(())
}

/// Sets that nobody has yet, as lines to subscribe to them and to take that back.
pub(crate) fn new_sets(workload: &Workload, count: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut random = Rng::with_seed(6);
    let line = |_| {
        let (mut on, mut off) = (Vec::new(), Vec::new());
        let tags: Vec<_> = (0..random.usize(2..=4))
            .map(|_| random.usize(..workload.tags.len()) as u32)
            .collect();
        let names = workload.names(&tags);
        write_line(&mut on, "subscribe", &names, "");
        write_line(&mut off, "unsubscribe", &names, "");
        (on, off)
    };
    (0..count).map(line).collect()
}

fn changing(plan: &Plan, report: &mut Report) {
    const SETS: usize = 1024;

    for size in [10_000, 100_000, 1_000_000] {
        let Some(kind) = Kind::named("few-zipf").filter(|_| size <= plan.most) else {
            continue;
        };
        eprintln!("change {size}");
        let workload = kind.build(size);
        let sets = new_sets(&workload, SETS);
        let (mut broker, clients) = connected(&workload);
        subscribe_all(&workload, &mut broker, &clients);
        // All of them in turn with one broker, which each leaves as it was.
        let broker = RefCell::new(broker);
        let all = |is_on: bool| {
            let mut broker = broker.borrow_mut();
            let started = Instant::now();
            for (number, (on, off)) in sets.iter().enumerate() {
                let line = if is_on { on } else { off };
                broker.handle_message(clients[number % clients.len()], line);
            }
            started.elapsed()
        };
        let both = |times: usize| {
            let rounds = times.div_ceil(SETS);
            let (mut on, mut off) = (Duration::ZERO, Duration::ZERO);
            for _ in 0..rounds {
                on += all(true);
                off += all(false);
            }
            (rounds * SETS, on, off)
        };
        let subscribe: Work<'_> = Box::new(|times| {
            let (done, on, _) = both(times);
            (done, on)
        });
        let unsubscribe: Work<'_> = Box::new(|times| {
            let (done, _, off) = both(times);
            (done, off)
        });
        let connect = timed(|times| {
            let mut broker = broker.borrow_mut();
            for _ in 0..times {
                let session = broker.connect(Credentials::default());
                broker.disconnect(session);
            }
            times
        });
        let mut next = 0;
        let visit = timed(|times| {
            let mut broker = broker.borrow_mut();
            for _ in 0..times {
                let session = broker.connect(Credentials::default());
                broker.handle_message(session, &sets[next % SETS].0);
                broker.disconnect(session);
                next += 1;
            }
            times
        });
        let taken = race(plan, &mut [subscribe, unsubscribe, connect, visit]);
        let mut cells = vec![grouped(size)];
        cells.extend(taken.iter().map(|&taken| short(taken)));
        report.line(
            "Changes: nanoseconds, lines in, with so many subscriptions there",
            &[
                "subscriptions",
                "subscribe",
                "unsubscribe",
                "connect and disconnect",
                "the same with a subscription between",
            ],
            &cells,
        );
    }
}
