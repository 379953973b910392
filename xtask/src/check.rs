//! Owns the list of steps behind `cargo xtask check` and `cargo xtask test`.
//!
//! No step sets `RUSTFLAGS`, and all that can name the whole workspace do: a step with other flags
//! or features would compile every dependency once more.

use std::process::{Command, ExitCode};

use anyhow::{Result, bail};

use crate::steps::{self, Outcome, Step, step};
use crate::tools::{self, call, cargo, has_target, npm, rustup, works};
use crate::{bench, crates, dist, services, wasm, web};

const WASM: &str = "wasm32-unknown-unknown";
const BARE: &str = "thumbv7em-none-eabi";

/// The names of steps.
#[derive(clap::Args)]
pub(crate) struct Names {
    /// Only these steps, of either list
    #[arg(value_name = "STEP")]
    names: Vec<String>,
}

/// The quick ones, up to `QUICK`, and the others.
const STEPS: &[Step] = &[
    step("format", "cargo fmt --check", format),
    step("lints", "cargo clippy, warnings are errors", lints),
    step(
        "spelling",
        "typos, with the dictionary in typos.toml",
        || with_program("typos", &[]),
    ),
    step(
        "documentation",
        "cargo doc, warnings are errors",
        documentation,
    ),
    step(
        "unit-tests",
        "the tests inside of libraries and programs",
        unit_tests,
    ),
    step(
        "targets",
        "the core without std, core and package for pages",
        targets,
    ),
    // The server takes the page in, so it comes first.
    step("page", "the npm package and the page", || {
        with_node(web::build)
    }),
    step("size", "what the npm package may weigh", || with_node(size)),
    // All that the tests need, in one call: the test steps then compile nothing twice.
    step("build", "workspace, examples and tests", build),
    step(
        "services",
        "find or install what tests start",
        services::fetch,
    ),
    step("tests", "all tests in Rust", tests),
    step(
        "instructions",
        "those that the core needs, beside their baseline",
        bench::instructions,
    ),
    step("histories", "the same ones here and in a page", || {
        with_node(|| wasm::compare(400))
    }),
    step(
        "npm-tests",
        "the npm package in Node, browsers and bundlers",
        || with_node(wasm::test),
    ),
    step("page-tests", "the page in Chromium", || {
        with_node(web::test)
    }),
    step("examples", "those of the documentation", examples),
    step(
        "features",
        "the libraries with parts of them left out",
        || crates::features().map(|()| Outcome::Done),
    ),
    step(
        "crates",
        "install from what would be published, outside the checkout",
        || crates::stand_alone().map(|()| Outcome::Done),
    ),
    step("unit", "what systemd says of it", || dist::script("unit")),
    step(
        "licences",
        "and sources of what is built in: cargo deny",
        || with_program("cargo-deny", &["check", "bans", "licenses", "sources"]),
    ),
    step("workflows", "of the repository: zizmor", || {
        with_program("zizmor", &["--offline", "--min-severity=medium", ".github"])
    }),
];

const QUICK: usize = 5;

/// Runs every step, or those named.
pub(crate) fn test(args: &Names) -> Result<ExitCode> {
    // `tests` has the unit tests as well.
    let all = |step: &Step| step.name != "unit-tests";
    Ok(steps::run(&steps::chosen(STEPS, &args.names, all)?))
}

/// Runs the quick steps, or those named.
pub(crate) fn check(args: &Names) -> Result<ExitCode> {
    let is_quick = |step: &Step| STEPS[..QUICK].iter().any(|quick| quick.name == step.name);
    Ok(steps::run(&steps::chosen(STEPS, &args.names, is_quick)?))
}

/// A line for each step.
pub(crate) fn list() -> String {
    let line = |(at, step): (usize, &Step)| {
        let quick = if at < QUICK { "check" } else { "" };
        format!("  {:14} {:6} {}\n", step.name, quick, step.about)
    };
    STEPS.iter().enumerate().map(line).collect()
}

fn done(command: &mut Command) -> Result<Outcome> {
    call(command).map(|()| Outcome::Done)
}

/// A step that needs Node; a machine without it can still check the rest.
fn with_node(work: impl FnOnce() -> Result<()>) -> Result<Outcome> {
    match npm::check() {
        Ok(()) => work().map(|()| Outcome::Done),
        Err(error) => Ok(Outcome::Skipped(error.to_string())),
    }
}

fn format() -> Result<Outcome> {
    fetch_component("rustfmt", "fmt")?;
    done(&mut cargo(["fmt", "--all", "--check"]))
}

fn lints() -> Result<Outcome> {
    fetch_component("clippy", "clippy")?;
    let mut clippy = cargo(["clippy", "--workspace", "--all-targets", "--"]);
    done(clippy.args(["-D", "warnings"]))
}

/// A step of one program, which is fetched if it is missing; a machine that cannot fetch it can still check the rest.
fn with_program(name: &str, args: &[&str]) -> Result<Outcome> {
    match services::find(name) {
        Ok(program) => done(Command::new(program).args(args).current_dir(tools::root())),
        Err(error) => Ok(Outcome::Skipped(format!("{error:#}"))),
    }
}

fn documentation() -> Result<Outcome> {
    let mut doc = cargo(["doc", "--workspace", "--no-deps"]);
    done(doc.env("RUSTDOCFLAGS", "-D warnings"))
}

fn unit_tests() -> Result<Outcome> {
    done(test_runner().args(["--lib", "--bins"]))
}

fn size() -> Result<()> {
    call(&mut npm::run(&wasm::package(), "size"))
}

fn build() -> Result<Outcome> {
    let mut build = cargo(["build", "--workspace", "--lib", "--bins"]);
    done(build.args(["--examples", "--tests"]))
}

fn tests() -> Result<Outcome> {
    done(test_runner().args(["--lib", "--bins", "--tests"]))
}

/// nextest when it is installed: it runs tests in parallel across programs and names slow ones.
fn test_runner() -> Command {
    if works(&mut cargo(["nextest", "--version"])) {
        cargo(["nextest", "run", "--workspace", "--no-tests=pass"])
    } else {
        eprintln!("cargo-nextest is not installed: plain `cargo test` it is");
        cargo(["test", "--workspace"])
    }
}

fn examples() -> Result<Outcome> {
    done(&mut cargo(["test", "--workspace", "--doc"]))
}

fn fetch_component(component: &str, subcommand: &str) -> Result<()> {
    if works(&mut cargo([subcommand, "--version"])) {
        return Ok(());
    }
    if !works(&mut rustup(["--version"])) {
        bail!("no rustup here to fetch {component}; install it with the compiler's package");
    }
    call(&mut rustup(["component", "add", component]))
}

fn targets() -> Result<Outcome> {
    for target in [WASM, BARE] {
        if !has_target(target) {
            if !works(&mut rustup(["--version"])) {
                return Ok(Outcome::Skipped(format!(
                    "no rustup here to fetch {target}"
                )));
            }
            call(&mut rustup(["target", "add", target]))?;
        }
    }
    for (package, target) in [
        ("mist-pubsub-core", BARE),
        ("mist-pubsub-core", WASM),
        ("mist-pubsub-wasm", WASM),
    ] {
        call(&mut cargo([
            "build",
            "--package",
            package,
            "--target",
            target,
        ]))?;
    }
    Ok(Outcome::Done)
}
