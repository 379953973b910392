//! Owns the keys that verify tokens, and the algorithms of each; knows nothing of where they come from and of what is
//! signed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse, RSAKeyParameters,
};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{AlgorithmIdentifier, SubjectPublicKeyInfoDer, alg_id};
use serde::Deserialize;
use serde_json::Value;

/// Keys of a set that are read.
const MOST_KEYS: usize = 64;

/// Bytes of the shortest secret: the length of the hash of HS256, as RFC 7518 §3.2 demands.
const SHORTEST_SECRET: usize = 32;

/// Bytes of the smallest modulus, as RFC 7518 §3.3 demands, and of the largest that is supported.
const MODULUS: std::ops::RangeInclusive<usize> = 256..=1024;

const ES256: &[Algorithm] = &[Algorithm::ES256];
const ES384: &[Algorithm] = &[Algorithm::ES384];

/// Verifies tokens of the algorithms that fit it.
pub(super) struct Key {
    id: Option<String>,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) decoding: DecodingKey,
}

/// All trusted keys.
#[derive(Default)]
pub(super) struct Keys(Vec<Key>);

/// No key has the id that a token names.
#[derive(Debug)]
pub(super) struct UnknownId;

impl Keys {
    /// A secret that is shared with the issuer.
    pub(super) fn secret(text: &str) -> Result<Self, String> {
        let secret = text.trim();
        if secret.len() < SHORTEST_SECRET {
            return Err(format!(
                "the secret has {} bytes, which can be guessed: it needs {SHORTEST_SECRET} or more, as from `openssl rand \
                 -hex 32`",
                secret.len()
            ));
        }
        if secret.contains("-----BEGIN ") {
            return Err("that is a key in PEM and no secret: name it with key-file".into());
        }
        let decoding = DecodingKey::from_secret(secret.as_bytes()).map_err(|e| e.to_string())?;
        Ok(Self(vec![Key::new(
            None,
            AlgorithmFamily::Hmac.algorithms(),
            decoding,
        )]))
    }

    /// The public keys in a PEM file.
    pub(super) fn pem(text: &[u8]) -> Result<Self, String> {
        let found: Result<Vec<_>, _> = SubjectPublicKeyInfoDer::pem_slice_iter(text).collect();
        let found = found.map_err(|error| format!("it is not PEM: {error}"))?;
        let keys: Option<Vec<_>> = found.iter().map(|key| of_spki(key.as_ref())).collect();
        match keys {
            Some(keys) if keys.is_empty() => Err(
                "there is no public key (BEGIN PUBLIC KEY): `openssl pkey -in KEY -pubout` writes that of a private key, \
                 `openssl x509 -in CERTIFICATE -pubkey -noout` that of a certificate"
                    .into(),
            ),
            Some(keys) => Ok(Self(keys)),
            None => Err("a key is none of RSA with 2048 to 8192 bits, P-256, P-384 and Ed25519".into()),
        }
    }

    /// The usable keys of a JWK set, and the number of the others.
    pub(super) fn jwks(text: &[u8]) -> Result<(Self, usize), String> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_slice(text)
            .map_err(|error| format!("the answer is no JWK set: {error}"))?;
        let count = set.keys.len();
        let keys: Vec<_> = set
            .keys
            .into_iter()
            .filter_map(of_jwk)
            .take(MOST_KEYS)
            .collect();
        let unusable = count - keys.len();
        Ok((Self(keys), unusable))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The keys that may have signed a token. Without a key id it may be any.
    pub(super) fn find(
        &self,
        algorithm: Algorithm,
        id: Option<&str>,
    ) -> Result<impl Iterator<Item = &Key>, UnknownId> {
        let is_named = move |key: &&Key| match (id, &key.id) {
            (Some(id), Some(known)) => id == known,
            _ => true,
        };
        if !self.0.iter().any(|key| is_named(&key)) {
            return Err(UnknownId);
        }
        let named = self.0.iter().filter(is_named);
        Ok(named.filter(move |key| key.algorithms.contains(&algorithm)))
    }
}

impl Key {
    fn new(id: Option<String>, algorithms: &[Algorithm], decoding: DecodingKey) -> Self {
        Self {
            id,
            algorithms: algorithms.to_vec(),
            decoding,
        }
    }
}

