//! Owns where the tokens of a client's connections come from; knows nothing of when they are needed.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use mist_core::client::Token;

use crate::error::TokenSourceError;

pub(crate) type Obtaining = Pin<Box<dyn Future<Output = Result<String, TokenSourceError>> + Send>>;

/// Where the token of each connection comes from.
#[derive(Clone)]
pub(crate) enum TokenSource {
    None,
    Fixed(String),
    Fetched(Arc<dyn Fn() -> Obtaining + Send + Sync>),
}

impl TokenSource {
    /// Obtains a token, once it is waited for; nothing where none is to be presented.
    pub(crate) fn obtain(&self) -> Option<Obtaining> {
        match self {
            Self::None => None,
            Self::Fixed(token) => Some(Box::pin(std::future::ready(Ok(token.clone())))),
            // The caller holds a lock, and `fetch` is code of the application.
            Self::Fetched(fetch) => {
                let fetch = Arc::clone(fetch);
                Some(Box::pin(async move { fetch().await }))
            }
        }
    }

    pub(crate) fn present<'a>(&self, token: &'a str) -> Token<'a> {
        match self {
            Self::Fetched(_) => Token::Fresh(token),
            Self::None | Self::Fixed(_) => Token::Static(token),
        }
    }
}
