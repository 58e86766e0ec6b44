//! What a document says, in a form in which parsers can be compared.

use jackdaw_xml::{
    Frame, Framer, Limits, Scan, Scope, StanzaTokenizer, Token, Tokenizer, XmlError, ns,
};
use quick_xml::NsReader;
use quick_xml::events::{BytesStart, Event as QuickEvent};
use quick_xml::name::ResolveResult;
use rxml::Parse;

pub const LIMITS: Limits = Limits::after_auth();

/// Namespace, local name, value.
type Attribute = (String, String, String);

/// A piece of a document. Namespace declarations and prefixes are left out, text is in one piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Start { ns: String, local: String, attributes: Vec<Attribute> },
    Text(String),
    End,
}

#[derive(Default)]
pub struct Events(Vec<Event>);

impl Events {
    pub fn start(&mut self, ns: &str, local: &str, mut attributes: Vec<Attribute>) {
        attributes.sort();
        self.0.push(Event::Start { ns: ns.to_owned(), local: local.to_owned(), attributes });
    }

    pub fn text(&mut self, text: &str) {
        match self.0.last_mut() {
            _ if text.is_empty() => {}
            Some(Event::Text(last)) => last.push_str(text),
            Some(Event::Start { .. } | Event::End) | None => {
                self.0.push(Event::Text(text.to_owned()));
            }
        }
    }

    pub fn end(&mut self) {
        self.0.push(Event::End);
    }

    /// The one element inside the wrapper (see [`wrap`]), without white space around it.
    pub fn unwrap(self) -> Result<Vec<Event>, String> {
        let mut depth = 0;
        let mut roots = 0;
        let mut inner = Vec::new();
        for event in self.0 {
            match &event {
                Event::Start { .. } => {
                    roots += usize::from(depth == 1);
                    depth += 1;
                }
                Event::End => depth -= 1,
                Event::Text(text) if depth == 1 => {
                    if text.trim_ascii().is_empty() {
                        continue;
                    }
                    return Err("text outside of the root".to_owned());
                }
                Event::Text(_) => {}
            }
            let is_wrapper = matches!(event, Event::Start { .. }) && depth == 1
                || matches!(event, Event::End) && depth == 0;
            if !is_wrapper {
                inner.push(event);
            }
        }
        if roots == 1 { Ok(inner) } else { Err(format!("{roots} roots")) }
    }
}

/// A stanza in the stream that gives it its namespaces. There a reference to white space may stand
/// beside it; alone it may not.
pub fn wrap(stanza: &str) -> Result<String, String> {
    let alone = stanza.trim_matches([' ', '\t', '\n', '\r']);
    if !alone.starts_with('<') || !alone.ends_with('>') {
        return Err("text outside of the root".to_owned());
    }
    Ok(format!(
        "<stream:stream xmlns='{}' xmlns:stream='{}'>{stanza}</stream:stream>",
        ns::CLIENT,
        ns::STREAMS
    ))
}

/// Our reading, and whether the stanza is canonical.
pub fn ours(stanza: &[u8]) -> Result<(Vec<Event>, bool), XmlError> {
    read(&mut Tokenizer::new(stanza, &Scope::client(), &LIMITS))
}

fn read(tokens: &mut Tokenizer<'_>) -> Result<(Vec<Event>, bool), XmlError> {
    let mut events = Events::default();
    while let Some(token) = tokens.next()? {
        match token {
            Token::Start(start) => {
                let attributes = start.attributes.iter().filter(|a| !a.is_declaration());
                let owned = attributes
                    .map(|a| (a.ns.to_owned(), a.local.to_owned(), a.value().into_owned()));
                events.start(start.ns, start.local, owned.collect());
            }
            Token::Text(text) => events.text(&text.value()),
            Token::End(_) => events.end(),
        }
    }
    Ok((events.0, tokens.is_canonical()))
}

