//! Where settings come from, seen from outside; the details are tested beside the code.

use super::*;

fn file(extension: &str, text: &str) -> tempfile::NamedTempFile {
    let dot = if extension.is_empty() { "" } else { "." };
    let suffix = format!("{dot}{extension}");
    let file = tempfile::Builder::new().suffix(&suffix).tempfile();
    let file = file.expect("temporary file");
    std::fs::write(file.path(), text).expect("write");
    file
}

fn path(file: &tempfile::NamedTempFile) -> &str {
    file.path().to_str().expect("UTF-8")
}

#[test]
fn check_config_prints_what_would_be_used_and_hides_the_token() {
    let config = file(
        "yml",
        "authenticator: postgres://me:pass@db:5432?db=mist\nlisteners:\n  - tcp://127.0.0.1:1445\n  - ws://127.0.0.1:1446\nlog-level: debug\ntoken: s3cret\nlimits:\n  tag-bytes: 99\n",
    );
    let mut command = command();
    let assert = run(
        command.env("MIST_ACCESS", "scoped"),
        &["check-config", path(&config)],
    )
    .success();
    let text = stdout(&assert);
    let here = format!("  # '{}'\n", path(&config));
    for line in [
        "server: false  # the default\n".to_owned(),
        format!("listeners: [\"tcp://127.0.0.1:1445\",\"ws://127.0.0.1:1446\"]{here}"),
        format!("# authenticator: \"postgres://me:***@db:5432?db=mist\"{here}"),
        format!("# token: set, not shown{here}"),
        "access: scoped  # the environment\n".to_owned(),
        format!("log-level: DEBUG{here}"),
        format!("  tag-bytes: 99{here}"),
    ] {
        assert!(text.contains(&line), "{line} is missing in {text}");
    }
    assert!(
        !text.contains("s3cret") && !text.contains("pass@"),
        "{text}"
    );
}

#[test]
fn check_config_prints_json_for_programs() {
    let config = file(
        "yml",
        "token: s3cret\nauthenticator: postgres://me:pass@db?db=mist\ndrain: 1500ms\nlimits: {nesting: 7}\n",
    );
    let assert = mist(&["check-config", path(&config), "-o", "json"]).success();
    let text = stdout(&assert);
    assert!(!text.contains("s3cret") && !text.contains("pass"), "{text}");
    let all: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let here = format!("'{}'", path(&config));
    assert_eq!(all["token"], serde_json::json!({ "from": here }));
    assert_eq!(all["authenticator"], serde_json::json!({ "from": here }));
    assert_eq!(all["drain"]["value"], "1.5s");
    assert_eq!(all["server"]["value"], false);
    assert_eq!(all["server"]["from"], "the default");
    assert_eq!(all["limits"]["nesting"]["value"], 7);
}

#[test]
fn what_check_config_prints_is_a_config_file() {
    let config = file(
        "toml",
        "listeners = \"tcp://127.0.0.1:1445\"\n[limits]\nnesting = 7\n",
    );
    let printed = stdout(&mist(&["check-config", path(&config)]).success());
    let again = file("yml", &printed);
    let assert = mist(&["check-config", path(&again)]).success();
    assert!(stdout(&assert).contains("  nesting: 7"));
}

#[test]
fn several_authenticators_are_printed_as_a_list_and_without_passwords() {
    let jwt = "jwt://?jwks=https://a/keys&issuer=*&audience=mist";
    let config = file(
        "yml",
        &format!("access: scoped\nauthenticator: ['{jwt}', 'https://app/auth']"),
    );
    let printed = stdout(&mist(&["check-config", path(&config)]).success());
    let line = format!("\nauthenticator: [\"{jwt}\",\"https://app/auth\"]");
    assert!(printed.contains(&line), "{printed}");
    let again = file("yml", &printed);
    let printed = stdout(&mist(&["check-config", path(&again)]).success());
    assert!(printed.contains(&line), "{printed}");
    let mut command = command();
    let with_password = format!("{jwt} https://mist:s3cret@app/auth");
    let assert = run(
        command.env("MIST_AUTHENTICATOR", with_password),
        &["check-config", path(&config)],
    );
    let printed = stdout(&assert.success());
    let line =
        format!("\n# authenticator: [\"{jwt}\",\"https://mist:***@app/auth\"]  # the environment");
    assert!(printed.contains(&line), "{printed}");
}

