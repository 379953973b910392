//! Owns the way from the hub to the other nodes of a cluster and back; knows nothing of how they are reached.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

#[cfg(feature = "cluster")]
use mist_core::Elsewhere;
use mist_core::OthersQuery;
use mist_core::cluster::{Answers, NodeId, QuestionId, Status};
use mist_net::lock::Mutex;
use tokio::sync::{OnceCell, Semaphore, mpsc, oneshot};

use super::counting::Counting;
use crate::auth::Changed;

/// What several wait for, once it is there.
type SharedAnswers = OnceCell<Arc<Answers>>;

/// The way to the other nodes; without a cluster there are none.
#[derive(Debug)]
pub(crate) struct Others {
    calls: OnceLock<mpsc::UnboundedSender<Call>>,
    /// Where changes of tokens go that others tell of.
    changes: Mutex<Option<mpsc::UnboundedSender<Changed>>>,
    /// Questions whose answers may be long are asked one after the other, and a question that several have only once.
    asking: Semaphore,
    wanted: Mutex<HashMap<Vec<u8>, Arc<SharedAnswers>>>,
    pub(super) counting: Counting,
    /// Messages of other nodes that this server did not take, and has not told of yet.
    refused: AtomicU64,
}

impl Default for Others {
    fn default() -> Self {
        Self {
            calls: OnceLock::new(),
            changes: Mutex::default(),
            asking: Semaphore::new(1),
            wanted: Mutex::default(),
            counting: Counting::default(),
            refused: AtomicU64::new(0),
        }
    }
}

/// Something for the other nodes.
#[derive(Debug)]
#[cfg_attr(
    not(feature = "cluster"),
    expect(dead_code, reason = "only a cluster takes calls")
)]
pub(crate) enum Call {
    /// A question; the answers go there.
    Ask(Vec<u8>, oneshot::Sender<Gathered>),
    /// Something that has changed.
    Tell(Vec<u8>),
    /// How many outboxes of this server took a message that another node has asked to count.
    Counted(NodeId, QuestionId, usize),
    /// A message that is to be counted, by its number, which the other nodes do not get.
    Uncounted(u64),
}

/// What the nodes of a cluster say.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    pub(crate) answers: Answers,
    /// What this node tells of itself.
    pub(crate) own: Status,
    /// What those that did not answer have told last, and how long ago.
    pub(crate) silent: Vec<(Status, Duration)>,
}

/// What nodes ask each other. The tags that are of interest follow, as JSON.
pub(super) const STATUS: &[u8] = b"status";
pub(super) const SUBSCRIBED: &[u8] = b"subscribed ";
/// What they tell each other; the SHA-256 of the token follows.
const TOKEN: &[u8] = b"token ";

impl Others {
    /// Says where calls go; returns them.
    #[cfg(feature = "cluster")]
    pub(crate) fn open(&self) -> mpsc::UnboundedReceiver<Call> {
        let (sender, calls) = mpsc::unbounded_channel();
        self.calls.set(sender).expect("a server is in one cluster");
        calls
    }

    /// A stream of what others change from now on.
    pub(super) fn changes(&self) -> mpsc::UnboundedReceiver<Changed> {
        let (sender, changes) = mpsc::unbounded_channel();
        *self.changes.lock() = Some(sender);
        changes
    }

    pub(super) async fn ask(&self, question: Vec<u8>) -> Gathered {
        let (sender, answers) = oneshot::channel();
        self.call(Call::Ask(question, sender));
        // Without a cluster there are no answers.
        answers.await.unwrap_or_default()
    }

    /// Asks which tags are subscribed to. Everybody who wants to know that while other questions are being answered shares
    /// the answer: a node that is slow to answer does not make a queue of them.
    pub(super) async fn list(&self, query: OthersQuery) -> Arc<Answers> {
        let mut question = SUBSCRIBED.to_vec();
        question.extend(serde_json::to_vec(&query.granted).expect("texts are JSON"));
        let shared = Arc::clone(self.wanted.lock().entry(question.clone()).or_default());
        let asked = async {
            let _turn = self.asking.acquire().await;
            // Who comes from now on has to ask again: what has changed by then may not be in the answer.
            self.wanted.lock().remove(&question);
            Arc::new(self.ask(question).await.answers)
        };
        Arc::clone(shared.get_or_init(|| asked).await)
    }

    /// Notes that a message of another node is over this server's limits.
    pub(super) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes how many there were.
    #[cfg(feature = "cluster")]
    pub(crate) fn take_refused(&self) -> u64 {
        self.refused.swap(0, Ordering::Relaxed)
    }

    /// Says that a token has changed here.
    pub(super) fn tell_token(&self, hash: [u8; 32]) {
        self.call(Call::Tell([TOKEN, &hash[..]].concat()));
    }

    /// Says to the node that asked how many outboxes took its message.
    pub(super) fn say_counted(&self, id: &str, delivered: usize) {
        if let Some((asker, question)) = QuestionId::read(id) {
            self.call(Call::Counted(asker, question, delivered));
        }
    }

    /// Says that the other nodes do not get a message that is to be counted.
    pub(super) fn say_uncounted(&self, number: u64) {
        self.call(Call::Uncounted(number));
    }

    fn call(&self, call: Call) {
        if let Some(calls) = self.calls.get() {
            let _ = calls.send(call);
        }
    }

    /// Whether there are messages that are to be counted.
    #[cfg(feature = "cluster")]
    pub(crate) fn are_counted(&self) -> bool {
        self.counting.is_any()
    }

    /// Takes what the other nodes made of such a message.
    #[cfg(feature = "cluster")]
    pub(crate) fn end_counting(&self, number: u64, elsewhere: Elsewhere) {
        self.counting.end(number, elsewhere);
    }

    /// Has the tokens in use be asked about again.
    #[cfg(feature = "cluster")]
    pub(crate) fn ask_again(&self) {
        self.note(Changed::Any);
    }

    /// Takes what another node tells.
    #[cfg(feature = "cluster")]
    pub(crate) fn hear(&self, told: &[u8]) {
        let hash = told.strip_prefix(TOKEN);
        if let Some(hash) = hash.and_then(|hash| hash.try_into().ok()) {
            self.note(Changed::Hash(hash));
        }
    }

    #[cfg(feature = "cluster")]
    fn note(&self, change: Changed) {
        if let Some(changes) = &*self.changes.lock() {
            let _ = changes.send(change);
        }
    }
}
