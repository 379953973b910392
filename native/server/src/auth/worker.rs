//! Owns the thread on which a store does its blocking work, one task after the other; knows nothing of what tokens
//! mean.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use mist_core::TokenError;
use tokio::sync::{mpsc, oneshot};

use super::changed::{Changed, TokensInUse};
use super::question::{Answer, Question};

/// How long a question waits for its turn and for other users of the files.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// How much longer the files themselves may take before the question fails.
const GRACE: Duration = Duration::from_secs(5);

/// Questions in the queue of the thread; further ones wait for a place in it.
const QUEUE: usize = 256;

/// A store that answers one question at a time, and may block.
pub(super) trait Blocking: Send + 'static {
    /// Answers a question; waits for other users of the files until `deadline`.
    fn answer(&mut self, question: &Question, deadline: Instant) -> Answer;

    /// Reports what has changed since the last call, perhaps including our own changes.
    fn changes(&mut self, in_use: &TokensInUse) -> Result<Vec<Changed>, TokenError>;
}

/// The handle of the thread. When it is dropped, the thread answers what is queued and ends, and the store with it.
pub(super) struct Worker<S>(mpsc::Sender<Work<S>>);

type Work<S> = Box<dyn FnOnce(&mut S) + Send>;

impl<S: Blocking> Worker<S> {
    /// Starts the thread and opens the store there.
    pub(super) async fn start(
        open: impl FnOnce() -> Result<S, String> + Send + 'static,
    ) -> Result<Self, String> {
        let (work, queue) = mpsc::channel(QUEUE);
        let (opened, is_open) = oneshot::channel();
        let thread = std::thread::Builder::new().name("mist-tokens".into());
        let run = move || match open() {
            Ok(store) => {
                let _ = opened.send(Ok(()));
                serve(store, queue);
            }
            Err(why) => {
                let _ = opened.send(Err(why));
            }
        };
        thread
            .spawn(run)
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        is_open
            .await
            .unwrap_or_else(|_| Err("the store failed to open".into()))?;
        Ok(Self(work))
    }

    /// Runs work on the store there.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut S, Instant) -> Result<T, TokenError> + Send + 'static,
    ) -> Result<T, TokenError> {
        let (reply, answer) = oneshot::channel();
        let deadline = Instant::now() + PATIENCE;
        let work: Work<S> = Box::new(move |store| {
            // The asker may have given up by now, and asked again.
            if !reply.is_closed() {
                let _ = reply.send(work(store, deadline));
            }
        });
        let answered = async {
            self.0.send(work).await.ok();
            answer.await.ok()
        };
        match tokio::time::timeout(PATIENCE + GRACE, answered).await {
            Ok(Some(reply)) => reply,
            Ok(None) => Err(TokenError::Uncertain("the store failed".into())),
            Err(_) => Err(TokenError::Uncertain(format!(
                "the files did not answer within {} s",
                (PATIENCE + GRACE).as_secs()
            ))),
        }
    }
}

fn serve<S>(mut store: S, mut queue: mpsc::Receiver<Work<S>>) {
    while let Some(work) = queue.blocking_recv() {
        // A panic costs one answer, and its asker gets an error. What was half done is undone by the store's
        // transaction or temporary file.
        let _ = catch_unwind(AssertUnwindSafe(|| work(&mut store)));
    }
}

#[cfg(test)]
mod tests {
    use super::super::question::Told;
    use super::*;

    /// Answers with how many questions it was asked before.
    struct Count(usize);

    impl Blocking for Count {
        fn answer(&mut self, question: &Question, _: Instant) -> Answer {
            assert_ne!(question.token(), "bug", "as a bug does");
            self.0 += 1;
            Ok(Told::Tags(vec![self.0.to_string()]))
        }

        fn changes(&mut self, _: &TokensInUse) -> Result<Vec<Changed>, TokenError> {
            Ok(Vec::new())
        }
    }

    async fn tags(worker: &Worker<Count>, token: &str) -> Answer {
        let question = Question::Lookup(token.into());
        let answer = worker.ask(move |store, deadline| store.answer(&question, deadline));
        answer.await
    }

    #[tokio::test]
    async fn a_bug_costs_one_answer() {
        let worker = Worker::start(|| Ok(Count(0))).await.expect("it starts");
        assert_eq!(
            tags(&worker, "x").await,
            Ok(Told::Tags(vec!["1".to_owned()]))
        );
        assert!(matches!(
            tags(&worker, "bug").await,
            Err(TokenError::Uncertain(_))
        ));
        assert_eq!(
            tags(&worker, "x").await,
            Ok(Told::Tags(vec!["2".to_owned()]))
        );
    }

    #[tokio::test]
    async fn a_store_that_does_not_open_says_why() {
        let worker = Worker::start(|| Err::<Count, _>("no paper".to_owned())).await;
        assert_eq!(worker.err().as_deref(), Some("no paper"));
    }
}
