//! Walks one framed element without copying.

use smallvec::SmallVec;

use crate::attributes::refuse_duplicates;
use crate::census::Census;
use crate::lanes::find_either;
use crate::namespaces::{Mark, Namespaces, Resolved};
use crate::token::{Attribute, End, StanzaTokenizer, Start, Text, Token};
use crate::{Limit, Limits, Scope, XmlError, names, ns, reference};

/// Reads one top-level element (see [`StanzaTokenizer`]).
///
/// Checks everything that makes it well-formed, in time linear in its size, and allocates only for
/// elements more than eight deep or with more than eight attributes.
pub struct Tokenizer<'a> {
    text: &'a str,
    at: usize,
    limits: Limits,
    census: Census,
    namespaces: Namespaces<'a>,
    open: SmallVec<[Open<'a>; 8]>,
    attributes: SmallVec<[Attribute<'a>; 8]>,
    elements: u32,
    /// The end of an empty element, to be reported next.
    end_of_empty: Option<(End<'a>, Mark<'a>)>,
    is_canonical: bool,
    fault: Option<XmlError>,
}

/// An element that has not ended.
struct Open<'a> {
    /// As written, with its prefix.
    name: &'a str,
    local: &'a str,
    /// The declarations outside of it.
    outer: Mark<'a>,
}

/// A token whose attributes are still in the tokenizer.
enum Step<'a> {
    Start(Start<'a, 'a>),
    Text(Text<'a>),
    End(End<'a>),
    Done,
}

/// What is between `=` and the next attribute.
struct Value<'a> {
    raw: &'a str,
    start: usize,
    is_escaped: bool,
}

const UNFINISHED: XmlError = XmlError::NotWellFormed("unfinished element");
const MISMATCH: XmlError = XmlError::NotWellFormed("mismatched end tag");
const BAD_ATTRIBUTE: XmlError = XmlError::NotWellFormed("attribute");

