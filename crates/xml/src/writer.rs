//! Writes elements so that every parser reads them alike.

use crate::escape::{escape_attribute, escape_text};
use crate::ns;

/// Writes elements without prefixes: a namespace is declared as the default one where it differs
/// from the parent's. Attributes in a namespace get a prefix that is declared beside them.
pub(crate) struct Writer<'o> {
    out: &'o mut Vec<u8>,
    prefixes: usize,
}

impl<'o> Writer<'o> {
    pub fn new(out: &'o mut Vec<u8>) -> Writer<'o> {
        Writer { out, prefixes: 0 }
    }

    /// How much there is.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// `<name`, with a declaration if `ns` is not the parent's.
    pub fn open(&mut self, ns: &str, name: &str, parent_ns: &str) {
        self.out.push(b'<');
        self.out.extend_from_slice(name.as_bytes());
        if ns != parent_ns {
            self.attribute("", "xmlns", ns);
        }
    }

    /// An attribute of the element that is open. `ns` is empty for most.
    pub fn attribute(&mut self, ns: &str, name: &str, value: &str) {
        match ns {
            "" => self.quoted(&[name], value),
            ns::XML => self.quoted(&["xml:", name], value),
            _ => {
                // Never the same prefix twice, so that no declaration hides another.
                self.prefixes += 1;
                let prefix = format!("ns{}", self.prefixes);
                self.quoted(&["xmlns:", &prefix], ns);
                self.quoted(&[&prefix, ":", name], value);
            }
        }
    }

    fn quoted(&mut self, name: &[&str], value: &str) {
        self.out.push(b' ');
        name.iter().for_each(|part| self.out.extend_from_slice(part.as_bytes()));
        self.out.extend_from_slice(b"='");
        escape_attribute(self.out, value);
        self.out.push(b'\'');
    }

    /// The end of a start tag.
    pub fn content_follows(&mut self) {
        self.out.push(b'>');
    }

    /// The end of an element without content, in place of
    /// [`content_follows`](Writer::content_follows).
    pub fn close_empty(&mut self) {
        self.out.extend_from_slice(b"/>");
    }

    pub fn text(&mut self, text: &str) {
        escape_text(self.out, text);
    }

    pub fn close(&mut self, name: &str) {
        self.out.extend_from_slice(b"</");
        self.out.extend_from_slice(name.as_bytes());
        self.out.push(b'>');
    }
}
