use std::net::{IpAddr, Ipv4Addr};

use mist_core::{Broker, Config, Credentials};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn peer(number: u32) -> Peer {
    Peer::from(IpAddr::V4(Ipv4Addr::from(number)))
}

/// A throttle with a clock, and sessions that present tokens to it. Those that begin with `ok` are valid.
struct World {
    throttle: TokenThrottle,
    broker: Broker,
    now: Instant,
    tokens: HashMap<SessionId, String>,
    /// What was looked at so far.
    looked: Vec<String>,
    turned_away: Vec<String>,
}

impl World {
    fn new(free: u32) -> Self {
        Self {
            throttle: TokenThrottle::new(free),
            broker: Broker::new(Config::default(), 1),
            now: Instant::now(),
            tokens: HashMap::new(),
            looked: Vec::new(),
            turned_away: Vec::new(),
        }
    }

    /// Presents a token on a new session; returns whether it may be looked at.
    fn present(&mut self, from: Peer, token: &str) -> (SessionId, bool) {
        let session = self.broker.connect(Credentials::default());
        self.tokens.insert(session, token.to_owned());
        let admission = self.throttle.present(session, from, token, self.now);
        if admission == Admission::TurnAway {
            self.turned_away.push(token.to_owned());
        }
        (session, admission == Admission::Look)
    }

    /// Presents a token and looks at it at once, if that may be; returns whether it was.
    fn try_token(&mut self, from: Peer, token: &str) -> bool {
        let (session, is_let) = self.present(from, token);
        if is_let {
            self.look(session);
        }
        is_let
    }

    /// Looks at a token, and at all that may be looked at because of it.
    fn look(&mut self, session: SessionId) {
        let mut next = Some(session);
        while let Some(session) = next {
            let token = self.tokens.remove(&session).expect("presented once");
            let check = match token.starts_with("ok") {
                true => TokenCheck::Valid,
                false => TokenCheck::Wrong,
            };
            self.looked.push(token);
            next = self.throttle.settle(session, check, self.now).next;
        }
    }

    /// Lets a second pass.
    fn pass(&mut self) {
        self.now += SECOND;
        for part in TokenThrottle::parts() {
            let due = self.throttle.tick(part, self.now);
            for session in due.looks {
                self.look(session);
            }
            for session in due.turned_away {
                let token = self.tokens.remove(&session).expect("presented once");
                self.turned_away.push(token);
            }
        }
    }

    /// Seconds until a token is looked at that has just been presented.
    fn wait_for(&mut self, token: &str) -> usize {
        let is_there = |world: &Self| world.looked.iter().any(|looked| looked == token);
        (0..60)
            .find(|_| {
                let is_looked_at = is_there(self);
                self.pass();
                is_looked_at
            })
            .expect("it is looked at")
    }

    fn wrong_ones(&self) -> usize {
        let is_wrong = |token: &&String| !token.starts_with("ok");
        self.looked.iter().filter(is_wrong).count()
    }

    fn is_empty(&self) -> bool {
        let Addresses { parts, count, .. } = &self.throttle.addresses;
        let is_empty = parts.iter().all(HashMap::is_empty);
        assert_eq!(*count == 0, is_empty);
        is_empty && self.throttle.attempts.is_empty()
    }

    fn address(&self, peer: Peer) -> Option<&Address> {
        self.throttle.addresses.get(Some(peer))
    }
}

#[test]
fn one_address_has_some_wrong_tokens_looked_at_at_once_and_then_one_a_second() {
    let mut world = World::new(5);
    for second in 0..600 {
        // Some guessers wait for their answer, others have gone at once.
        for number in 0..50 {
            let (session, is_let) = world.present(peer(1), &format!("{second}/{number}"));
            match is_let {
                true => world.look(session),
                false if number % 2 == 0 => world.throttle.forget(session),
                false => {}
            }
        }
        world.pass();
        let most = 5 + second + 1;
        assert!(
            world.wrong_ones() <= most,
            "{} in {second} s",
            world.wrong_ones()
        );
        // Nobody else waits.
        assert!(world.try_token(peer(2), "ok"));
        let waiting = &world.address(peer(1)).expect("it is known").waiting;
        assert!(waiting.len() <= MOST_WAITING);
    }
    assert!(world.wrong_ones() >= 600);
    for _ in 0..20 {
        world.pass();
    }
    assert!(world.is_empty());
}

#[test]
fn a_valid_token_gives_back_only_what_it_took_itself() {
    let mut world = World::new(5);
    let mut guesses = 0;
    for round in 0..1_000 {
        for number in 0..4 {
            guesses += usize::from(world.try_token(peer(1), &format!("{round}/{number}")));
        }
        // The guesser's own.
        world.try_token(peer(1), "ok");
    }
    assert_eq!(guesses, 5);
    // Valid ones alone cost nothing, however many there are.
    for number in 0..1_000 {
        assert!(world.try_token(peer(2), &format!("ok {number}")));
    }
    assert!(world.address(peer(2)).is_none());
}

