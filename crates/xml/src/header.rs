//! The stream header (RFC 6120 §4.2).

use crate::token::{Attribute, StanzaTokenizer, Token};
use crate::tokenizer::Tokenizer;
use crate::{Limits, Scope, XmlError, ns};

/// What a stream header says. Unknown attributes are ignored (RFC 6120 §4.7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamHeader {
    /// The domain the stream is meant for (§4.7.2).
    pub to: Option<String>,
    /// Who opened it (§4.7.1).
    pub from: Option<String>,
    /// The stream's identifier (§4.7.3); only a receiving entity sets it.
    pub id: Option<String>,
    /// The version (§4.7.5), as written.
    pub version: Option<String>,
    /// The default language of the stream's content (§4.7.4).
    pub lang: Option<String>,
    /// The declarations that stanzas inherit. Its default namespace is the content namespace.
    pub scope: Scope,
}

/// Reads a [`Frame::StreamOpen`](crate::Frame::StreamOpen): the XML declaration, if there is one,
/// and the start tag of the stream.
pub fn parse_stream_header(frame: &[u8], limits: &Limits) -> Result<StreamHeader, XmlError> {
    let tag = skip_declaration(frame)?;
    let outer = Scope::new("");
    let mut tokens = Tokenizer::new(tag, &outer, limits);
    let Some(Token::Start(start)) = tokens.next()? else { return Err(XmlError::BadFormat) };
    if start.ns != ns::STREAMS {
        return Err(XmlError::InvalidNamespace);
    }
    if start.local != "stream" || start.is_empty || start.end as usize != tag.len() {
        return Err(XmlError::BadFormat);
    }
    let value = |name: &str| start.attribute(name).map(|attribute| attribute.value().into_owned());
    let lang = |attribute: &&Attribute<'_>| attribute.ns == ns::XML && attribute.local == "lang";
    Ok(StreamHeader {
        to: value("to"),
        from: value("from"),
        id: value("id"),
        version: value("version"),
        lang: start.attributes.iter().find(lang).map(|attribute| attribute.value().into_owned()),
        scope: scope_of(start.attributes),
    })
}