#[test]
fn what_is_no_origin_host_or_network_is_named() {
    for (extension, text, expected) in [
        (
            "yml",
            "allow-origin: app.example.com",
            "invalid --allow-origin 'app.example.com'",
        ),
        (
            "toml",
            "allow-host = [\"a:80\"]",
            "invalid --allow-host 'a:80'",
        ),
        (
            "json",
            r#"{"trusted-proxies":"10.0.0.0/8,10/8"}"#,
            "invalid --trusted-proxies '10/8'",
        ),
        (
            "yml",
            "allow-origin: https://bücher.example",
            "browsers write it as xn--bcher-kva.example",
        ),
        ("yml", "allow-origin: ''", "invalid --allow-origin ''"),
        ("toml", "allow-host = [\"\"]", "invalid --allow-host ''"),
        (
            "json",
            r#"{"trusted-proxies":"10.0.0.0/8,"}"#,
            "invalid --trusted-proxies ''",
        ),
    ] {
        let config = file(extension, text);
        for arguments in [
            ["check-config", path(&config)].as_slice(),
            &["--server", "--listeners", TCP, "--config", path(&config)],
        ] {
            let said = stderr(&mist(arguments).code(2));
            assert!(said.contains(expected), "{said}");
        }
    }
}

/// Else whoever checks a file learns nothing that the start would not say.
#[test]
fn what_a_server_does_not_start_with_is_no_good_config_file() {
    for (text, expected) in [
        ("access: scoped", "access is scoped but no token provided"),
        ("authenticator: memory://", "add --token-file"),
        (
            "authenticator: mysql://db\ntoken: a",
            "unsupported authenticator 'mysql://…'",
        ),
        (
            "authenticator: [memory://, 'sqlite:///a.db']\ntoken: a",
            "two authenticators that keep tokens, 'memory://' and 'sqlite://…'",
        ),
        (
            "authenticator: 'memory://,sqlite:///a.db'\ntoken: a",
            "nothing belongs behind memory://",
        ),
        (
            "authenticator: jwt://?jwks=http://a.example/keys&issuer=i&audience=a",
            "'jwks' is http://a.example/keys, and anybody on the way could put in keys: use https://",
        ),
        (
            "authenticator: [memory://, 'https://app/auth#cert=x']\ntoken: a",
            "behind # there may be ca=FILE",
        ),
    ] {
        let config = file("yml", text);
        for arguments in [
            ["check-config", path(&config)].as_slice(),
            &["--server", "--listeners", TCP, "--config", path(&config)],
        ] {
            let said = stderr(&mist(arguments).code(2));
            assert!(said.contains(expected), "{said}");
        }
    }
}

#[test]
fn a_flag_for_pages_and_proxies_that_is_given_empty_is_a_slip() {
    for (flag, value) in [
        ("--allow-origin", ""),
        ("--allow-origin", "https://a.example,"),
        ("--allow-host", " "),
        ("--allow-host", ",mist.example.com"),
        ("--trusted-proxies", ""),
    ] {
        let arguments = ["--server", "--listeners", TCP, flag, value];
        let said = stderr(&mist(&arguments).code(2));
        assert!(
            said.contains(&format!("invalid {flag} '' - write ")),
            "{said}"
        );
    }
    // A variable that is empty is as good as not set, as all others are.
    let mut command = command();
    let command = command
        .env("MIST_ALLOW_ORIGIN", "")
        .args(["--server", "--listeners", TCP]);
    start(command, &[]).says("TCP server listening at");
}

