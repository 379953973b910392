//! Strategies for JSON texts: valid ones in every spelling, nearly valid ones, and bytes.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::json::COMMANDS;

/// Part of a string literal's content.
fn piece() -> impl Strategy<Value = String> {
    let escapes = select(vec![
        "\\n",
        "\\\"",
        "\\\\",
        "\\/",
        "\\b",
        "\\f",
        "\\r",
        "\\t",
        "\\u0041",
        "\\u00e9",
        "\\u0000",
        "\\u001f",
        "\\u20AC",
        "\\uD83D\\uDE00",
        "\\ud800\\udc00",
        "\\uDBFF\\udfff",
    ]);
    let wrong = select(vec![
        "\\ud800",
        "\\udc00",
        "\\ud800\\ud800",
        "\\ud800\\n",
        "\\ud800x",
        "\\u12",
        "\\u12g4",
        "\\x",
        "\n",
        "\t",
        "\u{0}",
        "\u{1f}",
        "\\",
        "\"",
    ]);
    prop_oneof![
        60 => "[a-e]{1,3}".boxed(),
        20 => "[ !#-\\[\\]-~]{1,12}".boxed(),
        20 => escapes.prop_map(str::to_owned).boxed(),
        10 => "[\u{7f}éß€😀\u{80}\u{10ffff}]{1,4}".boxed(),
        4 => (0_usize..70).prop_map(|length| "x".repeat(length)).boxed(),
        1 => wrong.prop_map(str::to_owned).boxed(),
    ]
}

/// A string literal, rarely a wrong one.
pub(crate) fn literal() -> impl Strategy<Value = String> {
    vec(piece(), 0..4).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

fn blanks() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        12 => Just(""),
        2 => Just(" "),
        1 => select(vec!["\t", "\r", "\n", " \r\n\t "]),
    ]
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => any::<i64>().prop_map(|number| number.to_string()),
        2 => select(vec![
            "0", "-0", "0.5", "-1.25e3", "1E+9", "2e-7", "1e999", "123456789012345678901234567890",
        ]).prop_map(str::to_owned),
        1 => select(vec!["01", "-", "1.", ".5", "1e", "+1", "1e+", "0x10", "NaN", "1.e1", "--1"])
            .prop_map(str::to_owned),
    ]
}

/// A value of any type.
pub(crate) fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        3 => literal(),
        2 => number(),
        2 => select(vec!["null", "true", "false", "nul", "True", ""]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(4, 12, 3, |inner| {
        prop_oneof![
            (vec((blanks(), inner.clone(), blanks()), 0..4)).prop_map(|items| {
                let items: Vec<_> = items
                    .into_iter()
                    .map(|(before, item, after)| format!("{before}{item}{after}"))
                    .collect();
                format!("[{}]", items.join(","))
            }),
            (vec((literal(), blanks(), inner.clone()), 0..4)).prop_map(|items| {
                let items: Vec<_> = items
                    .into_iter()
                    .map(|(key, blank, value)| format!("{key}{blank}:{blank}{value}"))
                    .collect();
                format!("{{{}}}", items.join(","))
            }),
            (1_usize..20, inner).prop_map(|(depth, inner)| {
                format!("{}{inner}{}", "[".repeat(depth), "]".repeat(depth))
            }),
        ]
    })
}

fn tags() -> impl Strategy<Value = String> {
    (vec((blanks(), literal()), 0..5), blanks()).prop_map(|(tags, blank)| {
        let tags: Vec<_> = tags
            .into_iter()
            .map(|(before, tag)| format!("{before}{tag}{before}"))
            .collect();
        format!("[{}{blank}]", tags.join(","))
    })
}

