//! One function per reader: reads a whole stanza, looks at everything in it, returns a sum that
//! keeps the compiler from leaving work out. All take valid input only.

use jackdaw_xml::{Framer, Limits, Scan, Scope, StanzaTokenizer, Token, Tokenizer};
use quick_xml::events::Event;
use quick_xml::name::ResolveResult;
use quick_xml::{NsReader, Reader};
use rxml::Parse;

const VALID: &str = "the shapes are valid";
const LIMITS: Limits = Limits::after_auth();
const HEADER: &[u8] = b"<stream:stream>";

/// A framer that has seen a stream header.
pub fn framer() -> Framer {
    let mut framer = Framer::new();
    framer.scan(&LIMITS, HEADER).expect(VALID);
    framer
}

/// Finds the end of a stanza.
#[inline]
pub fn frame(framer: &mut Framer, bytes: &[u8]) -> usize {
    match framer.scan(&LIMITS, bytes).expect(VALID) {
        Scan::Complete { length, .. } => length,
        Scan::Partial => 0,
    }
}

/// Our tokenizer: UTF-8, namespaces, attributes, well-formedness.
#[inline]
pub fn tokenize(bytes: &[u8], scope: &Scope) -> usize {
    add_up(&mut Tokenizer::new(bytes, scope, &LIMITS))
}

/// Our tokenizer on bytes that nobody framed: it finds where the first stanza ends, too. This is
/// how a stream reads what a client sent in one piece.
#[inline]
pub fn tokenize_unframed(bytes: &[u8], scope: &Scope) -> usize {
    let mut tokens = Tokenizer::unframed(bytes, scope, &LIMITS);
    add_up(&mut tokens) + tokens.length()
}

#[inline(always)]
fn add_up(tokens: &mut Tokenizer<'_>) -> usize {
    let mut sum = 0;
    while let Some(token) = tokens.next().expect(VALID) {
        sum += match token {
            Token::Start(start) => {
                let attributes = start.attributes.iter();
                let attributes: usize = attributes.map(|a| a.local.len() + a.raw.len()).sum();
                start.ns.len() + start.local.len() + attributes
            }
            Token::Text(text) => text.raw.len(),
            Token::End(end) => end.local.len(),
        };
    }
    sum + usize::from(tokens.is_canonical())
}

/// `simdutf8` and `xmlparser`: tokens without namespaces, balance or duplicate check.
#[inline]
pub fn xmlparser(bytes: &[u8]) -> usize {
    let text = simdutf8::basic::from_utf8(bytes).expect(VALID);
    let mut sum = 0;
    for token in xmlparser::Tokenizer::from(text) {
        sum += match token.expect(VALID) {
            xmlparser::Token::ElementStart { local, .. } => local.len(),
            xmlparser::Token::Attribute { local, value, .. } => local.len() + value.len(),
            xmlparser::Token::Text { text } => text.len(),
            xmlparser::Token::ElementEnd { span, .. } => span.len(),
            other => panic!("{other:?} in a stanza"),
        };
    }
    sum
}

/// `quick-xml`: events and attributes, no namespaces.
#[inline]
pub fn quick_xml_events(text: &str) -> usize {
    let mut reader = Reader::from_str(text);
    let mut sum = 0;
    loop {
        sum += match reader.read_event().expect(VALID) {
            Event::Start(start) | Event::Empty(start) => {
                let attributes = start.attributes().map(|attribute| attribute.expect(VALID));
                let attributes: usize =
                    attributes.map(|a| a.key.local_name().as_ref().len() + a.value.len()).sum();
                start.local_name().as_ref().len() + attributes
            }
            Event::Text(text) => text.len(),
            Event::GeneralRef(reference) => reference.len(),
            Event::End(end) => end.local_name().as_ref().len(),
            Event::Eof => return sum,
            other => panic!("{other:?} in a stanza"),
        };
    }
}

/// `quick-xml`: events and attributes, both with their namespaces.
#[inline]
pub fn quick_xml_namespaces(text: &str) -> usize {
    let mut reader = NsReader::from_str(text);
    let mut sum = 0;
    loop {
        sum += match reader.read_event().expect(VALID) {
            Event::Start(start) | Event::Empty(start) => {
                let resolver = reader.resolver();
                let (ns, local) = resolver.resolve_element(start.name());
                let mut element = length(&ns) + local.as_ref().len();
                for attribute in start.attributes() {
                    let attribute = attribute.expect(VALID);
                    let (ns, local) = resolver.resolve_attribute(attribute.key);
                    element += length(&ns) + local.as_ref().len() + attribute.value.len();
                }
                element
            }
            Event::Text(text) => text.len(),
            Event::GeneralRef(reference) => reference.len(),
            Event::End(end) => end.local_name().as_ref().len(),
            Event::Eof => return sum,
            other => panic!("{other:?} in a stanza"),
        };
    }
}

fn length(ns: &ResolveResult<'_>) -> usize {
    match ns {
        ResolveResult::Bound(ns) => ns.as_ref().len(),
        ResolveResult::Unbound => 0,
        ResolveResult::Unknown(prefix) => prefix.len(),
    }
}

/// `rxml`: events with namespaces.
#[inline]
pub fn rxml(bytes: &[u8]) -> usize {
    let mut parser = rxml::Parser::new();
    let mut sum = 0;
    let mut rest = bytes;
    while let Some(event) = parser.parse(&mut rest, true).expect(VALID) {
        sum += match event {
            rxml::Event::StartElement(_, (ns, local), attributes) => {
                let attributes =
                    attributes.iter().map(|((_, name), value)| name.len() + value.len());
                ns.len() + local.len() + attributes.sum::<usize>()
            }
            rxml::Event::Text(_, text) => text.len(),
            rxml::Event::EndElement(_) => 1,
            rxml::Event::XmlDeclaration(..) => 0,
        };
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shapes;

    #[test]
    fn every_reader_reads_every_shape() {
        let mut framer = framer();
        for shape in shapes::all().iter().chain([&shapes::one_kilobyte()]) {
            for stanza in &shape.stanzas {
                assert_eq!(frame(&mut framer, stanza.as_bytes()), stanza.len());
                let framed = tokenize(stanza.as_bytes(), &Scope::client());
                let followed = format!("{stanza}<presence/>");
                let unframed = tokenize_unframed(followed.as_bytes(), &Scope::client());
                assert_eq!(unframed, framed + stanza.len());
                assert!(xmlparser(stanza.as_bytes()) > 0);
                assert!(quick_xml_events(stanza) > 0);
                assert!(quick_xml_namespaces(stanza) > 0);
                assert!(rxml(stanza.as_bytes()) > 0);
            }
        }
    }
}
