//! Names as they are written (Namespaces in XML 1.0 §4).

use crate::XmlError;

/// A qualified name.
pub(crate) struct QName<'a> {
    pub prefix: &'a str,
    pub local: &'a str,
    /// Offset after the name.
    pub end: usize,
}

const NO_NAME: XmlError = XmlError::NotWellFormed("no name");

/// Reads the name that starts at `at`. ASCII only, see [`XmlError::NameNotAscii`].
#[inline]
pub(crate) fn read(text: &str, at: usize) -> Result<QName<'_>, XmlError> {
    let bytes = text.as_bytes().get(at..).unwrap_or_default();
    let length = part_length(bytes)?;
    match bytes.get(length) {
        Some(b':') => {}
        Some(0x80..) => return Err(XmlError::NameNotAscii),
        Some(_) | None => {
            let local = text.get(at..at + length).unwrap_or_default();
            return Ok(QName { prefix: "", local, end: at + length });
        }
    }
    let after = bytes.get(length + 1..).unwrap_or_default();
    let local_length = part_length(after)?;
    match after.get(local_length) {
        Some(b':') => return Err(XmlError::NotWellFormed("two colons in a name")),
        Some(0x80..) => return Err(XmlError::NameNotAscii),
        Some(_) | None => {}
    }
    let colon = at + length;
    let end = colon + 1 + local_length;
    let prefix = text.get(at..colon).unwrap_or_default();
    Ok(QName { prefix, local: text.get(colon + 1..end).unwrap_or_default(), end })
}

/// The length of what stands before or after a colon; at least one.
#[inline]
fn part_length(bytes: &[u8]) -> Result<usize, XmlError> {
    match bytes.first() {
        Some(b'a'..=b'z' | b'A'..=b'Z' | b'_') => Ok(name_length(bytes)),
        Some(0x80..) => Err(XmlError::NameNotAscii),
        Some(_) | None => Err(NO_NAME),
    }
}

#[inline]
fn name_length(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| IS_NAME[usize::from(**byte)]).count()
}

const IS_NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        let character = byte as u8;
        table[byte] = character.is_ascii_alphanumeric() || matches!(character, b'-' | b'.' | b'_');
        byte += 1;
    }
    table
};

/// How much white space `bytes` begin with (XML 1.0 §2.3).
#[inline]
pub(crate) fn white_space_length(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(&str, &str, usize), XmlError> {
        read(text, 0).map(|name| (name.prefix, name.local, name.end))
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
