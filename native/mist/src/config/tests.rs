use std::io::Write;

use super::*;

fn file(extension: &str, text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new()
        .suffix(&format!(".{extension}"))
        .tempfile()
        .expect("temporary file");
    file.write_all(text.as_bytes()).expect("write");
    file
}

fn read(extension: &str, text: &str) -> Result<Layer, ConfigError> {
    let mut faults = Vec::new();
    let layer = Layer::from_file(file(extension, text).path(), &mut faults);
    only(layer, faults)
}

/// What was made, if nothing was wrong.
fn only<T>(made: T, faults: Vec<ConfigError>) -> Result<T, ConfigError> {
    faults.into_iter().next().map_or(Ok(made), Err)
}

fn decide(layers: &[(Origin, Layer)]) -> Result<Settings, ConfigError> {
    let mut faults = Vec::new();
    let settings = Settings::decide(layers, &mut faults);
    only(settings, faults)
}

fn refused(extension: &str, text: &str) -> String {
    read(extension, text).expect_err(text).to_string()
}

fn environment(variables: &[(&str, &str)]) -> Result<Layer, ConfigError> {
    let lookup = |name: &str| {
        let found = variables.iter().find(|(variable, _)| *variable == name);
        found.map(|(_, value)| value.into())
    };
    let mut faults = Vec::new();
    let layer = Layer::from_environment(KEYS, lookup, &mut faults);
    only(layer, faults)
}

#[test]
fn all_faults_are_found_and_the_rest_is_read() {
    let file = file(
        "yml",
        "listner: x\nlog-level: loud\naccess: scoped\nlimits: {nesting: x, tag-bits: 1, tag-bytes: 7}\n",
    );
    let mut faults = Vec::new();
    let layer = Layer::from_file(file.path(), &mut faults);
    assert_eq!(layer.access, Some(Access::Scoped));
    let all = faults.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(all.len(), 3, "{all:?}");
    for part in [
        "'listner'",
        "'loud'",
        "nesting: expected a whole number",
        "tag-bits",
    ] {
        assert!(all.iter().any(|fault| fault.contains(part)), "{all:?}");
    }
}

#[test]
fn the_three_formats_say_the_same() {
    let yaml = "server: true\nlisteners:\n  - tcp://a:1\n  - ws://b:2\nlog-level: warn\ntoken: t\nlimits:\n  tag-bytes: 9\n";
    let json = r#"{"server":true,"listeners":["tcp://a:1","ws://b:2"],"log-level":"warn","token":"t","limits":{"tag-bytes":9}}"#;
    let toml = "server = true\nlisteners = [\"tcp://a:1\", \"ws://b:2\"]\nlog-level = \"warn\"\ntoken = \"t\"\n[limits]\ntag-bytes = 9\n";
    for (extension, text) in [
        ("yml", yaml),
        ("yaml", yaml),
        ("json", json),
        ("toml", toml),
    ] {
        let layer = read(extension, text).expect(extension);
        assert_eq!(layer.server, Some(true), "{extension}");
        assert_eq!(
            layer.listeners.as_deref(),
            Some(["tcp://a:1".to_owned(), "ws://b:2".to_owned()].as_slice()),
            "{extension}"
        );
        assert_eq!(layer.log_level, Some(LogLevel::Warn), "{extension}");
        assert_eq!(layer.token, Secret::new("t"), "{extension}");
        assert_eq!(layer.limits.get("tag-bytes"), Some(&9), "{extension}");
    }
}

#[test]
fn listeners_may_be_one_text_with_commas() {
    let layer = read("yml", "listeners: tcp://a:1 , ws://b:2,").expect("valid");
    assert_eq!(
        layer.listeners,
        Some(vec!["tcp://a:1".to_owned(), "ws://b:2".to_owned()])
    );
}

#[test]
fn an_empty_file_sets_nothing() {
    for (extension, text) in [
        ("yml", ""),
        ("yml", "# only this\n"),
        ("toml", ""),
        ("json", "{}"),
    ] {
        let layer = read(extension, text).expect(extension);
        assert!(layer.listeners.is_none() && layer.token.is_none());
    }
}

