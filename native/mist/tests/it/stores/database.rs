//! Owns a PostgreSQL server of the tests' own: its folder, its port, its life.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use mist_tests::process::{free_port, lines};
use tempfile::TempDir;
use tokio_postgres::{Client, Config, Error, NoTls};

use super::PATIENCE;

/// What is in it must be percent-encoded in a URI.
const PASSWORD: &str = "p@ss/wo:rd#é?&";
pub(super) const ENCODED: &str = "p%40ss%2Fwo%3Ard%23%C3%A9%3F&";

/// A running PostgreSQL with an empty database `mist`, and a user of that name who may do everything.
pub(crate) struct Database {
    folder: TempDir,
    pub(crate) port: u16,
    process: Option<Child>,
}

impl Database {
    /// None when PostgreSQL is not installed, which is said.
    pub(crate) fn start() -> Option<Self> {
        let Some(initdb) = program("initdb") else {
            eprintln!(
                "!!! SKIPPED, all that needs PostgreSQL: it is not installed (`apt-get install postgresql`)"
            );
            return None;
        };
        let folder = tempfile::tempdir().expect("a folder");
        let password = folder.path().join("password");
        fs::write(&password, PASSWORD).expect("written");
        hand_over(folder.path());
        hand_over(&password);
        let made = as_its_user(&initdb)
            .args(["--username=mist", "--auth=scram-sha-256", "--encoding=UTF8"])
            .args(["--locale=C", "--no-sync"])
            .arg(format!("--pwfile={}", password.display()))
            .arg(format!("--pgdata={}", folder.path().join("data").display()))
            .output()
            .expect("initdb runs");
        assert!(made.status.success(), "{made:?}");
        let mut database = Self {
            folder,
            port: 0,
            process: None,
        };
        // Somebody may take a free port before the database does.
        let starts = (0..10).any(|_| {
            database.port = free_port();
            database.begin(&[])
        });
        assert!(starts, "PostgreSQL does not start");
        database.sql("postgres", "CREATE DATABASE mist");
        Some(database)
    }

    /// Starts it on its port, with further settings; says whether it came up.
    pub(crate) fn begin(&mut self, settings: &[&str]) -> bool {
        let folder = self.folder.path().display().to_string();
        let mut command = as_its_user(&program("postgres").expect("it is installed"));
        command
            .args(["-D", &format!("{folder}/data"), "-k", &folder])
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            // Only a crash of the machine would need it.
            .args(["-c", "fsync=off"]);
        for setting in settings {
            command.args(["-c", setting]);
        }
        let mut process = command
            .stderr(Stdio::piped())
            .spawn()
            .expect("postgres runs");
        let log = lines(process.stderr.take().expect("piped"));
        let mut seen = Vec::new();
        loop {
            match log.recv_timeout(PATIENCE) {
                Ok(line) if line.contains("ready to accept connections") => {
                    self.process = Some(process);
                    return true;
                }
                Ok(line) => seen.push(line),
                Err(_) => {
                    let _ = process.kill();
                    let _ = process.wait();
                    eprintln!("PostgreSQL ended: {seen:?}");
                    return false;
                }
            }
        }
    }

    /// Stops it as an operator does who does not wait for clients.
    pub(crate) fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            signal("INT", &[process.id()]);
            process.wait().expect("it was started");
        }
    }

    /// Lets none of its processes do anything until it is thawed.
    pub(crate) fn freeze(&self) {
        signal("STOP", &self.processes());
    }

    pub(crate) fn thaw(&self) {
        signal("CONT", &self.processes());
    }

    /// The server itself first, so that it starts no more while the others are dealt with.
    fn processes(&self) -> Vec<u32> {
        let server = self.process.as_ref().expect("it runs").id();
        let children = Command::new("ps")
            .args(["-o", "pid=", "--ppid", &server.to_string()])
            .output()
            .expect("ps runs");
        let children = String::from_utf8_lossy(&children.stdout).into_owned();
        let children = children.split_whitespace().filter_map(|id| id.parse().ok());
        std::iter::once(server).chain(children).collect()
    }

    /// The URI of its database `mist`, with further parameters such as `&sslmode=disable`.
    pub(crate) fn uri(&self, parameters: &str) -> String {
        self.uri_of("mist", ENCODED, "127.0.0.1", parameters)
    }

    pub(crate) fn uri_of(
        &self,
        user: &str,
        password: &str,
        host: &str,
        parameters: &str,
    ) -> String {
        let port = self.port;
        format!("postgres://{user}:{password}@{host}:{port}?db=mist{parameters}")
    }

    /// Runs statements in a database, and returns what they answer, one row per line.
    pub(crate) fn sql(&self, database: &str, statements: &str) -> String {
        let done = Command::new(program("psql").expect("it is installed"))
            .env("PGPASSWORD", PASSWORD)
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"])
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args(["-U", "mist", "-d", database, "-c", statements])
            .output()
            .expect("psql runs");
        assert!(done.status.success(), "{statements}: {done:?}");
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    }

    /// A connection to `mist`, beside the store's.
    pub(super) async fn connect(
        &self,
    ) -> (
        Client,
        impl Future<Output = Result<(), Error>> + Send + use<>,
    ) {
        let mut config = Config::new();
        config.host("127.0.0.1").port(self.port);
        config.user("mist").password(PASSWORD).dbname("mist");
        config.connect(NoTls).await.expect("connected")
    }

    /// Where its socket file is.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A file that the server can read, and nobody else.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).expect("written");
        let only_me = fs::Permissions::from_mode(0o600);
        fs::set_permissions(&path, only_me).expect("it is ours");
        hand_over(&path);
        path
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            self.process = None;
            // Frozen or not.
            signal("QUIT", &[process.id()]);
            signal("CONT", &[process.id()]);
            let _ = process.wait();
        }
    }
}

/// A program of PostgreSQL, where Debian puts it or on the path.
fn program(name: &str) -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|versions| {
            versions
                .flatten()
                .map(|version| version.path().join("bin"))
                .collect()
        })
        .unwrap_or_default();
    folders.sort();
    folders.reverse();
    let path = std::env::var_os("PATH").unwrap_or_default();
    folders.extend(std::env::split_paths(&path));
    let programs = folders.into_iter().map(|folder| folder.join(name));
    programs.into_iter().find(|program| program.is_file())
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}

/// PostgreSQL refuses to run as root. And it is to end with the test, even when the test is killed.
fn as_its_user(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "QUIT"]);
    if is_root() {
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
    }
    command.arg(program).current_dir("/").stdin(Stdio::null());
    command
}

/// Gives a file to the user that PostgreSQL runs as.
pub(super) fn hand_over(path: &Path) {
    if is_root() {
        let id = |of: &str| {
            let told = Command::new("id").args([of, "postgres"]).output();
            let told = told.expect("id runs").stdout;
            let id = String::from_utf8_lossy(&told).trim().parse();
            Some(id.expect("Debian's package makes the user postgres"))
        };
        std::os::unix::fs::chown(path, id("-u"), id("-g")).expect("root may");
    }
}

fn signal(name: &str, processes: &[u32]) {
    for process in processes {
        // Children may have ended meanwhile.
        let _ = Command::new("kill")
            .args([format!("-{name}"), process.to_string()])
            .status();
    }
}
