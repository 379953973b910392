//! Server mode: what it says when it starts, and how it ends.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::*;

#[test]
fn every_listener_is_named_with_its_real_port() {
    let server = start(
        &mut command(),
        &[
            "--server",
            "--log-level",
            "error",
            "--listeners",
            "tcp://127.0.0.1:0,",
            "http://127.0.0.1:0,",
            "ws://127.0.0.1:0",
        ],
    );
    let version = server.says("mist ");
    assert!(version.starts_with(concat!("mist ", env!("CARGO_PKG_VERSION"), " (")));
    for scheme in ["tcp", "http", "ws"] {
        let name = scheme.to_uppercase();
        let line = server.says(&name);
        let port = line
            .strip_prefix(&format!(
                "{name} server listening at '{scheme}://127.0.0.1:"
            ))
            .and_then(|rest| rest.strip_suffix('\''))
            .expect(&line);
        assert!(port.parse::<u16>().expect("a port") > 0);
    }
}

#[test]
fn serve_is_a_command_as_well() {
    for words in [&["serve"][..], &["server"], &["--server", "serve"]] {
        let mut command = command();
        command.args(words);
        let mut server = start(&mut command, &["--listeners", TCP]);
        server.says("TCP server listening at 'tcp://127.0.0.1:");
        server.signal("TERM");
        assert_eq!(server.end().code(), Some(0));
    }
    let said = stderr(&mist(&["--config", "x", "serve"]).code(2));
    assert!(said.contains("`mist serve --config …`"), "{said}");
}

/// Starts a server that may open so many files; returns what it says up to its listener.
#[cfg(target_os = "linux")]
fn start_with_files(files: u32, arguments: &[&str]) -> Vec<String> {
    let mut limited = clean("prlimit");
    limited.args([
        &format!("--nofile={files}:{files}"),
        env!("CARGO_BIN_EXE_mist"),
    ]);
    let server = start(limited.args(["--server", "--listeners", TCP]), arguments);
    let mut said = Vec::new();
    while said
        .last()
        .is_none_or(|line: &String| !line.contains("listening at"))
    {
        said.push(server.stderr.recv_timeout(PATIENCE).expect("it starts"));
    }
    said
}

#[cfg(target_os = "linux")]
#[test]
fn an_ordinary_start_says_nothing_about_limits() {
    let said = start_with_files(4096, &[]);
    assert_eq!(said.len(), 2, "its version and its listener: {said:?}");
    // Who asked for something, or gets very little, is told.
    for (files, arguments, told) in [
        (
            4096,
            &["--limit", "connections=5000"][..],
            "at most 4032 connections instead of 5000",
        ),
        (1000, &[], "at most 936 connections"),
        (
            4096,
            &["--limit", "outbox-total-bytes=1000000000000000"],
            "(outbox-total-bytes)",
        ),
    ] {
        let said = start_with_files(files, arguments);
        let is_told = |line: &String| line.contains("WARN") && line.contains(told);
        assert!(said.iter().any(is_told), "{said:?}");
    }
}

#[test]
fn the_start_says_where_the_page_is() {
    fn port(line: &str) -> Option<&str> {
        line.trim_end_matches(['/', '\'']).rsplit(':').next()
    }
    for (listeners, door, host) in [
        ("ws://127.0.0.1:0,http://127.0.0.1:0", "HTTP", "127.0.0.1"),
        ("tcp://127.0.0.1:0,ws://127.0.0.1:0", "WS", "127.0.0.1"),
        ("http://0.0.0.0:0", "HTTP", "localhost"),
    ] {
        let server = start(&mut command(), &["--server", "--listeners", listeners]);
        let listening = server.says(&format!("{door} server listening at"));
        let page = server.says("the page is at http://");
        assert!(page.contains(&format!("//{host}:")), "{page}");
        assert!(page.ends_with('/'), "{page}");
        assert_eq!(port(&page), port(&listening), "{page}");
    }
}

/// The status of a page's request.
fn status(place: &str, target: &str) -> String {
    let mut stream = TcpStream::connect(place).expect("it listens");
    let request = format!("GET {target} HTTP/1.1\r\nHost: {place}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("taken");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    answer.split(' ').nth(1).expect("a status").to_owned()
}

#[test]
fn page_and_metrics_can_be_switched_off_by_flag_variable_and_file() {
    let config = tempfile::Builder::new().suffix(".yml").tempfile();
    let config = config.expect("temporary file");
    std::fs::write(config.path(), "no-page: true\nno-metrics: true\n").expect("write");
    let config = config.path().to_str().expect("UTF-8");
    let serve = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = command();
        command.args(["--server", "--listeners", "http://127.0.0.1:0"]);
        let server = start(command.envs(variables.iter().copied()), arguments);
        let line = server.says("server listening at");
        let place = line.split("://").nth(1).expect("a URI");
        let place = place.trim_end_matches('\'').to_owned();
        assert_eq!(status(&place, "/ping"), "200");
        let statuses = (status(&place, "/"), status(&place, "/metrics"));
        server.signal("TERM");
        let said = rest(&server.stderr);
        let is_told = said.iter().any(|line| line.contains("the page is at"));
        assert_eq!(is_told, statuses.0 == "200", "{said:?}");
        statuses
    };
    let both = |page: &str, metrics: &str| (page.to_owned(), metrics.to_owned());
    assert_eq!(serve(&[], &[]), both("200", "200"));
    assert_eq!(serve(&["--no-page"], &[]), both("426", "200"));
    assert_eq!(serve(&["--no-metrics"], &[]), both("200", "404"));
    assert_eq!(serve(&["--config", config], &[]), both("426", "404"));
    let variables = [("MIST_NO_PAGE", "true"), ("MIST_NO_METRICS", "1")];
    assert_eq!(serve(&[], &variables), both("426", "404"));
    let printed = stdout(&mist(&["check-config", config]).success());
    assert!(printed.contains("no-page: true  # "), "{printed}");
    assert!(printed.contains("no-metrics: true  # "), "{printed}");
}

