//! The stanza as it travels: bytes and the offsets that routing needs.

use std::borrow::Cow;

use bytes::Bytes;
use jackdaw_jid::{Jid, JidParts, JidRef};
use jackdaw_xml::{Element, Limits, Scope, XmlError};

use crate::ns;
use crate::parsed::{Child, Shared, Span};

/// Room for a child that is added: delays, stanza-ids and the like are of this size.
const ADDED_BYTES: usize = 160;

/// The three kinds of stanza (RFC 6120 §8.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Push (RFC 6120 §8.2.1).
    Message,
    /// Publish-subscribe (RFC 6120 §8.2.2).
    Presence,
    /// Request-response (RFC 6120 §8.2.3).
    Iq,
}

impl Kind {
    /// The element name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Message => "message",
            Kind::Presence => "presence",
            Kind::Iq => "iq",
        }
    }
}

/// Types of a message (RFC 6121 §5.2.2); an unknown one counts as normal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageType {
    /// One-to-one chat.
    Chat,
    /// An error about an earlier message.
    Error,
    /// A multi-user chat room.
    Groupchat,
    /// Alerts to which no answer is expected.
    Headline,
    /// Outside of a conversation; the default.
    Normal,
}

/// Types of a presence (RFC 6121 §4.7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PresenceType {
    /// No `type` attribute: the sender is available.
    Available,
    /// An error about an earlier presence.
    Error,
    /// A server asks for the current presence.
    Probe,
    /// Asks for a subscription.
    Subscribe,
    /// Approves a subscription.
    Subscribed,
    /// No longer available.
    Unavailable,
    /// Ends the sender's subscription.
    Unsubscribe,
    /// Refuses or cancels the recipient's subscription.
    Unsubscribed,
}

/// Types of an iq (RFC 6120 §8.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IqType {
    /// Asks for information.
    Get,
    /// Provides or changes something.
    Set,
    /// Answers a get or set.
    Result,
    /// Answers a get or set that failed.
    Error,
}

/// Kind and type together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// A message of this type.
    Message(MessageType),
    /// A presence of this type.
    Presence(PresenceType),
    /// An iq of this type.
    Iq(IqType),
}

/// A `to` or `from`, kept without copying where it came normalised.
#[derive(Clone, Debug)]
pub enum Address {
    /// No such attribute.
    Absent,
    /// Not a JID (RFC 7622); the stanza is answered with `jid-malformed`.
    Malformed,
    /// Normalised text inside the stanza's own bytes, and where its parts are.
    Span(Span, JidParts),
    /// Stamped by the server, or normalised from what came.
    Jid(Jid),
}

/// One message, presence or iq.
///
/// Cheap to clone (a reference count and some words). The bytes are canonical: every parser reads
/// them alike (see `jackdaw_xml`). What the server adds or takes away is kept beside them and
/// applied by [`Stanza::write_to`].
#[derive(Clone, Debug)]
pub struct Stanza {
    pub(crate) kind: Type,
    pub(crate) to: Address,
    pub(crate) from: Address,
    pub(crate) parsed: Shared,
}

impl Stanza {
    /// Kind and type.
    pub fn kind_and_type(&self) -> Type {
        self.kind
    }

    /// The kind of stanza.
    pub fn kind(&self) -> Kind {
        match self.kind {
            Type::Message(_) => Kind::Message,
            Type::Presence(_) => Kind::Presence,
            Type::Iq(_) => Kind::Iq,
        }
    }

    /// The type, if this is a message.
    pub fn message_type(&self) -> Option<MessageType> {
        match self.kind {
            Type::Message(kind) => Some(kind),
            Type::Presence(_) | Type::Iq(_) => None,
        }
    }

    /// The type, if this is a presence.
    pub fn presence_type(&self) -> Option<PresenceType> {
        match self.kind {
            Type::Presence(kind) => Some(kind),
            Type::Message(_) | Type::Iq(_) => None,
        }
    }

