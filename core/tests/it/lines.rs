//! Buffers of lines, and frames: what stands in them, however they are cut.

use mist_core::Limits;
use mist_core::message::{Messages, Scan};
use proptest::prelude::*;

use crate::json::{Fields, fields_of, read};
use crate::text::{buffer, edited, edits};

/// One step of a walk.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Message(Fields),
    Fault,
    TooLong,
}

fn next(messages: &mut Messages<'_>, scan: &mut Scan, limits: &Limits) -> Option<Seen> {
    Some(match messages.next(scan, limits)? {
        Ok(message) => Seen::Message(fields_of(&message)),
        Err(unreadable) if unreadable.error.is_too_long() => Seen::TooLong,
        Err(unreadable) => {
            // What was read before the fault can be asked for.
            let _ = unreadable.message.command_name();
            Seen::Fault
        }
    })
}

fn walk(mut messages: Messages<'_>, limits: &Limits) -> Vec<Seen> {
    let mut scan = Scan::new();
    std::iter::from_fn(|| next(&mut messages, &mut scan, limits)).collect()
}

/// The messages of one line or one frame.
fn expected_of_part(bytes: &[u8], limits: &Limits) -> Vec<Seen> {
    if bytes.len() > limits.message_bytes {
        return vec![Seen::TooLong];
    }
    let Ok(mut text) = str::from_utf8(bytes) else {
        return vec![Seen::Fault];
    };
    let mut seen = Vec::new();
    loop {
        text = text.trim_start_matches([' ', '\t', '\r', '\n']);
        if text.is_empty() {
            return seen;
        }
        let Some((fields, end)) = read(text, limits) else {
            seen.push(Seen::Fault);
            return seen;
        };
        seen.push(Seen::Message(fields));
        text = &text[end..];
    }
}

fn expected(bytes: &[u8], limits: &Limits) -> Vec<Seen> {
    bytes
        .split(|&byte| byte == b'\n')
        .flat_map(|line| expected_of_part(line, limits))
        .collect()
}

fn small() -> Limits {
    let mut limits = Limits::default();
    limits.message_bytes = 300;
    limits
}

#[test]
fn a_fault_costs_its_own_line_only() {
    let good = r#"{"command":"publish","tags":["a"],"data":"x"}"#;
    for bad in [
        &b"{"[..],
        b"\xff",
        b"nonsense",
        b"{\"tags\":1}",
        b"{\"data\":\"\xe2\x82\n\"}",
    ] {
        let bytes = [good.as_bytes(), b"\n", bad, b"\n", good.as_bytes()].concat();
        let seen = walk(Messages::lines(&bytes), &Limits::default());
        assert_eq!(seen, expected(&bytes, &Limits::default()), "{bad:?}");
        assert!(matches!(seen.first(), Some(Seen::Message(_))), "{bad:?}");
        assert!(matches!(seen.last(), Some(Seen::Message(_))), "{bad:?}");
    }
}

#[test]
fn several_messages_on_a_line_are_read_up_to_the_first_fault() {
    let bytes =
        br#"{"command":"ping"}{"command":"who"} {"command":"list"} nonsense {"command":"ping"}
{"command":"ping"}"#;
    let seen = walk(Messages::lines(bytes), &Limits::default());
    assert_eq!(seen, expected(bytes, &Limits::default()));
    assert_eq!(seen.len(), 5);
    assert_eq!(seen[3], Seen::Fault);
}

