//! Owns the bounds that keep one client from hurting another; knows nothing of how they are enforced.

use alloc::string::String;
use core::fmt;

use crate::text::{Part, join, push, text};

/// Every bound of a broker and its host, in one place.
///
/// A trip of any of them is answered with a message that names the value, the limit and the setting.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes in one message: a TCP line, a WebSocket message or an HTTP body.
    pub message_bytes: usize,
    /// Bytes in one message of a session that has not authenticated where it has to.
    pub unauthenticated_bytes: usize,
    /// Seconds in which a session has to authenticate where it has to, from when its connection was made; 0 is no bound.
    pub authentication_seconds: u32,
    /// Wrong tokens from one address, an IPv6 network of 64 bits counting as one, that are looked at without a wait; then
    /// it is one a second. 0 is no bound.
    pub failed_tokens: u32,
    /// Open arrays and objects at any point of a message, from 2, which every message with tags needs, to 64.
    pub nesting: u8,
    /// Tags on a published message.
    pub tags_per_message: usize,
    /// Tags in one subscription.
    pub tags_per_subscription: usize,
    /// Bytes in one tag, decoded.
    pub tag_bytes: usize,
    /// Subscriptions one session may hold.
    pub subscriptions: usize,
    /// Subscriptions all sessions may hold together.
    pub subscriptions_total: usize,
    /// Bytes that the subscriptions of one session may weigh: 64 for each, and 8 and the name's bytes for each of its tags.
    pub subscription_bytes: usize,
    /// Bytes of memory that the subscriptions of all sessions may take together; a tag's name counts once.
    pub subscription_total_bytes: usize,
    /// Invalid messages in a row before the session is closed.
    pub bad_messages: u8,
    /// Bytes in one token.
    pub token_bytes: usize,
    /// Bytes that registered tokens and their tags may take where the broker keeps them itself.
    pub token_total_bytes: usize,
    /// Bytes of messages that have not arrived whole yet, of all connections together.
    pub input_total_bytes: usize,
    /// Messages waiting in one connection's outbox.
    pub outbox_messages: usize,
    /// Bytes waiting in one connection's outbox.
    pub outbox_bytes: usize,
    /// Bytes waiting in all outboxes together. Over it, outboxes take no more than [`Limits::squeezed_bytes`] each.
    pub outbox_total_bytes: usize,
    /// Connections open at once.
    pub connections: usize,
    /// Connections open at once from one address, an IPv6 network of 64 bits counting as one; 0 is no bound.
    pub connections_per_address: usize,
    /// Seconds a socket may take nothing before it is closed.
    pub stall_seconds: u32,
    /// Seconds between WebSocket pings; the answer is due within a third of it.
    pub heartbeat_seconds: u32,
    /// Seconds for the HTTP request head, for each pause in a request's body, and for a WebSocket upgrade. A body as a whole
    /// has as long, and a second more for each 64 KiB that have come.
    pub handshake_seconds: u32,
    /// Seconds a shutdown may take to flush what is queued.
    pub drain_seconds: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 4 << 20,
            unauthenticated_bytes: 4 << 10,
            authentication_seconds: 5,
            failed_tokens: 5,
            nesting: 16,
            tags_per_message: 64,
            tags_per_subscription: 32,
            tag_bytes: 1024,
            subscriptions: 65_536,
            subscriptions_total: 10_000_000,
            subscription_bytes: 16 << 20,
            subscription_total_bytes: 1 << 30,
            bad_messages: 16,
            token_bytes: 4 << 10,
            token_total_bytes: 64 << 20,
            input_total_bytes: 512 << 20,
            outbox_messages: 131_072,
            outbox_bytes: 8 << 20,
            outbox_total_bytes: 512 << 20,
            connections: 65_536,
            connections_per_address: 0,
            stall_seconds: 10,
            heartbeat_seconds: 25,
            handshake_seconds: 10,
            drain_seconds: 5,
        }
    }
}

/// A limit that a message went over: what was counted, how much, how much is allowed, and the setting's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// What was counted, as a noun in the plural: `tags`, `bytes`.
    pub what: &'static str,
    /// The value that was seen.
    pub value: usize,
    /// The value that is allowed.
    pub limit: usize,
    /// The field of [`Limits`], spelled as the setting is.
    pub setting: &'static str,
}

impl Part for Exceeded {
    fn push_to(&self, text: &mut String) {
        let Self {
            what,
            value,
            limit,
            setting,
        } = self;
        push!(
            text,
            value,
            " ",
            what,
            " exceed the limit of ",
            limit,
            " (",
            setting,
            ")"
        )
    }
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text![self])
    }
}

