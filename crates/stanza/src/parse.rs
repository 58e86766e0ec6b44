//! From framed bytes to a [`Stanza`].

use bytes::Bytes;
use jackdaw_jid::{Jid, JidRef};
use jackdaw_xml::{
    Limits, Scope, SharedStr, StanzaTokenizer, Start, Token, Tokenizer, XmlError, canonicalise,
};

use crate::ns;
use crate::parsed::{Child, Shared, Span};
use crate::stanza::{Address, IqType, MessageType, PresenceType, Stanza, Type};

/// Why bytes are no stanza.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// Not the XML that XMPP allows: a stream error.
    #[error("{0}")]
    Xml(#[from] XmlError),
    /// Well-formed, but not a message, presence or iq: `unsupported-stanza-type`.
    #[error("not a stanza")]
    NotAStanza,
    /// A stanza with a `type` its kind does not have, or an iq without one (RFC 6120 §8.2.3).
    #[error("a type that this kind of stanza does not have")]
    BadType(Box<Stanza>),
}

impl Stanza {
    /// Reads one framed top-level element. Linear in its size; no allocation where the bytes are
    /// canonical, which is what nearly every client sends.
    pub fn parse(bytes: Bytes, scope: &Scope, limits: &Limits) -> Result<Stanza, ParseError> {
        match scan(&bytes, &mut Tokenizer::new(&bytes, scope, limits))? {
            Some(draft) => draft.finish(bytes),
            None => {
                let mut canonical = Vec::with_capacity(bytes.len() + 64);
                canonicalise(&bytes, scope, limits, &mut canonical)?;
                let bytes = Bytes::from(canonical);
                match scan(&bytes, &mut Tokenizer::new(&bytes, &Scope::client(), limits))? {
                    Some(draft) => draft.finish(bytes),
                    None => Err(ParseError::NotAStanza),
                }
            }
        }
    }
}

impl<'a> Front<'a> {
    /// The stanza that `stream` begins with, if all of it is there and its bytes are canonical:
    /// nearly always, then. One pass finds where it ends and what is in it. For anything else, also
    /// for what is wrong, the framer is to be asked, and [`Stanza::parse`] with what it finds.
    pub fn read(stream: &'a [u8], scope: &Scope, limits: &Limits) -> Option<Front<'a>> {
        let mut tokens = Tokenizer::unframed(stream, scope, limits);
        let draft = scan(stream, &mut tokens).ok()??;
        Some(Front { draft, bytes: stream.get(..tokens.length())? })
    }

    /// The bytes of the stanza.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The stanza, with these bytes to keep: a copy of [`bytes`](Front::bytes).
    pub fn into_stanza(self, copy: Bytes) -> Result<Stanza, ParseError> {
        self.draft.finish(copy)
    }
}

/// A stanza at the front of bytes that nobody framed. It is read, and still where it was received.
pub struct Front<'a> {
    draft: Draft,
    bytes: &'a [u8],
}

/// What one pass over the tokens found.
struct Draft {
    name: Span,
    kind: Span,
    to: Option<Span>,
    from: Option<Span>,
    parsed: Shared,
}

/// One pass over the tokens. None for what is valid but not written in the canonical way.
#[inline(always)]
fn scan<'a>(bytes: &'a [u8], tokens: &mut Tokenizer<'a>) -> Result<Option<Draft>, ParseError> {
    let mut draft = match tokens.next()? {
        Some(Token::Start(start)) => root(bytes, &start)?,
        Some(Token::Text(_) | Token::End(_)) | None => return Err(ParseError::NotAStanza),
    };
    let parsed = draft.parsed.to_mut();
    let mut depth = 1u32;
    while let Some(token) = tokens.next()? {
        match token {
            Token::Start(start) => {
                depth += 1;
                if depth == 2 {
                    let child = child(bytes, &start);
                    parsed.sieve.add(bytes.get(child.ns.range()).unwrap_or_default());
                    parsed.children.push(child);
                }
            }
            Token::End(end) => {
                depth -= 1;
                if depth == 1
                    && let Some(open) = parsed.children.last_mut()
                {
                    open.whole.end = end.end;
                }
            }
            Token::Text(_) => {}
        }
    }
    Ok(tokens.is_canonical().then_some(draft))
}

fn root(bytes: &[u8], start: &Start<'_, '_>) -> Result<Draft, ParseError> {
    if start.ns != ns::CLIENT {
        return Err(ParseError::NotAStanza);
    }
    let mut draft = Draft {
        name: span_of(bytes, start.local),
        kind: Span::default(),
        to: None,
        from: None,
        parsed: Shared::new(),
    };
    draft.take(start);
    Ok(draft)
}

