//! `mist publish`: where data comes from, and what is said about it.

use super::*;

fn with_input(server: &Server, arguments: &[&str], input: impl Into<Vec<u8>>) -> Assert {
    assert_cmd::Command::from_std(command())
        .env("MIST_HOST", &server.host)
        .arg("publish")
        .args(arguments)
        .write_stdin(input)
        .timeout(PATIENCE)
        .assert()
}

#[test]
fn a_published_message_arrives() {
    let server = Server::start(&[]);
    let subscriber = server.subscriber(&["--tags", "a,b"]);
    for name in ["publish", "pub", "message", "send"] {
        server
            .mist(&[name, "--tags", "b", "--tags", "a,c", "--data", name])
            .success()
            .stdout("success\n")
            .stderr("");
        assert_eq!(subscriber.line(), name);
    }
}

#[test]
fn all_tags_of_the_subscription_must_be_there() {
    let server = Server::start(&[]);
    let subscriber = server.subscriber(&["--tags", "a,b"]);
    server.mist(&["publish", "--tags", "a", "half"]).success();
    server
        .mist(&["publish", "--tags", "a,b", "whole"])
        .success();
    assert_eq!(subscriber.line(), "whole");
}

#[test]
fn a_tag_may_hold_a_comma() {
    let server = Server::start(&[]);
    let subscriber = server.subscriber(&["--tag", "a,b"]);
    server.mist(&["publish", "--tags", "a,b", "no"]).success();
    server.mist(&["publish", "--tag", "a,b", "yes"]).success();
    assert_eq!(subscriber.line(), "yes");
}

#[test]
fn missing_tags_and_data_are_said_without_a_server() {
    let tags =
        "Unable to publish - Missing tags: write some, as in `mist pub bus late -- \"12 min\"`\n";
    let data = "Unable to publish - Missing data: write it behind --, or pipe it in\n";
    for (arguments, text) in [
        (&["--data", "x"][..], tags),
        (&["a"], data),
        (&["--", "x"], tags),
        (&["--tags", "", "x"], tags),
        (&["--tags", "a"], data),
    ] {
        for name in ["publish", "message"] {
            let arguments = [&[name], arguments].concat();
            mist(&arguments).code(2).stdout("").stderr(text);
        }
    }
}

#[test]
fn words_are_tags_and_behind_two_dashes_is_the_data() {
    let server = Server::start(&[]);
    let subscriber = start(
        command().env("MIST_HOST", &server.host),
        &["sub", "b,c", "a", "-t", "d", "--tag", "e", "-o", "json"],
    );
    subscriber.says("Listening on tags '[b,c a d e]'");
    for (arguments, data) in [
        (&["a", "b,c", "d", "e", "--", "12 min"][..], "12 min"),
        (&["a", "b,c", "-t", "d,e", "--data", "x"], "x"),
        (
            &["-t", "d,e", "--tag", "b,c", "a", "--", "two", "words"],
            "two words",
        ),
    ] {
        let arguments = [&["pub"], arguments].concat();
        server.mist(&arguments).success().stderr("");
        let message: serde_json::Value =
            serde_json::from_str(&subscriber.line()).expect("an object");
        assert_eq!(message["data"], data);
        assert_eq!(message["tags"], serde_json::json!(["a", "b,c", "d", "e"]));
    }
}

