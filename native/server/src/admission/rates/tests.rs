use std::net::{IpAddr, Ipv4Addr};

use mist_core::Standing;
use mist_core::message::Command;

use super::*;

const MILLISECOND: Duration = Duration::from_millis(1);

fn rates(set: &[(&str, u64)]) -> Arc<Rates> {
    let mut limits = Limits::default();
    for (name, value) in set {
        limits.set(name, *value).expect(name);
    }
    Arc::new(Rates::new(&limits))
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
    assert_eq!(none.holders.len(), 0);
}

#[test]
fn a_second_may_be_spent_at_once_and_then_it_goes_on_at_the_rate() {
    for rate in [1, 3, 7, 100, 333, 10_000] {
        let rates = rates(&[("publishes-per-second", rate)]);
        let allowance = connection(&rates, None);
        let start = Instant::now();
        let [burst] = race(&[&allowance], start, start)[..] else {
            panic!("one");
        };
        assert_eq!(u64::from(burst), rate);
        assert!(allowance.is_throttled(start));
        let [more] = race(&[&allowance], start, start + 10_000 * MILLISECOND)[..] else {
            panic!("one");
        };
        // What is due just now may have to wait until it is not alone.
        assert!(
            (rate * 10 - rate / 100 - 1..=rate * 10).contains(&more.into()),
            "{more} at {rate}"
        );
        let later = start + 13_000 * MILLISECOND;
        assert!(!allowance.is_throttled(later));
        let [burst] = race(&[&allowance], later, later)[..] else {
            panic!("one");
        };
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
    for command in [Command::Ping, Command::Publish, Command::Subscribe] {
        assert_eq!(allowance.next(command, 9, now), Pace::Go, "{command:?}");
    }
    for command in [Command::Ping, Command::Publish, Command::List] {
        assert_eq!(allowance.next(command, 9, now), Pace::Go, "{command:?}");
    }
    assert_eq!(allowance.next(Command::Subscribe, 9, now), Pace::Wait);
    // What is behind it waits with it.
    assert_eq!(allowance.next(Command::Ping, 9, now), Pace::Wait);
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
        allowance.log_in(standing, start);
        allowance
    };
    let (one, two) = (of(Standing::Subject("a")), of(Standing::Subject("a")));
    let (other, server) = (of(Standing::Subject("b")), of(Standing::Server));
    assert_eq!(race(&[&one], start, start), [10]);
    assert_eq!(publish(&two, start), Pace::Wait);
    assert_eq!(race(&[&other], start, start), [10]);
    assert!((0..1000).all(|_| publish(&server, start) == Pace::Go));
    server.log_in(Standing::Stranger, start);
    assert!((0..1000).all(|_| publish(&server, start) == Pace::Go));
    server.log_in(Standing::Subject("b"), start);
    assert_eq!(publish(&server, start), Pace::Wait);
}

#[test]
fn connections_of_a_subject_wait_and_requests_are_refused() {
    let rates = rates(&[("connects-per-second-per-subject", 1)]);
    let start = Instant::now();
    let log_in = |is_request| {
        let allowance = match is_request {
            true => request(&rates, None),
            false => connection(&rates, None),
        };
        allowance.log_in(Standing::Subject("a"), start);
        // A newer token of the same subject.
        allowance.log_in(Standing::Subject("a"), start);
        allowance
    };
    let ping = |allowance: &Allowance, now| allowance.next(Command::Ping, 9, now);
    assert_eq!(ping(&log_in(false), start), Pace::Go);
    let waits = log_in(false);
    assert_eq!(ping(&waits, start), Pace::Wait);
    assert_eq!(ping(&waits, start + 1000 * MILLISECOND), Pace::Go);
    let refused = log_in(true);
    let Pace::Refuse(exceeded) = ping(&refused, start) else {
        panic!("it is not refused");
    };
    assert_eq!(exceeded.setting, "connects-per-second-per-subject");
    assert_eq!((exceeded.limit, exceeded.retry_after()), (1, 2));
    assert_eq!(refused.take_unsaid(), Some(exceeded));
    // It has no second chance.
    let later = start + 9000 * MILLISECOND;
    assert_eq!(ping(&refused, later), Pace::Refuse(exceeded));
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
}

#[test]
fn who_has_gone_is_forgotten_once_it_owes_nothing() {
    let rates = rates(&[("publishes-per-second-per-address", 1)]);
    let start = Instant::now();
    let allowance = connection(&rates, peer(1));
    let idle = connection(&rates, peer(2));
    assert_eq!(publish(&allowance, start), Pace::Go);
    rates.forget_idle(start);
    assert_eq!(rates.holders.len(), 2, "they are there");
    drop((allowance, idle));
    rates.forget_idle(start);
    assert_eq!(rates.holders.len(), 1, "one owes nothing");
    let again = connection(&rates, peer(1));
    assert_eq!(
        publish(&again, start),
        Pace::Wait,
        "it comes to what it owes"
    );
    drop(again);
    rates.forget_idle(start + 3000 * MILLISECOND);
    assert_eq!(rates.holders.len(), 0);
}

#[test]
fn very_many_addresses_share_one_meter_beyond_what_is_kept() {
    let rates = rates(&[("connects-per-second-per-address", 1), ("connections", 1)]);
    let now = Instant::now();
    let let_in = (0..60_000)
        .filter(|&number| rates.connect_from(peer(number), now).is_ok())
        .count();
    // Two for the one connection there may be, and what the others share.
    assert_eq!((let_in, rates.holders.len()), (50_003, 50_002));
    rates.forget_idle(now + 1000 * MILLISECOND);
    assert_eq!(rates.holders.len(), 0);
    assert!(rates.holders.capacity() <= 64 * 64 * 2);
}
