//! Owns that the README's cluster works as it is typed there.

use std::collections::BTreeMap;
use std::path::Path;

use mist_tests::nats::{Nats, VERSIONS};
use mist_tests::process::{Process, command, rest};

use super::poll;

/// The lines of the README's blocks of this kind.
fn lines() -> Vec<String> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = std::fs::read_to_string(readme).expect("the README");
    let blocks = readme.split("```bash\n").skip(1);
    let blocks = blocks.filter_map(|rest| rest.split("```").next());
    blocks.flat_map(str::lines).map(str::to_owned).collect()
}

/// A line's words, without their quotes, and whether the line is for the background.
fn words(line: &str) -> (Vec<String>, bool) {
    let (line, is_behind) = match line.strip_suffix(" &") {
        Some(line) => (line, true),
        None => (line, false),
    };
    let mut words = Vec::new();
    for (at, piece) in line.split('"').enumerate() {
        match at % 2 {
            0 => words.extend(piece.split_whitespace().map(str::to_owned)),
            _ => words.push(piece.to_owned()),
        }
    }
    (words, is_behind)
}

/// Runs a command that ends by itself; returns what it wrote.
pub(super) fn run(words: &[&str]) -> String {
    let mut process = Process::run(&mut command(words));
    let text = rest(&process.stdout).join("\n");
    assert!(process.end().success(), "{words:?}: {}", process.log());
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn three_servers_are_one_as_the_readme_types_it() {
    for version in VERSIONS {
        let Some(nats) = Nats::start(version, "") else {
            continue;
        };
        // The README's ports may be in use: each stands for one that is free.
        let mut addresses = BTreeMap::new();
        let (mut servers, mut subscriber) = (Vec::new(), None);
        let mut lines = lines().into_iter();
        assert_eq!(lines.next().as_deref(), Some("nats-server &"));
        for line in lines {
            let (words, is_behind) = words(&line);
            let mut words: Vec<_> = words
                .into_iter()
                .map(|word| match addresses.get(&word) {
                    Some(address) => String::clone(address),
                    None => word.replace("nats://127.0.0.1:4222", &nats.uri()),
                })
                .collect();
            assert_eq!(words.remove(0), "mist");
            match (words[0].as_str(), is_behind) {
                ("serve", true) => {
                    let place = words.iter().position(|word| word == "--listeners");
                    let listeners = &mut words[place.expect("listeners") + 1];
                    let typed = listeners.split(',').next().expect("the first");
                    let typed = typed.strip_prefix("tcp://").expect("TCP").to_owned();
                    *listeners = "tcp://127.0.0.1:0,http://127.0.0.1:0".to_owned();
                    let words: Vec<_> = words.iter().map(String::as_str).collect();
                    let mut server = Process::run(&mut command(&words));
                    server.await_addresses(2);
                    addresses.insert(typed, server.address("tcp").to_string());
                    servers.push(server);
                }
                ("sub", true) => {
                    // Whoever types it is not so quick that they have not found each other.
                    let [.., one] = &servers[..] else {
                        panic!("no servers")
                    };
                    let host = one.address("tcp").to_string();
                    let met = poll(async || {
                        run(&["nodes", "--host", &host]).lines().count() == 1 + servers.len()
                    });
                    assert!(met.await, "they never met");
                    let words: Vec<_> = words.iter().map(String::as_str).collect();
                    let process = Process::run(&mut command(&words));
                    assert_eq!(process.line(), "Listening on tags '[bus late]'");
                    subscriber = Some(process);
                }
                ("pub", false) => {
                    let words: Vec<_> = words.iter().map(String::as_str).collect();
                    let subscriber = subscriber.as_ref().expect("there is one");
                    let came = poll(async || {
                        run(&words);
                        // That it was heard of may take a moment.
                        subscriber
                            .stdout
                            .try_recv()
                            .is_ok_and(|line| line == "12 min")
                    });
                    assert!(came.await, "it did not arrive");
                }
                ("nodes", false) => {
                    let words: Vec<_> = words.iter().map(String::as_str).collect();
                    let text = run(&words);
                    let names = text.lines().map(|line| line.split_whitespace().next());
                    let mut names: Vec<_> = names.map(Option::unwrap_or_default).collect();
                    names[1..].sort_unstable();
                    assert_eq!(names, ["NODE", "a", "b", "c"], "{text}");
                }
                _ => panic!("nobody knows how to run {line}"),
            }
        }
    }
}
