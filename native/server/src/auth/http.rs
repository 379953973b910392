//! Owns the authenticator that asks an application over HTTP what a token may do; knows nothing of sessions.

mod cache;

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use hyper::StatusCode;
use mist_core::{Grants, TokenError};
use mist_net::lock::Mutex;
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::{Instant, timeout};

use self::cache::{Cache, Found, Key};
use super::answer::Rights;
use super::authenticator::{Authenticator, Presented};
use super::context::Context;
use super::fetch::{Answer, DEADLINE, Fetcher, Target};
use crate::admission::peer::Peer;

/// Bytes of the largest answer.
const MOST_BYTES: usize = 64 << 10;

/// Questions at the same time.
const MOST_AT_ONCE: usize = 64;

/// The longest time for which an answer holds, in seconds: a year.
const LONGEST: u64 = 366 * 24 * 60 * 60;

type Reply = Result<Option<Grants>, TokenError>;

/// Asks an application.
struct Authoriser {
    fetcher: Fetcher,
    at_once: Semaphore,
    cache: Mutex<Cache>,
    /// The questions that are being asked. The same question waits for the same answer.
    asking: Mutex<HashMap<Key, Arc<OnceCell<Reply>>>>,
    context: Context,
    figures: Figures,
}

struct Figures {
    requests: Arc<AtomicU64>,
    failures: Arc<AtomicU64>,
    kept: Arc<AtomicU64>,
}

/// The body of a question.
#[derive(Serialize)]
struct Question<'a> {
    token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    listener: Option<&'a str>,
}

/// Reads `https://app/auth`, and the parameter behind `#` that is for the server itself: `ca=FILE`.
fn parse(uri: &str) -> Result<(Target, Option<PathBuf>), String> {
    let (address, settings) = uri.split_once('#').unwrap_or((uri, ""));
    let target = Target::parse(address)?;
    let authority = match settings.split_once('=') {
        None if settings.is_empty() => None,
        Some(("ca", path)) if !path.is_empty() && target.is_encrypted() => {
            let path = percent_decode_str(path).decode_utf8();
            let path = path.map_err(|_| "the file behind #ca= is not UTF-8")?;
            Some(PathBuf::from(&*path))
        }
        _ => return Err("behind # there may be ca=FILE, for https:// alone".into()),
    };
    Ok((target, authority))
}

/// Checks the URI.
pub(super) fn check(uri: &str) -> Result<(), String> {
    parse(uri).map(|_| ())
}

/// Opens the authenticator; the application is not contacted before the first token.
pub(super) async fn open(uri: String, context: Context) -> Result<Arc<dyn Authenticator>, String> {
    let (target, authority) = parse(&uri)?;
    if !target.is_encrypted() && !target.is_loopback() {
        tracing::warn!(
            "tokens are sent to {} as they are, and whoever is on the way may answer: use https:// where the network \
                 is not trusted",
            target.shown()
        );
    }
    Ok(Arc::new(Authoriser {
        fetcher: Fetcher::new(target, authority, MOST_BYTES).await?,
        at_once: Semaphore::new(MOST_AT_ONCE),
        cache: Mutex::default(),
        asking: Mutex::default(),
        figures: Figures {
            requests: context.counter(
                "authoriser_requests",
                "Tokens that the authoriser was asked about",
            ),
            failures: context.counter(
                "authoriser_failures",
                "Tokens of which the authoriser could not say what they may do",
            ),
            kept: context.gauge(
                "authoriser_answers",
                "Answers of the authoriser that are kept",
            ),
        },
        context,
    }))
}

impl Authoriser {
    /// Asks, unless the same question is being asked already.
    async fn ask(&self, key: Key, presented: Presented<'_>) -> Reply {
        let cell = Arc::clone(self.asking.lock().entry(key).or_default());
        let reply = cell
            .get_or_init(|| async {
                let reply = self.ask_alone(key, presented).await;
                // From now on the cached answer is used, or the question is asked again.
                self.asking.lock().remove(&key);
                reply
            })
            .await;
        reply.clone()
    }

