//! Owns which tags a shell offers: those that somebody subscribes to now, at the server of the environment.

use std::ffi::OsStr;
use std::time::Duration;

use clap_complete::CompletionCandidate;
use tokio::time::timeout;

use super::connect::Target;
use super::host::{HostArgs, SharedArgs};
use super::{block_on, out};

/// How long somebody who pressed the tab key may be kept waiting.
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
    tags
}
