//! Random verbs, cuts and delays: whatever happens, client and server agree in the end.

use alloc::collections::BTreeSet;
use alloc::vec;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Subscribe(u8),
    Unsubscribe(u8),
    PublishAcked,
    Ask,
    Probe,
    Cut,
    Accept,
    Up,
    Down,
    Exchange,
    Advance(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u8..6).prop_map(Step::Subscribe),
        4 => any::<u8>().prop_map(Step::Unsubscribe),
        1 => Just(Step::PublishAcked),
        1 => Just(Step::Ask),
        1 => Just(Step::Probe),
        1 => Just(Step::Cut),
        3 => Just(Step::Accept),
        5 => Just(Step::Up),
        5 => Just(Step::Down),
        2 => Just(Step::Exchange),
        2 => (0u16..15_000).prop_map(Step::Advance),
    ]
}

const SETS: [&[&str]; 6] = [
    &["a"],
    &["b"],
    &["a", "b"],
    &["b", "a"],
    &["c", "a", "b"],
    &[""],
];

fn play(steps: &[Step], ending: bool) {
    let config = Options {
        offline: Offline::Buffer {
            messages: 4,
            bytes: 10_000,
            max_age: 3 * SECOND,
        },
        reconnect: Some(Backoff {
            min: SECOND,
            max: 4 * SECOND,
        }),
        ..Options::default()
    };
    let mut world = World::new(config);
    let mut asked: BTreeSet<RequestId> = BTreeSet::new();
    let mut locals: Vec<(SubscriptionId, RequestId, usize)> = Vec::new();
    for step in steps {
        match *step {
            Step::Subscribe(set) => {
                let set = usize::from(set);
                let (subscription, request) = world.subscribe(SETS[set]);
                locals.push((subscription, request, set));
                asked.insert(request);
            }
            Step::Unsubscribe(pick) if !locals.is_empty() => {
                let (subscription, ..) = locals.remove(usize::from(pick) % locals.len());
                asked.insert(
                    world
                        .client
                        .unsubscribe(world.now, subscription)
                        .expect("open"),
                );
            }
            Step::Unsubscribe(_) => {}
            Step::PublishAcked => {
                asked.extend(world.client.publish_acked(world.now, ["a"], "x").ok());
            }
            Step::Ask => asked.extend(world.client.request(world.now, "who", &[], "").ok()),
            Step::Probe => world.client.probe(world.now),
            Step::Cut => world.cut(),
            Step::Accept => world.accept(),
            Step::Up => drop(world.up_one()),
            Step::Down => drop(world.down_one()),
            Step::Exchange => world.exchange(),
            Step::Advance(time) => world.advance(Duration::from_millis(u64::from(time))),
        }
        world.drain();
    }
    if ending {
        world.client.close();
        world.drain();
        assert!(world.session.is_none() && world.client.poll_timeout().is_none());
    } else {
        for _ in 0..4 {
            world.accept();
            world.exchange();
            if world.client.state() == State::Open {
                break;
            }
            world.advance(4 * SECOND);
        }
        assert_eq!(world.client.state(), State::Open);
        let held = world.held_by_broker();
        assert_eq!(held, world.wanted(), "the server and the client differ");
        // What the application was told it has is what is wanted; a subscribe that failed is not there.
        let told: BTreeSet<Vec<&str>> = locals
            .iter()
            .filter(|(_, request, _)| matches!(world.answer(*request), Some(Ok(_))))
            .map(|&(.., set)| {
                let mut set = SETS[set].to_vec();
                set.sort_unstable();
                set
            })
            .collect();
        assert_eq!(
            held,
            Vec::from_iter(told),
            "the application was told otherwise"
        );
    }
    for &request in &asked {
        let answers = world.answers.get(&request).map_or(0, Vec::len);
        assert_eq!(answers, 1, "{request:?} has {answers} answers");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_happens_the_server_holds_what_is_wanted_and_every_request_has_one_answer(
        steps in proptest::collection::vec(step(), 0..120),
        ending in proptest::bool::weighted(0.2),
    ) {
        play(&steps, ending);
    }
}

#[test]
fn a_flapping_connection_restores_many_subscriptions() {
    let mut steps = vec![Step::Accept];
    for round in 0..60u8 {
        steps.extend([
            Step::Subscribe(round % 6),
            Step::Exchange,
            Step::Cut,
            Step::Advance(4_000),
            Step::Accept,
        ]);
    }
    play(&steps, false);
}
