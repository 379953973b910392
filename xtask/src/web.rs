//! Owns `cargo xtask web`: from the sources in `web/` to the page in `native/server/page/dist`.
//!
//! It does not know how the server takes the page in; that is in `native/server/build.rs`.

use std::path::PathBuf;

use anyhow::Result;

use crate::tools::{self, call, files, npm};
use crate::wasm;

/// The folder of the page.
pub(crate) fn folder() -> PathBuf {
    tools::root().join("web")
}

/// Builds the page, unless it is newer than all it is made of.
pub(crate) fn build() -> Result<()> {
    wasm::build()?;
    npm::install(&folder())?;
    let package = wasm::package().join("dist");
    // The types are written last.
    let (code, core) = (
        package.join("modules/index.d.ts"),
        package.join("mist_bg.wasm"),
    );
    let sources = [&*folder(), &code, &core];
    // In the crate of the server that serves it.
    let built = tools::root().join("native/server/page/dist/index.html");
    if !files::is_newer(&built, &sources)? {
        call(&mut npm::run(&folder(), "build"))?;
    }
    eprintln!("servers built from now on have {}", built.display());
    Ok(())
}

/// Runs the page's own tests.
pub(crate) fn test() -> Result<()> {
    call(npm::run(&folder(), "test").env("MIST_PROGRAM", tools::built("mist", false)))
}
