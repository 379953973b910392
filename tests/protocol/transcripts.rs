//! Owns running every transcript against every door; must not know what any of them says.
//!
//! `MIST_TRANSCRIPT=framing` runs only the files whose path contains that text.

use std::path::Path;

use futures_util::StreamExt;
use futures_util::stream;
use mist_tests::run::run;
use mist_tests::transcript::{Door, load};

const AT_ONCE: usize = 8;

async fn every_transcript(door: Door) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts");
    let only = std::env::var("MIST_TRANSCRIPT").unwrap_or_default();
    let transcripts = load(&folder).expect("the transcripts can be read");
    let chosen = transcripts
        .iter()
        .filter(|one| one.applies_to(door) && one.path.to_string_lossy().contains(&only));
    let outcomes: Vec<_> = stream::iter(chosen)
        .map(|one| run(one, door))
        .buffered(AT_ONCE)
        .collect()
        .await;
    let failures: Vec<String> = outcomes
        .iter()
        .filter_map(|one| one.as_ref().err())
        .map(ToString::to_string)
        .collect();
    assert!(!outcomes.is_empty(), "no transcript was run");
    let (failed, all) = (failures.len(), outcomes.len());
    assert!(
        failures.is_empty(),
        "{failed} of {all} transcripts fail:\n\n{}",
        failures.join("\n")
    );
}

#[tokio::test]
async fn every_transcript_holds_for_the_broker_itself() {
    every_transcript(Door::Core).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_transcript_holds_over_tcp() {
    every_transcript(Door::Tcp).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_transcript_holds_over_websocket() {
    every_transcript(Door::Ws).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_transcript_holds_over_tls() {
    every_transcript(Door::Tls).await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn every_transcript_holds_over_a_unix_socket() {
    every_transcript(Door::Unix).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_transcript_holds_over_websocket_over_tls() {
    every_transcript(Door::Wss).await;
}
