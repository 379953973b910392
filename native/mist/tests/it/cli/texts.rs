//! Help, version, completions and manual pages: what needs neither server nor file.

use super::*;

#[test]
fn without_server_it_prints_help() {
    let assert = mist(&[]).success();
    let text = stdout(&assert);
    for part in [
        "Usage: mist",
        "--listeners",
        "MIST_TOKEN_FILE",
        "Exit codes:",
        "124",
        "message-bytes",
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    assert_eq!(stderr(&assert), "");
}

#[test]
fn other_server_flags_alone_print_help_too() {
    let assert = mist(&["--listeners", TCP]).success();
    assert!(stdout(&assert).contains("Usage: mist"));
}

#[test]
fn the_version_names_the_commit() {
    for flag in ["-v", "--version", "-V"] {
        let assert = mist(&[flag]).success();
        let text = stdout(&assert);
        let rest = text
            .strip_prefix(concat!("mist ", env!("CARGO_PKG_VERSION"), " ("))
            .expect("name and version");
        let commit = rest.strip_suffix(")\n").expect("one line");
        assert!(
            commit == "unknown" || commit.chars().all(|c| c.is_ascii_hexdigit()),
            "{commit}"
        );
    }
}

#[test]
fn every_command_has_help_with_examples() {
    for command in [
        "ping",
        "subscribe",
        "sub",
        "publish",
        "pub",
        "message",
        "send",
        "list",
        "listall",
        "who",
        "bench",
        "latency",
        "token",
        "check-config",
        "completions",
        "man",
    ] {
        let assert = mist(&[command, "--help"]).success();
        assert!(stdout(&assert).contains("Examples:"), "{command}");
    }
}

#[test]
fn help_fits_a_terminal() {
    let assert = mist(&["--help"]).success();
    for line in stdout(&assert).lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
}

#[test]
fn hidden_names_stay_hidden() {
    let assert = mist(&[]).success();
    let text = stdout(&assert);
    assert!(
        text.contains("subscribe") && text.contains("[alias: sub]"),
        "{text}"
    );
    assert!(
        !text.contains("message  ") && !text.contains("  send"),
        "{text}"
    );
}

#[test]
fn completions_exist_for_each_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let assert = mist(&["completions", shell]).success();
        assert!(stdout(&assert).contains("subscribe"), "{shell}");
    }
}

#[test]
fn manual_pages_exist_for_program_and_commands() {
    let assert = mist(&["man"]).success();
    assert!(stdout(&assert).contains(".TH mist 1"));
    let assert = mist(&["man", "sub"]).success();
    assert!(stdout(&assert).contains("count"));
    let assert = mist(&["man", "nope"]).code(2);
    assert!(stderr(&assert).contains("'nope'"));
}

#[test]
fn a_slip_is_a_usage_error() {
    for arguments in [
        &["nope"][..],
        &["--nope"],
        &["--log-level", "loud"],
        &["--access", "closed"],
        &["--limit", "nesting"],
        &["--limit", "nesting=900"],
        &["--limit", "nope=1"],
        &["--token", "a", "--token-file", "b"],
        &["subscribe", "--count", "0", "--tags", "a"],
        &["publish", "--rate", "fast", "--tags", "a", "x"],
        &["--server", "ping"],
        &["ping", "--listeners", TCP],
    ] {
        let assert = mist(arguments).code(2);
        assert_eq!(stdout(&assert), "", "{arguments:?}");
        assert!(!stderr(&assert).is_empty(), "{arguments:?}");
    }
}
