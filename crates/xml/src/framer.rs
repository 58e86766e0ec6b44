//! Finds where a top-level element of the stream ends.

use crate::lanes::{BLOCK, Marks};
use crate::{Limit, Limits, XmlError};

/// Cuts a stream of bytes into frames, however the bytes arrive.
///
/// It counts tags and skips quoted values, no more: whether a frame is well-formed is for the
/// [`Tokenizer`](crate::Tokenizer) to say. It keeps no bytes, only where in the syntax it stands
/// (no heap), so each byte is looked at once. After an error the stream is over.
#[derive(Clone, Debug)]
pub struct Framer {
    state: State,
    expects_header: bool,
    depth: u16,
    /// Bytes of the unfinished frame that earlier calls have seen.
    pending: u32,
}

/// What [`Framer::scan`] found at the start of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan {
    /// All bytes belong to a frame that is not finished; the caller keeps them.
    Partial,
    /// A frame ends within these bytes.
    Complete {
        /// What it is.
        frame: Frame,
        /// How many of these bytes belong to it.
        length: usize,
    },
}

/// The kinds of frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The stream header (RFC 6120 §4.2), with an XML declaration before it if there was one.
    StreamOpen,
    /// A top-level element.
    Element,
    /// The closing stream tag (RFC 6120 §4.4).
    StreamClose,
    /// White space between elements (RFC 6120 §4.6.1). A long run may come as several frames.
    Whitespace,
}

/// Where in the syntax the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between frames.
    Between,
    /// After the `<` of a top-level tag.
    TopOpen,
    /// In the XML declaration; whether the last byte was `?`.
    Declaration { after_mark: bool },
    /// Behind the XML declaration, before the stream header.
    Prolog,
    /// After the `<` of the stream header that follows an XML declaration.
    HeaderOpen,
    /// In the closing stream tag.
    StreamClose,
    /// In an element, outside of CDATA.
    Content(Content),
    /// After `<!` and this many bytes of `[CDATA[`.
    CdataOpen { matched: u8 },
    /// In a CDATA section, after this many `]` (two stand for more).
    Cdata { brackets: u8 },
}

/// The states in which nearly all bytes are read, a block at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    /// In text.
    Text,
    /// After `<`.
    Open,
    /// In a start tag; whether the last byte was `/`.
    StartTag { after_slash: bool },
    /// In an attribute value.
    Value { quote: u8 },
    /// In an end tag.
    EndTag,
}

const CDATA_OPEN: &[u8; 7] = b"[CDATA[";
const LT_IN_TAG: XmlError = XmlError::NotWellFormed("'<' in a tag");
const NO_NAME: XmlError = XmlError::NotWellFormed("tag without a name");
const INSTRUCTION: XmlError = XmlError::RestrictedXml("processing instruction");
const DECLARATION: XmlError = XmlError::RestrictedXml("comment or document type");

impl Default for Framer {
    fn default() -> Framer {
        Framer::new()
    }
}

impl Framer {
    /// At the start of a stream.
    pub fn new() -> Framer {
        Framer { state: State::Between, expects_header: true, depth: 0, pending: 0 }
    }

    /// Expects a new stream header (RFC 6120 §4.3.3). What is left of an unfinished frame is
    /// forgotten.
    pub fn restart(&mut self) {
        *self = Framer::new();
    }

    /// Whether no frame is unfinished.
    pub fn is_between(&self) -> bool {
        self.state == State::Between
    }

    /// Looks for the end of the frame. `bytes` are those that no call has seen before; after
    /// `Complete` the next call begins `length` further on.
    pub fn scan(&mut self, limits: &Limits, bytes: &[u8]) -> Result<Scan, XmlError> {
        let allowed = limits.stanza_bytes_max.saturating_sub(self.pending) as usize;
        let visible = bytes.get(..allowed).unwrap_or(bytes);
        let mut at = 0;
        while at < visible.len() {
            if let Some(frame) = self.advance(limits, visible, &mut at)? {
                self.state = State::Between;
                self.pending = 0;
                return Ok(Scan::Complete { frame, length: at });
            }
        }
        if visible.len() < bytes.len() {
            return Err(XmlError::Limit(Limit::Bytes));
        }
        // At most `stanza_bytes_max` in all, so it fits.
        self.pending += visible.len() as u32;
        Ok(Scan::Partial)
    }