#[test]
fn data_that_nobody_gives_is_what_is_piped_in() {
    let server = Server::start(&[]);
    let mut json = command();
    json.args(["sub", "--host", &server.host]);
    let subscriber = start(&mut json, &["a", "-o", "json"]);
    subscriber.says("Listening");
    for (input, data) in [
        ("one", "one"),
        ("one\r\n", "one"),
        ("one\ntwo\n\n", r"one\ntwo\n"),
        ("\n", ""),
    ] {
        with_input(&server, &["a"], input).success();
        assert_eq!(
            subscriber.line(),
            format!(r#"{{"tags":["a"],"data":"{data}"}}"#)
        );
    }
}

#[test]
fn what_may_be_meant_otherwise_is_said() {
    let server = Server::start(&[]);
    let hint = "'a, b' is one tag; several tags are several words: a b\n";
    server
        .mist(&["pub", "a, b", "--", "x"])
        .success()
        .stderr(hint);
    server
        .mist(&["pub", "-q", "a, b", "--", "x"])
        .success()
        .stdout("")
        .stderr("");
    let refused = server.mist(&["pub", "-t", "a", "b", "c"]).code(2);
    assert!(stderr(&refused).contains("'b c' may be tags or data"));
    for arguments in [&["pub", "a", "", "--", "x"][..], &["sub", "a", ""]] {
        let refused = server.mist(arguments).code(2);
        assert!(stderr(&refused).contains("is empty"));
    }
}

#[test]
fn data_may_look_like_a_flag() {
    let server = Server::start(&[]);
    let subscriber = server.subscriber(&["--tags", "a"]);
    server
        .mist(&["publish", "--tags", "a", "--data", "-5"])
        .success();
    assert_eq!(subscriber.line(), "-5");
    server
        .mist(&["publish", "--tags", "a", "--", "--x"])
        .success();
    assert_eq!(subscriber.line(), "--x");
}

#[test]
fn stdin_is_one_message_or_one_per_line() {
    let server = Server::start(&[]);
    let mut json = command();
    json.args(["sub", "--host", &server.host]);
    let subscriber = start(&mut json, &["--tags", "a", "-o", "json"]);
    subscriber.says("Listening");
    for dash in [&["--tags", "a", "--data", "-"][..], &["--tags", "a", "-"]] {
        with_input(&server, dash, "one\ntwo\n")
            .success()
            .stdout("success\n");
        assert_eq!(subscriber.line(), r#"{"tags":["a"],"data":"one\ntwo\n"}"#);
    }
    with_input(
        &server,
        &["--tags", "a", "--stdin-line", "--ack"],
        "one\r\n\ntwo",
    )
    .success()
    .stdout("success\n")
    .stderr("delivered: 3 (3 messages)\n");
    for data in ["one", "", "two"] {
        assert_eq!(
            subscriber.line(),
            format!(r#"{{"tags":["a"],"data":"{data}"}}"#)
        );
    }
}

#[test]
fn data_may_be_empty() {
    let server = Server::start(&[]);
    let subscriber = server.subscriber(&["--tags", "a"]);
    for arguments in [
        &["--data", ""][..],
        &["--data="],
        &[""],
        &["--data", "-"],
        &["-"],
    ] {
        let arguments = [&["--tags", "a", "--ack"], arguments].concat();
        with_input(&server, &arguments, "")
            .success()
            .stdout("success\n")
            .stderr("delivered: 1\n");
        assert_eq!(subscriber.line(), "");
    }
}

#[test]
fn a_line_that_is_not_utf8_is_named_and_left_out() {
    let server = Server::start(&[]);
    let subscriber = server.subscriber(&["--tags", "a"]);
    with_input(
        &server,
        &["--tags", "a", "--stdin-line", "--ack"],
        b"one\n\xfftwo\nthree\r\n\xc3",
    )
    .code(1)
    .stdout("")
    .stderr(
        "line 2 of stdin is not UTF-8, and is not sent\n\
         line 4 of stdin is not UTF-8, and is not sent\n\
         delivered: 2 (2 messages)\n\
         sent 2 of 4 lines: the others are not UTF-8\n",
    );
    assert_eq!(
        [subscriber.line(), subscriber.line()],
        ["one", "three"],
        "those around it are sent"
    );
    with_input(&server, &["--tags", "a", "-"], b"one\ntwo \xff")
        .code(1)
        .stdout("")
        .stderr("line 2 of stdin is not UTF-8\n");
}

#[test]
fn a_line_that_the_server_does_not_take_is_named() {
    let server = Server::start(&["--limit", "message-bytes=100"]);
    let input = format!("one\n{}\nthree\n", "x".repeat(200));
    let assert = with_input(&server, &["--tags", "a", "--stdin-line", "--ack"], input).code(3);
    let error = stderr(&assert);
    assert!(error.starts_with("line 2 of stdin: "), "{error}");
    assert!(error.contains("(message-bytes)"), "{error}");
}

#[test]
fn count_rate_and_ack_go_together() {
    let server = Server::start(&[]);
    let subscriber = server.subscriber(&["--tags", "a", "--count", "3"]);
    server
        .mist(&[
            "publish", "--tags", "a", "--count", "3", "--rate", "500/s", "--ack", "x",
        ])
        .success()
        .stdout("success\n")
        .stderr("delivered: 3 (3 messages)\n");
    assert_eq!(rest(&subscriber.stdout), ["x", "x", "x"]);
    server
        .mist(&["publish", "--tags", "a", "--ack", "x"])
        .success()
        .stderr("delivered: 0\n");
}

#[test]
fn a_refused_publish_is_not_a_success() {
    let server = Server::start(&[
        "--authenticator",
        "memory://",
        "--token",
        "top",
        "--access",
        "scoped",
    ]);
    for ack in [&[][..], &["--ack"]] {
        let arguments = [&["publish", "--tags", "a", "x"], ack].concat();
        let assert = server.mist(&arguments).code(4);
        assert_eq!(stdout(&assert), "");
        let error = stderr(&assert);
        assert!(error.contains("not authorized"), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    let assert = server.mist(&["subscribe", "--tags", "a"]).code(4);
    assert_eq!(stdout(&assert), "");
}

#[cfg(unix)]
#[test]
fn lines_go_out_as_they_come_and_an_interrupt_ends_it() {
    use std::io::Write;
    let server = Server::start(&[]);
    let subscriber = server.subscriber(&["--tags", "a"]);
    let mut command = command();
    command.args(["publish", "--stdin-line", "--tags", "a"]);
    let mut publisher = start(&mut command, &["--host", &server.host]);
    let mut input = publisher.child.stdin.take().expect("piped");
    for line in ["one", "two"] {
        writeln!(input, "{line}").expect("it reads");
        assert_eq!(subscriber.line(), line);
    }
    publisher.signal("INT");
    assert_eq!(publisher.end().code(), Some(130));
}

#[test]
fn a_rate_holds_messages_back() {
    let server = Server::start(&[]);
    let start = Instant::now();
    server
        .mist(&["publish", "--tags", "a", "-n", "3", "--rate", "20", "x"])
        .success();
    assert!(start.elapsed() >= Duration::from_millis(100));
}

#[test]
fn a_connection_that_ends_meanwhile_is_exit_code_3() {
    use std::io::Write;
    let mut server = Server::start(&[]);
    let subscriber = server.subscriber(&["--tags", "a"]);
    let mut command = command();
    command.args(["publish", "--stdin-line", "--tags", "a"]);
    let mut publisher = start(&mut command, &["--host", &server.host]);
    let mut input = publisher.child.stdin.take().expect("piped");
    writeln!(input, "one").expect("it reads");
    assert_eq!(subscriber.line(), "one");
    server.running.signal("TERM");
    server.running.end();
    drop(input);
    assert_eq!(publisher.end().code(), Some(3));
    let said = rest(&publisher.stderr);
    assert_eq!(said.len(), 1, "{said:?}");
}

#[test]
fn a_forgotten_separator_is_noted_where_data_is_piped() {
    let server = Server::start(&[]);
    let publish = |words: &[&str]| {
        let mut publish = assert_cmd::Command::from_std(command());
        publish
            .env("MIST_HOST", &server.host)
            .arg("pub")
            .args(words);
        let assert = publish.write_stdin("the rest\n").timeout(PATIENCE).assert();
        stderr(&assert.success())
    };
    let said = publish(&["bus", "late", "12 min"]);
    assert!(
        said.contains("'12 min' is one of the tags") && said.contains("behind --"),
        "{said}"
    );
    assert_eq!(publish(&["bus", "late"]), "");
    assert_eq!(publish(&["bus", "late", "--", "12 min"]), "");
}
