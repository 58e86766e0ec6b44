//! A tree of elements, for what is not hot: IQ payloads, SASL2, forms.

use std::borrow::Cow;

use crate::token::{Attribute, StanzaTokenizer, Start, Token};
use crate::tokenizer::Tokenizer;
use crate::writer::Writer;
use crate::{Limits, Scope, XmlError, ns};

/// Depth to which a tree is read whatever the limits say. Cloning and dropping a tree recurse, so
/// this is what the stack of any thread can take.
const DEPTH_MAX: u16 = 256;

const _: () = assert!(Limits::after_auth().depth_max <= DEPTH_MAX);

/// A name or namespace that an element owns.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Box<str>);

impl Name {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Name {
    fn from(name: &str) -> Name {
        Name(name.into())
    }
}

impl From<&String> for Name {
    fn from(name: &String) -> Name {
        Name(name.as_str().into())
    }
}

impl From<String> for Name {
    fn from(name: String) -> Name {
        Name(name.into())
    }
}

impl From<Cow<'_, str>> for Name {
    fn from(name: Cow<'_, str>) -> Name {
        Name(name.into())
    }
}

/// An element with everything inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    ns: Name,
    name: Name,
    attributes: Vec<OwnedAttribute>,
    nodes: Vec<Node>,
}

