//! `mist subscribe`: what is printed, and each way it ends.

use super::*;

fn listening(server: &Server, arguments: &[&str]) -> (Process, String) {
    let mut command = command();
    command.env("MIST_HOST", &server.host).arg("sub");
    let subscriber = start(&mut command, arguments);
    let line = subscriber.line();
    (subscriber, line)
}

#[test]
fn the_first_line_names_the_tags_in_the_order_given() {
    let server = Server::start(&[]);
    let (subscriber, line) = listening(
        &server,
        &[
            "--tags", "b,a", "--tags", "c", "--also", "z,y", "--also", "w",
        ],
    );
    assert_eq!(line, "Listening on tags '[b a c]'");
    assert_eq!(subscriber.line(), "Listening on tags '[z y]'");
    assert_eq!(subscriber.line(), "Listening on tags '[w]'");
}

#[test]
fn further_sets_match_on_their_own_and_a_message_is_printed_once() {
    let server = Server::start(&[]);
    let (subscriber, _) = listening(&server, &["--tags", "a,b", "--also", "c"]);
    subscriber.line();
    server.mist(&["publish", "--tags", "a", "no"]).success();
    server
        .mist(&["publish", "--tags", "a,b,c", "both"])
        .success();
    server.mist(&["publish", "--tags", "c", "second"]).success();
    assert_eq!(subscriber.line(), "both");
    assert_eq!(subscriber.line(), "second");
}

#[test]
fn missing_tags_are_said_without_a_server() {
    for arguments in [&["subscribe"][..], &["sub", "--tags", ","]] {
        mist(arguments)
            .code(2)
            .stdout("")
            .stderr("Unable to subscribe - Missing tags: write some, as in `mist sub bus late`\n");
    }
}

#[test]
fn a_message_that_says_success_is_printed() {
    let server = Server::start(&[]);
    let mut subscriber = server.subscriber(&["--tags", "a", "-n", "2"]);
    for data in ["success", "zwölf € \u{1f600}"] {
        server.mist(&["publish", "--tags", "a", data]).success();
        assert_eq!(subscriber.line(), data);
    }
    assert_eq!(
        subscriber.end().code(),
        Some(0),
        "two messages were asked for"
    );
}

#[test]
fn the_wait_runs_out() {
    let server = Server::start(&[]);
    let assert = server
        .mist(&["sub", "--tags", "a", "-n", "1", "-W", "0.05"])
        .code(124);
    assert_eq!(stdout(&assert), "Listening on tags '[a]'\n");
    server.mist(&["sub", "--tags", "a", "-W", "0.05"]).code(124);
}

#[test]
fn json_has_one_object_per_line_and_nothing_else() {
    let server = Server::start(&[]);
    let mut command = command();
    command.env("MIST_HOST", &server.host);
    let subscriber = start(
        &mut command,
        &[
            "sub",
            "--tags",
            "a",
            "-o",
            "json",
            "--timestamps",
            "-n",
            "1",
        ],
    );
    subscriber.says("Listening on tags '[a]'");
    server
        .mist(&["publish", "--tags", "b,a", "two\nlines"])
        .success();
    let lines = rest(&subscriber.stdout);
    assert_eq!(lines.len(), 1);
    let object: serde_json::Value = serde_json::from_str(&lines[0]).expect("JSON");
    assert_eq!(object["data"], "two\nlines");
    assert_eq!(object["tags"], serde_json::json!(["a", "b"]));
    assert!(object["time"].as_str().expect("a time").ends_with('Z'));
}

#[test]
fn raw_is_the_data_alone() {
    let server = Server::start(&[]);
    let mut command = command();
    command.env("MIST_HOST", &server.host);
    let subscriber = start(
        &mut command,
        &["sub", "--tags", "a", "-o", "raw", "-n", "2"],
    );
    subscriber.says("Listening on tags '[a]'");
    server.mist(&["publish", "--tags", "a", "one\n-"]).success();
    server.mist(&["publish", "--tags", "a", "two"]).success();
    assert_eq!(rest(&subscriber.stdout), ["one", "-two"]);
    mist(&["sub", "--tags", "a", "-o", "raw", "--show-tags"]).code(2);
}

