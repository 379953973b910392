//! Owns which tags a shell offers: the subscribed ones at the server that the environment names.

use std::ffi::OsStr;
use std::time::Duration;

use clap_complete::CompletionCandidate;
use tokio::time::timeout;

use super::connect::Target;
use super::host::{HostArgs, SharedArgs};
use super::out;
use super::runtime::block_on;

/// How long a person who has pressed the tab key may be kept waiting.
const PATIENCE: Duration = Duration::from_millis(500);

/// Offers tags for one that has begun.
pub(super) fn tag(begun: &OsStr) -> Vec<CompletionCandidate> {
    let Some(begun) = begun.to_str() else {
        return Vec::new();
    };
    let tags = subscribed().into_iter();
    tags.filter(|tag| tag.starts_with(begun))
        .map(CompletionCandidate::new)
        .collect()
}

/// Offers tags for the last one of a comma list.
pub(super) fn tag_list(list: &OsStr) -> Vec<CompletionCandidate> {
    let Some(list) = list.to_str() else {
        return Vec::new();
    };
    let (before, begun) = list.split_at(list.rfind(',').map_or(0, |at| at + 1));
    let tags = subscribed().into_iter();
    tags.filter(|tag| tag.starts_with(begun) && !tag.contains(','))
        .map(|tag| CompletionCandidate::new(format!("{before}{tag}")))
        .collect()
}

/// Whether a tag may stand in a command line as it is. Tags are chosen by any client of the server, and shells insert
/// what they are offered without quotes: `$(…)` in one would be run.
fn is_harmless(tag: &str) -> bool {
    let is_plain = |c: char| c.is_alphanumeric() || "_:./@%+=-".contains(c);
    !tag.starts_with('-') && tag.chars().all(is_plain)
}

/// Nothing where no server answers in time: that is no moment for errors.
fn subscribed() -> Vec<String> {
    let mut tags = Vec::new();
    out::be_quiet();
    let Ok(target) = Target::new(&HostArgs::default(), &SharedArgs::default()) else {
        return tags;
    };
    let _ = block_on(async {
        let asked = timeout(PATIENCE, async {
            let client = target.connect().await.ok()?;
            client.list_all().await.ok()
        });
        tags = asked.await.ok().flatten().unwrap_or_default();
        Ok(())
    });
    tags.retain(|tag| is_harmless(tag));
    tags
}

#[cfg(test)]
mod tests {
    use super::is_harmless;

    #[test]
    fn what_a_shell_would_run_or_take_for_a_flag_is_not_offered() {
        for tag in ["bus", "line:7", "district/north", "ü", "a=b", "50%"] {
            assert!(is_harmless(tag), "{tag}");
        }
        for tag in [
            "z$(touch x)",
            "`id`",
            "a b",
            "a;b",
            "a|b",
            "a>b",
            "a&b",
            "--exec=id",
            "-n",
            "a'b",
            "a\"b",
            "a\\b",
            "a\u{b}b",
            "a\nb",
            "*",
            "~",
            "!x",
        ] {
            assert!(!is_harmless(tag), "{tag}");
        }
    }
}
