//! What is taken for a token and what is not: each attack beside the code that its client gets and the reason in the log.

mod issuer;

use mist_core::{Access, Limits};
use ring::hmac::{HMAC_SHA256, HMAC_SHA384};
use ring::signature::{self, KeyPair};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use self::issuer::*;
use super::*;
use crate::Server;

fn rules() -> Rules {
    Rules {
        issuer: Some(ISSUER.into()),
        audience: Some(AUDIENCE.into()),
        claim: "mist".into(),
        leeway: 5,
    }
}

fn with(keys: Keys, rules: Rules) -> Jwt {
    provider::install();
    Jwt {
        rules,
        source: Source::File(Arc::new(keys)),
        context: Context::default(),
    }
}

fn of_jwks(issuer: &Issuer) -> Jwt {
    let (keys, unusable) = Keys::jwks(issuer.jwks().to_string().as_bytes()).expect("keys");
    assert_eq!((keys.len(), unusable), (5, 4));
    with(keys, rules())
}

/// A copy of what a good token says, with some of it changed; nothing is what is taken away.
fn changed(changes: Value) -> String {
    let mut claims = claims();
    let all = claims.as_object_mut().expect("an object");
    for (name, value) in changes.as_object().expect("an object") {
        match value {
            Value::Null => all.remove(name),
            value => all.insert(name.clone(), value.clone()),
        };
    }
    claims.to_string()
}

fn tags(tags: &[&str]) -> Vec<String> {
    tags.iter().map(|&tag| tag.to_owned()).collect()
}

