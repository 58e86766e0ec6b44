//! From bytes to frames, however they were cut.

use jackdaw_stdx::Arena;
use jackdaw_xml::{Frame, Framer, Limits, Scan, Scope, XmlError};
use std::borrow::Cow;

/// The receiving side of a stream. It owns heap only while a frame is unfinished.
#[derive(Debug)]
pub(super) struct Input {
    framer: Framer,
    /// The unfinished frame.
    partial: Vec<u8>,
    /// What the client's header declared.
    pub scope: Scope,
}

/// A frame, and how many of the bytes it took.
pub(super) struct Read<'a> {
    pub consumed: usize,
    pub frame: Option<(Frame, Cow<'a, [u8]>)>,
}

impl Input {
    pub fn new() -> Input {
        Input { framer: Framer::new(), partial: Vec::new(), scope: Scope::client() }
    }

    /// A new stream header is expected (RFC 6120 §4.3.3).
    pub fn restart(&mut self) {
        *self = Input::new();
    }

    /// Whether the next byte begins a frame.
    pub fn is_between(&self) -> bool {
        self.framer.is_between()
    }

    /// Takes the next frame off the front of the bytes, or all of them if it is not finished.
    pub fn read<'a>(
        &mut self,
        arena: &mut Arena,
        limits: &Limits,
        bytes: &'a [u8],
    ) -> Result<Read<'a>, XmlError> {
        match self.framer.scan(limits, bytes)? {
            Scan::Partial => {
                if self.partial.capacity() == 0 {
                    self.partial = arena.take_buffer();
                }
                self.partial.extend_from_slice(bytes);
                Ok(Read { consumed: bytes.len(), frame: None })
            }
            Scan::Complete { frame, length } => {
                let rest = bytes.get(..length).unwrap_or(bytes);
                Ok(Read { consumed: length, frame: Some((frame, self.complete(rest))) })
            }
        }
    }

    fn complete<'a>(&mut self, rest: &'a [u8]) -> Cow<'a, [u8]> {
        if self.partial.is_empty() {
            return Cow::Borrowed(rest);
        }
        let mut whole = std::mem::take(&mut self.partial);
        whole.extend_from_slice(rest);
        Cow::Owned(whole)
    }
}