#[test]
fn bad_config_files_fail_in_one_line() {
    for (extension, text, expected) in [
        ("yml", "listner: x", "did you mean 'listeners'?"),
        ("json", r#"{"a\nb": 7}"#, r"unknown key 'a\nb'"),
        ("json", r#"{"token": 7}"#, "key 'token': expected a text"),
        (
            "toml",
            "server = \"yes\"",
            "key 'server': expected true or false",
        ),
        (
            "yml",
            "authenticator: memory://",
            "no token provided - add --token-file",
        ),
        ("yml", "listeners: []", "no listener"),
        ("json", "{", "is not valid JSON"),
        ("conf", "a\n", "is not valid YAML, JSON or TOML"),
    ] {
        let config = file(extension, text);
        for arguments in [
            &["check-config", path(&config)][..],
            &["--server", "--config", path(&config)],
        ] {
            let assert = mist(arguments).code(2);
            let error = stderr(&assert);
            assert!(error.contains(expected), "{error}");
            assert_eq!(error.lines().count(), 1, "{error}");
            assert_eq!(stdout(&assert), "");
        }
    }
}

#[test]
fn a_missing_file_is_named() {
    for path in ["/no/such.yml", "/no/such", "/no/such.conf"] {
        let assert = mist(&["--server", "--config", path]).code(2);
        let said = stderr(&assert);
        let wanted = format!("cannot read '{path}': No such file");
        assert!(said.starts_with(&wanted), "{said}");
    }
    let assert = mist(&["--server", "--token-file", "/no/such"]).code(2);
    assert!(stderr(&assert).contains("'/no/such'"));
}

#[test]
fn a_server_can_be_described_by_each_format() {
    for (extension, text) in [
        ("yaml", "server: true\nlisteners: [\"tcp://127.0.0.1:0\"]\n"),
        (
            "json",
            r#"{"server": true, "listeners": ["tcp://127.0.0.1:0"]}"#,
        ),
        (
            "toml",
            "server = true\nlisteners = [\"tcp://127.0.0.1:0\"]\n",
        ),
        // As the original's own example has it: /path/to/config
        (
            "",
            r#"{"server": true, "listeners": ["tcp://127.0.0.1:0"]}"#,
        ),
        ("", "server = true\nlisteners = [\"tcp://127.0.0.1:0\"]\n"),
    ] {
        let config = file(extension, text);
        let server = start(&mut command(), &["--config", path(&config)]);
        server.says("TCP server listening at 'tcp://127.0.0.1:");
    }
}

#[test]
fn the_environment_can_describe_a_server() {
    let config = file("yml", "listeners: nope://x\n");
    let server = start(
        command()
            .env("MIST_SERVER", "true")
            .env("MIST_LISTENERS", "tcp://127.0.0.1:0, ws://127.0.0.1:0")
            .env("MIST_CONFIG", config.path()),
        &[],
    );
    server.says("TCP server listening at");
    server.says("WS server listening at");
}

#[test]
fn a_bad_variable_is_named_and_harms_only_who_uses_it() {
    let mut command = command();
    let assert = run(command.env("MIST_ACCESS", "closed"), &["--server"]).code(2);
    assert!(stderr(&assert).starts_with("MIST_ACCESS: 'closed'"));
    let mut command = self::command();
    command.env("MIST_ACCESS", "closed");
    run(&mut command, &["token", "gen"]).success();
}

#[cfg(unix)]
#[test]
fn a_host_that_is_not_utf8_is_no_other_host() {
    use std::os::unix::ffi::OsStrExt;
    let mut command = command();
    command.env("MIST_HOST", std::ffi::OsStr::from_bytes(b"h\xff:1"));
    let assert = run(&mut command, &["ping"]).code(2);
    assert_eq!(stderr(&assert), "MIST_HOST: is not valid UTF-8\n");
}

#[test]
fn check_config_says_all_that_is_wrong_at_once() {
    let config = file(
        "yml",
        "listner: x\nlisteners: [tcp://a:b, nope://c]\nallow-origin: [a.example, b.example]\naccess: scoped\n\
         authenticator: ['foo://', 'memory://']\ntoken-file: /no/such\ntls-key: key.pem\ncluster: nats://\n",
    );
    let faults = [
        "did you mean 'listeners'?",
        "cannot read '/no/such'",
        "a private key needs its certificate",
        "invalid --allow-origin 'a.example'",
        "invalid --allow-origin 'b.example'",
        "unsupported authenticator 'foo://…'",
        "invalid listener 'tcp://a:b'",
        "unsupported listener 'nope://c'",
        "cannot join the cluster",
    ];
    let assert = mist(&["check-config", path(&config)]).code(2);
    let said = stderr(&assert);
    for (line, fault) in said.lines().zip(faults) {
        assert!(line.contains(fault), "{fault} is missing in {said}");
    }
    // The token was given, in a file that cannot be read: that it is missing is no other fault.
    assert_eq!(said.lines().count(), faults.len(), "{said}");

    let assert = mist(&["check-config", path(&config), "-o", "json"]).code(2);
    assert_eq!(stderr(&assert), "");
    let answer: serde_json::Value = serde_json::from_str(&stdout(&assert)).expect("JSON");
    let all = answer["faults"].as_array().expect("a list");
    assert_eq!(all.len(), faults.len(), "{all:?}");
}

#[test]
fn an_unknown_authenticator_is_named_before_a_token_is_asked_for() {
    let arguments = ["serve", "--listeners", TCP, "--authenticator", "foo://x"];
    let said = stderr(&mist(&arguments).code(2));
    assert!(
        said.contains("unsupported authenticator 'foo://…'"),
        "{said}"
    );
    assert!(!said.contains("token"), "{said}");
}

#[test]
fn of_a_cluster_check_config_hides_the_password_alone() {
    let config = file("yml", "cluster: nats://me:s3cret@a:4222,b:4222?name=x\n");
    let printed = stdout(&mist(&["check-config", path(&config)]).success());
    let line = "# cluster: \"nats://me:***@a:4222,b:4222?name=x\"";
    assert!(printed.contains(line), "{printed}");
}

#[test]
fn what_is_set_without_effect_is_said() {
    let config = file("yml", "cluster-optional: true\n");
    let assert = mist(&["check-config", path(&config)]).success();
    let said = stderr(&assert);
    assert!(said.contains("does nothing without a cluster"), "{said}");
    assert!(stdout(&assert).contains("cluster-optional: true"));
    let arguments = ["--listeners", TCP, "--cluster-optional"];
    start(command().arg("serve"), &arguments).says("--cluster-optional does nothing");
}
