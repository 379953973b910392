//! Owns how a server's token store is asked: in turn, guarded, and its failures logged; knows nothing of sessions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mist_core::{AuthReply, AuthRequest};
use tokio_util::task::TaskTracker;

use super::turns::{Held, Turns};
use crate::auth::{self, Authenticator, TokenError, TokenStore};
use crate::log_limit::{Kind, LogLimit};

/// The token store of a server, if it has one.
pub(super) struct Store {
    authenticator: Option<Arc<dyn Authenticator>>,
    turns: Turns,
    is_failing: AtomicBool,
    log: Arc<LogLimit>,
}

impl Store {
    pub(super) fn new(authenticator: Option<Arc<dyn Authenticator>>, log: Arc<LogLimit>) -> Self {
        Self {
            authenticator,
            turns: Turns::default(),
            is_failing: AtomicBool::new(false),
            log,
        }
    }

    /// Whether there is anybody to ask.
    pub(super) fn is_there(&self) -> bool {
        self.authenticator.is_some()
    }

    /// Where tokens are registered, if they are.
    pub(super) fn token_store(&self) -> Option<&dyn TokenStore> {
        self.authenticator.as_ref()?.store()
    }

    /// Asks the store on a task of its own. The reply to a change comes with the token's turn, which is to be held until
    /// the broker has the reply, since grants follow the replies.
    pub(super) async fn ask(
        &self,
        tasks: &TaskTracker,
        request: AuthRequest,
    ) -> (AuthReply, Option<Held<'_>>) {
        // Logins need no turn: one that is overtaken by a change is looked up again.
        let needs_turn = matches!(request, AuthRequest::Change(_));
        self.ask_in_turn(tasks, request, needs_turn).await
    }

    /// As [`Store::ask`], between changes of the token if it `needs_turn`.
    pub(super) async fn ask_in_turn(
        &self,
        tasks: &TaskTracker,
        request: AuthRequest,
        needs_turn: bool,
    ) -> (AuthReply, Option<Held<'_>>) {
        let is_change = matches!(request, AuthRequest::Change(_));
        let mut turn = None;
        if needs_turn {
            turn = self.turns.take(request.token()).await;
            if turn.is_none() {
                let why = "earlier changes of this token are still under way".into();
                return (Err(TokenError::Unavailable(why)), None);
            }
        }
        let store = self.authenticator.clone();
        // On a task of its own, so that a store that panics costs this answer only.
        let reply = tasks.spawn(async move {
            match store {
                Some(store) => auth::carry_out(&*store, &request).await,
                None => Err(TokenError::Unavailable("no authenticator".into())),
            }
        });
        let reply = match reply.await {
            Ok(Err(TokenError::Uncertain(why))) if !is_change => Err(TokenError::Unavailable(why)),
            Ok(reply) => reply,
            Err(_) if is_change => Err(TokenError::Uncertain("the authenticator panicked".into())),
            Err(_) => Err(TokenError::Unavailable("the authenticator panicked".into())),
        };
        self.note(&reply);
        (reply, turn)
    }

    /// Says when the store begins to fail, and when it works again; in between only those who ask are told.
    pub(super) fn note(&self, reply: &AuthReply) {
        let failure = match reply {
            Err(error @ (TokenError::Unavailable(_) | TokenError::Uncertain(_))) => Some(error),
            _ => None,
        };
        let is_failing = failure.is_some();
        let is_news = self.is_failing.swap(is_failing, Ordering::Relaxed) != is_failing;
        // A store that fails now and then has much news.
        if is_news && self.log.admits(Kind::StoreFailed, None) {
            match failure {
                Some(error) => tracing::error!("{error}"),
                None => tracing::info!("the token store works again"),
            }
        }
    }
}
