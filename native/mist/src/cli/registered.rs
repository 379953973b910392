//! Owns how registered tokens are shown, and how one is found again by the name that is shown; knows nothing of changing
//! them.

use mist::client::{Client, RegisteredToken};
use serde_json::{Value, json};

use super::connect::failed;
use super::exit::{Code, Stop};
use super::host::Answer;
use super::out;

/// Begins the name of a token of which the store keeps only the hash.
const MARK: &str = "sha256:";
/// Digits of a hash that people are shown.
const SHOWN: usize = 12;
/// Fewer are a slip.
const LEAST: usize = 4;
/// The tokens that are named where several begin alike.
const NAMED: usize = 8;

const HEADER: [&str; 4] = ["TOKEN", "CONNECTIONS", "ENDS IN", "TAGS"];

/// Prints all tokens that are registered: a table for people, or a JSON object for each.
pub(super) async fn list(client: &Client, output: Answer) -> Result<(), Stop> {
    let (mut after, mut is_first) = (String::new(), true);
    loop {
        let page = client.admin().tokens(&after).await.map_err(failed)?;
        match output {
            Answer::Json => page
                .tokens
                .iter()
                .try_for_each(|token| out::line(&object(token).to_string()))?,
            Answer::Plain => {
                let header = is_first && !page.tokens.is_empty() && !out::is_quiet();
                let header = header.then(|| HEADER.map(str::to_owned));
                let rows = header.into_iter().chain(page.tokens.iter().map(row));
                table(&rows.collect::<Vec<_>>())?;
            }
        }
        is_first &= page.tokens.is_empty();
        match page.next {
            Some(next) if next != after => after = next,
            _ => break,
        }
    }
    if is_first && output == Answer::Plain {
        out::note("no tokens are registered");
    }
    Ok(())
}

/// The digits in the name of a token that is shown by its hash; none in any other text.
pub(super) fn digits(name: &str) -> Option<String> {
    let digits = name.strip_prefix(MARK)?;
    let is_hash = (LEAST..=64).contains(&digits.len())
        && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_hash.then(|| digits.to_ascii_lowercase())
}

/// Finds the only token whose hash begins with these digits.
pub(super) async fn find(client: &Client, digits: &str) -> Result<RegisteredToken, Stop> {
    // A store of hashes is listed from behind any first digits, an even number of them.
    let after = match digits.len() {
        64 => &digits[..62],
        _ => digits,
    };
    let after = format!("{after}{}", if after.len() % 2 == 1 { "0" } else { "" });
    let page = client.admin().tokens(&after).await.map_err(failed)?;
    let keeps_hashes = page.tokens.iter().all(|token| token.token.is_empty());
    let found = page.tokens.into_iter();
    let mut found: Vec<_> = found
        .filter(|token| token.sha256.starts_with(digits))
        .collect();
    match found.len() {
        1 => Ok(found.remove(0)),
        0 if keeps_hashes => Err(Stop::new(
            Code::ServerError,
            format!("Token not found - no hash begins with {digits}; `mist token list` shows all"),
        )),
        0 => Err(Stop::usage(
            "this server's store keeps the tokens themselves: name the token as `mist token list` shows it",
        )),
        _ => {
            let length = (digits.len() + 4).clamp(SHOWN, 64);
            let names = found.iter().take(NAMED);
            let names: Vec<_> = names
                .map(|token| format!("{MARK}{}", &token.sha256[..length]))
                .collect();
            let more = if found.len() > NAMED { ", …" } else { "" };
            Err(Stop::usage(format!(
                "{MARK}{digits} may be any of {}{more}: write more digits",
                names.join(", ")
            )))
        }
    }
}

/// A token's columns.
fn row(token: &RegisteredToken) -> [String; 4] {
    let name = match token.sha256.get(..SHOWN) {
        Some(digits) => format!("{MARK}{digits}"),
        None => shown(&token.token),
    };
    let ends = token.expires_in.map_or("never".into(), span);
    let tags = in_words(&token.subscribe, &token.publish);
    let tags = tags.map(|(tag, right)| match right {
        Some(right) => format!("{} ({right} only)", shown(tag)),
        None => shown(tag),
    });
    let tags = tags.collect::<Vec<_>>().join(", ");
    [name, token.connections.to_string(), ends, tags]
}

/// Each tag of a token once, in order, with the right to it if there is only one.
pub(super) fn in_words<'a>(
    subscribe: &'a [String],
    publish: &'a [String],
) -> impl Iterator<Item = (&'a String, Option<&'static str>)> {
    let tags: std::collections::BTreeSet<_> = subscribe.iter().chain(publish).collect();
    tags.into_iter().map(|tag| {
        let right = match (subscribe.contains(tag), publish.contains(tag)) {
            (true, true) => None,
            (true, false) => Some("subscribe"),
            _ => Some("publish"),
        };
        (tag, right)
    })
}

/// Prints rows with their columns below each other.
fn table(rows: &[[String; 4]]) -> Result<(), Stop> {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let [name, connections, ends] = [0, 1, 2].map(|column| width(column).unwrap_or_default());
    rows.iter().try_for_each(|row| {
        let [first, second, third, tags] = row;
        let line = format!("{first:name$}  {second:connections$}  {third:ends$}  {tags}");
        out::line(line.trim_end())
    })
}

/// Some seconds in the two largest units that they fill.
fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, ..) => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

/// A text that stays in its line and changes nothing on a terminal.
fn shown(text: &str) -> String {
    let mut shown = String::new();
    for char in text.chars() {
        match char.is_control() {
            true => shown.extend(char.escape_default()),
            false => shown.push(char),
        }
    }
    shown
}

fn object(token: &RegisteredToken) -> Value {
    let mut object = json!({
        "connections": token.connections,
        "subscribe": token.subscribe,
        "publish": token.publish,
    });
    let (name, text) = match token.sha256.is_empty() {
        true => ("token", &token.token),
        false => ("sha256", &token.sha256),
    };
    object[name] = json!(text);
    if let Some(seconds) = token.expires_in {
        object["expires_in"] = json!(seconds);
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_their_two_largest_units() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (899, "14m 59s"),
            (7_260, "2h 1m"),
            (2_592_000, "30d 0h"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }

    #[test]
    fn a_name_that_is_shown_is_told_from_a_token() {
        assert_eq!(digits("sha256:C2B1"), Some("c2b1".to_owned()));
        for other in ["c2b1ef52f7d0", "sha256:", "sha256:c2b", "sha256:c2bg"] {
            assert_eq!(digits(other), None, "{other}");
        }
        assert_eq!(digits(&format!("sha256:{}", "a".repeat(65))), None);
    }
}
