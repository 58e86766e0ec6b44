//! Walks one element without copying.

mod characters;

use self::characters::LOOKAHEAD;
use crate::attributes::refuse_duplicates;
use crate::census::Census;
use crate::lanes::{Lanes, find, find_either, is_same};
use crate::names::QName;
use crate::namespaces::{Namespaces, Resolved};
use crate::stack::Stack;
use crate::token::{Attribute, End, StanzaTokenizer, Start, Text, Token};
use crate::{Limit, Limits, Scope, XmlError, names, ns};

/// Reads one top-level element (see [`StanzaTokenizer`]).
///
/// Checks everything that makes it well-formed, in time linear in its size, and allocates only for
/// elements more than eight deep or with more than eight attributes.
pub struct Tokenizer<'a> {
    bytes: &'a [u8],
    at: usize,
    /// How many of the bytes are characters that XML may hold. It ends beside a whole character,
    /// and no text is handed out beyond it.
    checked: usize,
    /// How far a check goes beyond what it was asked for.
    lookahead: usize,
    /// What is behind the root element is not looked at.
    is_unframed: bool,
    limits: Limits,
    /// Of the bytes that are checked.
    census: Census,
    /// Where the next `&` stands that no check has passed, `usize::MAX` if none is known. One
    /// search goes through the stanza, however many values and texts it has.
    next_ampersand: usize,
    namespaces: Namespaces<'a>,
    open: Stack<Open, 8>,
    attributes: Stack<Attribute<'a>, 8>,
    /// A bit for each name of an attribute of this element, and whether one was set already: only
    /// then two names may be the same.
    name_bits: u64,
    may_repeat: bool,
    elements: u32,
    /// The innermost element was written `<name/>`; its end is to be reported next.
    is_at_empty: bool,
    is_canonical: bool,
    fault: Option<XmlError>,
}

/// An element that has not ended: where its name stands, and how many declarations there are
/// outside of it.
#[derive(Clone, Copy)]
struct Open {
    name_start: u32,
    local_start: u32,
    name_end: u32,
    outer: u32,
}