impl<'a> Tokenizer<'a> {
    /// Checks the characters of a frame and stands before its root element. What is wrong with
    /// them is said by the first [`next`](StanzaTokenizer::next).
    pub fn new(bytes: &'a [u8], scope: &'a Scope, limits: &Limits) -> Tokenizer<'a> {
        let (text, census, fault) = match Census::take(bytes) {
            _ if bytes.len() > limits.stanza_bytes_max as usize => {
                ("", Census::default(), Some(XmlError::Limit(Limit::Bytes)))
            }
            Ok((text, census)) => (text, census, None),
            Err(fault) => ("", Census::default(), Some(fault)),
        };
        Tokenizer {
            text,
            at: 0,
            limits: *limits,
            census,
            namespaces: Namespaces::new(scope, limits.namespaces_max),
            open: SmallVec::new(),
            attributes: SmallVec::new(),
            elements: 0,
            end_of_empty: None,
            is_canonical: !census.has_carriage_return,
            fault,
        }
    }

    /// Whether the stanza may be forwarded as it is (see the [crate]'s documentation). To be asked
    /// once `next` has returned `None`.
    pub fn is_canonical(&self) -> bool {
        self.is_canonical
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes_from(self.at)
    }

    fn bytes_from(&self, at: usize) -> &'a [u8] {
        self.text.as_bytes().get(at..).unwrap_or_default()
    }

    /// A piece of the text. Cuts are made at ASCII characters only, so there always is one.
    fn slice(&self, start: usize, end: usize) -> &'a str {
        self.text.get(start..end).unwrap_or_default()
    }

    #[inline]
    fn step(&mut self) -> Result<Step<'a>, XmlError> {
        if let Some((end, outer)) = self.end_of_empty.take() {
            self.namespaces.reset(outer);
            return Ok(Step::End(end));
        }
        if self.open.is_empty() {
            return self.outside();
        }
        match self.rest() {
            [b'<', b'/', ..] => self.end_tag(),
            [b'<', b'!', ..] => self.cdata(),
            [b'<', ..] => self.start_tag(),
            [] => Err(UNFINISHED),
            _ => self.character_data(),
        }
    }

    /// Before or after the root element.
    fn outside(&mut self) -> Result<Step<'a>, XmlError> {
        let skipped = names::white_space_length(self.rest());
        self.is_canonical &= skipped == 0;
        self.at += skipped;
        match self.rest() {
            [] if self.elements > 0 => Ok(Step::Done),
            [] => Err(XmlError::NotWellFormed("no element")),
            [b'<', b'!', ..] => Err(XmlError::RestrictedXml("comment or document type")),
            _ if self.elements > 0 => Err(XmlError::NotWellFormed("more than one root element")),
            [b'<', ..] => self.start_tag(),
            _ => Err(XmlError::NotWellFormed("text outside of the root element")),
        }
    }

    fn start_tag(&mut self) -> Result<Step<'a>, XmlError> {
        let start = self.at;
        if self.bytes_from(start + 1).first() == Some(&b'?') {
            return Err(XmlError::RestrictedXml("processing instruction"));
        }
        let depth = self.open.len() + 1;
        if depth > usize::from(self.limits.depth_max) {
            return Err(XmlError::Limit(Limit::Depth));
        }
        self.elements += 1;
        if self.elements > self.limits.elements_max {
            return Err(XmlError::Limit(Limit::Elements));
        }
        let name = names::read(self.text, start + 1)?;
        let outer = self.namespaces.mark();
        self.at = name.end;
        let is_empty = self.read_attributes(depth)?;
        let ns = self.element_namespace(name.prefix, depth)?;
        let end = self.at as u32;
        if is_empty {
            let end = End { local: name.local, start: end - 2, end };
            self.end_of_empty = Some((end, outer));
        } else {
            let qualified = self.slice(start + 1, name.end);
            self.open.push(Open { name: qualified, local: name.local, outer });
        }
        Ok(Step::Start(Start {
            ns,
            prefix: name.prefix,
            local: name.local,
            attributes: &[],
            is_empty,
            start: start as u32,
            name_end: name.end as u32,
            end,
        }))
    }

    /// Reads up to and with the `>`; says whether it was `/>`.
    #[inline]
    fn read_attributes(&mut self, depth: usize) -> Result<bool, XmlError> {
        self.attributes.clear();
        let mut has_prefixes = false;
        loop {
            let white_space = names::white_space_length(self.rest());
            self.at += white_space;
            let is_empty = match self.rest() {
                [b'>', ..] => false,
                [b'/', b'>', ..] => true,
                [] => return Err(UNFINISHED),
                _ if white_space == 0 => return Err(BAD_ATTRIBUTE),
                _ => {
                    has_prefixes |= self.read_attribute(depth)?;
                    continue;
                }
            };
            self.at += if is_empty { 2 } else { 1 };
            if has_prefixes {
                self.resolve_attributes(depth)?;
            }
            refuse_duplicates(&self.attributes)?;
            return Ok(is_empty);
        }
    }

    /// Reads one attribute; says whether its prefix is still to be resolved.
    #[inline]
    fn read_attribute(&mut self, depth: usize) -> Result<bool, XmlError> {
        if self.attributes.len() >= usize::from(self.limits.attributes_max) {
            return Err(XmlError::Limit(Limit::Attributes));
        }
        let start = self.at;
        let name = names::read(self.text, start)?;
        self.at = name.end;
        let value = self.read_value()?;
        let is_default = name.prefix.is_empty() && name.local == "xmlns";
        let is_declaration = is_default || name.prefix == "xmlns";
        if is_default {
            self.namespaces.declare_default(value.raw)?;
        } else if is_declaration {
            self.is_canonical &= self.namespaces.declare(name.local, value.raw, depth)?;
        }
        self.attributes.push(Attribute {
            ns: if is_declaration { ns::XMLNS } else { "" },
            prefix: name.prefix,
            local: name.local,
            raw: value.raw,
            start: start as u32,
            end: self.at as u32,
            value_start: value.start as u32,
            is_escaped: value.is_escaped,
        });
        Ok(!is_declaration && !name.prefix.is_empty())
    }

    /// Reads `='value'`.
    #[inline]
    fn read_value(&mut self) -> Result<Value<'a>, XmlError> {
        let quote = match self.rest() {
            [b'=', quote @ (b'\'' | b'"'), ..] => *quote,
            _ => self.spaced_quote()?,
        };
        let start = self.at + 2;
        let value = self.bytes_from(start);
        let Some(length) = find_either(value, quote, b'<') else { return Err(UNFINISHED) };
        if value.get(length) != Some(&quote) {
            return Err(XmlError::NotWellFormed("'<' in an attribute value"));
        }
        let raw = self.slice(start, start + length);
        self.at = start + length + 1;
        Ok(Value { raw, start, is_escaped: self.is_escaped_value(raw)? })
    }

    /// Reads `= 'value'` with white space around the `=`, up to one before the quote.
    #[cold]
    fn spaced_quote(&mut self) -> Result<u8, XmlError> {
        self.is_canonical = false;
        self.at += names::white_space_length(self.rest());
        let [b'=', rest @ ..] = self.rest() else { return Err(BAD_ATTRIBUTE) };
        self.at += names::white_space_length(rest);
        match self.bytes_from(self.at + 1).first() {
            Some(quote @ (b'\'' | b'"')) => Ok(*quote),
            Some(_) | None => Err(XmlError::NotWellFormed("attribute value without quotes")),
        }
    }

    fn is_escaped_value(&mut self, raw: &str) -> Result<bool, XmlError> {
        let census = self.census;
        let has_white_space = (census.has_line_break || census.has_carriage_return)
            && raw.bytes().any(|byte| matches!(byte, b'\t' | b'\n' | b'\r'));
        self.is_canonical &= !has_white_space;
        Ok(self.has_references(raw)? || has_white_space)
    }

    /// Checks the references in a value or text, and says whether there are any.
    fn has_references(&mut self, raw: &str) -> Result<bool, XmlError> {
        if !self.census.has_ampersand {
            return Ok(false);
        }
        let mut found = false;
        for at in memchr::memchr_iter(b'&', raw.as_bytes()) {
            let reference = reference::read(raw.as_bytes().get(at..).unwrap_or_default())?;
            self.is_canonical &= reference.is_canonical;
            found = true;
        }
        Ok(found)
    }

    /// Resolves the prefixes of attributes, once all declarations of their element are known.
    #[cold]
    fn resolve_attributes(&mut self, depth: usize) -> Result<(), XmlError> {
        for attribute in &mut self.attributes {
            if attribute.prefix.is_empty() || attribute.is_declaration() {
                continue;
            }
            let resolved = self.namespaces.resolve(attribute.prefix);
            let resolved = resolved.ok_or(XmlError::BadNamespacePrefix)?;
            attribute.ns = resolved.ns;
            self.is_canonical &= attribute.prefix == "xml" || is_declared_at_hand(&resolved, depth);
        }
        Ok(())
    }

    #[inline]
    fn element_namespace(&mut self, prefix: &str, depth: usize) -> Result<&'a str, XmlError> {
        let ns = if prefix.is_empty() {
            self.namespaces.default()
        } else {
            let resolved = self.namespaces.resolve(prefix).ok_or(XmlError::BadNamespacePrefix)?;
            self.is_canonical &= depth > 1 && is_declared_at_hand(&resolved, depth);
            resolved.ns
        };
        if depth == 1 {
            self.is_canonical &= ns == ns::CLIENT;
        } else if ns == ns::STREAMS {
            return Err(XmlError::StreamElement);
        }
        // Unprefixed it could not be written, as that namespace must not be the default one.
        if ns == ns::XML { Err(XmlError::BadNamespacePrefix) } else { Ok(ns) }
    }

    #[inline]
    fn end_tag(&mut self) -> Result<Step<'a>, XmlError> {
        let start = self.at;
        let Some(open) = self.open.pop() else { return Err(MISMATCH) };
        let name = self.bytes_from(start + 2);
        let Some(after) = name.strip_prefix(open.name.as_bytes()) else { return Err(MISMATCH) };
        let white_space = match after {
            [b'>', ..] => 0,
            _ => names::white_space_length(after),
        };
        self.is_canonical &= white_space == 0;
        match after.get(white_space) {
            Some(b'>') => {}
            Some(_) => return Err(MISMATCH),
            None => return Err(UNFINISHED),
        }
        self.at = start + 2 + open.name.len() + white_space + 1;
        self.namespaces.reset(open.outer);
        Ok(Step::End(End { local: open.local, start: start as u32, end: self.at as u32 }))
    }

    #[inline]
    fn character_data(&mut self) -> Result<Step<'a>, XmlError> {
        let start = self.at;
        let Some(length) = memchr::memchr(b'<', self.rest()) else { return Err(UNFINISHED) };
        let raw = self.slice(start, start + length);
        if self.census.has_bracket && raw.contains("]]>") {
            return Err(XmlError::NotWellFormed("']]>' in text"));
        }
        let is_escaped = self.has_references(raw)? || self.has_carriage_return(raw);
        self.at = start + length;
        let end = self.at as u32;
        Ok(Step::Text(Text { raw, start: start as u32, end, is_cdata: false, is_escaped }))
    }

    #[cold]
    fn cdata(&mut self) -> Result<Step<'a>, XmlError> {
        const OPEN: &[u8] = b"<![CDATA[";
        let start = self.at;
        let content = match self.rest().strip_prefix(OPEN) {
            Some(content) => content,
            None if OPEN.starts_with(self.rest()) => return Err(UNFINISHED),
            None => return Err(XmlError::RestrictedXml("comment or document type")),
        };
        let length = memchr::memmem::find(content, b"]]>").ok_or(UNFINISHED)?;
        let raw = self.slice(start + OPEN.len(), start + OPEN.len() + length);
        self.is_canonical = false;
        self.at = start + OPEN.len() + length + 3;
        let is_escaped = self.has_carriage_return(raw);
        let end = self.at as u32;
        Ok(Step::Text(Text { raw, start: start as u32, end, is_cdata: true, is_escaped }))
    }

    fn has_carriage_return(&self, raw: &str) -> bool {
        self.census.has_carriage_return && raw.contains('\r')
    }
}

/// Whether a prefix is declared inside the child of the stanza that uses it, or is the root's own.
fn is_declared_at_hand(resolved: &Resolved<'_>, depth: usize) -> bool {
    resolved.depth >= depth.min(2)
}

impl<'a> StanzaTokenizer<'a> for Tokenizer<'a> {
    #[inline]
    fn next(&mut self) -> Result<Option<Token<'a, '_>>, XmlError> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        match self.step() {
            Ok(Step::Start(start)) => {
                Ok(Some(Token::Start(Start { attributes: &self.attributes, ..start })))
            }
            Ok(Step::Text(text)) => Ok(Some(Token::Text(text))),
            Ok(Step::End(end)) => Ok(Some(Token::End(end))),
            Ok(Step::Done) => Ok(None),
            Err(fault) => {
                self.fault = Some(fault);
                Err(fault)
            }
        }
    }
}

#[cfg(test)]
#[path = "tokenizer_test.rs"]
mod tests;
