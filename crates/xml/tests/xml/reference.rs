//! A second tokenizer behind the same trait: `xmlparser` finds the tokens, and what it does not
//! check is checked here in the plainest way, whatever that costs.

use jackdaw_xml::{Attribute, End, Scope, StanzaTokenizer, Start, Text, Token, XmlError, ns};
use xmlparser::{ElementEnd, StrSpan, Token as Piece};

const INVALID: XmlError = XmlError::NotWellFormed("by the reference");

pub struct Reference<'a> {
    text: &'a str,
    scope: &'a Scope,
    pieces: xmlparser::Tokenizer<'a>,
    open: Vec<Open<'a>>,
    attributes: Vec<Attribute<'a>>,
    has_root: bool,
    end_of_empty: Option<End<'a>>,
}

struct Open<'a> {
    prefix: &'a str,
    local: &'a str,
    /// Prefix (empty for the default namespace) and namespace.
    declared: Vec<(&'a str, &'a str)>,
}

impl<'a> Reference<'a> {
    pub fn new(text: &'a str, scope: &'a Scope) -> Reference<'a> {
        Reference {
            text,
            scope,
            pieces: xmlparser::Tokenizer::from_fragment(text, 0..text.len()),
            open: Vec::new(),
            attributes: Vec::new(),
            has_root: false,
            end_of_empty: None,
        }
    }

    fn resolve(&self, prefix: &str) -> Result<&'a str, XmlError> {
        let declared = self.open.iter().rev().flat_map(|open| open.declared.iter().rev());
        let found = declared.copied().find(|(known, _)| *known == prefix).map(|(_, ns)| ns);
        match found {
            Some(ns) => Ok(ns),
            None if prefix.is_empty() => Ok(self.scope.default_namespace()),
            None => self.scope.resolve(prefix).ok_or(XmlError::BadNamespacePrefix),
        }
    }

    fn start(&mut self, name: (StrSpan<'a>, StrSpan<'a>, StrSpan<'a>)) -> Result<(), XmlError> {
        let (prefix, local, span) = name;
        check_name(span.as_str().get(1..).unwrap_or_default())?;
        if self.open.is_empty() && self.has_root {
            return Err(INVALID);
        }
        self.has_root = true;
        let (prefix, local) = (prefix.as_str(), local.as_str());
        self.open.push(Open { prefix, local, declared: Vec::new() });
        self.attributes.clear();
        Ok(())
    }

    fn attribute(
        &mut self,
        prefix: StrSpan<'a>,
        local: StrSpan<'a>,
        value: StrSpan<'a>,
        span: StrSpan<'a>,
    ) -> Result<(), XmlError> {
        let name = span.as_str().split(['=', ' ', '\t', '\n', '\r']).next().unwrap_or_default();
        check_name(name)?;
        // `xmlparser` lets attributes touch.
        let before = self.text[..span.start()].chars().next_back();
        if !before.is_some_and(|c| " \t\n\r".contains(c)) {
            return Err(INVALID);
        }
        let raw = value.as_str();
        let is_escaped = check_characters(raw)? || raw.contains(['\t', '\n', '\r']);
        let (prefix, local) = (prefix.as_str(), local.as_str());
        let is_declaration = prefix == "xmlns" || (prefix.is_empty() && local == "xmlns");
        if is_declaration {
            let declared = if prefix.is_empty() { "" } else { local };
            check_declaration(declared, raw)?;
            self.open.last_mut().ok_or(INVALID)?.declared.push((declared, raw));
        }
        self.attributes.push(Attribute {
            ns: if is_declaration { ns::XMLNS } else { "" },
            prefix,
            local,
            raw,
            start: span.start() as u32,
            end: span.end() as u32,
            value_start: value.start() as u32,
            is_escaped,
        });
        Ok(())
    }

    fn finish_start(&mut self) -> Result<&'a str, XmlError> {
        for index in 0..self.attributes.len() {
            let prefix = self.attributes[index].prefix;
            if !prefix.is_empty() && prefix != "xmlns" {
                self.attributes[index].ns = self.resolve(prefix)?;
            }
        }
        for (index, first) in self.attributes.iter().enumerate() {
            let is_same =
                |other: &Attribute<'_>| other.ns == first.ns && other.local == first.local;
            if self.attributes[..index].iter().any(is_same) {
                return Err(INVALID);
            }
        }
        let open = self.open.last().ok_or(INVALID)?;
        let ns = self.resolve(open.prefix)?;
        if self.open.len() > 1 && ns == ns::STREAMS {
            return Err(XmlError::StreamElement);
        }
        if ns == ns::XML { Err(XmlError::BadNamespacePrefix) } else { Ok(ns) }
    }
}