fn scope_of(attributes: &[Attribute<'_>]) -> Scope {
    let declared = || attributes.iter().filter(|attribute| attribute.is_declaration());
    let default = declared().find(|attribute| attribute.prefix.is_empty());
    let mut scope = Scope::new(default.map_or("", |attribute| attribute.raw));
    for attribute in declared().filter(|attribute| !attribute.prefix.is_empty()) {
        scope.declare(attribute.local, attribute.raw);
    }
    scope.compact()
}

/// Checks the XML declaration (XML 1.0 §2.8) and returns what follows it.
fn skip_declaration(frame: &[u8]) -> Result<&[u8], XmlError> {
    let malformed = XmlError::NotWellFormed("XML declaration");
    let Some(rest) = frame.strip_prefix(b"<?") else { return Ok(frame) };
    let end = memchr::memmem::find(rest, b"?>").ok_or(malformed)?;
    let (declaration, tag) = rest.split_at_checked(end).ok_or(malformed)?;
    let declaration = std::str::from_utf8(declaration).map_err(|_| XmlError::BadFormat)?;
    let Some(mut fields) = declaration.strip_prefix("xml") else {
        return Err(XmlError::RestrictedXml("processing instruction"));
    };
    let version = take_field(&mut fields, "version").ok_or(malformed)?;
    let encoding = take_field(&mut fields, "encoding");
    let standalone = take_field(&mut fields, "standalone");
    if version != "1.0"
        || !matches!(standalone, None | Some("yes" | "no"))
        || !fields.trim_matches(WHITE_SPACE).is_empty()
    {
        return Err(malformed);
    }
    if encoding.is_some_and(|encoding| !encoding.eq_ignore_ascii_case("utf-8")) {
        return Err(XmlError::UnsupportedEncoding);
    }
    let tag = tag.strip_prefix(b"?>").unwrap_or(tag);
    Ok(tag.trim_ascii_start())
}

const WHITE_SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// Takes ` name='value'` from the front, if it stands there.
fn take_field<'a>(fields: &mut &'a str, name: &str) -> Option<&'a str> {
    let rest = fields.strip_prefix(WHITE_SPACE)?.trim_start_matches(WHITE_SPACE);
    let rest = rest.strip_prefix(name)?.trim_start_matches(WHITE_SPACE);
    let rest = rest.strip_prefix('=')?.trim_start_matches(WHITE_SPACE);
    let quote = rest.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
    let (value, rest) = rest.get(1..)?.split_once(quote)?;
    *fields = rest;
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<StreamHeader, XmlError> {
        parse_stream_header(text.as_bytes(), &Limits::before_auth())
    }

    const USUAL: &str = "<stream:stream xmlns='jabber:client' to='im.example.com' \
        from='juliet@im.example.com' version='1.0' xml:lang='en' \
        xmlns:stream='http://etherx.jabber.org/streams'>";

    #[test]
    fn the_usual_header_has_the_usual_scope() {
        let header = parse(&format!("<?xml version='1.0'?>\n{USUAL}")).expect("a header");
        assert_eq!(header.to.as_deref(), Some("im.example.com"));
        assert_eq!(header.from.as_deref(), Some("juliet@im.example.com"));
        assert_eq!(header.id, None);
        assert_eq!(header.version.as_deref(), Some("1.0"));
        assert_eq!(header.lang.as_deref(), Some("en"));
        assert_eq!(header.scope, Scope::client());
    }

    #[test]
    fn any_prefix_will_do_for_the_stream() {
        let header =
            parse("<stream xmlns='http://etherx.jabber.org/streams' xmlns:c='jabber:client'>");
        let scope = header.expect("a header").scope;
        assert_eq!(scope.default_namespace(), ns::STREAMS);
        assert_eq!(scope.resolve("c"), Some(ns::CLIENT));
        assert_eq!(scope.resolve("stream"), None);
    }

    #[test]
    fn the_declaration_is_version_one_and_utf_8() {
        let with = |declaration: &str| parse(&format!("{declaration}{USUAL}")).map(|_| ());
        let malformed = Err(XmlError::NotWellFormed("XML declaration"));
        assert_eq!(
            with("<?xml version=\"1.0\" encoding='utf-8' standalone = 'yes' ?>\r\n"),
            Ok(())
        );
        assert_eq!(
            with("<?xml version='1.0' encoding='UTF-16'?>"),
            Err(XmlError::UnsupportedEncoding)
        );
        assert_eq!(with("<?xml version='1.1'?>"), malformed);
        assert_eq!(with("<?xml encoding='UTF-8'?>"), malformed);
        assert_eq!(with("<?xml version='1.0' standalone='maybe'?>"), malformed);
        assert_eq!(with("<?xml version='1.0'encoding='UTF-8'?>"), malformed);
        assert_eq!(with("<?xml version='1.0' other='x'?>"), malformed);
        assert!(matches!(with("<?php version='1.0'?>"), Err(XmlError::RestrictedXml(_))));
    }

    #[test]
    fn a_header_that_opens_no_stream_is_refused() {
        assert_eq!(parse("<stream:stream to='a'>"), Err(XmlError::BadNamespacePrefix));
        assert_eq!(parse("<stream to='a'>"), Err(XmlError::InvalidNamespace));
        assert_eq!(parse("<s:stream xmlns:s='urn:other'>"), Err(XmlError::InvalidNamespace));
        assert_eq!(
            parse(&USUAL.replace("<stream:stream", "<stream:open")),
            Err(XmlError::BadFormat)
        );
        assert_eq!(parse(&USUAL.replace('>', "/>")), Err(XmlError::BadFormat));
        assert_eq!(parse(&format!("{USUAL}<a/>")), Err(XmlError::BadFormat));
        assert_eq!(parse(""), Err(XmlError::NotWellFormed("no element")));
    }
}
