//! XMPP's XML: finding stanzas in a stream of bytes, reading them without copying, writing them.
//!
//! Two stages read what a peer sends. The [`Framer`] finds where a top-level element of the stream
//! ends, wherever the bytes were cut. The [`Tokenizer`] walks one framed element: names,
//! namespaces, attributes and text as slices of the receive buffer. Whatever passes it is
//! namespace-well-formed and is XML as RFC 6120 §11 restricts it: UTF-8, no DTD, no processing
//! instruction, no comment, no entity besides the five predefined ones.
//!
//! Where a stanza has come in one piece, as nearly all do, [`Tokenizer::unframed`] reads it without
//! a framer: it ends where its root element does. Both ways find the same.
//!
//! # Canonical stanzas
//!
//! A stanza may leave the server as it came in only if every parser in use reads it alike
//! (otherwise a peer could smuggle to a client what the server did not see). Such a stanza is
//! called *canonical*; [`Tokenizer::is_canonical`] tells, and [`canonicalise`] rewrites any other
//! valid stanza. A stanza is canonical if
//!
//! - it is valid as described above, and nothing stands before or after its root element;
//! - its root element is in `jabber:client` and unprefixed;
//! - every prefix that an element or attribute uses is declared inside the stanza: on the root for
//!   the root's own attributes, else on a child of the root or below, so that every child of the
//!   root can be cut out (`xml` needs no declaration);
//! - no declaration binds `xml`, `stream`, or a prefix that is bound to another namespace there;
//! - it has no CDATA section;
//! - its references are the five predefined entities, `&#9;`, `&#10;` and `&#13;`: the three white
//!   space characters that XML would otherwise normalise;
//! - white space that a parser has to normalise (XML 1.0 §2.11, §3.3.3) is absent: no carriage
//!   return, no tab or line feed in an attribute value;
//! - attributes are written `name='value'` or `name="value"` with nothing around the `=`, and end
//!   tags `</name>` with nothing after the name.
//!
//! The form of the quotes is left free: no parser reads the two differently.
//!
//! Does not: know any stanza or stream rule beyond RFC 6120 §4.8 and §11, keep a document, or
//! validate against a schema.
#![deny(unsafe_code)]

mod error;
mod limits;

mod census;
mod framer;
mod lanes;

mod attributes;
mod names;
mod namespaces;
mod reference;
mod scope;
mod shared;
mod stack;
mod token;
mod tokenizer;

mod header;

mod canonical;
mod element;
mod escape;
mod writer;

pub use canonical::canonicalise;
pub use element::{Children, Element, Name, Node};
pub use error::{Limit, XmlError};
pub use escape::{escape_attribute, escape_text};
pub use framer::{Frame, Framer, Scan};
pub use header::{StreamHeader, parse_stream_header};
pub use limits::Limits;
pub use reference::unescape;
pub use scope::Scope;
pub use shared::SharedStr;
pub use token::{Attribute, End, StanzaTokenizer, Start, Text, Token};
pub use tokenizer::Tokenizer;

/// Namespaces that XML and the stream itself need.
pub mod ns {
    /// The content namespace of a client's stream (RFC 6120 §4.8.2).
    pub const CLIENT: &str = "jabber:client";
    /// The content namespace of a stream between servers (RFC 6120 §4.8.2).
    pub const SERVER: &str = "jabber:server";
    /// The stream namespace (RFC 6120 §4.8.1).
    pub const STREAMS: &str = "http://etherx.jabber.org/streams";
    /// What the prefix `xml` is bound to (Namespaces in XML 1.0 §3).
    pub const XML: &str = "http://www.w3.org/XML/1998/namespace";
    /// What the prefix `xmlns` is bound to (Namespaces in XML 1.0 §3).
    pub const XMLNS: &str = "http://www.w3.org/2000/xmlns/";
}
