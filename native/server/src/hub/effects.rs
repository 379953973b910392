//! Owns the work that the hub does when it holds no lock: waking, logging, asking token stores and custom commands,
//! gathering long answers.

use std::sync::Arc;
use std::time::Duration;

use mist_core::{AuthRequest, Broker, CustomRequest, Listing, SessionId, TokenError, TokenName};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tracing::field::display;

use super::line::QueueEnd;
use super::worker::{Errand, Outgoing, Tools, with_worker};
use super::{Hub, Shared};
use crate::admission::peer::Peer;
use crate::admission::rates::Exceeded;
use crate::auth::sha256_of;
use crate::log_limit::Kind;
use crate::outbox::Ending;

/// Parts of a long list that are gathered per turn.
const LIST_PARTS_AT_ONCE: usize = 12;

impl Hub {
    /// Changes the broker and carries out its outputs while the lock is still held. Otherwise another thread could
    /// deliver a message after the pong that follows an `unsubscribe`, or miss one after a `subscribe`.
    pub(super) fn exclusively<T>(
        self: &Arc<Self>,
        tools: &mut Tools,
        change: impl FnOnce(&mut Shared) -> T,
    ) -> T {
        let mut shared = self.shared.write();
        let result = change(&mut shared);
        self.execute(&mut shared, &mut tools.out);
        drop(shared);
        self.settle(&mut tools.out);
        result
    }

    /// Runs the errands that were put off while a lock was held.
    pub(super) fn settle(self: &Arc<Self>, out: &mut Outgoing) {
        out.wake_all();
        for errand in out.errands.drain(..) {
            let hub = Arc::clone(self);
            match errand {
                Errand::Ask(session, request) => {
                    self.tasks.spawn(hub.ask_store(session, request));
                }
                Errand::ListTokens(session, after, most) => {
                    self.tasks.spawn(hub.list_tokens(session, after, most));
                }
                Errand::Custom(session, request) => {
                    self.tasks.spawn(hub.run_command(session, request));
                }
                Errand::LookAtToken(session) => {
                    self.tasks.spawn(async move { hub.look_at_token(session) });
                }
                Errand::Proceed => {
                    self.stand_in_line(QueueEnd::Front, |hub| {
                        hub.answer(Broker::proceed);
                        true
                    });
                }
                Errand::List(listing) => {
                    self.tasks.spawn(hub.list(listing));
                }
                Errand::Nodes(query) => {
                    self.tasks.spawn(hub.tell_nodes(query));
                }
                Errand::Count(counted) => {
                    self.tasks.spawn(hub.answer_counted(counted));
                }
                Errand::SayRefused(peer, exceeded) => self.say_exceeded(peer, exceeded),
                Errand::SayThrottled(peer) => {
                    if self.log.admits(Kind::WrongTokens, Some(peer)) {
                        tracing::warn!(
                            %peer,
                            "too many wrong tokens from one address: tokens from there are now checked at one a second (failed-tokens)"
                        );
                    }
                }
            }
        }
    }

    /// Says that a client did too much in a second, and was refused for that.
    pub(crate) fn say_exceeded(&self, peer: Option<Peer>, exceeded: Exceeded) {
        self.say_over_rate(peer, exceeded, "refused");
    }

    /// The same of one that has to wait.
    pub(crate) fn say_held_up(&self, peer: Option<Peer>, exceeded: Exceeded) {
        self.say_over_rate(peer, exceeded, "it waits");
    }

    fn say_over_rate(&self, peer: Option<Peer>, exceeded: Exceeded, what: &str) {
        if self.log.admits(Kind::RateExceeded, peer) {
            let Exceeded { setting, limit, .. } = exceeded;
            let peer = peer.map(display);
            tracing::info!(
                peer,
                "over a rate: more than {limit} in a second ({setting}); {what}"
            );
        }
    }

