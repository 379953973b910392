//! The commands that ask a server one question, and how each way of failing ends.

use super::*;

const TOKEN: &[&str] = &["--authenticator", "memory://", "--token", "top"];

#[test]
fn ping_prints_pong() {
    let server = Server::start(&[]);
    server.mist(&["ping"]).success().stdout("pong\n").stderr("");
}

#[test]
fn ping_works_over_websocket() {
    let server = Server::at("ws://127.0.0.1:0", &[]);
    let uri = format!("ws://{}", server.host);
    mist(&["ping", "--host", &uri]).success().stdout("pong\n");
}

#[test]
fn the_flag_wins_over_the_variable() {
    let server = Server::start(&[]);
    let mut command = command();
    command.env("MIST_HOST", "127.0.0.1:1");
    run(&mut command, &["ping", "--host", &server.host]).success();
}

#[test]
fn no_server_is_exit_code_3() {
    let host = format!("127.0.0.1:{}", free_port());
    for arguments in [
        &["ping"][..],
        &["listall"],
        &["list"],
        &["who"],
        &["subscribe", "--tags", "a"],
        &["publish", "--tags", "a", "--data", "x"],
        &["token", "tags", "t"],
    ] {
        let assert = run(command().env("MIST_HOST", &host), arguments).code(3);
        let error = stderr(&assert);
        assert!(
            error.starts_with(&format!(
                "Failed to connect to '{host}' - connection refused"
            )),
            "{error}"
        );
        assert_eq!(error.lines().count(), 1, "said once: {error}");
        assert_eq!(stdout(&assert), "");
    }
}

#[test]
fn an_unsupported_scheme_is_named() {
    let assert = mist(&["ping", "--host", "udp://127.0.0.1:1"]).code(2);
    let known = "not one of http://, https://, tcp://, tls://, unix://, ws://, wss://";
    assert!(stderr(&assert).contains(known));
}

#[test]
fn the_address_of_the_page_is_one_to_talk_to() {
    let server = Server::at("http://127.0.0.1:0", &[]);
    let page = server.running.says("the page is at ");
    let (_, uri) = page.split_once("the page is at ").expect("it is there");
    mist(&["ping", "--host", uri]).success().stdout("pong\n");
}

#[test]
fn a_wrong_address_is_named_as_it_was_given_and_without_secrets() {
    for (host, shown, word) in [
        ("::1", "'::1'", "brackets"),
        ("1445", "'1445'", "HOST:1445"),
        ("localhost:port", "'localhost:port'", "'port' is not a port"),
        ("tcp://me:hush@localhost", "'tcp://…@localhost'", "'@'"),
        (
            "tcp://localhost?token=hush",
            "'tcp://localhost?…'",
            "no path and no query",
        ),
        (
            "ws://localhost:x?x-auth-token=hush",
            "'ws://localhost:x?…'",
            "'x' is not a port",
        ),
    ] {
        let assert = mist(&["ping", "--host", host]).code(2);
        let error = stderr(&assert);
        assert!(error.contains(shown) && error.contains(word), "{error}");
        assert!(!error.contains("hush"), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    let port = free_port();
    let host = format!("ws://localhost:{port}?x-auth-token=hush");
    let error = stderr(&mist(&["ping", "--host", &host]).code(3));
    assert!(error.contains(&format!("localhost:{port}?…")), "{error}");
    assert!(!error.contains("hush"), "{error}");
}

#[test]
fn listall_lists_the_tags_of_all_subscriptions() {
    let server = Server::start(&[]);
    for name in ["listall", "list"] {
        let assert = server.mist(&[name]).success();
        assert_eq!(
            stdout(&assert),
            format!("No subscribers connected to mist at '{}'\n", server.host)
        );
    }
    let _one = server.subscriber(&["--tags", "b,a"]);
    let _other = server.subscriber(&["--tags", "c,a"]);
    for name in ["listall", "list"] {
        server
            .mist(&[name])
            .success()
            .stdout("Subscribers are subscribing on the following tags: a b c\n");
    }
}

#[test]
fn who_prints_its_two_lines() {
    let server = Server::start(&[]);
    let _subscriber = server.subscriber(&["--tags", "a"]);
    server
        .mist(&["who"])
        .success()
        .stdout("Lifetime  connections: 2\nSubscribers connected: 1\n");
}

#[test]
fn admin_commands_need_the_token() {
    let server = Server::start(TOKEN);
    for arguments in [
        &["token", "add", "t", "--tags", "a"][..],
        &["token", "add", "t", "--tags", "a", "--token", "wrong"],
        &["token", "tags", "t"],
        &["token", "rm", "t"],
    ] {
        let assert = server.mist(arguments).code(4);
        let error = stderr(&assert);
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(error.contains("not authorized"), "{error}");
        assert!(!error.contains("wrong"), "{error}");
        assert_eq!(stdout(&assert), "");
    }
}

#[test]
fn a_wrong_token_is_refused_whatever_is_asked() {
    let server = Server::start(TOKEN);
    for arguments in [
        &["ping"][..],
        &["who"],
        &["listall"],
        &["subscribe", "--tags", "a"],
        &["publish", "--tags", "a", "x"],
    ] {
        let arguments = [arguments, &["--token", "wrong"]].concat();
        let assert = server.mist(&arguments).code(4);
        assert_eq!(stdout(&assert), "");
        assert_eq!(stderr(&assert).lines().count(), 1);
    }
}

#[test]
fn a_server_without_authenticator_has_no_admin_commands() {
    let server = Server::start(&[]);
    let assert = server.mist(&["token", "tags", "t"]).code(5);
    assert!(stderr(&assert).contains("--authenticator"));
}

#[test]
fn the_token_may_come_from_a_file_or_the_environment() {
    let server = Server::start(TOKEN);
    let file = tempfile::NamedTempFile::new().expect("temporary file");
    std::fs::write(file.path(), "top\n").expect("write");
    let path = file.path().to_str().expect("UTF-8");
    server
        .mist(&["token", "rm", "t", "--token-file", path])
        .success();
    for (variable, value) in [("MIST_TOKEN", "top"), ("MIST_TOKEN_FILE", path)] {
        let mut command = command();
        command.env("MIST_HOST", &server.host).env(variable, value);
        run(&mut command, &["token", "rm", "t"]).success();
    }
}
