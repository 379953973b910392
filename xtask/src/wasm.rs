//! Owns `cargo xtask wasm`: from the crate in `wasm/` to the npm package in `wasm/npm/dist`.
//!
//! It does not know what the package's scripts do with the glue; those are in `wasm/npm/scripts`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, anyhow, bail};
use clap::Args;
use wasm_bindgen_cli_support::Bindgen;

use crate::tools::{self, call, cargo, files, has_target, npm, rustup};

/// The compiler's name for pages.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// The folder of the npm package.
pub(crate) fn package() -> PathBuf {
    tools::root().join("wasm").join("npm")
}

/// The arguments of `cargo xtask wasm`.
#[derive(Args)]
pub(crate) struct Wasm {
    /// Record how many bytes a page loads, in the package's size.json and README
    #[arg(long)]
    record: bool,
}

/// Builds the npm package.
pub(crate) fn run(args: &Wasm) -> Result<()> {
    build()?;
    if args.record {
        call(npm::run(&package(), "size").args(["--", "--write"]))?;
    }
    eprintln!("built the npm package: npm install {}", package().display());
    Ok(())
}

/// Builds the npm package, and leaves what is up to date as it is.
pub(crate) fn build() -> Result<()> {
    // First, so that a missing npm is reported before the compiler runs.
    npm::install(&package())?;
    if !has_target(TARGET) {
        call(&mut rustup(["target", "add", TARGET]))?;
    }
    let compiled = compile("mist-pubsub-wasm", "mist_pubsub_wasm")?;
    let folder = package().join("gen");
    fs::create_dir_all(&folder)?;
    let core = folder.join("mist_bg.wasm");
    if !files::is_newer(&core, &[&*compiled])? {
        fs::copy(&compiled, &core)?;
    }
    let sources = [
        "src",
        "gen",
        "scripts",
        "package.json",
        "package-lock.json",
        "tsconfig.json",
    ];
    let sources = sources.map(|name| package().join(name));
    // The types are written last, when they are right.
    let made = package().join("dist/modules/index.d.ts");
    if files::is_newer(&made, &sources.each_ref().map(|path| &**path))? {
        return Ok(());
    }
    call(&mut npm::run(&package(), "build"))
}

/// Runs the package's own tests, and tries it in the bundlers people have.
pub(crate) fn test() -> Result<()> {
    npm::install(&package().join("test").join("packages"))?;
    call(&mut npm::run(&package(), "check"))?;
    call(npm::run(&package(), "test").env("MIST_PROGRAM", tools::built("mist", false)))
}

/// Compares what broker and clients do on this machine and in a page, from so many seeds.
pub(crate) fn compare(seeds: u32) -> Result<()> {
    let compiled = compile("mist-trace", "mist_trace")?;
    let folder = tools::target_folder().join("trace");
    bind(&compiled, &folder, "mist_trace")?;
    let own = tools::build("mist-trace", "mist-trace", false, &[])?;
    let mut compare = Command::new("node");
    compare.arg(tools::root().join("tests/trace/compare.mjs"));
    compare.args([
        folder.join("mist_trace.js"),
        folder.join("mist_trace_bg.wasm"),
        own,
    ]);
    call(compare.arg(seeds.to_string()))
}

/// Compiles a library for pages and returns where it is.
pub(crate) fn compile(package: &str, library: &str) -> Result<PathBuf> {
    let mut build = cargo(["build", "--package", package, "--lib"]);
    build.args(["--profile", "wasm", "--target", TARGET]);
    // The places of panics are named in the program: by what they are called, not by where we keep them.
    build.env(
        "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS",
        remapped_paths(),
    );
    call(&mut build)?;
    let folder = tools::target_folder().join(TARGET).join("wasm");
    let compiled = folder.join(format!("{library}.wasm"));
    if !compiled.is_file() {
        bail!("the build left nothing at {}", compiled.display());
    }
    Ok(compiled)
}

fn remapped_paths() -> String {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let sources = home.map(|home| home.join("registry").join("src"));
    let indices = sources.and_then(|folder| fs::read_dir(folder).ok());
    let indices = indices.into_iter().flatten().flatten();
    let mut flags: Vec<_> = indices
        .map(|index| format!("--remap-path-prefix={}=", index.path().display()))
        .collect();
    flags.push(format!("--remap-path-prefix={}=", tools::root().display()));
    flags.join(" ")
}

/// Writes a compiled library and its glue into `folder`, unless they are newer.
pub(crate) fn bind(compiled: &Path, folder: &Path, name: &str) -> Result<()> {
    if files::is_newer(&folder.join(format!("{name}_bg.wasm")), &[compiled])? {
        return Ok(());
    }
    Bindgen::new()
        .input_path(compiled)
        .out_name(name)
        .web(true)
        .and_then(|bindgen| {
            // Where it is loaded from is the entries' business.
            bindgen
                .omit_default_module_path(true)
                .typescript(true)
                .generate(folder)
        })
        .map_err(|error| anyhow!("cannot write the glue of {}: {error:#}", compiled.display()))
}
