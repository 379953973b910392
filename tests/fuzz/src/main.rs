//! The engine: libFuzzer, on the target that `MIST_FUZZ_TARGET` names. Its macro makes the one unsafe function here, which
//! hands the bytes over.
#![no_main]

use std::sync::OnceLock;

use mist_fuzz::{TARGETS, Target};

fn target() -> Target {
    static TARGET: OnceLock<Target> = OnceLock::new();
    *TARGET.get_or_init(|| {
        let wanted = std::env::var("MIST_FUZZ_TARGET").unwrap_or_default();
        let found = TARGETS.iter().find(|(name, _)| *name == wanted);
        found
            .unwrap_or_else(|| panic!("MIST_FUZZ_TARGET='{wanted}' is not a target"))
            .1
    })
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| target()(bytes));
