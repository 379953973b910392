//! A token store of one's own: here a fixed list from the program, under the scheme `fixed://`.
//!
//! Run it with `cargo run --example custom_authenticator`. The token `reader` may subscribe to sets with the tag
//! `news`, and publish messages whose tags are all among its own.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use mist::auth::{Authenticator, TokenError};
use mist::{Access, Server};

struct Fixed(HashMap<String, Vec<String>>);

impl Fixed {
    fn read_only<T>() -> Result<T, TokenError> {
        Err(TokenError::Unavailable(
            "this store cannot be changed".into(),
        ))
    }
}

impl Authenticator for Fixed {
    fn add_token<'a>(
        &'a self,
        _: &'a str,
        _: &'a [String],
    ) -> BoxFuture<'a, Result<(), TokenError>> {
        Box::pin(async { Self::read_only() })
    }

    fn remove_token<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), TokenError>> {
        Box::pin(async { Self::read_only() })
    }

    fn add_tags<'a>(
        &'a self,
        _: &'a str,
        _: &'a [String],
    ) -> BoxFuture<'a, Result<(), TokenError>> {
        Box::pin(async { Self::read_only() })
    }

    fn remove_tags<'a>(
        &'a self,
        _: &'a str,
        _: &'a [String],
    ) -> BoxFuture<'a, Result<(), TokenError>> {
        Box::pin(async { Self::read_only() })
    }

    fn tags<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Vec<String>, TokenError>> {
        Box::pin(async move { self.0.get(token).cloned().ok_or(TokenError::NotFound) })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let tokens = HashMap::from([(
        "reader".to_owned(),
        vec!["news".to_owned(), "sports".to_owned()],
    )]);
    let store: Arc<dyn Authenticator> = Arc::new(Fixed(tokens));
    let server = Server::builder()
        .listen("tcp://127.0.0.1:1445")
        .authenticator_scheme(
            "fixed",
            Arc::new(move |_uri| {
                let store = Arc::clone(&store);
                Box::pin(async move { Ok(store) })
            }),
        )
        .authenticator("fixed://")
        .token("admin")
        .access(Access::Scoped)
        .bind()
        .await?;
    eprintln!("listening on {}", server.addresses()[0]);
    server
        .run(async {
            let _ = tokio::signal::ctrl_c().await;
        })
        .await;
    Ok(())
}
