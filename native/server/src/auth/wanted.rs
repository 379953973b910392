//! Owns the authenticators of a server until they are open, and whether they can be combined.

use std::collections::HashMap;
use std::sync::Arc;

use mist_core::TokenStorage;
use mist_net::address::list;

use super::authenticator::{Authenticator, AuthenticatorFactory};
use super::authenticators::{Authenticators, Member};
use super::context::Context;
use super::schemes;
use crate::bind_error::BindError;

/// The scheme of the store in the broker.
const MEMORY: &str = "memory";

/// The configured authenticators.
#[derive(Default)]
pub(crate) struct Wanted {
    verifiers: Vec<Verifier>,
    /// The schemes that the program has registered.
    schemes: HashMap<String, AuthenticatorFactory>,
    context: Context,
}

enum Verifier {
    Uri(String),
    Own(Arc<dyn Authenticator>),
}

/// How an authenticator is opened by its URI.
enum Opening {
    Memory,
    Factory {
        factory: AuthenticatorFactory,
        uri: String,
        /// The URI without secrets.
        shown: String,
        /// What is known before it is open.
        kind: Kind,
    },
}

#[derive(Clone, Copy)]
enum Kind {
    Store,
    Verifier,
    /// Registered by the program: whether it keeps tokens is known once it is open.
    Registered,
}

impl Wanted {
    pub(crate) fn add(&mut self, uri: &str) {
        self.verifiers.push(Verifier::Uri(uri.to_owned()));
    }

    pub(crate) fn add_own(&mut self, authenticator: Arc<dyn Authenticator>) {
        self.verifiers.push(Verifier::Own(authenticator));
    }

    pub(crate) fn register(&mut self, scheme: &str, factory: AuthenticatorFactory) {
        self.schemes.insert(scheme.to_ascii_lowercase(), factory);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.verifiers.is_empty()
    }

    /// The scheme of one that keeps tokens for this server or this machine alone, if there is one.
    #[cfg(feature = "cluster")]
    pub(crate) fn unfit_for_clusters(&self) -> Option<String> {
        self.verifiers.iter().find_map(|verifier| match verifier {
            Verifier::Uri(uri) => {
                let scheme = scheme_of(uri);
                ["memory", "sqlite", "scribble"]
                    .contains(&scheme.as_str())
                    .then_some(scheme)
            }
            Verifier::Own(_) => None,
        })
    }

    /// Checks them, as far as that is possible without opening any; returns what is wrong.
    pub(crate) fn check(&self, has_token: bool) -> Vec<BindError> {
        let (mut stores, mut faults) = (Vec::new(), Vec::new());
        for verifier in &self.verifiers {
            match verifier {
                Verifier::Own(own) if own.store().is_some() => stores.push(OWN.to_owned()),
                Verifier::Own(_) => {}
                Verifier::Uri(uri) => match self.opening(uri) {
                    Err(error) => faults.push(error),
                    Ok(Opening::Memory) => stores.push(format!("{MEMORY}://")),
                    Ok(Opening::Factory { shown, kind, .. }) => match kind {
                        Kind::Store => stores.push(shown),
                        Kind::Verifier => {
                            let checked = schemes::check(&scheme_of(uri), uri);
                            let fault = checked.err();
                            faults.extend(
                                fault.map(|why| BindError::Authenticator { uri: shown, why }),
                            );
                        }
                        Kind::Registered => {}
                    },
                },
            }
        }
        faults.extend(check_stores(stores, has_token).err());
        faults
    }

    /// Opens them; also returns where tokens are registered.
    pub(crate) async fn open(
        self,
        has_token: bool,
    ) -> Result<(TokenStorage, Authenticators), BindError> {
        if let Some(fault) = self.check(has_token).into_iter().next() {
            return Err(fault);
        }
        let (mut kept, mut members) = (TokenStorage::None, Vec::new());
        let mut stores = Vec::new();
        for verifier in &self.verifiers {
            let member = match verifier {
                Verifier::Own(own) => Member::new(OWN.to_owned(), Arc::clone(own), true),
                Verifier::Uri(uri) => match self.opening(uri)? {
                    Opening::Memory => {
                        kept = TokenStorage::Memory;
                        stores.push(format!("{MEMORY}://"));
                        continue;
                    }
                    Opening::Factory {
                        factory,
                        uri,
                        shown,
                        kind: _,
                    } => match factory(uri).await {
                        Ok(authenticator) => {
                            // That of JWTs logs its own failures.
                            let is_logged = !shown.starts_with("jwt:");
                            Member::new(shown, authenticator, is_logged)
                        }
                        Err(why) => return Err(BindError::Authenticator { uri: shown, why }),
                    },
                },
            };
            if member.is_store() {
                kept = TokenStorage::Host;
                stores.push(member.name().to_owned());
            }
            members.push(member);
        }
        check_stores(stores, has_token)?;
        Ok((kept, Authenticators::new(members, self.context)))
    }

    fn opening(&self, uri: &str) -> Result<Opening, BindError> {
        let scheme = scheme_of(uri);
        if scheme == MEMORY {
            let behind = uri.split_once("://").map_or("", |(_, behind)| behind);
            return match behind {
                "" => Ok(Opening::Memory),
                _ => Err(BindError::Authenticator {
                    uri: format!("{MEMORY}://…"),
                    why: "it keeps nothing on a disk, so nothing belongs behind memory://; another authenticator is given \
                          apart from it"
                        .into(),
                }),
            };
        }
        let built_in = schemes::built_in(&self.context);
        let registered = self.schemes.get(&scheme);
        let Some(factory) = registered.or_else(|| built_in.get(&scheme)) else {
            let known = self.schemes.keys().chain(built_in.keys());
            return Err(BindError::UnknownAuthenticator {
                uri: format!("{scheme}://…"),
                known: list(known.map(String::as_str).chain([MEMORY])),
            });
        };
        Ok(Opening::Factory {
            factory: Arc::clone(factory),
            uri: uri.to_owned(),
            // The rest may contain a password.
            shown: format!("{scheme}://…"),
            kind: match registered {
                Some(_) => Kind::Registered,
                None if schemes::is_store(&scheme) => Kind::Store,
                None => Kind::Verifier,
            },
        })
    }
}

/// The name of an authenticator without a URI.
const OWN: &str = "the program's own";

fn scheme_of(uri: &str) -> String {
    let scheme = uri.split("://").next().unwrap_or_default();
    scheme.to_ascii_lowercase()
}

/// Checks that there is one store at most, and a token to administer it with.
fn check_stores(stores: Vec<String>, has_token: bool) -> Result<(), BindError> {
    let mut stores = stores.into_iter();
    match (stores.next(), stores.next()) {
        (Some(first), Some(second)) => Err(BindError::SeveralStores { first, second }),
        (Some(_), None) if !has_token => Err(BindError::MissingToken),
        _ => Ok(()),
    }
}
