//! What is written reads as what was meant.

use jackdaw_xml::{Element, Scope, escape_attribute, escape_text, ns};
use proptest::prelude::*;

use crate::agreement::check_canonical_form;
use crate::events::LIMITS;
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