#[test]
fn tags_and_times_stand_before_the_data() {
    let server = Server::start(&[]);
    let subscriber = server.subscriber(&["--tags", "a", "--show-tags", "--timestamps"]);
    server.mist(&["publish", "--tags", "b,a", "x y"]).success();
    let line = subscriber.line();
    let (time, rest) = line.split_once(' ').expect("a time");
    assert!(time.ends_with('Z') && time.contains('T'), "{line}");
    assert_eq!(rest, "[a b] x y");
}

#[cfg(unix)]
#[test]
fn an_interrupt_is_exit_code_130() {
    let server = Server::start(&[]);
    let mut subscriber = server.subscriber(&["--tags", "a"]);
    subscriber.signal("INT");
    assert_eq!(subscriber.end().code(), Some(130));
    assert!(rest(&subscriber.stderr).is_empty());
}

/// Starts a subscriber that writes to `output`, whose other end is `reader`, and closes that in the middle of a line.
#[cfg(unix)]
fn hang_up(server: &Server, output: impl Into<Stdio>, mut reader: impl Read) -> Process {
    let mut command = command();
    command.args(["sub", "--tags", "a", "--host", &server.host]);
    let child = command.stdout(output).stderr(Stdio::piped()).spawn();
    // It has a copy of the end that it writes to.
    drop(command);
    let mut start = [0; 3];
    reader.read_exact(&mut start).expect("a part of a line");
    Process::follow(child.expect("it starts"))
}

#[cfg(unix)]
#[test]
fn who_closes_its_output_ends_it_quietly_and_at_once() {
    let server = Server::start(&[]);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let piped = hang_up(&server, writer, reader);
    let (near, far) = std::os::unix::net::UnixStream::pair().expect("a pair");
    let plugged = hang_up(&server, std::os::fd::OwnedFd::from(far), near);
    for mut subscriber in [piped, plugged] {
        // Nothing is published.
        assert_eq!(rest(&subscriber.stderr), [""; 0]);
        assert_eq!(subscriber.end().code(), Some(0));
    }
}

#[test]
fn it_comes_back_after_the_server_did() {
    let mut server = Server::start(&[]);
    let host = server.host.clone();
    let subscriber = server.subscriber(&["--tags", "a"]);
    server.running.signal("TERM");
    server.running.end();
    subscriber.says("connection lost");
    let server = Server::at(&format!("tcp://{host}"), &[]);
    subscriber.says("connected again");
    server.mist(&["publish", "--tags", "a", "back"]).success();
    assert_eq!(subscriber.line(), "back");
}

#[test]
fn a_revoked_subscription_ends_with_the_reason() {
    let server = Server::start(&[
        "--authenticator",
        "memory://",
        "--token",
        "top",
        "--access",
        "scoped",
    ]);
    server
        .mist(&["token", "add", "t", "--tags", "a", "--token", "top"])
        .success();
    let mut subscriber = server.subscriber(&["--tags", "a", "--token", "t"]);
    server
        .mist(&["token", "rm", "t", "--token", "top"])
        .success();
    assert_eq!(subscriber.end().code(), Some(4));
    let said = rest(&subscriber.stderr).join("\n");
    assert!(said.contains("[a]"), "{said}");
}

/// A subscriber to the tag `a` whose stdout is for programs.
fn for_programs(server: &Server, arguments: &[&str]) -> Process {
    let mut command = command();
    command.env("MIST_HOST", &server.host).args(["sub", "a"]);
    let subscriber = start(&mut command, arguments);
    subscriber.says("Listening on tags '[a]'");
    subscriber
}

#[test]
fn a_format_says_what_is_printed() {
    let server = Server::start(&[]);
    let arguments = ["-F", r"{tags}\t{data:json} {{}}", "-n", "1"];
    let subscriber = for_programs(&server, &arguments);
    server
        .mist(&["pub", "b", "a", "--", "two\nlines"])
        .success();
    let printed = rest(&subscriber.stdout);
    assert_eq!(printed, ["a,b\t\"two\\nlines\" {}"]);
    for (format, word) in [("{tag}", "{time}, {tags} or {data}"), ("{data", "{{")] {
        let said = stderr(&mist(&["sub", "a", "-F", format]).code(2));
        assert!(said.contains(word), "{said}");
    }
    for other in [&["-o", "json"][..], &["--timestamps"], &["--exec", "true"]] {
        mist(&[&["sub", "a", "-F", "{data}"], other].concat()).code(2);
    }
}

