//! The `mist` program, run as people run it: real processes, real sockets, ports chosen by the system.

mod answers;
mod bench;
mod commands;
mod crash;
mod encrypted;
mod publishing;
#[cfg(unix)]
mod reloading;
mod secrets;
mod serving;
mod settings;
#[cfg(unix)]
mod stopping;
mod subscribing;
mod texts;
mod tokens;

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use assert_cmd::assert::Assert;
use mist_tests::PATIENCE;
use mist_tests::process::{Process, clean, free_port, rest};

const TCP: &str = "tcp://127.0.0.1:0";

/// The program without the settings of whoever runs the tests.
fn command() -> Command {
    clean(env!("CARGO_BIN_EXE_mist"))
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

/// Starts a program that goes on running, killed with the test.
fn start(command: &mut Command, arguments: &[&str]) -> Process {
    Process::run(command.args(arguments))
}

/// A server on a port of its own.
struct Server {
    running: Process,
    /// `127.0.0.1:PORT`
    host: String,
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        Self::at(TCP, arguments)
    }

    fn at(listener: &str, arguments: &[&str]) -> Self {
        let running = start(
            command().args(["--server", "--listeners", listener]),
            arguments,
        );
        Self::of(running)
    }

    /// Waits until one that was started otherwise listens.
    fn of(running: Process) -> Self {
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
    fn subscriber(&self, arguments: &[&str]) -> Process {
        let subscriber = start(
            command().env("MIST_HOST", &self.host).arg("subscribe"),
            arguments,
        );
        assert!(subscriber.line().starts_with("Listening on tags '["));
        subscriber
    }
}
