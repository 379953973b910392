use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use mist_core::Standing;
use mist_core::message::Command;

use super::allowance::{Allowance, Pace};
use super::*;

const MILLISECOND: Duration = Duration::from_millis(1);

fn limits(set: &[(&str, u64)]) -> Limits {
    let mut limits = Limits::default();
    for (name, value) in set {
        limits.set(name, *value).expect(name);
    }
    limits
}

fn rates(set: &[(&str, u64)]) -> Arc<Rates> {
    Arc::new(Rates::new(&limits(set)))
}

fn peer(number: u32) -> Option<Peer> {
    Some(Peer::from(IpAddr::V4(Ipv4Addr::from(number))))
}

/// A stranger's connection from somewhere.
fn connection(rates: &Arc<Rates>, from: Option<Peer>) -> Box<Allowance> {
    rates.allowance(Some(Arc::default()), from, Standing::Stranger)
}

fn request(rates: &Arc<Rates>, from: Option<Peer>) -> Box<Allowance> {
    rates.allowance(None, from, Standing::Stranger)
}

fn publish(allowance: &Allowance, now: Instant) -> Pace {
    allowance.next(Command::Publish, 100, now)
}

/// How many messages of each get through until a time, each going on as soon as it may.
fn race(all: &[&Allowance], from: Instant, until: Instant) -> Vec<u32> {
    let mut counts = vec![0; all.len()];
    let mut now = from;
    while now <= until {
        for (count, allowance) in counts.iter_mut().zip(all) {
            while publish(allowance, now) == Pace::Go {
                *count += 1;
            }
        }
        now += MILLISECOND;
    }
    counts
}

#[test]
fn every_rate_is_one_of_the_limits_by_its_name() {
    for (number, name) in NAMES.as_flattened().iter().enumerate() {
        let rates = rates(&[(name, 7)]);
        let set = rates.allowed.as_flattened().iter();
        let set: Vec<_> = set.map(|rate| rate.load(Ordering::Relaxed)).collect();
        let wanted: Vec<_> = (0..set.len())
            .map(|other| if other == number { 7 } else { 0 })
            .collect();
        assert_eq!(set, wanted, "{name}");
        assert_eq!(rates.figures().collect::<Vec<_>>(), [(*name, 0)]);
        // Those of connections are looked at before there is a session.
        let is_before = ["connects-per-second", "connects-per-second-per-address"];
        assert_eq!(rates.are_on(), !is_before.contains(name), "{name}");
        rates.set(&Limits::default());
        assert!(!rates.are_on() && rates.figures().next().is_none());
    }
}

#[test]
fn without_a_rate_nobody_is_held_to_anything() {
    let none = rates(&[]);
    assert!(!none.are_on());
    let now = Instant::now();
    none.note_connect(now);
    assert_eq!(none.next_connect(now), None);
    assert_eq!(none.connect_from(peer(1), now), Ok(()));
    assert_eq!(none.addresses.len(), 0);
}

#[test]
fn a_second_may_be_spent_at_once_and_then_it_goes_on_at_the_rate() {
    for rate in [1, 3, 7, 100, 333, 10_000] {
        let rates = rates(&[("publishes-per-second", rate)]);
        let allowance = connection(&rates, None);
        let start = Instant::now();
        let burst = race(&[&allowance], start, start)[0];
        assert_eq!(u64::from(burst), rate);
        assert!(allowance.is_throttled(start));
        let more = race(&[&allowance], start, start + 10_000 * MILLISECOND)[0];
        // What is due just now may have to wait until it is not alone.
        assert!(
            (rate * 10 - rate / 100 - 1..=rate * 10).contains(&more.into()),
            "{more} at {rate}"
        );
        let later = start + 13_000 * MILLISECOND;
        assert!(!allowance.is_throttled(later));
        let burst = race(&[&allowance], later, later)[0];
        assert!(
            (rate..=rate + 1).contains(&burst.into()),
            "{burst} at {rate}"
        );
    }
}

#[test]
fn bytes_are_counted_and_a_message_over_a_whole_second_is_paid_by_those_behind_it() {
    let rates = rates(&[("publish-bytes-per-second", 1000)]);
    let allowance = connection(&rates, None);
    let start = Instant::now();
    let next = |bytes, now| allowance.next(Command::Publish, bytes, now);
    assert_eq!(next(600, start), Pace::Go);
    assert_eq!(next(600, start), Pace::Wait);
    let due = allowance.until(start).expect("it waits");
    assert_eq!(due - start, 200 * MILLISECOND);
    assert_eq!(next(600, due), Pace::Go, "it was charged already");
    // It needs a full bucket, not four of them.
    assert_eq!(next(4000, due), Pace::Wait);
    let full = allowance.until(due).expect("it waits");
    assert_eq!(full - due, 1000 * MILLISECOND);
    assert_eq!(next(4000, full), Pace::Go);
    assert_eq!(next(1, full), Pace::Wait);
    let paid = allowance.until(full).expect("it waits");
    assert!((3001 * MILLISECOND..=3002 * MILLISECOND).contains(&(paid - full)));
}

