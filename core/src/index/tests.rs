//! The index beside a list of sets that is searched from end to end.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, vec};

use super::sets::Pair;
use super::*;

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

/// What a host knows that is told of tags by number.
#[derive(Default)]
struct Known {
    by_name: BTreeMap<String, u32>,
    by_number: BTreeMap<u32, String>,
}

impl Known {
    fn update(&mut self, index: &mut Index) {
        while let Some((number, name)) = index.take_changed_tag() {
            if let Some(old) = self.by_number.remove(&number) {
                self.by_name.remove(&old);
            }
            if let Some(name) = name {
                self.by_number.insert(number, name.into());
                self.by_name.insert(name.into(), number);
            }
        }
    }

    /// Matches by numbers: the sets must be those that a search finds, and their clients those that `matches` finds.
    fn assert_matches(
        &self,
        index: &Index,
        tags: &[String],
        except: Option<ClientId>,
        scratch: &mut MatchScratch,
    ) {
        let targets = found(index, tags, except, scratch);
        let numbers: Vec<_> = tags
            .iter()
            .filter_map(|tag| self.by_name.get(tag).copied())
            .collect();
        index.match_sets(&numbers, scratch);
        let mut sets: Vec<_> = scratch.sets().collect();
        sets.sort_unstable();
        let carried = set_of(tags);
        let mut searched = index.sets.numbers();
        searched.retain(|&number| {
            let mut tags = index.sets.tags(number);
            tags.all(|tag| carried.contains(index.tags.name(tag)))
        });
        assert_eq!(sets, searched);
        index.expand(except, scratch);
        scratch.targets.sort_unstable();
        assert_eq!(scratch.targets, targets);
    }
}

struct Churn {
    tags: usize,
    most: usize,
    clients: usize,
    steps: usize,
    /// How often of a hundred steps something is added rather than removed.
    adding: usize,
}

/// Returns how many sets had the same pair at most, as far as that was looked at.
fn churn(seed: u64, churn: &Churn) -> usize {
    let mut dice = Dice(seed);
    let is_numbered = seed % 2 == 1;
    let mut index = match is_numbered {
        true => Index::numbered(seed),
        false => Index::new(seed),
    };
    let mut known = Known::default();
    let mut plain = Plain::default();
    let mut scratch = MatchScratch::default();
    let mut longest = 0;
    for step in 0..churn.steps {
        let client = dice.below(churn.clients) as ClientId;
        let held = plain.held.entry(client).or_default();
        if dice.below(100) < churn.adding {
            let set = set_of(&dice.tags(churn.tags, churn.most));
            index.subscribe(client, &names(&set));
            held.insert(set);
        } else {
            match dice.below(20) {
                0 => {
                    let most = dice.below(10);
                    let before = index.holding(client).subscriptions;
                    let is_empty = index.remove_some(client, most);
                    assert_eq!(
                        index.holding(client).subscriptions,
                        before.saturating_sub(most)
                    );
                    assert_eq!(is_empty, before <= most);
                    *held = index.sets_of(client);
                    assert_eq!(held.len(), index.holding(client).subscriptions);
                }
                1..=5 => {
                    let set = set_of(&dice.tags(churn.tags, churn.most));
                    assert_eq!(index.unsubscribe(client, &names(&set)), held.remove(&set));
                }
                _ => {
                    let at = dice.below(held.len().max(1));
                    if let Some(set) = held.iter().nth(at).cloned() {
                        assert!(index.unsubscribe(client, &names(&set)));
                        assert!(!index.unsubscribe(client, &names(&set)));
                        held.remove(&set);
                    }
                }
            }
        }
        let held = plain.held.entry(client).or_default();
        assert_eq!(index.holding(client).subscriptions, held.len());
        let set = set_of(&dice.tags(churn.tags, churn.most));
        assert_eq!(index.holds(client, &names(&set)), held.contains(&set));
        if let Some(number) = index.number(client, &names(&set)) {
            let tags = index.sets.tags(number);
            let stored: BTreeSet<_> = tags.map(|tag| index.tags.name(tag)).collect();
            assert!(stored.into_iter().eq(&set));
        }
        if step % 3 == 0 {
            let tags = dice.tags(churn.tags, 2 * churn.most);
            let except = [None, Some(client), Some(churn.clients as ClientId + 70)][dice.below(3)];
            let expected = plain.matches(&tags, except);
            assert_eq!(
                found(&index, &tags, except, &mut scratch),
                expected,
                "{tags:?}"
            );
            known.update(&mut index);
            if is_numbered {
                known.assert_matches(&index, &tags, except, &mut scratch);
            }
        }
        if step % 64 == 0 {
            index.assert_consistent();
            longest = longest.max(index.pairs.longest());
        }
    }
    index.assert_consistent();
    let mut tags: Vec<_> = index.tag_names(0..index.tag_bound()).collect();
    tags.sort_unstable();
    let expected: BTreeSet<_> = plain
        .held
        .values()
        .flatten()
        .flatten()
        .map(String::as_str)
        .collect();
    assert!(
        tags.iter().copied().eq(expected),
        "the distinct tags of all sets"
    );
    for (&client, sets) in &plain.held {
        assert_eq!(index.sets_of(client), *sets);
        while !index.remove_some(client, 7) {}
    }
    index.assert_empty();
    known.update(&mut index);
    assert!(known.by_name.is_empty() && known.by_number.is_empty());
    assert!(
        scratch
            .tag_bits
            .iter()
            .chain(&scratch.client_bits)
            .all(|&bits| bits == 0)
    );
    longest
}

