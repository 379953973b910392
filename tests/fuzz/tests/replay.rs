//! Replays the corpus: inputs that reach much, and every one that ever failed.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use mist_fuzz::TARGETS;

#[test]
fn no_input_of_the_corpus_fails() {
    // A task of a server that panics would go unnoticed otherwise.
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        before(info);
    }));
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, target) in TARGETS {
        let mut count = 0;
        for entry in fs::read_dir(corpus.join(name)).expect("each target has a corpus") {
            let path = entry.expect("it can be listed").path();
            let bytes = fs::read(&path).expect("it can be read");
            target(&bytes);
            // The ends of inputs are inputs too, and seldom in a corpus.
            target(&bytes[..bytes.len() / 2]);
            let panics = PANICS.load(Ordering::SeqCst);
            assert_eq!(panics, 0, "{}", path.display());
            count += 1;
        }
        assert!(count > 0, "no input for {name}");
    }
}

#[test]
fn every_folder_of_the_corpus_is_a_targets() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for entry in fs::read_dir(corpus).expect("a corpus") {
        let name = entry.expect("it can be listed").file_name();
        let name = name.to_string_lossy();
        assert!(TARGETS.iter().any(|(known, _)| *known == name), "{name}");
    }
}