/// What a stream begins with is found without the framer as it is with it: the same stanza if it is
/// a whole and valid one, nothing otherwise.
pub fn check_unframed(stream: &[u8]) {
    let scope = Scope::client();
    let mut tokens = Tokenizer::unframed(stream, &scope, &LIMITS);
    let unframed = read(&mut tokens).map(|events| (events, tokens.length()));
    assert_eq!(unframed.ok(), first_frame(stream), "{:?}", String::from_utf8_lossy(stream));
}

/// The first frame that is a valid element, and its length.
fn first_frame(stream: &[u8]) -> Option<((Vec<Event>, bool), usize)> {
    let mut framer = Framer::new();
    framer.scan(&LIMITS, b"<stream:stream>").expect("a header");
    match framer.scan(&LIMITS, stream) {
        Ok(Scan::Complete { frame: Frame::Element, length }) => {
            Some((ours(&stream[..length]).ok()?, length))
        }
        _ => None,
    }
}

/// How `rxml` reads a stanza.
pub fn rxml(stanza: &str) -> Result<Vec<Event>, String> {
    let options = rxml::Options { max_token_length: 1 << 20, ..rxml::Options::default() };
    let mut parser = <rxml::Parser as rxml::WithOptions>::with_options(options);
    let text = wrap(stanza)?;
    let mut rest = text.as_bytes();
    let mut events = Events::default();
    while let Some(event) = parser.parse(&mut rest, true).map_err(|error| format!("{error:?}"))? {
        match event {
            rxml::Event::StartElement(_, (ns, local), attributes) => {
                let owned = attributes
                    .iter()
                    .map(|((ns, name), value)| (ns.to_string(), name.to_string(), value.clone()));
                events.start(&ns, &local, owned.collect());
            }
            rxml::Event::Text(_, text) => events.text(&text),
            rxml::Event::EndElement(_) => events.end(),
            rxml::Event::XmlDeclaration(..) => {}
        }
    }
    events.unwrap()
}

/// How `quick-xml` reads a stanza.
pub fn quick_xml(stanza: &str) -> Result<Vec<Event>, String> {
    let text = wrap(stanza)?;
    let mut reader = NsReader::from_str(&text);
    let mut events = Events::default();
    let mut depth = 0;
    loop {
        match reader.read_event().map_err(|error| error.to_string())? {
            QuickEvent::Start(start) => {
                quick_start(&mut events, &reader, &start)?;
                depth += 1;
            }
            QuickEvent::Empty(start) => {
                quick_start(&mut events, &reader, &start)?;
                events.end();
            }
            QuickEvent::End(_) => {
                events.end();
                depth -= 1;
            }
            QuickEvent::Text(text) => events.text(&text.xml10_content()),
            QuickEvent::CData(text) => events.text(&text.xml10_content()),
            QuickEvent::GeneralRef(reference) => {
                let entity = format!("&{};", &*reference);
                let text = quick_xml::escape::unescape(&entity).map_err(|e| e.to_string())?;
                events.text(&text);
            }
            QuickEvent::Eof if depth == 0 => return events.unwrap(),
            other => return Err(format!("{other:?}")),
        }
    }
}

fn quick_start(
    events: &mut Events,
    reader: &NsReader<&[u8]>,
    start: &BytesStart<'_>,
) -> Result<(), String> {
    let ns = |resolved: ResolveResult<'_>| match resolved {
        ResolveResult::Bound(ns) => Ok(ns.as_ref().to_owned()),
        ResolveResult::Unbound => Ok(String::new()),
        ResolveResult::Unknown(prefix) => Err(format!("unknown prefix {prefix:?}")),
    };
    let resolver = reader.resolver();
    let mut attributes = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        if attribute.key.as_namespace_binding().is_some() {
            continue;
        }
        let (resolved, local) = resolver.resolve_attribute(attribute.key);
        let value = attribute.normalized_value(quick_xml::XmlVersion::Explicit1_0);
        let value = value.map_err(|error| error.to_string())?.into_owned();
        attributes.push((ns(resolved)?, local.as_ref().to_owned(), value));
    }
    let (resolved, local) = resolver.resolve_element(start.name());
    events.start(&ns(resolved)?, local.as_ref(), attributes);
    Ok(())
}