#[test]
fn who_was_valid_from_there_before_passes_a_guesser_behind_the_same_address() {
    let mut world = World::new(2);
    assert!(world.try_token(peer(1), "ok known"));
    for number in 0..30 {
        world.present(peer(1), &format!("{number}"));
    }
    assert!(world.try_token(peer(1), "ok known"));
    assert!(world.try_token(peer(1), "ok known"), "again and again");
    assert!(!world.try_token(peer(1), "ok new"));
    // What was valid elsewhere says nothing here: somebody may be guessing it.
    assert!(world.try_token(peer(2), "ok other"));
    assert!(!world.try_token(peer(1), "ok other"));
}

#[test]
fn a_token_that_was_taken_back_is_remembered_no_more() {
    let mut world = World::new(1);
    assert!(world.try_token(peer(1), "ok once"));
    for number in 0..3 {
        world.present(peer(1), &format!("{number}"));
    }
    let (session, is_let) = world.present(peer(1), "ok once");
    assert!(is_let);
    let settled = world.throttle.settle(session, TokenCheck::Wrong, world.now);
    assert!(settled.is_exhausted);
    assert!(!world.present(peer(1), "ok once").1);
    // However many were taken back, what others wait for it is no longer than one look.
    let mut world = World::new(2);
    for number in 0..100 {
        assert!(world.try_token(peer(1), &format!("ok {number}")));
    }
    for number in 0..100 {
        let (session, is_let) = world.present(peer(1), &format!("ok {number}"));
        assert!(is_let);
        world.throttle.settle(session, TokenCheck::Wrong, world.now);
    }
    assert!(!world.try_token(peer(1), "ok new"));
    assert_eq!(world.wait_for("ok new"), 1);
}

#[test]
fn a_newcomer_waits_a_second_for_each_before_it_and_not_for_ever() {
    for ahead in [0, 3, 6] {
        let mut world = World::new(5);
        for number in 0..5 + ahead {
            world.try_token(peer(1), &format!("{number}"));
        }
        assert!(!world.try_token(peer(1), "ok new"));
        assert_eq!(world.wait_for("ok new"), ahead + 1);
        assert!(world.turned_away.is_empty());
    }
    let mut world = World::new(5);
    for number in 0..100 {
        world.try_token(peer(1), &format!("{number}"));
    }
    assert!(!world.try_token(peer(1), "ok new"));
    let mut seconds = 0;
    while !world.turned_away.contains(&"ok new".to_owned()) {
        world.pass();
        seconds += 1;
    }
    assert_eq!(seconds, PATIENCE.as_secs());
    assert_eq!(world.wrong_ones(), 5 + seconds as usize);
    assert_eq!(world.turned_away.len() + world.looked.len(), 101);
    // Then it is its turn at once, since nobody waits any more.
    assert!(!world.try_token(peer(1), "ok new"));
    assert_eq!(world.wait_for("ok new"), 1);
    // Where very many wait, further ones are told at once.
    let mut world = World::new(5);
    for number in 0..5 + MOST_WAITING {
        world.try_token(peer(1), &format!("{number}"));
    }
    assert!(world.turned_away.is_empty());
    world.try_token(peer(1), "ok new");
    assert_eq!(world.turned_away, ["ok new"]);
}

#[test]
fn valid_newcomers_do_not_wait_for_each_other() {
    let mut world = World::new(1);
    let sessions: Vec<_> = (0..100)
        .map(|number| world.present(peer(1), &format!("ok {number}")))
        .collect();
    // The others wait for what the first one will have been.
    let let_in: Vec<_> = sessions.iter().map(|(_, is_let)| *is_let).collect();
    assert!(let_in[0] && !let_in[1..].contains(&true));
    world.look(sessions[0].0);
    assert_eq!(world.looked.len(), 100);
    assert!(world.is_empty());
}

#[test]
fn a_store_that_cannot_say_costs_a_crowd_nothing_and_lets_nobody_guess() {
    let mut world = World::new(2);
    let unsure = |world: &mut World, number: u32| {
        let (session, is_let) = world.present(peer(1), &format!("{number}"));
        if is_let {
            let settled = world
                .throttle
                .settle(session, TokenCheck::Unknown, world.now);
            assert_eq!(settled, Settled::default());
        } else {
            world.throttle.forget(session);
        }
        is_let
    };
    let free = UNSURE.burst;
    assert!((0..free).all(|number| unsure(&mut world, number)));
    // From here on they cost what wrong ones do.
    assert!(unsure(&mut world, free) && unsure(&mut world, free + 1));
    assert!(!unsure(&mut world, free + 2));
    // Others are as free as ever.
    assert!(world.try_token(peer(2), "ok"));
    // Ten come back in a second, and all of them with time.
    for _ in 0..3 {
        world.pass();
    }
    assert_eq!(
        (0..100)
            .filter(|&number| unsure(&mut world, number))
            .count(),
        32
    );
    for _ in 0..100 {
        world.pass();
    }
    assert!(world.is_empty());
}

