//! Owns running the real binary as a child process: start it, learn its ports, signal it, look at its memory.
//! It must not know what a test does with it.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::wire::PATIENCE;

/// The listeners most tests want: one of each kind, on free ports.
pub const LISTENERS: &str = "tcp://127.0.0.1:0,ws://127.0.0.1:0";

/// A running server.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: Arc<Mutex<String>>,
    lines: Receiver<String>,
    is_frozen: Arc<(Mutex<bool>, Condvar)>,
    addresses: Vec<(String, SocketAddr)>,
}

/// The binary that belongs to the running test: `target/<profile>/mist`.
///
/// # Errors
/// Says how to build it when it is not there.
pub fn binary() -> Result<PathBuf, String> {
    let test = std::env::current_exe().map_err(|error| error.to_string())?;
    let path = test
        .ancestors()
        .nth(2)
        .ok_or("the test has no target folder")?
        .join("mist");
    if path.is_file() {
        Ok(path)
    } else {
        Err(format!(
            "{} is missing: run `cargo build -p mist-pubsub --bin mist` (cargo xtask test does)",
            path.display()
        ))
    }
}

/// A command for the binary, deaf to the environment of whoever runs the tests.
///
/// # Errors
/// When the binary is missing.
pub fn command(arguments: &[&str]) -> Result<Command, String> {
    let mut command = Command::new(binary()?);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MIST_") {
            command.env_remove(name);
        }
    }
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Ok(command)
}

/// Runs the binary to its end and returns its status and what it wrote to stderr.
///
/// # Errors
/// When it does not end within the usual patience; it is killed then.
pub fn run_to_end(arguments: &[&str]) -> Result<(ExitStatus, String), String> {
    let mut process = Process::spawn(command(arguments)?)?;
    let status = process.wait()?;
    Ok((status, process.log()))
}

impl Process {
    /// Starts a server on [`LISTENERS`] with further arguments.
    ///
    /// # Errors
    /// What it wrote, when it does not come up.
    pub fn start(arguments: &[&str]) -> Result<Self, String> {
        Self::start_on(LISTENERS, arguments)
    }

    /// Starts a server on a comma list of listeners and waits until each has named its address.
    ///
    /// # Errors
    /// What it wrote, when it does not come up.
    pub fn start_on(listeners: &str, arguments: &[&str]) -> Result<Self, String> {
        let mut all = vec!["--server", "--listeners", listeners];
        all.extend(arguments);
        let mut process = Self::spawn(command(&all)?)?;
        process.await_addresses(listeners.split(',').count())?;
        Ok(process)
    }