#[test]
fn quiet_leaves_the_messages_alone() {
    let server = Server::start(&[]);
    let mut command = command();
    command.env("MIST_HOST", &server.host);
    let mut subscriber = start(&mut command, &["sub", "-q", "a", "-n", "1"]);
    // Nothing says when it is there, except that somebody gets the message.
    let deadline = Instant::now() + PATIENCE;
    while stderr(&server.mist(&["pub", "a", "--ack", "--", "x"])) == "delivered: 0\n" {
        assert!(Instant::now() < deadline, "it does not subscribe");
    }
    assert_eq!(rest(&subscriber.stdout), ["x"]);
    assert_eq!(subscriber.end().code(), Some(0));
    assert_eq!(rest(&subscriber.stderr), [""; 0]);
}

#[test]
fn silence_ends_it_and_each_message_puts_that_off() {
    let server = Server::start(&[]);
    let mut subscriber = for_programs(&server, &["--idle", "0.2", "-o", "raw"]);
    let start = Instant::now();
    // For longer than may pass without a message.
    let mut sent = 0;
    while start.elapsed() < Duration::from_millis(600) {
        server.mist(&["pub", "a", "--", "x\n"]).success();
        sent += 1;
    }
    let status = subscriber.child.wait().expect("it was started");
    assert_eq!(status.code(), Some(124));
    assert_eq!(rest(&subscriber.stdout).len(), sent);
    mist(&["sub", "a", "--idle", "0"]).code(2);
}

#[cfg(unix)]
#[test]
fn a_command_is_run_for_each_message_and_may_fail() {
    let server = Server::start(&[]);
    let script = r#"read -r line; echo "$MIST_TAGS: $line"; test "$line" != bad || exit 3"#;
    let mut subscriber = for_programs(&server, &["-n", "3", "--exec", script]);
    for data in ["one", "bad", "three"] {
        server.mist(&["pub", "b", "a", "--", data]).success();
    }
    let printed = rest(&subscriber.stdout);
    assert_eq!(printed, ["a,b: one", "a,b: bad", "a,b: three"]);
    assert_eq!(subscriber.end().code(), Some(0));
    let said = rest(&subscriber.stderr);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].contains("a,b: exit status: 3"),
        "the one that failed: {said:?}"
    );
}

/// A command that began before the time was up has its message whole.
#[test]
fn a_command_gets_its_message_whole_when_the_wait_runs_out() {
    let server = Server::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    // It reads only once the wait has run out.
    let script = r#": > begun; while ! test -e go; do :; done; wc -c"#;
    let mut command = command();
    command
        .current_dir(folder.path())
        .env("MIST_HOST", &server.host)
        .args(["sub", "a", "-W", "1", "--exec", script]);
    let mut subscriber = start(&mut command, &[]);
    subscriber.says("Listening");
    let data = "x".repeat(100_000);
    server.mist(&["pub", "a", "--", &data]).success();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !folder.path().join("begun").exists() {
                std::thread::yield_now();
            }
            // Longer than the wait.
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(1500) {
                std::thread::yield_now();
            }
            std::fs::write(folder.path().join("go"), "").expect("written");
        });
        assert_eq!(rest(&subscriber.stdout), ["100000"]);
    });
    assert_eq!(subscriber.end().code(), Some(124));
}

#[test]
fn commands_run_at_once_as_many_as_may() {
    let server = Server::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    // Each waits for the file of the other.
    let script = r#"read -r own other; : > "$own"; until test -e "$other"; do :; done; echo met"#;
    let mut command = command();
    command
        .current_dir(folder.path())
        .env("MIST_HOST", &server.host)
        .args(["sub", "a", "-n", "2", "--exec-jobs", "2", "--exec", script]);
    let subscriber = start(&mut command, &[]);
    subscriber.says("Listening");
    server.mist(&["pub", "a", "--", "x y"]).success();
    server.mist(&["pub", "a", "--", "y x"]).success();
    assert_eq!(rest(&subscriber.stdout), ["met", "met"]);
}

#[test]
fn a_command_that_does_not_read_gets_a_large_message_all_the_same() {
    let server = Server::start(&[]);
    let subscriber = for_programs(&server, &["-n", "1", "--exec", "echo done"]);
    let large = "x".repeat(1 << 20);
    assert_cmd::Command::from_std(command())
        .args(["pub", "a", "--host", &server.host])
        .write_stdin(large)
        .assert()
        .success();
    assert_eq!(rest(&subscriber.stdout), ["done"]);
    assert_eq!(rest(&subscriber.stderr), [""; 0]);
}