#[test]
fn few_tags_and_many_shared_sets_match_as_a_search_does() {
    for seed in 0..6 {
        churn(
            seed,
            &Churn {
                tags: 6,
                most: 6,
                clients: 30,
                steps: 1_500,
                adding: 60,
            },
        );
    }
}

#[test]
fn many_tags_and_few_shared_sets_match_as_a_search_does() {
    for seed in 0..3 {
        churn(
            seed,
            &Churn {
                tags: 400,
                most: 6,
                clients: 90,
                steps: 1_500,
                adding: 70,
            },
        );
    }
}

#[test]
fn short_sets_alone_match_as_a_search_does() {
    for seed in 0..4 {
        churn(
            seed,
            &Churn {
                tags: 12,
                most: 3,
                clients: 5,
                steps: 1_500,
                adding: 50,
            },
        );
    }
}

#[test]
fn messages_of_more_pairs_than_there_are_sets_match_as_a_search_does() {
    for seed in 0..4 {
        churn(
            seed,
            &Churn {
                tags: 90,
                most: 40,
                clients: 5,
                steps: 800,
                adding: 52,
            },
        );
    }
}

#[test]
fn many_sets_with_the_same_pair_match_as_a_search_does() {
    for seed in 0..4 {
        let longest = churn(
            seed,
            &Churn {
                tags: 12,
                most: 6,
                clients: 200,
                steps: 4_000,
                adding: 85,
            },
        );
        assert!(longest > 12, "{longest} sets with the same pair");
    }
}

/// Sets that have two rare tags in common, and a few of many common ones besides.
fn alike(count: usize) -> Vec<Vec<String>> {
    let common: Vec<_> = (0..16).map(|number| format!("x{number}")).collect();
    let set = |number: usize| {
        let chosen = (0..16).filter(|bit| number >> bit & 1 == 1);
        let chosen = chosen.map(|bit| common[bit].clone());
        ["first", "second"]
            .map(String::from)
            .into_iter()
            .chain(chosen)
            .collect()
    };
    (1..=count).map(set).collect()
}

/// How many sets stand under a pair of tags.
fn standing(index: &Index, pair: [&str; 2]) -> usize {
    let [one, other] = pair.map(|name| index.tags.find(name.as_bytes()));
    let pair = one.zip(other).map(|(one, other)| Pair::new(one, other));
    pair.map_or(0, |pair| {
        index.pairs.standing(pair, &index.sets, &index.tags)
    })
}

#[test]
fn sets_with_two_rare_tags_in_common_are_found_and_removed() {
    let mut index = Index::new(1);
    let fillers: Vec<Vec<String>> = alike(20_000)
        .into_iter()
        .map(|mut set| set.split_off(2))
        .collect();
    let names = |set: &'_ [String]| -> Vec<String> { set.to_vec() };
    let subscribe = |index: &mut Index, client, set: &[String]| {
        let set = names(set);
        index.subscribe(client, &set.iter().map(String::as_str).collect::<Vec<_>>());
    };
    fillers.iter().for_each(|set| subscribe(&mut index, 0, set));
    let sets = alike(3_000);
    sets.iter().for_each(|set| subscribe(&mut index, 1, set));
    index.assert_consistent();
    assert_eq!(standing(&index, ["first", "second"]), 3_000);

    let mut scratch = MatchScratch::default();
    let message = |set: &[String]| names(set);
    assert_eq!(
        found(&index, &message(&sets[6]), Some(0), &mut scratch),
        [1]
    );
    let lacking: Vec<_> = sets[6].iter().skip(1).cloned().collect();
    assert_eq!(found(&index, &lacking, Some(0), &mut scratch), [0; 0]);
    for set in sets.iter().step_by(2) {
        let set: Vec<_> = set.iter().map(String::as_str).collect();
        assert!(index.unsubscribe(1, &set));
    }
    index.assert_consistent();
    for client in 0..2 {
        while !index.remove_some(client, 64) {}
    }
    index.assert_empty();
}