fn field() -> impl Strategy<Value = String> {
    let known = prop_oneof![
        4 => (
            Just("\"command\""),
            prop_oneof![
                6 => select(COMMANDS.to_vec()).prop_map(|name| format!("{name:?}")),
                1 => literal(),
                1 => Just("\"\\u0070ublish\"".to_owned()),
            ],
        ),
        4 => (Just("\"tags\""), tags()),
        4 => (Just("\"data\""), literal()),
        1 => (Just("\"error\""), literal()),
        2 => (
            Just("\"id\""),
            prop_oneof![
                number(),
                literal(),
                (58_usize..68).prop_map(|length| format!("\"{}\"", "i".repeat(length))),
                (60_usize..68).prop_map(|length| "7".repeat(length)),
            ],
        ),
        1 => (
            select(vec!["\"command\"", "\"tags\"", "\"data\"", "\"error\"", "\"id\""]),
            value(),
        ),
        1 => (
            select(vec!["\"Command\"", "\"da\\u0074a\"", "\"\"", "\"tag\"", "\"idx\"", "data"]),
            value(),
        ),
        1 => (Just("\"delivered\""), prop_oneof![number(), value()]),
        1 => (
            Just("\"subscriptions\""),
            prop_oneof![vec(tags(), 0..3).prop_map(|lists| format!("[{}]", lists.join(" , "))), value()],
        ),
        1 => (Just("\"x\""), value()),
    ];
    (blanks(), known, blanks(), blanks()).prop_map(|(before, (key, value), colon, after)| {
        format!("{before}{key}{colon}:{colon}{value}{after}")
    })
}

/// One object, mostly a valid message.
pub(crate) fn object() -> impl Strategy<Value = String> {
    let free = (blanks(), vec(field(), 0..6))
        .prop_map(|(blank, fields)| format!("{{{}{blank}}}", fields.join(",")));
    prop_oneof![3 => free, 2 => compact_publish()]
}

/// A publish as client libraries write it, or with something about it that is not quite so.
pub(crate) fn compact_publish() -> impl Strategy<Value = String> {
    let end = prop_oneof![
        12 => Just("}"),
        1 => select(vec!["", "} ", "}}", ",}", ",\"id\":1}", ",\"data\":null}", "}\r"]),
    ];
    let comma = prop_oneof![20 => Just(""), 1 => Just(","), 1 => Just(" ")];
    (vec(literal(), 0..6), literal(), comma, end).prop_map(|(tags, data, comma, end)| {
        format!(
            "{{\"command\":\"publish\",\"tags\":[{}{comma}],\"data\":{data}{end}",
            tags.join(",")
        )
    })
}

/// A change to a text: where, what to take away, what to put there.
pub(crate) fn edits() -> impl Strategy<Value = Vec<(prop::sample::Index, usize, u8)>> {
    let byte = prop_oneof![
        4 => select(b"{}[],:\"\\ \n0u-ntf".to_vec()),
        1 => any::<u8>(),
    ];
    vec((any::<prop::sample::Index>(), 0_usize..3, byte), 0..3)
}

/// Carries the changes out on bytes.
pub(crate) fn edited(text: &[u8], edits: &[(prop::sample::Index, usize, u8)]) -> Vec<u8> {
    let mut bytes = text.to_vec();
    for (place, kind, byte) in edits {
        let at = place.index(bytes.len() + 1);
        match kind {
            0 if at < bytes.len() => bytes[at] = *byte,
            1 if at < bytes.len() => {
                bytes.remove(at);
            }
            _ => bytes.insert(at, *byte),
        }
    }
    bytes
}

/// A buffer as a host may hand it over: lines, several messages on a line, cut ones, blanks, and bytes that are not UTF-8.
pub(crate) fn buffer() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        8 => compact_publish().prop_map(|text| text.into_bytes()),
        6 => object().prop_map(|text| text.into_bytes()),
        14 => select(vec!["\n", "\n", "\n", "\r\n", "\n\n", " ", "  \n \n"])
            .prop_map(|text| text.as_bytes().to_vec()),
        1 => (object(), any::<prop::sample::Index>()).prop_map(|(text, cut)| {
            let mut bytes = text.into_bytes();
            bytes.truncate(cut.index(bytes.len() + 1));
            bytes
        }),
        2 => select(vec![
            &b"\xff"[..], b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\xed\xa0\x80", b"\xc0\x80", b"\x80", b"\xe2\x82\n",
        ]).prop_map(<[u8]>::to_vec),
        1 => (0_usize..400).prop_map(|length| {
            format!("{{\"command\":\"publish\",\"tags\":[\"t\"],\"data\":\"{}\"}}\n", "d".repeat(length)).into_bytes()
        }),
        1 => vec(any::<u8>(), 0..8),
    ];
    vec(part, 0..12).prop_map(|parts| parts.concat())
}
