//! Owns an issuer of tokens with keys of each kind, and what an attacker makes of them.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::rsa;
use ring::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RsaEncoding, RsaKeyPair,
};
use serde_json::{Value, json};

pub(super) const ISSUER: &str = "https://issuer.test/";
pub(super) const AUDIENCE: &str = "mist-test";

/// Signs with one key in one way.
pub(super) enum Signer<'a> {
    Rsa(&'a RsaKeyPair, &'static dyn RsaEncoding),
    Ec(&'a EcdsaKeyPair),
    Ed(&'a Ed25519KeyPair),
    Hmac(hmac::Algorithm, &'a [u8]),
    /// These bytes, whatever is signed.
    Bytes(&'a [u8]),
}

impl Signer<'_> {
    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(key, encoding) => {
                let mut bytes = vec![0; key.public().modulus_len()];
                key.sign(*encoding, &random, message, &mut bytes)
                    .expect("signed");
                bytes
            }
            Self::Ec(key) => key.sign(&random, message).expect("signed").as_ref().into(),
            Self::Ed(key) => key.sign(message).as_ref().into(),
            Self::Hmac(algorithm, secret) => {
                hmac::sign(&hmac::Key::new(*algorithm, secret), message)
                    .as_ref()
                    .into()
            }
            Self::Bytes(bytes) => bytes.to_vec(),
        }
    }
}

/// Makes a token of texts, which need not be what they should.
pub(super) fn token(header: &str, claims: &str, signer: &Signer<'_>) -> String {
    let signed = format!("{}.{}", encode(header), encode(claims));
    let signature = encode(signer.sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

pub(super) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("after 1970").as_secs()
}

/// What a good token says.
pub(super) fn claims() -> Value {
    json!({
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "alice",
        "exp": now() + 600,
        "mist": {"subscribe": ["news"], "publish": ["chat"]},
    })
}

pub(super) struct Issuer {
    pub(super) rsa: RsaKeyPair,
    /// The public key as its owner would hand it out.
    pub(super) rsa_pem: String,
    pub(super) p256: EcdsaKeyPair,
    pub(super) p384: EcdsaKeyPair,
    pub(super) ed: Ed25519KeyPair,
}

impl Issuer {
    pub(super) fn new() -> Self {
        let (rsa, rsa_pem) = rsa_key();
        Self {
            rsa,
            rsa_pem,
            p256: ec_key(&signature::ECDSA_P256_SHA256_FIXED_SIGNING),
            p384: ec_key(&signature::ECDSA_P384_SHA384_FIXED_SIGNING),
            ed: ed_key(),
        }
    }

    /// The public keys, named after their kind.
    pub(super) fn jwks(&self) -> Value {
        let (n, e) = self.rsa_numbers();
        json!({"keys": [
            {"kty": "RSA", "kid": "rsa", "use": "sig", "n": encode(&n), "e": encode(&e)},
            {"kty": "RSA", "kid": "rsa-only-rs256", "alg": "RS256", "n": encode(&n), "e": encode(&e)},
            {"kty": "RSA", "kid": "rsa-for-encryption", "use": "enc", "n": encode(&n), "e": encode(&e)},
            ec_jwk("p256", "P-256", &self.p256),
            ec_jwk("p384", "P-384", &self.p384),
            {"kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": encode(self.ed.public_key())},
            {"kty": "oct", "kid": "secret", "k": encode(PUBLISHED_SECRET)},
            {"kty": "RSA", "kid": "weak", "n": encode(&n[..128]), "e": encode(&e)},
            {"kty": "EC", "kid": "bitcoin", "crv": "secp256k1", "x": encode([1; 32]), "y": encode([1; 32])},
        ]})
    }

    pub(super) fn rsa_numbers(&self) -> (Vec<u8>, Vec<u8>) {
        let key = rsa::PublicKeyComponents::<Vec<u8>>::from(self.rsa.public());
        (key.n, key.e)
    }

    pub(super) fn rs256(&self) -> Signer<'_> {
        Signer::Rsa(&self.rsa, &signature::RSA_PKCS1_SHA256)
    }
}

/// A secret that stands in a set of public keys, where it is none.
pub(super) const PUBLISHED_SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

fn ec_jwk(id: &str, curve: &str, key: &EcdsaKeyPair) -> Value {
    let point = &key.public_key().as_ref()[1..];
    let (x, y) = point.split_at(point.len() / 2);
    json!({"kty": "EC", "kid": id, "crv": curve, "x": encode(x), "y": encode(y)})
}

pub(super) fn ec_key(algorithm: &'static EcdsaSigningAlgorithm) -> EcdsaKeyPair {
    let random = SystemRandom::new();
    let key = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("a key");
    EcdsaKeyPair::from_pkcs8(algorithm, key.as_ref(), &random).expect("a key")
}

pub(super) fn ed_key() -> Ed25519KeyPair {
    let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
    Ed25519KeyPair::from_pkcs8(key.as_ref()).expect("a key")
}

/// A key, and its public half in PEM. Nothing in the tree makes keys of RSA.
pub(super) fn rsa_key() -> (RsaKeyPair, String) {
    let private = openssl(&["genpkey", "-quiet", "-algorithm", "RSA"], b"");
    let public = openssl(&["pkey", "-pubout"], &private);
    let private = openssl(
        &["pkcs8", "-topk8", "-nocrypt", "-outform", "DER"],
        &private,
    );
    let key = RsaKeyPair::from_pkcs8(&private).expect("a key");
    (key, String::from_utf8(public).expect("PEM"))
}

pub(super) fn openssl(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut run = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("openssl is installed: it makes the keys of this test");
    let mut stdin = run.stdin.take().expect("a pipe");
    stdin.write_all(input).expect("written");
    drop(stdin);
    let output = run.wait_with_output().expect("it ends");
    assert!(output.status.success(), "openssl {arguments:?}");
    output.stdout
}
