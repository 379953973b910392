//! Tells the binary which commit it was built from, `unknown` outside a checkout.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=MIST_COMMIT");
    tell_commit();
}

fn tell_commit() {
    let commit = std::env::var("MIST_COMMIT")
        .ok()
        .filter(|commit| !commit.is_empty())
        .or_else(from_checkout)
        .unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=MIST_COMMIT={commit}");
}

fn from_checkout() -> Option<String> {
    let package = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR")?);
    // A copy unpacked inside somebody else's checkout must not report their commit.
    let top = PathBuf::from(git(&package, &["rev-parse", "--show-toplevel"])?);
    if top.canonicalize().ok()? != package.parent()?.parent()?.canonicalize().ok()? {
        return None;
    }
    // The reflog grows with every commit and checkout, so nothing runs again in between;
    // a watched file that is missing would make cargo run this script every time.
    for name in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&package, &["rev-parse", "--git-path", name]) {
            let path = package.join(path);
            if path.exists() {
                println!("cargo::rerun-if-changed={}", path.display());
            }
        }
    }
    git(&package, &["rev-parse", "--short", "HEAD"])
}

fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(folder)
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