/// A token whose attributes are still in the tokenizer.
enum Step<'a> {
    Start(Start<'a, 'a>),
    Text(Text<'a>),
    End(End<'a>),
    Done,
}

/// Where an attribute value stands, without its quotes.
struct Value {
    start: usize,
    end: usize,
}

const UNFINISHED: XmlError = XmlError::NotWellFormed("unfinished element");
const MISMATCH: XmlError = XmlError::NotWellFormed("mismatched end tag");
const BAD_ATTRIBUTE: XmlError = XmlError::NotWellFormed("attribute");
const TEXT_OUTSIDE: XmlError = XmlError::NotWellFormed("text outside of the root element");
const NO_CDATA: XmlError = XmlError::RestrictedXml("comment or document type");

// There is one call of each step, so that they become one function: what goes from one to the
// next would cost as much as the work itself.
impl<'a> Tokenizer<'a> {
    /// Checks the characters of a frame and stands before its root element. What is wrong with
    /// them is said by the first [`next`](StanzaTokenizer::next).
    // Inlined, a tokenizer is made where it stays: moving it costs as much as reading a tag.
    #[inline(always)]
    pub fn new(bytes: &'a [u8], scope: &'a Scope, limits: &Limits) -> Tokenizer<'a> {
        let mut tokenizer = Tokenizer::before(bytes, scope, limits);
        if bytes.len() > limits.stanza_bytes_max as usize {
            tokenizer.fault = Some(XmlError::Limit(Limit::Bytes));
        } else if let Err(fault) = tokenizer.check(bytes.len()) {
            tokenizer.fault = Some(fault);
        }
        tokenizer
    }

    /// Stands before an element that begins with the first byte and ends somewhere within `bytes`:
    /// what the framer would look for is found by reading. Ends with the root element; how long
    /// that is says [`length`](Tokenizer::length).
    ///
    /// After any error let the framer look: the bytes may hold the beginning of an element only,
    /// and what is said to be wrong may be said of another place first.
    #[inline(always)]
    pub fn unframed(bytes: &'a [u8], scope: &'a Scope, limits: &Limits) -> Tokenizer<'a> {
        let bytes = bytes.get(..limits.stanza_bytes_max as usize).unwrap_or(bytes);
        let mut tokenizer = Tokenizer::before(bytes, scope, limits);
        tokenizer.is_unframed = true;
        tokenizer.lookahead = LOOKAHEAD;
        tokenizer
    }

    #[inline(always)]
    fn before(bytes: &'a [u8], scope: &'a Scope, limits: &Limits) -> Tokenizer<'a> {
        Tokenizer {
            bytes,
            at: 0,
            checked: 0,
            lookahead: 0,
            is_unframed: false,
            next_ampersand: usize::MAX,
            limits: *limits,
            census: Census::default(),
            namespaces: Namespaces::new(scope, limits.namespaces_max),
            open: Stack::new(),
            attributes: Stack::new(),
            name_bits: 0,
            may_repeat: false,
            elements: 0,
            is_at_empty: false,
            is_canonical: true,
            fault: None,
        }
    }

    /// Bytes of the element. To be asked once `next` has returned `None`.
    pub fn length(&self) -> usize {
        self.at
    }

    /// Whether the stanza may be forwarded as it is (see the [crate]'s documentation). To be asked
    /// once `next` has returned `None`.
    pub fn is_canonical(&self) -> bool {
        let read = self.bytes.get(..self.at).unwrap_or_default();
        self.is_canonical && !(self.census.has_carriage_return && read.contains(&b'\r'))
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    fn bytes_from(&self, at: usize) -> &'a [u8] {
        self.bytes.get(at..).unwrap_or_default()
    }

    /// A piece of the text. Cuts are made beside ASCII characters only, so there always is one.
    #[inline(always)]
    #[expect(unsafe_code)] // Checking again where characters begin took a fifth of the time.
    fn slice(&self, start: usize, end: usize) -> &'a str {
        let bytes = self.bytes.get(start..end).unwrap_or_default();
        debug_assert!(std::str::from_utf8(bytes).is_ok());
        debug_assert!(end <= self.checked);
        // SAFETY: the first `checked` bytes are UTF-8, and `end` is one of them or the offset after
        // them: who cuts calls `check` first. `start` and `end` are offsets of ASCII bytes or the
        // offsets after them, so no character is cut.
        unsafe { std::str::from_utf8_unchecked(bytes) }
    }

    /// The prefix, which is mostly empty, and the local name.
    #[inline(always)]
    fn parts(&self, name: QName) -> (&'a str, &'a str) {
        match name.colon {
            None => ("", self.slice(name.start, name.end)),
            Some(colon) => self.prefixed_parts(name, colon),
        }
    }

    #[inline(never)]
    fn prefixed_parts(&self, name: QName, colon: usize) -> (&'a str, &'a str) {
        (self.slice(name.start, colon), self.slice(colon + 1, name.end))
    }

    #[inline(always)]
    fn step(&mut self) -> Result<Step<'a>, XmlError> {
        if self.is_at_empty {
            self.is_at_empty = false;
            return self.end_of_empty();
        }
        if self.open.len() == 0 {
            if self.elements > 0 {
                return self.behind_root();
            }
            // Mostly the first byte begins the root.
            if !matches!(self.bytes, [b'<', next, ..] if *next != b'!') {
                self.seek_root()?;
            }
        } else if self.byte(self.at) != Some(b'<') {
            return self.character_data();
        } else {
            match self.byte(self.at + 1) {
                Some(b'/') => return self.end_tag(),
                Some(b'!') => return self.cdata(),
                Some(_) | None => {}
            }
        }
        self.start_tag()
    }

    /// Goes to the `<` of the root element.
    #[inline(never)]
    fn seek_root(&mut self) -> Result<(), XmlError> {
        let skipped = names::white_space_length(self.bytes);
        if self.is_unframed && skipped > 0 {
            return Err(XmlError::NotWellFormed("white space is a frame of its own"));
        }
        self.is_canonical &= skipped == 0;
        self.at = skipped;
        match self.bytes_from(self.at) {
            [] => Err(XmlError::NotWellFormed("no element")),
            [b'<', b'!', ..] => Err(NO_CDATA),
            [b'<', ..] => Ok(()),
            _ => Err(TEXT_OUTSIDE),
        }
    }

    /// The root element has ended: a frame ends with it.
    #[inline(always)]
    fn behind_root(&mut self) -> Result<Step<'a>, XmlError> {
        match self.is_unframed || self.at == self.bytes.len() {
            true => Ok(Step::Done),
            false => self.trailing(),
        }
    }

    #[inline(never)]
    fn trailing(&mut self) -> Result<Step<'a>, XmlError> {
        self.is_canonical = false;
        self.at += names::white_space_length(self.bytes_from(self.at));
        match self.bytes_from(self.at) {
            [] => Ok(Step::Done),
            [b'<', b'!', ..] => Err(NO_CDATA),
            [b'<', ..] => Err(XmlError::NotWellFormed("more than one root element")),
            _ => Err(TEXT_OUTSIDE),
        }
    }

    #[inline(always)]
    fn start_tag(&mut self) -> Result<Step<'a>, XmlError> {
        let start = self.at;
        if self.byte(start + 1) == Some(b'?') {
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
        let name = names::read(self.bytes, start + 1)?;
        let outer = self.namespaces.len();
        self.at = name.end;
        let is_empty = self.read_attributes(depth)?;
        self.check(self.at)?;
        let (prefix, local) = self.parts(name);
        let ns = self.element_namespace(prefix, depth)?;
        let name_end = name.end as u32;
        self.is_at_empty = is_empty;
        self.open.push(Open {
            name_start: name.start as u32,
            local_start: name.local_start() as u32,
            name_end,
            outer,
        });
        Ok(Step::Start(Start {
            ns,
            prefix,
            local,
            attributes: &[],
            is_empty,
            start: start as u32,
            name_end,
            end: self.at as u32,
        }))
    }

    /// Reads up to and with the `>`; says whether it was `/>`.
    #[inline(always)]
    fn read_attributes(&mut self, depth: usize) -> Result<bool, XmlError> {
        self.attributes.truncate(0);
        (self.name_bits, self.may_repeat) = (0, false);
        let mut has_prefixes = false;
        let is_empty = loop {
            match self.byte(self.at) {
                Some(b'>') => break false,
                Some(b'/') if self.byte(self.at + 1) == Some(b'>') => break true,
                Some(b' ' | b'\t' | b'\n' | b'\r') => {}
                Some(_) => return Err(BAD_ATTRIBUTE),
                None => return Err(UNFINISHED),
            }
            self.at += 1;
            // Anything else is an attribute, or white space or an end for another turn.
            if let Some(b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80..) = self.byte(self.at) {
                has_prefixes |= self.read_attribute(depth)?;
            }
        };
        self.at += 1 + usize::from(is_empty);
        if has_prefixes {
            self.resolve_attributes(depth)?;
        }
        if self.may_repeat {
            refuse_duplicates(self.attributes.as_slice())?;
        }
        Ok(is_empty)
    }

    /// Reads one attribute; says whether its prefix is still to be resolved.
    #[inline(always)]
    fn read_attribute(&mut self, depth: usize) -> Result<bool, XmlError> {
        if self.attributes.len() >= usize::from(self.limits.attributes_max) {
            return Err(XmlError::Limit(Limit::Attributes));
        }
        let name = names::read(self.bytes, self.at)?;
        self.at = name.end;
        let value = self.read_value()?;
        self.check(value.end)?;
        let raw = self.slice(value.start, value.end);
        let is_escaped = self.is_escaped_value(raw, &value)?;
        let (prefix, local) = self.parts(name);
        let is_declaration = prefix == "xmlns" || prefix.is_empty() && local == "xmlns";
        if is_declaration {
            self.declare(prefix, local, raw, &value, depth)?;
        }
        let bit = name_bit(local);
        self.may_repeat |= self.name_bits & bit != 0;
        self.name_bits |= bit;
        self.attributes.push(Attribute {
            ns: if is_declaration { ns::XMLNS } else { "" },
            prefix,
            local,
            raw,
            start: name.start as u32,
            end: self.at as u32,
            value_start: value.start as u32,
            is_escaped,
        });
        Ok(!is_declaration && !prefix.is_empty())
    }

    /// Reads `='value'`.
    #[inline(always)]
    fn read_value(&mut self) -> Result<Value, XmlError> {
        let quote = match (self.byte(self.at), self.byte(self.at + 1)) {
            (Some(b'='), Some(quote @ (b'\'' | b'"'))) => quote,
            _ => self.spaced_quote()?,
        };
        let start = self.at + 2;
        let end = find_either(self.bytes, start, quote, b'<').ok_or(UNFINISHED)?;
        if self.byte(end) != Some(quote) {
            return Err(XmlError::NotWellFormed("'<' in an attribute value"));
        }
        self.at = end + 1;
        Ok(Value { start, end })
    }

    /// Reads `= 'value'` with white space around the `=`, up to one before the quote.
    #[inline(never)]
    fn spaced_quote(&mut self) -> Result<u8, XmlError> {
        self.is_canonical = false;
        self.at += names::white_space_length(self.bytes_from(self.at));
        let [b'=', rest @ ..] = self.bytes_from(self.at) else { return Err(BAD_ATTRIBUTE) };
        self.at += names::white_space_length(rest);
        match self.byte(self.at + 1) {
            Some(quote @ (b'\'' | b'"')) => Ok(quote),
            Some(_) | None => Err(XmlError::NotWellFormed("attribute value without quotes")),
        }
    }

    /// Takes a namespace declaration. Namespace names are compared as they are written, so what
    /// would be written differently by us or a parser is refused: references, white space, quotes
    /// and `>`.
    #[inline(always)]
    fn declare(
        &mut self,
        prefix: &'a str,
        local: &'a str,
        ns: &'a str,
        value: &Value,
        depth: usize,
    ) -> Result<(), XmlError> {
        let stops = |lanes: Lanes| {
            let quotes = lanes.is(b'\'').or(lanes.is(b'"'));
            let odd = lanes.at_most(b' ').or(lanes.is(b'&')).or(lanes.is(b'>')).or(lanes.is(0x7F));
            quotes.or(odd)
        };
        let stop = |byte: u8| matches!(byte, 0..=b' ' | b'&' | b'>' | 0x7F | b'\'' | b'"');
        // The closing quote is to be the first of them.
        if find(self.bytes, value.start, stops, stop) != Some(value.end) {
            return Err(XmlError::RestrictedXml("character in a namespace name"));
        }
        if prefix.is_empty() {
            return self.namespaces.declare_default(ns, depth);
        }
        self.is_canonical &= self.namespaces.declare(local, ns, depth)?;
        Ok(())
    }

    #[inline(always)]
    fn is_escaped_value(&mut self, raw: &str, value: &Value) -> Result<bool, XmlError> {
        let census = self.census;
        let has_white_space = (census.has_line_break || census.has_carriage_return)
            && raw.bytes().any(|byte| matches!(byte, b'\t' | b'\n' | b'\r'));
        self.is_canonical &= !has_white_space;
        Ok(self.has_references(value.start, value.end)? || has_white_space)
    }

    /// Resolves the prefixes of attributes, once all declarations of their element are known.
    #[inline(never)]
    fn resolve_attributes(&mut self, depth: usize) -> Result<(), XmlError> {
        for attribute in self.attributes.as_mut_slice() {
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

    #[inline(always)]
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

    #[inline(always)]
    fn end_of_empty(&mut self) -> Result<Step<'a>, XmlError> {
        let Some(open) = self.open.pop() else { return Err(MISMATCH) };
        self.namespaces.truncate(open.outer);
        Ok(self.end_of(open, self.at - 2))
    }

    #[inline(always)]
    fn end_of(&self, open: Open, start: usize) -> Step<'a> {
        let local = self.slice(open.local_start as usize, open.name_end as usize);
        Step::End(End { local, start: start as u32, end: self.at as u32 })
    }

    #[inline(always)]
    fn end_tag(&mut self) -> Result<Step<'a>, XmlError> {
        let start = self.at;
        let Some(open) = self.open.pop() else { return Err(MISMATCH) };
        let length = (open.name_end - open.name_start) as usize;
        if !is_same(self.bytes, open.name_start as usize, start + 2, length) {
            return Err(MISMATCH);
        }
        self.at = start + 2 + length + 1;
        if self.byte(self.at - 1) != Some(b'>') {
            self.spaced_end()?;
        }
        self.namespaces.truncate(open.outer);
        Ok(self.end_of(open, start))
    }

    /// Reads up to and with the `>` of an end tag, after white space.
    #[inline(never)]
    fn spaced_end(&mut self) -> Result<(), XmlError> {
        self.is_canonical = false;
        self.at -= 1;
        self.at += names::white_space_length(self.bytes_from(self.at)) + 1;
        match self.byte(self.at - 1) {
            Some(b'>') => Ok(()),
            Some(_) => Err(MISMATCH),
            None => Err(UNFINISHED),
        }
    }

    #[inline(always)]
    fn character_data(&mut self) -> Result<Step<'a>, XmlError> {
        let start = self.at;
        let end = find_either(self.bytes, start, b'<', b'<').ok_or(UNFINISHED)?;
        self.check(end)?;
        let raw = self.slice(start, end);
        self.at = end;
        let is_escaped = self.is_escaped_text(raw, start, end)?;
        let (start, end) = (start as u32, end as u32);
        Ok(Step::Text(Text { raw, start, end, is_cdata: false, is_escaped }))
    }

    #[inline(always)]
    fn is_escaped_text(&mut self, raw: &str, start: usize, end: usize) -> Result<bool, XmlError> {
        if self.census.has_bracket && raw.contains("]]>") {
            return Err(XmlError::NotWellFormed("']]>' in text"));
        }
        Ok(self.has_references(start, end)? || self.has_carriage_return(raw))
    }

    #[inline(always)]
    fn cdata(&mut self) -> Result<Step<'a>, XmlError> {
        let start = self.at;
        let raw = self.read_cdata()?;
        let is_escaped = self.has_carriage_return(raw);
        let (start, end) = (start as u32, self.at as u32);
        Ok(Step::Text(Text { raw, start, end, is_cdata: true, is_escaped }))
    }

    #[inline(never)]
    fn read_cdata(&mut self) -> Result<&'a str, XmlError> {
        const OPEN: &[u8] = b"<![CDATA[";
        let rest = self.bytes_from(self.at);
        let content = match rest.strip_prefix(OPEN) {
            Some(content) => content,
            None if OPEN.starts_with(rest) => return Err(UNFINISHED),
            None => return Err(NO_CDATA),
        };
        let length = memchr::memmem::find(content, b"]]>").ok_or(UNFINISHED)?;
        let start = self.at + OPEN.len();
        self.is_canonical = false;
        self.at = start + length + 3;
        self.check(self.at)?;
        Ok(self.slice(start, start + length))
    }

    #[inline(always)]
    fn has_carriage_return(&self, raw: &str) -> bool {
        self.census.has_carriage_return && raw.contains('\r')
    }
}

/// One of 64 bits, the same for the same name: of its length and its first byte.
#[inline(always)]
fn name_bit(local: &str) -> u64 {
    let first = local.as_bytes().first().copied().unwrap_or_default();
    1 << ((local.len() as u8 ^ first) & 63)
}

/// Whether a prefix is declared inside the child of the stanza that uses it, or is the root's own.
fn is_declared_at_hand(resolved: &Resolved<'_>, depth: usize) -> bool {
    resolved.depth >= depth.min(2)
}

impl<'a> StanzaTokenizer<'a> for Tokenizer<'a> {
    // Inlined, a token need not be handed over in memory, which is a fifth of the time.
    #[inline(always)]
    fn next(&mut self) -> Result<Option<Token<'a, '_>>, XmlError> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        match self.step() {
            Ok(Step::Start(start)) => {
                Ok(Some(Token::Start(Start { attributes: self.attributes.as_slice(), ..start })))
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