/// What an element holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A child element.
    Element(Element),
    /// Character data.
    Text(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct OwnedAttribute {
    /// Empty for nearly all.
    ns: Name,
    name: Name,
    value: String,
}

impl Element {
    /// An empty element. The namespace comes first here and everywhere.
    pub fn new(ns: impl Into<Name>, name: impl Into<Name>) -> Element {
        Element { ns: ns.into(), name: name.into(), attributes: Vec::new(), nodes: Vec::new() }
    }

    /// The local name.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The namespace; empty if there is none.
    pub fn ns(&self) -> &str {
        self.ns.as_str()
    }

    /// Whether it has this name.
    pub fn is(&self, ns: &str, name: &str) -> bool {
        self.name() == name && self.ns() == ns
    }

    /// The value of an attribute in no namespace, or of `xml:lang` and its like.
    pub fn attr(&self, name: &str) -> Option<&str> {
        let (ns, name) = split_xml_prefix(name);
        self.attr_ns(ns, name)
    }

    /// The value of an attribute in a namespace.
    pub fn attr_ns(&self, ns: &str, name: &str) -> Option<&str> {
        let wanted = |attribute: &&OwnedAttribute| attribute.is(ns, name);
        self.attributes.iter().find(wanted).map(|attribute| attribute.value.as_str())
    }

    /// The attributes: namespace, name, value.
    pub fn attrs(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.attributes.iter().map(|attribute| {
            (attribute.ns.as_str(), attribute.name.as_str(), attribute.value.as_str())
        })
    }

    /// Sets an attribute in no namespace, or `xml:lang` and its like.
    pub fn set_attr(&mut self, name: impl Into<Name>, value: impl Into<String>) {
        let name = name.into();
        match split_xml_prefix(name.as_str()) {
            ("", _) => self.set_attr_ns("", name, value),
            (ns, local) => self.set_attr_ns(ns, local, value),
        }
    }

    /// Sets an attribute in a namespace.
    pub fn set_attr_ns(
        &mut self,
        ns: impl Into<Name>,
        name: impl Into<Name>,
        value: impl Into<String>,
    ) {
        let (ns, name, value) = (ns.into(), name.into(), value.into());
        let known = |attribute: &&mut OwnedAttribute| attribute.is(ns.as_str(), name.as_str());
        match self.attributes.iter_mut().find(known) {
            Some(attribute) => attribute.value = value,
            None => self.attributes.push(OwnedAttribute { ns, name, value }),
        }
    }

    /// Takes an attribute away.
    pub fn remove_attr(&mut self, name: &str) {
        let (ns, name) = split_xml_prefix(name);
        self.attributes.retain(|attribute| !attribute.is(ns, name));
    }

    /// With this attribute, see [`set_attr`](Element::set_attr).
    pub fn with_attr(mut self, name: impl Into<Name>, value: impl Into<String>) -> Element {
        self.set_attr(name, value);
        self
    }

    /// With this attribute if there is a value.
    pub fn with_optional_attr(
        self,
        name: impl Into<Name>,
        value: Option<impl Into<String>>,
    ) -> Element {
        match value {
            Some(value) => self.with_attr(name, value),
            None => self,
        }
    }

    /// With this text at the end.
    pub fn with_text(mut self, text: impl Into<String>) -> Element {
        self.push_text(text);
        self
    }

    /// With this child at the end.
    pub fn with_child(mut self, child: Element) -> Element {
        self.push(child);
        self
    }

    /// With these children at the end.
    pub fn with_children(mut self, children: impl IntoIterator<Item = Element>) -> Element {
        children.into_iter().for_each(|child| self.push(child));
        self
    }

    /// Appends a child.
    pub fn push(&mut self, child: Element) {
        self.nodes.push(Node::Element(child));
    }

    /// Appends text. Text beside text becomes one node, as a parser would read it.
    pub fn push_text(&mut self, text: impl Into<String>) {
        let text = text.into();
        match self.nodes.last_mut() {
            _ if text.is_empty() => {}
            Some(Node::Text(last)) => last.push_str(&text),
            Some(Node::Element(_)) | None => self.nodes.push(Node::Text(text)),
        }
    }

    /// The child elements.
    pub fn children(&self) -> Children<'_> {
        Children { nodes: self.nodes.iter() }
    }

    /// Child elements and text in order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The first child of this name.
    pub fn child(&self, ns: &str, name: &str) -> Option<&Element> {
        self.children().find(|child| child.is(ns, name))
    }

    /// The first child of this name, to be changed.
    pub fn child_mut(&mut self, ns: &str, name: &str) -> Option<&mut Element> {
        self.nodes.iter_mut().find_map(|node| match node {
            Node::Element(child) => child.is(ns, name).then_some(child),
            Node::Text(_) => None,
        })
    }

    /// Keeps the children for which `wanted` says so, and all text.
    pub fn retain_children(&mut self, mut wanted: impl FnMut(&Element) -> bool) {
        self.nodes.retain(|node| match node {
            Node::Element(child) => wanted(child),
            Node::Text(_) => true,
        });
    }

    /// The text of the element itself, without that of its children.
    pub fn text(&self) -> String {
        self.nodes
            .iter()
            .map(|node| match node {
                Node::Text(text) => text.as_str(),
                Node::Element(_) => "",
            })
            .collect()
    }

    /// Reads one element.
    pub fn parse(bytes: &[u8], scope: &Scope, limits: &Limits) -> Result<Element, XmlError> {
        let depth_max = limits.depth_max.min(DEPTH_MAX);
        let limits = Limits { depth_max, ..*limits };
        let mut tokens = Tokenizer::new(bytes, scope, &limits);
        let mut open: Vec<Element> = Vec::new();
        let mut root = None;
        while let Some(token) = tokens.next()? {
            match token {
                Token::Start(start) => open.push(Element::from_start(&start)),
                Token::Text(text) => {
                    if let Some(element) = open.last_mut() {
                        element.push_text(text.value());
                    }
                }
                Token::End(_) => {
                    let Some(element) = open.pop() else { continue };
                    match open.last_mut() {
                        Some(parent) => parent.push(element),
                        None => root = Some(element),
                    }
                }
            }
        }
        root.ok_or(XmlError::NotWellFormed("no element"))
    }

    fn from_start(start: &Start<'_, '_>) -> Element {
        let mut element = Element::new(start.ns, start.local);
        let attributes = start.attributes.iter().filter(|attribute| !attribute.is_declaration());
        element.attributes = attributes.map(OwnedAttribute::from_token).collect();
        element
    }

    /// Appends the element as it is written inside a parent whose default namespace is
    /// `default_ns`: a declaration only where the namespace differs from the parent's.
    pub fn write_to(&self, out: &mut Vec<u8>, default_ns: &str) {
        let mut writer = Writer::new(out);
        // The open elements, and what is still to be written of each.
        let mut open = vec![(self, self.nodes.iter())];
        self.write_start(&mut writer, default_ns);
        while let Some((element, nodes)) = open.last_mut() {
            match nodes.next() {
                Some(Node::Text(text)) => writer.text(text),
                Some(Node::Element(child)) => {
                    child.write_start(&mut writer, element.ns());
                    open.push((child, child.nodes.iter()));
                }
                None => {
                    if !element.nodes.is_empty() {
                        writer.close(element.name());
                    }
                    open.pop();
                }
            }
        }
    }

    fn write_start(&self, writer: &mut Writer<'_>, parent_ns: &str) {
        writer.open(self.ns(), self.name(), parent_ns);
        for (ns, name, value) in self.attrs() {
            writer.attribute(ns, name, value);
        }
        if self.nodes.is_empty() {
            writer.close_empty();
        } else {
            writer.content_follows();
        }
    }

    /// The element as text, see [`write_to`](Element::write_to).
    pub fn to_xml(&self, default_ns: &str) -> String {
        let mut out = Vec::new();
        self.write_to(&mut out, default_ns);
        String::from_utf8(out).expect("made of strings and ASCII")
    }
}

impl OwnedAttribute {
    fn from_token(attribute: &Attribute<'_>) -> OwnedAttribute {
        OwnedAttribute {
            ns: attribute.ns.into(),
            name: attribute.local.into(),
            value: attribute.value().into_owned(),
        }
    }

    fn is(&self, ns: &str, name: &str) -> bool {
        self.name.as_str() == name && self.ns.as_str() == ns
    }
}

/// `xml:lang` is written and asked for with its prefix, which never changes.
fn split_xml_prefix(name: &str) -> (&'static str, &str) {
    match name.strip_prefix("xml:") {
        Some(local) => (ns::XML, local),
        None => ("", name),
    }
}

/// Child elements, see [`Element::children`].
#[derive(Clone, Debug)]
pub struct Children<'a> {
    nodes: std::slice::Iter<'a, Node>,
}

impl<'a> Iterator for Children<'a> {
    type Item = &'a Element;

    fn next(&mut self) -> Option<&'a Element> {
        self.nodes.find_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }
}

#[cfg(test)]
#[path = "element_test.rs"]
mod tests;