    /// Takes one byte, or many of the content of an element.
    fn advance(
        &mut self,
        limits: &Limits,
        bytes: &[u8],
        at: &mut usize,
    ) -> Result<Option<Frame>, XmlError> {
        if let State::Content(content) = self.state {
            return self.read_content(content, limits, bytes, at);
        }
        let rest = bytes.get(*at..).unwrap_or_default();
        let Some(byte) = rest.first() else { return Ok(None) };
        if self.state == State::Between && is_white_space(*byte) {
            *at += rest.iter().take_while(|byte| is_white_space(**byte)).count();
            return Ok(Some(Frame::Whitespace));
        }
        *at += 1;
        if self.state == State::StreamClose && *byte == b'>' {
            return Ok(Some(Frame::StreamClose));
        }
        self.state = self.state_after(*byte)?;
        Ok(None)
    }

    /// One byte of the rarer states.
    fn state_after(&self, byte: u8) -> Result<State, XmlError> {
        match self.state {
            State::Between if byte == b'<' => Ok(State::TopOpen),
            State::Between => Err(XmlError::NotWellFormed("text between stanzas")),
            State::TopOpen if byte == b'/' && !self.expects_header => Ok(State::StreamClose),
            State::TopOpen if byte == b'?' && self.expects_header => {
                Ok(State::Declaration { after_mark: false })
            }
            State::Declaration { after_mark: true } if byte == b'>' => Ok(State::Prolog),
            State::Declaration { .. } => Ok(State::Declaration { after_mark: byte == b'?' }),
            State::Prolog if byte == b'<' => Ok(State::HeaderOpen),
            State::Prolog if is_white_space(byte) => Ok(State::Prolog),
            State::Prolog => Err(XmlError::NotWellFormed("text before the stream header")),
            State::TopOpen | State::HeaderOpen => match byte {
                b'?' => Err(INSTRUCTION),
                b'!' => Err(DECLARATION),
                b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => {
                    Ok(State::Content(Content::StartTag { after_slash: false }))
                }
                _ => Err(NO_NAME),
            },
            State::StreamClose if byte == b'<' => Err(LT_IN_TAG),
            State::StreamClose => Ok(State::StreamClose),
            State::Content(content) => Ok(State::Content(content)),
            State::CdataOpen { matched } => cdata_open(matched, byte),
            State::Cdata { brackets: 2 } if byte == b'>' => Ok(State::Content(Content::Text)),
            State::Cdata { brackets } if byte == b']' => {
                Ok(State::Cdata { brackets: (brackets + 1).min(2) })
            }
            State::Cdata { .. } => Ok(State::Cdata { brackets: 0 }),
        }
    }

    /// Goes on block by block to the end of the frame, of the bytes, or to a CDATA section.
    fn read_content(
        &mut self,
        mut content: Content,
        limits: &Limits,
        bytes: &[u8],
        at: &mut usize,
    ) -> Result<Option<Frame>, XmlError> {
        while *at < bytes.len() {
            let rest = bytes.get(*at..).unwrap_or_default();
            let mut padded = [0; BLOCK];
            let (block, length) = match rest.first_chunk::<BLOCK>() {
                Some(block) => (block, BLOCK),
                None => {
                    padded.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
                    (&padded, rest.len())
                }
            };
            match self.read_block(content, limits.depth_max, block, length)? {
                Block::Read(next) => {
                    content = next;
                    *at += length;
                    if matches!(content, Content::Text) {
                        // A long text: nothing else is of interest until it ends.
                        let text = bytes.get(*at..).unwrap_or_default();
                        *at += memchr::memchr(b'<', text).unwrap_or(text.len());
                    }
                }
                Block::Complete { frame, length } => {
                    *at += length;
                    return Ok(Some(frame));
                }
                Block::Cdata { length } => {
                    *at += length;
                    self.state = State::CdataOpen { matched: 0 };
                    return Ok(None);
                }
            }
        }
        self.state = State::Content(content);
        Ok(None)
    }

