//! Owns reading the files that people write: settings, tokens, certificates and keys. It must not know what is in them.

use std::io::{self, ErrorKind};
use std::path::Path;

/// What some editors put in front of UTF-8 text.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Reads a file of text in whatever ASCII is a part of, without a byte order mark.
///
/// # Errors
/// What the system says, or that the text is UTF-16.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = std::fs::read(path)?;
    if bytes.starts_with(BYTE_ORDER_MARK) {
        bytes.drain(..BYTE_ORDER_MARK.len());
    }
    // What Windows calls Unicode; such a file has no readable line.
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(io::Error::new(
            ErrorKind::InvalidData,
            "it is UTF-16; save it as UTF-8",
        ));
    }
    Ok(bytes)
}

/// Reads a file of UTF-8 text, without a byte order mark.
///
/// # Errors
/// What the system says, or where the text is not UTF-8.
pub fn read_text(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path)?).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        let text = format!("line {line} is not UTF-8; save it as UTF-8");
        io::Error::new(ErrorKind::InvalidData, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), bytes).expect("written");
        file
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_text() {
        for (bytes, text) in [
            (&b"\xef\xbb\xbfa\xef\xbb\xbf"[..], "a\u{feff}"),
            (b"a", "a"),
            (b"\xef\xbb\xbf", ""),
            (b"", ""),
        ] {
            let file = file(bytes);
            assert_eq!(read_text(file.path()).expect("text"), text);
            assert_eq!(read(file.path()).expect("text"), text.as_bytes());
        }
    }

    #[test]
    fn another_encoding_is_named() {
        for bytes in [&b"\xff\xfea\0"[..], b"\xfe\xff\0a"] {
            let file = file(bytes);
            for error in [read(file.path()).err(), read_text(file.path()).err()] {
                let error = error.expect("UTF-16").to_string();
                assert!(error.contains("UTF-16"), "{error}");
            }
        }
        let latin = file(b"a: b\nc: \xe9\n");
        assert_eq!(read(latin.path()).expect("bytes").len(), 10);
        let error = read_text(latin.path()).expect_err("not UTF-8").to_string();
        assert!(error.contains("line 2 is not UTF-8"), "{error}");
    }
}