impl Draft {
    /// Sorts the attributes of the root element.
    fn take(&mut self, start: &Start<'_, '_>) {
        let parsed = self.parsed.to_mut();
        parsed.tail = start.end - if start.is_empty { 2 } else { 1 };
        for attribute in start.attributes {
            let end = attribute.value_start + attribute.raw.len() as u32;
            let value = Span { start: attribute.value_start, end };
            match (attribute.prefix, attribute.local) {
                ("", "to") => self.to = Some(value),
                ("", "from") => self.from = Some(value),
                // The default namespace of the stream it leaves on is the same.
                ("", "xmlns") => {}
                (prefix, local) => {
                    match (prefix, local) {
                        ("", "type") => self.kind = value,
                        ("", "id") => (parsed.id, parsed.has_id) = (value, true),
                        ("xml", "lang") => parsed.lang = value,
                        _ => {}
                    }
                    parsed.kept.push(Span { start: attribute.start, end: attribute.end });
                }
            }
        }
    }

    fn finish(mut self, bytes: Bytes) -> Result<Stanza, ParseError> {
        // The tokenizer found it to be text already; this is what remembers it.
        let text = SharedStr::check(bytes)?;
        let kind = kind_of(self.name.of(&text), self.kind.of(&text));
        let (kind, is_valid) = match kind {
            Some(kind) => kind,
            None => return Err(ParseError::NotAStanza),
        };
        let (to, from) = (address(&text, self.to), address(&text, self.from));
        self.parsed.to_mut().text = text;
        let stanza = Stanza { kind, to, from, parsed: self.parsed };
        if is_valid { Ok(stanza) } else { Err(ParseError::BadType(Box::new(stanza))) }
    }
}

fn child(bytes: &[u8], start: &Start<'_, '_>) -> Child {
    let ns = if start.ns == ns::CLIENT { Span::default() } else { span_of(bytes, start.ns) };
    Child {
        whole: Span { start: start.start, end: start.end },
        name: span_of(bytes, start.local),
        ns,
        is_removed: false,
    }
}

/// Where a slice that the tokenizer cut out of `bytes` stands. Empty for any other slice.
fn span_of(bytes: &[u8], part: &str) -> Span {
    let start = (part.as_ptr() as usize).wrapping_sub(bytes.as_ptr() as usize);
    match start.checked_add(part.len()) {
        Some(end) if end <= bytes.len() => Span { start: start as u32, end: end as u32 },
        Some(_) | None => Span::default(),
    }
}

fn address(text: &str, span: Option<Span>) -> Address {
    let Some(span) = span else { return Address::Absent };
    let raw = span.of(text);
    // `&` begins a reference: the text is not what it says until it is unescaped.
    if !raw.contains('&')
        && let Some(jid) = JidRef::parse_normalised(raw)
    {
        return Address::Span(span, jid.parts());
    }
    Jid::parse(&jackdaw_xml::unescape(raw)).map_or(Address::Malformed, Address::Jid)
}

/// Kind and type; false where the type is none that this kind has.
fn kind_of(name: &str, kind: &str) -> Option<(Type, bool)> {
    Some(match name {
        "message" => (Type::Message(message_type(kind)), true),
        "presence" => presence_type(kind)
            .map_or((Type::Presence(PresenceType::Unavailable), false), |t| {
                (Type::Presence(t), true)
            }),
        "iq" => iq_type(kind).map_or((Type::Iq(IqType::Get), false), |t| (Type::Iq(t), true)),
        _ => return None,
    })
}

/// RFC 6121 §5.2.2: what is not understood counts as normal.
fn message_type(kind: &str) -> MessageType {
    match kind {
        "chat" => MessageType::Chat,
        "error" => MessageType::Error,
        "groupchat" => MessageType::Groupchat,
        "headline" => MessageType::Headline,
        _ => MessageType::Normal,
    }
}

fn presence_type(kind: &str) -> Option<PresenceType> {
    Some(match kind {
        "" => PresenceType::Available,
        "error" => PresenceType::Error,
        "probe" => PresenceType::Probe,
        "subscribe" => PresenceType::Subscribe,
        "subscribed" => PresenceType::Subscribed,
        "unavailable" => PresenceType::Unavailable,
        "unsubscribe" => PresenceType::Unsubscribe,
        "unsubscribed" => PresenceType::Unsubscribed,
        _ => return None,
    })
}

fn iq_type(kind: &str) -> Option<IqType> {
    Some(match kind {
        "get" => IqType::Get,
        "set" => IqType::Set,
        "result" => IqType::Result,
        "error" => IqType::Error,
        _ => return None,
    })
}