    /// The type, if this is an iq.
    pub fn iq_type(&self) -> Option<IqType> {
        match self.kind {
            Type::Iq(kind) => Some(kind),
            Type::Message(_) | Type::Presence(_) => None,
        }
    }

    /// Whether it is an error of any kind; errors never cause errors (RFC 6120 §8.3.1).
    pub fn is_error(&self) -> bool {
        matches!(
            self.kind,
            Type::Message(MessageType::Error)
                | Type::Presence(PresenceType::Error)
                | Type::Iq(IqType::Error)
        )
    }

    /// To whom, if it says so with a well-formed JID.
    pub fn to(&self) -> Option<JidRef<'_>> {
        self.resolve(&self.to)
    }

    /// From whom.
    pub fn from(&self) -> Option<JidRef<'_>> {
        self.resolve(&self.from)
    }

    fn resolve<'a>(&'a self, address: &'a Address) -> Option<JidRef<'a>> {
        match address {
            Address::Absent | Address::Malformed => None,
            Address::Span(span, parts) => {
                JidRef::from_parts(span.of(&self.parsed.get().text), *parts)
            }
            Address::Jid(jid) => Some(jid.as_jid_ref()),
        }
    }

    /// The raw `to`, to tell an absent from a malformed one.
    pub fn to_address(&self) -> &Address {
        &self.to
    }

    /// The raw `from`, to tell an absent from a malformed one.
    pub fn from_address(&self) -> &Address {
        &self.from
    }

    /// Addresses the stanza to `to`.
    pub fn set_to(&mut self, to: Jid) {
        self.to = Address::Jid(to);
    }

    /// Stamps the sender.
    pub fn set_from(&mut self, from: Jid) {
        self.from = Address::Jid(from);
    }

    /// The same stanza to somebody else: the cheap step of a fan-out.
    pub fn addressed_to(&self, to: Jid) -> Stanza {
        let mut copy = self.clone();
        copy.to = Address::Jid(to);
        copy
    }

    /// The `id` attribute, unescaped.
    pub fn id(&self) -> Option<Cow<'_, str>> {
        let parsed = self.parsed.get();
        parsed.has_id.then(|| unescape(parsed.id.of(&parsed.text)))
    }

    /// The `xml:lang` attribute.
    pub fn lang(&self) -> Option<Cow<'_, str>> {
        let parsed = self.parsed.get();
        (!parsed.lang.is_empty()).then(|| unescape(parsed.lang.of(&parsed.text)))
    }

    /// The child elements that were not removed, in order.
    pub fn payloads(&self) -> impl Iterator<Item = Payload<'_>> {
        let parsed = self.parsed.get();
        let text = parsed.text.as_str();
        parsed.children.iter().filter(|child| !child.is_removed).map(|child| child.payload(text))
    }

    /// Whether a child element may be in this namespace: `false` is certain, and cheap.
    #[inline]
    pub fn may_have_in(&self, ns: &str) -> bool {
        self.parsed.get().sieve.may_have(ns)
    }

    /// The first child element of this name.
    #[inline]
    pub fn payload(&self, ns: &str, name: &str) -> Option<Payload<'_>> {
        if self.may_have_in(ns) { self.find_payload(ns, name) } else { None }
    }

    fn find_payload(&self, ns: &str, name: &str) -> Option<Payload<'_>> {
        let parsed = self.parsed.get();
        let text = parsed.text.as_str();
        let is_it = |child: &&Child| !child.is_removed && child.is(text, ns, name);
        parsed.children.iter().find(is_it).map(|child| child.payload(text))
    }

    /// Whether there is a child element of this name.
    #[inline]
    pub fn has(&self, ns: &str, name: &str) -> bool {
        self.payload(ns, name).is_some()
    }

    /// Takes away every child for which `unwanted` says so; says how many there were.
    pub fn remove_payloads(&mut self, unwanted: impl Fn(Payload<'_>) -> bool) -> usize {
        if !self.payloads().any(&unwanted) {
            return 0;
        }
        let parsed = self.parsed.to_mut();
        let text = parsed.text.as_str();
        let mut removed = 0;
        for child in parsed.children.iter_mut().filter(|child| !child.is_removed) {
            if unwanted(child.payload(text)) {
                child.is_removed = true;
                removed += 1;
            }
        }
        removed
    }

    /// Adds a child after the sender's own.
    pub fn add_payload(&mut self, element: &Element) {
        let parsed = self.parsed.to_mut();
        let mut added = Vec::with_capacity(parsed.added.len() + ADDED_BYTES);
        added.extend_from_slice(&parsed.added);
        element.write_to(&mut added, ns::CLIENT);
        parsed.added = Bytes::from(added);
    }

    /// Moves the bytes into a buffer of their own. As received they are a slice of a large chunk,
    /// and whoever keeps the stanza for long keeps all of the chunk.
    pub fn unshare(&mut self) {
        let parsed = self.parsed.to_mut();
        parsed.text = parsed.text.unshared();
    }

    /// About how many bytes [`write_to`](Stanza::write_to) will write; for bounds, not for buffers.
    pub fn size(&self) -> usize {
        let parsed = self.parsed.get();
        parsed.text.len() + parsed.added.len()
    }

    /// Writes the stanza as it leaves on a stream whose default namespace is `jabber:client`.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        out.push(b'<');
        out.extend_from_slice(self.kind().name().as_bytes());
        self.write_address(out, b" from='", &self.from);
        self.write_address(out, b" to='", &self.to);
        let parsed = self.parsed.get();
        for attribute in &parsed.kept {
            out.push(b' ');
            out.extend_from_slice(attribute.of(&parsed.text).as_bytes());
        }
        self.write_payload(out);
    }

    /// The serialised stanza in a buffer of its own.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.size() + 128);
        self.write_to(&mut out);
        Bytes::from(out)
    }

    fn write_address(&self, out: &mut Vec<u8>, name: &[u8], address: &Address) {
        match address {
            Address::Absent | Address::Malformed => return,
            // A normalised JID may hold `'` or `&` in its resource: it is escaped, always.
            Address::Span(..) | Address::Jid(_) => out.extend_from_slice(name),
        }
        if let Some(jid) = self.resolve(address) {
            jackdaw_xml::escape_attribute(out, jid.as_str());
        }
        out.push(b'\'');
    }

    fn write_payload(&self, out: &mut Vec<u8>) {
        let parsed = self.parsed.get();
        let untouched = parsed.added.is_empty() && parsed.children.iter().all(|c| !c.is_removed);
        let payload = parsed.text.get(parsed.tail as usize..).unwrap_or_default();
        if untouched {
            out.extend_from_slice(payload.as_bytes());
            return;
        }
        out.push(b'>');
        for child in parsed.children.iter().filter(|child| !child.is_removed) {
            out.extend_from_slice(child.whole.of(&parsed.text).as_bytes());
        }
        out.extend_from_slice(&parsed.added);
        out.extend_from_slice(b"</");
        out.extend_from_slice(self.kind().name().as_bytes());
        out.push(b'>');
    }
}

fn unescape(raw: &str) -> Cow<'_, str> {
    jackdaw_xml::unescape(raw)
}

/// A child element of a stanza.
#[derive(Clone, Copy, Debug)]
pub struct Payload<'a> {
    /// Its namespace.
    pub ns: &'a str,
    /// Its local name.
    pub name: &'a str,
    /// The whole element, canonical.
    pub xml: &'a [u8],
}

impl Payload<'_> {
    /// Whether it has this name.
    pub fn is(&self, ns: &str, name: &str) -> bool {
        self.name == name && self.ns == ns
    }

    /// The element as a tree. It was checked when the stanza came in, so it parses.
    pub fn element(&self) -> Result<Element, XmlError> {
        Element::parse(self.xml, &Scope::client(), &Limits::after_auth())
    }
}
