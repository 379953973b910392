//! What an outbox keeps, cuts, tells and counts.

use mist_core::{Broker, Config, Credentials, Limits};

use super::liveness::Concern;
use super::*;

fn outbox(framing: Framing) -> Outbox {
    let mut broker = Broker::new(Config::default(), 1);
    let session = broker.connect(Credentials::default());
    Outbox::new(session, framing, None, Arc::default())
}

fn room(messages: usize, bytes: usize) -> Room {
    Room { bytes, messages }
}

const THREE: Segment<'static> = segment(b"aa\nbb\ncc\n", &[3, 6, 9]);

const fn segment(bytes: &'static [u8], ends: &'static [u32]) -> Segment<'static> {
    Segment {
        bytes,
        ends,
        shared: None,
    }
}

#[test]
fn a_segment_is_cut_at_a_message_when_it_does_not_fit() {
    let mut spare = Spare::default();
    for (room, expected, left) in [
        (room(2, 100), 2, &b"aa\nbb\n"[..]),
        (room(100, 8), 2, b"aa\nbb\n"),
        (room(3, 9), 3, b"aa\nbb\ncc\n"),
        (room(100, 1), 1, b"aa\n"),
    ] {
        let outbox = outbox(Framing::Lines);
        let appended = outbox.append(THREE, room, &mut spare, &mut Vec::new());
        assert_eq!(appended.messages, expected);
        assert_eq!(appended.bytes, left.len());
        let mut writing = Writing::default();
        let cx = Context::from_waker(Waker::noop());
        assert!(matches!(
            outbox.take(&mut writing, &mut spare, &cx),
            Taken::Bytes
        ));
        assert_eq!(writing.bytes(), left);
    }
}

#[test]
fn a_client_that_uses_ids_is_told_of_the_gap_where_it_is() {
    let outbox = outbox(Framing::Lines);
    outbox.tell_drops();
    let (mut spare, mut woken) = (Spare::default(), Vec::new());
    let mut writing = Writing::default();
    let room = room(2, 100);
    let cx = Context::from_waker(Waker::noop());
    outbox.append(THREE, room, &mut spare, &mut woken);
    outbox.take(&mut writing, &mut spare, &cx);
    assert_eq!(
        writing.bytes(),
        b"aa\nbb\n{\"command\":\"dropped\",\"data\":\"1\"}\n"
    );
    assert!(matches!(
        outbox.take(&mut writing, &mut spare, &cx),
        Taken::Nothing
    ));
    let appended = outbox.append(THREE, room, &mut spare, &mut woken);
    assert_eq!(appended.messages, 2);
}

#[test]
fn a_small_message_that_fits_after_a_gap_comes_behind_the_notice() {
    let outbox = outbox(Framing::Lines);
    outbox.tell_drops();
    let (mut spare, mut woken) = (Spare::default(), Vec::new());
    let (large, small) = (segment(b"large\n", &[6]), segment(b"dd\n", &[3]));
    outbox.append(THREE, room(9, 14), &mut spare, &mut woken);
    outbox.append(large, room(9, 14), &mut spare, &mut woken);
    outbox.append(small, room(9, 14), &mut spare, &mut woken);
    outbox.append(small, room(9, 14), &mut spare, &mut woken);
    let mut writing = Writing::default();
    outbox.take(
        &mut writing,
        &mut spare,
        &Context::from_waker(Waker::noop()),
    );
    let notice = "{\"command\":\"dropped\",\"data\":\"1\"}\n";
    let expected = format!("aa\nbb\ncc\n{notice}dd\n{notice}");
    assert_eq!(writing.bytes(), expected.as_bytes());
}

#[test]
fn a_sleeping_connection_is_woken_once() {
    let outbox = outbox(Framing::Lines);
    let (mut spare, mut woken) = (Spare::default(), Vec::new());
    let mut writing = Writing::default();
    let cx = Context::from_waker(Waker::noop());
    assert!(matches!(
        outbox.take(&mut writing, &mut spare, &cx),
        Taken::Nothing
    ));
    outbox.append(THREE, room(9, 99), &mut spare, &mut woken);
    outbox.append(THREE, room(9, 99), &mut spare, &mut woken);
    assert_eq!(woken.len(), 1);
}

