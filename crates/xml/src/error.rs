//! Why bytes are refused.

/// A rule of XML, or a limit of ours, that a peer broke. Each ends the stream with one condition
/// (RFC 6120 §4.9.3), see [`XmlError::condition`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// Not UTF-8, or a stream header that cannot be processed.
    #[error("bytes that cannot be processed")]
    BadFormat,
    /// A prefix without a declaration, or a declaration that is not allowed.
    #[error("bad namespace prefix")]
    BadNamespacePrefix,
    /// The root of the stream is not in the streams namespace.
    #[error("invalid namespace")]
    InvalidNamespace,
    /// More than we are willing to handle.
    #[error("{0}")]
    Limit(Limit),
    /// A name with characters beyond ASCII. The editions of XML 1.0 disagree on which of them are
    /// allowed, so a name that one client reads ends the stream of another (libexpat follows the
    /// fourth edition).
    #[error("a name beyond ASCII")]
    NameNotAscii,
    /// Not well-formed (XML 1.0, Namespaces in XML 1.0).
    #[error("not well-formed: {0}")]
    NotWellFormed(&'static str),
    /// Well-formed, but forbidden in XMPP (RFC 6120 §11.1).
    #[error("restricted: {0}")]
    RestrictedXml(&'static str),
    /// An element of the stream itself inside a stanza.
    #[error("stream element inside a stanza")]
    StreamElement,
    /// An XML declaration with an encoding other than UTF-8 (RFC 6120 §11.6).
    #[error("unsupported encoding")]
    UnsupportedEncoding,
}

impl XmlError {
    /// The stream error condition (RFC 6120 §4.9.3) that the peer is told.
    pub fn condition(&self) -> &'static str {
        match self {
            XmlError::BadFormat | XmlError::StreamElement => "bad-format",
            XmlError::BadNamespacePrefix => "bad-namespace-prefix",
            XmlError::InvalidNamespace => "invalid-namespace",
            XmlError::Limit(_) | XmlError::NameNotAscii => "policy-violation",
            XmlError::NotWellFormed(_) => "not-well-formed",
            XmlError::RestrictedXml(_) => "restricted-xml",
            XmlError::UnsupportedEncoding => "unsupported-encoding",
        }
    }
}

/// The limit that was passed, see [`Limits`](crate::Limits).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Limit {
    /// Too many attributes on one element.
    #[error("too many attributes")]
    Attributes,
    /// Too many bytes.
    #[error("too many bytes")]
    Bytes,
    /// Too deep.
    #[error("too deep")]
    Depth,
    /// Too many elements.
    #[error("too many elements")]
    Elements,
    /// Too many namespace declarations.
    #[error("too many namespace declarations")]
    Namespaces,
}