#[test]
fn the_size_limit_is_per_line_and_exact() {
    let limits = small();
    let overhead = r#"{"command":"publish","tags":["t"],"data":""}"#.len();
    for forms in [
        ["", "\n"],
        ["", ""],
        ["", "\n{\"command\":\"ping\"}\n"],
        ["{\"command\":\"ping\"}\n", "\n"],
    ] {
        for length in [
            limits.message_bytes - 1,
            limits.message_bytes,
            limits.message_bytes + 1,
        ] {
            let data = "d".repeat(length - overhead);
            let line = format!(r#"{{"command":"publish","tags":["t"],"data":"{data}"}}"#);
            assert_eq!(line.len(), length);
            let bytes = format!("{}{line}{}", forms[0], forms[1]);
            let seen = walk(Messages::lines(bytes.as_bytes()), &limits);
            assert_eq!(seen, expected(bytes.as_bytes(), &limits), "{bytes}");
            let too_long = seen.contains(&Seen::TooLong);
            assert_eq!(too_long, length > limits.message_bytes, "{bytes}");
        }
    }
}

#[test]
fn the_size_limit_holds_for_frames_too() {
    let limits = small();
    let overhead = r#"{"command":"publish","tags":["t"],"data":""}"#.len();
    for length in [
        limits.message_bytes - 1,
        limits.message_bytes,
        limits.message_bytes + 1,
    ] {
        let data = "d".repeat(length - overhead);
        let frame = format!(r#"{{"command":"publish","tags":["t"],"data":"{data}"}}"#);
        let seen = walk(Messages::frame(frame.as_bytes()), &limits);
        assert_eq!(seen, expected_of_part(frame.as_bytes(), &limits));
    }
}

#[test]
fn line_ends_inside_a_frame_are_blanks() {
    let frame = b"{\"command\":\n\"ping\"\n}\n{\"command\":\"who\"}\n";
    let seen = walk(Messages::frame(frame), &Limits::default());
    assert_eq!(seen.len(), 2);
    assert_eq!(seen, expected_of_part(frame, &Limits::default()));
    let seen = walk(Messages::lines(frame), &Limits::default());
    assert_eq!(seen, expected(frame, &Limits::default()));
}

#[test]
fn a_buffer_of_faulty_lines_is_walked_in_linear_time() {
    // Each line ends the text that is known to be UTF-8; half a million of them would take hours if each were
    // validated to the end of the buffer.
    let bytes = b"\xff\n".repeat(200_000);
    assert_eq!(
        walk(Messages::lines(&bytes), &Limits::default()).len(),
        200_000
    );
    let bytes = b"{\"command\":\"ping\"}\n\xff\n".repeat(50_000);
    assert_eq!(
        walk(Messages::lines(&bytes), &Limits::default()).len(),
        100_000
    );
}

proptest! {
    #![proptest_config(crate::cases(1_000))]

    #[test]
    fn buffers_hold_what_their_lines_hold(bytes in buffer(), edits in edits()) {
        let bytes = edited(&bytes, &edits);
        for limits in [Limits::default(), small()] {
            let seen = walk(Messages::lines(&bytes), &limits);
            prop_assert_eq!(&seen, &expected(&bytes, &limits));
            let by_line: Vec<_> = bytes
                .split_inclusive(|&byte| byte == b'\n')
                .flat_map(|line| walk(Messages::lines(line), &limits))
                .collect();
            prop_assert_eq!(&seen, &by_line);
        }
    }

    #[test]
    fn frames_hold_what_their_text_holds(bytes in buffer()) {
        for limits in [Limits::default(), small()] {
            let seen = walk(Messages::frame(&bytes), &limits);
            prop_assert_eq!(seen, expected_of_part(&bytes, &limits));
        }
    }

    #[test]
    fn the_rest_of_a_walk_is_a_walk_of_the_rest(bytes in buffer()) {
        let limits = small();
        let seen = walk(Messages::lines(&bytes), &limits);
        let mut messages = Messages::lines(&bytes);
        let mut scan = Scan::new();
        for done in 0..=seen.len() {
            prop_assert_eq!(&walk(Messages::lines(messages.rest()), &limits)[..], &seen[done..]);
            next(&mut messages, &mut scan, &limits);
        }
        prop_assert!(messages.rest().is_empty());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let limits = small();
        prop_assert_eq!(walk(Messages::lines(&bytes), &limits), expected(&bytes, &limits));
        prop_assert_eq!(walk(Messages::frame(&bytes), &limits), expected_of_part(&bytes, &limits));
    }
}