    /// Goes from mark to mark of one block, of which `length` bytes count.
    #[inline(always)]
    fn read_block(
        &mut self,
        mut content: Content,
        depth_max: u16,
        block: &[u8; BLOCK],
        length: usize,
    ) -> Result<Block, XmlError> {
        let marks = Marks::of(block);
        // The bytes that are still to be read.
        let mut live = if length == BLOCK { u64::MAX } else { (1 << length) - 1 };
        loop {
            let wanted = live
                & match content {
                    Content::Text => marks.lt,
                    Content::Open => u64::MAX,
                    Content::StartTag { .. } | Content::EndTag => marks.lt | marks.gt,
                    Content::Value { quote: b'"' } => marks.lt | marks.quot,
                    Content::Value { .. } => marks.lt | marks.apos,
                };
            if let Content::StartTag { after_slash } = &mut content {
                if let Some((quote, rest)) = marks.open_value(live, wanted) {
                    (content, live) = (Content::Value { quote }, rest);
                    continue;
                }
                if wanted == 0 && live != 0 {
                    *after_slash = block[length - 1] == b'/';
                }
            }
            if wanted == 0 {
                return Ok(Block::Read(content));
            }
            let at = wanted.trailing_zeros() as usize;
            let byte = block[at];
            // All bits above `at`.
            live &= (u64::MAX << at) << 1;
            content = match content {
                // The byte behind it mostly is in this block too.
                Content::Text => match block.get(at + 1) {
                    Some(next) if at + 1 < length => {
                        live &= live.wrapping_sub(1);
                        match opened(*next)? {
                            Some(content) => content,
                            None => return Ok(Block::Cdata { length: at + 2 }),
                        }
                    }
                    Some(_) | None => Content::Open,
                },
                Content::Open => match opened(byte)? {
                    Some(content) => content,
                    None => return Ok(Block::Cdata { length: at + 1 }),
                },
                _ if byte == b'<' => return Err(LT_IN_TAG),
                Content::Value { .. } => Content::StartTag { after_slash: false },
                Content::StartTag { after_slash } => {
                    let is_empty = if at == 0 { after_slash } else { block[at - 1] == b'/' };
                    if let Some(frame) = self.start_tag(is_empty, depth_max)? {
                        return Ok(Block::Complete { frame, length: at + 1 });
                    }
                    Content::Text
                }
                Content::EndTag => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Ok(Block::Complete { frame: Frame::Element, length: at + 1 });
                    }
                    Content::Text
                }
            };
        }
    }

    /// The `>` of a start tag.
    #[inline(always)]
    fn start_tag(&mut self, is_empty: bool, depth_max: u16) -> Result<Option<Frame>, XmlError> {
        if self.expects_header {
            self.expects_header = false;
            return Ok(Some(Frame::StreamOpen));
        }
        if self.depth >= depth_max {
            return Err(XmlError::Limit(Limit::Depth));
        }
        if !is_empty {
            self.depth += 1;
        }
        Ok((self.depth == 0).then_some(Frame::Element))
    }
}

/// How far [`Framer::read_block`] came.
enum Block {
    /// To its end, and stands here.
    Read(Content),
    /// To the end of the frame.
    Complete { frame: Frame, length: usize },
    /// Behind a `<!` in an element.
    Cdata { length: usize },
}

fn cdata_open(matched: u8, byte: u8) -> Result<State, XmlError> {
    let index = usize::from(matched);
    match CDATA_OPEN.get(index) {
        Some(expected) if *expected == byte => Ok(match index + 1 == CDATA_OPEN.len() {
            true => State::Cdata { brackets: 0 },
            false => State::CdataOpen { matched: matched + 1 },
        }),
        _ if index == 0 => Err(DECLARATION),
        _ => Err(XmlError::NotWellFormed("CDATA section")),
    }
}

/// What the byte behind a `<` in content begins; none: a CDATA section.
#[inline(always)]
fn opened(byte: u8) -> Result<Option<Content>, XmlError> {
    match byte {
        b'/' => Ok(Some(Content::EndTag)),
        b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => {
            Ok(Some(Content::StartTag { after_slash: false }))
        }
        b'!' => Ok(None),
        b'?' => Err(INSTRUCTION),
        _ => Err(NO_NAME),
    }
}

fn is_white_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

// An idle stream keeps a framer and no buffer.
const _: () = assert!(size_of::<Framer>() <= 32);

#[cfg(test)]
#[path = "framer_test.rs"]
mod tests;
