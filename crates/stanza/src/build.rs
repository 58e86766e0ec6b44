//! Stanzas that the server itself makes.

use bytes::Bytes;
use jackdaw_jid::Jid;
use jackdaw_xml::{Element, Limits, Scope, escape_attribute};

use crate::ns;
use crate::stanza::{Address, IqType, Kind, Stanza, Type};
use crate::{ParseError, StanzaError};

/// Builds a stanza of our own: addresses, id, type, then payloads.
#[derive(Clone, Debug)]
pub struct Builder {
    head: Vec<u8>,
    payload: Vec<u8>,
    kind: Kind,
    to: Address,
    from: Address,
}

impl Builder {
    /// An empty stanza of this kind.
    pub fn new(kind: Kind) -> Builder {
        let mut head = Vec::with_capacity(128);
        head.push(b'<');
        head.extend_from_slice(kind.name().as_bytes());
        Builder { head, payload: Vec::new(), kind, to: Address::Absent, from: Address::Absent }
    }

    /// A message.
    pub fn message() -> Builder {
        Builder::new(Kind::Message)
    }

    /// A presence.
    pub fn presence() -> Builder {
        Builder::new(Kind::Presence)
    }

    /// An iq of this type.
    pub fn iq(kind: IqType) -> Builder {
        Builder::new(Kind::Iq).with_type(match kind {
            IqType::Get => "get",
            IqType::Set => "set",
            IqType::Result => "result",
            IqType::Error => "error",
        })
    }

    /// To whom.
    pub fn to(mut self, jid: impl Into<Jid>) -> Builder {
        self.to = Address::Jid(jid.into());
        self
    }

    /// From whom.
    pub fn from(mut self, jid: impl Into<Jid>) -> Builder {
        self.from = Address::Jid(jid.into());
        self
    }

    /// The `type` attribute.
    pub fn with_type(self, kind: &str) -> Builder {
        self.attribute("type", kind)
    }

    /// The `id` attribute.
    pub fn id(self, id: &str) -> Builder {
        self.attribute("id", id)
    }

    /// Any other attribute, `xml:lang` for one.
    pub fn attribute(mut self, name: &str, value: &str) -> Builder {
        self.head.push(b' ');
        self.head.extend_from_slice(name.as_bytes());
        self.head.extend_from_slice(b"='");
        escape_attribute(&mut self.head, value);
        self.head.push(b'\'');
        self
    }

    /// A child element.
    pub fn payload(mut self, element: &Element) -> Builder {
        element.write_to(&mut self.payload, ns::CLIENT);
        self
    }

    /// Children that are serialised already, and canonical.
    pub fn raw_payload(mut self, xml: &[u8]) -> Builder {
        self.payload.extend_from_slice(xml);
        self
    }

    /// The stanza. What the server builds is well-formed; where it is not, the stanza is empty
    /// and the error is ours.
    pub fn build(self) -> Stanza {
        let mut bytes = self.head;
        if self.payload.is_empty() {
            bytes.extend_from_slice(b"/>");
        } else {
            bytes.push(b'>');
            bytes.extend_from_slice(&self.payload);
            bytes.extend_from_slice(b"</");
            bytes.extend_from_slice(self.kind.name().as_bytes());
            bytes.push(b'>');
        }
        let limits = Limits::trusted();
        let mut stanza = match Stanza::parse(Bytes::from(bytes), &Scope::client(), &limits) {
            Ok(stanza) => stanza,
            Err(ParseError::BadType(stanza)) => *stanza,
            Err(ParseError::Xml(_) | ParseError::NotAStanza) => {
                debug_assert!(false, "a stanza of our own making does not parse");
                return Builder::new(self.kind).build();
            }
        };
        stanza.to = self.to;
        stanza.from = self.from;
        stanza
    }
}

impl Stanza {
    /// A builder for the answer: addresses turned round, same id (RFC 6120 §8.1.3).
    fn reply(&self, kind: &str) -> Builder {
        let mut builder = Builder::new(self.kind()).with_type(kind);
        if let Some(id) = self.id() {
            builder = builder.id(&id);
        }
        if let Some(from) = self.from() {
            builder = builder.to(from.to_jid());
        }
        if let Some(to) = self.to() {
            builder = builder.from(to.to_jid());
        }
        builder
    }

    /// The result of an iq, with its payload.
    pub fn result(&self, payload: Option<&Element>) -> Stanza {
        let builder = self.reply("result");
        match payload {
            Some(element) => builder.payload(element).build(),
            None => builder.build(),
        }
    }

    /// The error reply to this stanza. Give none to an error or an iq result: see
    /// [`Stanza::may_be_answered`].
    pub fn error(&self, error: &StanzaError) -> Stanza {
        self.reply("error").payload(&error.to_element()).build()
    }

    /// Whether an error may be sent about this stanza (RFC 6120 §8.3.1, §8.2.3).
    pub fn may_be_answered(&self) -> bool {
        !self.is_error() && self.kind_and_type() != Type::Iq(IqType::Result)
    }
}
