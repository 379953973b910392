//! Owns what tests start copies of and the workspace does not build: where it is found, and how it gets here.
//!
//! It does not know what tests do with it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::steps::Step;
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
        if let Some(Ok(versions)) = self.versions.map(Path::new).map(Path::read_dir) {
            folders.extend(versions.flatten().map(|version| version.path().join("bin")));
        }
        let mut programs = folders.into_iter().map(|folder| folder.join(self.program));
        programs.find(|program| program.is_file())
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
