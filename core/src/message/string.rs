//! Owns JSON string literals: finding their end, decoding and writing them; knows nothing of objects.

use alloc::string::String;
use alloc::vec::Vec;

use super::fault::{Bad, Fault, bad};

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Marks the bytes of `word` that end a plain run: a quote, a backslash or a control character.
///
/// Borrows can mark bytes above the first true one, never below it, so only the lowest mark is read.
fn specials(word: u64) -> u64 {
    let zero = |word: u64| word.wrapping_sub(ONES) & !word;
    let quote = zero(word ^ (ONES * b'"' as u64));
    let backslash = zero(word ^ (ONES * b'\\' as u64));
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (quote | backslash | control) & HIGHS
}

/// Whether a control character stands in a text; written so that it compiles to vector code.
fn has_control(text: &[u8]) -> bool {
    let (blocks, rest) = text.as_chunks::<16>();
    let mut least = [u8::MAX; 16];
    // The last block reaches back to make the rest a whole one, where the text is long enough.
    let last = text.last_chunk::<16>();
    for block in blocks.iter().chain(last) {
        for (least, byte) in least.iter_mut().zip(block) {
            *least = (*least).min(*byte);
        }
    }
    let rest = if last.is_some() { &[] } else { rest };
    least.iter().chain(rest).any(|&byte| byte < 0x20)
}

/// Returns the position of the first quote, backslash or control character at or after `at`.
#[inline(always)]
fn plain_until(text: &[u8], at: usize) -> usize {
    // Short strings, nearly all tags, end within the first word.
    if let Some(word) = text.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let marks = specials(u64::from_le_bytes(*word));
        if marks != 0 {
            return at + (marks.trailing_zeros() / 8) as usize;
        }
    }
    plain_until_far(text, at)
}

/// The same for long strings, by two searches that compile to vector code.
///
/// Each step searches further, but never much further than the plain part: so a caller that looks for one special byte
/// after another does not search the rest of a long text each time.
#[inline(never)]
fn plain_until_far(text: &[u8], mut at: usize) -> usize {
    let mut width = 256;
    loop {
        let rest = text.get(at..).unwrap_or_default();
        let window = &rest[..rest.len().min(width)];
        let end = memchr::memchr2(b'"', b'\\', window).unwrap_or(window.len());
        let plain = &window[..end];
        if has_control(plain) {
            let control = plain.iter().position(|&byte| byte < 0x20);
            return at + control.unwrap_or(end);
        }
        at += end;
        if end < window.len() || window.len() == rest.len() {
            return at;
        }
        width *= 2;
    }
}

/// Finds the end of the literal whose content starts at `start`: the closing quote's position, and whether it has
/// escapes.
pub(super) fn content_end(text: &[u8], start: usize) -> Result<(usize, bool), Bad> {
    let mut at = start;
    let mut escaped = false;
    loop {
        at = plain_until(text, at);
        match text.get(at) {
            Some(b'"') => return Ok((at, escaped)),
            Some(b'\\') => {
                escaped = true;
                at = escape_end(text, at)?;
            }
            Some(_) => return Err(bad(at, Fault::ControlCharacter)),
            None => return Err(bad(at, Fault::UnexpectedEnd)),
        }
    }
}

/// As [`content_end`], without saying what is wrong.
#[inline]
pub(super) fn literal_end(text: &[u8], start: usize) -> Option<(usize, bool)> {
    let end = plain_until(text, start);
    match text.get(end) {
        Some(b'"') => Some((end, false)),
        Some(b'\\') => content_end(text, end).ok(),
        _ => None,
    }
}

/// The most bytes that stand for one: `\u0041`. Characters of more bytes take fewer for each.
pub(crate) const ESCAPE_BYTES: usize = 6;

/// Returns the position behind the escape that starts at `at`.
fn escape_end(text: &[u8], at: usize) -> Result<usize, Bad> {
    match text.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') => {
            let unit = hex4(text, at + 2).ok_or((at, Fault::BadEscape))?;
            match unit {
                0xD800..=0xDBFF => {
                    let low = (text.get(at + 6..at + 8) == Some(b"\\u"))
                        .then(|| hex4(text, at + 8))
                        .flatten();
                    match low {
                        Some(0xDC00..=0xDFFF) => Ok(at + 12),
                        _ => Err(bad(at, Fault::LoneSurrogate)),
                    }
                }
                0xDC00..=0xDFFF => Err(bad(at, Fault::LoneSurrogate)),
                _ => Ok(at + 6),
            }
        }
        Some(_) => Err(bad(at, Fault::BadEscape)),
        None => Err(bad(at + 1, Fault::UnexpectedEnd)),
    }
}

fn hex4(text: &[u8], at: usize) -> Option<u32> {
    let digits = text.get(at..at + 4)?;
    digits.iter().try_fold(0, |value, &digit| {
        Some(value << 4 | char::from(digit).to_digit(16)?)
    })
}

/// Appends the decoded form of a literal's content that [`content_end`] has accepted.
pub(super) fn decode_into(content: &str, out: &mut String) {
    let mut rest = content;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        let escape = &rest.as_bytes()[at..];
        let (decoded, width) = match escape[1] {
            b'b' => ('\u{8}', 2),
            b'f' => ('\u{c}', 2),
            b'n' => ('\n', 2),
            b'r' => ('\r', 2),
            b't' => ('\t', 2),
            b'u' => unicode_escape(escape),
            plain => (char::from(plain), 2),
        };
        out.push(decoded);
        rest = &rest[at + width..];
    }
    out.push_str(rest);
}

fn unicode_escape(escape: &[u8]) -> (char, usize) {
    let high = hex4(escape, 2).unwrap_or(0xFFFD);
    if (0xD800..0xDC00).contains(&high) {
        let low = hex4(escape, 8).unwrap_or(0xDC00);
        let scalar = 0x1_0000 + ((high - 0xD800) << 10) + (low & 0x3FF);
        (char::from_u32(scalar).unwrap_or('\u{FFFD}'), 12)
    } else {
        (char::from_u32(high).unwrap_or('\u{FFFD}'), 6)
    }
}

/// Appends `text` as a JSON string literal with the fewest escapes JSON allows.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    write_escaped(out, text.as_bytes());
    out.push(b'"');
}

/// Appends what stands between the quotes of such a literal. `text` is UTF-8, or a part of it.
pub(crate) fn write_escaped(out: &mut Vec<u8>, text: &[u8]) {
    let mut from = 0;
    loop {
        let at = plain_until(text, from);
        out.extend_from_slice(&text[from..at]);
        let Some(&special) = text.get(at) else { break };
        match special {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0C => out.extend_from_slice(b"\\f"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            control => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(control >> 4)]);
                out.push(HEX[usize::from(control & 15)]);
            }
        }
        from = at + 1;
    }
}

/// How many bytes [`write_escaped`] appends; written so that a text full of escapes takes no longer than another.
pub(crate) fn escaped_len(text: &str) -> usize {
    let length = |byte: u8| {
        let is_control = byte < 0x20;
        let is_escaped = is_control | (byte == b'"') | (byte == b'\\');
        let is_short = matches!(byte, 0x08 | 0x0C | b'\n' | b'\r' | b'\t');
        1 + usize::from(is_escaped) + 4 * usize::from(is_control & !is_short)
    };
    text.bytes().map(length).sum()
}
