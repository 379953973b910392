//! Secrets stay where they are: at the lowest log level, over every way that a token can come, nothing shows one.

use std::io::Write;
use std::net::{Shutdown, TcpStream};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::*;

/// Every secret of these tests has this in it, in plain or as base64 spells it at either of its three places.
const MARK: &str = "hush-hush";

fn shown(text: &str) -> Option<&str> {
    let mut forms = vec![MARK.to_owned(), MARK.to_uppercase()];
    for before in ["", "-", "--"] {
        let encoded = BASE64_URL_SAFE_NO_PAD.encode(format!("{before}{MARK}"));
        // What the neighbours change at the ends is left out.
        forms.push(encoded[(before.len() * 4).div_ceil(3)..encoded.len() - 1].to_owned());
    }
    // As a slice of bytes is debugged.
    let bytes: Vec<_> = MARK.bytes().map(|byte| byte.to_string()).collect();
    forms.push(bytes.join(", "));
    let mut lines = text.lines();
    lines.find(|line| forms.iter().any(|form| line.contains(form)))
}

fn shows_none(text: &str) {
    assert_eq!(shown(text), None);
}

#[test]
fn what_is_looked_for_would_be_found() {
    for token in [
        "hush-hush",
        "own-hush-hush",
        "wrong-hush-hush!",
        "a HUSH-HUSH",
    ] {
        assert!(shown(&format!("a\nb {token} c\n")).is_some(), "{token}");
        assert!(
            shown(&format!("{:?}", token.to_lowercase().as_bytes())).is_some(),
            "{token}"
        );
    }
    for before in ["", "1", "12", "own-", "wrong-"] {
        let encoded = BASE64_URL_SAFE_NO_PAD.encode(format!("{before}{MARK}{before}"));
        assert!(shown(&encoded).is_some(), "{encoded}");
    }
    assert_eq!(shown("nothing here"), None);
}

/// Sends bytes and reads to the end.
fn talk(address: &str, bytes: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.write_all(bytes.as_bytes()).expect("sent");
    stream.shutdown(Shutdown::Write).expect("a socket");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the server closes");
    String::from_utf8_lossy(&answer).into_owned()
}

/// The HTTP requests that present a token, in every way there is.
fn requests(token: &str) -> Vec<String> {
    let encoded = BASE64_URL_SAFE_NO_PAD.encode(token);
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let ways = [
        ("", format!("X-AUTH-TOKEN: {token}\r\n")),
        ("", format!("x-auth-token: {token}\r\n")),
        ("", format!("Authorization: Bearer {token}\r\n")),
        (
            "",
            format!("Sec-WebSocket-Protocol: mist.v1, mist.bearer.{encoded}\r\n"),
        ),
        ("x-auth-token=", String::new()),
        ("X-AUTH-TOKEN=", String::new()),
    ];
    let mut requests = Vec::new();
    for (query, header) in &ways {
        let query = if query.is_empty() {
            String::new()
        } else {
            format!("{query}{token}")
        };
        let end = format!("Host: localhost\r\n{header}");
        requests.push(format!("GET /?{query} HTTP/1.1\r\n{end}{upgrade}\r\n"));
        requests.push(format!(
            "POST /publish?tags=a&{query} HTTP/1.1\r\n{end}Connection: close\r\nContent-Length: 2\r\n\r\nhi"
        ));
        requests.push(format!(
            "GET /nowhere?{query} HTTP/1.1\r\n{end}Connection: close\r\n\r\n"
        ));
        // What is refused for other reasons, and what is no HTTP, says as little.
        requests.push(format!(
            "GET /?{query} HTTP/1.1\r\n{end}{upgrade}Origin: https://evil.example\r\n\r\n"
        ));
        requests.push(format!(
            "GET /ping?{query} HTTP/1.1\r\nHost: evil.example\r\n{header}Connection: close\r\n\r\n"
        ));
        requests.push(format!("BAD /?{query}\r\n{header}\r\n"));
    }
    requests
}

/// A server's settings that hold its token, and where it is kept.
enum Source {
    Flag,
    Variable,
    TokenFile,
    VariableFile,
    Config,
}

