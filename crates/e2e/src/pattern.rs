//! Compares what arrived with what a script expects.
//!
//! Strict by default: every attribute and child that is not named is an offence. A pattern lifts
//! that for an element by the attribute `etc='*'` (further attributes) and the child `<etc/>`
//! (further children). The order of children has no meaning in XMPP and is not compared.
//! What the RFCs leave to the server in every stanza is passed over unless the pattern names it.

use jackdaw_xml::{Element, Node};

use crate::template::{self, Captures};

const STANZA_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";
const STREAM_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-streams";
const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
const SASL2: &str = "urn:xmpp:sasl:2";
const STANZA_ID: &str = "urn:xmpp:sid:0";

/// What marks further attributes (with any value) and further children as welcome.
const ETC: &str = "etc";

/// Children a server may always add: words for humans, and its stanza-id (XEP-0359 §3).
const OPTIONAL_CHILDREN: &[(&str, &str)] = &[
    (STANZA_ERRORS, "text"),
    (STREAM_ERRORS, "text"),
    (SASL, "text"),
    (SASL2, "text"),
    (STANZA_ID, "stanza-id"),
];

/// Compares; `Err` says where they differ. Holes that met something are added to `captures` only if
/// the whole matches.
pub fn compare(pattern: &Element, actual: &Element, captures: &mut Captures) -> Result<(), String> {
    let mut tentative = captures.clone();
    element(pattern, actual, &mut tentative)?;
    *captures = tentative;
    Ok(())
}

fn element(pattern: &Element, actual: &Element, captures: &mut Captures) -> Result<(), String> {
    if !pattern.is(actual.ns(), actual.name()) {
        return Err(format!(
            "expected <{} xmlns='{}'>, got <{} xmlns='{}'>",
            pattern.name(),
            pattern.ns(),
            actual.name(),
            actual.ns()
        ));
    }
    let inside = |why: String| format!("in <{}>: {why}", pattern.name());
    attributes(pattern, actual, captures).map_err(inside)?;
    text(pattern, actual, captures).map_err(inside)?;
    children(pattern, actual, captures).map_err(inside)
}

fn attributes(pattern: &Element, actual: &Element, captures: &mut Captures) -> Result<(), String> {
    for (ns, name, expected) in pattern.attrs() {
        if (ns, name) == ("", ETC) {
            continue;
        }
        match actual.attr_ns(ns, name) {
            Some(value) if template::matches(expected, value, captures) => {}
            Some(value) => return Err(format!("{name}='{value}', expected '{expected}'")),
            None if template::is_optional(expected) => {}
            None => return Err(format!("{name}='{expected}' is missing")),
        }
    }
    if pattern.attr(ETC).is_some() {
        return Ok(());
    }
    let stray = actual.attrs().find(|&(ns, name, _)| {
        pattern.attr_ns(ns, name).is_none() && !is_optional_attribute(actual, ns, name)
    });
    stray.map_or(Ok(()), |(_, name, value)| Err(format!("{name}='{value}' was not expected")))
}

/// The language of texts for humans, and who made an error (RFC 6120 §8.3.1).
fn is_optional_attribute(element: &Element, ns: &str, name: &str) -> bool {
    (ns, name) == (jackdaw_xml::ns::XML, "lang") || (element.name() == "error" && name == "by")
}

fn text(pattern: &Element, actual: &Element, captures: &mut Captures) -> Result<(), String> {
    let (expected, text) = (pattern.text(), actual.text());
    let (expected, text) = (expected.trim(), text.trim());
    let lenient = expected.is_empty() && has_etc(pattern);
    match lenient || template::matches(expected, text, captures) {
        true => Ok(()),
        false => Err(format!("text `{text}`, expected `{expected}`")),
    }
}

fn has_etc(pattern: &Element) -> bool {
    pattern.children().any(is_etc)
}

fn is_etc(element: &Element) -> bool {
    element.name() == ETC
}

