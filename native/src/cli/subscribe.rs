//! Owns `mist subscribe`: what is printed of each message, and when it ends.

use std::fmt::Write;

use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

use super::args::{Output, SubscribeArgs};

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
