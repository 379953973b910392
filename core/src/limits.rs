//! Owns the bounds that keep one client from hurting another; knows nothing of how they are enforced.
//!
//! Each stands in one place, the table below. What names it in a sentence, sets it from a configuration or lists it for
//! people comes from there.

use alloc::string::String;
use core::fmt;
use core::ops::RangeInclusive;

use crate::text::{Part, join, push, text};

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
    /// Things.
    Count,
    /// Things, or bytes, in a second.
    PerSecond,
}

/// What enforces a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeper {
    /// The broker, wherever it runs.
    Broker,
    /// The broker's host, with connections and a clock: a server.
    Host,
}

/// What there is to know of a limit besides its value in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Its name in a configuration: `message-bytes`.
    pub name: &'static str,
    /// What it is unless it is set.
    pub default: u64,
    /// What it counts.
    pub unit: Unit,
    /// What enforces it.
    keeper: Keeper,
    /// The least value that it takes.
    least: u64,
    /// The largest.
    most: u64,
    /// What a client is told that it has too much of, where [`Exceeded`] says so.
    told: &'static str,
}

impl Limit {
    /// Says that a value is over the limit, if it is.
    pub(crate) fn check(&self, value: usize, limit: usize) -> Result<(), Exceeded> {
        if value <= limit {
            return Ok(());
        }
        Err(self.exceeded(value, limit))
    }

    fn check_range(&self, value: u64) -> Result<(), String> {
        let Self {
            name, least, most, ..
        } = *self;
        match (least..=most).contains(&value) {
            true => Ok(()),
            false if least == 0 => Err(text![name, ": ", value, " is over ", most]),
            false => Err(text![
                name,
                ": ",
                value,
                " is not between ",
                least,
                " and ",
                most
            ]),
        }
    }

    pub(crate) fn exceeded(&self, value: usize, limit: usize) -> Exceeded {
        Exceeded {
            what: self.told,
            value,
            limit,
            setting: self.name,
        }
    }
}

/// Makes of the table what is needed of it: a field for each limit, its default, its setting, and what is said of it.
const fn count_of_broker(all: &[Limit]) -> usize {
    let mut count = 0;
    while matches!(all[count].keeper, Keeper::Broker) {
        count += 1;
    }
    count
}

/// The first of all, in memory of their own: a host that names these does not carry the others.
const fn of_broker<const COUNT: usize>(all: &[Limit]) -> [Limit; COUNT] {
    let mut some = [all[0]; COUNT];
    let mut place = 0;
    while place < COUNT {
        some[place] = all[place];
        place += 1;
    }
    some
}

/// The least and the largest value of a limit.
macro_rules! bounds {
    ($type:ident) => {
        (0, $type::MAX as u64)
    };
    ($type:ident, $range:expr) => {
        (*$range.start(), *$range.end())
    };
}

