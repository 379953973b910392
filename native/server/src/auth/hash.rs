//! Owns the hash by which a token is known where the token itself is not.

use mist_core::TokenName;
use sha2::{Digest, Sha256};

/// The SHA-256 of a token, however it is named.
pub(crate) fn sha256_of(name: &TokenName) -> [u8; 32] {
    match name {
        TokenName::Token(token) => Sha256::digest(token).into(),
        TokenName::Hash(hash) => *hash,
    }
}
