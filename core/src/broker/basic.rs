//! The commands for everybody: publishing, subscribing, and asking for counts and tags.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::vec::Vec;

use super::Broker;
use super::output::Verdict;
use super::receipt::Receipt;
use super::scratch::{Scratch, restart};
use super::session::{Session, SessionId};
use crate::auth::{RESERVED, is_reserved};
use crate::limits::{Exceeded, LIMIT, Limits};
use crate::message::{
    Data, ESCAPE_BYTES, Message, Refusal, Reply, Span, echoed_tags, write_head, write_plain_tags,
    write_refusal,
};
use crate::sort::{sort, sort_by};
use crate::text::text;

impl Broker {
    pub(super) fn publish(
        &self,
        session: SessionId,
        state: &Session,
        message: &Message<'_>,
        scratch: &mut Scratch,
    ) -> Verdict {
        let is_for_cluster = match self.match_publish(session, state, message, scratch) {
            Ok(is_for_cluster) => is_for_cluster,
            Err(refusal) => {
                restart(&mut scratch.reply);
                write_refusal(message, &refusal, &mut scratch.reply);
                return Verdict::Reply;
            }
        };
        let receipt = message.id_literal().map(|id| Receipt {
            session,
            tags: message.tags().map(Cow::into_owned).collect(),
            id: id.into(),
            nodes: scratch.nodes,
            is_for_cluster,
        });
        match self.index.is_whole(&scratch.matching) {
            true => Verdict::Deliver(receipt),
            false => Verdict::Long(self.begin_publish(session, message, receipt)),
        }
    }

    /// Returns whether the answer is to be for the whole cluster.
    ///
    /// Refusals are boxed since there are hardly any: a result with room for one would be written for every message.
    fn match_publish(
        &self,
        session: SessionId,
        state: &Session,
        message: &Message<'_>,
        scratch: &mut Scratch,
    ) -> Result<bool, Box<Refusal>> {
        self.check_state(state)?;
        if message.tag_count() == 0 {
            return Err(Refusal::MissingTags("publish").into());
        }
        LIMIT
            .tags_per_message
            .check(message.tag_count(), self.limits.tags_per_message)?;
        let Scratch {
            matching,
            names,
            decoded,
            sorted,
            head,
            is_verbatim,
            nodes,
            ..
        } = scratch;
        *is_verbatim = false;
        // Where the names stand: in the message itself, unless escapes have to be undone.
        let (tags, source) = match message.plain_tags() {
            Some(tags) => (tags, message.text()),
            None => {
                self.check_escaped_tags(message)?;
                decoded.clear();
                decoded.shrink_to(self.limits.tags_per_message * self.limits.tag_bytes);
                message.decode_tags(names, decoded);
                (&names[..], &**decoded)
            }
        };
        let bytes = source.as_bytes();
        // Few instructions, since it is done for every tag of every message.
        let is_unfit = |tag: &&Span| {
            // Behind an empty one stands another.
            let is_reserved = || bytes.get(tag.range().start) == Some(&RESERVED) && tag.len() > 0;
            tag.len() > self.limits.tag_bytes || is_reserved()
        };
        if let Some(unfit) = tags.iter().find(is_unfit) {
            return Err(self.unfit_tag(&source[unfit.range()]).into());
        }
        if let Some(grants) = self.grants(state) {
            let mut tags = tags.iter().map(|tag| &source[tag.range()]);
            if let Some(tag) = tags.find(|tag| !grants.allow_publish(tag)) {
                return Err(Refusal::PublishNotGranted(tag.into()).into());
            }
        }
        let names_of = |tag: &Span| &bytes[tag.range()];
        let names = tags.iter().map(names_of);
        self.index
            .matches(names.clone(), Some(session.slot), matching);
        self.add_taps(Some(session), &mut matching.targets);
        // Without an `id` there is no answer that could wait.
        let is_for_cluster =
            message.id_literal().is_some() && self.asks_cluster(session, message)?;
        *nodes = match is_for_cluster {
            true => None,
            false => self.add_link(Some(session), names, &mut matching.targets),
        };
        if matching.targets.is_empty() && !is_for_cluster {
            return Ok(false);
        }
        let is_plain = message.plain_tags().is_some();
        let is_sorted = is_sorted_set(tags, bytes);
        *is_verbatim = is_sorted && is_plain && message.compact().is_some();
        if *is_verbatim {
            return Ok(is_for_cluster);
        }
        sorted.clear();
        sorted.extend(tags.iter().map(|tag| (tag.prefix(bytes), *tag)));
        if !is_sorted {
            sort_by(sorted, |a, b| Span::order(a, b, bytes));
            sorted.dedup_by(|a, b| Span::order(a, b, bytes).is_eq());
        }
        restart(head);
        let tags = sorted.iter().map(|(_, tag)| *tag);
        if is_plain {
            write_plain_tags(head, source, tags);
        } else {
            write_head(head, tags.map(|tag| &source[tag.range()]));
        }
        Ok(is_for_cluster)
    }