#[test]
fn an_unknown_key_is_named_with_the_closest_and_all_known() {
    let error = refused("yml", "listner: tcp://a:1");
    assert!(error.contains(".yml'"), "{error}");
    assert!(error.contains("unknown key 'listner'"), "{error}");
    assert!(error.contains("did you mean 'listeners'?"), "{error}");
    assert!(error.contains("authenticator, token"), "{error}");
    assert!(refused("json", r#"{"log_level":"INFO"}"#).contains("did you mean 'log-level'?"));
    assert!(!refused("json", r#"{"zzz":1}"#).contains("did you mean"));
}

#[test]
fn a_wrong_type_is_named_with_its_key_and_never_shown() {
    let error = refused("toml", "token = 123456");
    assert!(
        error.contains("key 'token': expected a text, found a number"),
        "{error}"
    );
    assert!(!error.contains("123456"), "{error}");
    assert!(refused("json", r#"{"listeners":7}"#).contains("key 'listeners': expected a list"));
    assert!(refused("yml", "server: sure").contains("key 'server': expected true or false"));
    assert!(refused("yml", "access: closed").contains("'closed' is not one of open, scoped"));
    assert!(refused("yml", "limits: {tag-byte: 3}").contains("unknown limit 'tag-byte'"));
    assert!(refused("yml", "limits: {nesting: 900}").contains("nesting: 900"));
}

#[test]
fn what_looks_like_a_text_and_is_none_needs_quotes() {
    for value in ["no", "on", "True"] {
        let error = refused("yml", &format!("token: {value}"));
        assert!(error.contains("found true or false (quote it"), "{error}");
        assert!(read("yml", &format!("token: '{value}'")).is_ok());
    }
    for text in ["allow-origin: null", "allow-origin: [~]"] {
        let error = refused("yml", text);
        assert!(error.contains("found nothing (quote it"), "{error}");
    }
    let error = refused("toml", "listeners = [1445]");
    assert!(error.contains("found a number (quote it"), "{error}");
    let error = refused("yml", "server: 1");
    assert!(!error.contains("quote"), "{error}");
    // A date is a text in YAML, too.
    for (extension, text) in [("yml", "token: 2026-01-01"), ("toml", "token = 2026-01-01")] {
        let layer = read(extension, text).expect(text);
        assert_eq!(layer.token, Secret::new("2026-01-01"));
    }
}

#[test]
fn what_is_wrong_is_said_to_who_wrote_the_file() {
    for (extension, text, expected) in [
        (
            "yml",
            "token: a\n\"tok\\nen\": b\n\"tok\\nen\": c\n",
            r"the key 'tok\nen' is there twice at line 3",
        ),
        (
            "yml",
            "server: true\n---\nserver: true\n",
            "a second document begins",
        ),
        (
            "yml",
            "token: 1e999",
            "a number that is not finite (quote it",
        ),
        (
            "yml",
            "token: .nan",
            "a number that is not finite (quote it",
        ),
        (
            "yml",
            "token: !!binary //79",
            "a !!binary that is not UTF-8",
        ),
        ("yml", "token: *secret", "an alias that stands for nothing"),
        ("yml", "token: &a [*a]", "an alias in what it stands for"),
        ("yml", &"a: {".repeat(200), "nested too deep at line 1"),
        (
            "toml",
            "token = 99999999999999999999",
            "an integer of more than 64 bits (quote it",
        ),
        (
            "toml",
            "token = \"a\"\ntoken = \"b\"",
            "duplicate key, line 2",
        ),
    ] {
        let error = refused(extension, text);
        assert!(error.contains(expected), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        for word in [
            "Options", "from_str", "policy", "JSON", "1e999", "secret", "999",
        ] {
            assert!(!error.contains(word), "{error}");
        }
    }
}

#[test]
fn a_syntax_error_names_file_and_line_in_one_line() {
    for (extension, text) in [
        ("yml", "server: true\nlisteners: [a\n"),
        ("json", "{\n\"server\": tru\n}"),
        ("toml", "server = true\ntoken =\n"),
    ] {
        let error = refused(extension, text);
        assert!(error.contains("is not valid"), "{error}");
        assert!(error.contains("line"), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn a_file_whose_name_does_not_say_its_format_shows_it() {
    let yaml = "listeners:\n  - tcp://a:1\nlimits:\n  tag-bytes: 9\n";
    let json = r#"{"listeners": "tcp://a:1", "limits": {"tag-bytes": 9}}"#;
    let toml = "listeners = \"tcp://a:1\"\n[limits]\ntag-bytes = 9\n";
    // Each of them looks like something else at first sight.
    let flow = "{listeners: [tcp://a:1], limits: {tag-bytes: 9}}";
    let commented = "# a: b\nlisteners = [\"tcp://a:1\"] # c: d\nlimits = {tag-bytes = 9}";
    for text in [yaml, json, toml, flow, commented] {
        let file = tempfile::Builder::new().suffix("").tempfile();
        let file = file.expect("temporary file");
        for text in [text.to_owned(), format!("\u{feff}{text}")] {
            std::fs::write(file.path(), text).expect("write");
            let mut faults = Vec::new();
            let layer = Layer::from_file(file.path(), &mut faults);
            assert!(faults.is_empty(), "{faults:?}");
            assert_eq!(layer.listeners, Some(vec!["tcp://a:1".to_owned()]));
            assert_eq!(layer.limits.get("tag-bytes"), Some(&9));
        }
    }
    assert!(
        read("conf", "# nothing\n")
            .expect("empty")
            .listeners
            .is_none()
    );
    for (text, word) in [
        ("server = tru", "line 1 (as TOML)"),
        ("server: true\nserver: true\n", "there twice"),
        ("[limits]\nnesting = \n", "(as YAML)"),
        ("7", "as TOML"),
    ] {
        let error = refused("conf", text);
        assert!(
            error.contains(".conf' is not valid YAML, JSON or TOML: "),
            "{error}"
        );
        assert!(
            error.contains(word) && error.lines().count() == 1,
            "{error}"
        );
    }
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_file() {
    for (extension, text) in [
        ("yml", "server: true"),
        ("json", "{\"server\": true}"),
        ("toml", "server = true"),
    ] {
        let layer = read(extension, &format!("\u{feff}{text}")).expect(extension);
        assert_eq!(layer.server, Some(true), "{extension}");
    }
}

#[test]
fn a_nearer_source_wins_setting_by_setting() {
    let flags = Layer {
        listeners: Some(vec!["tcp://flag:1".to_owned()]),
        limits: BTreeMap::from([("nesting".to_owned(), 3)]),
        ..Layer::default()
    };
    let env = environment(&[
        ("MIST_LISTENERS", "tcp://env:1"),
        ("MIST_LOG_LEVEL", "error"),
        ("MIST_LIMITS", "nesting=4, tag-bytes=40"),
        ("MIST_SERVER", "1"),
        ("MIST_AUTHENTICATOR", ""),
    ])
    .expect("environment");
    let file = read(
        "yml",
        "log-level: DEBUG\nauthenticator: memory://\naccess: scoped\nlimits: {nesting: 5, tag-bytes: 50, connections: 60}",
    )
    .expect("file");
    let settings = decide(&[
        (Origin::CommandLine, flags),
        (Origin::Environment, env),
        (Origin::File("f.yml".into()), file),
    ])
    .expect("decided");
    assert_eq!(settings.listeners.value, ["tcp://flag:1"]);
    assert_eq!(settings.listeners.origin, Origin::CommandLine);
    assert_eq!(settings.log_level.value, LogLevel::Error);
    assert!(settings.server.value);
    assert_eq!(settings.access.value, Access::Scoped);
    assert_eq!(settings.authenticator.value, ["memory://"]);
    let limits = settings.limits().expect("limits");
    assert_eq!(
        (limits.nesting, limits.tag_bytes, limits.connections),
        (3, 40, 60)
    );
}

#[test]
fn a_token_file_holds_one_token_and_what_cannot_be_meant() {
    let decided = |text: &str| {
        let secret = file("secret", text);
        let path = secret.path().to_str().expect("path");
        let env = environment(&[("MIST_TOKEN_FILE", path)]).expect("environment");
        decide(&[(Origin::Environment, env)]).map_err(|error| error.to_string())
    };
    for text in [
        "to ken",
        "to ken\n",
        "\u{feff}to ken\r\n",
        " to ken \t\r\n\n  \n",
    ] {
        let token = decided(text).expect("decided").token.expect("token");
        assert_eq!(token.value.reveal(), "to ken", "{text:?}");
        assert!(!format!("{token:?}").contains("to ken"));
    }
    for (text, word) in [
        ("to ken\nother\n", "has several lines"),
        ("# mine\nto ken", "has several lines"),
        (" \n", "is empty"),
        ("\u{feff}", "is empty"),
    ] {
        let error = decided(text).expect_err(text);
        assert!(
            error.contains(".secret' ") && error.contains(word),
            "{error}"
        );
        assert!(
            error.starts_with("MIST_TOKEN_FILE: ") && !error.contains("to ken"),
            "{error}"
        );
    }
}

#[test]
fn a_token_nearer_by_hides_a_token_file_that_cannot_be_read() {
    let env = environment(&[("MIST_TOKEN_FILE", "/no/such/file")]).expect("environment");
    let alone = [(Origin::Environment, env.clone())];
    let error = decide(&alone).expect_err("unreadable").to_string();
    assert!(error.contains("/no/such/file"), "{error}");
    let flags = Layer {
        token: Secret::new("t"),
        ..Layer::default()
    };
    assert!(decide(&[(Origin::CommandLine, flags), (Origin::Environment, env)]).is_ok());
}

#[test]
fn a_bad_variable_is_named() {
    let error = environment(&[("MIST_LOG_LEVEL", "loud")]).expect_err("bad");
    assert_eq!(
        error.to_string(),
        "MIST_LOG_LEVEL: 'loud' is not one of TRACE, DEBUG, INFO, WARN, ERROR, FATAL"
    );
    assert!(environment(&[("MIST_SERVER", "maybe")]).is_err());
}

#[test]
fn authenticators_may_be_several_and_have_commas_and_blanks_in_them() {
    let both = ["sqlite:///a b,c.db", "jwt://?jwks=https://x/y&issuer=a,b"];
    let env = environment(&[("MIST_AUTHENTICATOR", &both.join(" "))]).expect("environment");
    assert_eq!(
        env.authenticator.as_deref(),
        Some(both.map(str::to_owned)).as_ref().map(|it| &it[..])
    );
    for text in [
        format!("authenticator: ['{}', '{}']", both[0], both[1]),
        format!("authenticator: '{}'", both.join("  ")),
    ] {
        let layer = read("yml", &text).expect(&text);
        assert_eq!(layer.authenticator, env.authenticator, "{text}");
    }
}
