//! Owns where a request carries its token: in a header, else in a subprotocol, else in the query.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use warp::http::{HeaderMap, header};

use super::query::Query;
use super::request::offered_protocols;

/// The token that a request presents, if any. Empty headers count as missing.
///
/// # Errors
/// What is wrong with a token that cannot be read; the text does not contain it.
pub(super) fn token(headers: &HeaderMap, query: &Query<'_>) -> Result<Option<String>, String> {
    for given in [
        in_header(headers)?,
        in_authorization(headers)?,
        in_protocol(headers)?,
    ] {
        if given.is_some() {
            return Ok(given);
        }
    }
    Ok(query.token()?.map(str::to_owned))
}

fn in_header(headers: &HeaderMap) -> Result<Option<String>, String> {
    let token = text(headers, "x-auth-token")?;
    Ok(token.filter(|token| !token.is_empty()))
}

/// Schemes other than `Bearer` may be meant for a proxy.
fn in_authorization(headers: &HeaderMap) -> Result<Option<String>, String> {
    let value = text(headers, header::AUTHORIZATION.as_str())?;
    Ok(value.and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        let is_given = scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty();
        is_given.then(|| token.trim().to_owned())
    }))
}

fn in_protocol(headers: &HeaderMap) -> Result<Option<String>, String> {
    let mut offered = offered_protocols(headers);
    let Some(encoded) = offered.find_map(|protocol| protocol.strip_prefix("mist.bearer.")) else {
        return Ok(None);
    };
    let token = BASE64_URL_SAFE_NO_PAD.decode(encoded).map_err(|_| {
        "the token behind 'mist.bearer.' in Sec-WebSocket-Protocol is not base64url without padding"
    })?;
    let token = String::from_utf8(token)
        .map_err(|_| "the token behind 'mist.bearer.' in Sec-WebSocket-Protocol is not UTF-8")?;
    Ok(Some(token).filter(|token| !token.is_empty()))
}

/// A header's value. A token may be any text, and a header carries it as bytes.
fn text(headers: &HeaderMap, name: &str) -> Result<Option<String>, String> {
    let value = headers.get(name).map(|value| value.as_bytes().to_vec());
    value
        .map(String::from_utf8)
        .transpose()
        .map_err(|_| format!("the header {name} is not UTF-8"))
}
