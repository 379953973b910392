//! Owns `mist subscribe`: what is printed of each message, and when it ends.

use std::fmt::Write;
use std::pin::pin;

use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

use mist::client::{CloseReason, Event};

use super::args::{Output, SubscribeArgs};
use super::connect::{Target, failed, refusal, refused};
use super::exit::{Code, Stop};
use super::out;
use super::tags::split_tags;

/// Bytes after which a write is not made larger.
const ONE_WRITE: usize = 64 << 10;

/// Prints messages until there were enough, time is up, or no subscription is left.
pub(super) async fn run(
    target: &Target,
    args: &SubscribeArgs,
    sets: &[Vec<String>],
) -> Result<(), Stop> {
    let work = listen(target, args, sets);
    match args.wait {
        Some(wait) => tokio::time::timeout(wait, work)
            .await
            .unwrap_or_else(|_| Err(Stop::quiet(Code::WaitRanOut))),
        None => work.await,
    }
}

/// Checks the arguments as far as that takes no server, and collects the tag sets.
pub(super) fn tag_sets(args: &SubscribeArgs) -> Result<Vec<Vec<String>>, Stop> {
    let mut sets = vec![args.tags.all()?];
    sets.extend(args.also.iter().map(|list| split_tags(list)));
    if sets.iter().any(Vec::is_empty) {
        return Err(Stop::usage("Unable to subscribe - Missing tags"));
    }
    if args.output == Output::Raw && (args.timestamps || args.show_tags) {
        return Err(Stop::usage(
            "-o raw prints the data alone: leave out --timestamps and --show-tags",
        ));
    }
    Ok(sets)
}

async fn listen(target: &Target, args: &SubscribeArgs, sets: &[Vec<String>]) -> Result<(), Stop> {
    let printer = Printer {
        output: args.output,
        timestamps: args.timestamps,
        show_tags: args.show_tags,
    };
    let client = target.connect_for_long().await?;
    let mut messages = client.messages();
    let mut events = client.events();
    for tags in sets {
        client.subscribe(tags).await.map_err(failed)?.detach();
        let line = format!("Listening on tags '{}'", bracketed(tags));
        match args.output {
            Output::Plain => out::word(&line)?,
            // Programs read these, and it is no message.
            Output::Json | Output::Raw => out::note(&line),
        }
    }
    let mut watch = Watch {
        subscriptions: sets.len(),
        is_lost: false,
    };
    let mut dropped = 0;
    let mut left = args.count.unwrap_or(u64::MAX);
    let mut hung_up = pin!(out::hung_up());
    while left > 0 {
        tokio::select! {
            biased;
            () = &mut hung_up => break,
            Some(message) = messages.next() => {
                let mut text = printer.text(&message.tags, &message.data, now);
                left -= 1;
                // What is there already goes out with it in one write.
                while left > 0 && text.len() < ONE_WRITE
                    && let Some(message) = messages.try_next()
                {
                    text += &printer.text(&message.tags, &message.data, now);
                    left -= 1;
                }
                out::raw(text.as_bytes())?;
                let all = messages.dropped();
                if all > dropped {
                    out::error(&not_read_fast_enough("this program", all - dropped));
                    dropped = all;
                }
            }
            Some(event) = events.next() => watch.event(&event)?,
            else => return Err(Stop::new(Code::CannotConnect, "the connection has ended")),
        }
    }
    Ok(())
}

fn not_read_fast_enough(who: &str, count: u64) -> String {
    format!("{who} dropped {count} messages, because they were not read fast enough")
}

/// What becomes of the subscriptions, for the person at the terminal.
struct Watch {
    /// Those that the server still holds.
    subscriptions: usize,
    is_lost: bool,
}

impl Watch {
    fn event(&mut self, event: &Event) -> Result<(), Stop> {
        match event {
            Event::Waiting { reason, .. } if !self.is_lost => {
                self.is_lost = true;
                out::note(&format!("connection lost ({reason}), trying again"));
            }
            Event::Open { resumed: true } => {
                self.is_lost = false;
                out::note("connected again; messages sent meanwhile are missed");
            }
            Event::Closed {
                reason: CloseReason::AuthRefused(reason),
            } => return Err(refused("auth", reason)),
            Event::Dropped { count } => out::error(&not_read_fast_enough("the server", *count)),
            Event::SubscriptionLost { tags, error } => {
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
struct Printer {
    output: Output,
    timestamps: bool,
    show_tags: bool,
}

impl Printer {
    /// The bytes that go to stdout for one message.
    fn text(&self, tags: &[String], data: &str, now: impl Fn() -> String) -> String {
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

/// The time of day, UTC, as logs spell it.
fn now() -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = SystemTime.format_time(&mut Writer::new(&mut text));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(output: Output, timestamps: bool, show_tags: bool) -> String {
        let printer = Printer {
            output,
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

    #[test]
    fn times_are_utc_to_the_microsecond() {
        let now = now();
        assert!(now.len() == 27 && now.ends_with('Z'), "{now}");
    }
}
