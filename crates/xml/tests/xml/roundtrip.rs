//! What is written reads as what was meant.

use jackdaw_xml::{
    Element, Scope, StanzaTokenizer, Token, Tokenizer, canonicalise, escape_attribute, escape_text,
    ns,
};
use proptest::prelude::*;

use crate::events::{LIMITS, ours};
use crate::{corpus, generate};

/// Any element that XML can hold.
fn elements() -> impl Strategy<Value = Element> {
    let name = "[a-zA-Z_][a-zA-Z0-9_.-]{0,6}";
    let ns = prop_oneof![
        Just(ns::CLIENT.to_owned()),
        Just(String::new()),
        "urn:[a-z]{1,3}".prop_map(|ns| ns)
    ];
    let text = any::<String>().prop_map(|text| {
        let is_xml =
            |c: &char| *c >= ' ' && !matches!(c, '\u{FFFE}' | '\u{FFFF}') || "\t\n\r".contains(*c);
        text.chars().filter(is_xml).collect::<String>()
    });
    let attributes = prop::collection::vec((ns.clone(), name, text.clone()), 0..4);
    let new = |(ns, name, attributes): (String, String, Vec<(String, String, String)>)| {
        let mut element = Element::new(ns, name);
        for (ns, name, value) in attributes {
            element.set_attr_ns(ns, name, value);
        }
        element
    };
    let leaf = (ns, name, attributes).prop_map(new);
    leaf.clone().prop_recursive(5, 40, 6, move |inner| {
        let content = prop_oneof![inner.prop_map(Ok), text.clone().prop_map(Err)];
        (leaf.clone(), prop::collection::vec(content, 0..6)).prop_map(|(mut element, content)| {
            for node in content {
                match node {
                    Ok(child) => element.push(child),
                    Err(text) => element.push_text(text),
                }
            }
            element
        })
    })
}

/// Whether `xmlns` was drawn as the name of an attribute; it would be a declaration.
fn has_reserved_name(element: &Element) -> bool {
    element.attrs().any(|(_, name, _)| name == "xmlns") || element.children().any(has_reserved_name)
}

proptest! {
    #![proptest_config(generate::cases(1_000))]

    #[test]
    fn an_element_that_is_written_is_read_back(element in elements()) {
        prop_assume!(!has_reserved_name(&element));
        for scope in [Scope::client(), Scope::new(""), Scope::new("urn:a")] {
            let xml = element.to_xml(scope.default_namespace());
            let parsed = Element::parse(xml.as_bytes(), &scope, &LIMITS);
            prop_assert_eq!(parsed.as_ref(), Ok(&element), "{}", xml);
        }
    }

    #[test]
    fn any_text_is_escaped_so_that_it_is_text(text in any::<String>()) {
        let mut xml = b"<a b='".to_vec();
        escape_attribute(&mut xml, &text);
        xml.extend_from_slice(b"'>");
        escape_text(&mut xml, &text);
        xml.extend_from_slice(b"</a>");
        let element = Element::parse(&xml, &Scope::client(), &LIMITS).expect("valid");
        prop_assert_eq!(element.children().count(), 0);
        prop_assert_eq!(element.attr("b").map(str::to_owned), Some(element.text()));
        let is_kept = |c: char| c >= ' ' || "\t\n\r".contains(c);
        if text.chars().all(is_kept) {
            prop_assert_eq!(element.text(), text.replace(['\u{FFFE}', '\u{FFFF}'], "\u{FFFD}"));
        }
    }

    #[test]
    fn a_canonical_form_is_canonical_and_says_the_same(document in generate::any_document()) {
        check_canonical_form(&document);
    }
}

#[test]
fn the_corpus_has_canonical_forms() {
    corpus::VALID.iter().for_each(|document| check_canonical_form(document));
}

fn check_canonical_form(document: &str) {
    let read = ours(document.as_bytes());
    let mut canonical = Vec::new();
    let outcome = canonicalise(document.as_bytes(), &Scope::client(), &LIMITS, &mut canonical);
    assert_eq!(outcome.err(), read.as_ref().err().copied());
    let Ok((events, _)) = read else { return };
    let text = String::from_utf8_lossy(&canonical);
    let (again, is_canonical) = ours(&canonical).expect("a canonical form is valid");
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