impl Limits {
    /// Sets the limit named as in a configuration file (`message-bytes`, `outbox-messages`, …).
    ///
    /// # Errors
    /// A sentence naming the setting when it is unknown, or the value when it does not fit.
    pub fn set(&mut self, setting: &str, value: u64) -> Result<(), String> {
        let size =
            || usize::try_from(value).map_err(|_| text![setting, ": ", value, " is too large"]);
        let short =
            || u32::try_from(value).map_err(|_| text![setting, ": ", value, " is too large"]);
        let byte = |least: u8, most: u8| match u8::try_from(value) {
            Ok(value) if (least..=most).contains(&value) => Ok(value),
            _ => Err(text![
                setting,
                ": ",
                value,
                " is not between ",
                least,
                " and ",
                most
            ]),
        };
        match setting {
            // Positions inside a message are 31 bits wide.
            "message-bytes" if value > 1 << 30 => {
                return Err(text![setting, ": ", value, " is over 1073741824 (1 GiB)"]);
            }
            "message-bytes" => self.message_bytes = size()?,
            "unauthenticated-bytes" => self.unauthenticated_bytes = size()?,
            "authentication-seconds" => self.authentication_seconds = short()?,
            "failed-tokens" => self.failed_tokens = short()?,
            "nesting" => self.nesting = byte(2, 64)?,
            "tags-per-message" => self.tags_per_message = size()?,
            "tags-per-subscription" => self.tags_per_subscription = size()?,
            "tag-bytes" => self.tag_bytes = size()?,
            "subscriptions" => self.subscriptions = size()?,
            "subscriptions-total" => self.subscriptions_total = size()?,
            "subscription-bytes" => self.subscription_bytes = size()?,
            "subscription-total-bytes" => self.subscription_total_bytes = size()?,
            "token-bytes" => self.token_bytes = size()?,
            "token-total-bytes" => self.token_total_bytes = size()?,
            "input-total-bytes" => self.input_total_bytes = size()?,
            "bad-messages" => self.bad_messages = byte(1, 255)?,
            "outbox-messages" => self.outbox_messages = size()?,
            "outbox-bytes" => self.outbox_bytes = size()?,
            "outbox-total-bytes" => self.outbox_total_bytes = size()?,
            "connections" => self.connections = size()?,
            "connections-per-address" => self.connections_per_address = size()?,
            "stall-seconds" => self.stall_seconds = short()?,
            "heartbeat-seconds" => self.heartbeat_seconds = short()?,
            "handshake-seconds" => self.handshake_seconds = short()?,
            "drain-seconds" => self.drain_seconds = short()?,
            _ => {
                let known = join(Self::SETTINGS.iter().copied(), ", ");
                return Err(text!["unknown limit '", setting, "' (known: ", known, ")"]);
            }
        }
        Ok(())
    }

    /// The bounds for a session that has not authenticated where it has to.
    #[must_use]
    pub fn before_authentication(&self) -> Self {
        Self {
            message_bytes: self.message_bytes.min(self.unauthenticated_bytes),
            ..self.clone()
        }
    }

    /// What subscriptions weigh that have so many tags, with names of so many bytes.
    pub(crate) fn subscription_weight(count: usize, tags: usize, name_bytes: usize) -> usize {
        64 * count + 8 * tags + name_bytes
    }

    /// Bytes that may wait in one outbox while all together are over [`Limits::outbox_total_bytes`]: enough for a
    /// reader that keeps up, so that only those who do not lose messages.
    #[must_use]
    pub fn squeezed_bytes(&self) -> usize {
        self.outbox_bytes.min(64 << 10)
    }

    /// The names that [`Limits::set`] takes.
    pub const SETTINGS: &'static [&'static str] = &[
        "message-bytes",
        "unauthenticated-bytes",
        "authentication-seconds",
        "failed-tokens",
        "nesting",
        "tags-per-message",
        "tags-per-subscription",
        "tag-bytes",
        "subscriptions",
        "subscriptions-total",
        "subscription-bytes",
        "subscription-total-bytes",
        "bad-messages",
        "token-bytes",
        "token-total-bytes",
        "input-total-bytes",
        "outbox-messages",
        "outbox-bytes",
        "outbox-total-bytes",
        "connections",
        "connections-per-address",
        "stall-seconds",
        "heartbeat-seconds",
        "handshake-seconds",
        "drain-seconds",
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_setting_can_be_set() {
        for setting in Limits::SETTINGS {
            let mut limits = Limits::default();
            limits.set(setting, 7).expect(setting);
            assert_ne!(limits, Limits::default(), "{setting} changed nothing");
        }
    }

    #[test]
    fn an_unknown_setting_is_named_with_the_known_ones() {
        let error = Limits::default().set("tag-byte", 7).expect_err("unknown");
        assert!(
            error.contains("'tag-byte'") && error.contains("tag-bytes"),
            "{error}"
        );
    }
}
