//! Answers for programs, and pings that are timed.

use serde_json::{Value, json};

use super::*;

/// What a command prints: one line of JSON, and nothing else.
fn answer(server: &Server, arguments: &[&str]) -> Value {
    let assert = server.mist(&[arguments, &["-o", "json"]].concat());
    let assert = assert.success().stderr("");
    let text = stdout(&assert);
    assert_eq!(text.lines().count(), 1, "{text}");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn each_question_has_an_answer_for_programs() {
    let server = Server::start(&["--authenticator", "memory://", "--token", "top"]);
    assert_eq!(answer(&server, &["listall"]), json!({"tags": []}));
    let _subscriber = server.subscriber(&["b", "a b"]);
    for name in ["list", "listall"] {
        assert_eq!(answer(&server, &[name]), json!({"tags": ["a b", "b"]}));
    }
    let who = answer(&server, &["who"]);
    assert_eq!(who["subscribers"], 1);
    assert!(who["connections"].is_u64(), "{who}");
    let sent = answer(&server, &["pub", "b", "a b", "--ack", "--data", "x"]);
    assert_eq!(sent, json!({"messages": 1, "delivered": 1}));
    let sent = answer(&server, &["pub", "b", "-n", "2", "--data", "x"]);
    assert_eq!(sent, json!({"messages": 2}));
    for words in [
        &["token", "add", "t", "x", "y"][..],
        &["token", "unset", "t", "x"],
        &["token", "set", "t", "z"],
    ] {
        let done = answer(&server, &[words, &["--token", "top"]].concat());
        assert_eq!(done, json!({"success": true}), "{words:?}");
    }
    let tags = answer(&server, &["token", "tags", "t", "--token", "top"]);
    assert_eq!(tags, json!({"tags": ["y", "z"]}));
    let done = answer(&server, &["token", "rm", "t", "--token", "top"]);
    assert_eq!(done, json!({"success": true}));
    let made = answer(&server, &["token", "gen"]);
    assert!(
        made["token"]
            .as_str()
            .expect("a token")
            .starts_with("mist_")
    );
}

#[test]
fn what_fails_says_nothing_to_programs() {
    let host = format!("127.0.0.1:{}", free_port());
    for command in ["who", "ping", "listall"] {
        mist(&[command, "-o", "json", "--host", &host])
            .code(3)
            .stdout("");
    }
}

#[test]
fn pings_are_timed_and_summed_up() {
    let server = Server::start(&[]);
    let assert = server.mist(&["ping", "-c", "3", "-i", "1ms"]).success();
    let text = stdout(&assert.stderr(""));
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    for (number, line) in (1..).zip(&lines[..3]) {
        let time = line.strip_prefix(&format!("pong {number} from {}: ", server.host));
        let time = time.and_then(|time| time.strip_suffix(" ms")).expect(line);
        assert!(time.parse::<f64>().is_ok_and(|time| time > 0.0), "{line}");
    }
    let figures = lines[3].strip_prefix("3 pongs, min/avg/max ");
    let figures = figures.and_then(|rest| rest.strip_suffix(" ms"));
    let figures = figures.expect(&text).split('/');
    let figures: Vec<f64> = figures.map(|it| it.parse().expect("a time")).collect();
    assert!(figures.len() == 3 && figures.is_sorted(), "{text}");
    // Only what they come to.
    let assert = server.mist(&["ping", "-q", "-c", "2", "-i", "1ms"]);
    let text = stdout(&assert.success());
    assert!(text.starts_with("2 pongs") && text.lines().count() == 1);
    let times = answer(&server, &["ping", "-c", "2", "-i", "1ms"]);
    assert_eq!(times["pongs"], 2);
    assert_eq!(times["times_us"].as_array().map(Vec::len), Some(2));
    let [min, average, max] = ["min_us", "avg_us", "max_us"].map(|key| times[key].as_f64());
    assert!(
        min <= average && average <= max && min > Some(0.0),
        "{times}"
    );
}

#[cfg(unix)]
#[test]
fn pings_without_an_end_are_summed_up_when_interrupted() {
    let server = Server::start(&[]);
    let mut command = command();
    command.args(["ping", "--host", &server.host, "-i", "1ms"]);
    let mut ping = start(&mut command, &[]);
    assert!(ping.line().starts_with("pong 1 from "));
    ping.signal("INT");
    let rest = rest(&ping.stdout);
    assert!(
        rest.last()
            .expect("a summary")
            .contains(" pongs, min/avg/max ")
    );
    assert_eq!(ping.end().code(), Some(130));
}
