//! The index beside a list of sets that is searched from end to end.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, vec};

use super::sets::Pair;
use super::*;

mod churn;
mod pairs;
mod walks;

impl Index {
    /// Checks everything that must hold between any two calls.
    pub(crate) fn assert_consistent(&self) {
        let mut uses = vec![0; self.tags.bound()];
        let numbers = self.sets.numbers();
        for &number in &numbers {
            let mut tags: Vec<_> = self.sets.tags(number).collect();
            tags.sort_unstable();
            assert!(!tags.is_empty(), "a set has a tag");
            assert!(tags.is_sorted_by(|a, b| a < b), "{tags:?}");
            tags.iter().for_each(|tag| uses[tag.0 as usize] += 1);
            if let [tag] = tags[..] {
                assert_eq!(self.tags.alone(tag), Some(number));
            }
            let found = self.find_set(&tags);
            assert_eq!(found, Some(number), "identical sets are stored once");
            for (at, &client) in self.sets.clients(number).iter().enumerate() {
                let held = &self.held[client as usize];
                let entry = held
                    .sets
                    .find(hash_number(number), |&(set, _)| set == number);
                assert_eq!(entry, Some(&(number, at as u32)));
            }
        }
        self.tags.assert_consistent(&uses);
        assert_eq!(self.by_tags.len(), numbers.len());
        self.sets.assert_consistent();
        self.pairs.assert_consistent(&self.sets, &self.tags);

        let mut subscriptions = 0;
        for (client, held) in self.held.iter().enumerate() {
            subscriptions += held.sets.len();
            let names = held.sets.iter().flat_map(|&(set, _)| self.sets.tags(set));
            let lengths: Vec<_> = names.map(|tag| self.tags.name(tag).len()).collect();
            let totals = (lengths.len(), lengths.iter().sum());
            assert_eq!((held.tags, held.name_bytes), totals);
            for &(set, at) in &held.sets {
                let holders = self.sets.clients(set);
                assert_eq!(holders.get(at as usize), Some(&(client as ClientId)));
            }
        }
        assert_eq!(subscriptions, self.subscriptions);
        let subscribers = self
            .held
            .iter()
            .filter(|held| !held.sets.is_empty())
            .count();
        assert_eq!(subscribers, self.subscribers);
    }

    /// The sets that a client holds, as their tags.
    fn sets_of(&self, client: ClientId) -> BTreeSet<BTreeSet<String>> {
        let tags = |set| self.tags_if_held(client, set).expect("it is held");
        let tags = self.held(client).map(tags);
        tags.map(|tags| tags.map(String::from).collect()).collect()
    }

    fn assert_empty(&self) {
        self.assert_consistent();
        assert_eq!((self.subscriptions(), self.subscribers()), (0, 0));
        assert!(self.sets.numbers().is_empty(), "no set is left");
        assert_eq!(
            self.tag_names(0..self.tag_bound()).count(),
            0,
            "no tag is left"
        );
        assert!(
            self.held.iter().all(|held| held.sets.capacity() == 0),
            "no table is left"
        );
        assert_eq!(self.bytes(), 0);
    }
}

/// The same, as plainly as can be: each client's sets.
#[derive(Default)]
struct Plain {
    held: BTreeMap<ClientId, BTreeSet<BTreeSet<String>>>,
}

impl Plain {
    fn matches(&self, tags: &[String], except: Option<ClientId>) -> Vec<ClientId> {
        let carried: BTreeSet<_> = tags.iter().cloned().collect();
        let matched =
            |sets: &BTreeSet<BTreeSet<String>>| sets.iter().any(|set| set.is_subset(&carried));
        self.held
            .iter()
            .filter(|&(&client, sets)| Some(client) != except && matched(sets))
            .map(|(&client, _)| client)
            .collect()
    }
}

/// A small generator of random numbers, the same everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ mixed >> 31) % bound as u64) as usize
    }

    /// Tags of which some are far more common than others, duplicates included.
    fn tags(&mut self, all: usize, most: usize) -> Vec<String> {
        let count = 1 + self.below(most);
        (0..count)
            .map(|_| {
                let bound = 1 + self.below(all);
                format!("t{}", self.below(bound))
            })
            .collect()
    }
}

fn set_of(tags: &[String]) -> BTreeSet<String> {
    tags.iter().cloned().collect()
}

fn names(set: &BTreeSet<String>) -> Vec<&str> {
    set.iter().map(String::as_str).collect()
}

fn found(
    index: &Index,
    tags: &[String],
    except: Option<ClientId>,
    scratch: &mut MatchScratch,
) -> Vec<ClientId> {
    index.matches(tags.iter().map(|tag| tag.as_bytes()), except, scratch);
    let mut targets = scratch.targets.clone();
    targets.sort_unstable();
    targets
}

/// How many sets stand under a pair of tags.
fn standing(index: &Index, pair: [&str; 2]) -> usize {
    let [one, other] = pair.map(|name| index.tags.find(name.as_bytes()));
    let pair = one.zip(other).map(|(one, other)| Pair::new(one, other));
    pair.map_or(0, |pair| {
        index.pairs.standing(pair, &index.sets, &index.tags)
    })
}

