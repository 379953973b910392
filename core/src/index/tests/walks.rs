//! Matching in parts beside a list of sets that is searched from end to end, while the index changes.

use super::super::pairs::REVIEW_FROM;
use super::*;

type Set = BTreeSet<String>;

/// A message that is matched in parts, and what must come of it.
struct Open {
    /// In an order of their own, as those of a message are.
    tags: Vec<String>,
    except: Option<ClientId>,
    walk: Walk,
    /// What matches and was held from the beginning on.
    lasting: BTreeSet<(ClientId, Set)>,
    served: BTreeSet<ClientId>,
}

impl Open {
    fn new(index: &Index, plain: &Plain, tags: Vec<String>, except: Option<ClientId>) -> Self {
        let carried = set_of(&tags);
        let held = plain
            .held
            .iter()
            .flat_map(|(&client, sets)| sets.iter().map(move |set| (client, set.clone())));
        let matches =
            |(client, set): &(ClientId, Set)| Some(*client) != except && set.is_subset(&carried);
        let mut unique = Vec::new();
        for tag in tags {
            if !unique.contains(&tag) {
                unique.push(tag);
            }
        }
        Self {
            tags: unique,
            except,
            walk: index.begin_walk(except),
            lasting: held.filter(matches).collect(),
            served: BTreeSet::new(),
        }
    }

    /// Carries out one part; returns whether it was the last.
    fn go_on(
        &mut self,
        index: &mut Index,
        plain: &Plain,
        most: usize,
        scratch: &mut MatchScratch,
    ) -> bool {
        index.set_most(most);
        let names = self.tags.iter().map(|tag| tag.as_bytes());
        let is_last = index.walk_some(names, &mut self.walk, scratch);
        let matching = plain.matches(&self.tags, self.except);
        for &client in &scratch.targets {
            assert!(matching.contains(&client), "{client} does not match now");
            assert!(self.served.insert(client), "{client} is found twice");
        }
        if is_last {
            for (client, set) in &self.lasting {
                assert!(self.served.contains(client), "{client} with {set:?}");
            }
        }
        is_last
    }
}

fn walk_and_churn(seed: u64, tags: usize, most_tags: usize, clients: usize) {
    let mut dice = Dice(seed);
    let mut index = Index::new(seed);
    let mut plain = Plain::default();
    let mut scratch = MatchScratch::default();
    let mut open: Vec<Open> = Vec::new();
    let (mut walks, mut parts) = (0, 0);
    for step in 0..3_000 {
        let client = dice.below(clients) as ClientId;
        let held = plain.held.entry(client).or_default();
        match dice.below(12) {
            // More comes than goes, and at other times the other way round.
            0..5 if step % 1_000 < 600 || dice.below(3) == 0 => {
                let set = set_of(&dice.tags(tags, most_tags));
                index.subscribe(client, &names(&set));
                held.insert(set);
            }
            0..5 => {
                let at = dice.below(held.len().max(1));
                if let Some(set) = held.iter().nth(at).cloned() {
                    assert!(index.unsubscribe(client, &names(&set)));
                    held.remove(&set);
                    let gone = (client, set);
                    open.iter_mut().for_each(|open| {
                        open.lasting.remove(&gone);
                    });
                }
            }
            5 if dice.below(20) == 0 => {
                while !index.remove_some(client, 7) {}
                held.clear();
                for open in &mut open {
                    open.lasting.retain(|(other, _)| *other != client);
                }
            }
            6 if open.len() < 3 => {
                let except = [None, Some(client)][dice.below(2)];
                let message = dice.tags(tags, 4 * most_tags);
                open.push(Open::new(&index, &plain, message, except));
                walks += 1;
            }
            _ if !open.is_empty() => {
                let at = dice.below(open.len());
                let most = [1, 1, 5, 40, 1_000][dice.below(5)];
                parts += 1;
                if open[at].go_on(&mut index, &plain, most, &mut scratch) {
                    open.swap_remove(at);
                }
            }
            _ => {}
        }
        assert_eq!(index.is_walked(), !open.is_empty());
        if step % 64 == 0 {
            index.assert_consistent();
        }
    }
    assert!(parts > 3 * walks, "{parts} parts of {walks} walks");
    index.assert_consistent();
}

#[test]
fn who_stays_is_found_once_however_the_index_changes_between_parts() {
    for seed in 0..6 {
        // Few pairs with long lists; many pairs; sets with many clients; more pairs on a message than there are sets.
        walk_and_churn(seed, 6, 6, 40);
        walk_and_churn(seed, 30, 4, 40);
        walk_and_churn(seed, 5, 2, 100);
        walk_and_churn(seed, 200, 6, 3);
    }
}

