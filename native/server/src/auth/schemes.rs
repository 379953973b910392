//! Owns the schemes of the built-in authenticators, and how each is opened.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use mist_net::address::list;

use super::authenticator::{Authenticator, AuthenticatorFactory, StoreFactory, TokenStore};
#[cfg(any(feature = "sqlite", feature = "scribble", feature = "postgres"))]
use super::built_in;
use super::context::Context;
#[cfg(feature = "http")]
use super::http;
#[cfg(feature = "jwt")]
use super::jwt;

/// Opens one of the durable stores, as a server does: `sqlite://`, `scribble://` or `postgres://`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use mist_server::auth::{EditKind, TokenEdit};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("tokens.db");
/// let store = mist_server::auth::open(&format!("sqlite://{}", path.display())).await?;
/// let mut edit = TokenEdit::new(EditKind::Register, "north-desk");
/// edit.tags = vec!["district:north".to_owned()];
/// store.edit(&edit).await?;
/// assert_eq!(store.lookup("north-desk").await?.subscribe, ["district:north"]);
/// # Ok(()) }
/// ```
///
/// # Errors
/// A text that says what is wrong and what to do about it, without secrets.
pub async fn open(uri: &str) -> Result<Arc<dyn TokenStore>, String> {
    let scheme = uri.split("://").next().unwrap_or_default();
    let stores = built_in_stores();
    match stores.get(&*scheme.to_ascii_lowercase()) {
        Some(open) => open(uri.to_owned()).await,
        None => Err(format!(
            "unsupported scheme - known are {}",
            list(stores.keys().copied())
        )),
    }
}

/// How each of the built-in authenticators is opened.
pub(crate) fn built_in(context: &Context) -> HashMap<String, AuthenticatorFactory> {
    let store = |open: StoreFactory| -> AuthenticatorFactory {
        Arc::new(move |uri| Box::pin(async move { Ok(open(uri).await? as Arc<dyn Authenticator>) }))
    };
    let verifier = |open: VerifierFactory| -> AuthenticatorFactory {
        let context = context.clone();
        Arc::new(move |uri| open(uri, context.clone()))
    };
    let stores = built_in_stores().into_iter();
    let stores = stores.map(|(scheme, open)| (scheme.to_owned(), store(open)));
    let verifiers = VERIFIERS.iter();
    let verifiers = verifiers.map(|&(scheme, open)| (scheme.to_owned(), verifier(open)));
    stores.chain(verifiers).collect()
}

type VerifierFactory =
    fn(String, Context) -> BoxFuture<'static, Result<Arc<dyn Authenticator>, String>>;

/// The schemes of the authenticators that only verify tokens, and how each is opened.
const VERIFIERS: &[(&str, VerifierFactory)] = &[
    #[cfg(feature = "jwt")]
    ("jwt", |uri, context| Box::pin(jwt::open(uri, context))),
    #[cfg(feature = "http")]
    ("http", |uri, context| Box::pin(http::open(uri, context))),
    #[cfg(feature = "http")]
    ("https", |uri, context| Box::pin(http::open(uri, context))),
];

/// Checks the URI of a built-in authenticator, as far as that is possible without opening it.
pub(crate) fn check(scheme: &str, uri: &str) -> Result<(), String> {
    match (scheme, uri) {
        #[cfg(feature = "jwt")]
        ("jwt", uri) => jwt::check(uri),
        #[cfg(feature = "http")]
        ("http" | "https", uri) => http::check(uri),
        _ => Ok(()),
    }
}

/// Whether a scheme is that of a built-in store.
pub(crate) fn is_store(scheme: &str) -> bool {
    built_in_stores().contains_key(scheme)
}

/// The schemes of the built-in stores, and how each is opened.
fn built_in_stores() -> HashMap<&'static str, StoreFactory> {
    #[cfg(any(feature = "sqlite", feature = "scribble", feature = "postgres"))]
    return built_in::stores();
    #[cfg(not(any(feature = "sqlite", feature = "scribble", feature = "postgres")))]
    HashMap::new()
}
