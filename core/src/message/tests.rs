//! The parts of reading and writing that nothing outside the crate can reach.

use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, vec};

use super::encode::{Data, Reply, write_head, write_rest};
use super::fault::Fault;
use super::lines::is_http_request;
use super::string::{content_end, decode_into, escaped_len, write_escaped, write_string};
use crate::error::{ErrorCode, ServerError};

fn written(text: &str) -> String {
    let mut out = Vec::new();
    write_string(&mut out, text);
    String::from_utf8(out).expect("a literal is UTF-8")
}

#[test]
fn literals_are_escaped_as_serde_json_does_it() {
    let characters: Vec<char> = ('\0'..='\u{ff}')
        .chain(['€', '😀', '\u{d7ff}', '\u{e000}', '\u{2028}', '\u{10ffff}'])
        .collect();
    for offset in 0..70 {
        for &character in &characters {
            let text = format!("{}{character}{character}tail", "x".repeat(offset));
            let expected = serde_json::to_string(&text).expect("a string can be written");
            assert_eq!(written(&text), expected);
        }
    }
}

#[test]
fn a_long_text_full_of_line_ends_is_written_in_one_go() {
    // Looking through the rest of the text behind each line end would take minutes.
    let text = "12345678\n".repeat(1 << 18);
    let literal = written(&text);
    assert_eq!(literal.len(), text.len() + (1 << 18) + 2);
    assert!(literal.starts_with("\"12345678\\n1234"));
}

#[test]
fn a_literal_ends_where_looking_at_every_byte_says() {
    // Each of these at each place of two neighbours, behind every length of plain text.
    let bytes = [
        b'"', b'\\', 0, 0x1f, 0x20, 0x21, 0x23, 0x5b, 0x5d, 0x7f, 0x80, 0xff, b'n',
    ];
    for offset in 0..80 {
        for first in bytes {
            for second in bytes {
                let mut content = vec![b'p'; offset];
                content.extend([first, second, b'n', b'"', b'"']);
                let found = content_end(&content, 0).map_err(|bad| *bad);
                assert_eq!(found, plainly(&content), "{content:?}");
            }
        }
    }
}

/// As [`content_end`], for content in which `\n`, `\"` and `\\` are the only escapes.
fn plainly(content: &[u8]) -> Result<(usize, bool), (usize, Fault)> {
    let mut at = 0;
    let mut escaped = false;
    loop {
        match content.get(at) {
            None => return Err((at, Fault::UnexpectedEnd)),
            Some(b'"') => return Ok((at, escaped)),
            Some(b'\\') => match content.get(at + 1) {
                Some(b'n' | b'"' | b'\\') => {
                    escaped = true;
                    at += 2;
                }
                Some(_) => return Err((at, Fault::BadEscape)),
                None => return Err((at + 1, Fault::UnexpectedEnd)),
            },
            Some(0..0x20) => return Err((at, Fault::ControlCharacter)),
            Some(_) => at += 1,
        }
    }
}

#[test]
fn every_escaped_unit_decodes_as_in_serde_json() {
    for unit in 0..=0xFFFF_u32 {
        let content = format!("\\u{unit:04x}\\u{unit:04X}");
        let expected: Result<String, _> = serde_json::from_str(&format!("\"{content}\""));
        match content_end(format!("{content}\"").as_bytes(), 0).map_err(|bad| *bad) {
            Ok((end, escaped)) => {
                assert!(escaped && end == content.len());
                let mut decoded = String::new();
                decode_into(&content, &mut decoded);
                assert_eq!(Some(decoded), expected.ok(), "{content}");
            }
            Err((_, fault)) => {
                assert_eq!(fault, Fault::LoneSurrogate, "{content}");
                assert!(expected.is_err(), "{content}");
            }
        }
    }
}

#[test]
fn pairs_of_units_are_pairs_of_surrogates_or_nothing() {
    let edges = [
        0, 0x41, 0xd7ff, 0xd800, 0xd801, 0xdbff, 0xdc00, 0xdc01, 0xdfff, 0xe000, 0xffff,
    ];
    for first in edges {
        for second in edges {
            let content = format!("x\\u{first:04x}\\u{second:04x}\"");
            let expected: Result<String, _> = serde_json::from_str(&format!("\"{content}"));
            let end = content_end(content.as_bytes(), 0);
            assert_eq!(end.is_ok(), expected.is_ok(), "{content}");
            if let Ok((end, _)) = end {
                let mut decoded = String::new();
                decode_into(&content[..end], &mut decoded);
                assert_eq!(Some(decoded), expected.ok(), "{content}");
            }
        }
    }
}

