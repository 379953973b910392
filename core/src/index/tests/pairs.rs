//! Sets that share a pair, and the sieve in front of the table of pairs.

use super::*;

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
