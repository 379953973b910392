//! Owns how a registered token stands in the answer to `tokens`; knows nothing of how it got there.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::encode::{write_name, write_number, write_tags};
use super::grammar::{objects, string, tag_lists};
use super::string::write_string;
use crate::auth::{Grants, TokenName};
use crate::sort::sort;

/// A token that is registered, as an administrator is told of it.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegisteredToken {
    /// The token; empty where the store keeps only its hash.
    pub token: String,
    /// The SHA-256 of the token in hexadecimal digits; empty where the token itself is told.
    pub sha256: String,
    /// The tags that it may subscribe with, sorted.
    pub subscribe: Vec<String>,
    /// The tags that it may publish with, sorted.
    pub publish: Vec<String>,
    /// In how many seconds it ends, if it does.
    pub expires_in: Option<u64>,
    /// How many connections of the server that was asked go by it.
    pub connections: u64,
}

/// Shows what is granted, never the token.
impl fmt::Debug for RegisteredToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegisteredToken")
            .field("subscribe", &self.subscribe)
            .field("publish", &self.publish)
            .field("expires_in", &self.expires_in)
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}

/// Writes a token in the fields of the answer to `tags`, with its name and its connections.
pub(crate) fn write_registered(
    out: &mut Vec<u8>,
    name: &TokenName,
    grants: &Grants,
    expires_in: Option<u64>,
    connections: usize,
) {
    let Grants {
        subscribe, publish, ..
    } = grants;
    let mut tags: Vec<_> = subscribe
        .iter()
        .chain(publish)
        .map(String::as_str)
        .collect();
    sort(&mut tags);
    tags.dedup();
    out.extend_from_slice(b"{\"tags\":");
    write_tags(out, &tags);
    write_name(
        out,
        match name {
            TokenName::Token(_) => "data",
            TokenName::Hash(_) => "sha256",
        },
    );
    write_string(out, &name.text());
    if subscribe != publish {
        for (name, tags) in [("subscribe", subscribe), ("publish", publish)] {
            let tags: Vec<_> = tags.iter().map(String::as_str).collect();
            write_name(out, name);
            write_tags(out, &tags);
        }
    }
    let expires_in = expires_in.map(|seconds| ("expires_in", seconds));
    let connections = ("connections", connections as u64);
    for (name, number) in expires_in.into_iter().chain([connections]) {
        write_name(out, name);
        write_number(out, number);
    }
    out.push(b'}');
}

/// Reads what was written so; what is of another form is left out.
pub(super) fn read_registered(text: &str) -> Vec<RegisteredToken> {
    let mut tokens = Vec::new();
    objects(text, |name, value| {
        let Some(name) = name else {
            return tokens.push(RegisteredToken::default());
        };
        let Some(token) = tokens.last_mut() else {
            return;
        };
        let tags = || tag_lists(value, false).pop().unwrap_or_default();
        match name {
            "data" => token.token = string(value),
            "sha256" => token.sha256 = string(value),
            // In front of those of one right.
            "tags" => {
                token.subscribe = tags();
                token.publish.clone_from(&token.subscribe);
            }
            "subscribe" => token.subscribe = tags(),
            "publish" => token.publish = tags(),
            "expires_in" => token.expires_in = value.parse().ok(),
            "connections" => token.connections = value.parse().unwrap_or_default(),
            _ => {}
        }
    });
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut apart = Grants::of_token("", alloc::vec!["b".into(), "a\"\n".into()]);
        apart.publish.clear();
        let listed = [
            (
                TokenName::Token("tök\"en".into()),
                apart.sorted(),
                Some(9),
                2,
            ),
            (TokenName::Hash([0xa5; 32]), Grants::default(), None, 0),
        ];
        let mut text = b" [".to_vec();
        for (index, (name, grants, expires_in, connections)) in listed.iter().enumerate() {
            if index > 0 {
                text.extend_from_slice(b" , ");
            }
            write_registered(&mut text, name, grants, *expires_in, *connections);
        }
        text.extend_from_slice(b"] ");
        let text = String::from_utf8(text).expect("text");
        let tokens = read_registered(&text);
        assert_eq!(tokens.len(), 2, "{text}");
        assert_eq!((&*tokens[0].token, &*tokens[0].sha256), ("tök\"en", ""));
        assert_eq!(tokens[0].subscribe, ["a\"\n", "b"]);
        assert_eq!(tokens[0].publish, [""; 0]);
        assert_eq!((tokens[0].expires_in, tokens[0].connections), (Some(9), 2));
        assert_eq!((&*tokens[1].token, tokens[1].sha256.len()), ("", 64));
        assert!(tokens[1].sha256.starts_with("a5a5"));

        for broken in ["", "{}", "[5]", "[{]", "[{\"data\":5}", "[{\"tags\":5}"] {
            assert!(read_registered(broken).len() <= 1, "{broken}");
        }
    }
}
