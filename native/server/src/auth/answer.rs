//! Owns how others say what a token grants: a claim of a JWT, the answer of an authoriser; knows nothing of how it came.

use serde_json::Value;

/// Tags that begin so mean something to the server itself, and are granted to nobody.
const RESERVED: char = '$';

/// What may be subscribed to, and what published.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rights {
    pub(super) subscribe: Vec<String>,
    pub(super) publish: Vec<String>,
    /// A tag that was left out, since it is reserved.
    pub(super) left_out: Option<String>,
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
                    true => rights.left_out = Some(tag.to_owned()),
                    false => list.push(tag.to_owned()),
                }
            }
        }
        Ok(rights)
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
            (json!({}), &[], &[]),
        ] {
            let rights = Rights::read(&value).expect("rights");
            assert_eq!(rights.subscribe, tags(subscribe), "{value}");
            assert_eq!(rights.publish, tags(publish), "{value}");
            assert_eq!(rights.left_out, None, "{value}");
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
        assert_eq!(rights.left_out.as_deref(), Some("$publish:b"));
    }
}
