//! The framer: a stream gives the same frames however its bytes arrive, and takes no more of them
//! than it says.

use jackdaw_xml::{
    Frame, Framer, Limits, Scan, Scope, StanzaTokenizer, Tokenizer, XmlError, parse_stream_header,
};

/// The first byte seeds the cuts, the rest is the stream.
pub(crate) fn run(data: &[u8]) {
    let Some((seed, stream)) = data.split_first() else { return };
    for limits in [Limits::before_auth(), SMALL] {
        let whole = Frames::read(&limits, [stream]);
        assert_eq!(Frames::read(&limits, stream.chunks(1)), whole, "byte by byte");
        assert_eq!(Frames::read(&limits, cut(*seed, stream)), whole, "cut with seed {seed}");
        whole.check(&limits);
    }
}

/// Limits that short inputs pass.
const SMALL: Limits = Limits {
    stanza_bytes_max: 48,
    depth_max: 3,
    elements_max: 4,
    attributes_max: 2,
    namespaces_max: 2,
};

/// Pieces of one to 128 bytes, whose lengths go round as the seed says.
fn cut(seed: u8, stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = stream;
    let mut step = u32::from(seed) + 1;
    std::iter::from_fn(move || {
        step = step.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let length = ((step >> 25) as usize + 1).min(rest.len());
        let (piece, others) = rest.split_at(length);
        rest = others;
        (!piece.is_empty()).then_some(piece)
    })
}

/// What a stream was cut into, up to the error if there was one.
#[derive(Debug, PartialEq)]
struct Frames {
    /// A run of white space counts as one.
    frames: Vec<(Frame, Vec<u8>)>,
    error: Option<XmlError>,
    /// Whether the last byte ended a frame.
    is_between: bool,
}

impl Frames {
    fn read<'a>(limits: &Limits, pieces: impl IntoIterator<Item = &'a [u8]>) -> Frames {
        let mut framer = Framer::new();
        let mut read = Frames { frames: Vec::new(), error: None, is_between: true };
        let mut pending = Vec::new();
        for mut piece in pieces {
            while !piece.is_empty() {
                match framer.scan(limits, piece) {
                    Err(error) => {
                        (read.error, read.is_between) = (Some(error), false);
                        return read;
                    }
                    Ok(Scan::Partial) => {
                        pending.extend_from_slice(piece);
                        piece = &[];
                    }
                    Ok(Scan::Complete { frame, length }) => {
                        assert!(length > 0, "a frame of nothing would come again for ever");
                        let (head, rest) = piece.split_at(length);
                        pending.extend_from_slice(head);
                        piece = rest;
                        read.push(frame, std::mem::take(&mut pending));
                    }
                }
                assert!(pending.len() <= limits.stanza_bytes_max as usize);
                assert_eq!(framer.is_between(), pending.is_empty());
            }
        }
        read.is_between = framer.is_between();
        read
    }

    fn push(&mut self, frame: Frame, bytes: Vec<u8>) {
        match self.frames.last_mut() {
            Some((Frame::Whitespace, run)) if frame == Frame::Whitespace => run.extend(bytes),
            _ => self.frames.push((frame, bytes)),
        }
    }

    /// What comes behind the framer stands what the framer lets through.
    fn check(&self, limits: &Limits) {
        let scope = Scope::client();
        for (frame, bytes) in &self.frames {
            match frame {
                Frame::StreamOpen => drop(parse_stream_header(bytes, limits)),
                Frame::Element => {
                    let mut tokens = Tokenizer::new(bytes, &scope, limits);
                    while let Ok(Some(_)) = tokens.next() {}
                }
                Frame::StreamClose => assert!(bytes.starts_with(b"</") && bytes.ends_with(b">")),
                Frame::Whitespace => assert!(bytes.trim_ascii().is_empty()),
            }
        }
    }
}