#[test]
fn no_way_to_present_a_token_shows_it() {
    let own = format!("own-{MARK}");
    let kept = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(kept.path(), &own).expect("written");
    let kept = kept.path().to_str().expect("UTF-8");
    for source in [
        Source::Flag,
        Source::Variable,
        Source::TokenFile,
        Source::VariableFile,
        Source::Config,
    ] {
        let config = tempfile::Builder::new()
            .suffix(".yml")
            .tempfile()
            .expect("a file");
        let mut command = command();
        let mut arguments = vec![
            "--server",
            "--listeners",
            "tcp://127.0.0.1:0,http://127.0.0.1:0",
            "--authenticator",
            "memory://",
            "--access",
            "scoped",
            "--limit",
            "failed-tokens=0",
            "--log-level",
            "TRACE",
        ];
        match source {
            Source::Flag => arguments.extend(["--token", &own]),
            Source::Variable => {
                command.env("MIST_TOKEN", &own);
            }
            Source::TokenFile => arguments.extend(["--token-file", kept]),
            Source::VariableFile => {
                command.env("MIST_TOKEN_FILE", kept);
            }
            Source::Config => {
                std::fs::write(config.path(), format!("token: {own}\n")).expect("written");
                arguments.extend(["--config", config.path().to_str().expect("UTF-8")]);
            }
        }
        let server = start(&mut command, &arguments);
        let address = |scheme: &str| {
            let line = server.says(&format!("'{scheme}://"));
            let (_, rest) = line.split_once("://").expect("an address");
            rest.trim_end_matches('\'').to_owned()
        };
        let (tcp, http) = (address("tcp"), address("http"));

        let auth =
            |token: &str| format!("{{\"command\":\"auth\",\"data\":\"{token}\",\"id\":1}}\n");
        let mut admin = auth(&own);
        for name in ["register", "set", "unset", "tags", "unregister", "set"] {
            admin += &format!(
                "{{\"command\":\"{name}\",\"tags\":[\"a\"],\"data\":\"new-{MARK}\",\"id\":\"{name}\"}}\n"
            );
        }
        admin += &auth(&own);
        admin += &format!("{{\"command\":\"register\",\"data\":7,\"tags\":\"{MARK}\"}}\n");
        admin += &format!("{{\"command\":\"register\",\"data\":\"{MARK}\"\n");
        admin += &format!("no JSON {MARK}\n");
        let answers = talk(&tcp, &admin);
        assert_eq!(
            answers.matches("\"data\":\"success\"").count(),
            5,
            "{answers}"
        );
        shows_none(&answers);
        for token in [format!("wrong-{MARK}"), own.clone()] {
            shows_none(&talk(&tcp, &auth(&token)));
            for request in requests(&token) {
                shows_none(&talk(&http, &request));
            }
        }
        server.signal("TERM");
        let (out, err) = (rest(&server.stdout), rest(&server.stderr));
        assert!(
            err.iter()
                .any(|line| line.contains("TRACE") || line.contains("DEBUG")),
            "it does log: {err:?}"
        );
        shows_none(&out.join("\n"));
        shows_none(&err.join("\n"));
    }
}

#[test]
fn a_store_that_cannot_be_opened_does_not_show_its_password() {
    let password = format!("{MARK}/x");
    for place in [
        "127.0.0.1:1?db=mist",
        "127.0.0.1:x",
        "127.0.0.1:1?sslmode=no",
        "[::1",
    ] {
        for password in [
            &*password,
            MARK,
            "5432/hush-hush",
            "a#hush-hush",
            "a@hush-hush",
        ] {
            let uri = format!("postgres://me:{password}@{place}");
            let assert = mist(&[
                "--server",
                "--listeners",
                TCP,
                "--authenticator",
                &uri,
                "--token",
                MARK,
                "--log-level",
                "TRACE",
            ])
            .failure();
            shows_none(&stdout(&assert));
            shows_none(&stderr(&assert));
        }
    }
}

#[test]
fn the_commands_do_not_show_the_token_they_are_given() {
    let server = start(
        command().env("MIST_TOKEN", MARK),
        &[
            "--server",
            "--listeners",
            TCP,
            "--authenticator",
            "memory://",
        ],
    );
    let line = server.says("listening at '");
    let (_, rest) = line.split_once("'").expect("an address");
    let host = rest.trim_end_matches('\'');
    let new = format!("new-{MARK}");
    for arguments in [
        vec!["token", "add", &new, "--tags", "a"],
        vec!["token", "add", &new, "--tags", "a"],
        vec!["token", "set", &new, "--tags", "b"],
        vec!["token", "unset", &new, "--tags", "b"],
        vec!["token", "tags", &new],
        vec!["token", "rm", &new],
        vec!["token", "tags", &new],
        vec!["ping"],
        vec!["who", "--token", "wrong-hush-hush"],
    ] {
        let all: Vec<_> = arguments
            .iter()
            .copied()
            .chain(["--host", host, "--log-level", "TRACE"])
            .collect();
        let mut command = command();
        if !all.contains(&"--token") {
            command.env("MIST_TOKEN", MARK);
        }
        let assert = run(&mut command, &all);
        shows_none(&stdout(&assert));
        shows_none(&stderr(&assert));
    }
}
