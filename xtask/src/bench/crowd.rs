//! Owns the scenarios with many connections or many subscriptions.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use anyhow::Result;

use super::load::{Delivery, Message};
use super::server::Server;
use super::trial::{Figure, Trial, as_f64, micros, topic_of};
use super::wire::{Subscription, Template};

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
    let each = |now: u64| as_f64(now.saturating_sub(before)) / 1024.0 / as_f64(count);
    let idle = each(server.resident()?);
    load.add_publisher(&[], messages)?;
    load.allow(10 * count);
    load.drain()?;
    load.prove_the_end()?;
    let used = each(server.resident()?);
    Ok(vec![
        Figure::main("idle KB each", idle),
        Figure::main("KB each after 10 messages", used),
        Figure::side("connections", as_f64(count)),
    ])
}

/// The generator of Steele, Lea and Flood; the same numbers in every run.
struct SplitMix(u64);

impl SplitMix {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) % end
    }

    /// So many different tags in order.
    fn tags(&mut self, count: usize) -> Vec<u64> {
        let mut tags = BTreeSet::new();
        while tags.len() < count {
            tags.insert(self.below(TAGS));
        }
        tags.into_iter().collect()
    }
}

const CONNECTIONS: usize = 100;
const SETS_PER_CONNECTION: usize = 1000;
/// With so many tags one message in twenty finds a subscriber.
const TAGS: u64 = 5000;
const TAGS_PER_MESSAGE: usize = 4;
const MESSAGES: usize = 4096;

fn names(tags: &[u64]) -> Vec<String> {
    tags.iter().map(|tag| format!("t{tag:04}")).collect()
}

/// Who listens to which pair of tags, by stream.
type Listeners = HashMap<Vec<u64>, BTreeSet<usize>>;

/// A message with the tags `chosen`, for brokers that know sets: said once, delivered once.
fn said_once(trial: &Trial<'_>, chosen: &[u64], listeners: &Listeners) -> Message {
    let wire = trial.contender.wire(trial.scenario.transport);
    let tags = names(chosen);
    let streams: BTreeSet<_> = pairs(chosen)
        .filter_map(|pair| listeners.get(&pair))
        .flatten()
        .collect();
    let delivery = |&stream| Delivery {
        stream,
        template: wire.delivery(&tags, &topic_of("", false), trial.size),
    };
    Message {
        publish: wire.publish(&tags, trial.size),
        deliveries: streams.into_iter().map(delivery).collect(),
        reply: None,
        sets: 1,
    }
}

/// The same for brokers that know subjects only: said once for each pair of its tags.
fn said_for_each_pair(trial: &Trial<'_>, chosen: &[u64], listeners: &Listeners) -> Message {
    let wire = trial.contender.wire(trial.scenario.transport);
    let (mut publishes, mut deliveries, mut replies) = (Vec::new(), Vec::new(), Vec::new());
    for pair in pairs(chosen) {
        let tags = names(&pair);
        publishes.push(wire.publish(&tags, trial.size));
        let streams = listeners.get(&pair).into_iter().flatten();
        replies.extend(wire.reply(streams.clone().count()));
        let to = Subscription {
            tags: tags.clone(),
            open: false,
        };
        deliveries.extend(streams.map(|&stream| Delivery {
            stream,
            template: wire.delivery(&tags, &to, trial.size),
        }));
    }
    Message {
        publish: Template::joined(&publishes),
        deliveries,
        reply: Some(replies.concat()).filter(|replies| !replies.is_empty()),
        sets: 1,
    }
}

fn pairs(tags: &[u64]) -> impl Iterator<Item = Vec<u64>> {
    let firsts = tags.iter().enumerate();
    firsts.flat_map(|(at, first)| tags[at + 1..].iter().map(|second| vec![*first, *second]))
}

/// Publishes per second through 100,000 two-tag subscriptions, few of which match.
pub(super) fn matching(trial: &Trial<'_>, server: &Server) -> Result<Vec<Figure>> {
    let mut random = SplitMix(1);
    let mut load = trial.load(server, trial.plan.window)?;
    let mut listeners = Listeners::new();
    let before = server.resident()?;
    for _ in 0..CONNECTIONS {
        let stream = load.add_stream();
        let mut sets = Vec::new();
        while sets.len() < SETS_PER_CONNECTION {
            let pair = random.tags(2);
            let tags = names(&pair);
            if listeners.entry(pair).or_default().insert(stream) {
                sets.push(Subscription { tags, open: false });
            }
        }
        load.add_subscriber(&sets, stream)?;
    }
    let subscribed = server.resident()?.saturating_sub(before);

    let wire = trial.contender.wire(trial.scenario.transport);
    let message = if wire.has_tag_sets() {
        said_once
    } else {
        said_for_each_pair
    };
    let messages = (0..MESSAGES)
        .map(|_| message(trial, &random.tags(TAGS_PER_MESSAGE), &listeners))
        .collect();
    load.add_publisher(&[], messages)?;
    load.run_for(trial.plan.time / 6)?;
    load.prove_the_end()?;

    let (published, owed) = (load.published(), load.owed());
    let (cpu, start) = (server.cpu()?, Instant::now());
    load.run_for(trial.plan.time)?;
    // The pong comes after everything that was published: so all of it has been accepted.
    load.prove_the_end()?;
    let wall = start.elapsed().as_secs_f64();
    let cpu = micros(server.cpu()? - cpu);
    let published = as_f64(load.published() - published);
    let sets = as_f64((CONNECTIONS * SETS_PER_CONNECTION) as u64);
    Ok(vec![
        Figure::main("thousand publishes/s", published / wall / 1000.0),
        Figure::main("CPU µs per publish", cpu / published),
        Figure::side(
            "deliveries per publish",
            as_f64(load.owed() - owed) / published,
        ),
        Figure::side("bytes per subscription", as_f64(subscribed) / sets),
    ])
}