#[test]
fn only_what_a_rate_is_of_is_held_to_it() {
    let rates = rates(&[("subscribes-per-second", 1)]);
    let allowance = connection(&rates, None);
    let now = Instant::now();
    use Command::{List, Ping, Publish, Subscribe};
    for command in [Ping, Publish, Subscribe, Ping, Publish, List] {
        assert_eq!(allowance.next(command, 9, now), Pace::Go, "{command:?}");
    }
    assert_eq!(allowance.next(Subscribe, 9, now), Pace::Wait);
    // What is behind it waits with it.
    assert_eq!(allowance.next(Ping, 9, now), Pace::Wait);
}

#[test]
fn connections_of_one_address_share_its_rate_fairly_and_others_have_their_own() {
    let rates = rates(&[("publishes-per-second-per-address", 1000)]);
    let allowance = |from| connection(&rates, from);
    let (one, two, three, other) = (
        allowance(peer(1)),
        allowance(peer(1)),
        allowance(peer(1)),
        allowance(peer(2)),
    );
    let nowhere = allowance(None);
    let start = Instant::now();
    assert_eq!(race(&[&one], start, start), [1000]);
    let counts = race(
        &[&one, &two, &three, &other],
        start,
        start + 10_000 * MILLISECOND,
    );
    let shared: u32 = counts[..3].iter().sum();
    assert!((9_900..=10_000).contains(&shared), "{counts:?}");
    assert!(counts[..3].iter().all(|count| *count > 1_000), "{counts:?}");
    assert!((10_900..=11_000).contains(&counts[3]), "{counts:?}");
    assert!((0..5000).all(|_| publish(&nowhere, start) == Pace::Go));
}

#[test]
fn a_subject_shares_its_rate_the_server_has_none_and_a_stranger_is_no_subject() {
    let rates = rates(&[("publishes-per-second-per-subject", 10)]);
    let start = Instant::now();
    let of = |standing| {
        let allowance = connection(&rates, peer(1));
        assert_eq!(allowance.log_in(standing, start), Ok(()));
        allowance
    };
    let (one, two) = (of(Standing::Subject("a")), of(Standing::Subject("a")));
    let (other, server) = (of(Standing::Subject("b")), of(Standing::Server));
    assert_eq!(race(&[&one], start, start), [10]);
    assert_eq!(publish(&two, start), Pace::Wait);
    assert_eq!(race(&[&other], start, start), [10]);
    assert!((0..1000).all(|_| publish(&server, start) == Pace::Go));
    server.speak_for(Standing::Stranger);
    assert!((0..1000).all(|_| publish(&server, start) == Pace::Go));
    server.speak_for(Standing::Subject("b"));
    assert_eq!(publish(&server, start), Pace::Wait);
    // What it waits for is charged once, whatever becomes of its token meanwhile.
    server.speak_for(Standing::Stranger);
    let due = server.until(start).expect("it waits");
    assert_eq!(publish(&server, due), Pace::Go);
    let waits = connection(&rates, peer(1));
    waits.speak_for(Standing::Subject("b"));
    assert_eq!(publish(&waits, due), Pace::Wait);
    let next = waits.until(due).expect("it waits");
    assert_eq!(next - due, 100 * MILLISECOND);
}

#[test]
fn connections_are_refused_over_the_rate_of_their_subject_and_not_charged() {
    let rates = rates(&[("connects-per-second-per-subject", 1)]);
    let start = Instant::now();
    let ping = |allowance: &Allowance, now| allowance.next(Command::Ping, 9, now);
    let subject = Standing::Subject("a");
    let one = connection(&rates, None);
    assert_eq!(one.log_in(subject, start), Ok(()));
    assert_eq!(
        one.log_in(subject, start),
        Ok(()),
        "a newer token of the same"
    );
    assert_eq!(ping(&one, start), Pace::Go);
    // However many try, whoever comes a second later is let in.
    for number in 0..60 {
        let other = match number % 2 {
            0 => connection(&rates, None),
            _ => request(&rates, None),
        };
        let exceeded = other.log_in(subject, start).expect_err("too soon");
        assert_eq!(exceeded.setting, "connects-per-second-per-subject");
        assert_eq!((exceeded.limit, exceeded.retry_after()), (1, 1));
        assert_eq!(other.take_unsaid(), Some(exceeded));
        // It has no second chance.
        let later = start + 9000 * MILLISECOND;
        assert_eq!(ping(&other, later), Pace::Refuse(exceeded));
    }
    assert_eq!(
        connection(&rates, None).log_in(subject, start + 1000 * MILLISECOND),
        Ok(())
    );
}

