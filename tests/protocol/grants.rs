//! Owns playing the vectors of grants, with each kind of rights, at every door through which one can subscribe or publish; the
//! npm package plays them at those of a page's broker. It must not know what they say.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;

use mist_tests::bare::Setup;
use mist_tests::client::tags_json;
use mist_tests::door::{Connection, House};
use mist_tests::site::Site;
use mist_tests::transcript::{Door, Pairs};
use mist_tests::wire::{Incoming, Upgrade, Wire};
use mist_tests::within;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::vectors::{load, none};

#[derive(Deserialize)]
struct Case {
    name: String,
    grants: Vec<String>,
    subscribe: Option<Vec<String>>,
    publish: Option<Vec<String>>,
    /// By the rights to the grants.
    allowed: BTreeMap<String, bool>,
}

impl Case {
    fn action(&self) -> (&'static str, &[String]) {
        match (&self.subscribe, &self.publish) {
            (Some(tags), None) => ("subscribe", tags),
            (None, Some(tags)) => ("publish", tags),
            _ => panic!("{}: exactly one action is needed", self.name),
        }
    }
}

/// A case with one kind of rights, and the token that has them.
struct Row<'a> {
    case: &'a Case,
    rights: &'a str,
    token: String,
    allowed: bool,
}

impl Row<'_> {
    fn registration(&self) -> String {
        let Row { rights, token, .. } = self;
        let tags = tags_json(&self.case.grants);
        format!(
            r#"{{"command":"register","tags":{tags},"data":"{token}","rights":"{rights}","id":1}}"#
        )
    }

    /// Notes what is wrong with an answer, if anything.
    fn judge(&self, door: &str, answer: &str, failures: &mut Vec<String>) {
        let wanted = match self.allowed {
            true => r#""data":"success""#,
            false => r#""code":"not-granted""#,
        };
        if !answer.contains(wanted) {
            let (name, rights) = (&self.case.name, self.rights);
            failures.push(format!("{door}, {rights}: {name}: {answer}"));
        }
    }
}

fn rows(cases: &[Case]) -> Vec<Row<'_>> {
    let rows = cases.iter().enumerate().flat_map(|(number, case)| {
        assert_eq!(case.allowed.len(), 3, "{}", case.name);
        case.allowed.iter().map(move |(rights, &allowed)| Row {
            case,
            rights,
            token: format!("{rights}-{number}"),
            allowed,
        })
    });
    rows.collect()
}

fn settings() -> Pairs {
    let pairs = [
        ("token", "TK"),
        ("authenticator", "memory://"),
        ("access", "scoped"),
    ];
    pairs.map(|(key, value)| (key.into(), value.into())).into()
}

fn shown(incoming: Incoming) -> String {
    match incoming {
        Incoming::Message(message) => String::from_utf8(message).expect("a message is text"),
        other => format!("{other:?}"),
    }
}

async fn ask(connection: &mut Connection, message: &str) -> String {
    connection.send(message).await.expect("it is taken");
    shown(connection.recv().await)
}

/// With commands, as on TCP and WebSocket, and the same without any transport.
async fn play(door: Door) {
    let cases = load::<Case>("grants.json");
    let house = House::open(door, &settings()).await.expect("it opens");
    let with = |token: &str| Pairs::from([("token".to_owned(), token.to_owned())]);
    let mut admin = house.connect(&with("TK")).await.expect("connected");
    let mut failures = Vec::new();
    for row in rows(&cases) {
        let made = ask(&mut admin, &row.registration()).await;
        assert!(made.contains(r#""data":"success""#), "{made}");
        let mut client = house.connect(&with(&row.token)).await.expect("connected");
        let (command, tags) = row.case.action();
        let tags = tags_json(tags);
        let message = format!(r#"{{"command":"{command}","tags":{tags},"id":1}}"#);
        let answer = ask(&mut client, &message).await;
        row.judge(door.word(), &answer, &mut failures);
        client.close().await.expect("it leaves");
    }
    drop(admin);
    house.close().await;
    none(&failures);
}

#[tokio::test]
async fn grants_allow_what_narrows_and_refuse_what_widens() {
    play(Door::Core).await;
}

#[tokio::test]
async fn grants_hold_over_tcp() {
    play(Door::Tcp).await;
}

#[tokio::test]
async fn grants_hold_over_websocket() {
    play(Door::Ws).await;
}

/// The status and what comes behind the head; of a stream that goes on nothing.
async fn request(
    address: SocketAddr,
    token: &str,
    method: &str,
    target: &str,
    body: &str,
) -> (u16, String) {
    let stream = within(TcpStream::connect(address)).await;
    let mut stream = BufReader::new(stream.expect("it listens"));
    let length = body.len();
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: localhost\r\nX-AUTH-TOKEN: {token}\r\nConnection: close\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    let written = within(stream.write_all(request.as_bytes())).await;
    written.expect("it is taken");
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let read = within(stream.read_line(&mut head)).await;
        assert_ne!(read.expect("a line"), 0, "{head}");
    }
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let mut rest = String::new();
    if !head.contains("text/event-stream") {
        let read = within(stream.read_to_string(&mut rest)).await;
        read.expect("a body");
    }
    (status.expect("a status"), rest)
}

/// Tags as a query has them; none where it cannot, which has no empty tag.
fn query(tags: &[String]) -> Option<String> {
    if tags.iter().any(String::is_empty) {
        return None;
    }
    let mut query = String::from("/subscribe?tags=");
    for byte in tags.join(",").bytes() {
        match byte {
            b',' => query.push(','),
            byte => write!(query, "%{byte:02X}").expect("a string takes everything"),
        }
    }
    Some(query)
}

/// With requests: messages are published, and events subscribed to.
#[tokio::test]
async fn grants_hold_over_http_and_for_events() {
    let cases = load::<Case>("grants.json");
    let setup = Setup::from_pairs(&settings()).expect("the settings are known");
    let site = Site::start(setup.server().listen("http://127.0.0.1:0")).await;
    let address = site.socket(0);
    let upgrade = Upgrade {
        target: String::new(),
        headers: vec![("X-AUTH-TOKEN".to_owned(), "TK".to_owned())],
    };
    let mut admin = Wire::upgrade(address, &upgrade).await.expect("connected").0;
    let (mut failures, mut played) = (Vec::new(), 0);
    for row in rows(&cases) {
        admin.send(&row.registration()).await.expect("it is taken");
        let made = shown(admin.recv().await);
        assert!(made.contains(r#""data":"success""#), "{made}");
        let (door, (status, mut answer)) = match row.case.action() {
            ("publish", tags) => {
                let body = format!(r#"{{"tags":{},"data":"x"}}"#, tags_json(tags));
                let answer = request(address, &row.token, "POST", "/publish", &body).await;
                ("http", answer)
            }
            (_, tags) => {
                let Some(target) = query(tags) else {
                    continue;
                };
                let mut answer = request(address, &row.token, "GET", &target, "").await;
                if answer.0 == 200 {
                    // That it goes on is all that it says.
                    answer.1 = r#""data":"success""#.to_owned();
                }
                ("sse", answer)
            }
        };
        let wanted = if row.allowed { 200 } else { 403 };
        if status != wanted {
            answer = format!("{status} {answer}");
            failures.push(format!("{door}: {}: {answer}", row.case.name));
        }
        row.judge(door, &answer, &mut failures);
        played += 1;
    }
    assert_eq!(3 * cases.len() - played, 3, "one case has the empty tag");
    drop(admin);
    site.stop().await;
    none(&failures);
}
