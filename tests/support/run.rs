//! Owns running one transcript against one door, and the picture of a failure.
//! It must not know how a door is built; that is in [`crate::door`].

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow};

use crate::door::{Connection, House};
use crate::transcript::{Action, Door, Pairs, Step, Transcript, is_like};
use crate::wire::Incoming;
use crate::{PATIENCE, PING, PONG};

const REMEMBERED: usize = 8;
const SHOWN: usize = 400;

/// What went wrong, where, and what had happened before.
#[derive(Debug)]
pub struct Failure {
    path: PathBuf,
    line: usize,
    door: Door,
    step: String,
    what: String,
    history: VecDeque<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}:{} (door: {})",
            self.path.display(),
            self.line,
            self.door.word()
        )?;
        writeln!(f, "    step:     {}", shorten(&self.step))?;
        writeln!(f, "    {}", self.what)?;
        for line in &self.history {
            writeln!(f, "    before:   {line}")?;
        }
        Ok(())
    }
}

/// Runs a transcript against a door.
pub async fn run(transcript: &Transcript, door: Door) -> Result<(), Failure> {
    let mut stage = Stage {
        clients: BTreeMap::new(),
        history: VecDeque::new(),
    };
    let mut at = (0, "(starting the server)".to_owned());
    let outcome = play(transcript, door, &mut stage, &mut at).await;
    outcome.map_err(|what| Failure {
        path: transcript.path.clone(),
        line: at.0,
        door,
        step: at.1,
        what: format!("{what:#}"),
        history: stage.history,
    })
}

async fn play(
    transcript: &Transcript,
    door: Door,
    stage: &mut Stage,
    at: &mut (usize, String),
) -> Result<()> {
    let house = House::open(door, &transcript.server).await?;
    for step in &transcript.steps {
        *at = (step.line, step.text.clone());
        stage.step(&house, step).await?;
    }
    let last = transcript.steps.last().map_or(0, |step| step.line);
    let names: Vec<String> = stage.clients.keys().cloned().collect();
    for name in names {
        *at = (last, format!("(end of file: {name} is quiet)"));
        stage.barrier(&name).await?;
    }
    stage.clients.clear();
    house.close().await;
    Ok(())
}

struct Stage {
    clients: BTreeMap<String, Connection>,
    history: VecDeque<String>,
}

impl Stage {
    async fn step(&mut self, house: &House, step: &Step) -> Result<()> {
        let name = &step.client;
        if let Action::Connect(options) = &step.action {
            self.note(&step.text);
            let connection = house.connect(options).await?;
            self.clients.insert(name.clone(), connection);
            return Ok(());
        }
        if !self.clients.contains_key(name) {
            let connection = house.connect(&Pairs::new()).await?;
            self.clients.insert(name.clone(), connection);
        }
        match &step.action {
            Action::Send(message) => {
                self.note(&step.text);
                self.client(name)?.send(message).await
            }
            Action::Write(bytes) => {
                self.note(&step.text);
                self.client(name)?.write(bytes).await
            }
            Action::Expect(message) => {
                self.expect(name, message, |message, came| message == came)
                    .await
            }
            Action::Like(pattern) => self.expect(name, pattern, is_like).await,
            Action::Barrier => self.barrier(name).await,
            Action::Eof => {
                self.note(&step.text);
                self.client(name)?.finish().await
            }
            Action::Close => {
                self.note(&step.text);
                let mut client = self.clients.remove(name).context("no such client")?;
                client.close().await
            }
            Action::Closed(code) => {
                let came = self.client(name)?.recv().await;
                self.clients.remove(name);
                let same_code = |came: Option<u16>| {
                    code.is_none() || house.door().alike() != Door::Ws || came == *code
                };
                match came {
                    Incoming::Closed(came) if same_code(came) => {
                        self.note(&step.text);
                        Ok(())
                    }
                    other => Err(anyhow!(picture(&step.text, &other))),
                }
            }
            Action::Connect(_) => Ok(()),
        }
    }

    async fn barrier(&mut self, name: &str) -> Result<()> {
        self.note(&format!("{name}> {PING}"));
        self.client(name)?.send(PING).await?;
        self.expect(name, PONG, |message, came| message == came)
            .await
    }

    async fn expect(
        &mut self,
        name: &str,
        wanted: &str,
        holds: fn(&str, &str) -> bool,
    ) -> Result<()> {
        let came = self.client(name)?.recv().await;
        if let Incoming::Message(message) = &came
            && let Ok(text) = std::str::from_utf8(message)
            && holds(wanted, text)
        {
            self.note(&format!("{name}< {text}"));
            return Ok(());
        }
        Err(anyhow!(picture(wanted, &came)))
    }

    fn client(&mut self, name: &str) -> Result<&mut Connection> {
        self.clients
            .get_mut(name)
            .with_context(|| format!("{name} is not connected any more"))
    }

    fn note(&mut self, line: &str) {
        if self.history.len() == REMEMBERED {
            self.history.pop_front();
        }
        self.history.push_back(shorten(line));
    }
}

fn picture(wanted: &str, came: &Incoming) -> String {
    let came = match came {
        Incoming::Message(bytes) => shorten(&String::from_utf8_lossy(bytes)),
        Incoming::Closed(Some(code)) => format!("(closed with {code})"),
        Incoming::Closed(None) => "(closed)".to_owned(),
        Incoming::Nothing => format!("(nothing within {} s)", PATIENCE.as_secs()),
    };
    format!("expected: {}\n    came:     {came}", shorten(wanted))
}

fn shorten(text: &str) -> String {
    let start = text.chars().take(SHOWN);
    let start: String = start
        .flat_map(|c| {
            if c.is_control() {
                c.escape_default().collect()
            } else {
                vec![c]
            }
        })
        .collect();
    if text.chars().count() <= SHOWN {
        start
    } else {
        format!("{start}… ({} bytes)", text.len())
    }
}
