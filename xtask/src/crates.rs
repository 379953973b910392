//! Owns packing the crates as they are published, and the proof that they need nothing but what was packed.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::tools::{self, call, cargo};

/// Those that are published, each after those it depends on.
pub(crate) const CRATES: [&str; 5] = [
    "mist-pubsub-core",
    "mist-pubsub-net",
    "mist-pubsub-client",
    "mist-pubsub-server",
    "mist-pubsub",
];

/// Each with its features in the combinations that make sense, besides all of them.
const FEATURES: [(&str, &[&str]); 4] = [
    (
        "mist-pubsub-net",
        &["", "tls", "websocket", "tls,websocket", "idn"],
    ),
    (
        "mist-pubsub-client",
        &["", "tls", "websocket", "tls,websocket", "idn"],
    ),
    (
        "mist-pubsub-server",
        &[
            "", "http", "idn", "jwt", "sqlite", "scribble", "postgres", "cluster",
        ],
    ),
    ("mist-pubsub", &["", "client", "server"]),
];

/// Checks the libraries with each of these combinations; warnings are errors.
pub(crate) fn features() -> Result<()> {
    // What it says of what was left out is tested nowhere else: in the workspace nothing is.
    call(cargo(["test", "--quiet", "--lib"]).args(["--package", "mist-pubsub-net"]))?;
    for (package, combinations) in FEATURES {
        for features in combinations {
            let mut clippy = cargo(["clippy", "--quiet", "--lib", "--no-default-features"]);
            clippy.args(["--package", package, "--features", features]);
            call(clippy.args(["--", "-D", "warnings"]))?;
        }
    }
    Ok(())
}

/// Packs all of them; returns the archives.
pub(crate) fn pack() -> Result<Vec<PathBuf>> {
    let packages = CRATES.iter().flat_map(|name| ["--package", name]);
    let mut package = cargo(["package", "--no-verify", "--allow-dirty", "--quiet"]);
    call(package.args(packages))?;
    let folder = tools::target_folder().join("package");
    let archive = |name| folder.join(format!("{name}-{}.crate", env!("CARGO_PKG_VERSION")));
    Ok(CRATES.iter().map(archive).collect())
}

/// Unpacks them outside the checkout, installs the program from there, and has it serve the page.
pub(crate) fn stand_alone() -> Result<()> {
    let archives = pack()?;
    let folder = Scratch::new()?;
    for archive in &archives {
        let mut tar = Command::new("tar");
        call(tar.arg("-xzf").arg(archive).current_dir(&folder.0))?;
    }
    // As if they were published: each finds the others where a registry would have them. With the checkout's profiles
    // what others have written is the same as in its own builds.
    let unpacked = |name: &str| format!("{name}-{}", env!("CARGO_PKG_VERSION"));
    let checkout = fs::read_to_string(tools::root().join("Cargo.toml"))?;
    let profiles = checkout.find("[profile.").map_or("", |at| &checkout[at..]);
    let mut manifest = format!(
        "[workspace]\nresolver = \"3\"\nmembers = [\"mist-*\"]\n\n{profiles}\n[patch.crates-io]\n"
    );
    for name in CRATES {
        manifest += &format!("{name} = {{ path = \"{}\" }}\n", unpacked(name));
    }
    fs::write(folder.0.join("Cargo.toml"), manifest)?;
    fs::copy(
        tools::root().join("Cargo.lock"),
        folder.0.join("Cargo.lock"),
    )?;
    call(cargo(["update", "--workspace", "--quiet"]).current_dir(&folder.0))?;

    // The program must not take the place of the checkout's; all that it is made of may lie beside what that is.
    let target = tools::target_folder();
    let mut install = cargo(["install", "--locked", "--debug", "--path"]);
    install.arg(folder.0.join(unpacked("mist-pubsub")));
    install.arg("--root").arg(&folder.0);
    install.arg("--target-dir").arg(target.join("crates"));
    install.env("CARGO_BUILD_BUILD_DIR", target);
    // It is never built again.
    install.env("CARGO_INCREMENTAL", "0");
    call(install.current_dir(&folder.0))?;
    let page = folder.0.join(unpacked("mist-pubsub-server")).join("page");
    let built = page.join("dist/index.html");
    let page = if built.is_file() {
        built
    } else {
        page.join("plain.html")
    };
    serves(&folder.0.join("bin/mist"), &fs::read(page)?)
}

/// Starts a server, and compares what it has at `/` with the page.
fn serves(program: &Path, page: &[u8]) -> Result<()> {
    let mut server = Server(
        Command::new(program)
            .args(["--server", "--listeners", "http://127.0.0.1:0"])
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start what was installed")?,
    );
    let log = server.0.stderr.take().context("no log")?;
    let mut lines = BufReader::new(log).lines();
    let address = loop {
        let line = lines
            .next()
            .context("the server ended before it listened")??;
        eprintln!("{line}");
        if let Some((_, address)) = line.split_once("the page is at http://") {
            break address.trim_end_matches('/').to_owned();
        }
    };
    let mut stream = TcpStream::connect(&address)?;
    write!(
        stream,
        "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    ensure!(
        answer.starts_with(b"HTTP/1.1 200 "),
        "the page is not there: {}",
        String::from_utf8_lossy(&answer)
    );
    if !answer.ends_with(page) {
        bail!("what is at / is not the page that was packed");
    }
    Ok(())
}

/// Ends the server with the step.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder outside the checkout that goes with the step.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("mist-crates-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