#[test]
fn every_surrogate_pair_decodes_to_its_character() {
    for scalar in (0x1_0000..=0x10_FFFF_u32).step_by(7) {
        let character = char::from_u32(scalar).expect("it is above the surrogates");
        let mut units = [0; 2];
        character.encode_utf16(&mut units);
        let content = format!("\\u{:04x}\\u{:04x}", units[0], units[1]);
        let mut decoded = String::new();
        decode_into(&content, &mut decoded);
        assert_eq!(decoded, String::from(character));
    }
}

#[test]
fn the_length_of_what_is_escaped_is_known_before() {
    for character in (0..0x500).filter_map(char::from_u32) {
        let text = format!("a{character}{character}");
        let mut escaped = Vec::new();
        write_escaped(&mut escaped, text.as_bytes());
        assert_eq!(escaped_len(&text), escaped.len(), "{text:?}");
    }
}

#[test]
fn a_reply_has_its_fields_in_one_order_and_only_those_it_needs() {
    let whole = Reply {
        command: "x\"",
        tags: &["a", "b"],
        data: Data::Text("two\nlines"),
        error: Some(&ServerError::new(ErrorCode::Refused, "no")),
        values: &[("subscriptions", &|out| {
            out.extend_from_slice(br#"[["a","b"],["c"]]"#)
        })],
        counts: &[("connections", 7)],
        delivered: Some(0),
        nodes: Some(2),
        id: Some("\"q\""),
    };
    assert_eq!(
        String::from_utf8(whole.encode()).expect("it is UTF-8"),
        r#"{"command":"x\"","tags":["a","b"],"data":"two\nlines","error":"no","code":"refused","subscriptions":[["a","b"],["c"]],"connections":7,"delivered":0,"nodes":2,"id":"q"}"#
    );
    assert_eq!(Reply::default().encode(), br#"{"command":""}"#);
    let literal = Reply {
        data: Data::Literal("\"\\u0041\""),
        ..Reply::default()
    };
    assert_eq!(literal.encode(), br#"{"command":"","data":"\u0041"}"#);
    let written = Reply {
        data: Data::Written(&|out| out.extend_from_slice(b"\"x\"")),
        ..Reply::default()
    };
    assert_eq!(written.encode(), br#"{"command":"","data":"x"}"#);
}

#[test]
fn numbers_of_every_length_are_written() {
    for power in 0..20 {
        let power = 10_usize.pow(power);
        for number in [
            power - 1,
            power,
            power.saturating_add(1),
            power.saturating_mul(9),
        ] {
            let reply = Reply {
                delivered: Some(number),
                ..Reply::default()
            };
            let expected = format!("{{\"command\":\"\",\"delivered\":{number}}}");
            assert_eq!(reply.encode(), expected.as_bytes());
        }
    }
}

#[test]
fn a_delivered_message_is_its_head_and_the_literal_of_its_data() {
    let mut head = Vec::new();
    write_head(&mut head, ["a", "b\"c"].into_iter());
    for (data, expected) in [
        (
            Some(r#""\u0041""#),
            r#"{"command":"publish","tags":["a","b\"c"],"data":"\u0041"}"#,
        ),
        (None, r#"{"command":"publish","tags":["a","b\"c"]}"#),
    ] {
        let mut body = head.clone();
        write_rest(&mut body, data);
        assert_eq!(body, expected.as_bytes());
    }
}

#[test]
fn an_http_request_is_known_by_its_first_line_and_no_message_is_one() {
    for line in [
        &b"POST / HTTP/1.1\r"[..],
        b"GET /subscribe?tags=a HTTP/1.0",
        b"OPTIONS * HTTP/1.1\r",
        b"CONNECT localhost:1445 HTTP/1.1\r",
        b"GET http://localhost:1445/ HTTP/1.1\r",
        b"patch /\xff HTTP/1.1",
        b"M-SEARCH * HTTP/1.1\r",
        b"PRI * HTTP/2.0\r",
    ] {
        assert!(is_http_request(line), "{}", line.escape_ascii());
    }
    for line in [
        &b""[..],
        b"\r",
        b" HTTP/1.1",
        b"GET HTTP/1.1",
        b"GET /",
        b"HTTP/1.1 400 Bad Request",
        b"POST / HTTP/1.1 ",
        br#"{"command":"ping"} HTTP/1.1"#,
        br#"{ "command":"ping"} / HTTP/1.1"#,
        br#""GET / HTTP/1.1"#,
        br#"[1 / HTTP/1.1"#,
    ] {
        assert!(!is_http_request(line), "{}", line.escape_ascii());
    }
}
