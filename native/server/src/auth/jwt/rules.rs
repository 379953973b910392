//! Owns when a JWT is accepted, and what it then grants; knows nothing of where keys come from.

use std::fmt;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Header, Validation, decode, decode_header};
use mist_core::Grants;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::keys::Key;
use crate::auth::answer::{Remark, Rights};

/// Bytes of the longest token that is parsed, whatever `token-bytes` allows.
const MOST_BYTES: usize = 16 << 10;

/// The types that an access token may state; tokens made for other purposes have others (RFC 8725 §3.11).
const TYPES: &[&str] = &["jwt", "at+jwt", "application/jwt", "application/at+jwt"];

/// The requirements on a token besides its signature.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rules {
    /// The required issuer; any issuer with the key if there is none.
    pub(super) issuer: Option<String>,
    /// The required audience; any if there is none.
    pub(super) audience: Option<String>,
    /// The claim with the tags.
    pub(super) claim: String,
    /// By how many seconds clocks may differ.
    pub(super) leeway: u64,
}

/// Why a token is refused; the text contains nothing of the token.
pub(super) type Refusal = &'static str;

/// Whether a token has the form of a signed JWT: three parts, the first of which is an object in base64url.
pub(super) fn is_jwt(token: &str) -> bool {
    matches!(token.as_bytes(), [b'e', b'w'..=b'z', ..])
        && token.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// The header of a token, which is not verified.
pub(super) fn header(token: &str) -> Result<Header, Refusal> {
    if token.len() > MOST_BYTES {
        return Err("it is longer than 16 KiB");
    }
    let header = decode_header(token)
        .map_err(|_| "its header cannot be read, or names no algorithm that is known here")?;
    let is_other = |kind: &String| !TYPES.iter().any(|known| known.eq_ignore_ascii_case(kind));
    if header.typ.as_ref().is_some_and(is_other) {
        return Err("it is no access token: its typ is neither JWT nor at+jwt");
    }
    if header.crit.is_some() {
        return Err("its header has extensions (crit), and none is known here");
    }
    if header.enc.is_some() || header.zip.is_some() {
        return Err("it is encrypted or compressed");
    }
    Ok(header)
}

impl Rules {
    /// Verifies a token with a key; returns what it grants, and a remark about it.
    pub(super) fn check(
        &self,
        token: &str,
        key: &Key,
    ) -> Result<(Grants, Option<Remark>), Refusal> {
        let claims = decode::<Claims>(token, &key.decoding, &self.validation(key));
        let Claims(claims) = claims.map_err(|error| refusal(error.kind()))?.claims;
        // An issuer is one text (RFC 7519 §4.1.1).
        if self.issuer.is_some() && !claims.get("iss").is_some_and(Value::is_string) {
            return Err(refusal(&ErrorKind::InvalidIssuer));
        }
        let subject = claims
            .get("sub")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if subject.is_empty() {
            return Err("it does not say whom it is for (sub)");
        }
        let Some(rights) = claims.get(&self.claim) else {
            return Err("it has no claim with tags");
        };
        let rights = Rights::read(rights)
            .map_err(|_| "its claim is neither a list of tags nor an object with such lists")?;
        let ends = claims
            .get("exp")
            .and_then(Value::as_f64)
            .unwrap_or_default() as u64;
        let mut grants = Grants::default();
        grants.subject = subject.to_owned();
        grants.subscribe = rights.subscribe;
        grants.publish = rights.publish;
        // Until then it would be accepted if it were presented again.
        grants.expires_at = Some(ends.saturating_add(self.leeway));
        Ok((grants, rights.remark))
    }

    fn validation(&self, key: &Key) -> Validation {
        let mut validation = Validation::default();
        validation.algorithms.clone_from(&key.algorithms);
        validation.leeway = self.leeway;
        validation.validate_nbf = true;
        let mut required = vec!["exp"];
        if let Some(issuer) = &self.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        match &self.audience {
            Some(audience) => {
                validation.set_audience(&[audience]);
                required.push("aud");
            }
            None => validation.validate_aud = false,
        }
        validation.set_required_spec_claims(&required);
        validation
    }
}

fn refusal(error: &ErrorKind) -> Refusal {
    match error {
        ErrorKind::InvalidSignature => OTHER_SIGNATURE,
        ErrorKind::InvalidAlgorithm => OTHER_ALGORITHM,
        ErrorKind::ExpiredSignature => EXPIRED,
        ErrorKind::ImmatureSignature => "it is not valid yet (nbf)",
        ErrorKind::InvalidIssuer => "it is of another issuer (iss)",
        ErrorKind::InvalidAudience => "it is for another audience (aud)",
        ErrorKind::MissingRequiredClaim(claim) => match claim.as_str() {
            "exp" => "it does not say when it ends (exp)",
            "iss" => "it does not name its issuer (iss)",
            _ => "it does not name its audience (aud)",
        },
        _ => "it cannot be read",
    }
}

pub(super) const OTHER_SIGNATURE: Refusal = "its signature is wrong";
pub(super) const OTHER_ALGORITHM: Refusal = "its algorithm is none of the key";
/// The refusal of a token that was valid before.
pub(super) const EXPIRED: Refusal = "it has expired (exp)";

/// The claims of a token. None may occur twice: another reader might use the other one.
struct Claims(Map<String, Value>);

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;

        impl<'de> Visitor<'de> for Each {
            type Value = Claims;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object, each name in it once")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Claims, A::Error> {
                let mut claims = Map::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if claims.insert(name, value).is_some() {
                        return Err(A::Error::custom("a claim stands there twice"));
                    }
                }
                Ok(Claims(claims))
            }
        }

        deserializer.deserialize_map(Each)
    }
}
