//! Owns the current keys: read once from a file, or fetched repeatedly from an address; knows nothing of tokens.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hyper::StatusCode;
use mist_core::TokenError;
use mist_net::lock::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::keys::Keys;
use super::schedule::{Schedule, lifetime};
use crate::auth::context::Context;
use crate::auth::fetch::{DEADLINE, Fetcher};
use crate::log_limit::Kind;

/// Bytes of the largest JWK set.
pub(super) const MOST_BYTES: usize = 256 << 10;

/// Where keys come from.
pub(super) enum Source {
    /// A file, which has been read.
    File(Arc<Keys>),
    Jwks(Box<Jwks>),
}

impl Source {
    /// The current keys; at the start this waits for the first ones.
    pub(super) async fn keys(&self) -> Result<Arc<Keys>, TokenError> {
        match self {
            Self::File(keys) => Ok(Arc::clone(keys)),
            Self::Jwks(jwks) => match jwks.known() {
                Some(keys) => Ok(keys),
                None => {
                    jwks.wait(jwks.rounds.subscribe()).await;
                    jwks.known().ok_or_else(|| jwks.unavailable())
                }
            },
        }
    }

    /// The newest keys, for a token that names a missing one; `None` if they are no others. An error if it is too soon
    /// to fetch them again.
    pub(super) async fn newer(&self) -> Result<Option<Arc<Keys>>, TokenError> {
        match self {
            Self::File(_) => Ok(None),
            Self::Jwks(jwks) => jwks.newer().await,
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        match self {
            Self::File(_) => true,
            Self::Jwks(jwks) => jwks.known().is_some(),
        }
    }

    pub(super) async fn run(&self) {
        if let Self::Jwks(jwks) = self {
            jwks.run().await;
        }
    }
}

/// Keys from an address. Only [`Jwks::run`] fetches them, so never twice at a time.
pub(super) struct Jwks {
    fetcher: Fetcher,
    state: Mutex<State>,
    /// Notified when keys are due earlier than planned.
    earlier: Notify,
    /// How often they have been fetched.
    rounds: watch::Sender<u64>,
    context: Context,
    figures: Figures,
}

struct State {
    /// The last valid ones.
    keys: Option<Arc<Keys>>,
    schedule: Schedule,
    is_asking: bool,
}

struct Figures {
    fetches: Arc<AtomicU64>,
    failures: Arc<AtomicU64>,
    keys: Arc<AtomicU64>,
    failing: Arc<AtomicU64>,
}

impl Jwks {
    pub(super) fn new(fetcher: Fetcher, context: &Context) -> Self {
        Self {
            fetcher,
            state: Mutex::new(State {
                keys: None,
                schedule: Schedule::new(Instant::now()),
                is_asking: false,
            }),
            earlier: Notify::new(),
            rounds: watch::Sender::new(0),
            context: context.clone(),
            figures: Figures {
                fetches: context.counter("jwt_key_fetches", "Times that a JWK set was asked for"),
                failures: context.counter(
                    "jwt_key_fetch_failures",
                    "Times that a JWK set was asked for and did not come",
                ),
                keys: context.gauge("jwt_keys", "Keys from JWK sets in use"),
                failing: context.gauge(
                    "jwt_key_sources_failing",
                    "Addresses of JWK sets that did not answer when they were last asked",
                ),
            },
        }
    }

    fn known(&self) -> Option<Arc<Keys>> {
        self.state.lock().keys.clone()
    }

    fn unavailable(&self) -> TokenError {
        let shown = self.fetcher.target.shown();
        TokenError::Unavailable(format!("no keys from {shown}"))
    }

    /// As [`Jwks::unavailable`], for a key that is missing among the last ones.
    fn too_soon(&self) -> TokenError {
        let shown = self.fetcher.target.shown();
        TokenError::Unavailable(format!(
            "the key that it names (kid) is none of those from {shown}, which are asked for again after 30 s at most"
        ))
    }

    /// Waits for the end of the current round, but not for ever.
    async fn wait(&self, mut rounds: watch::Receiver<u64>) {
        let _ = timeout(DEADLINE, rounds.changed()).await;
    }

    async fn newer(&self) -> Result<Option<Arc<Keys>>, TokenError> {
        // Before checking for a round, so that its end is not missed.
        let rounds = self.rounds.subscribe();
        let (is_due, is_asking) = {
            let mut state = self.state.lock();
            let is_asking = state.is_asking;
            (!is_asking && state.schedule.miss(Instant::now()), is_asking)
        };
        if is_due {
            self.earlier.notify_one();
        }
        if is_due || is_asking {
            self.wait(rounds).await;
        }
        let state = self.state.lock();
        // Without an answer, the key may be a new one.
        match state.schedule.has_failed() || state.is_asking {
            true => Err(self.unavailable()),
            false if is_due || is_asking => Ok(state.keys.clone()),
            false => Err(self.too_soon()),
        }
    }

    async fn run(&self) {
        loop {
            let due = self.state.lock().schedule.due;
            if due > Instant::now() {
                tokio::select! {
                    () = sleep_until(due) => {}
                    () = self.earlier.notified() => {}
                }
                continue;
            }
            self.state.lock().is_asking = true;
            self.figures.fetches.fetch_add(1, Ordering::Relaxed);
            let result = self.ask().await;
            self.settle(result);
            self.rounds.send_modify(|rounds| *rounds += 1);
        }
    }

    async fn ask(&self) -> Result<(Keys, usize, std::time::Duration), String> {
        let answer = self.fetcher.get().await?;
        if answer.status != StatusCode::OK {
            return Err(format!("it answers with {}", answer.status));
        }
        let (keys, unusable) = Keys::jwks(&answer.body)?;
        Ok((keys, unusable, lifetime(&answer.headers)))
    }

    fn settle(&self, result: Result<(Keys, usize, std::time::Duration), String>) {
        let now = Instant::now();
        let (had_failed, before, after);
        {
            let mut state = self.state.lock();
            state.is_asking = false;
            had_failed = state.schedule.has_failed();
            before = state.keys.as_ref().map(|keys| keys.len());
            match &result {
                Ok((_, _, lifetime)) => state.schedule.succeed(now, *lifetime),
                Err(_) => state.schedule.fail(now),
            }
            after = result.map(|(keys, unusable, _)| {
                let count = keys.len();
                state.keys = Some(Arc::new(keys));
                (count, unusable)
            });
        }
        let shown = self.fetcher.target.shown();
        let may_say = || self.context.log.admits(Kind::StoreFailed, None);
        let in_use = before.unwrap_or(0);
        match after {
            Ok((count, unusable)) => {
                self.figures.keys.fetch_add(count as u64, Ordering::Relaxed);
                self.figures
                    .keys
                    .fetch_sub(in_use as u64, Ordering::Relaxed);
                if had_failed {
                    self.figures.failing.fetch_sub(1, Ordering::Relaxed);
                }
                let is_news = had_failed || before != Some(count);
                if is_news && may_say() {
                    match count {
                        0 => tracing::warn!(
                            unusable,
                            "{shown} has no key that can be used: all JWTs are refused"
                        ),
                        _ => tracing::info!(unusable, "{count} keys for JWTs from {shown}"),
                    }
                }
            }
            Err(why) => {
                self.figures.failures.fetch_add(1, Ordering::Relaxed);
                if had_failed {
                    return;
                }
                self.figures.failing.fetch_add(1, Ordering::Relaxed);
                if may_say() {
                    tracing::error!("no keys for JWTs from {shown} - {why}; {in_use} stay in use");
                }
            }
        }
    }
}