#[test]
fn who_has_yet_to_take_what_waits_is_not_silent() {
    let outbox = outbox(Framing::Frames);
    let (mut spare, mut woken) = (Spare::default(), Vec::new());
    let (mut writing, cx) = (Writing::default(), Context::from_waker(Waker::noop()));
    let look = || {
        let mut seconds = (None, None);
        outbox.look(|concern| match concern {
            Concern::Silent(silent) => seconds.0 = Some(silent),
            Concern::Stalled(stalled, _) => seconds.1 = Some(stalled),
            _ => {}
        });
        seconds
    };
    assert_eq!((look(), look()), ((Some(1), None), (Some(2), None)));
    outbox.append(THREE, room(9, 99), &mut spare, &mut woken);
    outbox.take(&mut writing, &mut spare, &cx);
    outbox.block(&cx);
    // Its socket takes something now and then.
    for _ in 0..100 {
        assert_eq!(look(), (None, Some(1)));
        outbox.note_moved();
        assert_eq!(look(), (None, None));
    }
    while let Taken::Bytes = outbox.take(&mut writing, &mut spare, &cx) {}
    assert_eq!((look(), look()), ((Some(1), None), (Some(2), None)));
}

#[test]
fn what_is_shared_keeps_its_place_among_what_is_not() {
    let outbox = outbox(Framing::Lines);
    let (mut spare, mut woken) = (Spare::default(), Vec::new());
    let shared = SharedBytes::copy(THREE.bytes, &mut spare);
    let shared = SharedPart::new(shared, 0, THREE.bytes.len());
    let segment = Segment {
        shared: Some(&shared),
        ..THREE
    };
    let room = room(9, 99);
    outbox.append_own_reply(&mut spare, b"1");
    outbox.append(segment, room, &mut spare, &mut woken);
    outbox.append(segment, room, &mut spare, &mut woken);
    // No more than two of the last three fit; so few are copied.
    outbox.append_own_reply(&mut spare, b"2");
    outbox.append(segment, room, &mut spare, &mut woken);
    assert_eq!(outbox.state.lock().dropped, 2);
    let (mut writing, mut written) = (Writing::default(), Vec::new());
    let cx = Context::from_waker(Waker::noop());
    let mut pieces = 0;
    while let Taken::Bytes = outbox.take(&mut writing, &mut spare, &cx) {
        pieces += 1;
        written.extend_from_slice(writing.bytes());
    }
    assert_eq!(pieces, 4);
    assert_eq!(written, b"1\naa\nbb\ncc\naa\nbb\ncc\n2\naa\n");
    assert!(outbox.is_written() && !outbox.is_congested());
}

#[test]
fn what_is_written_before_it_was_noted_squeezes_nobody() {
    let outbox = outbox(Framing::Lines);
    let backlog = Arc::clone(&outbox.backlog);
    let (mut spare, mut woken) = (Spare::default(), Vec::new());
    let (mut writing, limits) = (Writing::default(), Limits::default());
    let cx = Context::from_waker(Waker::noop());
    let appended = outbox.append(THREE, room(9, 99), &mut spare, &mut woken);
    outbox.take(&mut writing, &mut spare, &cx);
    outbox.take(&mut writing, &mut spare, &cx);
    assert_eq!(backlog.bytes(), 0);
    assert_eq!(backlog.room(&limits).bytes, limits.outbox_bytes);
    backlog.add(appended.bytes);
    assert_eq!(backlog.bytes(), 0);
}

#[test]
fn what_waits_in_all_is_known_whatever_becomes_of_it() {
    let backlog = Arc::new(Backlog::default());
    let mut broker = Broker::new(Config::default(), 1);
    let (mut spare, mut woken) = (Spare::default(), Vec::new());
    let mut writing = Writing::default();
    let cx = Context::from_waker(Waker::noop());
    let mut limits = Limits::default();
    limits.outbox_total_bytes = 10;
    let mut open = || {
        let session = broker.connect(Credentials::default());
        Outbox::new(session, Framing::Frames, None, Arc::clone(&backlog))
    };
    let (first, second) = (open(), open());
    assert_eq!(backlog.room(&limits).bytes, limits.outbox_bytes);
    backlog.add(
        first
            .append(THREE, room(2, 99), &mut spare, &mut woken)
            .bytes,
    );
    assert_eq!(backlog.bytes(), 6);
    first.tell_drops();
    second.append_reply(&mut spare, &mut woken, b"1234567");
    assert_eq!(backlog.bytes(), 6 + 2 + 7);
    assert_eq!(backlog.room(&limits).bytes, limits.squeezed_bytes());
    first.take(&mut writing, &mut spare, &cx);
    assert_eq!(backlog.bytes(), writing.bytes().len() + 9);
    first.take(&mut writing, &mut spare, &cx);
    assert_eq!(backlog.bytes(), 9);
    second.take(&mut writing, &mut spare, &cx);
    drop(second);
    assert_eq!(backlog.bytes(), 0);
}
