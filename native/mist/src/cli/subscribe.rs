//! Owns `mist subscribe`: what is printed of each message, and when it ends.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::future::pending;
use std::pin::pin;

use mist::client::{CloseReason, Event};
use tokio::time::{Instant, sleep_until};

use super::args::{Output, SubscribeArgs};
use super::connect::{Target, failed, refusal, refused};
use super::exec::Jobs;
use super::exit::{Code, Stop};
use super::format::Format;
use super::out;
use super::tags::split_tags;
use super::values::now;

/// Bytes after which a write is not made larger.
const ONE_WRITE: usize = 64 << 10;

/// Prints messages until there were enough, time is up, or no subscription is left.
pub(super) async fn run(
    target: &Target,
    args: &SubscribeArgs,
    sets: &[Vec<String>],
) -> Result<(), Stop> {
    let mut sink = Sink::new(args);
    let work = listen(target, args, sets, &mut sink);
    let result = match args.wait {
        Some(wait) => tokio::time::timeout(wait, work)
            .await
            .unwrap_or_else(|_| Err(Stop::quiet(Code::WaitRanOut))),
        None => work.await,
    };
    // Whatever ended this: a command that has begun gets its message whole.
    sink.finish().await;
    result
}

/// Checks the arguments as far as that takes no server, and collects the tag sets.
pub(super) fn tag_sets(args: &SubscribeArgs) -> Result<Vec<Vec<String>>, Stop> {
    let mut sets = vec![args.tags.all()?];
    sets.extend(args.also.iter().map(|list| split_tags(list)));
    // The same set twice is one subscription, which is lost once.
    let mut seen = BTreeSet::new();
    sets.retain(|set| seen.insert(set.iter().cloned().collect::<BTreeSet<_>>()));
    if sets.iter().any(Vec::is_empty) {
        return Err(Stop::usage(
            "Unable to subscribe - Missing tags: write some, as in `mist sub bus late`",
        ));
    }
    if args.output == Output::Raw && (args.timestamps || args.show_tags) {
        return Err(Stop::usage(
            "-o raw prints the data alone: leave out --timestamps and --show-tags",
        ));
    }
    Ok(sets)
}

async fn listen(
    target: &Target,
    args: &SubscribeArgs,
    sets: &[Vec<String>],
    sink: &mut Sink<'_>,
) -> Result<(), Stop> {
    let client = target.connect_for_long().await?;
    let mut messages = client.messages();
    let mut events = client.events();
    for tags in sets {
        client.subscribe(tags).await.map_err(failed)?.detach();
        let line = format!("Listening on tags '{}'", bracketed(tags));
        match sink.is_for_people() {
            true => out::word(&line)?,
            // Programs read these, and it is no message.
            false => out::note(&line),
        }
    }
    let mut watch = Watch {
        target,
        subscriptions: sets.len(),
        is_lost: false,
    };
    let mut dropped = 0;
    let mut left = args.count.unwrap_or(u64::MAX);
    let mut idle_at = deadline(args);
    let mut hung_up = pin!(out::hung_up());
    while left > 0 {
        tokio::select! {
            biased;
            () = &mut hung_up => break,
            Some(message) = messages.next() => {
                left -= 1;
                match sink {
                    Sink::Run(jobs) => jobs.start(&message.tags, message.data).await,
                    Sink::Print(printer) => {
                        let mut text = printer.text(&message.tags, &message.data, now);
                        // What is there already goes out with it in one write.
                        while left > 0 && text.len() < ONE_WRITE
                            && let Some(message) = messages.try_next()
                        {
                            text += &printer.text(&message.tags, &message.data, now);
                            left -= 1;
                        }
                        out::raw(text.as_bytes())?;
                    }
                }
                let all = messages.dropped();
                if all > dropped {
                    out::error(&format!(
                        "this program dropped {} messages, because they were not read fast enough",
                        all - dropped
                    ));
                    dropped = all;
                }
                idle_at = deadline(args);
            }
            Some(event) = events.next() => watch.event(&event)?,
            () = idle(idle_at) => return Err(Stop::quiet(Code::WaitRanOut)),
            else => return Err(Stop::new(Code::CannotConnect, "the connection has ended")),
        }
    }
    Ok(())
}

/// When nothing will have arrived for as long as may be.
fn deadline(args: &SubscribeArgs) -> Option<Instant> {
    args.idle.and_then(|idle| Instant::now().checked_add(idle))
}

async fn idle(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}

/// Where messages go.
enum Sink<'a> {
    Print(Printer<'a>),
    Run(Jobs),
}

