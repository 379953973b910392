//! Owns the publish in the forms that client libraries write: the grammar of `grammar` with the choices taken out.

use super::command::Command;
use super::scan::Scan;
use super::span::Span;
use super::string::literal_end;
use crate::limits::Limits;

/// What stands around the tags and before the data of a publish, as clients write it that put its fields in the documented
/// order.
struct Form {
    head: &'static [u8],
    between: &'static [u8],
    data: &'static [u8],
}

/// As most libraries write JSON.
const COMPACT: Form = Form {
    head: br#"{"command":"publish","tags":[""#,
    between: br#"",""#,
    data: br#""],"data":""#,
};
/// As the others do, that of Python before all.
const SPACED: Form = Form {
    head: br#"{"command": "publish", "tags": [""#,
    between: br#"", ""#,
    data: br#""], "data": ""#,
};

impl Scan {
    /// Reads a publish in the forms that client libraries write, straight from a buffer of many lines.
    ///
    /// Returns the position behind its line's end, or `None` when the line has any other form: then [`Scan::scan`]
    /// decides. It is the same grammar with the choices taken out.
    #[inline]
    pub fn scan_publish_line(&mut self, text: &str, at: usize, limits: &Limits) -> Option<usize> {
        let rest = text.as_bytes().get(at..)?;
        if rest.starts_with(COMPACT.head) {
            let end = self.scan_form(&COMPACT, text, at, limits)?;
            // Empty data is left out of what is delivered.
            let has_data = self.data.is_some_and(|data| data.len() > 0);
            self.compact = has_data.then_some(at..end - 1);
            Some(end)
        } else if rest.starts_with(SPACED.head) {
            self.compact = None;
            self.scan_form(&SPACED, text, at, limits)
        } else {
            None
        }
    }

    /// Compiled for each form, but not in WebAssembly, where the code is downloaded.
    #[cfg_attr(not(target_family = "wasm"), inline(always))]
    fn scan_form(&mut self, form: &Form, text: &str, at: usize, limits: &Limits) -> Option<usize> {
        let bytes = text.as_bytes();
        self.tags.clear();
        self.has_escaped_tags = false;
        let mut at = at + form.head.len();
        let tags_start = at - 2;
        loop {
            let (end, escaped) = literal_end(bytes, at)?;
            if self.tags.len() == limits.tags_per_message {
                return None;
            }
            self.tags.push(Span::new(at, end, escaped));
            self.has_escaped_tags |= escaped;
            at = end;
            if !bytes[at..].starts_with(form.between) {
                break;
            }
            at += form.between.len();
        }
        if !bytes[at..].starts_with(form.data) {
            return None;
        }
        self.tags_text = tags_start..at + 2;
        let data = at + form.data.len();
        let (end, escaped) = literal_end(bytes, data)?;
        if bytes.get(end + 1..end + 3)? != b"}\n" {
            return None;
        }
        self.command = None;
        self.kind = Command::Publish;
        self.tag_count = self.tags.len();
        self.data = Some(Span::new(data, end, escaped));
        self.id = None;
        self.error = None;
        self.rare.clear();
        Some(end + 3)
    }
}
