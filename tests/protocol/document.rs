//! Owns the tie between the documents and the files they name; must not know what they say.

use std::collections::BTreeSet;
use std::path::Path;

use mist_core::ErrorCode;
use mist_tests::transcript::load;

#[test]
fn the_document_names_every_transcript_and_vector_and_nothing_else() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(here.join("../PROTOCOL.md")).expect("PROTOCOL.md is there");
    let is_name = |name: &&str| {
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "/-_.".contains(c);
        name.chars().all(is_plain) && name.contains(['/', '.'])
    };
    let named: BTreeSet<String> = text
        .split('[')
        .skip(1)
        .filter_map(|rest| rest.split_once(']').map(|(name, _)| name))
        .filter(is_name)
        .map(str::to_owned)
        .collect();

    let mut there: BTreeSet<String> = load(&here.join("transcripts"))
        .expect("the transcripts can be read")
        .iter()
        .map(|one| one.path.with_extension("").to_string_lossy().into_owned())
        .map(|path| path.trim_start_matches("tests/transcripts/").to_owned())
        .collect();
    for folder in ["vectors", "protocol", "protocol/cluster"] {
        for entry in std::fs::read_dir(here.join(folder)).expect("the folder is there") {
            let name = entry
                .expect("it can be listed")
                .file_name()
                .to_string_lossy()
                .into_owned();
            // Only the tests that say something about the wire have to be named.
            if ![
                "main.rs",
                "mod.rs",
                "support.rs",
                "transcripts.rs",
                "vectors.rs",
                "document.rs",
                "cluster",
                "drills",
                "flow",
                "layers.rs",
                "readme.rs",
                "security.rs",
            ]
            .contains(&&*name)
            {
                there.insert(match folder.strip_prefix("protocol/") {
                    Some(inner) => format!("{inner}/{name}"),
                    None => name,
                });
            }
        }
    }
    let unnamed: Vec<_> = there.difference(&named).collect();
    let missing: Vec<_> = named.difference(&there).collect();
    assert!(unnamed.is_empty(), "PROTOCOL.md does not name {unnamed:?}");
    assert!(
        missing.is_empty(),
        "PROTOCOL.md names what is not there: {missing:?}"
    );
}

#[test]
fn the_document_names_every_code_and_where_it_is_shown() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(here.join("../PROTOCOL.md")).expect("PROTOCOL.md is there");
    let rows: Vec<Vec<&str>> = text
        .lines()
        .skip_while(|line| !line.starts_with("| code |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    let named: Vec<&str> = rows.iter().map(|row| row[1].trim_matches('`')).collect();
    let all: Vec<&str> = ErrorCode::ALL.iter().map(|code| code.name()).collect();
    assert_eq!(named, all);
    for (code, row) in named.iter().zip(&rows) {
        let place = row[3].trim_matches(['[', ']', '`']);
        let file = match place {
            place if place.starts_with("native/") => here.join("..").join(place),
            place if place.contains('.') => here.join("protocol").join(place),
            place => here.join("transcripts").join(place).with_extension("txt"),
        };
        let mut files = vec![file];
        let mut is_there = false;
        while let Some(file) = files.pop() {
            if file.is_dir() {
                let entries = std::fs::read_dir(&file).expect("it can be listed");
                files.extend(entries.map(|entry| entry.expect("it can be listed").path()));
            } else {
                let shown = std::fs::read_to_string(&file).unwrap_or_default();
                is_there |= shown.contains(&format!("\"{code}\""))
                    || shown.contains(&format!("\\\"{code}\\\""));
            }
        }
        assert!(is_there, "{place} does not show {code}");
    }
}

/// Where the names of files in ARCHITECTURE.md begin.
const ROOTS: [&str; 5] = [
    "",
    "core/src",
    "native/net/src",
    "native/server/src",
    "wasm/npm/src",
];

/// `a/{b,c}.rs` as `a/b.rs` and `a/c.rs`.
fn expanded(name: &str) -> Vec<String> {
    let Some((before, rest)) = name.split_once('{') else {
        return vec![name.to_owned()];
    };
    let (names, after) = rest.split_once('}').expect("the brace is closed");
    let each = names.split(',');
    each.map(|one| format!("{before}{one}{after}")).collect()
}

#[test]
fn every_file_that_the_architecture_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = std::fs::read_to_string(root.join("ARCHITECTURE.md")).expect("it is there");
    // Blocks of code would shift what stands between backticks.
    let prose: String = text.split("```").step_by(2).collect();
    let is_file = |name: &&str| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "/-_.{},".contains(c);
        name.chars().all(is_plain)
            && (name.contains('/') || name.ends_with(".rs") || name.ends_with(".ts"))
    };
    let named: Vec<_> = prose
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(is_file)
        .flat_map(expanded)
        .collect();
    assert!(named.len() > 50, "it names {} files", named.len());
    for name in named {
        let is_there = ROOTS
            .iter()
            .any(|folder| root.join(folder).join(&name).exists());
        assert!(
            is_there,
            "ARCHITECTURE.md names '{name}', which is not there"
        );
    }
    let lines = text.lines().count();
    assert!(
        lines <= 150,
        "ARCHITECTURE.md has {lines} lines; say it in 150"
    );
}
