//! The scanner of messages, beside `serde_json`: both accept the same, and say the same about it.

#[path = "../../../core/tests/it/json.rs"]
#[allow(dead_code)]
mod json;

use mist_core::Limits;
use mist_core::message::{Messages, Scan};

use self::json::{fields_of, read};

pub(crate) fn fuzz(bytes: &[u8]) {
    let limits = Limits::default();
    if let Ok(text) = str::from_utf8(bytes) {
        compare(text, &limits);
    }
    // However the input is cut into calls, its whole lines are the same messages.
    let whole = walk(Messages::lines(bytes), &limits);
    let mut cut = Vec::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        cut.extend(walk(Messages::lines(line), &limits));
    }
    assert_eq!(whole, cut, "lines and single lines differ");
    walk(Messages::frame(bytes), &limits);
}

/// One message at the start of a text, on both roads of the scanner and by the oracle.
fn compare(text: &str, limits: &Limits) {
    let mut scan = Scan::new();
    let scanned = scan.scan(text, 0, limits);
    match (&scanned, read(text, limits)) {
        (Ok(end), Some((mut fields, expected_end))) => {
            assert_eq!(*end, expected_end, "another end");
            let message = scan.message(text);
            assert_eq!(
                message.tag_count(),
                fields.tags.len(),
                "another number of tags"
            );
            fields.tags.truncate(limits.tags_per_message);
            assert_eq!(fields_of(&message), fields);
        }
        (Err(_), None) => {}
        (scanned, expected) => panic!("scanner: {scanned:?}, oracle: {expected:?}"),
    }
    let line = format!("{text}\n");
    let mut fast = Scan::new();
    if let Some(end) = fast.scan_publish_line(&line, 0, limits) {
        let mut slow = Scan::new();
        assert_eq!(
            slow.scan(&line, 0, limits),
            Ok(end - 1),
            "only one road reads it"
        );
        let (fast, slow) = (fast.message(&line), slow.message(&line));
        assert_eq!(fields_of(&fast), fields_of(&slow), "the roads differ");
    }
}

/// What a host would see of each message.
fn walk(mut messages: Messages<'_>, limits: &Limits) -> Vec<String> {
    let mut scan = Scan::new();
    let mut seen = Vec::new();
    while let Some(message) = messages.next(&mut scan, limits) {
        seen.push(match message {
            Ok(message) => format!("{:?}", fields_of(&message)),
            Err(unreadable) => format!("{:?}", unreadable.message.command()),
        });
    }
    seen
}
