//! Names as they are written (Namespaces in XML 1.0 §4).

use crate::XmlError;
use crate::lanes::{Lanes, window};

/// Where a qualified name stands.
#[derive(Clone, Copy)]
pub(crate) struct QName {
    pub start: usize,
    pub colon: Option<usize>,
    pub end: usize,
}

impl QName {
    /// Where the part after the colon starts.
    #[inline(always)]
    pub fn local_start(self) -> usize {
        self.colon.map_or(self.start, |colon| colon + 1)
    }
}

const NO_NAME: XmlError = XmlError::NotWellFormed("no name");

/// Reads the name that starts at `at`. ASCII only, see [`XmlError::NameNotAscii`].
#[inline(always)]
pub(crate) fn read(bytes: &[u8], at: usize) -> Result<QName, XmlError> {
    let end = part_end(bytes, at)?;
    match bytes.get(end) {
        Some(b':') => read_local(bytes, at, end),
        Some(0x80..) => Err(XmlError::NameNotAscii),
        Some(_) | None => Ok(QName { colon: None, start: at, end }),
    }
}

#[inline(never)]
fn read_local(bytes: &[u8], start: usize, colon: usize) -> Result<QName, XmlError> {
    let end = part_end(bytes, colon + 1)?;
    match bytes.get(end) {
        Some(b':') => Err(XmlError::NotWellFormed("two colons in a name")),
        Some(0x80..) => Err(XmlError::NameNotAscii),
        Some(_) | None => Ok(QName { start, colon: Some(colon), end }),
    }
}

/// Where what stands before or after a colon ends; it is not empty.
#[inline(always)]
fn part_end(bytes: &[u8], at: usize) -> Result<usize, XmlError> {
    match bytes.get(at) {
        Some(b'a'..=b'z' | b'A'..=b'Z' | b'_') => {}
        Some(0x80..) => return Err(XmlError::NameNotAscii),
        Some(_) | None => return Err(NO_NAME),
    }
    // Mostly it ends within the first window.
    match window(bytes, at).map(|lanes| !names_in(lanes).mask() & 0xFFFF) {
        Some(others) if others != 0 => Ok(at + others.trailing_zeros() as usize),
        Some(_) | None => Ok(long_part_end(bytes, at)),
    }
}

#[inline(never)]
fn long_part_end(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| is_name(**byte)).count()
}

/// Marks the bytes that a name may hold.
#[inline(always)]
fn names_in(lanes: Lanes) -> Lanes {
    let letters = lanes.or(Lanes::splat(0x20)).between(b'a', b'z');
    let others = lanes.between(b'-', b'.').or(lanes.is(b'_'));
    letters.or(lanes.between(b'0', b'9')).or(others)
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
}

/// How much white space `bytes` begin with (XML 1.0 §2.3).
#[inline]
pub(crate) fn white_space_length(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Prefix, local name and end, the same in a short text as in a long one.
    fn check(text: &str) -> Result<(&str, &str, usize), XmlError> {
        let parts = |name: QName| match name.colon {
            Some(colon) => (&text[..colon], &text[colon + 1..name.end], name.end),
            None => ("", &text[..name.end], name.end),
        };
        let short = read(text.as_bytes(), 0).map(parts);
        let padded = format!("{text}>{}", " ".repeat(64));
        let long = read(padded.as_bytes(), 0).map(parts);
        assert_eq!(short, long);
        short
    }

    #[test]
    fn a_byte_is_part_of_a_name_or_not_whichever_way_it_is_asked() {
        for byte in 0..=u8::MAX {
            let lanes = Lanes::load(&[byte; 16]);
            assert_eq!(names_in(lanes).mask() == 0xFFFF, is_name(byte), "{byte}");
        }
    }

    #[test]
    fn a_name_may_be_long() {
        for length in 1..70 {
            let name = "n".repeat(length);
            assert_eq!(check(&name), Ok(("", name.as_str(), length)));
        }
    }

    #[test]
    fn a_name_may_have_one_prefix() {
        assert_eq!(check("body>"), Ok(("", "body", 4)));
        assert_eq!(check("xml:lang='en'"), Ok(("xml", "lang", 8)));
        assert_eq!(check("a-b.c_1"), Ok(("", "a-b.c_1", 7)));
        assert_eq!(check("_"), Ok(("", "_", 1)));
        for text in ["", ">", ":a", "a:", "a:b:c", "1a", "-a", "a:1", ".a", " a"] {
            assert!(matches!(check(text), Err(XmlError::NotWellFormed(_))), "{text}");
        }
    }

    #[test]
    fn names_beyond_ascii_are_refused() {
        for text in ["é", "aé", "a:é", "a:bé", "é:a"] {
            assert_eq!(check(text), Err(XmlError::NameNotAscii), "{text}");
        }
    }
}
