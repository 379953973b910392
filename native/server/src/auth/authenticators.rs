//! Owns which of several authenticators is asked about a token, and the log of their failures; knows nothing of
//! sessions and of the forms of tokens.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use mist_core::{AuthReply, AuthRequest, Grants, TokenError};

use super::authenticator::{Authenticator, Presented, TokenStore};
use super::context::Context;
use crate::log_limit::{Kind, LogLimit};

/// Where a token was presented.
#[derive(Default)]
pub(crate) struct Origin {
    pub(crate) address: Option<IpAddr>,
    pub(crate) listener: Option<String>,
    /// Which authenticator has accepted it, if it is asked about again and not presented now.
    pub(crate) voucher: Option<usize>,
}

/// The authenticators of a server, except the store in the broker's memory.
#[derive(Default)]
pub(crate) struct Authenticators {
    /// The token store first: its answer costs least.
    members: Vec<Member>,
    context: Context,
}

/// One of them.
pub(crate) struct Member {
    /// Its name in the log, without secrets.
    name: String,
    authenticator: Arc<dyn Authenticator>,
    /// Whether its failures are logged here; some log them themselves.
    is_logged: bool,
    is_failing: AtomicBool,
    /// Whether a warning about a tag that is not understood was logged.
    has_named_ignored: AtomicBool,
}

impl Member {
    pub(crate) fn new(
        name: String,
        authenticator: Arc<dyn Authenticator>,
        is_logged: bool,
    ) -> Self {
        Self {
            name,
            authenticator,
            is_logged,
            is_failing: AtomicBool::new(false),
            has_named_ignored: AtomicBool::new(false),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn is_store(&self) -> bool {
        self.authenticator.store().is_some()
    }

    /// Logs when it begins to fail and when it works again; in between only the clients are told.
    fn note<T>(&self, result: &Result<T, TokenError>, log: &LogLimit) {
        let failure = match result {
            Err(error @ (TokenError::Unavailable(_) | TokenError::Uncertain(_)))
                if self.is_logged =>
            {
                Some(error)
            }
            _ => None,
        };
        let is_failing = failure.is_some();
        let is_news = self.is_failing.swap(is_failing, Ordering::Relaxed) != is_failing;
        // The state of one that fails now and then changes often.
        if is_news && log.admits(Kind::StoreFailed, None) {
            let name = &*self.name;
            match (failure, self.is_store()) {
                (Some(error), true) => tracing::error!(authenticator = name, "{error}"),
                (Some(error), false) => {
                    let (TokenError::Unavailable(why) | TokenError::Uncertain(why)) = error else {
                        return;
                    };
                    tracing::error!(authenticator = name, "tokens cannot be verified - {why}");
                }
                (None, true) => tracing::info!(authenticator = name, "the token store works again"),
                (None, false) => tracing::info!(authenticator = name, "tokens are verified again"),
            }
        }
    }

    /// Logs once that tokens have tags that are not understood.
    fn note_ignored(&self, grants: &Grants) {
        let Some(tag) = grants.ignored.first() else {
            return;
        };
        if !self.has_named_ignored.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                authenticator = self.name,
                tag,
                "a token has tags that begin with $ and that this server does not understand: they grant nothing"
            );
        }
    }
}

impl Authenticators {
    pub(crate) fn new(mut members: Vec<Member>, context: Context) -> Self {
        members.sort_by_key(|member| !member.is_store());
        Self { members, context }
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// What they share with the server.
    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    /// Where tokens are registered, if they are.
    pub(crate) fn store(&self) -> Option<&dyn TokenStore> {
        self.members.first()?.authenticator.store()
    }

    /// Notes whether the store has answered or failed.
    pub(crate) fn note_store<T>(&self, result: &Result<T, TokenError>) {
        if let Some(store) = self.members.first().filter(|member| member.is_store()) {
            store.note(result, &self.context.log);
        }
    }

    /// Has all of them forget what they have cached about a token.
    pub(crate) fn forget(&self, token: &str) {
        for member in &self.members {
            member.authenticator.forget(token);
        }
    }

    /// The first that is not ready.
    pub(crate) fn unready(&self) -> Option<&str> {
        let mut members = self.members.iter();
        let unready = members.find(|member| !member.authenticator.is_ready());
        unready.map(|member| &*member.name)
    }

    /// Does their background work.
    pub(crate) async fn run(&self) {
        let members = self.members.iter();
        join_all(members.map(|member| member.authenticator.run())).await;
    }

    /// Translates a request of the broker into calls.
    pub(crate) async fn carry_out(&self, request: &AuthRequest, origin: &Origin) -> AuthReply {
        if let AuthRequest::Authenticate { token } = request {
            let presented = Presented {
                token,
                address: origin.address,
                listener: origin.listener.as_deref(),
            };
            return self.authenticate(presented, origin.voucher).await;
        }
        let Some(store) = self.store() else {
            let why = "the authenticators verify tokens and keep none".into();
            return Err(TokenError::Unavailable(why));
        };
        let reply = carry_out(store, request).await;
        self.note_store(&reply);
        reply
    }

    /// Asks those that claim the token's form, or else all others; the answer of the first that accepts it counts. If
    /// one has no answer, the others are asked all the same, but the token is not called wrong then, unless the one
    /// that had accepted it before has answered.
    async fn authenticate(&self, presented: Presented<'_>, voucher: Option<usize>) -> AuthReply {
        let claims = |member: &Member| member.authenticator.claims(presented.token);
        let is_claimed = self.members.iter().any(claims);
        let mut result = Ok(None);
        for (number, member) in self.members.iter().enumerate() {
            if claims(member) != is_claimed {
                continue;
            }
            let reply: Result<Option<Grants>, _> =
                member.authenticator.authenticate(presented).await;
            member.note(&reply, &self.context.log);
            match reply {
                Ok(Some(mut grants)) => {
                    member.note_ignored(&grants);
                    grants.voucher = number;
                    return Ok(Some(grants));
                }
                Ok(None) | Err(TokenError::NotFound | TokenError::Invalid(_)) => {}
                Err(_) if voucher.is_some_and(|voucher| voucher != number) => {}
                Err(error) => result = Err(error),
            }
        }
        result
    }
}

async fn carry_out(store: &dyn TokenStore, request: &AuthRequest) -> AuthReply {
    match request {
        AuthRequest::Edit(edit) => store.edit(edit).await.map(|()| None),
        AuthRequest::Lookup { token } | AuthRequest::Authenticate { token } => {
            store.lookup(token).await.map(Some)
        }
    }
}
