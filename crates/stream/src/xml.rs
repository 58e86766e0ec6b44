//! The few forms in which a stream writes its own elements.

use jackdaw_xml::{escape_attribute, escape_text};

/// ` name='value'`
pub(crate) fn attribute(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(b' ');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"='");
    escape_attribute(out, value);
    out.push(b'\'');
}

/// ` xmlns='ns'`
pub(crate) fn declare(out: &mut Vec<u8>, ns: &str) {
    attribute(out, "xmlns", ns);
}

/// `<name>text</name>`
pub(crate) fn text(out: &mut Vec<u8>, name: &str, text: &str) {
    out.push(b'<');
    out.extend_from_slice(name.as_bytes());
    out.push(b'>');
    escape_text(out, text);
    out.extend_from_slice(b"</");
    out.extend_from_slice(name.as_bytes());
    out.push(b'>');
}
