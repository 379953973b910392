//! Owns the way from the hub to the other nodes of a cluster and back; knows nothing of how they are reached.

use std::sync::OnceLock;

use mist_core::OthersQuery;
use mist_core::cluster::Answers;
use mist_net::lock::Mutex;
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::auth::Changed;

/// The way to the other nodes; without a cluster there are none.
#[derive(Debug)]
pub(crate) struct Others {
    calls: OnceLock<mpsc::UnboundedSender<Call>>,
    /// Where changes of tokens go that others tell of.
    changes: Mutex<Option<mpsc::UnboundedSender<Changed>>>,
    /// Questions whose answers may be long are asked one after the other.
    asking: Semaphore,
}

impl Default for Others {
    fn default() -> Self {
        Self {
            calls: OnceLock::new(),
            changes: Mutex::default(),
            asking: Semaphore::new(1),
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
    /// A question; the answers go there, with what this node tells of itself.
    Ask(Vec<u8>, oneshot::Sender<(Answers, Vec<u8>)>),
    /// Something that has changed.
    Tell(Vec<u8>),
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

    pub(super) async fn ask(&self, question: Vec<u8>) -> (Answers, Vec<u8>) {
        let (sender, answers) = oneshot::channel();
        if let Some(calls) = self.calls.get() {
            let _ = calls.send(Call::Ask(question, sender));
        }
        // Without a cluster there are no answers.
        answers.await.unwrap_or_default()
    }

    /// Asks which tags are subscribed to, if that is still of interest once it is this question's turn.
    pub(super) async fn list(&self, query: OthersQuery, is_wanted: impl Fn() -> bool) -> Answers {
        let _turn = self.asking.acquire().await;
        if !is_wanted() {
            return Answers::default();
        }
        let mut question = SUBSCRIBED.to_vec();
        question.extend(serde_json::to_vec(&query.granted).expect("texts are JSON"));
        self.ask(question).await.0
    }

    /// Says that a token has changed here.
    pub(super) fn tell_token(&self, hash: [u8; 32]) {
        if let Some(calls) = self.calls.get() {
            let _ = calls.send(Call::Tell([TOKEN, &hash[..]].concat()));
        }
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
