//! Owns the tags of a scenario's connections, and thus which messages each receives; knows no sockets.

use std::collections::HashMap;
use std::sync::Arc;

use super::args::{Scenario, Shape, TagSets};
use super::message::Template;

/// How many tag sets take turns where they vary.
const VARIETY: usize = 256;

/// What one publisher says, over and over.
#[derive(Debug)]
pub(super) struct Publishing {
    pub(super) templates: Vec<Template>,
    /// The subscribers that each template reaches, in the order of the templates; the last stands for all that follow.
    pub(super) reach: Vec<Arc<[usize]>>,
    /// Whether the publisher waits for pongs: when hardly anybody gets what it says.
    pub(super) awaits_pongs: bool,
}

impl Publishing {
    /// All connections that may receive anything.
    pub(super) fn readers(&self) -> Vec<usize> {
        let mut readers: Vec<_> = self
            .reach
            .iter()
            .flat_map(|to| to.iter().copied())
            .collect();
        readers.sort_unstable();
        readers.dedup();
        readers
    }
}

/// The tags of a scenario.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) publishers: Vec<Publishing>,
    /// The tag sets that each subscriber subscribes to.
    pub(super) subscribers: Vec<Vec<Vec<String>>>,
}

impl Plan {
    /// Chooses the tags. `name` keeps one run apart from others on the same server.
    pub(super) fn new(shape: &Shape, name: &str) -> Self {
        if shape.scenario == Scenario::Match {
            return Self::matching(shape, name);
        }
        let topic = |index: usize| match shape.scenario {
            // The two halves run apart, so that all they share is the name.
            Scenario::Pub | Scenario::Sub => name.to_owned(),
            Scenario::Pairs => format!("{name}-{index}"),
            _ => format!("{name}-all"),
        };
        let everybody: Arc<[usize]> = (0..shape.subscribers).collect();
        let publishers = (0..shape.publishers).map(|index| {
            let variety = match shape.tag_sets {
                TagSets::Varying => VARIETY,
                TagSets::Repeating => 1,
            };
            let templates = (0..variety).map(|turn| {
                let others = (1..shape.tags).map(|other| format!("{name}-{turn}.{other}"));
                let tags: Vec<_> = [topic(index)].into_iter().chain(others).collect();
                Template::new(&tags)
            });
            Publishing {
                templates: templates.collect(),
                reach: vec![match shape.scenario {
                    Scenario::Pairs => Arc::from([index]),
                    _ => Arc::clone(&everybody),
                }],
                awaits_pongs: shape.subscribers == 0,
            }
        });
        Self {
            publishers: publishers.collect(),
            subscribers: (0..shape.subscribers)
                .map(|index| vec![vec![topic(index)]])
                .collect(),
        }
    }

    /// Random pairs of tags out of so many that a message with random tags contains about one pair.
    fn matching(shape: &Shape, name: &str) -> Self {
        let vocabulary = (shape.tags as f64 * (shape.subscriptions as f64).sqrt()).ceil() as usize;
        let tag = |number: usize| format!("{name}-{number}");
        // The same choice in each run, so that runs compare.
        let mut dice = Dice(1);
        let mut holders: HashMap<(usize, usize), Vec<usize>> = HashMap::new();
        let mut subscribers = vec![Vec::new(); shape.subscribers];
        for subscription in 0..shape.subscriptions {
            let pair = dice.choose(2, vocabulary);
            let subscriber = subscription % shape.subscribers;
            subscribers[subscriber].push(pair.iter().map(|&number| tag(number)).collect());
            holders
                .entry((pair[0], pair[1]))
                .or_default()
                .push(subscriber);
        }
        let variety = match shape.tag_sets {
            TagSets::Varying => VARIETY,
            TagSets::Repeating => 1,
        };
        let mut choose = || loop {
            let numbers = dice.choose(shape.tags, vocabulary);
            let mut to: Vec<_> = pairs(&numbers)
                .filter_map(|pair| holders.get(&pair))
                .flatten()
                .copied()
                .collect();
            to.sort_unstable();
            to.dedup();
            // A set that never changes is to match: one without a match would leave nothing to measure. About every
            // other has one.
            if variety > 1 || !to.is_empty() {
                break (numbers, to);
            }
        };
        let publishers = (0..shape.publishers).map(|_| {
            let (templates, reach) = (0..variety)
                .map(|_| {
                    let (numbers, to) = choose();
                    let tags: Vec<_> = numbers.iter().map(|&number| tag(number)).collect();
                    (Template::new(&tags), to.into())
                })
                .unzip();
            Publishing {
                templates,
                reach,
                awaits_pongs: true,
            }
        });
        let publishers = publishers.collect();
        Self {
            publishers,
            subscribers,
        }
    }
}