#[test]
fn operators_have_a_listener_by_flag_variable_and_file() {
    let config = tempfile::Builder::new().suffix(".toml").tempfile();
    let config = config.expect("temporary file");
    let uri = "http://127.0.0.1:0";
    std::fs::write(config.path(), format!("operator-listener = [\"{uri}\"]\n")).expect("write");
    let config = config.path().to_str().expect("UTF-8");
    for (arguments, variables) in [
        (&["--operator-listener", uri][..], &[][..]),
        (&["--config", config], &[]),
        (&[], &[("MIST_OPERATOR_LISTENER", uri)]),
    ] {
        let mut command = command();
        command.args(["--server", "--listeners", uri]);
        let server = start(command.envs(variables.iter().copied()), arguments);
        let place = |line: String| {
            let place = line.split("://").nth(1).expect("a URI");
            place.trim_end_matches('\'').to_owned()
        };
        let clients = place(server.says("server listening at"));
        let operators = place(server.says("operators are answered at"));
        for target in ["/metrics", "/healthz", "/readyz"] {
            let both = (status(&clients, target), status(&operators, target));
            assert_eq!(both, ("404".to_owned(), "200".to_owned()), "{target}");
        }
    }
    let printed = stdout(&mist(&["check-config", config]).success());
    assert!(
        printed.contains("operator-listener: [\"http://127.0.0.1:0\"]  # "),
        "{printed}"
    );
    for wrong in ["ws://127.0.0.1:0", "smoke://127.0.0.1:0"] {
        let refused = mist(&["--server", "--operator-listener", wrong]).failure();
        let said = stderr(&refused);
        assert!(said.contains(wrong) && said.contains("http://"), "{said}");
    }
}

