//! Owns running the real binary as a child process: start it, read what it says, learn its ports, signal it, look at
//! its memory. It must not know what a test does with it.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::PATIENCE;

/// The listeners most tests want: one of each kind, on free ports.
pub const LISTENERS: &str = "tcp://127.0.0.1:0,ws://127.0.0.1:0";

/// A program that goes on running, killed with the test.
#[derive(Debug)]
pub struct Process {
    /// The process.
    pub child: Child,
    /// Lines on stdout that nobody has looked at.
    pub stdout: Receiver<String>,
    /// Lines on stderr that nobody has looked at.
    pub stderr: Receiver<String>,
    log: Arc<Mutex<String>>,
    logging: Option<JoinHandle<()>>,
    is_frozen: Arc<(Mutex<bool>, Condvar)>,
    addresses: Vec<(String, SocketAddr)>,
}

/// The binary that belongs to the running test: `target/<profile>/mist`.
pub fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let name = format!("mist{}", std::env::consts::EXE_SUFFIX);
    let path = test.ancestors().nth(2).expect("a folder").join(name);
    assert!(
        path.is_file(),
        "{} is missing: run `cargo build -p mist-pubsub --bin mist` (cargo xtask test does)",
        path.display()
    );
    path
}

/// The binary with arguments, without the settings of whoever runs the tests.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = clean(&binary().to_string_lossy());
    command.args(arguments);
    command
}

/// A program, perhaps one that runs ours, without the settings of whoever runs the tests.
pub fn clean(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MIST_") {
            command.env_remove(name);
        }
    }
    command.env_remove("NO_COLOR").env_remove("RUST_BACKTRACE");
    command
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound").port()
}

/// What is left on a stream, once the program has ended.
pub fn rest(stream: &Receiver<String>) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        match stream.recv_timeout(PATIENCE) {
            Ok(line) => lines.push(line),
            Err(RecvTimeoutError::Disconnected) => return lines,
            Err(RecvTimeoutError::Timeout) => panic!("the program does not end after {lines:?}"),
        }
    }
}

/// The lines of a stream, as they come.
pub fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    follow(stream, |_| {}).0
}

/// The lines of a stream, as they come, each after `look` has seen it.
fn follow(
    stream: impl Read + Send + 'static,
    look: impl Fn(&str) + Send + 'static,
) -> (Receiver<String>, JoinHandle<()>) {
    let (sender, receiver) = channel();
    let thread = std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            look(&line);
            // Who has no more interest in lines may still want the log.
            let _ = sender.send(line);
        }
    });
    (receiver, thread)
}

