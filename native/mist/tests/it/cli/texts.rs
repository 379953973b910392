//! Help, version, completions and manual pages: what needs neither server nor file.

use super::*;

#[test]
fn alone_it_says_how_to_start() {
    let assert = mist(&[]).success().stderr("");
    let text = stdout(&assert);
    assert!(text.lines().count() <= 8, "{text}");
    for part in ["mist serve", "mist sub ", "mist pub ", "mist --help"] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
}

#[test]
fn help_has_everything() {
    let assert = mist(&["--help"]).success();
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
fn server_flags_without_a_command_are_met_with_the_one_that_is_meant() {
    for (flag, value) in [("--listeners", TCP), ("--drain", "5s")] {
        let said = stderr(&mist(&[flag, value]).code(2));
        assert!(said.contains(&format!("`mist serve {flag} …`")), "{said}");
    }
    // Others say nothing of a server.
    let said = stderr(&mist(&["--log-level", "info"]).code(2));
    assert!(said.contains("no command: `mist serve`"), "{said}");
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

/// The names under *Commands* in a help text.
fn commands(help: &str) -> Vec<&str> {
    let (_, rest) = help.split_once("Commands:\n").unwrap_or_default();
    let lines = rest.lines().take_while(|line| !line.is_empty());
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").collect()
}

#[test]
fn every_command_has_help_that_fits_a_terminal() {
    let root = stdout(&mist(&["--help"]).success());
    let mut all = vec![vec![]];
    all.extend(commands(&root).into_iter().map(|name| vec![name]));
    let token = stdout(&mist(&["token", "--help"]).success());
    all.extend(commands(&token).into_iter().map(|name| vec!["token", name]));
    let other_names = ["server", "sub", "pub", "message", "send", "list"];
    all.extend(other_names.map(|name| vec![name]));
    assert!(all.len() > 20, "{all:?}");
    for command in all {
        for flag in ["-h", "--help"] {
            let text = stdout(&mist(&[&command[..], &[flag]].concat()).success());
            for line in text.lines() {
                assert!(line.chars().count() <= 100, "{command:?}: {line}");
            }
            assert!(
                command.len() > 1 || text.contains("Examples:"),
                "{command:?}"
            );
        }
    }
}

#[test]
fn an_unknown_command_is_met_with_the_one_that_is_meant() {
    for (typed, meant) in [
        ("publsh", "'publish'"),
        ("suscribe", "'subscribe'"),
        ("srve", "'serve'"),
        ("start", "'serve'"),
        ("listen", "'subscribe'"),
    ] {
        let said = stderr(&mist(&[typed]).code(2));
        assert!(said.contains("tip: ") && said.contains(meant), "{said}");
    }
}

#[test]
fn hidden_names_stay_hidden() {
    let assert = mist(&["--help"]).success();
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
        assert!(stdout(&assert).contains("MIST_COMPLETE"), "{shell}");
    }
}

/// What bash offers for the last of some words, with the script that is printed for it.
fn offered(server: &Server, words: &[&str]) -> Vec<String> {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_mist"));
    let folder = program.parent().expect("a folder").display();
    let script = format!(
        "PATH='{folder}':$PATH; source <(mist completions bash); COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); \
         COMP_TYPE=9; _clap_complete_mist mist \"${{@: -1}}\"; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    );
    let mut bash = clean("bash");
    bash.env("MIST_HOST", &server.host);
    let assert = run(&mut bash, &[&["-c", &script, "bash"], words].concat());
    let text = stdout(&assert.success());
    text.lines()
        .map(|line| line.trim_end().to_owned())
        .collect()
}

#[test]
fn a_shell_completes_commands_and_tags_that_are_subscribed_to() {
    let server = Server::start(&[]);
    let _subscriber = server.subscriber(&["--tags", "bus,late", "--tag", "a,b"]);
    assert_eq!(offered(&server, &["mist", "subs"]), ["subscribe"]);
    assert_eq!(offered(&server, &["mist", "sub", "b"]), ["bus"]);
    assert_eq!(offered(&server, &["mist", "pub", "-t", "x,la"]), ["x,late"]);
    assert_eq!(offered(&server, &["mist", "sub", "--also", "b"]), ["bus"]);
    drop(server);
    let server = Server::start(&[]);
    assert_eq!(offered(&server, &["mist", "sub", "b"]), [""]);
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
        &["--access", "open", "serve"],
    ] {
        let assert = mist(arguments).code(2);
        assert_eq!(stdout(&assert), "", "{arguments:?}");
        assert!(!stderr(&assert).is_empty(), "{arguments:?}");
    }
}
