//! Owns the interface of custom commands: what a handler receives, and what it may answer.

use std::future::Future;

use futures_util::future::BoxFuture;

pub use mist_core::{CustomReply, CustomRequest};

/// Answers a custom command. Implemented by every `Fn(CustomRequest) -> impl Future`.
pub trait CommandHandler: Send + Sync + 'static {
    /// Returns the answer for the client: none, a message, or the text of an error.
    ///
    /// The client's next message is handled after that.
    fn handle(
        &self,
        request: CustomRequest,
    ) -> BoxFuture<'static, Result<Option<CustomReply>, String>>;
}

impl<F, R> CommandHandler for F
where
    F: Fn(CustomRequest) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Option<CustomReply>, String>> + Send + 'static,
{
    fn handle(
        &self,
        request: CustomRequest,
    ) -> BoxFuture<'static, Result<Option<CustomReply>, String>> {
        Box::pin(self(request))
    }
}