    /// Starts a command and follows its stderr.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(mut command: Command) -> Result<Self, String> {
        let mut child = command
            .spawn()
            .map_err(|error| format!("{command:?}: {error}"))?;
        let stderr = child.stderr.take().ok_or("stderr is not piped")?;
        let log = Arc::new(Mutex::new(String::new()));
        let (sender, lines) = channel();
        let copy = Arc::clone(&log);
        let is_frozen = Arc::<(Mutex<bool>, Condvar)>::default();
        let gate = Arc::clone(&is_frozen);
        std::thread::spawn(move || {
            let (is_frozen, changed) = &*gate;
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                drop(changed.wait_while(lock(is_frozen), |is_frozen| *is_frozen));
                {
                    let mut log = lock(&copy);
                    log.push_str(&line);
                    log.push('\n');
                }
                let _ = sender.send(line);
            }
        });
        Ok(Self {
            child,
            log,
            lines,
            is_frozen,
            addresses: Vec::new(),
        })
    }

    /// Waits until `count` listeners have named their addresses.
    ///
    /// # Errors
    /// What it wrote, when they do not.
    pub fn await_addresses(&mut self, count: usize) -> Result<(), String> {
        while self.addresses.len() < count {
            let line = self.next_line()?;
            if let Some(found) = announced(&line) {
                self.addresses.push(found);
            }
        }
        Ok(())
    }

    /// Waits for a line on stderr that contains a text, and returns it.
    ///
    /// # Errors
    /// What was written instead.
    pub fn await_line(&self, text: &str) -> Result<String, String> {
        loop {
            let line = self
                .next_line()
                .map_err(|error| format!("waiting for {text:?}: {error}"))?;
            if line.contains(text) {
                return Ok(line);
            }
        }
    }

    fn next_line(&self) -> Result<String, String> {
        self.lines.recv_timeout(PATIENCE).map_err(|error| {
            let what = match error {
                RecvTimeoutError::Timeout => "nothing more came on stderr",
                RecvTimeoutError::Disconnected => "the program ended",
            };
            format!("{what}; so far:\n{}", self.log())
        })
    }

    /// The address of the first listener with this scheme.
    ///
    /// # Panics
    /// When there is no such listener; a test asks for those it has started.
    pub fn address(&self, scheme: &str) -> SocketAddr {
        let found = self.addresses.iter().find(|(name, _)| name == scheme);
        found
            .unwrap_or_else(|| panic!("no {scheme} listener among {:?}", self.addresses))
            .1
    }

    /// Reads stderr no more, and fills it up so that nothing more fits into it.
    ///
    /// # Errors
    /// When the kernel does not let the test at it.
    pub fn freeze(&self) -> Result<(), String> {
        *lock(&self.is_frozen.0) = true;
        let path = format!("/proc/{}/fd/2", self.id());
        let open = || File::options().write(true).open(&path);
        let mut filling = open().map_err(|error| format!("{path}: {error}"))?;
        let pipe = filling.try_clone().map_err(|error| error.to_string())?;
        // Ends when somebody reads again, or when nobody can any more.
        std::thread::spawn(move || filling.write_all(&b"filling\n".repeat(1 << 18)));
        let has_room = || {
            poll(
                &mut [PollFd::new(&pipe, PollFlags::OUT)],
                Some(&Timespec::default()),
            )
        };
        while has_room().map_err(|error| error.to_string())? > 0 {
            std::thread::yield_now();
        }
        Ok(())
    }

    /// Reads stderr again.
    pub fn thaw(&self) {
        *lock(&self.is_frozen.0) = false;
        self.is_frozen.1.notify_all();
    }

    /// Everything written to stderr so far.
    pub fn log(&self) -> String {
        lock(&self.log).clone()
    }

    /// Everything written to stdout, once the process has ended.
    pub fn stdout(&mut self) -> String {
        let mut text = String::new();
        if let Some(stdout) = &mut self.child.stdout {
            let _ = stdout.read_to_string(&mut text);
        }
        text
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether the process still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal by its name, such as `TERM`.
    ///
    /// # Errors
    /// When it cannot be sent.
    pub fn signal(&self, name: &str) -> Result<(), String> {
        let status = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.id().to_string())
            .status();
        match status {
            Ok(status) if status.success() => Ok(()),
            other => Err(format!("kill -{name}: {other:?}")),
        }
    }

    /// Waits for the process to end.
    ///
    /// # Errors
    /// What it wrote, when it does not end within the usual patience; it is killed then.
    pub fn wait(&mut self) -> Result<ExitStatus, String> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().map_err(|error| error.to_string())? {
                // The end of the stream makes the log complete.
                self.thaw();
                while self.lines.recv_timeout(PATIENCE).is_ok() {}
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let _ = self.child.kill();
        Err(format!(
            "the program does not end; it wrote:\n{}",
            self.log()
        ))
    }

    /// Resident memory in bytes.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn memory(&self) -> Result<u64, String> {
        let path = format!("/proc/{}/status", self.id());
        let status = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .ok_or("no VmRSS")?;
        let kib: u64 = line
            .trim()
            .trim_end_matches(" kB")
            .trim()
            .parse()
            .map_err(|error| format!("{line}: {error}"))?;
        Ok(kib * 1024)
    }

    /// The number of open file descriptors.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn descriptors(&self) -> Result<usize, String> {
        let path = format!("/proc/{}/fd", self.id());
        Ok(std::fs::read_dir(&path)
            .map_err(|error| format!("{path}: {error}"))?
            .count())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Finds `scheme://ip:port` in a line such as `TCP server listening at 'tcp://127.0.0.1:45123'`.
fn announced(line: &str) -> Option<(String, SocketAddr)> {
    let (_, rest) = line.split_once("listening at '")?;
    let (uri, _) = rest.split_once('\'')?;
    let (scheme, authority) = uri.split_once("://")?;
    Some((
        scheme.to_owned(),
        authority.split('/').next()?.parse().ok()?,
    ))
}
