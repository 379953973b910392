//! Owns how grants are read from a claim of a JWT or the answer of an application; knows nothing of where they came
//! from.

use std::fmt::{self, Display};

use serde_json::Value;

use super::context::Context;
use crate::admission::peer::Peer;
use crate::log_limit::{Kind, shown};

/// Begins the tags that are reserved for the server itself and cannot be granted.
const RESERVED: char = '$';

/// The rights to subscribe and to publish.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rights {
    pub(super) subscribe: Vec<String>,
    pub(super) publish: Vec<String>,
    /// What is unusual about them.
    pub(super) remark: Option<Remark>,
}

/// A remark for operators about rights that are valid, but may have been meant differently.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Remark {
    /// This tag was left out.
    Reserved(String),
    /// Both lists are missing; perhaps they have other names.
    NoLists,
}

impl Rights {
    /// Reads `{"subscribe":[…],"publish":[…]}`, of which either may be missing, or a list for both.
    pub(super) fn read(value: &Value) -> Result<Self, String> {
        let (subscribe, publish) = match value {
            Value::Array(_) => (Some(value), Some(value)),
            Value::Object(rights) => (rights.get("subscribe"), rights.get("publish")),
            _ => return Err("is neither a list of tags nor an object with such lists".into()),
        };
        let mut rights = Self::default();
        if subscribe.is_none() && publish.is_none() {
            rights.remark = Some(Remark::NoLists);
        }
        for (name, value, list) in [
            ("subscribe", subscribe, &mut rights.subscribe),
            ("publish", publish, &mut rights.publish),
        ] {
            let not_tags = || format!("has something else than a list of tags in '{name}'");
            let Some(value) = value else {
                continue;
            };
            for tag in value.as_array().ok_or_else(not_tags)? {
                let tag = tag.as_str().ok_or_else(not_tags)?;
                match tag.starts_with(RESERVED) {
                    true => rights.remark = Some(Remark::Reserved(tag.to_owned())),
                    false => list.push(tag.to_owned()),
                }
            }
        }
        Ok(rights)
    }
}

impl Remark {
    /// Says it in the log, now and then; `what` is it about, from where.
    pub(super) fn say(&self, what: impl Display, context: &Context, peer: Option<Peer>) {
        if context.log.admits(Kind::OddGrants, peer) {
            tracing::warn!(peer = peer.map(display), "{what} {self}");
        }
    }
}

impl Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reserved(tag) => write!(
                f,
                "would grant '{}': tags that begin with $ are reserved, and left out",
                shown(tag)
            ),
            Self::NoLists => f.write_str(
                "grants nothing: there is neither 'subscribe' nor 'publish' in it - name the tags in lists of these names",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rights_are_a_list_for_both_or_a_list_for_each() {
        let tags = |tags: &[&str]| tags.iter().map(|&tag| tag.to_owned()).collect::<Vec<_>>();
        for (value, subscribe, publish) in [
            (json!(["a", "b"]), &["a", "b"][..], &["a", "b"][..]),
            (json!({"subscribe": ["a"]}), &["a"], &[]),
            (json!({"publish": ["b"], "more": 1}), &[], &["b"]),
            (json!({"subscribe": ["a"], "publish": []}), &["a"], &[]),
            (json!({"publish": []}), &[], &[]),
            (json!([]), &[], &[]),
        ] {
            let rights = Rights::read(&value).expect("rights");
            assert_eq!(rights.subscribe, tags(subscribe), "{value}");
            assert_eq!(rights.publish, tags(publish), "{value}");
            assert_eq!(rights.remark, None, "{value}");
        }
        for value in [
            json!("a"),
            json!(null),
            json!([1]),
            json!({"subscribe": "a"}),
            json!({"publish": [["a"]]}),
        ] {
            assert!(Rights::read(&value).is_err(), "{value}");
        }
    }

    #[test]
    fn reserved_tags_are_left_out() {
        let rights = Rights::read(&json!(["a", "$publish:b"])).expect("rights");
        assert_eq!(
            (rights.subscribe, rights.publish),
            (vec!["a".into()], vec!["a".into()])
        );
        assert_eq!(rights.remark, Some(Remark::Reserved("$publish:b".into())));
    }

    #[test]
    fn lists_of_other_names_are_worth_a_remark() {
        for value in [json!({}), json!({"tags": ["a"], "Subscribe": ["a"]})] {
            let rights = Rights::read(&value).expect("rights");
            assert_eq!(rights.remark, Some(Remark::NoLists), "{value}");
            assert!(rights.subscribe.is_empty() && rights.publish.is_empty());
        }
    }
}
