//! Owns what a message is: its fields, how they are read and how they are written; knows nothing of sessions.
//!
//! A message is one JSON object with the fields `command`, `tags`, `data` and `error`, and optionally `id`.
//! Its `data` is opaque: the literal that came in is the literal that goes out, byte for byte.
//!
//! Reading goes from bytes to lines (`lines`), to the places of the fields (`scan`, by `grammar` on top of `json` or, for what most
//! clients write, by `forms`), to a view of them (`view`). Writing is in `encode`; what is said when something is wrong
//! in `fault`, `refusal` and `notices`. No file here needs one that needs it.

mod command;
mod encode;
mod fault;
mod forms;
mod grammar;
mod json;
mod lines;
mod members;
mod notices;
mod refusal;
mod registered;
mod scan;
mod span;
mod string;
#[cfg(test)]
mod tests;
mod view;

pub use command::Command;
pub(crate) use encode::{
    Data, Reply, Writer, write_head, write_plain_head, write_plain_tags, write_rest, write_tags,
};
pub use encode::{Request, encode_publish, encode_request};
pub use fault::ScanError;
pub use lines::{Messages, Unreadable};
pub use members::NodeInfo;
pub(crate) use members::write_members;
pub use notices::{
    dropped_lines, dropped_notice, input_full, message_over_rate, rate_exceeded, throttled_notice,
    tls_required, too_many_connections, too_many_of_address,
};
pub(crate) use notices::{
    not_authenticated, token_ended, too_many_bad_messages, too_many_wrong_tokens,
};
pub(crate) use refusal::{Refusal, echoed_tags, write_refusal};
pub use registered::RegisteredToken;
pub(crate) use registered::write_registered;
pub use scan::Scan;
pub(crate) use span::Span;
pub(crate) use string::{ESCAPE_BYTES, escaped_len, write_escaped, write_string};
pub use view::Message;