#[test]
fn a_subject_and_an_address_beyond_what_is_kept_are_held_to_their_rates_like_others() {
    let rates = rates(&[
        ("publishes-per-second-per-subject", 1),
        ("publishes-per-second-per-address", 1),
        ("connections", 1),
    ]);
    let start = Instant::now();
    for number in 0..50_001 {
        let stranger = connection(&rates, peer(number));
        assert_eq!(publish(&stranger, start), Pace::Go);
        let subject = connection(&rates, None);
        subject.speak_for(Standing::Subject(&number.to_string()));
        assert_eq!(publish(&subject, start), Pace::Go);
    }
    let both = connection(&rates, peer(60_000));
    assert_eq!(both.log_in(Standing::Subject("a"), start), Ok(()));
    assert_eq!(publish(&both, start), Pace::Go);
    assert_eq!(publish(&both, start), Pace::Wait);
}

/// However many come, and whatever those do who have gone.
#[test]
fn nobody_waits_for_more_than_some_seconds_before_it_is_looked_at_again() {
    let rates = rates(&[
        ("publishes-per-second-per-address", 1),
        ("publish-bytes-per-second-per-address", 1000),
    ]);
    let start = Instant::now();
    let next = |allowance: &Allowance, bytes, now| allowance.next(Command::Publish, bytes, now);
    for _ in 0..1000 {
        let flooder = connection(&rates, peer(1));
        next(&flooder, 9000, start);
        let Some(until) = flooder.until(start) else {
            continue;
        };
        assert!(until - start <= 5000 * MILLISECOND, "{:?}", until - start);
    }
    // What those owe for whom there was a place is all that is owed, though all of them wanted one.
    let later = start + 20_000 * MILLISECOND;
    assert_eq!(next(&connection(&rates, peer(1)), 10, later), Pace::Go);
    assert_eq!(rates.figures().map(|(_, count)| count).sum::<u64>(), 999);
}

#[test]
fn the_rate_holds_however_many_find_no_place() {
    let rates = rates(&[("publishes-per-second-per-address", 10)]);
    let all: Vec<_> = (0..200).map(|_| connection(&rates, peer(1))).collect();
    let all: Vec<_> = all.iter().map(|allowance| &**allowance).collect();
    let start = Instant::now();
    let counts = race(&all, start, start + 40_000 * MILLISECOND);
    let passed: u32 = counts.iter().sum();
    assert!((390..=410).contains(&passed), "{passed}");
    let exceeded: u64 = rates.figures().map(|(_, count)| count).sum();
    assert!(exceeded <= 200 + u64::from(passed), "{exceeded}");
}

#[test]
fn a_message_that_would_take_ten_seconds_of_a_rate_is_refused_and_not_charged() {
    let rates = rates(&[
        ("publish-bytes-per-second", 2000),
        ("publish-bytes-per-second-per-address", 1000),
    ]);
    let allowance = connection(&rates, peer(1));
    let start = Instant::now();
    let next = |bytes| allowance.next(Command::Publish, bytes, start);
    for _ in 0..3 {
        let Pace::TooLarge(exceeded) = next(10_001) else {
            panic!("it is not refused");
        };
        assert_eq!(exceeded.setting, "publish-bytes-per-second-per-address");
        let answer = String::from_utf8(exceeded.answer_large(10_001, Some("7"))).expect("text");
        assert_eq!(
            answer,
            "{\"command\":\"publish\",\"error\":\"too many bytes in a message: it has 10001, the limit is 10000, \
             ten seconds' worth of publish-bytes-per-second-per-address\",\"code\":\"limit-exceeded\",\"id\":7}"
        );
    }
    assert_eq!(next(10_000), Pace::Go);
    assert_eq!(
        rates.figures().collect::<Vec<_>>(),
        [
            ("publish-bytes-per-second", 0),
            ("publish-bytes-per-second-per-address", 3)
        ]
    );
}

#[test]
fn when_the_rates_change_everybody_begins_anew() {
    let mut limits = Limits::default();
    limits.publishes_per_second_per_address = 1;
    let rates = Arc::new(Rates::new(&limits));
    assert!(!rates.set(&limits), "nothing changes");
    let start = Instant::now();
    let (one, other) = (connection(&rates, peer(1)), connection(&rates, peer(1)));
    assert_eq!(publish(&one, start), Pace::Go);
    assert_eq!(
        (publish(&one, start), publish(&other, start)),
        (Pace::Wait, Pace::Wait)
    );
    assert!(other.is_throttled(start));
    limits.publishes_per_second_per_address = 1000;
    assert!(rates.set(&limits));
    assert!(other.until(start).is_none() && !other.is_throttled(start));
    assert_eq!(
        race(&[&one, &other], start, start).iter().sum::<u32>(),
        1002,
        "two were charged before"
    );
    assert!(rates.set(&Limits::default()));
    assert!((0..5000).all(|_| publish(&one, start) == Pace::Go));
}