#[tokio::test]
async fn tokens_of_each_algorithm_are_taken_and_grant_what_they_say() {
    let issuer = Issuer::new();
    let jwt = of_jwks(&issuer);
    let rsa = |encoding| Signer::Rsa(&issuer.rsa, encoding);
    let good = claims().to_string();
    for (header, signer) in [
        (r#"{"alg":"RS256","kid":"rsa"}"#, issuer.rs256()),
        (
            r#"{"alg":"RS384","kid":"rsa"}"#,
            rsa(&signature::RSA_PKCS1_SHA384),
        ),
        (
            r#"{"alg":"RS512","kid":"rsa"}"#,
            rsa(&signature::RSA_PKCS1_SHA512),
        ),
        (
            r#"{"alg":"PS256","kid":"rsa"}"#,
            rsa(&signature::RSA_PSS_SHA256),
        ),
        (
            r#"{"alg":"PS384","kid":"rsa"}"#,
            rsa(&signature::RSA_PSS_SHA384),
        ),
        (
            r#"{"alg":"PS512","kid":"rsa"}"#,
            rsa(&signature::RSA_PSS_SHA512),
        ),
        (r#"{"alg":"ES256","kid":"p256"}"#, Signer::Ec(&issuer.p256)),
        (r#"{"alg":"ES384","kid":"p384"}"#, Signer::Ec(&issuer.p384)),
        (r#"{"alg":"EdDSA","kid":"ed"}"#, Signer::Ed(&issuer.ed)),
        // Without a name any key may be meant.
        (r#"{"typ":"AT+JWT","alg":"EdDSA"}"#, Signer::Ed(&issuer.ed)),
        (r#"{ "typ":"JWT","alg":"RS256","x":1}"#, issuer.rs256()),
    ] {
        let token = token(header, &good, &signer);
        assert!(jwt.claims(&token), "{header}");
        let grants = jwt.authenticate(Presented::new(&token)).await;
        let grants = grants.expect("it can be said").expect(header);
        assert_eq!(grants.subject, "alice");
        assert_eq!(grants.subscribe, ["news"]);
        assert_eq!(grants.publish, ["chat"]);
        assert!(!grants.admin);
        let ends = grants.expires_at.expect("it ends");
        assert!((now() + 600..=now() + 605).contains(&ends), "{ends}");
    }
}

#[tokio::test]
async fn claims_have_several_forms_that_are_good() {
    let issuer = Issuer::new();
    let jwt = of_jwks(&issuer);
    for (changes, subscribe, publish) in [
        (
            json!({"aud": ["other", AUDIENCE]}),
            &["news"][..],
            &["chat"][..],
        ),
        (json!({"mist": ["a", "b"]}), &["a", "b"], &["a", "b"]),
        (json!({"mist": {"subscribe": ["a"]}}), &["a"], &[]),
        (json!({"mist": []}), &[], &[]),
        // Administration and what is reserved cannot be had this way.
        (
            json!({"admin": true, "mist": {"admin": true, "publish": ["$publish:x", "b"]}}),
            &[],
            &["b"],
        ),
        (
            json!({"exp": now() as f64 + 60.5, "nbf": now() as f64 - 0.5}),
            &["news"],
            &["chat"],
        ),
        // Clocks may differ a little.
        (
            json!({"exp": now() - 2, "nbf": now() + 2}),
            &["news"],
            &["chat"],
        ),
    ] {
        let token = token(
            r#"{"alg":"EdDSA","kid":"ed"}"#,
            &changed(changes.clone()),
            &Signer::Ed(&issuer.ed),
        );
        let grants = jwt.authenticate(Presented::new(&token)).await;
        let grants = grants.expect("it can be said");
        let grants = grants.unwrap_or_else(|| panic!("{changes}"));
        assert_eq!(
            (grants.subscribe, grants.publish),
            (tags(subscribe), tags(publish)),
            "{changes}"
        );
        assert!(!grants.admin);
    }
}

#[tokio::test]
async fn what_is_checked_can_be_named_otherwise_and_waived() {
    let issuer = Issuer::new();
    let of = |rules: Rules| {
        let (keys, _) = Keys::jwks(issuer.jwks().to_string().as_bytes()).expect("keys");
        with(keys, rules)
    };
    let sign = |claims: &str| {
        token(
            r#"{"alg":"EdDSA","kid":"ed"}"#,
            claims,
            &Signer::Ed(&issuer.ed),
        )
    };
    let anybodys = of(Rules {
        issuer: None,
        audience: None,
        claim: "https://example.com/mist".into(),
        leeway: 0,
    });
    let spaced = json!({"iss": null, "aud": null, "mist": null, "https://example.com/mist": ["a"]});
    let token = sign(&changed(spaced));
    let grants = anybodys.authenticate(Presented::new(&token)).await;
    let grants = grants.expect("it can be said").expect("it is good");
    assert_eq!(grants.subscribe, ["a"]);
    let refusal = of(rules()).verify(&token).await.expect("it can be said");
    let refusal = refusal.expect_err("it names neither");
    assert!(refusal.starts_with("it does not name its "), "{refusal}");
    // However much `token-bytes` lets through.
    let long = sign(&changed(json!({"x": "x".repeat(16 << 10)})));
    let refusal = of(rules()).verify(&long).await.expect("it can be said");
    assert_eq!(refusal.err(), Some("it is longer than 16 KiB"));
    // Without leeway the second counts.
    let late = sign(&changed(
        json!({"exp": now() - 2, "https://example.com/mist": ["a"]}),
    ));
    let refusal = anybodys.verify(&late).await.expect("it can be said");
    assert_eq!(refusal.err(), Some(rules::EXPIRED));
}

#[tokio::test]
async fn keys_in_files_verify_and_name_what_they_are_not() {
    let issuer = Issuer::new();
    let good = claims().to_string();
    let taken = async |keys: Keys, header: &str, signer: &Signer<'_>| {
        let token = token(header, &good, signer);
        let jwt = with(keys, rules());
        let reply = jwt.authenticate(Presented::new(&token)).await;
        reply.expect("it can be said").is_some()
    };
    let pem = |text: &str| Keys::pem(text.as_bytes());
    let rs256 = r#"{"alg":"RS256","kid":"whatever"}"#;
    assert!(taken(pem(&issuer.rsa_pem).expect("a key"), rs256, &issuer.rs256()).await);
    // Two for a change of keys.
    let (_, other) = rsa_key();
    let both = pem(&format!("{other}{}", issuer.rsa_pem)).expect("keys");
    assert_eq!(both.len(), 2);
    assert!(taken(both, rs256, &issuer.rs256()).await);
    assert!(!taken(pem(&other).expect("a key"), rs256, &issuer.rs256()).await);
    for (curve, kind) in [("P-256", "EC"), ("P-384", "EC"), ("", "ED25519")] {
        let option = format!("ec_paramgen_curve:{curve}");
        let mut arguments = vec!["genpkey", "-quiet", "-algorithm", kind];
        if kind == "EC" {
            arguments.extend(["-pkeyopt", &option]);
        }
        let private = openssl(&arguments, b"");
        let public = openssl(&["pkey", "-pubout"], &private);
        assert_eq!(Keys::pem(&public).expect(curve).len(), 1, "{kind} {curve}");
        let error = Keys::pem(&private).err().expect("no public key");
        assert!(error.contains("-pubout"), "{error}");
    }
    for (name, arguments) in [
        (
            "weak",
            &[
                "genpkey",
                "-quiet",
                "-algorithm",
                "RSA",
                "-pkeyopt",
                "rsa_keygen_bits:1024",
            ][..],
        ),
        (
            "other curve",
            &[
                "genpkey",
                "-quiet",
                "-algorithm",
                "EC",
                "-pkeyopt",
                "ec_paramgen_curve:secp256k1",
            ],
        ),
    ] {
        let public = openssl(&["pkey", "-pubout"], &openssl(arguments, b""));
        let error = Keys::pem(&public).err().expect(name);
        assert!(error.contains("2048 to 8192 bits"), "{error}");
    }
    let secret = "0123456789abcdef0123456789abcdef";
    let keys = Keys::secret(&format!(" {secret}\n")).expect("a secret");
    let hs256 = r#"{"alg":"HS256"}"#;
    assert!(taken(keys, hs256, &Signer::Hmac(HMAC_SHA256, secret.as_bytes())).await);
    let error = Keys::secret(&secret[1..]).err().expect("too short");
    assert!(
        error.contains("31 bytes") && !error.contains(&secret[1..]),
        "{error}"
    );
    assert!(Keys::secret(&issuer.rsa_pem).is_err());
    assert!(Keys::jwks(b"{}").is_err() && Keys::jwks(b"<html>").is_err());
}

/// One thing that somebody might try.
struct Attack {
    what: &'static str,
    /// Where it was seen, or is warned of.
    why: &'static str,
    token: String,
    /// How the reason in the log begins; nothing where it is not looked at as a JWT.
    reason: &'static str,
    code: &'static str,
}

const EXPIRED: &str = "it has expired";
const SIGNATURE: &str = "its signature is wrong";
const ALGORITHM: &str = "its algorithm is none of the key";
const HEADER: &str = "its header cannot be read";
const NO_KEY: &str = "no key has its name";

fn attacks(issuer: &Issuer, elsewhere: &str) -> Vec<Attack> {
    let good = claims().to_string();
    let signed = |header: &str, claims: &str| token(header, claims, &issuer.rs256());
    let rs256 = r#"{"alg":"RS256","kid":"rsa"}"#;
    let genuine = signed(rs256, &good);
    let (unsigned, genuine_signature) = genuine.rsplit_once('.').expect("three parts");
    let (n, _) = issuer.rsa_numbers();
    let hmac =
        |header: &str, secret: &[u8]| token(header, &good, &Signer::Hmac(HMAC_SHA256, secret));
    let mallory = rsa_key().0;
    let by_mallory = |header: &str| {
        token(
            header,
            &good,
            &Signer::Rsa(&mallory, &signature::RSA_PKCS1_SHA256),
        )
    };
    let of_mallory = {
        let key = ring::rsa::PublicKeyComponents::<Vec<u8>>::from(mallory.public());
        json!({"kty": "RSA", "kid": "rsa", "n": encode(key.n), "e": encode(key.e)})
    };
    let ec_der = {
        let signed = format!(
            "{}.{}",
            encode(r#"{"alg":"ES256","kid":"p256"}"#),
            encode(&good)
        );
        let key = {
            // The same bytes in the other form would have the same meaning.
            let random = ring::rand::SystemRandom::new();
            issuer
                .p256
                .sign(&random, signed.as_bytes())
                .expect("signed")
        };
        let (r, s) = key.as_ref().split_at(32);
        let number = |bytes: &[u8]| {
            let mut der = vec![2, 33, 0];
            der.extend_from_slice(bytes);
            der
        };
        let content = [number(r), number(s)].concat();
        let mut der = vec![0x30, content.len() as u8];
        der.extend(content);
        format!("{signed}.{}", encode(der))
    };
    let claim = |changes: Value| signed(rs256, &changed(changes));
    let twice = |pair: &str| signed(rs256, &format!("{},{pair}}}", &good[..good.len() - 1]));
    let mut rows = Vec::new();
    let mut row = |what, why, token: String, reason| {
        rows.push(Attack {
            what,
            why,
            token,
            reason,
            code: "wrong-token",
        });
    };

    // No signature.
    for (what, alg) in [
        ("alg none", "none"),
        ("alg None", "None"),
        ("alg NONE", "NONE"),
        ("alg nOnE", "nOnE"),
        ("no alg", ""),
    ] {
        let header = format!(r#"{{"alg":"{alg}","kid":"rsa"}}"#);
        let token = token(&header, &good, &Signer::Bytes(b""));
        row(
            what,
            "CVE-2015-2951, CVE-2018-1000531, RFC 8725 §2.1",
            token,
            HEADER,
        );
    }
    row(
        "alg none with a genuine signature",
        "CVE-2022-23540",
        format!(
            "{}.{}.{genuine_signature}",
            encode(r#"{"alg":"none"}"#),
            encode(&good)
        ),
        HEADER,
    );
    row(
        "the signature is cut off",
        "CVE-2020-28042",
        format!("{unsigned}."),
        SIGNATURE,
    );
    row(
        "the payload is another's",
        "RFC 8725 §3.3",
        format!(
            "{}.{}.{genuine_signature}",
            encode(rs256),
            encode(changed(json!({"sub": "mallory"})))
        ),
        SIGNATURE,
    );
    row(
        "the header is another's",
        "RFC 7515 §5.2",
        format!(
            "{}.{}.{genuine_signature}",
            encode(r#"{"kid":"rsa","alg":"RS256"}"#),
            encode(&good)
        ),
        SIGNATURE,
    );

    // A public key as a secret.
    let hs256 = r#"{"alg":"HS256","kid":"rsa"}"#;
    for (what, secret) in [
        (
            "HS256 with the public key in PEM",
            issuer.rsa_pem.as_bytes(),
        ),
        (
            "HS256 with the PEM without its last line end",
            issuer.rsa_pem.trim_end().as_bytes(),
        ),
        ("HS256 with the modulus", &n[..]),
        ("HS256 with an empty secret", b""),
    ] {
        let why = "CVE-2015-9235, CVE-2016-10555, CVE-2022-29217, CVE-2019-20933, RFC 8725 §2.1";
        row(what, why, hmac(hs256, secret), ALGORITHM);
    }
    row(
        "HS256 without a key's name",
        "CVE-2016-5431",
        hmac(r#"{"alg":"HS256"}"#, issuer.rsa_pem.as_bytes()),
        ALGORITHM,
    );
    row(
        "HS256 with a point of the curve",
        "CVE-2023-48238",
        hmac(
            r#"{"alg":"HS256","kid":"p256"}"#,
            issuer.p256.public_key().as_ref(),
        ),
        ALGORITHM,
    );
    row(
        "HS256 with a secret that stands among the public keys",
        "RFC 8725 §3.5",
        hmac(r#"{"alg":"HS256","kid":"secret"}"#, PUBLISHED_SECRET),
        NO_KEY,
    );

    // Keys that the token brings along.
    let brings = |name: &str, value: Value| {
        by_mallory(&json!({"alg": "RS256", "kid": "rsa", name: value}).to_string())
    };
    row(
        "jwk in the header",
        "CVE-2018-0114",
        brings("jwk", of_mallory.clone()),
        SIGNATURE,
    );
    row(
        "jku in the header",
        "RFC 8725 §3.10, CVE-2017-2800",
        brings("jku", json!(elsewhere)),
        SIGNATURE,
    );
    row(
        "x5u in the header",
        "RFC 8725 §3.10",
        brings("x5u", json!(elsewhere)),
        SIGNATURE,
    );
    row(
        "x5c in the header",
        "CVE-2018-0114",
        brings("x5c", json!(["MIIB"])),
        SIGNATURE,
    );
    row(
        "jwk and no kid",
        "CVE-2024-21643",
        by_mallory(&json!({"alg": "RS256", "jwk": of_mallory}).to_string()),
        SIGNATURE,
    );

    // Names of keys that mean more.
    row(
        "a key of one's own by the name of a known one",
        "RFC 8725 §3.3",
        by_mallory(rs256),
        SIGNATURE,
    );
    for (what, kid) in [
        ("an unknown kid", "mallory"),
        ("a kid that is a path", "../../../../dev/null"),
        ("a kid that is SQL", "x' UNION SELECT 'k' --"),
        ("a kid that is a command", "$(touch /tmp/x)|id"),
        ("an empty kid", ""),
        ("the kid in other case", "RSA"),
    ] {
        let header = json!({"alg": "RS256", "kid": kid}).to_string();
        row(what, "RFC 8725 §3.10", by_mallory(&header), NO_KEY);
    }
    row(
        "a kid that is a number",
        "RFC 7515 §4.1.4",
        by_mallory(r#"{"alg":"RS256","kid":7}"#),
        HEADER,
    );

    // Algorithms that do not fit.
    row(
        "ES256 by the name of an RSA key",
        "CVE-2022-23541, RFC 8725 §3.1",
        token(
            r#"{"alg":"ES256","kid":"rsa"}"#,
            &good,
            &Signer::Ec(&issuer.p256),
        ),
        ALGORITHM,
    );
    row(
        "PS256 on a signature of RS256",
        "RFC 8725 §3.1",
        signed(r#"{"alg":"PS256","kid":"rsa"}"#, &good),
        SIGNATURE,
    );
    row(
        "RS512 with a key for RS256",
        "RFC 7517 §4.4",
        token(
            r#"{"alg":"RS512","kid":"rsa-only-rs256"}"#,
            &good,
            &Signer::Rsa(&issuer.rsa, &signature::RSA_PKCS1_SHA512),
        ),
        ALGORITHM,
    );
    row(
        "a key for encryption",
        "RFC 7517 §4.2",
        signed(r#"{"alg":"RS256","kid":"rsa-for-encryption"}"#, &good),
        NO_KEY,
    );
    row(
        "an RSA key of 1024 bits",
        "RFC 7518 §3.3",
        signed(r#"{"alg":"RS256","kid":"weak"}"#, &good),
        NO_KEY,
    );
    for alg in ["RS1", "ES256K", "ES512", "HS1", "rs256", "RS256 "] {
        let header = format!(r#"{{"alg":"{alg}","kid":"rsa"}}"#);
        row(
            "an algorithm that is not on the list",
            "RFC 8725 §3.2",
            signed(&header, &good),
            HEADER,
        );
    }
    row(
        "a list of algorithms",
        "RFC 7515 §4.1.1",
        signed(r#"{"alg":["RS256"],"kid":"rsa"}"#, &good),
        HEADER,
    );
    row(
        "HS384 with the modulus",
        "RFC 8725 §2.1",
        token(
            r#"{"alg":"HS384","kid":"rsa"}"#,
            &good,
            &Signer::Hmac(HMAC_SHA384, &n),
        ),
        ALGORITHM,
    );

    // Signatures that are none.
    row(
        "r and s are zero",
        "CVE-2022-21449",
        token(
            r#"{"alg":"ES256","kid":"p256"}"#,
            &good,
            &Signer::Bytes(&[0; 64]),
        ),
        SIGNATURE,
    );
    row(
        "zeros for EdDSA",
        "CVE-2022-21449",
        token(
            r#"{"alg":"EdDSA","kid":"ed"}"#,
            &good,
            &Signer::Bytes(&[0; 64]),
        ),
        SIGNATURE,
    );
    row(
        "a signature of the curve in DER",
        "RFC 7518 §3.4",
        ec_der,
        SIGNATURE,
    );
    row(
        "a signature of ones as long as the modulus",
        "RFC 8017 §8.2.2",
        token(rs256, &good, &Signer::Bytes(&[0xff; 256])),
        SIGNATURE,
    );

    // Extensions.
    row(
        "an unknown crit",
        "CVE-2025-59420, RFC 7515 §4.1.11",
        signed(r#"{"alg":"RS256","kid":"rsa","crit":["x"],"x":1}"#, &good),
        "its header has extensions",
    );
    row(
        "an empty crit",
        "RFC 7515 §4.1.11",
        signed(r#"{"alg":"RS256","kid":"rsa","crit":[]}"#, &good),
        "its header has extensions",
    );
    row(
        "b64 with crit",
        "RFC 7797 §6",
        signed(
            r#"{"alg":"RS256","kid":"rsa","b64":true,"crit":["b64"]}"#,
            &good,
        ),
        "its header has extensions",
    );
    row(
        "b64 is false",
        "RFC 7797 §6",
        signed(r#"{"alg":"RS256","kid":"rsa","b64":false}"#, &good),
        "it cannot be read",
    );
    row(
        "compressed",
        "CVE-2024-21319, CVE-2024-28176",
        signed(r#"{"alg":"RS256","kid":"rsa","zip":"DEF"}"#, &good),
        "it is encrypted or compressed",
    );
    row(
        "a header with enc",
        "CVE-2024-28176",
        signed(r#"{"alg":"RS256","kid":"rsa","enc":"A128GCM"}"#, &good),
        "it is encrypted or compressed",
    );

    // Tokens for something else.
    for typ in ["logout+jwt", "secevent+jwt", "dpop+jwt", "id_token", ""] {
        let header = json!({"alg": "RS256", "kid": "rsa", "typ": typ}).to_string();
        row(
            "a token of another type",
            "RFC 8725 §3.11",
            signed(&header, &good),
            "it is no access token",
        );
    }
    for (what, aud, reason) in [
        (
            "another audience",
            json!("other"),
            "it is for another audience",
        ),
        ("no audience", json!(null), "it does not name its audience"),
        (
            "an empty list of audiences",
            json!([]),
            "it is for another audience",
        ),
        (
            "only others in the list",
            json!(["a", "b"]),
            "it is for another audience",
        ),
        (
            "an audience that begins like ours",
            json!("mist-test-2"),
            "it is for another audience",
        ),
        (
            "ours in other case",
            json!("Mist-Test"),
            "it is for another audience",
        ),
        (
            "an audience that is an object",
            json!({AUDIENCE: 1}),
            "it does not name its audience",
        ),
    ] {
        row(
            what,
            "CVE-2020-26160, RFC 8725 §3.9",
            claim(json!({"aud": aud})),
            reason,
        );
    }
    for (what, iss, reason) in [
        (
            "another issuer",
            json!("https://evil.test/"),
            "it is of another issuer",
        ),
        ("no issuer", json!(null), "it does not name its issuer"),
        (
            "a part of the issuer",
            json!("https://issuer.test"),
            "it is of another issuer",
        ),
        (
            "an issuer that begins like ours",
            json!("https://issuer.test/.evil.test"),
            "it is of another issuer",
        ),
        (
            "ours in a list",
            json!([ISSUER, "https://evil.test/"]),
            "it is of another issuer",
        ),
    ] {
        row(
            what,
            "CVE-2024-53861, CVE-2025-30144, RFC 8725 §3.8",
            claim(json!({"iss": iss})),
            reason,
        );
    }

    // Times.
    row(
        "expired",
        "RFC 8725 §3.3, RFC 7519 §4.1.4",
        claim(json!({"exp": now() - 60})),
        EXPIRED,
    );
    row(
        "expired in 1970",
        "RFC 7519 §4.1.4",
        claim(json!({"exp": 0})),
        EXPIRED,
    );
    row(
        "never expires",
        "RFC 9068 §2.2",
        claim(json!({"exp": null})),
        "it does not say when it ends",
    );
    for exp in [json!("9999999999"), json!(-1), json!(1e300), json!(true)] {
        row(
            "an end that is no time",
            "RFC 7519 §2",
            claim(json!({"exp": exp})),
            "it does not say when it ends",
        );
    }
    row(
        "a list of ends",
        "RFC 7519 §2",
        claim(json!({"exp": [9_999_999_999_u64]})),
        "it cannot be read",
    );
    row(
        "not valid yet",
        "CVE-2021-41106, RFC 7519 §4.1.5",
        claim(json!({"nbf": now() + 60})),
        "it is not valid yet",
    );
    row(
        "a beginning that is no time",
        "RFC 7519 §4.1.5",
        claim(json!({"nbf": "0"})),
        "it cannot be read",
    );
    row(
        "nbf in milliseconds",
        "RFC 7519 §2",
        claim(json!({"nbf": now() * 1000})),
        "it is not valid yet",
    );

    // Readers that see different things.
    row(
        "exp twice",
        "RFC 7519 §4",
        twice(r#""exp":99999999999"#),
        "it cannot be read",
    );
    row(
        "the claim twice",
        "RFC 7519 §4",
        twice(r#""mist":["everything"]"#),
        "it cannot be read",
    );
    row(
        "the issuer twice",
        "RFC 7519 §4",
        twice(r#""iss":"https://evil.test/""#),
        "it cannot be read",
    );
    row(
        "alg twice",
        "RFC 7515 §4",
        signed(r#"{"alg":"RS256","alg":"none","kid":"rsa"}"#, &good),
        HEADER,
    );
    row(
        "kid twice",
        "RFC 7515 §4",
        signed(r#"{"alg":"RS256","kid":"rsa","kid":"rsa"}"#, &good),
        HEADER,
    );
    row(
        "claims that are a list",
        "RFC 7519 §7.2",
        signed(rs256, "[]"),
        "it cannot be read",
    );
    row(
        "claims that are not JSON",
        "RFC 7519 §7.2",
        signed(rs256, "mist"),
        "it cannot be read",
    );
    row(
        "claims with something behind them",
        "RFC 7519 §7.2",
        signed(rs256, &format!("{good} {{}}")),
        "it cannot be read",
    );
    row(
        "a payload that is nested very deeply",
        "CVE-2020-36242",
        signed(rs256, &"[".repeat(900)),
        "it cannot be read",
    );
    row(
        "padding",
        "RFC 7515 §2",
        format!("{genuine}=="),
        "it cannot be read",
    );
    row(
        "the other alphabet of base64",
        "RFC 7515 §2",
        format!("{unsigned}.+/{genuine_signature}"),
        "it cannot be read",
    );
    row(
        "a line end behind it",
        "RFC 7515 §7.1",
        format!("{genuine}\\n"),
        "it cannot be read",
    );
    row(
        "bits behind the signature's last",
        "RFC 4648 §3.5",
        with_other_last_bits(&genuine),
        "it cannot be read",
    );

    // What it does not say.
    row(
        "nobody's",
        "RFC 8725 §3.3",
        claim(json!({"sub": null})),
        "it does not say whom it is for",
    );
    row(
        "an empty subject",
        "RFC 8725 §3.3",
        claim(json!({"sub": ""})),
        "it does not say whom it is for",
    );
    row(
        "a subject that is a number",
        "RFC 7519 §4.1.2",
        claim(json!({"sub": 7})),
        "it does not say whom it is for",
    );
    row(
        "no tags",
        "RFC 8725 §3.12",
        claim(json!({"mist": null})),
        "it has no claim with tags",
    );
    row(
        "a text for tags",
        "RFC 8725 §3.11",
        claim(json!({"mist": "everything"})),
        "its claim is neither",
    );
    row(
        "something else among tags",
        "RFC 8725 §3.11",
        claim(json!({"mist": ["a", 1]})),
        "its claim is neither",
    );
    row(
        "something else for a list",
        "RFC 8725 §3.11",
        claim(json!({"mist": {"publish": "a"}})),
        "its claim is neither",
    );

    // Not a JWT at all.
    row(
        "five parts, as of something encrypted",
        "CVE-2023-51774, CVE-2022-36083",
        format!(
            "{}.a.b.c.d",
            encode(r#"{"alg":"PBES2-HS256+A128KW","p2c":2147483647,"enc":"A128GCM"}"#)
        ),
        "",
    );
    row(
        "four parts",
        "RFC 7515 §7.1",
        format!("{genuine}.{genuine_signature}"),
        "",
    );
    row("two parts", "RFC 7515 §7.1", unsigned.to_owned(), "");
    row(
        "the other serialisation",
        "CVE-2022-39227",
        format!(
            r#"{{\"payload\":\"{}\",\"protected\":\"{}\",\"signature\":\"{genuine_signature}\"}}"#,
            encode(&good),
            encode(rs256)
        ),
        "",
    );
    row(
        "a blank in front",
        "RFC 7515 §7.1",
        format!(" {genuine}"),
        "",
    );

    // It was good, so nobody has guessed it.
    for row in rows.iter_mut().filter(|row| row.reason == EXPIRED) {
        row.code = "token-expired";
    }
    rows.push(Attack {
        what: "more than a token may have",
        why: "CVE-2025-30204, RFC 8725 §3.3",
        token: signed(rs256, &changed(json!({"x": "x".repeat(4096)}))),
        reason: "",
        code: "too-large",
    });
    rows
}

/// The same bytes, but for bits that a careless reader does not look at.
fn with_other_last_bits(token: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (rest, last) = token.split_at(token.len() - 1);
    let place = ALPHABET.iter().position(|byte| last.as_bytes() == [*byte]);
    // 256 bytes leave four bits of the last character unused.
    let other = ALPHABET[place.expect("base64url") ^ 1] as char;
    format!("{rest}{other}")
}

#[tokio::test]
async fn no_attack_on_jwts_is_let_in_and_each_fails_for_its_own_reason() {
    let issuer = Issuer::new();
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = format!("http://{}/keys", elsewhere.local_addr().expect("bound"));
    let rows = attacks(&issuer, &address);
    assert!(rows.len() >= 25, "{}", rows.len());
    let jwt = of_jwks(&issuer);
    let mut limits = Limits::default();
    limits.set("failed-tokens", 0).expect("known");
    let server = Server::builder()
        .listen("tcp://127.0.0.1:0")
        .verifier(of_jwks(&issuer))
        .access(Access::Scoped)
        .limits(limits)
        .bind()
        .await
        .expect("bound");
    let socket = server.addresses()[0].socket().expect("TCP");
    let running = tokio::spawn(server.run(std::future::pending()));
    let present = async |token: &str| {
        let mut stream = BufReader::new(TcpStream::connect(socket).await.expect("connected"));
        let line = format!("{{\"command\":\"auth\",\"data\":\"{token}\",\"id\":1}}\n");
        stream.write_all(line.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_line(&mut answer).await.expect("an answer");
        serde_json::from_str::<Value>(&answer).expect("JSON")
    };
    let genuine = token(
        r#"{"alg":"RS256","kid":"rsa"}"#,
        &claims().to_string(),
        &issuer.rs256(),
    );
    assert_eq!(present(&genuine).await["data"], "success");
    for Attack {
        what,
        why,
        token,
        reason,
        code,
    } in &rows
    {
        let answer = present(token).await;
        assert_eq!(answer["code"], *code, "{what} ({why}): {answer}");
        // As the server has it, without what JSON needs.
        let plain: String = serde_json::from_str(&format!("\"{token}\"")).expect("JSON");
        match reason.is_empty() {
            true => assert!(!jwt.claims(&plain) || *code == "too-large", "{what}"),
            false => {
                let refusal = jwt.verify(&plain).await.expect("it can be said");
                let refusal = refusal.err().unwrap_or_else(|| panic!("{what} is taken"));
                assert!(refusal.starts_with(reason), "{what} ({why}): {refusal}");
            }
        }
    }
    assert_eq!(present(&genuine).await["data"], "success");
    // Nobody has asked for keys where a token said that they are.
    let called = futures_util::poll!(std::pin::pin!(elsewhere.accept()));
    assert!(called.is_pending());
    running.abort();
}
