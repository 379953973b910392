//! Owns running the tables of vectors against the core; must not open a socket.

use std::fmt::Debug;
use std::path::Path;

use mist_core::Limits;
use mist_core::message::Scan;
use mist_tests::bare::{Bare, SessionId, Setup};
use mist_tests::wire::Incoming;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use mist_tests::client::tags_json;

#[derive(Deserialize)]
struct Table<T> {
    cases: Vec<T>,
}

pub(crate) fn load<T: DeserializeOwned>(name: &str) -> Vec<T> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("vectors")
        .join(name);
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let table: Table<T> =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(!table.cases.is_empty());
    table.cases
}

fn same<T: PartialEq + Debug>(
    failures: &mut Vec<String>,
    name: &str,
    what: &str,
    came: T,
    wanted: T,
) {
    if came != wanted {
        failures.push(format!(
            "{name}: {what}\n    expected: {wanted:?}\n    came:     {came:?}"
        ));
    }
}

pub(crate) fn none(failures: &[String]) {
    assert!(
        failures.is_empty(),
        "{} vectors fail:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

fn open() -> Bare {
    Bare::new(&Setup::default())
}

fn say(broker: &mut Bare, session: SessionId, message: &str) {
    broker.handle(session, message.as_bytes());
}

fn next(broker: &mut Bare, session: SessionId) -> Option<String> {
    match broker.take(session) {
        Incoming::Message(message) => Some(String::from_utf8(message).expect("a message is UTF-8")),
        _ => None,
    }
}

#[derive(Deserialize)]
struct ScanCase {
    name: String,
    input: Option<String>,
    input_hex: Option<String>,
    command: Option<String>,
    tags: Option<Vec<String>>,
    data: Option<String>,
    id: Option<String>,
    error: Option<String>,
}

impl ScanCase {
    fn bytes(&self) -> Vec<u8> {
        match (&self.input, &self.input_hex) {
            (Some(text), None) => text.as_bytes().to_vec(),
            (None, Some(hex)) => (0..hex.len() / 2)
                .map(|at| {
                    u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hexadecimal digits")
                })
                .collect(),
            _ => panic!("{}: exactly one input is needed", self.name),
        }
    }
}

#[test]
fn scanning_finds_the_fields() {
    let mut failures = Vec::new();
    for case in load::<ScanCase>("scan.json") {
        if case.error.is_some() {
            continue;
        }
        let input = String::from_utf8(case.bytes()).expect("what can be read is text");
        let start = input.len() - input.trim_start().len();
        let mut scan = Scan::new();
        if scan.scan(&input, start, &Limits::default()).is_err() {
            failures.push(format!("{}: it is refused", case.name));
            continue;
        }
        let message = scan.message(&input);
        let name = &case.name;
        same(
            &mut failures,
            name,
            "command",
            message.command_name().into_owned(),
            case.command.unwrap_or_default(),
        );
        let tags: Vec<String> = message.tags().map(std::borrow::Cow::into_owned).collect();
        same(
            &mut failures,
            name,
            "tags",
            tags,
            case.tags.unwrap_or_default(),
        );
        // Empty data is as good as none, so whether an empty literal is kept is nobody's business.
        let data = message
            .data_literal()
            .filter(|literal| *literal != "\"\"")
            .map(str::to_owned);
        same(
            &mut failures,
            name,
            "data",
            data,
            case.data.filter(|literal| literal != "\"\""),
        );
        same(
            &mut failures,
            name,
            "id",
            message.id_literal().map(str::to_owned),
            case.id,
        );
    }
    none(&failures);
}

#[test]
fn scanning_refuses_with_a_reason_and_then_goes_on() {
    let mut failures = Vec::new();
    for case in load::<ScanCase>("scan.json") {
        let Some(error) = &case.error else { continue };
        let mut broker = open();
        let session = broker.connect(None);
        // A line of nothing but blanks is not a message over TCP; one with a raw newline would be two.
        let bytes = case.bytes();
        if bytes.trim_ascii().is_empty() || bytes.contains(&b'\n') {
            continue;
        }
        broker.handle(session, &bytes);
        let came = next(&mut broker, session).unwrap_or_default();
        let answer: serde_json::Value = serde_json::from_str(&came).unwrap_or_default();
        let text = answer["error"].as_str().unwrap_or_default();
        if text.is_empty() || !text.contains(error.as_str()) {
            failures.push(format!(
                "{}: expected an error with {error:?}, came {came:?}",
                case.name
            ));
        }
        say(&mut broker, session, r#"{"command":"ping"}"#);
        same(
            &mut failures,
            &case.name,
            "the ping behind it",
            next(&mut broker, session),
            Some(mist_tests::client::PONG.into()),
        );
    }
    none(&failures);
}

#[derive(Deserialize)]
struct EncodeCase {
    name: String,
    tags: Vec<String>,
    data: Option<String>,
    delivered: String,
}

#[test]
fn deliveries_are_written_to_the_byte() {
    let mut failures = Vec::new();
    for case in load::<EncodeCase>("encode.json") {
        let mut broker = open();
        let (subscriber, publisher) = (broker.connect(None), broker.connect(None));
        say(
            &mut broker,
            subscriber,
            &format!(
                r#"{{"command":"subscribe","tags":{}}}"#,
                tags_json(&case.tags[..1])
            ),
        );
        let data = case
            .data
            .map(|literal| format!(r#","data":{literal}"#))
            .unwrap_or_default();
        say(
            &mut broker,
            publisher,
            &format!(
                r#"{{"command":"publish","tags":{}{data}}}"#,
                tags_json(&case.tags)
            ),
        );
        same(
            &mut failures,
            &case.name,
            "delivered",
            next(&mut broker, subscriber),
            Some(case.delivered),
        );
    }
    none(&failures);
}

#[derive(Deserialize)]
struct MatchCase {
    name: String,
    subscriptions: Vec<Vec<String>>,
    message: Vec<String>,
    matches: Vec<usize>,
}

#[test]
fn matching_follows_the_rule() {
    let mut failures = Vec::new();
    for case in load::<MatchCase>("match.json") {
        let mut broker = open();
        let sessions: Vec<SessionId> = case
            .subscriptions
            .iter()
            .map(|_| broker.connect(None))
            .collect();
        for (tags, &session) in case.subscriptions.iter().zip(&sessions) {
            say(
                &mut broker,
                session,
                &format!(r#"{{"command":"subscribe","tags":{}}}"#, tags_json(tags)),
            );
        }
        let publisher = broker.connect(None);
        say(
            &mut broker,
            publisher,
            &format!(
                r#"{{"command":"publish","tags":{}}}"#,
                tags_json(&case.message)
            ),
        );
        let came: Vec<usize> = (0..sessions.len())
            .filter(|&index| next(&mut broker, sessions[index]).is_some())
            .collect();
        same(
            &mut failures,
            &case.name,
            "matches",
            came,
            case.matches.clone(),
        );
        // All on one session: it comes once, if any matches.
        let mut broker = open();
        let (subscriber, publisher) = (broker.connect(None), broker.connect(None));
        for tags in &case.subscriptions {
            say(
                &mut broker,
                subscriber,
                &format!(r#"{{"command":"subscribe","tags":{}}}"#, tags_json(tags)),
            );
        }
        say(
            &mut broker,
            publisher,
            &format!(
                r#"{{"command":"publish","tags":{}}}"#,
                tags_json(&case.message)
            ),
        );
        let mut count = 0;
        while next(&mut broker, subscriber).is_some() {
            count += 1;
        }
        same(
            &mut failures,
            &case.name,
            "on one session",
            count,
            usize::from(!case.matches.is_empty()),
        );
    }
    none(&failures);
}

#[derive(Deserialize)]
struct ListCase {
    name: String,
    subscriptions: Vec<Vec<String>>,
    list: String,
    sets: Vec<Vec<String>>,
    listall: String,
}

#[test]
fn lists_are_sorted_and_joined() {
    let mut failures = Vec::new();
    for case in load::<ListCase>("list.json") {
        let mut broker = open();
        let session = broker.connect(None);
        for tags in &case.subscriptions {
            say(
                &mut broker,
                session,
                &format!(r#"{{"command":"subscribe","tags":{}}}"#, tags_json(tags)),
            );
        }
        for (command, wanted) in [("list", &case.list), ("listall", &case.listall)] {
            say(
                &mut broker,
                session,
                &format!(r#"{{"command":"{command}"}}"#),
            );
            let came: serde_json::Value =
                serde_json::from_str(&next(&mut broker, session).unwrap_or_default())
                    .unwrap_or_default();
            same(
                &mut failures,
                &case.name,
                command,
                came["data"].as_str().unwrap_or_default(),
                wanted,
            );
            if command == "list" {
                let sets: Option<Vec<Vec<String>>> =
                    serde_json::from_value(came["subscriptions"].clone()).ok();
                same(
                    &mut failures,
                    &case.name,
                    "subscriptions",
                    sets.unwrap_or_default(),
                    case.sets.clone(),
                );
            }
        }
    }
    none(&failures);
}
