//! Owns what a client is told whose command was refused.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use super::{Data, Message, Reply};
use crate::error::Refusal;

/// Longer texts are not repeated in an answer.
const ECHO_BYTES: usize = 64 << 10;

/// The tags of a message as an answer repeats them.
pub(crate) fn echoed_tags<'a>(message: &Message<'a>) -> impl Iterator<Item = Cow<'a, str>> {
    let is_short = message.tags_text().len() <= ECHO_BYTES;
    message.tags().take(if is_short { usize::MAX } else { 0 })
}

/// Writes the answer to a command that was refused. It repeats the tags, and the data of an unknown command, as the
/// original does; never the data of a command whose data is a token, nor more tags than are allowed.
pub(crate) fn write_refusal(message: &Message<'_>, refusal: &Refusal, out: &mut Vec<u8>) {
    let tags: Vec<_> = match refusal {
        Refusal::Exceeded(_) => Vec::new(),
        _ => echoed_tags(message).collect(),
    };
    let tags: Vec<_> = tags.iter().map(|tag| &**tag).collect();
    let data = match refusal {
        Refusal::Unknown if !message.command().is_admin() => message.data_literal(),
        _ => None,
    };
    let data = data.filter(|data| data.len() <= ECHO_BYTES);
    Reply {
        command: &message.command_name(),
        tags: &tags,
        data: data.map_or(Data::None, Data::Literal),
        error: Some(&refusal.told()),
        id: message.id_literal(),
        ..Reply::default()
    }
    .write(out);
}
