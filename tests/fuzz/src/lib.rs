//! Fuzz targets: functions that take any bytes and panic when something is wrong with what mist makes of them.
//!
//! Owns the list of targets; each module knows one. `corpus/TARGET/` holds inputs that reach much, and every one that
//! ever failed; `tests/replay.rs` runs them all in the ordinary test run, `cargo xtask fuzz` looks for new ones.

#![forbid(unsafe_code)]

mod client;
mod config;
mod scanner;
mod session;
mod stores;
mod upgrade;

/// Takes any bytes; panics when something is wrong.
pub type Target = fn(&[u8]);

/// Every target with its name, which is also the name of its folder in `corpus/`.
pub const TARGETS: &[(&str, Target)] = &[
    ("scanner", scanner::fuzz),
    ("session", session::fuzz),
    ("client", client::fuzz),
    ("config", config::fuzz),
    ("scribble", stores::fuzz_scribble),
    ("sqlite", stores::fuzz_sqlite),
    ("upgrade", upgrade::fuzz),
];

/// A folder in memory where there is one: files are written for every input.
fn folder() -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    let made = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    made.expect("a folder for temporary files")
}

/// A runtime that is there for all inputs.
fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: std::sync::OnceLock<tokio::runtime::Runtime> = std::sync::OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime")
    })
}