    async fn ask_alone(&self, key: Key, presented: Presented<'_>) -> Reply {
        self.figures.requests.fetch_add(1, Ordering::Relaxed);
        let answer = match timeout(DEADLINE, self.post(presented)).await {
            Ok(answer) => answer.and_then(|answer| self.read(&answer, presented)),
            Err(_) => Err(format!("no answer within {} s", DEADLINE.as_secs())),
        };
        let now = Instant::now();
        let mut cache = self.cache.lock();
        if let Ok(answer) = &answer {
            // The last answer holds for all sessions of a token, wherever they are.
            cache.forget(&key);
            if let Some((grants, Some(ttl))) = answer
                && presented.listener.is_some()
            {
                cache.insert(key, grants, *ttl, now);
            }
        }
        self.note_kept(&cache);
        drop(cache);
        answer
            .map(|answer| answer.map(|(grants, _)| grants))
            .map_err(|why| {
                self.figures.failures.fetch_add(1, Ordering::Relaxed);
                let shown = self.fetcher.target.shown();
                TokenError::Unavailable(format!("{shown}: {why}"))
            })
    }

    async fn post(&self, presented: Presented<'_>) -> Result<Answer, String> {
        let question = Question {
            token: presented.token,
            address: presented.address,
            listener: presented.listener,
        };
        let body = serde_json::to_vec(&question).map_err(|error| error.to_string())?;
        let _permit = self.at_once.acquire().await;
        self.fetcher.post(Bytes::from(body)).await
    }

    /// What an answer grants, and for how long.
    fn read(
        &self,
        answer: &Answer,
        presented: Presented<'_>,
    ) -> Result<Option<(Grants, Option<Duration>)>, String> {
        match answer.status {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Ok(None),
            status => return Err(format!("it answers with {status}")),
        }
        let value: Value = serde_json::from_slice(&answer.body)
            .map_err(|error| format!("its answer is not JSON: {error}"))?;
        if !value.is_object() {
            return Err("its answer is no object".into());
        }
        let rights = Rights::read(&value).map_err(|why| format!("its answer {why}"))?;
        let mut grants = Grants::default();
        grants.subject = match value.get("subject") {
            None | Some(Value::Null) => presented.token.to_owned(),
            Some(Value::String(subject)) if !subject.is_empty() => subject.clone(),
            Some(_) => {
                return Err("the subject of its answer is no text with something in it".into());
            }
        };
        let ttl = match value.get("ttl") {
            None | Some(Value::Null) => None,
            Some(ttl) => {
                let seconds = ttl
                    .as_u64()
                    .filter(|seconds| (1..=LONGEST).contains(seconds));
                let seconds = seconds.ok_or(
                    "the ttl of its answer is no whole number of seconds from 1 to a year",
                )?;
                Some(Duration::from_secs(seconds))
            }
        };
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        grants.expires_at = ttl.map(|ttl| (now + ttl).as_secs());
        grants.subscribe = rights.subscribe;
        grants.publish = rights.publish;
        if let Some(remark) = rights.remark {
            let what = format_args!("the answer of {}", self.fetcher.target.shown());
            let peer = presented.address.map(Peer::from);
            remark.say(what, &self.context, peer);
        }
        Ok(Some((grants, ttl)))
    }

    fn note_kept(&self, cache: &Cache) {
        self.figures
            .kept
            .store(cache.len() as u64, Ordering::Relaxed);
    }
}

impl Authenticator for Authoriser {
    fn authenticate<'a>(&'a self, presented: Presented<'a>) -> BoxFuture<'a, Reply> {
        Box::pin(async move {
            let key = Key::of(&presented);
            let found = {
                let mut cache = self.cache.lock();
                let found = cache.find(&key, Instant::now());
                self.note_kept(&cache);
                found
            };
            let kept = match found {
                Found::Fresh(grants) => return Ok(Some(grants)),
                Found::Old(grants) => Some(grants),
                Found::Nothing => None,
            };
            match (self.ask(key, presented).await, kept) {
                // It holds until it expires.
                (Err(_), Some(grants)) => Ok(Some(grants)),
                (reply, _) => reply,
            }
        })
    }

    fn forget(&self, token: &str) {
        let mut cache = self.cache.lock();
        cache.forget(&Key::of(&Presented::new(token)));
        self.note_kept(&cache);
    }
}
