//! Gives the library the page to serve: the files of `page/dist`, in every form in which they were built, or without these
//! the plain page.

use std::fmt::Write as _;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if let Err(error) = embed_page() {
        panic!("the page in page/ cannot be read: {error}");
    }
}

fn embed_page() -> io::Result<()> {
    // Asked when it runs: the program may have been built in another checkout with the same target directory.
    let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says it");
    let page = Path::new(&package).join("page");
    let built = page.join("dist");
    println!("cargo::rerun-if-changed={}", page.display());
    let mut files = Vec::new();
    if built.join("index.html").is_file() {
        collect(&built, "", &mut files)?;
    } else {
        files.push(("/".to_owned(), page.join("plain.html")));
    }
    files.sort();
    let mut list = String::from("&[\n");
    for (path, file) in files {
        let _ = writeln!(list, "    File {{ path: {path:?}, forms: &[");
        for (coding, ending) in [("br", ".br"), ("gzip", ".gz"), ("", "")] {
            let mut form = file.clone().into_os_string();
            form.push(ending);
            let form = PathBuf::from(form);
            if form.is_file() {
                let form = form.canonicalize()?;
                let mut hasher = DefaultHasher::new();
                fs::read(&form)?.hash(&mut hasher);
                let tag = format!("\"{:016x}\"", hasher.finish());
                let body = format!("include_bytes!({form:?})");
                let line = format!("Form {{ coding: {coding:?}, tag: {tag:?}, body: {body} }},");
                let _ = writeln!(list, "        {line}");
            }
        }
        list.push_str("    ] },\n");
    }
    list.push_str("]\n");
    let out = std::env::var_os("OUT_DIR")
        .map(PathBuf::from)
        .unwrap_or_default();
    fs::write(out.join("page.rs"), list)
}

/// The files below a folder, each with the path it is served at. Compressed forms stand beside what they are forms of.
fn collect(folder: &Path, above: &str, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".br") || name.ends_with(".gz") {
            continue;
        }
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