fn children(pattern: &Element, actual: &Element, captures: &mut Captures) -> Result<(), String> {
    let mut left: Vec<&Element> = actual.children().collect();
    for expected in pattern.children().filter(|child| !is_etc(child)) {
        let found = left.iter().position(|child| compare(expected, child, captures).is_ok());
        match found {
            Some(at) => drop(left.remove(at)),
            None => return Err(missing(expected, &left, captures)),
        }
    }
    let optional = |child: &Element| {
        OPTIONAL_CHILDREN.iter().any(|(ns, name)| child.is(ns, name)) || is_returned(actual, child)
    };
    left.retain(|child| !optional(child));
    match left.first() {
        Some(stray) if !has_etc(pattern) => {
            Err(format!("{} was not expected", stray.to_xml(actual.ns())))
        }
        _ => Ok(()),
    }
}

/// Names the nearest miss: a child of the same name, and why it is not the one.
fn missing(expected: &Element, left: &[&Element], captures: &Captures) -> String {
    let alike = left.iter().find(|child| child.is(expected.ns(), expected.name()));
    match alike {
        Some(child) => element(expected, child, &mut captures.clone()).err().unwrap_or_default(),
        None => format!("<{} xmlns='{}'> is missing", expected.name(), expected.ns()),
    }
}

/// An error may carry the stanza it is about (RFC 6120 §8.3.1).
fn is_returned(stanza: &Element, child: &Element) -> bool {
    let is_stanza = ["message", "presence", "iq"].contains(&stanza.name());
    is_stanza && stanza.attr("type") == Some("error") && child.name() != "error"
}

/// Takes the white space away with which scripts lay out their elements.
pub fn without_layout(element: &Element) -> Element {
    let mut bare = Element::new(element.ns(), element.name());
    for (ns, name, value) in element.attrs() {
        bare.set_attr_ns(ns, name, value);
    }
    for node in element.nodes() {
        match node {
            Node::Element(child) => bare.push(without_layout(child)),
            Node::Text(text) if text.trim().is_empty() => {}
            Node::Text(text) => bare.push_text(text.trim()),
        }
    }
    bare
}

#[cfg(test)]
mod tests {
    use jackdaw_xml::{Limits, Scope};

    use super::*;

    fn parse(xml: &str) -> Element {
        Element::parse(xml.as_bytes(), &Scope::client(), &Limits::after_auth()).unwrap()
    }

    #[track_caller]
    fn check(pattern: &str, actual: &str, why_not: &str) {
        let result = compare(&parse(pattern), &parse(actual), &mut Captures::new());
        assert_eq!(result.err().unwrap_or_default(), why_not);
    }

    #[test]
    fn order_and_quotes_have_no_meaning() {
        check("<iq a='1' b='2'><x/><y/></iq>", "<iq b=\"2\" a=\"1\"><y/><x/></iq>", "");
    }

    #[test]
    fn what_is_not_named_is_an_offence() {
        check("<iq/>", "<iq a='1'/>", "in <iq>: a='1' was not expected");
        check("<iq/>", "<iq><x/></iq>", "in <iq>: <x/> was not expected");
        check("<iq/>", "<iq>text</iq>", "in <iq>: text `text`, expected ``");
    }

    #[test]
    fn etc_welcomes_more() {
        check("<iq etc='*'><x/><etc/></iq>", "<iq a='1'>t<y/><x/></iq>", "");
        check(
            "<iq><x/><etc/></iq>",
            "<iq><y/></iq>",
            "in <iq>: <x xmlns='jabber:client'> is missing",
        );
    }

    #[test]
    fn what_is_left_to_the_server_is_passed_over() {
        check(
            "<message type='error'><error type='cancel'><x/></error></message>",
            "<message xml:lang='en' type='error'><body>hi</body><error by='localhost' type='cancel'><x/>\
             <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>No.</text></error></message>",
            "",
        );
    }

    #[test]
    fn the_nearest_miss_is_explained() {
        check("<iq><x a='1'/></iq>", "<iq><x a='2'/></iq>", "in <iq>: in <x>: a='2', expected '1'");
    }
}