#[test]
fn a_proxy_that_does_not_name_its_clients_is_named_once() {
    let arguments = ["--trusted-proxies", "127.0.0.0/8"];
    let server = Server::at("http://127.0.0.1:0", &arguments);
    let publish = |header: &str| {
        let mut stream = TcpStream::connect(&server.host).expect("it listens");
        let request = format!(
            "POST /publish?tags=a HTTP/1.1\r\nHost: localhost\r\n{header}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("taken");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("text");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    };
    publish("X-Forwarded-For: 192.0.2.1");
    publish("X-Real-IP: 192.0.2.1");
    publish("X-Forwarded-For: unknown");
    publish("Forwarded: for=_hidden");
    server.running.signal("TERM");
    let said = rest(&server.running.stderr);
    let notes: Vec<_> = said
        .iter()
        .filter(|line| line.contains("does not name its clients"))
        .collect();
    assert_eq!(notes.len(), 1, "{said:?}");
    assert!(
        notes[0].contains("WARN") && notes[0].contains("proxy=127.0.0.1"),
        "{notes:?}"
    );
}

#[test]
fn listeners_may_be_given_in_several_ways() {
    for (arguments, count) in [
        (
            &["--listeners", "tcp://127.0.0.1:0 , tcp://127.0.0.1:0"][..],
            2,
        ),
        (&["--listeners", TCP, "--listeners", TCP], 2),
        (
            &["--listeners", TCP, TCP, "--listeners=tcp://127.0.0.1:0,"],
            3,
        ),
    ] {
        let mut command = command();
        command.arg("--server");
        let server = start(&mut command, arguments);
        for _ in 0..count {
            server.says("TCP server listening at");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_termination_or_interrupt_is_a_clean_end() {
    for name in ["TERM", "INT"] {
        let mut server = Server::start(&[]);
        server.running.signal(name);
        assert_eq!(server.running.end().code(), Some(0), "{name}");
        server.running.says("stopping");
    }
}

#[test]
fn a_start_that_waits_for_its_token_store_can_be_ended() {
    // Takes connections, and never says a word.
    let store = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let uri = format!(
        "postgres://me:secret@{}?db=mist",
        store.local_addr().expect("bound")
    );
    let arguments = [
        "--server",
        "--listeners",
        TCP,
        "--token",
        "x",
        "--authenticator",
    ];
    let mut server = start(command().args(arguments), &[&uri]);
    let _asking = store.accept().expect("it asks the store");
    server.signal("TERM");
    assert_eq!(server.end().code(), Some(0));
}

#[test]
fn a_port_in_use_ends_the_start() {
    let server = Server::start(&[]);
    for scheme in ["tcp", "ws"] {
        let uris = format!("{TCP},{scheme}://{}", server.host);
        let assert = mist(&["--server", "--listeners", &uris]).code(1);
        let said = stderr(&assert);
        let errors: Vec<_> = said
            .lines()
            .filter(|line| line.contains("in use"))
            .collect();
        assert_eq!(errors.len(), 1, "{said}");
        assert!(errors[0].contains(&server.host), "{said}");
        assert!(!said.contains("server listening"), "{said}");
    }
}

#[test]
fn an_authenticator_needs_a_token() {
    let assert = mist(&[
        "--server",
        "--listeners",
        TCP,
        "--authenticator",
        "memory://",
    ])
    .code(2);
    let said = stderr(&assert);
    assert!(said.contains("MIST_TOKEN_FILE"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn an_unknown_authenticator_is_refused() {
    let assert = mist(&[
        "--server",
        "--listeners",
        TCP,
        "--authenticator",
        "nope://x",
        "--token",
        "top",
    ])
    .code(2);
    assert!(stderr(&assert).contains("nope"));
}

#[test]
fn a_token_alone_is_a_warning() {
    let server = start(
        &mut command(),
        &["--server", "--listeners", TCP, "--token", "s3cret"],
    );
    let line = server.says("without an authenticator");
    assert!(
        line.contains("WARN") && line.contains("admin commands"),
        "{line}"
    );
    assert!(
        !line.contains("s3cret") && !line.contains('\u{1b}'),
        "{line}"
    );
    server.says("TCP server listening at");
}

#[test]
fn an_unsupported_scheme_is_skipped_unless_nothing_is_left() {
    let mut running = start(
        &mut command(),
        &["--server", "--listeners", "nope://x", TCP],
    );
    let line = running.says("nope");
    assert!(line.contains("ERROR") && line.contains("tcp"), "{line}");
    running.says("TCP server listening at");
    running.signal("TERM");
    assert_eq!(running.end().code(), Some(0));
    mist(&["--server", "--listeners", "nope://x"]).code(2);
}

#[test]
fn a_limit_holds() {
    let server = Server::start(&[
        "--limit",
        "message-bytes=200",
        "--limit",
        "tags-per-message=2,nesting=4",
    ]);
    let assert = server.mist(&["publish", "--tags", "a,b,c", "x"]).code(5);
    assert!(stderr(&assert).contains("tags-per-message"));
}

#[test]
fn a_second_signal_ends_a_drain_at_once() {
    use std::io::Write;
    let mut server = Server::start(&[]);
    // A subscriber that never reads keeps the drain busy.
    let mut deaf = TcpStream::connect(&server.host).expect("connected");
    deaf.write_all(b"{\"command\":\"subscribe\",\"tags\":[\"a\"]}\n{\"command\":\"ping\"}\n")
        .expect("sent");
    let mut pong = [0];
    deaf.read_exact(&mut pong).expect("subscribed");
    let data = "x".repeat(100_000);
    let publisher = server.mist(&["publish", "--tags", "a", "--count", "300", &data]);
    publisher.success();
    server.running.signal("TERM");
    server.running.says("stopping");
    server.running.signal("TERM");
    assert_eq!(server.running.end().code(), Some(130));
}

/// The program with a bound on the files it may open.
#[cfg(target_os = "linux")]
fn with_files(count: u32) -> Command {
    let own = command();
    let mut confined = Command::new("prlimit");
    confined.arg(format!("--nofile={count}:{count}"));
    for (name, value) in own.get_envs() {
        match value {
            Some(value) => confined.env(name, value),
            None => confined.env_remove(name),
        };
    }
    confined.arg(own.get_program());
    confined
}

#[cfg(target_os = "linux")]
#[test]
fn with_too_few_files_for_a_server_it_does_not_start() {
    for count in [30, 79] {
        let mut confined = with_files(count);
        let output = confined
            .args(["--server", "--listeners", TCP])
            .output()
            .expect("prlimit is installed");
        assert_eq!(output.status.code(), Some(1), "{count}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let words = [format!(" {count} "), "ulimit -n".into(), " 80 ".into()];
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
        assert!(!said.contains("listening"), "{said}");
    }
    // With a few more there is room for clients.
    let running = start(&mut with_files(80), &["--server", "--listeners", TCP]);
    let line = running.says("server listening at");
    let host = line.split('\'').nth(1).expect("a URI");
    mist(&["ping", "--host", host]).success();
}

#[cfg(unix)]
#[test]
fn a_hangup_never_ends_a_server() {
    for arguments in [
        &["--log-level", "info"][..],
        &["--listeners", "tls://127.0.0.1:0"],
    ] {
        let mut server = Server::start(arguments);
        server.running.signal("HUP");
        let line = server.running.says("SIGHUP");
        assert!(
            line.contains("INFO") && line.contains("--tls-cert"),
            "{line}"
        );
        server.mist(&["ping"]).success();
        server.running.signal("TERM");
        assert_eq!(server.running.end().code(), Some(0));
    }
}
