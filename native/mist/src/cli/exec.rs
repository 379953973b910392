//! Owns `--exec`: a shell command for each message, so many at a time.

use std::io;
use std::process::{ExitStatus, Stdio};

use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::task::JoinSet;

use super::out;

/// The commands that run.
pub(super) struct Jobs {
    command: String,
    /// How many may run at once.
    most: usize,
    running: JoinSet<()>,
}

impl Jobs {
    pub(super) fn new(command: &str, most: usize) -> Self {
        Self {
            command: command.to_owned(),
            most,
            running: JoinSet::new(),
        }
    }

    /// Runs the command for a message, once there is room for it.
    pub(super) async fn start(&mut self, tags: &[String], data: String) {
        while self.running.len() >= self.most {
            self.running.join_next().await;
        }
        let (command, tags) = (self.command.clone(), tags.join(","));
        self.running.spawn(async move {
            let why = match run(&command, &tags, &data).await {
                Ok(status) if status.success() => return,
                Ok(status) => status.to_string(),
                Err(error) => format!("it cannot be run: {error}"),
            };
            out::error(&format!(
                "'{command}' failed for a message with {tags}: {why}"
            ));
        });
    }

    /// Waits for all that run.
    pub(super) async fn finish(&mut self) {
        while self.running.join_next().await.is_some() {}
    }
}

async fn run(command: &str, tags: &str, data: &str) -> io::Result<ExitStatus> {
    let mut child = shell(command)
        .env("MIST_TAGS", tags)
        .stdin(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A command need not read what it is given.
        let _ = stdin.write_all(data.as_bytes()).await;
    }
    child.wait().await
}

#[cfg(not(windows))]
fn shell(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]);
    shell
}

/// The system's shell takes the rest of its command line as it is, quotes and all.
#[cfg(windows)]
fn shell(command: &str) -> Command {
    let mut shell = Command::new("cmd");
    shell.arg("/C").raw_arg(command);
    shell
}
