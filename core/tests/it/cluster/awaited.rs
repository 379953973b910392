//! Nodes that have gone without a goodbye: messages go to them for a while, so that one that was only not heard knows what it
//! has missed.

use std::time::Duration;

use mist_core::cluster::{AWAITED, Node, NodeId, Output, SILENCE, Status, Way};

const MOST: usize = 1 << 20;

fn node(id: u64) -> Node {
    let status = Status {
        name: format!("n{id}"),
        ..Status::default()
    };
    let mut node = Node::new(NodeId(id), status, MOST);
    node.handle_joined(Duration::ZERO, MOST);
    node
}

/// What a node sends, and the sizes of the gaps that it finds.
fn outputs(node: &mut Node) -> (Vec<(Way, Vec<u8>)>, Vec<u64>) {
    let (mut sent, mut gaps) = (Vec::new(), Vec::new());
    while let Some(output) = node.poll_output() {
        match output {
            Output::Send { way, payload } => sent.push((way, payload)),
            Output::Gap { messages, .. } => gaps.push(messages),
            _ => {}
        }
    }
    (sent, gaps)
}

/// Carries all that one node has to say to the other.
fn carry(now: Duration, from: &mut Node, to: &mut Node) {
    for (way, payload) in outputs(from).0 {
        to.handle_envelope(now, way, &payload);
    }
}

fn pair() -> (Node, Node) {
    let (mut one, mut other) = (node(1), node(2));
    for _ in 0..3 {
        carry(Duration::ZERO, &mut one, &mut other);
        carry(Duration::ZERO, &mut other, &mut one);
    }
    assert_eq!(one.figures().peers, 1);
    assert_eq!(one.figures().awaited, 0);
    (one, other)
}

/// As a broker would: nothing is published to a node that is alone.
fn publish(node: &mut Node, count: usize) {
    let figures = node.figures();
    if figures.peers + figures.awaited > 0 {
        node.handle_messages(&b"{\"command\":\"publish\",\"tags\":[\"a\"]}\n".repeat(count));
    }
}

#[test]
fn one_that_was_silent_knows_what_it_missed() {
    let (mut one, mut other) = pair();
    let silent = SILENCE + Duration::from_millis(1);
    one.handle_time(silent);
    assert_eq!((one.figures().peers, one.figures().awaited), (0, 1));
    publish(&mut one, 5);
    // All of that is lost.
    outputs(&mut one);
    one.handle_time(silent + SILENCE);
    carry(silent + SILENCE, &mut one, &mut other);
    assert_eq!(outputs(&mut other).1, [5]);
    other.handle_time(silent + SILENCE);
    carry(silent + SILENCE, &mut other, &mut one);
    assert_eq!((one.figures().peers, one.figures().awaited), (1, 0));
}

#[test]
fn one_that_stays_away_is_not_awaited_for_ever() {
    let (mut one, _) = pair();
    one.handle_time(SILENCE);
    one.handle_time(SILENCE + AWAITED);
    assert_eq!((one.figures().peers, one.figures().awaited), (0, 0));
}

#[test]
fn one_that_said_goodbye_is_not_awaited() {
    let (mut one, mut other) = pair();
    other.handle_leaving();
    carry(Duration::ZERO, &mut other, &mut one);
    assert_eq!((one.figures().peers, one.figures().awaited), (0, 0));
}

#[test]
fn one_whose_bus_was_away_awaits_those_who_were_there() {
    let (mut one, _) = pair();
    one.handle_lost();
    let late = 10 * AWAITED;
    one.handle_time(late);
    assert_eq!((one.figures().peers, one.figures().awaited), (0, 1));
    one.handle_joined(late, MOST);
    one.handle_time(late + SILENCE);
    assert_eq!(one.figures().awaited, 1);
    one.handle_time(late + AWAITED);
    assert_eq!(one.figures().awaited, 0);
}
