use super::*;

const URN: &str = "urn:example";

fn parse(text: &str) -> Result<Element, XmlError> {
    Element::parse(text.as_bytes(), &Scope::client(), &Limits::after_auth())
}

fn check(text: &str, written: &str) {
    let element = parse(text).expect("a valid element");
    assert_eq!(element.to_xml(ns::CLIENT), written);
    assert_eq!(parse(written).as_ref(), Ok(&element), "what is written reads the same");
}

#[test]
fn a_namespace_is_declared_where_it_differs_from_the_parents() {
    let query = Element::new(URN, "query")
        .with_child(Element::new(URN, "item"))
        .with_child(Element::new("", "none").with_child(Element::new(URN, "item")));
    let iq = Element::new(ns::CLIENT, "iq").with_attr("type", "get").with_child(query);
    let xml = "<iq type='get'><query xmlns='urn:example'><item/>\
        <none xmlns=''><item xmlns='urn:example'/></none></query></iq>";
    assert_eq!(iq.to_xml(ns::CLIENT), xml);
    assert_eq!(parse(xml), Ok(iq));
}

#[test]
fn prefixes_go_and_namespaces_stay() {
    check(
        "<a:x xmlns:a='urn:a'><a:y/><b:z xmlns:b='urn:b'/><w/></a:x>",
        "<x xmlns='urn:a'><y/><z xmlns='urn:b'/><w xmlns='jabber:client'/></x>",
    );
}

#[test]
fn attributes_in_a_namespace_keep_it() {
    check(
        "<x xmlns:a='urn:a' xmlns:b='urn:b' xml:lang='en' b:v='1' a:v='2' v='3'/>",
        "<x xml:lang='en' xmlns:ns1='urn:b' ns1:v='1' xmlns:ns2='urn:a' ns2:v='2' v='3'/>",
    );
    let element = parse("<x xmlns:a='urn:a' a:v='2' xml:lang='en'/>").expect("valid");
    assert_eq!(element.attr("v"), None);
    assert_eq!(element.attr_ns("urn:a", "v"), Some("2"));
    assert_eq!(element.attr("xml:lang"), Some("en"));
}

#[test]
fn text_is_read_and_written_back() {
    check("<x>a&lt;b<![CDATA[<&>]]>c\r\nd&#13;</x>", "<x>a&lt;b&lt;&amp;&gt;c\nd&#13;</x>");
    check("<x a=\"'&quot;&#10;\n\"/>", "<x a='&apos;&quot;&#10; '/>");
    let element = parse("<x>a<y>b</y>c</x>").expect("valid");
    assert_eq!(element.text(), "ac");
    assert_eq!(element.nodes().len(), 3);
}

#[test]
fn attributes_and_children_can_be_changed() {
    let mut element = Element::new(URN, "x").with_attr("a", "1").with_attr("xml:lang", "en");
    element.set_attr("a", "2");
    element.remove_attr("xml:lang");
    element.push(Element::new(URN, "y"));
    element.push(Element::new(URN, "z"));
    if let Some(child) = element.child_mut(URN, "y") {
        child.push_text("text");
    }
    element.retain_children(|child| !child.is(URN, "z"));
    assert_eq!(element.to_xml(""), "<x xmlns='urn:example' a='2'><y>text</y></x>");
    assert_eq!(element.with_optional_attr("b", None::<String>).attrs().count(), 1);
}

#[test]
fn trees_deeper_than_the_stack_can_take_are_refused() {
    let limits = Limits { depth_max: u16::MAX, ..Limits::after_auth() };
    let nested = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
    let parse = |depth| Element::parse(nested(depth).as_bytes(), &Scope::client(), &limits);
    assert!(parse(usize::from(DEPTH_MAX)).is_ok());
    let refused = parse(usize::from(DEPTH_MAX) + 1);
    assert_eq!(refused, Err(XmlError::Limit(crate::Limit::Depth)));
}