#[test]
fn who_has_gone_before_the_answer_is_no_cheaper_than_a_wrong_token() {
    let mut world = World::new(2);
    for _ in 0..2 {
        let (session, is_let) = world.present(peer(1), "never known");
        assert!(is_let);
        world.throttle.forget(session);
    }
    let (gone, is_let) = world.present(peer(1), "gone while it waits");
    assert!(!is_let);
    world.throttle.forget(gone);
    // It does not keep the next one waiting.
    assert!(!world.try_token(peer(1), "ok new"));
    assert_eq!(world.wait_for("ok new"), 1);
}

#[test]
fn the_tokens_of_others_behind_the_same_address_are_not_guessed_quickly_either() {
    let mut world = World::new(1);
    assert!(world.try_token(peer(1), "ok known"));
    let mut guesses = 0;
    while world
        .address(peer(1))
        .is_none_or(|address| !address.recalls.is_used_up(RECALLS, world.now))
    {
        let (session, _) = world.present(peer(1), &format!("{guesses}"));
        world.throttle.forget(session);
        guesses += 1;
    }
    assert_eq!(guesses, RECALLS.burst);
    assert!(
        !world.try_token(peer(1), "ok known"),
        "it is not even compared"
    );
    // A hundredth of a second later ten more are.
    world.now += SECOND / 100;
    let compared = (0..20)
        .filter(|_| {
            let address = world.address(peer(1)).expect("it is known");
            let is_compared = !address.recalls.is_used_up(RECALLS, world.now);
            world.present(peer(1), "guess");
            is_compared
        })
        .count();
    assert_eq!(compared, 10);
    world.now += SECOND;
    assert!(world.try_token(peer(1), "ok known"));
}

#[test]
fn a_token_that_was_not_compared_gives_nothing_back_for_that() {
    let mut world = World::new(10);
    let (session, _) = world.present(peer(1), "guess");
    world.throttle.forget(session);
    let now = world.now;
    let address = world.throttle.addresses.get_mut(Some(peer(1)));
    let recalls = &mut address.expect("it is known").recalls;
    while recalls.take(RECALLS, now) {}
    for check in [TokenCheck::Valid, TokenCheck::Unknown] {
        let (session, is_let) = world.present(peer(1), "own");
        assert!(is_let);
        world.throttle.settle(session, check, now);
        let address = world.address(peer(1)).expect("it is known");
        assert!(address.recalls.is_used_up(RECALLS, now), "{check:?}");
    }
}

#[test]
fn as_many_addresses_as_there_is_room_for_have_credit_of_their_own_and_the_others_share_one() {
    let mut world = World::new(3);
    let count = MOST_ADDRESSES as u32;
    for number in 0..count {
        assert!(world.try_token(peer(number), "wrong"));
    }
    for number in count..count + 3 {
        assert!(world.try_token(peer(number), "wrong"));
    }
    assert!(!world.try_token(peer(count + 3), "wrong"));
    assert!(world.try_token(peer(7), "wrong"));
    let addresses = &world.throttle.addresses;
    assert_eq!(addresses.count, MOST_ADDRESSES + 1);
    // No look at a part takes long.
    let largest = addresses.parts.iter().map(HashMap::len).max();
    assert!(largest < Some(2 * MOST_ADDRESSES / PARTS), "{largest:?}");
    // All is forgotten soon, and the memory given back.
    for _ in 0..5 {
        world.pass();
    }
    assert!(world.is_empty());
    let parts = &world.throttle.addresses.parts;
    assert!(parts.iter().map(HashMap::capacity).sum::<usize>() < 100 * PARTS);
    assert!(world.try_token(peer(count + 3), "wrong"));
}

#[test]
fn few_tokens_are_remembered_and_the_oldest_are_forgotten_first() {
    let mut known = Known::default();
    let now = Instant::now();
    for number in 0..10 * MOST_KNOWN as u64 {
        known.insert(number, now);
        assert!(known.young.len() + known.old.len() <= 2 * MOST_KNOWN);
    }
    assert!(known.contains(10 * MOST_KNOWN as u64 - 1) && !known.contains(0));
    // And with time.
    let mut known = Known::default();
    for (hours, is_remembered) in [(0, true), (13, true), (26, false)] {
        known.insert(hours, now + SECOND * 3_600 * hours as u32);
        assert_eq!(known.contains(0), is_remembered, "{hours}");
    }
}

#[test]
fn with_none_free_nobody_waits() {
    let mut world = World::new(0);
    for number in 0..100 {
        assert!(world.try_token(peer(1), &format!("{number}")));
    }
    assert!(world.is_empty());
}