    /// Whether the answer to a publish is to have what the other nodes delivered, and there are any.
    fn asks_cluster(&self, session: SessionId, message: &Message<'_>) -> Result<bool, Refusal> {
        let waits = message.waits_for_cluster();
        let waits = waits.ok_or(Refusal::InvalidValue("wait", "\"cluster\""))?;
        Ok(waits && self.others.is_linked && self.link.is_some_and(|link| link != session))
    }

    pub(super) fn pong(message: &Message<'_>, scratch: &mut Scratch) {
        restart(&mut scratch.reply);
        Reply {
            command: "ping",
            data: Data::Text("pong"),
            id: message.id_literal(),
            ..Reply::default()
        }
        .write(&mut scratch.reply);
    }

    pub(super) fn subscribe(
        &mut self,
        session: SessionId,
        message: &Message<'_>,
    ) -> Result<(), Refusal> {
        let tags = self.subscription_tags("subscribe", message)?;
        let set = sorted_set(&tags);
        if let Some(grants) = self.session(session).and_then(|state| self.grants(state))
            && !grants.allow_subscription(set.iter().copied())
        {
            return Err(Refusal::SubscribeNotGranted);
        }
        self.check_room(session, &set)?;
        self.index.subscribe(session.slot, &set);
        self.acknowledge_message(session, message);
        Ok(())
    }

    /// Whether one more subscription is within the limits; one that is held already is no more.
    fn check_room(&self, session: SessionId, set: &[&str]) -> Result<(), Refusal> {
        match self.has_room(session, set) {
            Err(exceeded) if !self.index.holds(session.slot, set) => Err(exceeded.into()),
            _ => Ok(()),
        }
    }

    fn has_room(&self, session: SessionId, set: &[&str]) -> Result<(), Exceeded> {
        let limits = &self.limits;
        let held = self.index.holding(session.slot);
        let count = held.subscriptions + 1;
        LIMIT.subscriptions.check(count, limits.subscriptions)?;
        let bytes = Limits::subscription_weight(
            count,
            held.tags + set.len(),
            held.name_bytes + set.iter().map(|tag| tag.len()).sum::<usize>(),
        );
        let limit = limits.subscription_bytes;
        LIMIT.subscription_bytes.check(bytes, limit)?;
        let all = self.index.subscriptions() + 1;
        let limit = limits.subscriptions_total;
        LIMIT.subscriptions_total.check(all, limit)?;
        // What one more takes is known only afterwards.
        let (bytes, limit) = (self.index.bytes(), limits.subscription_total_bytes);
        match bytes < limit {
            true => Ok(()),
            false => Err(LIMIT.subscription_total_bytes.exceeded(bytes, limit)),
        }
    }

    pub(super) fn unsubscribe(
        &mut self,
        session: SessionId,
        message: &Message<'_>,
    ) -> Result<(), Refusal> {
        let tags = self.subscription_tags("unsubscribe", message)?;
        self.index.unsubscribe(session.slot, &sorted_set(&tags));
        self.acknowledge_message(session, message);
        Ok(())
    }