    /// Asks the token store, and tells the broker the answer. Goes on to its end even when the session goes, so that
    /// nothing is left half done.
    pub(super) async fn ask_store(self: Arc<Self>, session: SessionId, mut request: AuthRequest) {
        let origin = self.origin(session);
        let (reply, turn) = self.store.ask(&self.tasks, request.clone(), origin).await;
        if let (AuthRequest::Edit(edit), Ok(_) | Err(TokenError::Uncertain(_))) =
            (&mut request, &reply)
        {
            let hash = sha256_of(&edit.name);
            self.tell_token(hash);
            // Sessions go by the token itself. Those that begin to do so only now find what the store keeps now.
            if let TokenName::Hash(_) = edit.name
                && let Some(token) = self.in_use_by_hash(|other| *other == hash).pop()
            {
                edit.name = TokenName::Token(token);
            }
        }
        self.answer(|broker| {
            broker.handle_auth_reply(session, &request, reply);
            Some(session)
        });
        drop(turn);
    }

    /// Runs a custom command, to its end as well.
    pub(super) async fn run_command(self: Arc<Self>, session: SessionId, request: CustomRequest) {
        let handler = self.commands.get(&request.command).cloned();
        let reply = self.tasks.spawn(async move {
            match handler {
                Some(handler) => handler.handle(request).await,
                None => Ok(None),
            }
        });
        let reply = reply.await.unwrap_or_else(|_| {
            if self.log.admits(Kind::CommandPanicked, None) {
                tracing::error!("the handler of a custom command panicked");
            }
            Err("the command failed".into())
        });
        self.answer(|broker| {
            broker.handle_custom_reply(session, reply);
            Some(session)
        });
    }

    /// Gives the broker an answer that it waits for; `tell` returns the session to read from again.
    pub(super) fn answer(self: &Arc<Self>, tell: impl FnOnce(&mut Broker) -> Option<SessionId>) {
        let outbox = with_worker(|worker| {
            self.exclusively(&mut worker.tools, |shared| {
                tell(&mut shared.broker).and_then(|session| shared.outbox(session).cloned())
            })
        });
        // If nothing was sent to the session, nothing else wakes it.
        if let Some(outbox) = outbox {
            outbox.nudge();
        }
    }

    /// Gathers a long answer and appends it.
    pub(super) async fn list(self: Arc<Self>, mut listing: Listing) {
        if let Some(query) = listing.take_others() {
            let answers = self.others.list(query).await;
            let found = answers.given.iter().map(|(_, found, _)| &found[..]);
            listing.add_others(found, answers.silent.clone());
        }
        let session = listing.session();
        let answer = self.gather(listing, Listing::encode).await;
        self.end_gathering(session, answer);
    }

    /// Gathers what is listed, and makes something of it; nothing where that panicked.
    pub(super) async fn gather<T: Send + 'static>(
        self: &Arc<Self>,
        listing: Listing,
        finish: fn(Listing) -> T,
    ) -> Option<T> {
        let _permit = self.long_answers.acquire().await;
        // While the backlog is over its limit, nothing is added to it that cannot be dropped.
        while self.backlog.bytes() > self.in_force().limits.outbox_total_bytes {
            sleep(Duration::from_millis(100)).await;
        }
        let (sender, gathered) = oneshot::channel();
        let mut state = Some((listing, sender));
        self.stand_in_line(QueueEnd::Back, move |hub| {
            // As many parts as fit a turn, each under a lock of its own.
            let mut parts = 0..LIST_PARTS_AT_ONCE;
            let is_done = state.as_mut().is_none_or(|(listing, _)| {
                parts.any(|_| hub.shared.read().broker.list_some(listing))
            });
            if is_done && let Some((listing, sender)) = state.take() {
                let _ = sender.send(listing);
            }
            is_done
        });
        // Slow, and needs no lock.
        let listing = gathered.await.ok()?;
        spawn_blocking(move || finish(listing)).await.ok()
    }

    /// Answers a client that waits for something that was put together without a lock.
    pub(super) fn end_gathering(&self, session: SessionId, answer: Option<Vec<u8>>) {
        let Some(outbox) = self.shared.read().outbox(session).cloned() else {
            return;
        };
        match answer {
            Some(answer) => with_worker(|worker| {
                let Outgoing { spare, woken, .. } = &mut worker.tools.out;
                outbox.end_gathering(spare, woken, &answer);
                worker.tools.out.wake_all();
            }),
            // It panicked. The client must not wait for the answer for ever.
            None => outbox.end_now(Ending::Dead),
        }
    }
}