#[test]
fn a_request_that_is_refused_is_not_charged() {
    let rates = rates(&[
        ("publishes-per-second", 2),
        ("publishes-per-second-per-address", 1),
    ]);
    let allowance = request(&rates, peer(1));
    allowance.share(Arc::default());
    let start = Instant::now();
    assert_eq!(publish(&allowance, start), Pace::Go);
    for _ in 0..10 {
        let Pace::Refuse(exceeded) = publish(&allowance, start) else {
            panic!("it is not refused");
        };
        assert_eq!(exceeded.setting, "publishes-per-second-per-address");
        assert_eq!(exceeded.retry_after(), 1);
    }
    let later = start + 1000 * MILLISECOND;
    assert_eq!(publish(&allowance, later), Pace::Go);
    let counted: Vec<_> = rates.figures().collect();
    assert_eq!(
        counted,
        [
            ("publishes-per-second", 0),
            ("publishes-per-second-per-address", 10),
        ]
    );
}

#[test]
fn connections_are_accepted_later_in_all_and_refused_from_one_address() {
    let rates = rates(&[
        ("connects-per-second", 2),
        ("connects-per-second-per-address", 1),
    ]);
    let start = Instant::now();
    assert_eq!(rates.connect_from(peer(1), start), Ok(()));
    let refused = rates.connect_from(peer(1), start).expect_err("too soon");
    assert_eq!(refused.wait, 1000 * MILLISECOND);
    assert_eq!(rates.connect_from(peer(2), start), Ok(()));
    assert_eq!(rates.connect_from(None, start), Ok(()));
    let later = start + 1000 * MILLISECOND;
    assert_eq!(rates.connect_from(peer(1), later), Ok(()));
    for _ in 0..2 {
        assert_eq!(rates.next_connect(start), None);
        rates.note_connect(start);
    }
    let due = rates.next_connect(start).expect("too soon");
    assert_eq!(due - start, 500 * MILLISECOND);
    assert_eq!(rates.next_connect(due), None);
    let counted = || rates.figures().next();
    assert_eq!(counted(), Some(("connects-per-second", 0)), "nobody came");
    rates.note_late_connect();
    assert_eq!(counted(), Some(("connects-per-second", 1)));
}

#[test]
fn who_has_gone_is_forgotten_once_it_owes_nothing() {
    let rates = rates(&[("publishes-per-second-per-address", 1)]);
    let start = Instant::now();
    let allowance = connection(&rates, peer(1));
    let idle = connection(&rates, peer(2));
    assert_eq!(publish(&allowance, start), Pace::Go);
    rates.forget_idle(start);
    assert_eq!(rates.addresses.len(), 2, "they are there");
    drop((allowance, idle));
    rates.forget_idle(start);
    assert_eq!(rates.addresses.len(), 1, "one owes nothing");
    let again = connection(&rates, peer(1));
    assert_eq!(
        publish(&again, start),
        Pace::Wait,
        "it comes to what it owes"
    );
    drop(again);
    rates.forget_idle(start + 3000 * MILLISECOND);
    assert_eq!(rates.addresses.len(), 0);
}

#[test]
fn very_many_addresses_share_one_meter_beyond_what_is_kept() {
    let rates = rates(&[("connects-per-second-per-address", 1), ("connections", 1)]);
    let now = Instant::now();
    let let_in = (0..60_000)
        .filter(|&number| rates.connect_from(peer(number), now).is_ok())
        .count();
    // One for the one connection there may be, and what the others share.
    assert_eq!((let_in, rates.addresses.len()), (50_002, 50_001));
    rates.forget_idle(now + 1000 * MILLISECOND);
    assert_eq!(rates.addresses.len(), 0);
    assert!(rates.addresses.capacity() <= 64 * 64 * 2);
}

#[test]
fn a_rate_that_is_escaped_by_connecting_again_is_named() {
    let found = |set: &[(&str, u64)]| escapable(&limits(set)).collect::<Vec<_>>();
    let one = ("publishes-per-second", 1);
    assert_eq!(found(&[("connects-per-second", 1)]), [""; 0]);
    assert_eq!(
        found(&[one, ("subscribes-per-second", 1)]),
        ["publishes-per-second", "subscribes-per-second"]
    );
    for other in [
        "publishes-per-second-per-subject",
        "publishes-per-second-per-address",
        "connects-per-second-per-address",
    ] {
        assert_eq!(found(&[one, (other, 1)]), [""; 0], "{other}");
    }
}
