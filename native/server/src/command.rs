//! Owns the face of custom commands: what a host's own command gets and may answer.

use std::future::Future;

use futures_util::future::BoxFuture;

pub use mist_core::{CustomReply, CustomRequest};

/// Answers a custom command. Implemented by every `Fn(CustomRequest) -> impl Future`.
pub trait CommandHandler: Send + Sync + 'static {
    /// Returns what the client is answered: nothing, a message, or the text of an error.
    ///
    /// The client's next message is looked at once this is done.
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
