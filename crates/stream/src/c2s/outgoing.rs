//! A stanza that was, or will be, written to the client.

use jackdaw_stanza::{Delivery, ParseError, Settle, Stanza};
use jackdaw_xml::Scope;

/// A stanza as bytes of its own, and who waits for it.
///
/// The queue for resumption and what is held back for an inactive client keep these, not
/// [`Delivery`]: the buffers a stanza refers to are large and shared (a receive arena, a room's
/// fan-out), and one stanza that a sleeping phone does not acknowledge would keep all of one alive.
/// So what a session costs is what its counters say, at the price of one copy, taken while the
/// bytes are written anyway.
#[derive(Debug)]
pub(super) struct Outgoing {
    xml: Box<[u8]>,
    pub settle: Option<Settle>,
}

impl Outgoing {
    /// Serialises a delivery.
    pub fn new(delivery: &Delivery) -> Outgoing {
        let mut xml = Vec::with_capacity(delivery.stanza.size() + ADDRESSES_BYTES);
        delivery.stanza.write_to(&mut xml);
        Outgoing { xml: xml.into_boxed_slice(), settle: delivery.settle }
    }

    /// Copies a delivery that has just been written.
    pub fn written(xml: &[u8], settle: Option<Settle>) -> Outgoing {
        Outgoing { xml: xml.into(), settle }
    }

    /// Whether it waits to be written until its number is durable.
    pub fn is_held(&self) -> bool {
        self.settle.is_some_and(Settle::is_held)
    }

    pub fn len(&self) -> usize {
        self.xml.len()
    }

    pub fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.xml);
    }

    /// The delivery again, for somebody else. What we serialised parses; if it ever does not, the
    /// stanza is lost, and logged.
    pub fn into_delivery(self) -> Option<Delivery> {
        let limits = jackdaw_xml::Limits::trusted();
        let stanza = match Stanza::parse(self.xml.into(), &Scope::client(), &limits) {
            Ok(stanza) => stanza,
            Err(ParseError::BadType(stanza)) => *stanza,
            Err(error @ (ParseError::Xml(_) | ParseError::NotAStanza)) => {
                tracing::error!(%error, "a stanza that was queued does not parse");
                return None;
            }
        };
        Some(Delivery { stanza, settle: self.settle.map(Settle::released), position: 0 })
    }
}

/// Room for a `from` and a `to` that were stamped.
const ADDRESSES_BYTES: usize = 128;