impl Process {
    /// Starts a server on [`LISTENERS`] with further arguments.
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_on(LISTENERS, arguments)
    }

    /// Starts a server on a comma list of listeners and waits until each has named its address.
    pub fn start_on(listeners: &str, arguments: &[&str]) -> Self {
        let mut command = command(&["--server", "--listeners", listeners]);
        let mut process = Self::run(command.args(arguments));
        process.await_addresses(listeners.split(',').count());
        process
    }

    /// Starts a command and follows what it says.
    pub fn run(command: &mut Command) -> Self {
        // So that a signal is for this one alone.
        #[cfg(windows)]
        std::os::windows::process::CommandExt::creation_flags(command, console::NEW_GROUP);
        let streams = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let child = streams.stderr(Stdio::piped()).spawn();
        Self::follow(child.unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    /// Follows what a program says on the streams that are pipes.
    pub fn follow(mut child: Child) -> Self {
        let log = Arc::new(Mutex::new(String::new()));
        let is_frozen = Arc::<(Mutex<bool>, Condvar)>::default();
        let (copy, gate) = (Arc::clone(&log), Arc::clone(&is_frozen));
        let stdout = match child.stdout.take() {
            Some(stdout) => lines(stdout),
            None => lines(std::io::empty()),
        };
        let (stderr, logging) = follow(child.stderr.take().expect("piped"), move |line| {
            let (is_frozen, changed) = &*gate;
            drop(changed.wait_while(lock(is_frozen), |is_frozen| *is_frozen));
            *lock(&copy) += &format!("{line}\n");
        });
        Self {
            child,
            stdout,
            stderr,
            logging: Some(logging),
            log,
            is_frozen,
            addresses: Vec::new(),
        }
    }

    /// Waits until `count` listeners have named their addresses.
    pub fn await_addresses(&mut self, count: usize) {
        while self.addresses.len() < count {
            self.addresses.extend(announced(&self.says("")));
        }
    }

    /// The next line on stdout.
    pub fn line(&self) -> String {
        let line = self.stdout.recv_timeout(PATIENCE);
        line.unwrap_or_else(|error| panic!("no line on stdout ({error}):\n{}", self.log()))
    }

    /// Passes over lines on stderr up to one that contains a text, and returns it.
    pub fn says(&self, text: &str) -> String {
        loop {
            match self.stderr.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(text) => return line,
                Ok(_) => {}
                Err(error) => panic!("no '{text}' on stderr ({error}), only:\n{}", self.log()),
            }
        }
    }

    /// The address of the first listener with this scheme.
    pub fn address(&self, scheme: &str) -> SocketAddr {
        let found = self.addresses.iter().find(|(name, _)| name == scheme);
        found
            .unwrap_or_else(|| panic!("no {scheme} listener among {:?}", self.addresses))
            .1
    }

    /// Reads stderr no more, and fills it up so that nothing more fits into it.
    #[cfg(unix)]
    pub fn freeze(&self) {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        use std::fs::File;
        use std::io::Write;

        *lock(&self.is_frozen.0) = true;
        let path = format!("/proc/{}/fd/2", self.id());
        let mut filling = File::options().write(true).open(&path).expect(&path);
        let pipe = filling.try_clone().expect("a pipe");
        // Ends when somebody reads again, or when nobody can any more.
        std::thread::spawn(move || filling.write_all(&b"filling\n".repeat(1 << 18)));
        let has_room = || {
            let mut polled = [PollFd::new(&pipe, PollFlags::OUT)];
            poll(&mut polled, Some(&Timespec::default())).expect("a pipe")
        };
        while has_room() > 0 {
            std::thread::yield_now();
        }
    }

    /// Reads stderr again.
    pub fn thaw(&self) {
        *lock(&self.is_frozen.0) = false;
        self.is_frozen.1.notify_all();
    }

    /// Everything read from stderr so far.
    pub fn log(&self) -> String {
        lock(&self.log).clone()
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
    #[cfg(unix)]
    pub fn signal(&self, name: &str) {
        let id = self.id().to_string();
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &id])
            .status();
        assert!(sent.expect("kill runs").success());
    }

    /// Presses Ctrl-Break, in the place of `TERM`; there are no other signals for another process.
    #[cfg(windows)]
    pub fn signal(&self, name: &str) {
        assert_eq!(name, "TERM", "Windows has no such signal");
        console::press_break(self.id());
    }

    /// Waits for the process to end, and the log to be complete.
    pub fn end(&mut self) -> ExitStatus {
        // The streams close when the program ends, which is the event to wait for.
        rest(&self.stdout);
        let status = self.child.wait().expect("it was started");
        self.thaw();
        if let Some(logging) = self.logging.take() {
            logging.join().expect("it only reads");
        }
        status
    }

    /// Resident memory in bytes.
    pub fn memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.id());
        let status = std::fs::read_to_string(&path).expect(&path);
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        kib.and_then(|kib| kib.parse::<u64>().ok()).expect("VmRSS") * 1024
    }

    /// The number of open file descriptors.
    pub fn descriptors(&self) -> usize {
        let path = format!("/proc/{}/fd", self.id());
        std::fs::read_dir(&path).expect(&path).count()
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

/// What the standard library lacks of Windows' consoles.
#[cfg(windows)]
mod console {
    /// Has a new process be a group of its own.
    pub(super) const NEW_GROUP: u32 = 0x200;
    const BREAK: u32 = 1;

    #[allow(unsafe_code)]
    pub(super) fn press_break(group: u32) {
        #[link(name = "kernel32")]
        unsafe extern "system" {
            fn GenerateConsoleCtrlEvent(event: u32, group: u32) -> i32;
        }
        // SAFETY: it takes two numbers by value, and any numbers.
        let sent = unsafe { GenerateConsoleCtrlEvent(BREAK, group) };
        assert_ne!(sent, 0, "{}", std::io::Error::last_os_error());
    }
}
