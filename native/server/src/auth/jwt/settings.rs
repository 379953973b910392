//! Owns the parameters of the URI `jwt://?…`, and their defaults.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;

use super::rules::Rules;
use crate::auth::fetch::Target;

const KNOWN: &str = "jwks, key-file, secret-file, issuer, audience, claim, leeway, ca";

/// The claim with the tags, unless another is named.
const CLAIM: &str = "mist";

/// By how many seconds clocks may differ by default, and at most.
const LEEWAY: u64 = 5;
const MOST_LEEWAY: u64 = 300;

/// Accepts any issuer or audience.
const ANY: &str = "*";

/// Where keys come from.
pub(super) enum Source {
    /// An address, and a PEM file with the authority to trust for it.
    Jwks(Target, Option<PathBuf>),
    /// A PEM file with public keys.
    Key(PathBuf),
    /// A file with a secret.
    Secret(PathBuf),
}

/// The parameters.
pub(super) struct Settings {
    pub(super) source: Source,
    pub(super) rules: Rules,
}

impl Settings {
    pub(super) fn parse(uri: &str) -> Result<Self, String> {
        let (_, rest) = uri.split_once("://").unwrap_or_default();
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        if !matches!(place, "" | "/") {
            return Err(format!(
                "there is something between jwt:// and the parameters, which begin with ?; known are {KNOWN}"
            ));
        }
        let mut given = Given::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decode_str(value)
                .decode_utf8()
                .map_err(|_| format!("the value of '{name}' is not UTF-8"))?;
            let place = given
                .place(name)
                .ok_or_else(|| format!("unknown parameter '{name}'; known are {KNOWN}"))?;
            if value.is_empty() {
                return Err(format!("'{name}' is empty"));
            }
            if place.replace(value.into_owned()).is_some() {
                return Err(format!("'{name}' is given twice"));
            }
        }
        given.settle()
    }
}

#[derive(Default)]
struct Given {
    jwks: Option<String>,
    key_file: Option<String>,
    secret_file: Option<String>,
    issuer: Option<String>,
    audience: Option<String>,
    claim: Option<String>,
    leeway: Option<String>,
    ca: Option<String>,
}

impl Given {
    fn place(&mut self, name: &str) -> Option<&mut Option<String>> {
        Some(match name {
            "jwks" => &mut self.jwks,
            "key-file" => &mut self.key_file,
            "secret-file" => &mut self.secret_file,
            "issuer" => &mut self.issuer,
            "audience" => &mut self.audience,
            "claim" => &mut self.claim,
            "leeway" => &mut self.leeway,
            "ca" => &mut self.ca,
            _ => return None,
        })
    }

    fn settle(self) -> Result<Settings, String> {
        if self.ca.is_some() && self.jwks.is_none() {
            return Err("'ca' is for 'jwks' alone".into());
        }
        let source = match (self.jwks, self.key_file, self.secret_file) {
            (Some(address), None, None) => {
                Source::Jwks(jwks(&address)?, self.ca.map(PathBuf::from))
            }
            (None, Some(path), None) => Source::Key(path.into()),
            (None, None, Some(path)) => Source::Secret(path.into()),
            _ => {
                return Err(
                    "say where keys come from, by one of jwks=URL, key-file=FILE (a public key in PEM) and secret-file=FILE"
                        .into(),
                );
            }
        };
        let leeway = match &self.leeway {
            None => LEEWAY,
            Some(text) => text
                .parse()
                .ok()
                .filter(|seconds| *seconds <= MOST_LEEWAY)
                .ok_or_else(|| {
                    format!("'leeway' is '{text}', and not a number of seconds up to {MOST_LEEWAY}")
                })?,
        };
        Ok(Settings {
            source,
            rules: Rules {
                issuer: named("issuer", self.issuer)?,
                audience: named("audience", self.audience)?,
                claim: self.claim.unwrap_or_else(|| CLAIM.to_owned()),
                leeway,
            },
        })
    }
}

/// A name that is required, so that tokens for others are not accepted by mistake; `*` accepts any.
fn named(parameter: &str, value: Option<String>) -> Result<Option<String>, String> {
    match value {
        Some(value) if value == ANY => Ok(None),
        Some(value) => Ok(Some(value)),
        None => Err(format!(
            "'{parameter}' is missing: name what tokens say there, or take any with {parameter}=*"
        )),
    }
}

/// Keys from a connection without encryption could be forged.
fn jwks(address: &str) -> Result<Target, String> {
    let target = Target::parse(address).map_err(|why| format!("'jwks' is no address: {why}"))?;
    if target.has_password() {
        return Err("'jwks' has a user in it: keys are public, and asked for without one".into());
    }
    if !target.is_encrypted() && !target.is_loopback() {
        return Err(format!(
            "'jwks' is {}, and anybody on the way could put in keys: use https://",
            target.shown()
        ));
    }
    Ok(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_has_a_default_and_the_rest_is_as_it_was_said() {
        let settings = Settings::parse("jwt://?jwks=https://a/keys%26x&issuer=i&audience=me")
            .expect("settings");
        let rules = Rules {
            issuer: Some("i".into()),
            audience: Some("me".into()),
            claim: "mist".into(),
            leeway: 5,
        };
        assert_eq!(settings.rules, rules);
        assert!(
            matches!(settings.source, Source::Jwks(target, None) if target.shown() == "https://a/keys&x")
        );
        let settings = Settings::parse(
            "jwt://?secret-file=%2Fa%20b&issuer=*&audience=*&claim=https://x/tags&leeway=0",
        )
        .expect("settings");
        let rules = Rules {
            issuer: None,
            audience: None,
            claim: "https://x/tags".into(),
            leeway: 0,
        };
        assert_eq!(settings.rules, rules);
        assert!(matches!(settings.source, Source::Secret(path) if path.as_os_str() == "/a b"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let both = "&issuer=i&audience=a";
        for (query, word) in [
            ("", "one of jwks=URL"),
            (
                "jwks=https://a&key-file=b&issuer=i&audience=a",
                "one of jwks=URL",
            ),
            ("jwks=https://a&issuer=i", "'audience' is missing"),
            ("jwks=https://a&audience=i", "'issuer' is missing"),
            (&format!("jwks=http://a.example/keys{both}"), "use https://"),
            (&format!("jwks=ftp://a{both}"), "begin with https://"),
            (&format!("jwks=https://u:p@a{both}"), "has a user in it"),
            (&format!("jwks=https://a&leeway=301{both}"), "up to 300"),
            (&format!("jwks=https://a&leeway=-1{both}"), "up to 300"),
            (
                &format!("jwks=https://a&jwks=https://b{both}"),
                "given twice",
            ),
            (&format!("jwks=https://a&claim={both}"), "'claim' is empty"),
            (&format!("key-file=a&ca=b{both}"), "'ca' is for 'jwks'"),
            ("jkws=https://a", "unknown parameter 'jkws'"),
        ] {
            let error = Settings::parse(&format!("jwt://?{query}")).err();
            let error = error.unwrap_or_else(|| panic!("{query} is taken"));
            assert!(
                error.contains(word) && !error.contains("u:p"),
                "{query}: {error}"
            );
        }
        for loopback in ["localhost:1", "127.0.0.1", "[::1]:80"] {
            let uri = format!("jwt://?jwks=http://{loopback}/keys{both}");
            assert!(Settings::parse(&uri).is_ok(), "{loopback}");
        }
        assert!(Settings::parse("jwt://https://a/keys?issuer=i").is_err());
    }
}
