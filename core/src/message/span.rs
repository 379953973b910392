//! Owns the places of strings in a message's text.

use alloc::borrow::Cow;
use alloc::string::String;
use core::cmp::Ordering;
use core::ops::Range;

use super::string::decode_into;

/// The place of a string literal's content in the text, without its quotes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Span {
    start: u32,
    /// The end, with the highest bit set when the content has escapes.
    end: u32,
}

const ESCAPED: u32 = 1 << 31;

impl Span {
    pub(super) fn new(start: usize, end: usize, escaped: bool) -> Self {
        // The host hands over at most a buffer of messages within `Limits::message_bytes`, far below 2 GiB.
        let flag = if escaped { ESCAPED } else { 0 };
        Self {
            start: start as u32,
            end: end as u32 | flag,
        }
    }

    #[inline]
    pub(crate) fn range(self) -> Range<usize> {
        self.start as usize..(self.end & !ESCAPED) as usize
    }

    /// How many bytes it is long as it stands.
    #[inline]
    pub(crate) fn len(self) -> usize {
        self.range().len()
    }

    pub(super) fn is_escaped(self) -> bool {
        self.end & ESCAPED != 0
    }

    /// The bytewise order of what stands in `text` at two places, each with its [`Span::prefix`].
    #[inline]
    pub(crate) fn order(a: &(u64, Self), b: &(u64, Self), text: &[u8]) -> Ordering {
        // Most differ in their first bytes.
        let rest = || text[a.1.range()].cmp(&text[b.1.range()]);
        a.0.cmp(&b.0).then_with(rest)
    }

    /// The first bytes as a number that is ordered as they are; behind the end there are zeros.
    #[inline]
    pub(crate) fn prefix(self, text: &[u8]) -> u64 {
        let range = self.range();
        match text.get(range.start..).and_then(|rest| rest.first_chunk()) {
            Some(word) => {
                let beyond = 64 - 8 * range.len().min(8) as u32;
                u64::from_be_bytes(*word) & u64::MAX.checked_shl(beyond).unwrap_or(0)
            }
            None => {
                let bytes = text[range].iter().chain(&[0; 8]).take(8);
                bytes.fold(0, |word, &byte| word << 8 | u64::from(byte))
            }
        }
    }

    /// What stands there in `text`, decoded.
    pub(super) fn decoded(self, text: &str) -> Cow<'_, str> {
        let content = &text[self.range()];
        if !self.is_escaped() {
            return Cow::Borrowed(content);
        }
        let mut decoded = String::with_capacity(content.len());
        decode_into(content, &mut decoded);
        Cow::Owned(decoded)
    }
}
