//! `mist token`.

use super::*;
use crate::stores::{Home, Kind};

#[test]
fn tokens_live_from_add_to_rm() {
    let server = Server::start(&["--authenticator", "memory://", "--token", "top"]);
    let token = |arguments: &[&str]| {
        let arguments = [&["token", "--token", "top"], arguments].concat();
        server.mist(&arguments)
    };
    token(&["add", "t", "--tags", "b,a"])
        .success()
        .stdout("success\n");
    token(&["tags", "t"]).success().stdout("a\nb\n");
    token(&["set", "t", "--tags", "c"])
        .success()
        .stdout("success\n");
    token(&["unset", "t", "--tags", "a"])
        .success()
        .stdout("success\n");
    token(&["tags", "t"]).success().stdout("b\nc\n");
    let assert = token(&["add", "t", "--tags", "x"]).code(5);
    assert!(stderr(&assert).contains("Token already exists"));
    token(&["rm", "t"]).success().stdout("success\n");
    let assert = token(&["tags", "t"]).code(5);
    assert!(stderr(&assert).contains("Token not found"));
}

#[test]
fn rights_and_ends_are_kept_by_every_store() {
    let mut uris = vec!["memory://".to_owned()];
    let homes: Vec<_> = [Kind::Sqlite, Kind::Scribble, Kind::Postgres]
        .into_iter()
        .filter_map(Home::new)
        .collect();
    uris.extend(homes.iter().map(Home::uri));
    for uri in uris {
        let arguments = ["--authenticator", &uri, "--token", "top"];
        let mut server = Server::start(&arguments);
        let token = |server: &Server, arguments: &[&str]| {
            server.mist(&[&["token", "--token", "top"], arguments].concat())
        };
        let add = ["add", "t", "a", "b", "--rights", "subscribe"];
        token(&server, &add).success();
        token(&server, &["set", "t", "c", "--rights", "publish"]).success();
        token(&server, &["set", "t", "b", "d"]).success();
        token(&server, &["unset", "t", "d", "--rights", "subscribe"]).success();
        token(&server, &["set", "t", "--ttl", "1h"]).success();
        token(&server, &["set", "t", "e"]).success();
        if uri != "memory://" {
            server = Server::start(&arguments);
        }
        let plain = "a\tsubscribe\nb\nc\tpublish\nd\tpublish\ne\n";
        token(&server, &["tags", "t"]).success().stdout(plain);
        let assert = token(&server, &["tags", "t", "-o", "json"]).success();
        let answer: serde_json::Value =
            serde_json::from_slice(&assert.get_output().stdout).expect("it is JSON");
        assert_eq!(answer["subscribe"], serde_json::json!(["a", "b", "e"]));
        assert_eq!(answer["publish"], serde_json::json!(["b", "c", "d", "e"]));
        let left = answer["expires_in"].as_u64().expect("it ends");
        assert!((1..=3_600).contains(&left), "{uri}: {left}");
        let assert = token(&server, &["add", "u", "$both:a"]).code(5);
        assert!(stderr(&assert).contains("reserved"), "{uri}");
    }
}

