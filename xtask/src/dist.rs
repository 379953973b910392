//! Owns `cargo xtask dist`: everything that is handed out, in `dist/`, with its checksums.
//!
//! It does not know how any of it is built.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use sha2::{Digest as _, Sha256};

use crate::tools::{self, call, files, npm};
use crate::{crates, wasm, web};

/// Builds what is handed out: the npm package, the page as a folder and as an archive, the server with the page
/// in it, the crates.
pub(crate) fn run() -> Result<()> {
    web::build()?;
    let folder = tools::root().join("dist");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let version = env!("CARGO_PKG_VERSION");

    call(npm::pack(&wasm::package()).arg(&folder))?;

    let page = format!("mist-page-{version}");
    files::copy_folder(&web::built(), &folder.join(&page))?;
    let mut tar = Command::new("tar");
    tar.args(["-czf", &format!("{page}.tar.gz"), &page]);
    call(tar.current_dir(&folder))?;

    let server = tools::build_mist(true)?;
    let name = format!(
        "mist-{version}-{}-{}",
        std::env::consts::OS,
        std::env::consts::ARCH
    );
    let name = name + std::env::consts::EXE_SUFFIX;
    fs::copy(&server, folder.join(name)).context("cannot copy the server")?;

    for archive in crates::pack()? {
        let name = archive.file_name().context("a crate without a name")?;
        fs::copy(&archive, folder.join(name)).context("cannot copy a crate")?;
    }

    let sums = checksums(&folder)?;
    fs::write(folder.join("SHA256SUMS"), &sums)?;
    eprint!("{}:\n{sums}", folder.display());
    Ok(())
}

/// A line for each file of a folder, as `sha256sum --check` reads them.
fn checksums(folder: &Path) -> Result<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    let mut sums = String::new();
    for name in names {
        for byte in Sha256::digest(fs::read(folder.join(&name))?) {
            let _ = write!(sums, "{byte:02x}");
        }
        let _ = writeln!(sums, "  {name}");
    }
    Ok(sums)
}