    /// Answers how many connections and subscribers there are.
    pub(super) fn who(&self, state: &Session, message: &Message<'_>, scratch: &mut Scratch) {
        restart(&mut scratch.reply);
        if let Err(refusal) = self.check_state(state) {
            return write_refusal(message, &refusal, &mut scratch.reply);
        }
        let connections = self.connected_total + self.others.connections_total;
        let subscribers = self.index.subscribers() as u64 + self.others.subscribers;
        // Two blanks, as the original writes it.
        let data = text![
            "Lifetime  connections: ",
            connections,
            "\nSubscribers connected: ",
            subscribers
        ];
        let tags: Vec<_> = echoed_tags(message).collect();
        let tags: Vec<_> = tags.iter().map(|tag| &**tag).collect();
        Reply {
            command: &message.command_name(),
            tags: &tags,
            data: Data::Text(&data),
            counts: &[("connections", connections), ("subscribers", subscribers)],
            // This one is among them.
            nodes: self.link.map(|_| self.others.nodes + 1),
            id: message.id_literal(),
            ..Reply::default()
        }
        .write(&mut scratch.reply);
    }

    pub(super) fn acknowledge_message(&mut self, session: SessionId, message: &Message<'_>) {
        if message.id_literal().is_some() {
            let tags: Vec<_> = message.tags().collect();
            let tags: Vec<_> = tags.iter().map(|tag| &**tag).collect();
            self.acknowledge(
                session,
                &message.command_name(),
                &tags,
                message.id_literal(),
            );
        }
    }

    fn subscription_tags<'a>(
        &self,
        command: &'static str,
        message: &Message<'a>,
    ) -> Result<Vec<Cow<'a, str>>, Refusal> {
        if message.tag_count() == 0 {
            return Err(Refusal::MissingTags(command));
        }
        LIMIT
            .tags_per_subscription
            .check(message.tag_count(), self.limits.tags_per_subscription)?;
        self.checked_tags(message)
    }

    /// Returns the tags of a message if clients may use all of them.
    pub(super) fn checked_tags<'a>(
        &self,
        message: &Message<'a>,
    ) -> Result<Vec<Cow<'a, str>>, Refusal> {
        LIMIT
            .tags_per_message
            .check(message.tag_count(), self.limits.tags_per_message)?;
        self.check_escaped_tags(message)?;
        let tags: Vec<_> = message.tags().collect();
        match tags.iter().find(|tag| self.is_unfit(tag)) {
            Some(tag) => Err(self.unfit_tag(tag)),
            None => Ok(tags),
        }
    }

    /// Whether a tag is too long, or none that clients may use.
    fn is_unfit(&self, tag: &str) -> bool {
        tag.len() > self.limits.tag_bytes || is_reserved(tag)
    }

    fn unfit_tag(&self, tag: &str) -> Refusal {
        match tag.len() > self.limits.tag_bytes {
            true => self.tag_too_long(tag.len()),
            false => Refusal::ReservedTag(tag.into()),
        }
    }

    /// Refuses tags that are too long whatever their escapes stand for: to decode them takes time and memory. The
    /// refusal names what they have at least.
    fn check_escaped_tags(&self, message: &Message<'_>) -> Result<(), Refusal> {
        let mut least = message
            .escaped_tag_lens()
            .map(|length| length.div_ceil(ESCAPE_BYTES));
        match least.find(|&least| least > self.limits.tag_bytes) {
            Some(least) => Err(self.tag_too_long(least)),
            None => Ok(()),
        }
    }

    fn tag_too_long(&self, value: usize) -> Refusal {
        LIMIT
            .tag_bytes
            .exceeded(value, self.limits.tag_bytes)
            .into()
    }
}

/// Whether tags are in order and without duplicates.
#[inline]
fn is_sorted_set(tags: &[Span], text: &[u8]) -> bool {
    let is_before = |one: &Span, other: &Span| {
        let (one, other) = (&text[one.range()], &text[other.range()]);
        // Most differ in the first byte.
        match (one.first(), other.first()) {
            (Some(first), Some(second)) if first != second => first < second,
            _ => one < other,
        }
    };
    tags.is_sorted_by(is_before)
}

/// Returns the tags sorted bytewise and without duplicates.
fn sorted_set<'a>(tags: &'a [Cow<'_, str>]) -> Vec<&'a str> {
    let mut set: Vec<_> = tags.iter().map(|tag| &**tag).collect();
    sort(&mut set);
    set.dedup();
    set
}
