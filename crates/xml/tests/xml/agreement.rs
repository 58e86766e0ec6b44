//! What has to hold of any document: other parsers, and our own canonical form, say the same.
//!
//! Used by the tests here and by the fuzz target of the tokenizer.

use jackdaw_xml::{Element, Scope, StanzaTokenizer, Token, Tokenizer, XmlError, canonicalise, ns};

use crate::events::{self, LIMITS};
use crate::reference::Reference;

/// Why we refuse what XML 1.0 with namespaces allows.
///
/// | class | reason |
/// |---|---|
/// | comment, DTD, processing instruction, other entities | RFC 6120 §11.1 |
/// | names beyond ASCII | editions of XML 1.0 differ (§2.3 of the fourth and the fifth), so what one client reads ends the stream of another; RFC 6120 §11.2 and no XEP needs them |
/// | reference, white space, quote or `>` in a namespace name | Namespaces in XML 1.0 §2.3 compares names after normalisation; ours are compared, and forwarded, as they are written. RFC 3986 §2 allows none of them but the apostrophe in a URI, and no XEP has that |
/// | an element in the namespace of `xml` | Namespaces in XML 1.0 §3: it must not be a default namespace, so without a prefix it could not be written |
/// | an element in the streams namespace inside a stanza | RFC 6120 §4.8.1, §8.4: it is for the stream's own elements |
/// | limits | RFC 6120 §13.12 |
pub fn stricter_than_xml(document: &str, error: XmlError) -> bool {
    match error {
        XmlError::Limit(_)
        | XmlError::NameNotAscii
        | XmlError::RestrictedXml(_)
        | XmlError::StreamElement => true,
        XmlError::BadNamespacePrefix => document.contains("<xml:"),
        XmlError::BadFormat
        | XmlError::InvalidNamespace
        | XmlError::NotWellFormed(_)
        | XmlError::UnsupportedEncoding => false,
    }
}

/// What `rxml` takes though it must not be (and libexpat does not): a declaration of the namespace
/// of `xmlns` (Namespaces in XML 1.0 §3), and the same declaration twice (XML 1.0 §3.1).
fn is_laxity_of_rxml(document: &str, error: XmlError) -> bool {
    match error {
        XmlError::BadNamespacePrefix => document.contains(ns::XMLNS),
        XmlError::NotWellFormed("attribute twice") => document.matches("xmlns").count() > 1,
        _ => false,
    }
}

/// What `rxml` refuses, or drops at the end of a value, though XML 1.0 §2.11 says how to read it: a
/// carriage return alone. libexpat reads it as we do.
fn has_lone_carriage_return(document: &str) -> bool {
    document.replace("\r\n", "").contains('\r')
}

/// `rxml` accepts what we accept, and reads the same in it.
pub fn compare_with_rxml(document: &str) {
    match (events::ours(document.as_bytes()), events::rxml(document)) {
        (Ok(_), _) if has_lone_carriage_return(document) => {}
        (Ok((ours, _)), theirs) => assert_eq!(theirs, Ok(ours), "{document:?}"),
        (Err(error), Ok(_)) => {
            let is_known = stricter_than_xml(document, error) || is_laxity_of_rxml(document, error);
            assert!(is_known, "{document:?}: {error}");
        }
        (Err(_), Err(_)) => {}
    }
}

/// `quick-xml` accepts what we accept, and reads the same in it.
pub fn compare_with_quick_xml(document: &str) {
    match (events::ours(document.as_bytes()), events::quick_xml(document)) {
        (Ok((ours, _)), theirs) => assert_eq!(theirs, Ok(ours), "{document:?}"),
        // It checks neither characters nor `<` in values nor `]]>` (see `facts` of each release).
        (Err(error), Ok(_)) => {
            let is_known = events::rxml(document).is_err()
                || stricter_than_xml(document, error)
                || is_laxity_of_rxml(document, error);
            assert!(is_known, "{document:?}: {error}");
        }
        (Err(_), Err(_)) => {}
    }
}

/// Token by token, offsets included.
pub fn compare_with_xmlparser(document: &str) {
    let scope = Scope::client();
    let mut ours = Tokenizer::new(document.as_bytes(), &scope, &LIMITS);
    let mut theirs = Reference::new(document, &scope);
    loop {
        match (ours.next(), theirs.next()) {
            (Ok(None), Ok(None)) | (Err(_), Err(_)) => return,
            (Ok(token), theirs) => assert_eq!(theirs, Ok(token), "{document:?}"),
            (Err(_), _) => break,
        }
    }
    // What we refuse the reference refuses too, if perhaps later on.
    while let Ok(token) = theirs.next() {
        assert!(token.is_some(), "{document:?} was accepted by the reference");
    }
}

/// A document that is valid has a canonical form that says the same, and one only.
pub fn check_canonical_form(document: &str) {
    let read = events::ours(document.as_bytes());
    let mut canonical = Vec::new();
    let outcome = canonicalise(document.as_bytes(), &Scope::client(), &LIMITS, &mut canonical);
    assert_eq!(outcome.err(), read.as_ref().err().copied());
    let Ok((events, _)) = read else { return };
    let text = String::from_utf8_lossy(&canonical);
    let (again, is_canonical) = events::ours(&canonical).expect("a canonical form is valid");
    assert_eq!(again, events, "{document} and {text}");
    let is_client = text.split(['>', '/']).next().is_some_and(|root| !root.contains(" xmlns='"));
    assert!(is_canonical || !is_client, "{text}");
    let mut twice = Vec::new();
    canonicalise(&canonical, &Scope::client(), &LIMITS, &mut twice).expect("valid");
    assert_eq!(twice, canonical, "the canonical form of a canonical form is the same");
    check_children(&canonical);
}

/// Every child of a canonical stanza can be cut out and read alone.
fn check_children(stanza: &[u8]) {
    let scope = Scope::client();
    let mut tokens = Tokenizer::new(stanza, &scope, &LIMITS);
    let mut depth = 0;
    let mut start_of_child = 0;
    let mut root_ns = String::new();
    let mut cut = Vec::new();
    while let Some(token) = tokens.next().expect("valid") {
        match token {
            Token::Start(start) => {
                if depth == 0 {
                    root_ns = start.ns.to_owned();
                }
                if depth == 1 {
                    start_of_child = start.start as usize;
                }
                depth += 1;
            }
            Token::End(end) => {
                depth -= 1;
                if depth == 1 {
                    cut.push(&stanza[start_of_child..end.end as usize]);
                }
            }
            Token::Text(_) => {}
        }
    }
    let whole = Element::parse(stanza, &scope, &LIMITS).expect("valid");
    let inner = Scope::new(&root_ns);
    let children: Vec<Element> = cut
        .iter()
        .map(|child| Element::parse(child, &inner, &LIMITS).expect("a child is self-contained"))
        .collect();
    assert!(whole.children().eq(children.iter()));
}
