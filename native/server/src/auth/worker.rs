//! Owns the thread on which a store does its blocking work, one piece after the other; knows nothing of tokens' meaning.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use mist_core::TokenError;
use tokio::sync::{mpsc, oneshot};

use super::built_in::{Answer, Question};

/// How long a question waits for its turn and for whoever else uses the files.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// How much longer the files themselves may take before the asker is told that they are stuck.
const GRACE: Duration = Duration::from_secs(5);

/// Questions that wait in front of the thread; further ones wait in front of the queue.
const QUEUE: usize = 256;

/// A store that answers one question after the other, and may block.
pub(super) trait Blocking: Send + 'static {
    /// Answers a question; whatever else has to be waited for is waited for until `deadline`.
    fn answer(&mut self, question: &Question, deadline: Instant) -> Answer;
}

struct Job {
    question: Question,
    deadline: Instant,
    reply: oneshot::Sender<Answer>,
}

/// The thread's other end. The thread ends, and the store with it, after the last question when this is dropped.
pub(super) struct Worker(mpsc::Sender<Job>);

impl Worker {
    /// Starts the thread and opens the store there.
    pub(super) async fn start<S: Blocking>(
        open: impl FnOnce() -> Result<S, String> + Send + 'static,
    ) -> Result<Self, String> {
        let (jobs, queue) = mpsc::channel(QUEUE);
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
        Ok(Self(jobs))
    }

    /// Has a question answered.
    pub(super) async fn ask(&self, question: Question) -> Answer {
        let (reply, answer) = oneshot::channel();
        let job = Job {
            question,
            deadline: Instant::now() + PATIENCE,
            reply,
        };
        let answered = async {
            self.0.send(job).await.ok();
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

fn serve(mut store: impl Blocking, mut queue: mpsc::Receiver<Job>) {
    while let Some(job) = queue.blocking_recv() {
        // Whoever has been told that the store is stuck may have asked again.
        if job.reply.is_closed() {
            continue;
        }
        // A bug costs one answer; what it left half done is undone by the store's own transaction or temporary file.
        let answer = catch_unwind(AssertUnwindSafe(|| {
            store.answer(&job.question, job.deadline)
        }));
        // Otherwise whoever asked sees that there is no answer.
        if let Ok(answer) = answer {
            let _ = job.reply.send(answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers with how many questions it was asked before.
    struct Count(usize);

    impl Blocking for Count {
        fn answer(&mut self, question: &Question, _: Instant) -> Answer {
            assert_ne!(question.token(), "bug", "as a bug does");
            self.0 += 1;
            Ok(vec![self.0.to_string()])
        }
    }

    fn tags(token: &str) -> Question {
        Question::Lookup(token.into())
    }

    #[tokio::test]
    async fn a_bug_costs_one_answer() {
        let worker = Worker::start(|| Ok(Count(0))).await.expect("it starts");
        assert_eq!(worker.ask(tags("x")).await, Ok(vec!["1".to_owned()]));
        assert!(matches!(
            worker.ask(tags("bug")).await,
            Err(TokenError::Uncertain(_))
        ));
        assert_eq!(worker.ask(tags("x")).await, Ok(vec!["2".to_owned()]));
    }

    #[tokio::test]
    async fn a_store_that_does_not_open_says_why() {
        let worker = Worker::start(|| Err::<Count, _>("no paper".to_owned())).await;
        assert_eq!(worker.err().as_deref(), Some("no paper"));
    }
}
