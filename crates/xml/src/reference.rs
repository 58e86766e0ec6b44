//! Character and entity references, and the white space that XML normalises.

use std::borrow::Cow;

use crate::XmlError;

/// What a reference stands for, and how long it is from `&` to `;`.
pub(crate) struct Reference {
    pub character: char,
    pub length: usize,
    /// Whether canonical stanzas may hold it as it is written (see the crate's documentation).
    pub is_canonical: bool,
}

const PREDEFINED: [(&[u8], char); 5] =
    [(b"amp;", '&'), (b"lt;", '<'), (b"gt;", '>'), (b"quot;", '"'), (b"apos;", '\'')];

/// Reads the reference at the start of `bytes`, which begins with `&` (XML 1.0 §4.1).
pub(crate) fn read(bytes: &[u8]) -> Result<Reference, XmlError> {
    let after = bytes.get(1..).unwrap_or_default();
    if let Some(number) = after.strip_prefix(b"#") {
        return read_number(number);
    }
    for (name, character) in PREDEFINED {
        if after.starts_with(name) {
            return Ok(Reference { character, length: 1 + name.len(), is_canonical: true });
        }
    }
    let name = after.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    if name > 0 && after.get(name) == Some(&b';') {
        return Err(XmlError::RestrictedXml("entity reference"));
    }
    Err(XmlError::NotWellFormed("stray ampersand"))
}

/// Reads what follows `&#`.
fn read_number(number: &[u8]) -> Result<Reference, XmlError> {
    let (radix, skipped) = if number.first() == Some(&b'x') { (16, 1) } else { (10, 0) };
    let mut code = 0u32;
    let mut length = skipped;
    for byte in number.iter().skip(skipped) {
        length += 1;
        if *byte == b';' {
            break;
        }
        let Some(digit) = char::from(*byte).to_digit(radix) else {
            return Err(XmlError::NotWellFormed("character reference"));
        };
        // Beyond the last character there is no way back, however many digits follow.
        code = code.saturating_mul(radix).saturating_add(digit);
    }
    let has_digits = length > skipped + 1;
    if !has_digits || number.get(length - 1) != Some(&b';') {
        return Err(XmlError::NotWellFormed("character reference"));
    }
    let character = char::from_u32(code).filter(|character| is_xml_character(*character));
    let character = character.ok_or(XmlError::NotWellFormed("reference to no character"))?;
    let is_canonical = matches!(number.get(..length), Some(b"9;" | b"10;" | b"13;"));
    Ok(Reference { character, length: 2 + length, is_canonical })
}

/// The characters a document may hold (XML 1.0 §2.2).
pub(crate) fn is_xml_character(character: char) -> bool {
    match character {
        '\t' | '\n' | '\r' => true,
        '\u{FFFE}' | '\u{FFFF}' => false,
        _ => character >= ' ',
    }
}

/// Resolves the references of a valid attribute value or text. Nothing is allocated where there is
/// none.
pub fn unescape(raw: &str) -> Cow<'_, str> {
    rewrite(raw, b"&", reference_or_literal)
}

/// Resolves references and turns white space into spaces (XML 1.0 §3.3.3).
pub(crate) fn unescape_attribute(raw: &str) -> Cow<'_, str> {
    rewrite(raw, b"&\t\n\r", |bytes| match bytes {
        [b'\r', b'\n', ..] => (' ', 2),
        [b'&', ..] => reference_or_literal(bytes),
        _ => (' ', 1),
    })
}

/// Resolves references (not in CDATA) and makes every line end a line feed (XML 1.0 §2.11).
pub(crate) fn unescape_text(raw: &str, is_cdata: bool) -> Cow<'_, str> {
    let special: &[u8] = if is_cdata { b"\r" } else { b"&\r" };
    rewrite(raw, special, |bytes| match bytes {
        [b'\r', b'\n', ..] => ('\n', 2),
        [b'\r', ..] => ('\n', 1),
        _ => reference_or_literal(bytes),
    })
}

fn reference_or_literal(bytes: &[u8]) -> (char, usize) {
    read(bytes).map_or(('&', 1), |reference| (reference.character, reference.length))
}

/// Replaces what starts at each of the special (ASCII) bytes by one character.
fn rewrite<'a>(
    raw: &'a str,
    special: &[u8],
    replacement: impl Fn(&[u8]) -> (char, usize),
) -> Cow<'a, str> {
    let next = |rest: &str| rest.bytes().position(|byte| special.contains(&byte));
    let Some(first) = next(raw) else { return Cow::Borrowed(raw) };
    let mut value = String::with_capacity(raw.len());
    let mut rest = raw;
    let mut found = Some(first);
    while let Some(at) = found {
        let (plain, tail) = rest.split_at(at);
        value.push_str(plain);
        let (character, length) = replacement(tail.as_bytes());
        value.push(character);
        rest = tail.get(length..).unwrap_or_default();
        found = next(rest);
    }
    value.push_str(rest);
    Cow::Owned(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predefined_entities_and_numbers_are_resolved_once() {
        assert_eq!(unescape("a&amp;lt;b"), "a&lt;b");
        assert_eq!(unescape("&lt;&gt;&quot;&apos;&#65;&#x1F600;"), "<>\"'A\u{1F600}");
        assert!(matches!(unescape("plain"), Cow::Borrowed("plain")));
    }

    #[test]
    fn references_to_what_is_no_character_are_refused() {
        for text in ["&#0;", "&#x1F;", "&#xD800;", "&#x110000;", "&#xFFFE;", "&#xFFFF;", "&#11;"] {
            assert!(matches!(read(text.as_bytes()), Err(XmlError::NotWellFormed(_))), "{text}");
        }
    }

    #[test]
    fn ten_thousand_digits_are_refused_and_leading_zeros_are_not() {
        let digits = format!("&#{};", "9".repeat(10_000));
        assert!(read(digits.as_bytes()).is_err());
        let zeros = format!("&#{}65;", "0".repeat(10_000));
        assert_eq!(read(zeros.as_bytes()).map(|reference| reference.character), Ok('A'));
    }

    #[test]
    fn malformed_references_are_not_well_formed_and_other_entities_are_restricted() {
        for text in ["&", "&;", "&#;", "&#x;", "&#X41;", "& ", "&amp", "&#65", "&#-1;", "&a b;"] {
            assert!(matches!(read(text.as_bytes()), Err(XmlError::NotWellFormed(_))), "{text}");
        }
        assert!(matches!(read(b"&foo;"), Err(XmlError::RestrictedXml(_))));
    }

    #[test]
    fn white_space_is_normalised_as_xml_asks() {
        assert_eq!(unescape_attribute("a\tb\nc\r\nd\re&#10;f"), "a b c d e\nf");
        assert_eq!(unescape_text("a\r\nb\rc&#13;", false), "a\nb\nc\r");
        assert_eq!(unescape_text("a\r\n&amp;", true), "a\n&amp;");
    }
}
