//! Owns what a token may do, and the rule by which that is judged; knows nothing of sessions.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::rights::{EXPIRES, Rights, end, is_reserved, kept, kept_end, mark};
use crate::sort::sort;

/// What a token may do, as token stores and verifiers say it.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Grants {
    /// The subject of the token, such as a user. A session may later present another token of the same subject; a
    /// registered token is a subject of its own.
    pub subject: String,
    /// One of these tags must be in each subscription: every message that it matches then carries it.
    pub subscribe: Vec<String>,
    /// All tags of a published message must be among these, since each can make a subscription match.
    pub publish: Vec<String>,
    /// Whether it may use the commands for administrators.
    pub admin: bool,
    /// When it expires, in seconds since 1970. From then on sessions with it have no grants, once the broker is told
    /// the time.
    pub expires_at: Option<u64>,
    /// Tags in a token store that begin with `$` and are not understood. They grant nothing.
    pub ignored: Vec<String>,
    /// Which of the host's authenticators has accepted the token, as a number that means nothing to the broker. When
    /// the host asks about the token again, the answer of this one counts, even if others have none.
    pub voucher: usize,
}

/// Shows what is granted, but not the subject, which may be the token.
impl fmt::Debug for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grants")
            .field("subscribe", &self.subscribe)
            .field("publish", &self.publish)
            .field("admin", &self.admin)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// The grants of a token that is not known.
pub(crate) static NO_GRANTS: Grants = Grants {
    subject: String::new(),
    subscribe: Vec::new(),
    publish: Vec::new(),
    admin: false,
    expires_at: None,
    ignored: Vec::new(),
    voucher: 0,
};

impl Grants {
    /// What a registered token grants, by the tags that a store keeps with it: to subscribe and to publish with each of
    /// them, but for those that begin with `$`. `$subscribe:a` and `$publish:a` grant one right to `a`, `$both:a`
    /// grants both, and `$expires:1700000000` says when the token ends.
    #[must_use]
    pub fn of_token(token: &str, tags: Vec<String>) -> Self {
        Self {
            subject: token.into(),
            ..read(tags)
        }
    }

    /// Puts the tags in the order in which they are looked for, and keeps no others.
    pub(crate) fn sorted(mut self) -> Self {
        self.ignored = Vec::new();
        add(&mut self.subscribe, &[]);
        add(&mut self.publish, &[]);
        self
    }

    /// Whether the token has ended by a time in seconds since 1970.
    #[must_use]
    pub fn is_over(&self, now: u64) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    fn grant(&mut self, tag: &str, rights: Rights) {
        if rights.may_subscribe() {
            self.subscribe.push(tag.into());
        }
        if rights.may_publish() {
            self.publish.push(tag.into());
        }
    }

    pub(crate) fn allow_subscription<'a>(&self, tags: impl IntoIterator<Item = &'a str>) -> bool {
        tags.into_iter().any(|tag| has(&self.subscribe, tag))
    }

    /// Whether every subscription that others allow is allowed by these.
    pub(crate) fn cover_subscriptions_of(&self, others: &Self) -> bool {
        let mut tags = others.subscribe.iter();
        tags.all(|tag| has(&self.subscribe, tag))
    }

    /// Whether a subscription may be for this tag alone.
    pub(crate) fn allow_subscribe(&self, tag: &str) -> bool {
        has(&self.subscribe, tag)
    }

    /// Whether a message may carry this tag.
    pub(crate) fn allow_publish(&self, tag: &str) -> bool {
        has(&self.publish, tag)
    }

    /// Adds rights to tags.
    pub(crate) fn add(&mut self, tags: &[String], rights: Rights) {
        if rights.may_subscribe() {
            add(&mut self.subscribe, tags);
        }
        if rights.may_publish() {
            add(&mut self.publish, tags);
        }
    }

    /// Takes rights to tags away.
    pub(crate) fn remove(&mut self, tags: &[String], rights: Rights) {
        if rights.may_subscribe() {
            remove(&mut self.subscribe, tags);
        }
        if rights.may_publish() {
            remove(&mut self.publish, tags);
        }
    }
}

/// Reads what a store keeps.
pub(super) fn read(tags: Vec<String>) -> Grants {
    if !tags.iter().any(|tag| is_reserved(tag)) {
        return Grants {
            subscribe: tags.clone(),
            publish: tags,
            ..Grants::default()
        };
    }
    let mut grants = Grants {
        expires_at: end(&tags),
        ..Grants::default()
    };
    for kept in tags {
        match mark(&kept) {
            None if !is_reserved(&kept) => grants.grant(&kept, Rights::Both),
            Some((EXPIRES, _)) => {}
            Some((mark, tag))
                if !is_reserved(tag)
                    && let Some(rights) = Rights::find(mark) =>
            {
                grants.grant(tag, rights);
            }
            _ => grants.ignored.push(kept),
        }
    }
    grants
}

/// What a store keeps of that, sorted. What was not understood stays as it is.
pub(super) fn write(grants: Grants) -> Vec<String> {
    let (end, mut tags) = (grants.expires_at, grants.ignored.clone());
    let grants = grants.sorted();
    let kept = |tag: &String, rights| kept(tag, rights, end.is_some());
    tags.extend(grants.subscribe.iter().map(|tag| {
        let rights = match grants.allow_publish(tag) {
            true => Rights::Both,
            false => Rights::Subscribe,
        };
        kept(tag, rights)
    }));
    let others = grants.publish.iter();
    let others = others.filter(|tag| !grants.allow_subscribe(tag));
    tags.extend(others.map(|tag| kept(tag, Rights::Publish)));
    tags.extend(end.map(kept_end));
    sort(&mut tags);
    tags.dedup();
    tags
}

/// Whether a sorted list has a tag.
fn has(list: &[String], tag: &str) -> bool {
    let place = list.binary_search_by(|other| other.as_str().cmp(tag));
    place.is_ok()
}

/// Adds tags to a list, and puts it in order.
fn add(list: &mut Vec<String>, tags: &[String]) {
    list.extend_from_slice(tags);
    sort(list);
    list.dedup();
}

/// Removes tags, which are sorted.
fn remove(list: &mut Vec<String>, tags: &[String]) {
    list.retain(|tag| tags.binary_search(tag).is_err());
}
