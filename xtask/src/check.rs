//! Owns the list of checks behind `cargo xtask test` and `cargo xtask lint`.
//!
//! No step sets `RUSTFLAGS`, and all that can name the whole workspace do: a step with other flags
//! or features would compile every dependency once more.

use std::process::{Command, ExitCode};

use anyhow::{Result, bail};

use crate::bench;
use crate::services;
use crate::steps::{Step, Steps};
use crate::tools::{self, call, cargo, has_target, npm, rustup, works};
use crate::{wasm, web};

const WASM: &str = "wasm32-unknown-unknown";
const BARE: &str = "thumbv7em-none-eabi";

/// Runs every check.
pub(crate) fn test() -> Result<ExitCode> {
    let mut steps = Steps::new("test");
    format_and_clippy(&mut steps);

    steps.step("fetch the compiler's other targets", fetch_targets);
    on_target(&mut steps, "core without std", "mist-pubsub-core", BARE);
    on_target(&mut steps, "core for pages", "mist-pubsub-core", WASM);
    on_target(&mut steps, "wasm package", "mist-pubsub-wasm", WASM);

    // The server takes the page in, so it comes first.
    with_node(&mut steps, "npm package and page", web::build);
    with_node(&mut steps, "size of the npm package", || {
        call(&mut npm::run(&wasm::package(), "size"))
    });

    // All targets that the tests need, in one call: the test steps then compile nothing twice.
    let mut build = cargo(["build", "--workspace", "--lib", "--bins"]);
    build.args(["--examples", "--tests"]);
    command(&mut steps, "build workspace, examples and tests", build);
    steps.step("fetch the services that tests start", services::fetch);
    command(&mut steps, "run all tests", test_runner());
    steps.step("instructions that the core needs", bench::instructions);
    with_node(&mut steps, "the same histories here and in a page", || {
        wasm::compare(400)
    });
    with_node(&mut steps, "npm package in Node and Chromium", wasm::test);
    with_node(&mut steps, "page in Chromium", web::test);
    let doctests = cargo(["test", "--workspace", "--doc"]);
    command(&mut steps, "run the documentation's examples", doctests);
    documentation(&mut steps);
    steps.step("licences and sources of what is built in", supply_chain);
    Ok(steps.finish())
}

/// Runs the checks that need no test and no other target.
pub(crate) fn lint() -> Result<ExitCode> {
    let mut steps = Steps::new("lint");
    format_and_clippy(&mut steps);
    documentation(&mut steps);
    Ok(steps.finish())
}

fn command(steps: &mut Steps, name: &str, mut command: Command) {
    let name = format!("{name}: {}", tools::spelled(&command));
    steps.step(&name, || call(&mut command).map(|()| Step::Done));
}

/// A step that needs Node; a machine without it can still check the rest.
fn with_node(steps: &mut Steps, name: &str, work: impl FnOnce() -> Result<()>) {
    steps.step(name, || match npm::check() {
        Ok(()) => work().map(|()| Step::Done),
        Err(error) => Ok(Step::Skip(error.to_string())),
    });
}

fn format_and_clippy(steps: &mut Steps) {
    steps.step("fetch rustfmt and clippy", fetch_components);
    command(steps, "format", cargo(["fmt", "--all", "--check"]));
    let mut clippy = cargo(["clippy", "--workspace", "--all-targets", "--"]);
    clippy.args(["-D", "warnings"]);
    command(steps, "lints", clippy);
}

fn documentation(steps: &mut Steps) {
    let mut doc = cargo(["doc", "--workspace", "--no-deps"]);
    doc.env("RUSTDOCFLAGS", "-D warnings");
    command(steps, "documentation", doc);
}

/// Compiling cargo-deny takes minutes, so that is left to whoever wants it.
fn supply_chain() -> Result<Step> {
    if !works(&mut cargo(["deny", "--version"])) {
        let reason = "cargo-deny is not installed (cargo install --locked cargo-deny)";
        return Ok(Step::Skip(reason.into()));
    }
    call(&mut cargo(["deny", "check", "bans", "licenses", "sources"]))?;
    Ok(Step::Done)
}

fn fetch_components() -> Result<Step> {
    let mut missing = Vec::new();
    for (component, subcommand) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        if works(&mut cargo([subcommand, "--version"])) {
            eprintln!("{component} is there");
        } else {
            missing.push(component);
        }
    }
    if missing.is_empty() {
        return Ok(Step::Done);
    }
    if !works(&mut rustup(["--version"])) {
        bail!(
            "no rustup here to fetch {}; install them with the compiler's package",
            missing.join(" and ")
        );
    }
    call(rustup(["component", "add"]).args(missing))?;
    Ok(Step::Done)
}

fn fetch_targets() -> Result<Step> {
    let mut missing = Vec::new();
    for target in [WASM, BARE] {
        if has_target(target) {
            eprintln!("{target} is there");
        } else {
            missing.push(target);
        }
    }
    if missing.is_empty() {
        return Ok(Step::Done);
    }
    if !works(&mut rustup(["--version"])) {
        let missing = missing.join(" and ");
        return Ok(Step::Skip(format!("no rustup here to fetch {missing}")));
    }
    call(rustup(["target", "add"]).args(missing))?;
    Ok(Step::Done)
}

fn on_target(steps: &mut Steps, name: &str, package: &str, target: &'static str) {
    let mut build = cargo(["build", "--package", package, "--target", target]);
    let name = format!("{name}: {}", tools::spelled(&build));
    steps.step(&name, || {
        if !has_target(target) {
            return Ok(Step::Skip(format!("the compiler has no {target}")));
        }
        call(&mut build).map(|()| Step::Done)
    });
}

/// nextest when it is installed: it runs tests in parallel across programs and names slow ones.
fn test_runner() -> Command {
    if works(&mut cargo(["nextest", "--version"])) {
        let mut run = cargo(["nextest", "run", "--workspace"]);
        run.env("NEXTEST_NO_TESTS", "pass");
        run
    } else {
        eprintln!("cargo-nextest is not installed: plain `cargo test` it is");
        cargo(["test", "--workspace", "--lib", "--bins", "--tests"])
    }
}
