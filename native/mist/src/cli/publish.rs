//! Owns `mist publish`: where the data comes from, how fast it goes, and what is said about it.

use std::io::{self, IsTerminal};
use std::time::Duration;

use futures_util::FutureExt;
use mist::client::{Client, Event, Events};
use serde_json::json;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::args::PublishArgs;
use super::connect::{Target, failed, refused};
use super::exit::Stop;
use super::host::Answer;
use super::input::Line;
use super::{input, out};

/// What to publish.
pub(super) struct Job {
    tags: Vec<String>,
    /// Nothing when every line of stdin is a message.
    data: Option<String>,
}

/// Finds out what to publish, as far as that takes no server.
pub(super) fn job(args: &PublishArgs) -> Result<Job, Stop> {
    let mut words = &args.tags.words[..];
    let mut data = args.data.clone();
    if !args.text.is_empty() {
        data = Some(args.text.join(" "));
    }
    // As ever: where flags give the tags, a word is the data.
    if data.is_none() && !args.stdin_line && args.tags.has_flags() {
        match words {
            [] => {}
            [word] => {
                data = Some(word.clone());
                words = &[];
            }
            _ => {
                return Err(Stop::usage(format!(
                    "Unable to publish - behind --tags, '{}' may be tags or data: write data of several words behind --",
                    words.join(" ")
                )));
            }
        }
    }
    let tags = args.tags.with_words(words)?;
    if tags.is_empty() {
        return Err(Stop::usage(
            "Unable to publish - Missing tags: write some, as in `mist pub bus late -- \"12 min\"`",
        ));
    }
    let data = match data.as_deref() {
        _ if args.stdin_line => None,
        // Before there is a runtime, so that Ctrl-C works as ever while this waits.
        Some("-") => Some(input::all()?),
        Some(data) => Some(data.to_owned()),
        None => {
            let data = piped()?;
            // A single one is looked at where tags are.
            let word = words.iter().find(|word| word.contains(' '));
            if let Some(word) = word.filter(|_| words.len() > 1) {
                out::note(&format!(
                    "'{word}' is one of the tags, and the data is what was piped in; data stands behind --"
                ));
            }
            Some(data)
        }
    };
    Ok(Job { tags, data })
}

/// The data from a pipe, if none was given as an argument.
fn piped() -> Result<String, Stop> {
    let missing = || {
        Err(Stop::usage(
            "Unable to publish - Missing data: write it behind --, or pipe it in",
        ))
    };
    if io::stdin().is_terminal() {
        return missing();
    }
    let mut text = input::all()?;
    // With nothing at stdin, as under cron, this is more likely a slip than an empty message.
    if text.is_empty() {
        return missing();
    }
    let line = text.strip_suffix('\n');
    let line = line.map(|line| line.strip_suffix('\r').unwrap_or(line));
    if let Some(length) = line.map(str::len) {
        text.truncate(length);
    }
    Ok(text)
}

/// Publishes all there is, and says `success` once the server has taken it.
pub(super) async fn run(target: &Target, args: &PublishArgs, job: &Job) -> Result<(), Stop> {
    let mut publisher = Publisher::new(target, args, &job.tags).await?;
    match &job.data {
        Some(data) => {
            for _ in 0..args.count.unwrap_or(1) {
                publisher.send(data).await?;
            }
        }
        None => {
            let mut lines = input::lines();
            while let Some(line) = lines.recv().await {
                match line? {
                    Line::Text(data) => publisher.send_line(&data).await?,
                    Line::NotUtf8 => publisher.skip(),
                }
            }
        }
    }
    publisher.finish().await
}

struct Publisher<'a> {
    client: Client,
    events: Events,
    tags: &'a [String],
    pace: Option<Interval>,
    is_acked: bool,
    answer: Answer,
    messages: u64,
    /// Lines of stdin that cannot be messages.
    skipped: u64,
    delivered: u64,
    /// How many other nodes messages were handed to, where the server is one of a cluster.
    nodes: Option<u64>,
}

impl<'a> Publisher<'a> {
    async fn new(target: &Target, args: &PublishArgs, tags: &'a [String]) -> Result<Self, Stop> {
        let pace = args.rate.map(|rate| {
            let mut pace = interval(Duration::from_secs_f64(1.0 / rate));
            // After a pause in the input the rate is still the most there may be.
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
            pace
        });
        let client = target.connect().await?;
        Ok(Self {
            events: client.events(),
            client,
            tags,
            pace,
            is_acked: args.ack,
            answer: args.answer.output,
            messages: 0,
            skipped: 0,
            delivered: 0,
            nodes: None,
        })
    }

    async fn send(&mut self, data: &str) -> Result<(), Stop> {
        if let Some(pace) = &mut self.pace {
            pace.tick().await;
        }
        self.messages += 1;
        if self.is_acked {
            let receipt = self.client.publish_acked(self.tags, data).await;
            let receipt = receipt.map_err(failed)?;
            self.delivered += receipt.delivered;
            if let Some(nodes) = receipt.nodes {
                *self.nodes.get_or_insert_default() += nodes;
            }
            return Ok(());
        }
        self.client.publish(self.tags, data).await.map_err(failed)?;
        self.complaint()
    }

    /// Sends a line of stdin. Where each is answered, one that fails is named.
    async fn send_line(&mut self, data: &str) -> Result<(), Stop> {
        let sent = self.send(data).await;
        sent.map_err(|stop| Stop {
            text: stop.text.map(|text| match self.is_acked {
                true => format!("line {} of stdin: {text}", self.lines()),
                false => text,
            }),
            ..stop
        })
    }

    /// Leaves out a line of stdin that is not UTF-8.
    fn skip(&mut self) {
        self.skipped += 1;
        let line = self.lines();
        out::error(&format!(
            "line {line} of stdin is not UTF-8, and is not sent"
        ));
    }

    /// How many lines of stdin there were so far.
    fn lines(&self) -> u64 {
        self.messages + self.skipped
    }

    /// Whether the server has refused a message that asked for no answer.
    fn complaint(&mut self) -> Result<(), Stop> {
        while let Some(Some(event)) = self.events.next().now_or_never() {
            if let Event::Refused { command, error, .. } = event {
                return Err(refused(&command, &error));
            }
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<(), Stop> {
        // Answers come in order: with this one, every complaint about what was sent before is here.
        self.client.ping().await.map_err(failed)?;
        self.complaint()?;
        let is_plain = self.answer == Answer::Plain;
        if self.is_acked && is_plain {
            let messages = match self.messages {
                1 => String::new(),
                several => format!(" ({several} messages)"),
            };
            let nodes = match self.nodes {
                None => String::new(),
                Some(1) => ", handed to 1 other node".to_owned(),
                Some(nodes) => format!(", handed to {nodes} other nodes"),
            };
            out::error(&format!("delivered: {}{nodes}{messages}", self.delivered));
        }
        if self.skipped > 0 {
            return Err(Stop::failed(format!(
                "sent {} of {} lines: the others are not UTF-8",
                self.messages,
                self.lines()
            )));
        }
        match self.is_acked {
            _ if is_plain => out::word("success"),
            true => {
                let mut counts = json!({ "messages": self.messages, "delivered": self.delivered });
                if let Some(nodes) = self.nodes {
                    counts["nodes"] = nodes.into();
                }
                out::line(&counts.to_string())
            }
            false => out::line(&json!({ "messages": self.messages }).to_string()),
        }
    }
}
