//! Rewrites a valid stanza into canonical form.

use smallvec::SmallVec;

use crate::token::{StanzaTokenizer, Start, Token};
use crate::tokenizer::Tokenizer;
use crate::writer::Writer;
use crate::{Limit, Limits, Scope, XmlError, ns};

/// Appends a canonical form (see the [crate]'s documentation) of one stanza: elements, attributes
/// and text as they were, written in the one way that every parser reads alike.
///
/// The result depends on no scope but `jabber:client` as default namespace; a root element of
/// another namespace declares its own (and is not canonical for that reason alone). Declarations
/// that were shared may have to be repeated, so the result can be larger than the input: past
/// `stanza_bytes_max` it is an error, whatever `out` holds then is to be thrown away.
pub fn canonicalise(
    bytes: &[u8],
    scope: &Scope,
    limits: &Limits,
    out: &mut Vec<u8>,
) -> Result<(), XmlError> {
    let mut tokens = Tokenizer::new(bytes, scope, limits);
    let bytes_max = out.len() + limits.stanza_bytes_max as usize;
    let mut writer = Writer::new(out);
    // Namespaces of the open elements.
    let mut open: SmallVec<[&str; 16]> = SmallVec::new();
    while let Some(token) = tokens.next()? {
        match token {
            Token::Start(start) => {
                write_start(&mut writer, &start, open.last().copied().unwrap_or(ns::CLIENT));
                open.push(start.ns);
                if start.is_empty {
                    writer.close_empty();
                } else {
                    writer.content_follows();
                }
            }
            Token::Text(text) => writer.text(&text.value()),
            Token::End(end) => {
                open.pop();
                let is_empty = bytes.get(end.start as usize) == Some(&b'/');
                if !is_empty {
                    writer.close(end.local);
                }
            }
        }
        if writer.len() > bytes_max {
            return Err(XmlError::Limit(Limit::Bytes));
        }
    }
    Ok(())
}

fn write_start(writer: &mut Writer<'_>, start: &Start<'_, '_>, parent_ns: &str) {
    writer.open(start.ns, start.local, parent_ns);
    for attribute in start.attributes.iter().filter(|attribute| !attribute.is_declaration()) {
        writer.attribute(attribute.ns, attribute.local, &attribute.value());
    }
}
