//! The scanner accepts what the oracle accepts, says the same about it, and never panics.

use mist_core::Limits;
use mist_core::message::{Messages, Request, Scan, encode_publish, encode_request};
use proptest::prelude::*;

use crate::json::{COMMANDS, Fields, fields_of, read};
use crate::text::{compact_publish, edited, edits, literal, object, value};

/// Compares the scanner with the oracle on one text, on both roads.
fn compare(text: &str, limits: &Limits) -> Option<Fields> {
    let mut scan = Scan::new();
    let scanned = scan.scan(text, 0, limits);
    let expected = read(text, limits);
    let fields = match (&scanned, expected) {
        (Ok(end), Some((fields, expected_end))) => {
            assert_eq!(*end, expected_end, "another end of {text:?}");
            let mut kept = fields.clone();
            let message = scan.message(text);
            assert_eq!(message.tag_count(), kept.tags.len(), "tags of {text:?}");
            kept.tags.truncate(limits.tags_per_message);
            assert_eq!(fields_of(&message), kept, "fields of {text:?}");
            Some(fields)
        }
        (Err(_), None) => None,
        (scanned, expected) => {
            panic!("scanner: {scanned:?}, oracle: {expected:?}, text: {text:?}")
        }
    };
    compare_roads(text, limits);
    fields
}

/// Whenever the fast road reads a line, the long one reads the same.
fn compare_roads(text: &str, limits: &Limits) -> bool {
    let line = format!("{text}\n");
    let mut fast = Scan::new();
    let Some(end) = fast.scan_publish_line(&line, 0, limits) else {
        return false;
    };
    let mut slow = Scan::new();
    let slow_end = slow.scan(&line, 0, limits);
    assert_eq!(slow_end, Ok(end - 1), "only one road reads {line:?}");
    let (fast, slow) = (fast.message(&line), slow.message(&line));
    assert_eq!(fields_of(&fast), fields_of(&slow), "fields of {line:?}");
    assert_eq!(fast.command(), slow.command());
    assert_eq!(fast.tag_count(), slow.tag_count());
    assert_eq!(fast.tags_text(), slow.tags_text());
    true
}

const MESSAGES: &[&str] = &[
    r#"{"command":"publish","tags":["a","b"],"data":"hello"}"#,
    r#"{"command":"publish","tags":["a\u0062",""],"data":"x\n\"y\"\ud83d\ude00"}"#,
    r#" { "command" : "subscribe" , "tags" : [ "a" , "b" ] , "id" : 12 } "#,
    r#"{"id":"q-1","data":"tok\\en","command":"auth","error":""}"#,
    r#"{"command":"ping","x":[1,-2.5e+3,{"y":null,"z":[true,false,{}]},[]],"data":null}"#,
    r#"{"tags":["é€😀"],"tags":["second wins"],"command":"publish","command":"list"}"#,
    r#"{"command":"publish","tags":["aaaaaaa","bbbbbbbb","ccccccccc"],"data":"0123456789012345678901234567890123456789"}"#,
    "{}",
];

#[test]
fn the_messages_of_the_protocol_are_read() {
    let limits = Limits::default();
    for text in MESSAGES {
        assert!(compare(text, &limits).is_some(), "{text}");
    }
}

#[test]
fn every_truncation_is_judged_as_the_oracle_does() {
    let limits = Limits::default();
    for text in MESSAGES {
        for (end, _) in text.char_indices() {
            compare(&text[..end], &limits);
        }
    }
}

