//! Tells the binary which commit it was built from, `unknown` outside a checkout, and gives it the page to serve.

use std::fmt::Write as _;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=MIST_COMMIT");
    tell_commit();
    if let Err(error) = embed_page() {
        panic!("the page in web/ cannot be read: {error}");
    }
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
    if top.canonicalize().ok()? != package.parent()?.canonicalize().ok()? {
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

/// Writes the list of the files of `web/dist`, as `cargo xtask web` left them; without it, of the plain page alone.
fn embed_page() -> io::Result<()> {
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web");
    let built = web.join("dist");
    let is_built = built.join("index.html").is_file();
    // A watched folder that is missing would make cargo run this script every time.
    let watched = if is_built { &built } else { &web };
    println!("cargo::rerun-if-changed={}", watched.display());
    let mut files = Vec::new();
    if is_built {
        collect(&built, "", &mut files)?;
    } else {
        files.push(("/".to_owned(), web.join("plain.html")));
    }
    files.sort();
    let mut list = String::from("&[\n");
    for (path, file) in files {
        let file = file.canonicalize()?;
        let mut hasher = DefaultHasher::new();
        fs::read(&file)?.hash(&mut hasher);
        let tag = format!("\"{:016x}\"", hasher.finish());
        let line =
            format!("File {{ path: {path:?}, tag: {tag:?}, body: include_bytes!({file:?}) }},");
        let _ = writeln!(list, "    {line}");
    }
    list.push_str("]\n");
    let out = std::env::var_os("OUT_DIR")
        .map(PathBuf::from)
        .unwrap_or_default();
    fs::write(out.join("page.rs"), list)
}

/// The files below a folder, each with the path it is served at.
fn collect(folder: &Path, above: &str, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{above}/{name}"), files)?;
        } else if name == "index.html" {
            files.push((format!("{above}/"), entry.path()));
        } else {
            files.push((format!("{above}/{name}"), entry.path()));
        }
    }
    Ok(())
}