#[test]
fn tokens_are_listed_and_ended() {
    for (kind, shown, field) in [
        (Kind::Memory, r"desk\tx", r#""token":"desk\tx""#),
        // The first digits of its SHA-256.
        (
            Kind::Sqlite,
            "sha256:c2b1ef52f7d0",
            r#""sha256":"c2b1ef52f7d0"#,
        ),
    ] {
        let home = Home::new(kind).expect("it needs nothing");
        let (uri, token) = (home.uri(), "desk\tx");
        let server = Server::start(&[
            "--authenticator",
            &uri,
            "--token",
            "top",
            "--access",
            "scoped",
        ]);
        let tokens = |arguments: &[&str]| {
            let arguments = [&["token", "--token", "top"], arguments].concat();
            server.mist(&arguments)
        };
        tokens(&["list"]).success().stdout("");
        tokens(&["add", token, "b", "a"]).success();
        let mut reader = server.subscriber(&["--tags", "a", "--token", token]);
        tokens(&["set", token, "c", "--rights", "publish"]).success();
        let width = shown.len();
        tokens(&["list"]).success().stdout(format!(
            "{:width$}  CONNECTIONS  ENDS IN  TAGS\n{shown}  1            never    a, b, c (publish only)\n",
            "TOKEN"
        ));
        tokens(&["list", "-q"])
            .success()
            .stdout(format!("{shown}  1  never  a, b, c (publish only)\n"));
        let listed = stdout(&tokens(&["list", "-o", "json"]).success());
        for part in [field, r#""connections":1"#, r#""publish":["a","b","c"]"#] {
            assert!(listed.contains(part), "{listed}");
        }
        let assert = tokens(&["end", "desk"]).code(5);
        assert!(stderr(&assert).contains("Token not found"));
        // A token that was lost is known by the name in the list alone.
        let name = if kind == Kind::Sqlite { shown } else { token };
        tokens(&["tags", name])
            .success()
            .stdout("a\nb\nc\tpublish\n");
        tokens(&["end", name]).success().stdout("success\n");
        tokens(&["list"]).success().stdout("");
        assert_eq!(reader.end().code(), Some(4));
    }
}

#[test]
fn a_name_in_the_list_stands_for_one_token() {
    let home = Home::new(Kind::Sqlite).expect("it needs nothing");
    let server = Server::start(&["--authenticator", &home.uri(), "--token", "top"]);
    let tokens =
        |arguments: &[&str]| server.mist(&[&["token", "--token", "top"], arguments].concat());
    // Their hashes begin alike.
    for token in ["desk-158", "desk-303"] {
        tokens(&["add", token, "a"]).success();
    }
    let assert = tokens(&["end", "sha256:45cd"]).code(2);
    let text = stderr(&assert);
    for part in [
        "sha256:45cd5584c123",
        "sha256:45cd6d4380e7",
        "write more digits",
    ] {
        assert!(text.contains(part), "{text}");
    }
    tokens(&["set", "sha256:45cd5584c123", "--ttl", "1h"]).success();
    tokens(&["unset", "sha256:45cd6d4380e7", "a"]).success();
    tokens(&["tags", "desk-303"]).success().stdout("");
    let json = |assert: &Assert| serde_json::from_str::<serde_json::Value>(&stdout(assert));
    let tags = json(&tokens(&["tags", "desk-158", "-o", "json"]).success()).expect("JSON");
    assert!(tags["expires_in"].as_u64() > Some(3_000), "{tags}");
    tokens(&["set", "sha256:45cd5584c123", "--ttl", "never"]).success();
    tokens(&["rm", "sha256:45cd6d4380e7"]).success();
    tokens(&["tags", "desk-158", "-o", "json"])
        .success()
        .stdout("{\"tags\":[\"a\"]}\n");
    let assert = tokens(&["end", "sha256:45cd6d4380e7"]).code(5);
    assert!(stderr(&assert).contains("Token not found"));
    let assert = tokens(&["add", "sha256:45cd6d4380e7", "a"]).code(2);
    assert!(stderr(&assert).contains("not its hash"));

    let server = Server::start(&["--authenticator", "memory://", "--token", "top"]);
    let tokens =
        |arguments: &[&str]| server.mist(&[&["token", "--token", "top"], arguments].concat());
    tokens(&["add", "t", "a"]).success();
    let assert = tokens(&["end", "sha256:0000"]).code(2);
    assert!(stderr(&assert).contains("keeps the tokens themselves"));
}

#[test]
fn two_servers_share_a_store() {
    for kind in [Kind::Sqlite, Kind::Scribble, Kind::Postgres] {
        let Some(home) = Home::new(kind) else {
            continue;
        };
        let uri = home.uri();
        let arguments = ["--authenticator", &uri, "--token", "top"];
        let mut servers = [Server::start(&arguments), Server::start(&arguments)];
        std::thread::scope(|scope| {
            for (name, server) in ["a", "b"].iter().zip(&mut servers) {
                scope.spawn(move || {
                    for number in 0..10 {
                        let token = format!("{name}{number}");
                        let add = ["token", "add", &token, "--tags", "x", "--token", "top"];
                        server.mist(&add).success();
                    }
                });
            }
        });
        for (name, server) in ["b", "a"].iter().zip(&servers) {
            for number in 0..10 {
                let token = format!("{name}{number}");
                let tags = ["token", "tags", &token, "--token", "top"];
                server.mist(&tags).success().stdout("x\n");
            }
        }
    }
}

#[test]
fn the_log_says_when_a_store_fails_and_when_it_works_again() {
    let home = Home::new(Kind::Scribble).expect("it needs nothing");
    let server = Server::start(&["--authenticator", &home.uri(), "--token", "top"]);
    let file = home.folder.path().join("tokens/hush.json");
    std::fs::write(file, "{").expect("written");
    let tags = |token: &str| server.mist(&["token", "tags", token, "--token", "top"]);
    for _ in 0..3 {
        assert!(stderr(&tags("hush").code(5)).contains("is damaged at line 1"));
    }
    tags("other").code(5);
    let failure = server.running.says("Token store unavailable");
    assert!(
        failure.contains("ERROR") && failure.contains("is damaged at line 1"),
        "{failure}"
    );
    assert!(!failure.contains("hush"), "{failure}");
    let next = server.running.stderr.recv_timeout(PATIENCE);
    let next = next.expect("a line");
    assert!(next.contains("the token store works again"), "{next}");
}

#[test]
fn a_token_of_several_lines_on_stdin_is_a_slip() {
    let server = Server::start(&["--authenticator", "memory://", "--token", "top"]);
    for (text, code) in [("one\ntwo\n", 2), ("\u{feff}one \r\n\n", 0)] {
        let mut adding = assert_cmd::Command::from_std(command());
        adding.env("MIST_HOST", &server.host).write_stdin(text);
        let assert = adding
            .args(["token", "add", "-", "--tags", "a", "--token", "top"])
            .assert()
            .code(code);
        let said = stderr(&assert);
        assert_eq!(said.contains("several lines"), code == 2, "{said}");
    }
    let assert = server.mist(&["token", "tags", "one", "--token", "top"]);
    assert.success().stdout("a\n");
}

#[test]
fn the_token_may_come_from_stdin() {
    let server = Server::start(&["--authenticator", "memory://", "--token", "top"]);
    assert_cmd::Command::from_std(command())
        .args(["token", "add", "-", "--tags", "a", "--token", "top"])
        .args(["--host", &server.host])
        .write_stdin("from stdin\n")
        .timeout(PATIENCE)
        .assert()
        .success();
    server
        .mist(&["token", "tags", "from stdin", "--token", "top"])
        .success()
        .stdout("a\n");
}

#[test]
fn slips_are_caught_before_a_server_is_asked() {
    let assert = mist(&["token", "add", "t"]).code(2);
    assert_eq!(
        stderr(&assert),
        "Unable to register - Missing tags: write them behind the token\n"
    );
    for name in ["set", "unset"] {
        mist(&["token", name, "t"]).code(2);
    }
    let assert = mist(&["token", "add", "t", "a", "--ttl", "15"]).code(2);
    assert!(stderr(&assert).contains("write 90s, 15m, 12h or 30d, or never"));
    let assert = mist(&["token", "rm", ""]).code(2);
    assert!(stderr(&assert).contains("Missing token"));
    mist(&["token", "rm"]).code(2);
}

#[test]
fn generated_tokens_are_long_and_never_the_same() {
    let one = stdout(&mist(&["token", "gen"]).success());
    let other = stdout(&mist(&["token", "gen"]).success());
    assert_ne!(one, other);
    let token = one.strip_suffix('\n').expect("one line");
    assert!(token.len() >= 43, "{token}");
    assert!(
        token
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)),
        "{token} works as a file name and in a shell"
    );
    assert!(!token.starts_with('-'));
}
