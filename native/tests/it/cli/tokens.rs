//! `mist token`.

use super::*;

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
    assert_eq!(stderr(&assert), "Unable to register - Missing tags\n");
    for name in ["set", "unset"] {
        mist(&["token", name, "t"]).code(2);
    }
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
