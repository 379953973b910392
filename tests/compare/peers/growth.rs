//! Owns the scenarios that show how cost grows: with the subscriptions there are, and with those
//! that match.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use anyhow::Result;
use fastrand::Rng;

use super::load::{Delivery, Load, Message};
use super::server::Server;
use super::trial::{Figure, Trial, WINDOW, micros, topic_of};
use super::wire::{Subscription, Template, VARIABLE};

/// So many different tags of those in `range`, in order.
fn draw(random: &mut Rng, range: &Range<u64>, count: usize) -> Vec<u64> {
    let mut tags = BTreeSet::new();
    while tags.len() < count {
        tags.insert(random.u64(range.clone()));
    }
    tags.into_iter().collect()
}

const CONNECTIONS: usize = 100;
const TAGS_PER_MESSAGE: usize = 4;
const MESSAGES: usize = 4096;

fn names(tags: &[u64]) -> Vec<String> {
    tags.iter().map(|tag| format!("t{tag:05}")).collect()
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

/// The tags from `start` on of which pairs are made so that, however many subscriptions there are, one
/// message in twenty finds a subscriber.
fn tags_for(subscriptions: usize, start: u64) -> Range<u64> {
    start..start + (250 * subscriptions as u64).isqrt()
}

/// Adds connections that have so many subscriptions to pairs of `tags` together; answers messages
/// with more of these tags.
fn add_crowd(
    trial: &Trial<'_>,
    load: &mut Load,
    random: &mut Rng,
    (subscriptions, connections): (usize, usize),
    tags: &Range<u64>,
) -> Result<Vec<Message>> {
    let mut listeners = Listeners::new();
    for _ in 0..connections {
        let stream = load.add_stream();
        let mut sets = Vec::new();
        while sets.len() < subscriptions / connections {
            let pair = draw(random, tags, 2);
            let tags = names(&pair);
            if listeners.entry(pair).or_default().insert(stream) {
                sets.push(Subscription { tags, open: false });
            }
        }
        load.add_subscriber(&sets, stream)?;
    }
    let wire = trial.contender.wire(trial.scenario.transport);
    let message = if wire.has_tag_sets() {
        said_once
    } else {
        said_for_each_pair
    };
    let messages = 0..MESSAGES;
    Ok(messages
        .map(|_| message(trial, &draw(random, tags, TAGS_PER_MESSAGE), &listeners))
        .collect())
}

/// Publishes per second through so many two-tag subscriptions, few of which match.
pub(super) fn matching(
    trial: &Trial<'_>,
    server: &Server,
    subscriptions: usize,
) -> Result<Vec<Figure>> {
    let mut load = trial.load(server, WINDOW)?;
    let stream = load.add_stream();
    let mut resident = [0; 2];
    // As many connections that do nothing tell what connections alone take, when some are there.
    for now in &mut resident {
        for number in 0..CONNECTIONS {
            let to = topic_of(&format!("idle{number}"), false);
            load.add_subscriber(&[to], stream)?;
        }
        *now = server.resident()?;
    }
    let [first, before] = resident;
    let connections = before.saturating_sub(first);
    let tags = tags_for(subscriptions, 0);
    let size = (subscriptions, CONNECTIONS);
    let messages = add_crowd(trial, &mut load, &mut Rng::with_seed(1), size, &tags)?;
    let subscribed = server.resident()?.saturating_sub(before + connections);

    load.add_publisher(&[], messages)?;
    // The pongs come after everything that was published: so all of it has been accepted.
    let cost = trial.cost(server, &mut load, Load::prove_the_end)?;
    Ok(vec![
        (
            "thousand publishes/s",
            1000.0 * cost.messages / micros(cost.wall),
        ),
        ("CPU µs per publish", micros(cost.server) / cost.messages),
        (
            "bytes per subscription",
            subscribed as f64 / subscriptions as f64,
        ),
    ])
}

/// Eight publishers, each with its own tags and its own part of 100,000 subscriptions, since readers
/// of several publishers could not know in which order messages must come.
pub(super) fn many_publishers(trial: &Trial<'_>, server: &Server) -> Result<Load> {
    let mut load = trial.load(server, WINDOW)?;
    let mut random = Rng::with_seed(1);
    let mut tags = 0..0;
    for _ in 0..8 {
        let size = (12_500, 10);
        tags = tags_for(size.0, tags.end);
        let messages = add_crowd(trial, &mut load, &mut random, size, &tags)?;
        load.add_publisher(&[], messages)?;
    }
    Ok(load)
}

/// The tags of a message that has enough pairs for a thousand subscriptions.
const MANY_TAGS: u64 = 46;

/// Messages that match so many subscriptions, each of another connection and to another pair of tags.
pub(super) fn sets(trial: &Trial<'_>, server: &Server, matches: usize) -> Result<Vec<Figure>> {
    let mut load = trial.load(server, WINDOW)?;
    let chosen: Vec<_> = (0..MANY_TAGS).collect();
    let stream = load.add_stream();
    for pair in pairs(&chosen).take(matches) {
        let (tags, open) = (names(&pair), false);
        load.add_subscriber(&[Subscription { tags, open }], stream)?;
    }
    let mut tags = names(&chosen);
    // Otherwise one look would do for many messages.
    tags.push(format!("v{VARIABLE}"));
    let message = trial.message(&tags, &topic_of("", false), stream);
    load.add_publisher(
        &tags,
        vec![Message {
            sets: 1024,
            ..message
        }],
    )?;
    let cost = trial.cost(server, &mut load, Load::drain)?;
    load.prove_the_end()?;
    let each = micros(cost.server) / cost.messages;
    Ok(vec![("CPU µs per publish", each), cost.per_delivery()])
}