#[test]
fn an_index_that_is_nearly_empty_all_the_time_stays_consistent() {
    for seed in 0..4 {
        churn(
            seed,
            &Churn {
                tags: 5,
                most: 5,
                clients: 3,
                steps: 1_500,
                adding: 25,
            },
        );
    }
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
fn sets_of_a_crowded_pair_move_to_tags_that_have_become_rarer() {
    let mut index = Index::new(1);
    let fading = make_common(&mut index, 1, 100, 4_500);
    let lasting = make_common(&mut index, 2, 100, 4_500);
    let add = |index: &mut Index, client, tags: &[String], count: usize| {
        let pairs = (0..tags.len()).flat_map(|a| (0..a).map(move |b| (a, b)));
        for (a, b) in pairs.take(count) {
            index.subscribe(client, &["hot", "spot", &tags[a], &tags[b]]);
        }
    };
    let crowd = |index: &Index| standing(index, ["hot", "spot"]);
    add(&mut index, 0, &fading, 2_000);
    // Some of them have two clients, so that both kinds of answers move.
    add(&mut index, 3, &fading, 500);
    assert_eq!(crowd(&index), 2_000, "all of them chose the rarest pair");
    // Now the other tags of these sets are rarer, but nothing has made the index look again.
    while !index.remove_some(1, 1_000) {}
    assert_eq!(crowd(&index), 2_000);
    index.assert_consistent();
    // A few are looked at for each one that is added.
    add(&mut index, 0, &lasting, 100);
    let left = crowd(&index);
    assert!((1_000..2_000).contains(&left), "{left} are still there");
    add(&mut index, 0, &lasting, 600);
    assert_eq!(crowd(&index), 1_023, "that is not many");
    index.assert_consistent();

    let mut scratch = MatchScratch::default();
    let tags = |names: [&str; 4]| names.map(String::from);
    let both = tags(["hot", "spot", &fading[0], &fading[1]]);
    assert_eq!(found(&index, &both, None, &mut scratch), [0, 3]);
    let one = tags(["hot", "spot", &fading[60], &fading[7]]);
    assert_eq!(found(&index, &one, None, &mut scratch), [0]);
    let none = tags(["hot", "spot", &fading[60], &lasting[7]]);
    assert_eq!(found(&index, &none, None, &mut scratch), [0; 0]);
    (0..4).for_each(|client| while !index.remove_some(client, 1_000) {});
    index.assert_empty();
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

#[test]
fn the_sieve_is_seldom_built_anew_where_most_sets_have_gone() {
    let mut index = Index::new(1);
    let subscribe = |index: &mut Index, client, number: usize| {
        index.subscribe(client, &[&format!("a{number}"), &format!("b{number}")]);
    };
    (0..20_000).for_each(|number| subscribe(&mut index, 0, number));
    subscribe(&mut index, 1, 20_000);
    while !index.remove_some(0, 1_000) {}
    let (mut built, mut sifted) = (0, index.pairs.sifted());
    for number in 0..100_000 {
        subscribe(&mut index, 0, number);
        index.remove_some(0, 1);
        built += usize::from(index.pairs.sifted() < sifted);
        sifted = index.pairs.sifted();
    }
    // Each time 20,000 numbers are walked.
    assert!((1..100).contains(&built), "{built} times");
    index.assert_consistent();
}

/// A set goes whose pair another one, with a number that the building of the sieve has passed, came to share.
#[test]
fn a_sieve_that_is_being_built_keeps_pairs_that_change_hands() {
    let mut index = Index::new(1);
    let name = |number: usize| format!("t{number}");
    let mut next = 0;
    // Far more sets than are looked at at once, with three tags each.
    while next < 4000 {
        let number = next;
        index.subscribe(
            0,
            &[
                &name(3 * number),
                &name(3 * number + 1),
                &name(3 * number + 2),
            ],
        );
        next += 1;
    }
    let mut dice = Dice(1);
    for round in 0..6000 {
        // A free low number for the set that takes over.
        let low = dice.below(200);
        let low = [name(3 * low), name(3 * low + 1), name(3 * low + 2)];
        let low: Vec<_> = low.iter().map(String::as_str).collect();
        let had_low = index.unsubscribe(0, &low);
        let high = 3000 + dice.below(1000);
        let high = [name(3 * high), name(3 * high + 1), name(3 * high + 2)];
        let high: Vec<_> = high.iter().map(String::as_str).collect();
        if index.holds(0, &high) {
            let pair = index.sets.pair(index.number(0, &high).expect("it is held"));
            let tags: Vec<_> = pair
                .tags()
                .map(|tag| String::from(index.tags.name(tag)))
                .collect();
            let tags: Vec<_> = tags.iter().map(String::as_str).collect();
            index.subscribe(1, &tags);
            index.unsubscribe(0, &high);
            let mut scratch = MatchScratch::default();
            index.matches(tags.iter().map(|tag| tag.as_bytes()), None, &mut scratch);
            assert_eq!(scratch.targets, [1], "{tags:?}");
        }
        if had_low {
            index.subscribe(0, &low);
        }
        // New pairs, so that the sieve is built over and over.
        index.subscribe(2, &[&format!("new{round}"), "x"]);
        if round % 500 == 0 {
            index.assert_consistent();
        }
    }
    index.assert_consistent();
}
