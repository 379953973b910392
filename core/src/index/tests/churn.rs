//! Random subscribing, unsubscribing and matching beside a list of sets that is searched from end to end.

use super::*;

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
