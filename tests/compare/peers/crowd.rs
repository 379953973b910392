//! Owns the scenarios with many connections.

use anyhow::Result;

use super::server::Server;
use super::trial::{Figure, Trial, topic_of};

/// Files that a process needs beside its connections.
const SPARE_FILES: u64 = 200;

/// How far a reader may be behind where each has its own stream.
const SMALL_WINDOW: usize = 4096;

/// Memory per connection, idle and after ten messages each.
pub(super) fn memory(trial: &Trial<'_>, server: &Server) -> Result<Vec<Figure>> {
    let wanted = if trial.plan.is_quick { 2000 } else { 10_000 };
    let count = wanted.min(trial.plan.open_files.saturating_sub(SPARE_FILES));
    if count < wanted {
        eprintln!("only {count} connections: the limit of open files allows no more");
    }
    let before = server.resident()?;
    let mut load = trial.load(server, SMALL_WINDOW)?;
    let mut messages = Vec::new();
    for number in 0..count {
        let to = topic_of(&format!("m{number:05}"), false);
        let stream = load.add_stream();
        load.add_subscriber(std::slice::from_ref(&to), stream)?;
        messages.push(trial.message(&to.tags, &to, stream));
    }
    let each = |now: u64| now.saturating_sub(before) as f64 / 1024.0 / count as f64;
    let idle = each(server.resident()?);
    load.add_publisher(&[], messages)?;
    load.allow(10 * count);
    load.drain()?;
    load.prove_the_end()?;
    let used = each(server.resident()?);
    Ok(vec![
        ("idle KB each", idle),
        ("KB each after 10 messages", used),
    ])
}
