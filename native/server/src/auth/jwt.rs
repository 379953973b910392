//! Owns the authenticator that verifies JWTs (RFC 7519, RFC 8725); knows nothing of sessions.

mod keys;
mod provider;
mod rules;
mod schedule;
mod settings;
mod source;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use mist_core::{Grants, TokenError};
use mist_net::file;

use self::keys::{Keys, UnknownId};
use self::rules::{Refusal, Rules};
use self::settings::{Settings, Source as From};
use self::source::{Jwks, MOST_BYTES, Source};
use super::answer::Remark;
use super::authenticator::{Authenticator, Presented};
use super::context::Context;
use super::fetch::Fetcher;
use crate::admission::peer::Peer;
use crate::log_limit::Kind;

/// Verifies JWTs.
struct Jwt {
    rules: Rules,
    source: Source,
    context: Context,
}

/// Checks the URI and the files that it names.
pub(super) fn check(uri: &str) -> Result<(), String> {
    let Settings { source, .. } = Settings::parse(uri)?;
    read(&source).map(|_| ())
}

/// Reads the keys from a file; `None` if they come from an address.
fn read(source: &From) -> Result<Option<Keys>, String> {
    let named = |path: &Path, why: String| format!("'{}': {why}", path.display());
    let unread = |path, error: std::io::Error| named(path, format!("cannot read it - {error}"));
    match source {
        From::Key(path) => {
            let text = file::read(path).map_err(|error| unread(path, error))?;
            Keys::pem(&text).map(Some).map_err(|why| named(path, why))
        }
        From::Secret(path) => {
            let text = file::read_text(path).map_err(|error| unread(path, error))?;
            Keys::secret(&text)
                .map(Some)
                .map_err(|why| named(path, why))
        }
        From::Jwks(..) => Ok(None),
    }
}

/// Opens the authenticator; keys from an address are fetched once it runs.
pub(super) async fn open(uri: String, context: Context) -> Result<Arc<dyn Authenticator>, String> {
    provider::install();
    let Settings { source, rules } = Settings::parse(&uri)?;
    let keys = read(&source)?;
    let source = match (source, keys) {
        (From::Jwks(target, authority), _) => {
            let fetcher = Fetcher::new(target, authority, MOST_BYTES).await?;
            Source::Jwks(Box::new(Jwks::new(fetcher, &context)))
        }
        (_, keys) => Source::File(Arc::new(keys.unwrap_or_default())),
    };
    Ok(Arc::new(Jwt {
        rules,
        source,
        context,
    }))
}

impl Jwt {
    async fn verify(
        &self,
        token: &str,
    ) -> Result<Result<(Grants, Option<Remark>), Refusal>, TokenError> {
        let header = match rules::header(token) {
            Ok(header) => header,
            Err(why) => return Ok(Err(why)),
        };
        let id = header.kid.as_deref();
        let check = |keys: &Keys| {
            let mut refusal = rules::OTHER_ALGORITHM;
            for key in keys.find(header.alg, id)? {
                match self.rules.check(token, key) {
                    Ok(grants) => return Ok(Ok(grants)),
                    // Another key may have signed it.
                    Err(why @ (rules::OTHER_SIGNATURE | rules::OTHER_ALGORITHM)) => refusal = why,
                    Err(why) => return Ok(Err(why)),
                }
            }
            Ok(Err(refusal))
        };
        let found: Result<_, UnknownId> = check(&*self.source.keys().await?);
        if let Ok(result) = found {
            return Ok(result);
        }
        let newer = self.source.newer().await?;
        let found = newer.map(|keys| check(&keys));
        Ok(match found {
            Some(Ok(result)) => result,
            Some(Err(UnknownId)) | None => Err("no key has its name (kid)"),
        })
    }
}

impl Authenticator for Jwt {
    fn authenticate<'a>(
        &'a self,
        presented: Presented<'a>,
    ) -> BoxFuture<'a, Result<Option<Grants>, TokenError>> {
        Box::pin(async move {
            if !self.claims(presented.token) {
                return Ok(None);
            }
            let peer = presented.address.map(Peer::from);
            let verified = self.verify(presented.token).await;
            if let Err(TokenError::Unavailable(why)) = &verified
                && self.context.log.admits(Kind::RefusedJwt, peer)
            {
                tracing::info!(
                    peer = peer.map(display),
                    "a JWT cannot be verified now: {why}"
                );
            }
            match verified? {
                Ok((grants, remark)) => {
                    if let Some(remark) = remark {
                        let what = format_args!("the claim '{}' of a JWT", self.rules.claim);
                        remark.say(what, &self.context, peer);
                    }
                    Ok(Some(grants))
                }
                Err(why) => {
                    if self.context.log.admits(Kind::RefusedJwt, peer) {
                        tracing::info!(peer = peer.map(display), "a JWT is refused: {why}");
                    }
                    match why {
                        rules::EXPIRED => Err(TokenError::Expired),
                        _ => Ok(None),
                    }
                }
            }
        })
    }

    fn claims(&self, token: &str) -> bool {
        rules::is_jwt(token)
    }

    fn is_ready(&self) -> bool {
        self.source.is_ready()
    }

    fn run(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.source.run())
    }
}