/// All pairs of some ascending numbers.
fn pairs(numbers: &[usize]) -> impl Iterator<Item = (usize, usize)> {
    let from = move |at: usize| {
        let others = numbers[at + 1..].iter();
        others.map(move |&other| (numbers[at], other))
    };
    (0..numbers.len()).flat_map(from)
}

/// A generator of numbers that look random.
struct Dice(u64);

impl Dice {
    /// Marsaglia's xorshift: enough to spread tags.
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % sides
    }

    /// Different numbers, ascending.
    fn choose(&mut self, count: usize, below: usize) -> Vec<usize> {
        let mut chosen = Vec::with_capacity(count);
        while chosen.len() < count.min(below) {
            let number = self.roll(below);
            if let Err(place) = chosen.binary_search(&number) {
                chosen.insert(place, number);
            }
        }
        chosen
    }
}

/// A name that keeps this run apart from others on the same server.
pub(super) fn fresh_name() -> String {
    format!("bench-{:08x}", random())
}

pub(super) fn random() -> u32 {
    // Without randomness all that is lost is that runs get into each other's way.
    getrandom::u32().unwrap_or_else(|_| std::process::id())
}

#[cfg(test)]
mod tests {
    use super::super::message::{Kind, Mark};
    use super::*;

    fn shape(scenario: Scenario, tags: usize, subscriptions: usize) -> Shape {
        Shape {
            scenario,
            publishers: 2,
            subscribers: 3,
            tags,
            tag_sets: TagSets::Varying,
            subscriptions,
        }
    }

    #[test]
    fn who_is_said_to_be_reached_is_whoever_holds_a_subset() {
        let plan = Plan::new(&shape(Scenario::Match, 6, 500), "x");
        let held: usize = plan.subscribers.iter().map(Vec::len).sum();
        assert_eq!(held, 500);
        let mut reached = 0;
        for publisher in &plan.publishers {
            for (template, reach) in publisher.templates.iter().zip(&publisher.reach) {
                let mut line = Vec::new();
                let mark = Mark {
                    kind: Kind::Counted,
                    publisher: 0,
                    number: 0,
                };
                template.write(mark, 16, &mut line);
                let message: serde_json::Value = serde_json::from_slice(&line).expect("JSON");
                let tags = message["tags"].as_array().expect("tags");
                let holds = |sets: &&Vec<Vec<String>>| {
                    let has = |tag: &String| tags.iter().any(|other| other == tag);
                    sets.iter().any(|set| set.iter().all(has))
                };
                let expected = (0..3).filter(|&it| holds(&&plan.subscribers[it]));
                assert!(expected.eq(reach.iter().copied()));
                reached += reach.len();
            }
        }
        assert!(reached > 0, "nothing matches");
    }

    #[test]
    fn what_is_said_over_and_over_matches() {
        for (tags, subscriptions) in [(2, 3), (2, 500), (8, 10_000), (64, 3)] {
            let plan = Plan::new(
                &Shape {
                    tag_sets: TagSets::Repeating,
                    ..shape(Scenario::Match, tags, subscriptions)
                },
                "x",
            );
            for publisher in &plan.publishers {
                assert_eq!(publisher.templates.len(), 1);
                assert!(!publisher.readers().is_empty(), "{tags} {subscriptions}");
            }
        }
    }

    #[test]
    fn pairs_are_one_to_one_and_fans_are_not() {
        let pairs = Plan::new(&shape(Scenario::Pairs, 2, 0), "x");
        assert_eq!(pairs.publishers[1].readers(), [1]);
        assert_eq!(pairs.subscribers[1], [["x-1"]]);
        let fan = Plan::new(&shape(Scenario::FanOut, 2, 0), "x");
        assert_eq!(fan.publishers[1].readers(), [0, 1, 2]);
        assert_eq!(fan.publishers[1].templates.len(), VARIETY);
    }
}