macro_rules! limits {
    ($($keeper:ident: {$(
        $(#[$about:meta])+
        $field:ident: $type:ident $([$range:expr])? = $default:expr, $unit:ident, $name:literal $(, $told:literal)?;
    )+})+) => {
        /// Every bound of a broker and its host, in one place.
        ///
        /// A trip of any of them is answered with a message that names the value, the limit and the setting.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Limits {
            $($($(#[$about])+ pub $field: $type,)+)+
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($($field: $default,)+)+ }
            }
        }

        /// What is to be known of each limit, by its field.
        pub(crate) struct Table {
            $($(#[allow(dead_code)] pub(crate) $field: Limit,)+)+
        }

        pub(crate) const LIMIT: Table = Table {
            $($($field: Limit {
                name: $name,
                default: $default as u64,
                unit: Unit::$unit,
                keeper: Keeper::$keeper,
                least: bounds!($type $(, $range)?).0,
                most: bounds!($type $(, $range)?).1,
                told: concat!($($told)?),
            },)+)+
        };

        impl Limits {
            /// All limits, as [`Limits::set`] takes them.
            pub const ALL: &'static [Limit] = &[$($(LIMIT.$field),+),+];

            /// Those that the broker itself keeps, wherever it runs: for a host without connections.
            pub const OF_BROKER: &'static [Limit] = &of_broker::<{ count_of_broker(Self::ALL) }>(Self::ALL);

            /// Sets the limit named as in a configuration file (`message-bytes`, `outbox-messages`, …).
            ///
            /// # Errors
            /// A sentence naming the setting when it is unknown, or the value when it does not fit.
            pub fn set(&mut self, setting: &str, value: u64) -> Result<(), String> {
                self.set_one_of(Self::ALL, setting, value)
            }

            /// As [`Limits::set`], for a host that knows only some: [`Limits::OF_BROKER`].
            ///
            /// # Errors
            /// As [`Limits::set`].
            pub fn set_one_of(&mut self, known: &[Limit], setting: &str, value: u64) -> Result<(), String> {
                let Some(place) = known.iter().position(|limit| limit.name == setting) else {
                    let known = join(known.iter().map(|limit| limit.name), ", ");
                    return Err(text!["unknown limit '", setting, "' (known: ", known, ")"]);
                };
                known[place].check_range(value)?;
                self.put(place, value);
                Ok(())
            }

            /// Sets the limit that stands at a place of the table, to a value that it takes.
            fn put(&mut self, place: usize, value: u64) {
                let mut left = place;
                $($(
                    if left == 0 {
                        self.$field = value as $type;
                    }
                    left = left.wrapping_sub(1);
                )+)+
            }
        }
    };
}

/// A rate in billionths of a second would be none.
const RATES: RangeInclusive<u64> = 0..=1_000_000_000;

limits! {
    Broker: {
        /// Bytes in one message: a TCP line, a WebSocket message or an HTTP body.
        // Positions inside a message are 31 bits wide.
        message_bytes: usize [0..=1 << 30] = 4 << 20, Bytes, "message-bytes", "bytes of one message";
        /// Bytes in one message of a session that has not authenticated where it has to.
        unauthenticated_bytes: usize = 4 << 10, Bytes, "unauthenticated-bytes", "bytes of one message";
        /// Seconds in which a session has to authenticate where it has to, from when its connection was made; 0 is no
        /// bound.
        authentication_seconds: u32 = 5, Seconds, "authentication-seconds";
        /// Open arrays and objects at any point of a message, from 2, which every message with tags needs, to 64.
        nesting: u8 [2..=64] = 16, Count, "nesting";
        /// Tags on a published message.
        tags_per_message: usize = 64, Count, "tags-per-message", "tags";
        /// Tags in one subscription.
        tags_per_subscription: usize = 32, Count, "tags-per-subscription", "tags";
        /// Bytes in one tag, decoded.
        tag_bytes: usize = 1024, Bytes, "tag-bytes", "bytes in a tag";
        /// Subscriptions one session may hold.
        subscriptions: usize = 65_536, Count, "subscriptions", "subscriptions";
        /// Subscriptions all sessions may hold together.
        subscriptions_total: usize = 10_000_000, Count, "subscriptions-total", "subscriptions of all sessions";
        /// Bytes that the subscriptions of one session may weigh: 64 for each, and 8 and the name's bytes for each of
        /// its tags.
        subscription_bytes: usize = 16 << 20, Bytes, "subscription-bytes", "bytes of subscriptions";
        /// Bytes of memory that the subscriptions of all sessions may take together; a tag's name counts once.
        subscription_total_bytes: usize = 1 << 30, Bytes, "subscription-total-bytes", "bytes of the subscriptions of all sessions";
        /// Invalid messages in a row before the session is closed.
        bad_messages: u8 [1..=255] = 16, Count, "bad-messages";
        /// Bytes in one token.
        token_bytes: usize = 4 << 10, Bytes, "token-bytes", "bytes in a token";
        /// Bytes that registered tokens and their tags may take where the broker keeps them itself.
        token_total_bytes: usize = 64 << 20, Bytes, "token-total-bytes", "bytes of registered tokens";
        /// Bytes waiting in one connection's outbox.
        outbox_bytes: usize = 8 << 20, Bytes, "outbox-bytes", "bytes of an answer";
    }
    Host: {
        /// Wrong tokens from one address, an IPv6 network of 64 bits counting as one, that are looked at without a
        /// wait; then it is one a second. 0 is no bound.
        failed_tokens: u32 = 5, Count, "failed-tokens";
        /// Bytes of messages that have not arrived whole yet, of all connections together.
        input_total_bytes: usize = 512 << 20, Bytes, "input-total-bytes";
        /// Messages waiting in one connection's outbox.
        outbox_messages: usize = 131_072, Count, "outbox-messages";
        /// Bytes waiting in all outboxes together. Over it, outboxes take no more than [`Limits::squeezed_bytes`] each.
        outbox_total_bytes: usize = 512 << 20, Bytes, "outbox-total-bytes";
        /// Connections open at once.
        connections: usize = 65_536, Count, "connections";
        /// Connections open at once from one address, an IPv6 network of 64 bits counting as one; 0 is no bound.
        connections_per_address: usize = 0, Count, "connections-per-address";
        /// Messages that one connection may publish in a second. For this and all rates that follow: as many at once
        /// after a second without any, and 0 is no bound. Up to a thousand millions, each.
        publishes_per_second: u32 [RATES] = 0, PerSecond, "publishes-per-second";
        /// The same for all connections together that go by tokens of one subject.
        publishes_per_second_per_subject: u32 [RATES] = 0, PerSecond, "publishes-per-second-per-subject";
        /// The same for all connections from one address, an IPv6 network of 64 bits counting as one.
        publishes_per_second_per_address: u32 [RATES] = 0, PerSecond, "publishes-per-second-per-address";
        /// Bytes of messages, as they are sent, that one connection may publish in a second. A larger message needs the
        /// credit of one second, and those behind it wait until it is paid.
        publish_bytes_per_second: u32 [RATES] = 0, PerSecond, "publish-bytes-per-second";
        /// The same for all connections of one subject.
        publish_bytes_per_second_per_subject: u32 [RATES] = 0, PerSecond, "publish-bytes-per-second-per-subject";
        /// The same for all connections from one address.
        publish_bytes_per_second_per_address: u32 [RATES] = 0, PerSecond, "publish-bytes-per-second-per-address";
        /// Subscriptions that one connection may make in a second.
        subscribes_per_second: u32 [RATES] = 0, PerSecond, "subscribes-per-second";
        /// The same for all connections of one subject.
        subscribes_per_second_per_subject: u32 [RATES] = 0, PerSecond, "subscribes-per-second-per-subject";
        /// The same for all connections from one address.
        subscribes_per_second_per_address: u32 [RATES] = 0, PerSecond, "subscribes-per-second-per-address";
        /// Connections that are let in in a second, of all clients together. Others wait in the system's queue.
        connects_per_second: u32 [RATES] = 0, PerSecond, "connects-per-second";
        /// Connections of one subject that are served in a second. Others wait, after their token was looked at.
        connects_per_second_per_subject: u32 [RATES] = 0, PerSecond, "connects-per-second-per-subject";
        /// Connections from one address that are let in in a second. Others are refused.
        connects_per_second_per_address: u32 [RATES] = 0, PerSecond, "connects-per-second-per-address";
        /// Seconds a socket may take nothing before it is closed.
        stall_seconds: u32 = 10, Seconds, "stall-seconds";
        /// Seconds between WebSocket pings; the answer is due within a third of it.
        heartbeat_seconds: u32 = 25, Seconds, "heartbeat-seconds";
        /// Seconds for the HTTP request head, for each pause in a request's body, and for a WebSocket upgrade. A body
        /// as a whole has as long, and a second more for each 64 KiB that have come.
        handshake_seconds: u32 = 10, Seconds, "handshake-seconds";
        /// Seconds a shutdown may take to flush what is queued.
        drain_seconds: u32 = 5, Seconds, "drain-seconds";
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
    /// reader that keeps up, so that only readers that do not keep up lose messages.
    #[must_use]
    pub fn squeezed_bytes(&self) -> usize {
        self.outbox_bytes.min(64 << 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_setting_can_be_set() {
        for limit in Limits::ALL {
            let (name, mut limits) = (limit.name, Limits::default());
            limits.set(name, limit.default).expect(name);
            assert_eq!(limits, Limits::default(), "the default of {name}");
            limits.set(name, 7).expect(name);
            assert_ne!(limits, Limits::default(), "{name} changed nothing");
            assert_eq!(
                name.ends_with("-bytes"),
                limit.unit == Unit::Bytes,
                "{name}"
            );
            assert_eq!(
                name.contains("-per-second"),
                limit.unit == Unit::PerSecond,
                "{name}"
            );
            assert_eq!(
                name.ends_with("-seconds"),
                limit.unit == Unit::Seconds,
                "{name}"
            );
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
