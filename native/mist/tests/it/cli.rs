//! The `mist` program, run as people run it: real processes, real sockets, ports chosen by the system.

mod bench;
mod commands;
mod crash;
mod encrypted;
mod publishing;
mod secrets;
mod serving;
mod settings;
mod subscribing;
mod texts;
mod tokens;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use assert_cmd::assert::Assert;

/// How long anything may take before the test fails; nothing waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(20);

const TCP: &str = "tcp://127.0.0.1:0";

/// The program without the settings of whoever runs the tests.
fn command() -> Command {
    clean(env!("CARGO_BIN_EXE_mist"))
}

/// A program, perhaps one that runs ours, without the settings of whoever runs the tests.
fn clean(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MIST_") {
            command.env_remove(name);
        }
    }
    command.env_remove("NO_COLOR").env_remove("RUST_BACKTRACE");
    command
}

/// Runs the program to its end.
fn mist(arguments: &[&str]) -> Assert {
    run(&mut command(), arguments)
}

fn run(command: &mut Command, arguments: &[&str]) -> Assert {
    let mut fresh = assert_cmd::Command::from_std(std::mem::replace(command, self::command()));
    fresh.args(arguments).timeout(PATIENCE).assert()
}

/// What an ended program wrote on stderr.
fn stderr(assert: &Assert) -> String {
    String::from_utf8_lossy(&assert.get_output().stderr).into_owned()
}

fn stdout(assert: &Assert) -> String {
    String::from_utf8_lossy(&assert.get_output().stdout).into_owned()
}

/// A program that goes on running, killed with the test.
struct Running {
    child: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

impl Running {
    fn start(command: &mut Command, arguments: &[&str]) -> Self {
        let mut child = command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stdout = lines(child.stdout.take().expect("piped"));
        let stderr = lines(child.stderr.take().expect("piped"));
        Self {
            child,
            stdout,
            stderr,
        }
    }

    fn line(&self) -> String {
        self.stdout
            .recv_timeout(PATIENCE)
            .expect("a line on stdout")
    }

    /// Passes over lines on stderr up to one that contains `text`.
    fn says(&self, text: &str) -> String {
        let mut seen = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.stderr.recv_timeout(left) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => seen.push(line),
                Err(error) => panic!("no '{text}' on stderr ({error}), only {seen:?}"),
            }
        }
    }

    /// What is left on a stream, once the program has ended.
    fn rest(stream: &Receiver<String>) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            match stream.recv_timeout(PATIENCE) {
                Ok(line) => lines.push(line),
                Err(RecvTimeoutError::Disconnected) => return lines,
                Err(RecvTimeoutError::Timeout) => panic!("the program does not end"),
            }
        }
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([name, &self.child.id().to_string()])
            .status()
            .expect("kill runs");
        assert!(status.success());
    }

    fn end(&mut self) -> ExitStatus {
        // The streams close when the program ends, which is the event to wait for.
        Self::rest(&self.stdout);
        self.child.wait().expect("it was started")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// A server on a port of its own.
struct Server {
    running: Running,
    /// `127.0.0.1:PORT`
    host: String,
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        Self::at(TCP, arguments)
    }

    fn at(listener: &str, arguments: &[&str]) -> Self {
        let running = Running::start(
            command().args(["--server", "--listeners", listener]),
            arguments,
        );
        let line = running.says("server listening at");
        let (_, address) = line.split_once("://").expect("a URI");
        // Behind the quote may stand what certificate it has.
        let (address, _) = address.split_once('\'').expect("a quote");
        Self {
            host: address.to_owned(),
            running,
        }
    }

    /// Runs a command against this server.
    fn mist(&self, arguments: &[&str]) -> Assert {
        run(command().env("MIST_HOST", &self.host), arguments)
    }

    /// Starts a subscriber and waits until it is subscribed.
    fn subscriber(&self, arguments: &[&str]) -> Running {
        let subscriber = Running::start(
            command().env("MIST_HOST", &self.host).arg("subscribe"),
            arguments,
        );
        assert!(subscriber.line().starts_with("Listening on tags '["));
        subscriber
    }
}

/// A port that nobody listens on.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound").port()
}
