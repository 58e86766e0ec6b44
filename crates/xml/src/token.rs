//! What a tokenizer finds in a stanza.

use std::borrow::Cow;

use crate::reference::{unescape_attribute, unescape_text};
use crate::{XmlError, ns};

/// Reads one framed top-level element as a row of tokens.
///
/// Implemented by [`Tokenizer`](crate::Tokenizer), and by reference implementations that tests and
/// benchmarks compare it with.
pub trait StanzaTokenizer<'a> {
    /// The next token; `None` once the root element has ended and nothing follows it. After an
    /// error the same error comes again.
    fn next(&mut self) -> Result<Option<Token<'a, '_>>, XmlError>;
}

/// A piece of a stanza. `'a` is the stanza, `'t` lasts until the next call.
#[derive(Clone, Debug, PartialEq)]
pub enum Token<'a, 't> {
    /// A start tag or an empty element; the latter is followed by its `End`.
    Start(Start<'a, 't>),
    /// Character data, or one CDATA section.
    Text(Text<'a>),
    /// The end of an element.
    End(End<'a>),
}

/// A start tag.
#[derive(Clone, Debug, PartialEq)]
pub struct Start<'a, 't> {
    /// The namespace, resolved; empty if there is none.
    pub ns: &'a str,
    /// The prefix as written, mostly empty.
    pub prefix: &'a str,
    /// The local name.
    pub local: &'a str,
    /// The attributes in order, namespace declarations among them.
    pub attributes: &'t [Attribute<'a>],
    /// Whether it was written `<name/>`.
    pub is_empty: bool,
    /// Offset of `<`.
    pub start: u32,
    /// Offset after the name.
    pub name_end: u32,
    /// Offset after `>`.
    pub end: u32,
}

impl<'a> Start<'a, '_> {
    /// Whether it has this name.
    pub fn is(&self, ns: &str, local: &str) -> bool {
        self.local == local && self.ns == ns
    }

    /// The attribute of this local name in no namespace.
    pub fn attribute(&self, local: &str) -> Option<&Attribute<'a>> {
        self.attributes.iter().find(|attribute| attribute.ns.is_empty() && attribute.local == local)
    }
}

/// An attribute or a namespace declaration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attribute<'a> {
    /// The namespace, resolved: empty for an unprefixed attribute, [`ns::XMLNS`] for a namespace
    /// declaration.
    pub ns: &'a str,
    /// The prefix as written, mostly empty.
    pub prefix: &'a str,
    /// The local name; for a namespace declaration the prefix, or `xmlns` for the default one.
    pub local: &'a str,
    /// What stands between the quotes.
    pub raw: &'a str,
    /// Offset of the name.
    pub start: u32,
    /// Offset after the closing quote.
    pub end: u32,
    /// Offset after the opening quote.
    pub value_start: u32,
    /// Whether `raw` holds a reference, or white space to normalise.
    pub is_escaped: bool,
}

impl<'a> Attribute<'a> {
    /// The value, with references resolved and white space normalised (XML 1.0 §3.3.3).
    pub fn value(&self) -> Cow<'a, str> {
        if self.is_escaped { unescape_attribute(self.raw) } else { Cow::Borrowed(self.raw) }
    }

    /// Whether it is a namespace declaration.
    pub fn is_declaration(&self) -> bool {
        self.ns == ns::XMLNS
    }
}

/// Character data.
#[derive(Clone, Debug, PartialEq)]
pub struct Text<'a> {
    /// The text as written, without the delimiters of a CDATA section.
    pub raw: &'a str,
    /// Offset of the text, or of `<![CDATA[`.
    pub start: u32,
    /// Offset after the text, or after `]]>`.
    pub end: u32,
    /// Whether it was a CDATA section.
    pub is_cdata: bool,
    /// Whether `raw` holds a reference, or line ends to normalise.
    pub is_escaped: bool,
}

impl<'a> Text<'a> {
    /// The text, with references resolved and line ends normalised (XML 1.0 §2.11).
    pub fn value(&self) -> Cow<'a, str> {
        if self.is_escaped {
            unescape_text(self.raw, self.is_cdata)
        } else {
            Cow::Borrowed(self.raw)
        }
    }
}

/// The end of an element.
#[derive(Clone, Debug, PartialEq)]
pub struct End<'a> {
    /// The local name.
    pub local: &'a str,
    /// Offset of `</`; for an empty element that of its `/>`.
    pub start: u32,
    /// Offset after `>`.
    pub end: u32,
}
