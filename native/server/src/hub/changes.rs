//! Owns what the hub does about tokens that others have changed in the store: finding those in use, and asking about them a
//! few at a time. Knows nothing of how a store hears of changes.

use std::collections::{HashSet, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use mist_core::{Grants, TokenError};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use super::Hub;
use crate::auth::{Changed, TokensInUse};
use crate::log_limit::Kind;

/// Look-ups that are under way at a time, so that logins find room beside them.
const LOOKUPS: usize = 16;

/// Changes that are taken from a store before those that it told earlier are dealt with.
const ROOM: usize = 1024;

/// How long after one search among the tokens in use the next is made. It looks at every session.
const SEARCH_PAUSE: Duration = Duration::from_millis(250);

/// How long after a store has failed it is asked again.
const RETRY: Duration = Duration::from_secs(1);

impl Hub {
    /// Follows what others change in the token store, until dropped.
    pub(crate) async fn follow_store(self: Arc<Self>) {
        for round in 0.. {
            // What was still to be done went with the last round.
            let has_missed = round > 0;
            let follow = tokio::spawn(Arc::clone(&self).follow_changes(has_missed));
            if AbortOnDropHandle::new(follow).await.is_ok() {
                return;
            }
            if self.log.admits(Kind::StoreFailed, None) {
                tracing::error!("the token store panicked while it told what others change in it");
            }
            sleep(RETRY).await;
        }
    }

    async fn follow_changes(self: Arc<Self>, has_missed: bool) {
        let mut of_others = self.others.changes();
        let hub = Arc::downgrade(&self);
        let in_use = TokensInUse::new(move || {
            let hub = hub.upgrade();
            hub.map_or_else(Vec::new, |hub| hub.tokens_in_use(|_, _| true))
        });
        let store = self.store.token_store();
        let changes = store.map_or_else(|| stream::empty().boxed(), |store| store.changes(in_use));
        let mut changes = changes.fuse().ready_chunks(ROOM);
        let mut due = Due::new(has_missed);
        loop {
            tokio::select! {
                Some(change) = of_others.recv(), if due.has_room() => self.note(Ok(change), &mut due),
                heard = changes.next(), if due.has_room() && !due.has_ended => match heard {
                    Some(heard) => heard.into_iter().for_each(|change| self.note(change, &mut due)),
                    None => due.has_ended = true,
                },
                () = sleep_until(due.at().unwrap_or_else(Instant::now)), if due.at().is_some() => {
                    self.search(&mut due);
                    self.look_up_some(&mut due).await;
                }
            }
        }
    }

    fn note(&self, change: Result<Changed, TokenError>, due: &mut Due) {
        match change {
            Ok(Changed::Token(token)) => {
                due.named.insert(token);
            }
            Ok(Changed::Hash(hash)) => {
                due.hashes.insert(hash);
            }
            Ok(Changed::Any) => due.is_any = true,
            Err(error) => self.authenticators().note_store(&Err::<(), _>(error)),
        }
    }

    /// Finds the tokens in use that are to be asked about.
    fn search(&self, due: &mut Due) {
        if Instant::now() < due.search_at || !due.needs_search() {
            return;
        }
        if due.is_any {
            due.others = self.tokens_in_use(|_, _| true).into();
        } else {
            let hashes = &due.hashes;
            let found = self.in_use_by_hash(|hash| hashes.contains(hash));
            due.named.extend(found);
        }
        due.is_any = false;
        due.hashes.clear();
        due.search_at = Instant::now() + SEARCH_PAUSE;
    }

    /// Asks about some tokens; about those of which the store cannot say anything, again later.
    async fn look_up_some(self: &Arc<Self>, due: &mut Due) {
        let tokens = due.take(LOOKUPS);
        let answers = join_all(tokens.iter().map(|token| self.token_changed(token))).await;
        let asked = tokens.len();
        let failed = tokens.into_iter().zip(answers);
        let failed = failed.filter_map(|(token, answer)| answer.is_err().then_some(token));
        let before = due.others.len();
        due.others.extend(failed);
        // One whose entry is damaged, say, does not keep the others waiting.
        if asked > 0 && due.others.len() - before == asked {
            due.look_up_at = Instant::now() + RETRY;
        }
    }

    /// The tokens that sessions go by, or are about to, of whose hashes something holds.
    pub(super) fn in_use_by_hash(&self, is_wanted: impl Fn(&[u8; 32]) -> bool) -> Vec<String> {
        self.tokens_in_use(|token, _| is_wanted(&Sha256::digest(token).into()))
    }

    /// The tokens that sessions go by, or are about to, of which something holds. What they grant is not known of those that
    /// are being looked up.
    pub(super) fn tokens_in_use(
        &self,
        mut is_wanted: impl FnMut(&str, Option<&Grants>) -> bool,
    ) -> Vec<String> {
        let (mut found, mut from) = (HashSet::new(), 0);
        loop {
            let shared = self.shared.read();
            let next = shared.broker.tokens_in_use(from, |token, grants| {
                if !found.contains(token) && is_wanted(token, grants) {
                    found.insert(token.to_owned());
                }
            });
            drop(shared);
            match next {
                ControlFlow::Continue(next) => from = next,
                ControlFlow::Break(()) => return found.into_iter().collect(),
            }
            self.shared.give_way();
        }
    }
}

/// What is to be asked about.
struct Due {
    /// Those that were named, which come first.
    named: HashSet<String>,
    /// Those that are still to be found among the tokens in use.
    hashes: HashSet<[u8; 32]>,
    is_any: bool,
    /// All that were in use when something was missed, and those that the store could not say anything of.
    others: VecDeque<String>,
    search_at: Instant,
    /// When those are asked about.
    look_up_at: Instant,
    /// Whether the store tells nothing more.
    has_ended: bool,
}

impl Due {
    fn new(is_any: bool) -> Self {
        let now = Instant::now();
        Self {
            named: HashSet::new(),
            hashes: HashSet::new(),
            is_any,
            others: VecDeque::new(),
            search_at: now,
            look_up_at: now,
            has_ended: false,
        }
    }

    fn has_room(&self) -> bool {
        self.named.len() < ROOM && self.hashes.len() < ROOM
    }

    fn needs_search(&self) -> bool {
        self.is_any || !self.hashes.is_empty()
    }

    /// When there is something to do, if there is.
    fn at(&self) -> Option<Instant> {
        let search = self.needs_search().then_some(self.search_at);
        let named = (!self.named.is_empty()).then(Instant::now);
        let others = (!self.others.is_empty()).then_some(self.look_up_at);
        search.into_iter().chain(named).chain(others).min()
    }

    /// Takes the next ones to ask about.
    fn take(&mut self, count: usize) -> Vec<String> {
        let mut taken: Vec<_> = self.named.iter().take(count).cloned().collect();
        for token in &taken {
            self.named.remove(token);
        }
        if Instant::now() >= self.look_up_at {
            let rest = (count - taken.len()).min(self.others.len());
            taken.extend(self.others.drain(..rest));
        }
        taken
    }
}
