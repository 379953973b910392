//! A custom authenticator: here a fixed list in the program. Where tokens can be registered, implement
//! `TokenStore` instead.
//!
//! Run it with `cargo run --example custom_authenticator`. The token `reader` may subscribe to sets with the tag
//! `news`, and publish messages whose tags are all among its own.

use std::collections::HashMap;

use futures_util::future::BoxFuture;
use mist::auth::{Authenticator, Grants, Presented, TokenError};
use mist::{Access, Server, ServerBuilder};

struct Fixed(HashMap<String, Vec<String>>);

impl Authenticator for Fixed {
    fn authenticate<'a>(
        &'a self,
        presented: Presented<'a>,
    ) -> BoxFuture<'a, Result<Option<Grants>, TokenError>> {
        let tags = self.0.get(presented.token).cloned();
        let grants = tags.map(|tags| Grants::of_token(presented.token, tags));
        Box::pin(async { Ok(grants) })
    }
}

/// What this shows; a test runs it, too.
pub(crate) fn with_list(server: ServerBuilder) -> ServerBuilder {
    let tokens = HashMap::from([(
        "reader".to_owned(),
        vec!["news".to_owned(), "sports".to_owned()],
    )]);
    server.verifier(Fixed(tokens)).access(Access::Scoped)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::builder().listen("tcp://127.0.0.1:1445");
    let server = with_list(server).bind().await?;
    eprintln!("listening on {}", server.addresses()[0]);
    server
        .run(async {
            let _ = tokio::signal::ctrl_c().await;
        })
        .await;
    Ok(())
}