#[test]
fn no_set_moves_past_a_walk() {
    let mut index = Index::new(1);
    let fading = make_common(&mut index, 1, 100, 4_500);
    let lasting = make_common(&mut index, 2, 100, 4_500);
    let pairs = || (0..100).flat_map(|a| (0..a).map(move |b| (a, b)));
    for (client, (a, b)) in (10..2_010).zip(pairs()) {
        index.subscribe(client, &["hot", "spot", &fading[a], &fading[b]]);
    }
    while !index.remove_some(1, 1_000) {}
    let mut lasting = pairs().map(|(a, b)| ["hot", "spot", &lasting[a], &lasting[b]]);
    let mut add = |index: &mut Index| {
        for set in lasting.by_ref().take(100) {
            index.subscribe(0, &set);
        }
    };
    // The pairs to which they would move come before the one under which they stand.
    let tags = fading.iter().map(String::as_str).chain(["hot", "spot"]);
    let tags: Vec<_> = tags.collect();
    index.set_most(20_000);
    let mut walk = index.begin_walk(None);
    let mut scratch = MatchScratch::default();
    let mut found = Vec::new();
    let before = standing(&index, ["hot", "spot"]);
    loop {
        let names = tags.iter().map(|tag| tag.as_bytes());
        let is_last = index.walk_some(names, &mut walk, &mut scratch);
        found.extend_from_slice(&scratch.targets);
        if is_last {
            break;
        }
        add(&mut index);
    }
    found.sort_unstable();
    assert!(found.into_iter().eq(10..2_010));
    assert!(standing(&index, ["hot", "spot"]) > before, "none has moved");
    drop(walk);
    (0..8).for_each(|_| add(&mut index));
    assert!(
        standing(&index, ["hot", "spot"]) < before,
        "they move again"
    );
    index.assert_consistent();
}

#[test]
fn looking_for_better_pairs_goes_on_where_it_was_before_a_walk() {
    let mut index = Index::new(1);
    let fading = make_common(&mut index, 1, 100, 4_500);
    let lasting = make_common(&mut index, 2, 100, 4_500);
    let pairs = || (0..100).flat_map(|a| (0..a).map(move |b| (a, b)));
    // With one more they are looked at.
    for (a, b) in pairs().take(REVIEW_FROM - 1) {
        index.subscribe(0, &["hot", "spot", &fading[a], &fading[b]]);
    }
    while !index.remove_some(1, 1_000) {}
    let moved = |index: &Index| standing(index, [&fading[1], &fading[0]]);
    let walk = index.begin_walk(None);
    index.subscribe(0, &["hot", "spot", &lasting[1], &lasting[0]]);
    assert_eq!(moved(&index), 0);
    drop(walk);
    index.subscribe(0, &["hot", "spot", &lasting[2], &lasting[0]]);
    assert_eq!(moved(&index), 1, "the first is the first to be looked at");
    index.assert_consistent();
}

#[test]
fn what_is_too_much_at_once_is_told_after_little_more() {
    let mut index = Index::new(1);
    let names: Vec<_> = (0..64).map(|number| format!("{number}")).collect();
    let mut dice = Dice(1);
    for number in 0..5_000 {
        let mut set: Vec<_> = (0..4).map(|_| &*names[dice.below(64)]).collect();
        let own = format!("own {number}");
        // Those of four tags are rows of which a message looks at more than the third tag.
        if number % 2 == 0 {
            set.push(&own);
        }
        set.sort_unstable();
        set.dedup();
        for client in number % 50..number % 50 + 3 {
            index.subscribe(client, &set);
        }
    }
    let mut scratch = MatchScratch::default();
    let mut matches = |most| {
        let tags = names.iter().map(|name| name.as_bytes());
        index.set_most(most);
        index.matches(tags, None, &mut scratch);
        (
            index.is_whole(&scratch),
            scratch.walked,
            scratch.targets.len(),
        )
    };
    let (_, whole, clients) = matches(usize::MAX);
    assert_eq!(clients, 51);
    assert_eq!(matches(whole), (true, whole, clients));
    for most in [0, 10, 1_000, whole / 3, whole / 2, whole - 1] {
        let (is_whole, walked, _) = matches(most);
        assert!(!is_whole);
        // Pairs are asked for in two rounds, before which nothing is looked at.
        assert!(walked > most, "{walked} of {most}");
        assert!(walked < 2 * most + 4_000, "{walked} of {most}");
    }
}
