//! Owns the cryptography of JWTs, which is that of ring; knows nothing of tokens and claims. It verifies and does not
//! sign.

use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result, new_error};
use jsonwebtoken::signature::{Error, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind};
use ring::signature::{self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey};
use ring::{hmac, signature::VerificationAlgorithm};

static RING: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(new_error(ErrorKind::Provider("mist signs nothing".into()))),
    verifier_factory: verifier,
    key_utils: KeyUtils::new_unimplemented(),
};

/// Makes ring the provider of this process, unless the program has installed one.
pub(super) fn install() {
    if CryptoProvider::try_get_default().is_none() {
        // Another thread may have installed one meanwhile.
        let _ = RING.install_default();
    }
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    if key.family() != algorithm.family() {
        return Err(new_error(ErrorKind::InvalidAlgorithm));
    }
    Ok(Box::new(OfRing {
        algorithm: *algorithm,
        key: key.kind().clone(),
    }))
}

struct OfRing {
    algorithm: Algorithm,
    key: DecodingKeyKind,
}

impl JwtVerifier for OfRing {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Verifier<Vec<u8>> for OfRing {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        match self.algorithm.family() {
            AlgorithmFamily::Hmac => self.verify_hmac(message, signature),
            AlgorithmFamily::Rsa => self.verify_rsa(message, signature),
            AlgorithmFamily::Ec | AlgorithmFamily::Ed => self.verify_point(message, signature),
        }
        .ok_or_else(Error::new)
    }
}

/// Each checks a signature.
impl OfRing {
    fn verify_hmac(&self, message: &[u8], signature: &[u8]) -> Option<()> {
        let algorithm = match self.algorithm {
            Algorithm::HS256 => hmac::HMAC_SHA256,
            Algorithm::HS384 => hmac::HMAC_SHA384,
            Algorithm::HS512 => hmac::HMAC_SHA512,
            _ => return None,
        };
        let key = hmac::Key::new(algorithm, self.bytes()?);
        hmac::verify(&key, message, signature).ok()
    }

    fn verify_rsa(&self, message: &[u8], signature: &[u8]) -> Option<()> {
        let parameters: &'static RsaParameters = match self.algorithm {
            Algorithm::RS256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Algorithm::RS384 => &signature::RSA_PKCS1_2048_8192_SHA384,
            Algorithm::RS512 => &signature::RSA_PKCS1_2048_8192_SHA512,
            Algorithm::PS256 => &signature::RSA_PSS_2048_8192_SHA256,
            Algorithm::PS384 => &signature::RSA_PSS_2048_8192_SHA384,
            Algorithm::PS512 => &signature::RSA_PSS_2048_8192_SHA512,
            _ => return None,
        };
        match &self.key {
            DecodingKeyKind::RsaModulusExponent { n, e } => {
                let key = RsaPublicKeyComponents { n, e };
                key.verify(parameters, message, signature).ok()
            }
            DecodingKeyKind::SecretOrDer(der) => UnparsedPublicKey::new(parameters, der)
                .verify(message, signature)
                .ok(),
        }
    }

    fn verify_point(&self, message: &[u8], signature: &[u8]) -> Option<()> {
        let algorithm: &'static dyn VerificationAlgorithm = match self.algorithm {
            Algorithm::ES256 => &signature::ECDSA_P256_SHA256_FIXED,
            Algorithm::ES384 => &signature::ECDSA_P384_SHA384_FIXED,
            Algorithm::EdDSA => &signature::ED25519,
            _ => return None,
        };
        UnparsedPublicKey::new(algorithm, self.bytes()?)
            .verify(message, signature)
            .ok()
    }

    fn bytes(&self) -> Option<&[u8]> {
        match &self.key {
            DecodingKeyKind::SecretOrDer(bytes) => Some(bytes),
            DecodingKeyKind::RsaModulusExponent { .. } => None,
        }
    }
}
