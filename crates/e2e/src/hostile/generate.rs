//! Inputs that are too long, or too many, to be written down.

use serde::Deserialize;

/// The namespace declarations of a client's stream header.
const HEADER: &str = "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' \
     xmlns:stream='http://etherx.jabber.org/streams'>";

/// A named way to make inputs.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "make", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Generator {
    /// `before`, then `unit` so many times, then `after`. `#` in the unit is its number.
    Repeat {
        /// What comes first.
        #[serde(default)]
        before: String,
        /// What is repeated.
        unit: String,
        /// How often.
        count: usize,
        /// What comes last.
        #[serde(default)]
        after: String,
    },
    /// One level inside the other, and closed again.
    Nested {
        /// How many.
        depth: usize,
    },
    /// Each `begin`, and letters that never end what it began.
    Endless {
        /// First parts.
        begin: Vec<String>,
        /// How many letters.
        bytes: usize,
    },
    /// A stanza with each malformed sequence of UTF-8 before each character that a parser which
    /// trusts the lead byte would swallow (bad-inputs X09).
    BrokenUtf8,
    /// A stream header of exactly so many bytes.
    HeaderOf {
        /// Its length.
        bytes: usize,
    },
    /// `<auth/>` of exactly so many bytes, which fails as SASL does.
    AuthOf {
        /// Its length.
        bytes: usize,
    },
}

impl Generator {
    /// The inputs.
    pub fn inputs(&self) -> Vec<Vec<u8>> {
        match self {
            Generator::Repeat { before, unit, count, after } => {
                let mut input = before.clone();
                for number in 0..*count {
                    input.push_str(&unit.replace('#', &number.to_string()));
                }
                input.push_str(after);
                vec![input.into_bytes()]
            }
            Generator::Nested { depth } => {
                let (open, close) = ("<a>".repeat(*depth), "</a>".repeat(*depth));
                vec![format!("<message>{open}{close}</message>").into_bytes()]
            }
            Generator::Endless { begin, bytes } => {
                let letters = "a".repeat(*bytes);
                begin.iter().map(|begin| format!("{begin}{letters}").into_bytes()).collect()
            }
            Generator::BrokenUtf8 => broken_utf8(),
            Generator::HeaderOf { bytes } => {
                // In place of the last `>` comes an attribute that nobody knows.
                let rest = bytes.saturating_sub(HEADER.len() - 1);
                vec![HEADER.replace('>', &filled(" a='", "'>", rest)).into_bytes()]
            }
            Generator::AuthOf { bytes } => {
                let open = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='NONE'>";
                let close = "</auth>";
                vec![filled(open, close, *bytes).into_bytes()]
            }
        }
    }
}

/// `open` and `close`, with letters between them so that all is `bytes` long.
fn filled(open: &str, close: &str, bytes: usize) -> String {
    let letters = bytes.saturating_sub(open.len() + close.len());
    format!("{open}{}{close}", "A".repeat(letters))
}

/// Sequences that are cut off, over-long, surrogates, or beyond the last character.
const BROKEN: &[&[u8]] = &[
    b"\xc3",
    b"\xeb",
    b"\xe2\x82",
    b"\xf0",
    b"\xf0\x9f",
    b"\xf0\x9f\x98",
    b"\x80",
    b"\xc0\xaf",
    b"\xc1\xbf",
    b"\xe0\x80\xaf",
    b"\xf0\x80\x80\xaf",
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xf4\x90\x80\x80",
    b"\xfe",
    b"\xff",
];

fn broken_utf8() -> Vec<Vec<u8>> {
    let frames: [(&[u8], &[u8]); 4] = [
        // Before `<`, before `"`, before `/`, before `>`.
        (b"<message><body>", b"</body></message>"),
        (b"<message id=\"", b"\"/>"),
        (b"<message><a", b"/></message>"),
        (b"<message><a", b"></a></message>"),
    ];
    let all = BROKEN.iter().flat_map(|broken| {
        frames.iter().map(move |(before, after)| [*before, *broken, *after].concat())
    });
    all.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_exact() {
        for bytes in [1_000, 9_999, 10_000, 10_001] {
            assert_eq!(Generator::HeaderOf { bytes }.inputs()[0].len(), bytes);
            assert_eq!(Generator::AuthOf { bytes }.inputs()[0].len(), bytes);
        }
    }

    #[test]
    fn what_is_called_broken_is_broken() {
        for input in Generator::BrokenUtf8.inputs() {
            assert!(std::str::from_utf8(&input).is_err(), "{input:?}");
        }
    }

    #[test]
    fn repeated_units_can_be_told_apart() {
        let unit = Generator::Repeat {
            before: "<a".into(),
            unit: " a#='b'".into(),
            count: 3,
            after: "/>".into(),
        };
        assert_eq!(unit.inputs(), [b"<a a0='b' a1='b' a2='b'/>"]);
    }
}
