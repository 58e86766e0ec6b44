//! What a stream writes is a stream, as its client would read it.

use jackdaw_xml::{Element, Frame, Framer, Limits, Scan, Scope, parse_stream_header};

const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";

/// Reads what the server writes on one connection.
#[derive(Debug)]
pub(super) struct Output {
    framer: Framer,
    scope: Scope,
    /// Of an element that is not complete.
    pending: Vec<u8>,
    is_closed: bool,
    /// Everything, for comparison.
    all: Vec<u8>,
}

impl Output {
    pub fn new() -> Output {
        Output {
            framer: Framer::new(),
            scope: Scope::client(),
            pending: Vec::new(),
            is_closed: false,
            all: Vec::new(),
        }
    }

    pub fn read(&mut self, bytes: &[u8]) {
        self.all.extend_from_slice(bytes);
        let mut rest = bytes;
        while !rest.is_empty() {
            assert!(!self.is_closed, "written behind the end of the stream");
            let scan = self.framer.scan(&Limits::after_auth(), rest).expect("a well-formed stream");
            let length = match scan {
                Scan::Partial => rest.len(),
                Scan::Complete { length, .. } => length,
            };
            let (head, others) = rest.split_at(length);
            self.pending.extend_from_slice(head);
            rest = others;
            if let Scan::Complete { frame, .. } = scan {
                let xml = std::mem::take(&mut self.pending);
                self.read_frame(frame, &xml);
            }
        }
    }

    fn read_frame(&mut self, frame: Frame, xml: &[u8]) {
        match frame {
            Frame::StreamOpen => {
                let header = parse_stream_header(xml, &Limits::after_auth());
                self.scope = header.expect("a valid stream header").scope;
            }
            Frame::Element => {
                let element = Element::parse(xml, &self.scope, &Limits::after_auth());
                let element = element.expect("a well-formed element");
                // Both sides open a new stream (RFC 6120 §5.4.3.3, §6.4.6).
                if matches!((element.ns(), element.name()), (TLS, "proceed") | (SASL, "success")) {
                    self.framer.restart();
                }
            }
            Frame::StreamClose => self.is_closed = true,
            Frame::Whitespace => {}
        }
    }

    /// Nothing is written by halves at the end of a turn.
    pub fn check_whole(&self) {
        assert!(self.pending.is_empty(), "an element without its end");
    }

    /// Everything that was written.
    pub fn into_text(self) -> String {
        String::from_utf8(self.all).expect("it was read as XML")
    }
}
