//! Text and attribute values as they are written.

use crate::lanes::{Lanes, find};

/// Stands for characters that XML has no way to write (XML 1.0 §2.2).
const REPLACEMENT: &str = "\u{FFFD}";

/// Appends character data. Characters that XML forbids become U+FFFD, so that nothing we write
/// ends a peer's stream.
pub fn escape_text(out: &mut Vec<u8>, text: &str) {
    escape(out, text, |bytes| match bytes {
        [b'&', ..] => Some(("&amp;", 1)),
        [b'<', ..] => Some(("&lt;", 1)),
        [b'>', ..] => Some(("&gt;", 1)),
        // Written plainly a parser would read a line feed (XML 1.0 §2.11).
        [b'\r', ..] => Some(("&#13;", 1)),
        [b'\t' | b'\n', ..] => None,
        _ => forbidden(bytes),
    });
}

/// Appends an attribute value that stands between single or double quotes. Characters that XML
/// forbids become U+FFFD.
pub fn escape_attribute(out: &mut Vec<u8>, value: &str) {
    escape(out, value, |bytes| match bytes {
        [b'&', ..] => Some(("&amp;", 1)),
        [b'<', ..] => Some(("&lt;", 1)),
        [b'>', ..] => Some(("&gt;", 1)),
        [b'\'', ..] => Some(("&apos;", 1)),
        [b'"', ..] => Some(("&quot;", 1)),
        // Written plainly a parser would read spaces (XML 1.0 §3.3.3).
        [b'\t', ..] => Some(("&#9;", 1)),
        [b'\n', ..] => Some(("&#10;", 1)),
        [b'\r', ..] => Some(("&#13;", 1)),
        _ => forbidden(bytes),
    });
}

fn forbidden(bytes: &[u8]) -> Option<(&'static str, usize)> {
    match bytes {
        [0..0x20, ..] => Some((REPLACEMENT, 1)),
        [0xEF, 0xBF, 0xBE | 0xBF, ..] => Some((REPLACEMENT, 3)),
        _ => None,
    }
}

/// Whether a replacement may start at this byte.
fn is_suspect(byte: u8) -> bool {
    matches!(byte, 0..0x20 | b'&' | b'<' | b'>' | b'\'' | b'"' | 0xEF)
}

fn suspects(lanes: Lanes) -> Lanes {
    let quotes = lanes.is(b'\'').or(lanes.is(b'"'));
    let markup = lanes.is(b'&').or(lanes.is(b'<')).or(lanes.is(b'>'));
    quotes.or(markup).or(lanes.at_most(0x1F)).or(lanes.is(0xEF))
}

fn escape(
    out: &mut Vec<u8>,
    text: &str,
    replacement: impl Fn(&[u8]) -> Option<(&'static str, usize)>,
) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len());
    // Everything before `written` is in `out`, everything before `at` was looked at.
    let (mut written, mut at) = (0, 0);
    while let Some(suspect) = find(bytes, at, suspects, is_suspect) {
        let rest = bytes.get(suspect..).unwrap_or_default();
        let Some((instead, length)) = replacement(rest) else {
            at = suspect + 1;
            continue;
        };
        out.extend_from_slice(bytes.get(written..suspect).unwrap_or_default());
        out.extend_from_slice(instead.as_bytes());
        at = suspect + length;
        written = at;
    }
    out.extend_from_slice(bytes.get(written..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(input: &str) -> String {
        let mut out = Vec::new();
        escape_text(&mut out, input);
        String::from_utf8(out).expect("escaping keeps UTF-8")
    }

    fn attribute(input: &str) -> String {
        let mut out = Vec::new();
        escape_attribute(&mut out, input);
        String::from_utf8(out).expect("escaping keeps UTF-8")
    }

    #[test]
    fn markup_is_escaped() {
        assert_eq!(text("a<b>&'\"\n\r]]>"), "a&lt;b&gt;&amp;'\"\n&#13;]]&gt;");
        assert_eq!(attribute("<>&'\"\t\n\r"), "&lt;&gt;&amp;&apos;&quot;&#9;&#10;&#13;");
    }

    #[test]
    fn characters_that_xml_forbids_are_replaced() {
        assert_eq!(
            text("a\0b\u{1F}\u{FFFE}\u{FFFD}\u{FF21}"),
            "a\u{FFFD}b\u{FFFD}\u{FFFD}\u{FFFD}\u{FF21}"
        );
        assert_eq!(attribute("\u{FFFF}x"), "\u{FFFD}x");
    }

    #[test]
    fn text_without_markup_is_copied() {
        assert_eq!(text("Grüße, 世界 🦜"), "Grüße, 世界 🦜");
        assert_eq!(text(""), "");
    }
}