impl<'a> StanzaTokenizer<'a> for Reference<'a> {
    fn next(&mut self) -> Result<Option<Token<'a, '_>>, XmlError> {
        if let Some(end) = self.end_of_empty.take() {
            self.open.pop();
            return Ok(Some(Token::End(end)));
        }
        let mut tag = None;
        loop {
            let Some(piece) = self.pieces.next() else {
                let is_whole = self.open.is_empty() && self.has_root;
                return if is_whole { Ok(None) } else { Err(INVALID) };
            };
            match piece.map_err(|_| INVALID)? {
                Piece::ElementStart { prefix, local, span } => {
                    self.start((prefix, local, span))?;
                    tag = Some(span);
                }
                Piece::Attribute { prefix, local, value, span } => {
                    self.attribute(prefix, local, value, span)?;
                }
                Piece::ElementEnd { end: ElementEnd::Close(prefix, local), span } => {
                    let open = self.open.pop().ok_or(INVALID)?;
                    if (open.prefix, open.local) != (prefix.as_str(), local.as_str()) {
                        return Err(INVALID);
                    }
                    check_name(span.as_str()[2..].trim_end_matches(['>', ' ', '\t', '\n', '\r']))?;
                    let (start, end) = (span.start() as u32, span.end() as u32);
                    return Ok(Some(Token::End(End { local: open.local, start, end })));
                }
                Piece::ElementEnd { end, span } => {
                    let tag = tag.ok_or(INVALID)?;
                    let ns = self.finish_start()?;
                    let open = self.open.last().ok_or(INVALID)?;
                    let (prefix, local) = (open.prefix, open.local);
                    let (start, end_offset) = (span.start() as u32, span.end() as u32);
                    let is_empty = end == ElementEnd::Empty;
                    self.end_of_empty = is_empty.then_some(End { local, start, end: end_offset });
                    return Ok(Some(Token::Start(Start {
                        ns,
                        prefix,
                        local,
                        attributes: &self.attributes,
                        is_empty,
                        start: tag.start() as u32,
                        name_end: tag.end() as u32,
                        end: end_offset,
                    })));
                }
                Piece::Text { text } if self.open.is_empty() => {
                    if !text.as_str().trim_matches([' ', '\t', '\n', '\r']).is_empty() {
                        return Err(INVALID);
                    }
                }
                Piece::Text { text } => {
                    let raw = text.as_str();
                    let is_escaped = check_characters(raw)? || raw.contains('\r');
                    if raw.contains("]]>") {
                        return Err(INVALID);
                    }
                    let (start, end) = (text.start() as u32, text.end() as u32);
                    let text = Text { raw, start, end, is_cdata: false, is_escaped };
                    return Ok(Some(Token::Text(text)));
                }
                Piece::Cdata { text, span } => {
                    if self.open.is_empty() {
                        return Err(INVALID);
                    }
                    let raw = text.as_str();
                    raw.chars().try_for_each(check_character)?;
                    let (start, end) = (span.start() as u32, span.end() as u32);
                    let is_escaped = raw.contains('\r');
                    let text = Text { raw, start, end, is_cdata: true, is_escaped };
                    return Ok(Some(Token::Text(text)));
                }
                Piece::Declaration { .. }
                | Piece::ProcessingInstruction { .. }
                | Piece::Comment { .. }
                | Piece::DtdStart { .. }
                | Piece::EmptyDtd { .. }
                | Piece::EntityDeclaration { .. }
                | Piece::DtdEnd { .. } => return Err(XmlError::RestrictedXml("by the reference")),
            }
        }
    }
}

/// A name is one or two parts, in ASCII.
fn check_name(name: &str) -> Result<(), XmlError> {
    if !name.is_ascii() {
        return Err(XmlError::NameNotAscii);
    }
    let is_part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c))
    };
    let parts: Vec<&str> = name.split(':').collect();
    if parts.len() <= 2 && parts.iter().all(|part| is_part(part)) { Ok(()) } else { Err(INVALID) }
}

fn check_declaration(prefix: &str, ns: &str) -> Result<(), XmlError> {
    let is_reserved = ns == ns::XMLNS
        || prefix == "xmlns"
        || ((prefix == "xml") != (ns == ns::XML))
        || (!prefix.is_empty() && ns.is_empty());
    if ns.contains([' ', '\t', '\n', '\r', '&', '>', '\'', '"', '\x7F']) {
        return Err(XmlError::RestrictedXml("by the reference"));
    }
    if is_reserved { Err(XmlError::BadNamespacePrefix) } else { Ok(()) }
}

/// Checks characters and references; says whether there were references.
fn check_characters(raw: &str) -> Result<bool, XmlError> {
    raw.chars().try_for_each(check_character)?;
    let mut parts = raw.split('&');
    parts.next();
    let mut has_references = false;
    for part in parts {
        has_references = true;
        let (name, _) = part.split_once(';').ok_or(INVALID)?;
        if let Some(number) = name.strip_prefix('#') {
            let (digits, radix) =
                number.strip_prefix('x').map_or((number, 10), |digits| (digits, 16));
            if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
                return Err(INVALID);
            }
            let code = u32::from_str_radix(digits, radix).map_err(|_| INVALID)?;
            check_character(char::from_u32(code).ok_or(INVALID)?)?;
        } else if !["amp", "lt", "gt", "quot", "apos"].contains(&name) {
            return Err(INVALID);
        }
    }
    Ok(has_references)
}

fn check_character(character: char) -> Result<(), XmlError> {
    let is_allowed = match character {
        '\t' | '\n' | '\r' => true,
        '\u{FFFE}' | '\u{FFFF}' => false,
        _ => character >= ' ',
    };
    if is_allowed { Ok(()) } else { Err(INVALID) }
}
