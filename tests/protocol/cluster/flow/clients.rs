//! Owns the clients of the traffic: what they say, and what a reader makes of what comes. It must not know which nodes
//! there are.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use mist_tests::client::tags_json;
use mist_tests::wire::{Incoming, Wire};

use crate::cluster::Ear;

/// How often a publisher says something, and how many messages then.
const PACE: Duration = Duration::from_millis(25);
const BATCH: u64 = 4;
/// What every message carries.
const FLOW: &str = "flow";
pub(super) const TAGS: u64 = 8;

/// The tags of a message, which everybody can work out.
fn tags_of(publisher: usize, serial: u64) -> [String; 3] {
    let mut dice = Rng::with_seed((publisher as u64) << 32 | serial);
    let first = dice.u64(..TAGS);
    let second = (first + dice.u64(1..TAGS)) % TAGS;
    let (first, second) = (first.min(second), first.max(second));
    [FLOW.to_owned(), format!("t{first}"), format!("t{second}")]
}

fn message(publisher: usize, serial: u64, id: &str) -> String {
    let tags = tags_json(&tags_of(publisher, serial));
    format!(r#"{{"command":"publish","tags":{tags},"data":"{publisher}:{serial}"{id}}}"#)
}

#[derive(Default)]
pub(super) struct Counts {
    /// Messages that it has begun to send.
    pub(super) sent: AtomicU64,
    /// Messages up to the last that the server has answered.
    pub(super) answered: AtomicU64,
}

/// Which messages a reader asks for.
#[derive(Clone, Copy)]
pub(super) enum Wanted {
    All,
    /// Those with one tag.
    One(u64),
}

#[derive(Default)]
pub(super) struct Heard {
    pub(super) by_publisher: BTreeMap<usize, Track>,
    /// Messages that it was told it did not get.
    pub(super) told: u64,
}

/// What a reader has of one publisher.
#[derive(Default)]
pub(super) struct Track {
    pub(super) last: Option<u64>,
    /// Of which message on it is owed all.
    owed: Option<u64>,
    /// Messages that it was owed and did not get.
    pub(super) gaps: u64,
}

impl Wanted {
    pub(super) fn tag(self) -> String {
        match self {
            Self::All => FLOW.to_owned(),
            Self::One(tag) => format!("t{tag}"),
        }
    }

    pub(super) fn has(self, publisher: usize, serial: u64) -> bool {
        tags_of(publisher, serial).contains(&self.tag())
    }
}

impl Track {
    /// Says that it is to have all from a message on.
    pub(super) fn owe(&mut self, first: u64) {
        self.owed.get_or_insert(first);
    }

    /// Takes a message behind all that came before.
    fn take(&mut self, wanted: Wanted, publisher: usize, serial: u64) {
        let is_next = self.last.is_none_or(|last| last < serial);
        assert!(is_next, "{serial} of {publisher} after {:?}", self.last);
        if let Some(owed) = self.owed {
            let first = self.last.map_or(owed, |last| owed.max(last + 1));
            let passed = (first..serial).filter(|passed| wanted.has(publisher, *passed));
            self.gaps += passed.count() as u64;
        }
        self.last = Some(serial);
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) async fn read(mut ear: Ear, wanted: Wanted, is_told: bool, heard: Arc<Mutex<Heard>>) {
    while let Some(came) = ear.next().await {
        let dropped = came.strip_prefix(r#"{"command":"dropped","data":""#);
        if let Some(count) = dropped.and_then(|rest| rest.strip_suffix("\"}")) {
            assert!(is_told, "who does not use `id` was told of {count} dropped");
            lock(&heard).told += count.parse::<u64>().expect("a number");
            continue;
        }
        let data = came.split_once(r#""data":""#).expect(&came).1;
        let (publisher, serial) = data.trim_end_matches("\"}").split_once(':').expect(&came);
        let publisher = publisher.parse().expect(&came);
        let serial = serial.parse().expect(&came);
        assert_eq!(came, message(publisher, serial, ""));
        assert!(wanted.has(publisher, serial), "not asked for: {came}");
        let mut heard = lock(&heard);
        let track = heard.by_publisher.entry(publisher).or_default();
        track.take(wanted, publisher, serial);
    }
}

/// Publishes at a pace, each batch when the last is answered, until it is over or its server has gone.
pub(super) async fn publish(
    mut wire: Wire,
    who: usize,
    counts: Arc<Counts>,
    is_over: Arc<AtomicBool>,
) {
    let mut pace = tokio::time::interval(PACE);
    let mut serial = 0;
    while !is_over.load(Ordering::SeqCst) {
        pace.tick().await;
        let last = serial + BATCH - 1;
        while serial <= last {
            counts.sent.store(serial + 1, Ordering::SeqCst);
            let id = if serial == last {
                format!(r#","id":{serial}"#)
            } else {
                String::new()
            };
            if wire.send(&message(who, serial, &id)).await.is_err() {
                return;
            }
            serial += 1;
        }
        let end = format!(r#","id":{last}}}"#);
        loop {
            match wire.next().await {
                Incoming::Message(answer) if answer.ends_with(end.as_bytes()) => break,
                Incoming::Message(notice) => {
                    let notice = String::from_utf8_lossy(&notice).into_owned();
                    assert!(notice.starts_with(r#"{"command":"dropped""#), "{notice}");
                }
                _ => return,
            }
        }
        counts.answered.store(serial, Ordering::SeqCst);
    }
}
