//! Owns the tie between SECURITY.md and the tests and settings it names; must not know what they say.

use std::path::Path;

/// Everything between backticks, or between brackets, in the rows of a table.
fn named(text: &str, open: char, close: char) -> Vec<&str> {
    let rows = text.lines().filter(|line| line.starts_with('|'));
    let mut all = Vec::new();
    for row in rows {
        let mut rest = row;
        while let Some((_, behind)) = rest.split_once(open) {
            let (name, behind) = behind.split_once(close).expect("it is closed");
            all.push(name);
            rest = behind;
        }
    }
    all
}

#[test]
fn every_test_file_and_setting_that_the_threats_name_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = std::fs::read_to_string(root.join("SECURITY.md")).expect("SECURITY.md is there");
    let read = |path: &str| {
        std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    let flags = read("native/mist/src/config/mod.rs");
    let (mut tests, mut settings) = (0, 0);
    for name in named(&text, '`', '`') {
        if let Some((path, test)) = name.split_once("::") {
            let source = read(path);
            let is_test = source
                .split("#[test]")
                .chain(source.split("#[tokio::test"))
                .skip(1)
                .filter_map(|behind| behind.split_once("fn "))
                .any(|(_, behind)| behind.starts_with(&format!("{test}(")));
            assert!(is_test, "{path} has no test {test}");
            tests += 1;
        } else if let Some(flag) = name.strip_prefix("--") {
            assert!(flags.contains(&format!("\"{flag}\"")), "no flag --{flag}");
            settings += 1;
        } else if mist::Limits::ALL.iter().any(|limit| limit.name == name) {
            settings += 1;
        } else {
            let is_file = name.ends_with(".toml") && root.join(name).is_file();
            let is_word = ["ps", "data", "tokens"].contains(&name) || name.ends_with("://");
            assert!(is_file || is_word, "what is `{name}`?");
        }
    }
    for name in named(&text, '[', ']') {
        read(&format!("tests/transcripts/{name}.txt"));
    }
    assert!(tests > 40, "only {tests} tests are named");
    assert!(settings > 10, "only {settings} settings are named");
}
