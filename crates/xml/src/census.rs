//! One pass over a stanza, or a good piece of it, that answers what need not be asked at each
//! token.

use crate::XmlError;
use crate::lanes::{Lanes, WIDTH};

/// Which bytes occur in a piece of a stanza. Most stanzas have none of these, and then most checks
/// of the tokenizer are over before they begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Census {
    /// `&`: references to check.
    pub has_ampersand: bool,
    /// `]`: perhaps the end of a CDATA section.
    pub has_bracket: bool,
    /// Tab or line feed: to be normalised in attribute values.
    pub has_line_break: bool,
    /// Carriage return: to be normalised everywhere.
    pub has_carriage_return: bool,
}

impl Census {
    /// Checks that the bytes are UTF-8 and characters of XML (XML 1.0 §2.2), and counts.
    #[inline(never)]
    pub fn take(bytes: &[u8]) -> Result<Census, XmlError> {
        let mut ampersand = Lanes::zero();
        let mut bracket = Lanes::zero();
        let mut control = Lanes::zero();
        let mut wide = Lanes::zero();
        let mut add = |chunk: &[u8; WIDTH]| {
            let lanes = Lanes::load(chunk);
            ampersand = ampersand.or(lanes.is(b'&'));
            bracket = bracket.or(lanes.is(b']'));
            control = control.or(lanes.at_most(0x1F));
            wide = wide.or(lanes);
        };
        let (chunks, tail) = bytes.as_chunks::<WIDTH>();
        chunks.iter().for_each(&mut add);
        if !tail.is_empty() {
            let mut padded = [b' '; WIDTH];
            padded.iter_mut().zip(tail).for_each(|(to, from)| *to = *from);
            add(&padded);
        }
        let mut census = Census {
            has_ampersand: ampersand.mask() != 0,
            has_bracket: bracket.mask() != 0,
            ..Census::default()
        };
        // Without a byte beyond ASCII it is UTF-8 already.
        if wide.mask() != 0 {
            simdutf8::basic::from_utf8(bytes).map_err(|_| XmlError::BadFormat)?;
            refuse_noncharacters(bytes)?;
        }
        if control.mask() != 0 {
            census.count_control_characters(bytes)?;
        }
        Ok(census)
    }

    /// What occurs in either.
    pub fn and(self, other: Census) -> Census {
        Census {
            has_ampersand: self.has_ampersand | other.has_ampersand,
            has_bracket: self.has_bracket | other.has_bracket,
            has_line_break: self.has_line_break | other.has_line_break,
            has_carriage_return: self.has_carriage_return | other.has_carriage_return,
        }
    }

    fn count_control_characters(&mut self, bytes: &[u8]) -> Result<(), XmlError> {
        for byte in bytes {
            match byte {
                b'\t' | b'\n' => self.has_line_break = true,
                b'\r' => self.has_carriage_return = true,
                0..0x20 => return Err(XmlError::NotWellFormed("control character")),
                _ => {}
            }
        }
        Ok(())
    }
}

/// U+FFFE and U+FFFF are valid UTF-8 but no characters of XML.
fn refuse_noncharacters(bytes: &[u8]) -> Result<(), XmlError> {
    let found = memchr::memchr_iter(0xEF, bytes)
        .any(|at| matches!(bytes.get(at..at + 3), Some([0xEF, 0xBF, 0xBE | 0xBF])));
    if found { Err(XmlError::NotWellFormed("noncharacter")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_occurs_is_counted_wherever_it_stands() {
        for at in 0..40 {
            let with = |byte: u8| {
                let mut bytes = vec![b'a'; 40];
                bytes[at] = byte;
                Census::take(&bytes)
            };
            let none = Census::default();
            assert_eq!(with(b'b'), Ok(none));
            assert_eq!(with(b'&'), Ok(Census { has_ampersand: true, ..none }));
            assert_eq!(with(b']'), Ok(Census { has_bracket: true, ..none }));
            assert_eq!(with(b'\t'), Ok(Census { has_line_break: true, ..none }));
            assert_eq!(with(b'\r'), Ok(Census { has_carriage_return: true, ..none }));
            assert_eq!(with(0x0B), Err(XmlError::NotWellFormed("control character")));
            assert_eq!(with(0xFF), Err(XmlError::BadFormat));
        }
    }

    #[test]
    fn noncharacters_are_refused_and_their_neighbours_are_not() {
        let take = |text: &str| Census::take(text.as_bytes()).map(|_| ());
        assert_eq!(take("\u{FFFE}"), Err(XmlError::NotWellFormed("noncharacter")));
        assert_eq!(take("a\u{FFFF}"), Err(XmlError::NotWellFormed("noncharacter")));
        assert_eq!(take("\u{FFFD}\u{FF21}\u{7F}\u{85}\u{1FFFE}"), Ok(()));
    }
}