/// Reads a key for signatures. A secret in a public set is not one: every reader of the set knows it.
fn of_jwk(value: Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    let common = jwk.common;
    let is_for_signatures = common
        .public_key_use
        .is_none_or(|purpose| purpose == PublicKeyUse::Signature)
        && common
            .key_operations
            .is_none_or(|operations| operations.contains(&KeyOperations::Verify));
    if !is_for_signatures {
        return None;
    }
    let (algorithms, decoding) = match &jwk.algorithm {
        AlgorithmParameters::RSA(key) => (AlgorithmFamily::Rsa.algorithms(), rsa(key)?),
        AlgorithmParameters::EllipticCurve(key) => {
            let (algorithms, bytes) = match key.curve {
                EllipticCurve::P256 => (ES256, 32),
                EllipticCurve::P384 => (ES384, 48),
                _ => return None,
            };
            let is_whole = [&key.x, &key.y]
                .iter()
                .all(|part| decoded(part).is_some_and(|part| part.len() == bytes));
            let decoding = DecodingKey::from_ec_components(&key.x, &key.y).ok()?;
            (algorithms, is_whole.then_some(decoding)?)
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            let is_whole = decoded(&key.x).is_some_and(|key| key.len() == 32);
            let decoding = DecodingKey::from_ed_components(&key.x).ok()?;
            (
                AlgorithmFamily::Ed.algorithms(),
                is_whole.then_some(decoding)?,
            )
        }
        _ => return None,
    };
    let Some(only) = common.key_algorithm else {
        return Some(Key::new(common.key_id, algorithms, decoding));
    };
    let only = Algorithm::try_from(only).ok()?;
    let fits = algorithms.contains(&only);
    fits.then(|| Key::new(common.key_id, &[only], decoding))
}

fn rsa(key: &RSAKeyParameters) -> Option<DecodingKey> {
    // Some encoders write a zero for the sign in front of the number.
    let number = |text: &str| {
        let bytes = decoded(text)?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        Some(bytes[zeros..].to_vec())
    };
    let (modulus, exponent) = (number(&key.n)?, number(&key.e)?);
    let fits = MODULUS.contains(&modulus.len());
    fits.then(|| DecodingKey::from_rsa_raw_components(&modulus, &exponent))
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Reads a SubjectPublicKeyInfo (RFC 5280 §4.1): an algorithm, and the key as a string of bits.
fn of_spki(der: &[u8]) -> Option<Key> {
    let (content, []) = element(der, SEQUENCE)? else {
        return None;
    };
    let (algorithm, rest) = element(content, SEQUENCE)?;
    let ([0, key @ ..], []) = element(rest, BIT_STRING)? else {
        return None;
    };
    let is = |known: AlgorithmIdentifier| algorithm == known.as_ref();
    let (algorithms, decoding) = if is(alg_id::RSA_ENCRYPTION) {
        // The modulus is most of it.
        let fits = MODULUS.contains(&(key.len().saturating_sub(8)));
        let decoding = fits.then(|| DecodingKey::from_rsa_der(key))?;
        (AlgorithmFamily::Rsa.algorithms(), decoding)
    } else if is(alg_id::ECDSA_P256) && key.len() == 65 {
        (ES256, DecodingKey::from_ec_der(key))
    } else if is(alg_id::ECDSA_P384) && key.len() == 97 {
        (ES384, DecodingKey::from_ec_der(key))
    } else if is(alg_id::ED25519) && key.len() == 32 {
        (
            AlgorithmFamily::Ed.algorithms(),
            DecodingKey::from_ed_der(key),
        )
    } else {
        return None;
    };
    Some(Key::new(None, algorithms, decoding))
}

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;

/// Splits off a DER element with a tag: its content, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let [found, length, rest @ ..] = der else {
        return None;
    };
    let (length, rest) = match length {
        0..=0x7f => (usize::from(*length), rest),
        0x81..=0x82 => {
            let (length, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            let length = length
                .iter()
                .fold(0, |all, byte| all << 8 | usize::from(*byte));
            (length, rest)
        }
        _ => return None,
    };
    (*found == tag).then(|| rest.split_at_checked(length))?
}