impl<'a> Sink<'a> {
    fn new(args: &'a SubscribeArgs) -> Self {
        match &args.exec {
            Some(command) => Self::Run(Jobs::new(command, args.exec_jobs)),
            None => Self::Print(Printer {
                output: args.output,
                format: args.format.as_ref(),
                timestamps: args.timestamps,
                show_tags: args.show_tags,
            }),
        }
    }

    /// Whether stdout is read by people, as far as one can know.
    fn is_for_people(&self) -> bool {
        matches!(
            self,
            Self::Print(Printer {
                output: Output::Plain,
                format: None,
                ..
            })
        )
    }

    /// Waits for what is not done.
    async fn finish(&mut self) {
        if let Self::Run(jobs) = self {
            jobs.finish().await;
        }
    }
}

/// What becomes of the subscriptions, for the person at the terminal.
struct Watch<'a> {
    target: &'a Target,
    /// Those that the server still holds.
    subscriptions: usize,
    is_lost: bool,
}

impl Watch<'_> {
    fn event(&mut self, event: &Event) -> Result<(), Stop> {
        match event {
            Event::Waiting { reason, .. } if !self.is_lost => {
                self.is_lost = true;
                out::note(&format!("connection lost ({reason}), trying again"));
            }
            Event::Open { resumed: true, .. } => {
                self.is_lost = false;
                out::note("connected again; messages sent meanwhile are missed");
            }
            Event::Closed {
                reason: CloseReason::AuthRefused(reason),
                ..
            } => return Err(refused("auth", reason)),
            // The same would be refused again.
            Event::TokenFailed {
                error: Some(error), ..
            } if !self.target.has_new_token() => return Err(refused("auth", error)),
            Event::TokenFailed { reason, .. } => {
                out::note(&format!("no valid token ({reason}), trying again"));
            }
            Event::Dropped { count, .. } => {
                let messages = match count {
                    1 => "1 message was lost: it was".to_owned(),
                    _ => format!("{count} messages were lost: they were"),
                };
                out::error(&format!(
                    "{messages} not read fast enough, or did not get from one server to another"
                ));
            }
            Event::SubscriptionLost { tags, error, .. } => {
                let text = format!("no longer listening on tags '{}': {error}", bracketed(tags));
                self.subscriptions = self.subscriptions.saturating_sub(1);
                if self.subscriptions == 0 {
                    return Err(Stop::new(Code::AuthRefused, text));
                }
                out::error(&text);
            }
            Event::Refused { command, error, .. } => {
                out::error(&refusal(command, error));
            }
            _ => {}
        }
        Ok(())
    }
}

/// How the messages of one command are printed.
struct Printer<'a> {
    output: Output,
    format: Option<&'a Format>,
    timestamps: bool,
    show_tags: bool,
}

impl Printer<'_> {
    /// The bytes that go to stdout for one message.
    fn text(&self, tags: &[String], data: &str, now: impl Fn() -> String) -> String {
        if let Some(format) = self.format {
            return format.text(tags, data, now);
        }
        match self.output {
            Output::Raw => data.to_owned(),
            Output::Json => {
                let time = self.timestamps.then(now);
                // Texts cannot fail to be JSON.
                let line = serde_json::to_string(&JsonLine { time, tags, data });
                line.unwrap_or_default() + "\n"
            }
            Output::Plain => {
                let mut text = String::new();
                if self.timestamps {
                    let _ = write!(text, "{} ", now());
                }
                if self.show_tags {
                    let _ = write!(text, "{} ", bracketed(tags));
                }
                text + data + "\n"
            }
        }
    }
}

/// A message as a JSON object.
#[derive(serde::Serialize)]
struct JsonLine<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    tags: &'a [String],
    data: &'a str,
}

/// The form that Go's `%v` gives a list.
fn bracketed(tags: &[String]) -> String {
    format!("[{}]", tags.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(output: Output, timestamps: bool, show_tags: bool) -> String {
        let printer = Printer {
            output,
            format: None,
            timestamps,
            show_tags,
        };
        let tags = ["a".to_owned(), "b c".to_owned()];
        printer.text(&tags, "x\"y", || "TIME".to_owned())
    }

    #[test]
    fn each_output_has_its_form() {
        assert_eq!(printed(Output::Plain, false, false), "x\"y\n");
        assert_eq!(printed(Output::Plain, true, true), "TIME [a b c] x\"y\n");
        assert_eq!(printed(Output::Raw, false, false), "x\"y");
        assert_eq!(
            printed(Output::Json, false, false),
            "{\"tags\":[\"a\",\"b c\"],\"data\":\"x\\\"y\"}\n"
        );
    }
}