/// Makes `count` tags common, as far as `client` goes on holding what it is given here.
fn make_common(index: &mut Index, client: ClientId, count: usize, uses: usize) -> Vec<String> {
    let common: Vec<_> = (0..count)
        .map(|number| format!("common{number} of {client}"))
        .collect();
    for filler in 0..uses {
        let name = format!("filler{filler} of {client}");
        let mut crowd: Vec<_> = common.iter().map(String::as_str).collect();
        crowd.push(&name);
        index.subscribe(client, &crowd);
    }
    common
}

#[test]
fn subscribing_again_changes_nothing() {
    let mut index = Index::new(1);
    for _ in 0..3 {
        index.subscribe(4, &["a", "b"]);
        index.assert_consistent();
    }
    assert_eq!(
        (
            index.holding(4).subscriptions,
            index.subscriptions(),
            index.subscribers()
        ),
        (1, 1, 1)
    );
    assert!(index.unsubscribe(4, &["a", "b"]));
    index.assert_empty();
}

#[test]
fn the_order_of_names_makes_no_difference() {
    let mut index = Index::new(1);
    index.subscribe(0, &["b", "a", "c", "d"]);
    index.subscribe(1, &["d", "c", "b", "a"]);
    assert_eq!(index.sets.numbers().len(), 1);
    assert!(index.unsubscribe(0, &["a", "b", "c", "d"]));
    assert!(index.unsubscribe(1, &["c", "a", "d", "b"]));
    index.assert_empty();
}

#[test]
fn unknown_clients_and_sets_are_nothing_special() {
    let mut index = Index::new(1);
    assert!(!index.unsubscribe(9, &["a"]));
    assert!(index.remove_some(9, 1));
    assert_eq!(index.held(9).count(), 0);
    index.subscribe(0, &["a"]);
    assert!(!index.unsubscribe(9, &["a"]));
    assert!(!index.unsubscribe(0, &["b"]));
    assert!(!index.holds(9, &["a"]));
    let mut scratch = MatchScratch::default();
    let tags = [String::from("a"), String::from("a"), String::from("zz")];
    assert_eq!(found(&index, &tags, Some(u32::MAX >> 1), &mut scratch), [0]);
    assert_eq!(found(&index, &tags, Some(0), &mut scratch), [0; 0]);
    assert_eq!(found(&index, &[], None, &mut scratch), [0; 0]);
}

#[test]
fn the_publisher_is_left_out_of_every_kind_of_answer() {
    let mut scratch = MatchScratch::default();
    let tags: Vec<String> = ["a", "b", "c", "d", "e"].map(String::from).into();
    // One client; one set of several; several sets; a set of many tags.
    let kinds: [&[&[&str]]; 4] = [
        &[&["a"]],
        &[&["a", "b"]],
        &[&["a"], &["b"], &["a", "b"]],
        &[&["a", "b", "c", "d"]],
    ];
    for kind in kinds {
        for clients in 1..5 {
            let mut index = Index::new(1);
            for client in 0..clients {
                kind.iter().for_each(|set| index.subscribe(client, set));
            }
            for except in 0..clients + 1 {
                let expected: Vec<_> = (0..clients).filter(|&client| client != except).collect();
                assert_eq!(found(&index, &tags, Some(except), &mut scratch), expected);
            }
        }
    }
}

#[test]
fn a_long_set_whose_pair_fits_still_needs_all_its_tags() {
    let mut index = Index::new(1);
    let names: Vec<_> = (0..6).map(|number| format!("{number}")).collect();
    // The later a tag, the more common it is, so the pair is of the first two.
    for from in 0..6 {
        let set: Vec<_> = names[from..].iter().map(String::as_str).collect();
        index.subscribe(from as ClientId, &set);
    }
    index.assert_consistent();
    let mut scratch = MatchScratch::default();
    for left_out in 0..6 {
        let mut tags = names.clone();
        tags.remove(left_out);
        let expected: Vec<_> = (left_out as ClientId + 1..6).collect();
        assert_eq!(found(&index, &tags, None, &mut scratch), expected);
    }
}

#[test]
fn numbers_of_tags_and_sets_are_used_again() {
    let mut index = Index::new(1);
    for round in 0..50 {
        for number in 0..40 {
            let names = [format!("r{round}"), format!("n{number}-{round}")];
            index.subscribe(number % 7, &[&names[0], &names[1]]);
        }
        assert!(index.tags.bound() <= 41, "tags are numbered from below");
        assert!(index.sets.bound() <= 40, "sets are numbered from below");
        index.assert_consistent();
        (0..7).for_each(|client| while !index.remove_some(client, 3) {});
        index.assert_empty();
    }
}

#[test]
fn removing_all_of_a_big_subscriber_takes_linear_time() {
    let mut index = Index::new(1);
    for number in 0..20_000 {
        index.subscribe(3, &[&format!("{number}")]);
    }
    let mut calls = 0;
    while !index.remove_some(3, 64) {
        calls += 1;
    }
    assert_eq!(calls, 20_000 / 64);
    index.assert_empty();
}
