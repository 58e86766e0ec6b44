//! Other parsers accept what we accept and read the same in it.
//!
//! Where another parser accepts and we do not, the reason is in [`stricter_than_xml`], or `rxml`,
//! which implements the same restricted XML, refuses too.

use jackdaw_xml::{Scope, StanzaTokenizer, Tokenizer, XmlError, ns};
use proptest::prelude::*;

use crate::events::{self, LIMITS};
use crate::reference::Reference;
use crate::{corpus, generate};

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

fn compare_with_rxml(document: &str) {
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

fn compare_with_quick_xml(document: &str) {
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
fn compare_with_xmlparser(document: &str) {
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

#[test]
fn the_corpus_is_accepted_and_refused_as_it_says() {
    for document in corpus::VALID {
        assert!(events::ours(document.as_bytes()).is_ok(), "{document:?}");
    }
    for document in corpus::INVALID {
        assert!(events::ours(document.as_bytes()).is_err(), "{document:?}");
    }
}

#[test]
fn the_corpus_is_read_as_others_read_it() {
    for document in corpus::VALID.iter().chain(corpus::INVALID) {
        compare_with_rxml(document);
        compare_with_quick_xml(document);
        compare_with_xmlparser(document);
    }
}

proptest! {
    #![proptest_config(generate::cases(4_000))]

    #[test]
    fn rxml_reads_the_same(document in generate::any_document()) {
        compare_with_rxml(&document);
    }

    #[test]
    fn quick_xml_reads_the_same(document in generate::any_document()) {
        compare_with_quick_xml(&document);
    }

    #[test]
    fn xmlparser_finds_the_same_tokens(document in generate::any_document()) {
        compare_with_xmlparser(&document);
    }
}
