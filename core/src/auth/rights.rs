//! Owns the two rights of a token to a tag, and how a store's tags say them; knows nothing of sessions.
//!
//! A store keeps strings. A plain tag stands for both rights to it, as it always has; everything else begins with `$`,
//! so that a program that does not know it grants nothing by it.

use alloc::string::String;

use crate::text::text;

/// What a token may do with a tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rights {
    /// Subscribe by it.
    Subscribe,
    /// Publish with it.
    Publish,
    /// Both.
    #[default]
    Both,
}

const RIGHTS: [(&str, Rights); 3] = [
    ("subscribe", Rights::Subscribe),
    ("publish", Rights::Publish),
    ("both", Rights::Both),
];

impl Rights {
    /// Finds rights by their name on the wire.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        let found = RIGHTS.iter().find(|(known, _)| *known == name);
        found.map(|&(_, rights)| rights)
    }

    /// Returns the name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Subscribe => "subscribe",
            Self::Publish => "publish",
            Self::Both => "both",
        }
    }

    pub(super) fn may_subscribe(self) -> bool {
        self != Self::Publish
    }

    pub(super) fn may_publish(self) -> bool {
        self != Self::Subscribe
    }
}

/// Begins the tags that mean something to mist itself.
pub(crate) const RESERVED: u8 = b'$';
pub(super) const EXPIRES: &str = "expires";

/// Whether a tag is none that clients may use.
pub(crate) fn is_reserved(tag: &str) -> bool {
    tag.as_bytes().first() == Some(&RESERVED)
}

fn marked(mark: &str, what: &str) -> String {
    text!["$", mark, ":", what]
}

/// How a store keeps rights to a tag. Those of a token that `ends` are always marked: a program that does not know how
/// it ends must not take it for one that never does.
pub(super) fn kept(tag: &str, rights: Rights, ends: bool) -> String {
    match rights {
        Rights::Both if !ends => tag.into(),
        _ => marked(rights.name(), tag),
    }
}

/// How a store keeps the end of a token, in seconds since 1970.
pub(super) fn kept_end(expires_at: u64) -> String {
    marked(EXPIRES, &text![expires_at])
}

/// When a token ends, by what a store keeps with it.
pub(super) fn end(tags: &[String]) -> Option<u64> {
    let ends = tags.iter().filter_map(|kept| match mark(kept)? {
        // One that cannot be read has come.
        (EXPIRES, end) => Some(end.parse().unwrap_or(0)),
        _ => None,
    });
    ends.min()
}

/// A mark, and what is marked by it.
pub(super) fn mark(kept: &str) -> Option<(&str, &str)> {
    kept.strip_prefix('$')?.split_once(':')
}

#[cfg(test)]
mod tests {
    use alloc::borrow::ToOwned;

    use super::super::grants::{Grants, read, write};
    use super::*;

    fn grants(tags: &[&str]) -> Grants {
        read(tags.iter().map(|&tag| tag.to_owned()).collect())
    }

    #[test]
    fn a_store_keeps_rights_as_tags() {
        for (rights, ends, expected) in [
            (Rights::Both, false, "a:b"),
            (Rights::Both, true, "$both:a:b"),
            (Rights::Subscribe, false, "$subscribe:a:b"),
            (Rights::Publish, true, "$publish:a:b"),
        ] {
            let kept = kept("a:b", rights, ends);
            assert_eq!(kept, expected);
            let read = grants(&[&kept]);
            assert_eq!(read.allow_subscribe("a:b"), rights.may_subscribe());
            assert_eq!(read.allow_publish("a:b"), rights.may_publish());
            assert!(read.ignored.is_empty() && read.expires_at.is_none());
        }
        assert_eq!(grants(&[&kept_end(1_700)]).expires_at, Some(1_700));
    }

    #[test]
    fn rights_add_up() {
        let read = grants(&["$publish:a", "b", "$subscribe:a", "$subscribe:c", "$both:"]);
        assert_eq!(read.subscribe, ["b", "a", "c", ""]);
        assert_eq!(read.publish, ["a", "b", ""]);
    }

    #[test]
    fn what_is_not_understood_grants_nothing() {
        for tag in [
            "$",
            "$a",
            "$a:b",
            "$:b",
            "$both",
            "$Both:a",
            "$both:$a",
            "$subscribe:$both:a",
            "$$both:a",
        ] {
            let read = grants(&["a", tag]);
            assert_eq!(
                (&read.subscribe[..], &read.publish[..]),
                (&["a".to_owned()][..], &["a".to_owned()][..])
            );
            assert_eq!(read.ignored, [tag]);
            assert_eq!(read.expires_at, None);
        }
        for end in ["", "-1", "x", "99999999999999999999", "1.5"] {
            assert_eq!(
                grants(&["a", &marked(EXPIRES, end)]).expires_at,
                Some(0),
                "{end}"
            );
        }
        assert_eq!(
            grants(&["$expires:9", "$expires:5", "$expires:7"]).expires_at,
            Some(5)
        );
    }

    #[test]
    fn what_is_written_says_the_same_in_the_fewest_tags() {
        for (tags, written) in [
            (&["b", "a", "b"][..], &["a", "b"][..]),
            (&["$publish:a", "$subscribe:a"], &["a"]),
            (
                &["$both:a", "$subscribe:a", "$publish:b"],
                &["$publish:b", "a"],
            ),
            (&["$new:thing", "a", "$new:thing"], &["$new:thing", "a"]),
            (
                &["$expires:9", "a", "$expires:5", "$subscribe:b"],
                &["$both:a", "$expires:5", "$subscribe:b"],
            ),
        ] {
            assert_eq!(write(grants(tags)), written);
            assert_eq!(write(grants(written)), written);
        }
    }
}
