//! Owns how a server's authenticators are asked: in turn, and guarded; knows nothing of sessions.

use std::sync::Arc;

use mist_core::{AuthReply, AuthRequest};
use sha2::{Digest, Sha256};
use tokio_util::task::TaskTracker;

use super::turns::{Held, Turns};
use crate::auth::{Authenticators, Origin, TokenError, TokenPage, TokenStore, sha256_of};

/// The authenticators of a server, if there are any.
pub(super) struct Store {
    authenticators: Arc<Authenticators>,
    turns: Turns,
}

impl Store {
    pub(super) fn new(authenticators: Authenticators) -> Self {
        Self {
            authenticators: Arc::new(authenticators),
            turns: Turns::default(),
        }
    }

    /// Whether there are any.
    pub(super) fn is_there(&self) -> bool {
        !self.authenticators.is_empty()
    }

    pub(super) fn authenticators(&self) -> &Authenticators {
        &self.authenticators
    }

    /// Where tokens are registered, if they are.
    pub(super) fn token_store(&self) -> Option<&dyn TokenStore> {
        self.authenticators.store()
    }

    /// Asks the store on a task of its own. The reply to a change comes with the token's turn, which is to be held
    /// until the broker has the reply, since grants follow the replies.
    pub(super) async fn ask(
        &self,
        tasks: &TaskTracker,
        request: AuthRequest,
        origin: Origin,
    ) -> (AuthReply, Option<Held<'_>>) {
        // Logins need no turn: one that is overtaken by a change is looked up again.
        let needs_turn = matches!(request, AuthRequest::Edit(_));
        self.ask_in_turn(tasks, request, origin, needs_turn).await
    }

    /// As [`Store::ask`], between changes of the token if it `needs_turn`.
    pub(super) async fn ask_in_turn(
        &self,
        tasks: &TaskTracker,
        request: AuthRequest,
        origin: Origin,
        needs_turn: bool,
    ) -> (AuthReply, Option<Held<'_>>) {
        let is_change = matches!(request, AuthRequest::Edit(_));
        let mut turn = None;
        if needs_turn {
            turn = self.turns.take(hash_of(&request)).await;
            if turn.is_none() {
                let why = "earlier changes of this token are still under way".into();
                return (Err(TokenError::Unavailable(why)), None);
            }
        }
        let authenticators = Arc::clone(&self.authenticators);
        // On a task of its own, so that a store that panics costs this answer only.
        let reply = tasks.spawn(async move { authenticators.carry_out(&request, &origin).await });
        let reply = match reply.await {
            Ok(Err(TokenError::Uncertain(why))) if !is_change => Err(TokenError::Unavailable(why)),
            Ok(reply) => reply,
            Err(_) if is_change => Err(TokenError::Uncertain("the authenticator panicked".into())),
            Err(_) => Err(TokenError::Unavailable("the authenticator panicked".into())),
        };
        (reply, turn)
    }

    /// Asks the store for some of its tokens, also on a task of its own.
    pub(super) async fn list(
        &self,
        tasks: &TaskTracker,
        after: String,
        most: usize,
    ) -> Result<TokenPage, TokenError> {
        let authenticators = Arc::clone(&self.authenticators);
        let page = tasks.spawn(async move {
            match authenticators.store() {
                Some(store) => {
                    let page = store.list(&after, most).await;
                    authenticators.note_store(&page);
                    page
                }
                None => Err(TokenError::Unsupported),
            }
        });
        let panicked = |_| Err(TokenError::Unavailable("the authenticator panicked".into()));
        page.await.unwrap_or_else(panicked)
    }
}

/// The hash of the token that a request is about.
fn hash_of(request: &AuthRequest) -> [u8; 32] {
    match request {
        AuthRequest::Authenticate { token } | AuthRequest::Lookup { token } => {
            Sha256::digest(token).into()
        }
        AuthRequest::Edit(edit) => sha256_of(&edit.name),
    }
}