#[test]
fn every_change_of_a_single_byte_is_judged_as_the_oracle_does() {
    let limits = Limits::default();
    let bytes: Vec<u8> = (0..=b'~').chain([0x7f, 0x80, 0xc3, 0xff]).collect();
    let mut scan = Scan::new();
    for text in MESSAGES {
        for at in 0..text.len() {
            for &byte in &bytes {
                let mut changed = text.as_bytes().to_vec();
                changed[at] = byte;
                match str::from_utf8(&changed) {
                    Ok(changed) => {
                        compare(changed, &limits);
                    }
                    Err(_) => {
                        let mut messages = Messages::frame(&changed);
                        let first = messages.next(&mut scan, &limits);
                        assert!(matches!(first, Some(Err(_))), "{changed:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn every_byte_taken_out_or_doubled_is_judged_as_the_oracle_does() {
    let limits = Limits::default();
    for text in MESSAGES {
        for (at, character) in text.char_indices() {
            let (before, after) = (&text[..at], &text[at + character.len_utf8()..]);
            compare(&format!("{before}{after}"), &limits);
            compare(&format!("{before}{character}{character}{after}"), &limits);
            compare(&format!("{before},{character}{after}"), &limits);
        }
    }
}

#[test]
fn a_trailing_comma_among_the_tags_is_an_error_on_both_roads() {
    let limits = Limits::default();
    let text = r#"{"command":"publish","tags":["a",],"data":"x"}"#;
    assert_eq!(compare(text, &limits), None);
    assert!(!compare_roads(text, &limits));
}

#[test]
fn specials_are_found_at_every_offset_of_every_block() {
    let limits = Limits::default();
    let specials = [
        "\\n",
        "\\\"",
        "\\\\",
        "\\u00e9",
        "\\ud83d\\ude00",
        "é",
        "€",
        "😀",
        "\u{7f}",
        "!",
        "#",
        "[",
        "]",
        "\u{20}",
        "\u{1f}",
        "\u{0}",
        "\n",
        "\\ud83d",
        "\"",
    ];
    for length in 0..100 {
        let plain = "p".repeat(length);
        for special in specials {
            for tail in [
                "",
                "tail",
                "a longer tail, so that whole blocks follow as well",
            ] {
                let data = format!("{plain}{special}{tail}");
                compare(
                    &format!(r#"{{"command":"publish","tags":["t"],"data":"{data}"}}"#),
                    &limits,
                );
            }
        }
    }
}

#[test]
fn the_first_special_wins_whatever_stands_above_it_in_the_word() {
    // A word at a time is looked at by subtraction, whose borrows reach upwards.
    let limits = Limits::default();
    let bytes = [
        "!", "#", "[", "]", " ", "\u{7f}", "é", "\\\\", "\\n", "\u{1f}", "\u{0}",
    ];
    for first in bytes {
        for second in bytes {
            for offset in 0..9 {
                let data = format!("{}{first}{second}{first}", "x".repeat(offset));
                compare(&format!(r#"{{"data":"{data}"}}"#), &limits);
            }
        }
    }
}

#[test]
fn nesting_is_accepted_up_to_the_limit_only() {
    for nesting in 3..=64 {
        let mut limits = Limits::default();
        limits.nesting = nesting;
        for (depth, is_read) in [(nesting - 1, true), (nesting, true), (nesting + 1, false)] {
            let inner = usize::from(depth) - 1;
            let arrays = format!(r#"{{"x":{}{}}}"#, "[".repeat(inner), "]".repeat(inner));
            assert_eq!(compare(&arrays, &limits).is_some(), is_read, "{arrays}");
            let objects = format!(r#"{}{}"#, r#"{"x":"#.repeat(inner), "{}");
            let objects = format!("{objects}{}", "}".repeat(inner));
            assert_eq!(compare(&objects, &limits).is_some(), is_read, "{objects}");
        }
        assert!(compare(MESSAGES[0], &limits).is_some());
    }
}

#[test]
fn a_million_brackets_are_refused_without_recursion() {
    let limits = Limits::default();
    for bracket in ["[", "{\"x\":", "[{\"x\":"] {
        let text = format!("{{\"x\":{}", bracket.repeat(1_000_000));
        assert!(Scan::new().scan(&text, 0, &limits).is_err());
    }
}

#[test]
fn an_id_is_a_string_or_an_integer_of_64_bytes_at_most() {
    let limits = Limits::default();
    let id = |literal: &str| compare(&format!(r#"{{"id":{literal}}}"#), &limits);
    for length in [1, 63, 64] {
        let literal = format!("\"{}\"", "i".repeat(length));
        assert_eq!(id(&literal).and_then(|fields| fields.id), Some(literal));
    }
    assert_eq!(id(&format!("\"{}\"", "i".repeat(65))), None);
    assert!(id(&"1".repeat(64)).is_some());
    assert_eq!(id(&"1".repeat(65)), None);
    for wrong in ["1.0", "1e3", "true", "[1]", "{}", "01", "-"] {
        assert_eq!(id(wrong), None, "{wrong}");
    }
    for right in ["0", "-0", "-12", "\"\"", "\"\\u0041\""] {
        assert!(id(right).is_some(), "{right}");
    }
    assert_eq!(id("null").map(|fields| fields.id), Some(None));
}

#[test]
fn tags_beyond_the_limit_are_counted_but_not_kept() {
    let mut limits = Limits::default();
    limits.tags_per_message = 3;
    for count in 0..6 {
        let tags: Vec<_> = (0..count).map(|tag| format!("\"{tag}\"")).collect();
        let text = format!(
            r#"{{"command":"publish","tags":[{}],"data":"x"}}"#,
            tags.join(",")
        );
        let fields = compare(&text, &limits).expect("it is a message");
        assert_eq!(fields.tags.len(), count);
    }
}

#[test]
fn what_client_libraries_write_takes_the_fast_road() {
    let limits = Limits::default();
    for data in ["x", "", "two\nlines \"quoted\" \\ é😀"] {
        let text = serde_json::json!({ "data": data }).to_string();
        let line = format!(r#"{{"command":"publish","tags":["a","b c"],{}"#, &text[1..]);
        assert!(compare_roads(&line, &limits), "{line}");
    }
}

fn strings() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,40}",
        "[a-c\"\\\\/\u{0}-\u{1f}\u{7f}é]{0,40}",
        any::<String>()
    ]
}

proptest! {
    #![proptest_config(crate::cases(1_500))]

    #[test]
    fn objects_are_judged_as_the_oracle_does(text in object()) {
        let mut limits = Limits::default();
        limits.nesting = 6;
        limits.tags_per_message = 4;
        compare(&text, &limits);
    }

    #[test]
    fn changed_objects_are_judged_as_the_oracle_does(text in object(), edits in edits()) {
        let bytes = edited(text.as_bytes(), &edits);
        compare(&String::from_utf8_lossy(&bytes), &Limits::default());
    }

    #[test]
    fn publishes_are_judged_as_the_oracle_does(text in compact_publish(), edits in edits()) {
        let bytes = edited(text.as_bytes(), &edits);
        compare(&String::from_utf8_lossy(&bytes), &Limits::default());
    }

    #[test]
    fn values_that_are_no_objects_are_no_messages(text in value()) {
        compare(&text, &Limits::default());
    }

    #[test]
    fn arbitrary_text_is_judged_as_the_oracle_does(text in "[{}\\[\\],:\"\\\\ nutrlsefa0-9.eE+-]{0,30}") {
        compare(&text, &Limits::default());
        compare(&format!("{{\"x\":{text}}}"), &Limits::default());
        compare(&format!("{{\"data\":\"{text}\"}}"), &Limits::default());
    }

    #[test]
    fn scanning_into_a_used_scan_is_scanning_into_a_new_one(texts in proptest::collection::vec(object(), 1..5)) {
        let limits = Limits::default();
        let mut used = Scan::new();
        for text in &texts {
            let line = format!("{text}\n");
            used.scan_publish_line(&line, 0, &limits);
            let mut new = Scan::new();
            let (first, second) = (used.scan(text, 0, &limits), new.scan(text, 0, &limits));
            prop_assert_eq!(first, second);
            prop_assert_eq!(used.message(text).command_name(), new.message(text).command_name());
            if first.is_ok() {
                prop_assert_eq!(fields_of(&used.message(text)), fields_of(&new.message(text)));
            }
        }
    }

    #[test]
    fn a_message_is_scanned_wherever_it_stands(text in object(), before in "[ {}a\"]{0,20}", after in "[ {}a\"\n]{0,20}") {
        let limits = Limits::default();
        let whole = format!("{before}{text}{after}");
        let mut scan = Scan::new();
        let expected = read(&whole[before.len()..], &limits).map(|(fields, end)| (fields, end + before.len()));
        let scanned = scan.scan(&whole, before.len(), &limits).ok();
        prop_assert_eq!(scanned, expected.as_ref().map(|(_, end)| *end));
        if let Some((fields, _)) = expected {
            prop_assert_eq!(fields_of(&scan.message(&whole)), fields);
        }
    }

    #[test]
    fn encoded_requests_read_back_as_they_were(
        command in proptest::sample::select(COMMANDS.to_vec()),
        tags in proptest::collection::vec(strings(), 0..5),
        data in strings(),
        id in proptest::option::of(0_u64..1 << 53),
    ) {
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        let request = Request { command, tags: &tags, data: &data, id, ..Request::default() };
        let mut bytes = b"kept".to_vec();
        encode_request(&request, &mut bytes);
        let text = str::from_utf8(&bytes[4..]).expect("it is UTF-8");
        prop_assert!(!text.contains('\n'));
        // Exactly what serde_json writes: same order of keys, same escapes, nothing that is empty.
        let mut expected = format!("{{\"command\":{}", serde_json::json!(command));
        if !tags.is_empty() {
            expected += &format!(",\"tags\":{}", serde_json::json!(tags));
        }
        if !data.is_empty() {
            expected += &format!(",\"data\":{}", serde_json::json!(data));
        }
        if let Some(id) = id {
            expected += &format!(",\"id\":{id}");
        }
        expected.push('}');
        prop_assert_eq!(text, &expected);
        if command == "publish" {
            let mut bytes = Vec::new();
            let count = encode_publish(&tags, &data, id, &mut bytes);
            prop_assert_eq!(count, tags.len());
            let empty = if tags.is_empty() { ",\"tags\":[]" } else { "" };
            let head = "{\"command\":\"publish\"";
            let same = text.replacen(head, &format!("{head}{empty}"), 1);
            prop_assert_eq!(str::from_utf8(&bytes), Ok(same.as_str()));
        }
        let fields = compare(text, &Limits::default()).expect("it is a message");
        prop_assert_eq!(fields.command, command);
        prop_assert_eq!(fields.tags, tags);
        prop_assert_eq!(fields.data.unwrap_or_default(), data);
        prop_assert_eq!(fields.id, id.map(|id| id.to_string()));
    }

    #[test]
    fn subscriptions_of_an_answer_read_back(lists in proptest::collection::vec(proptest::collection::vec(strings(), 0..4), 0..4)) {
        let list = serde_json::json!({ "subscriptions": lists });
        for text in [list.to_string(), serde_json::to_string_pretty(&list).expect("it is JSON")] {
            let mut scan = Scan::new();
            prop_assert!(scan.scan(&text, 0, &Limits::default()).is_ok());
            prop_assert_eq!(scan.message(&text).subscriptions(), lists.clone());
        }
    }

    #[test]
    fn data_leaves_as_the_literal_that_came_in(data in literal()) {
        let limits = Limits::default();
        let text = format!(r#"{{"command":"publish","tags":["t"],"data":{data}}}"#);
        if let Some(fields) = compare(&text, &limits) {
            prop_assert_eq!(fields.data_literal.unwrap_or_else(|| "\"\"".to_owned()), data);
        }
    }
}
