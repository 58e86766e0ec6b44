//! Client state indication (XEP-0352): what a client that nobody looks at is spared.
//!
//! While a client is inactive, each stanza for it is one of three:
//!
//! - **Held back**: available and unavailable presence, of which only the latest from each full
//!   JID is kept; messages without anything to read or to act on at once: delivery receipts
//!   (XEP-0184), chat markers (XEP-0333), and notifications of pubsub and PEP (XEP-0060).
//! - **Dropped**: messages that hold a chat state (XEP-0085) and nothing else. They are stale
//!   before anybody looks.
//! - **Important**: everything else: messages with a body, encrypted ones, invitations, calls,
//!   whatever is unknown here; errors; every iq; subscription requests; the client's own presence
//!   in a room (status 110); and every delivery that somebody waits for, because promise P1 is
//!   worth more than a packet.
//!
//! An important stanza is preceded by all that is held: the radio is awake anyway, and the client
//! sees one stream in the order in which things happened. When newer presence replaces an older
//! one, the older is taken out and the newer comes last, so that among what one sender says the
//! order stays. Becoming active flushes before the next stanza is read (§5.1). What is held is
//! bounded in number and bytes ([`CsiConfig`]); at the bound all of it is sent. Nothing that is
//! held is lost: a resumption sends it, and the end of the session hands it back.

use super::config::CsiConfig;
use super::outgoing::Outgoing;
use jackdaw_stanza::{Delivery, MessageType, Payload, PresenceType, Stanza, Type, ns};

/// What to do with a stanza for an inactive client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Importance {
    Important,
    CanWait,
    Useless,
}

/// How important a delivery is to somebody who is not looking.
pub(super) fn importance(delivery: &Delivery) -> Importance {
    let importance = match delivery.stanza.kind_and_type() {
        Type::Iq(_) => Importance::Important,
        Type::Presence(kind) => presence_importance(kind, &delivery.stanza),
        Type::Message(MessageType::Error) => Importance::Important,
        Type::Message(_) => message_importance(&delivery.stanza),
    };
    match importance {
        Importance::CanWait if delivery.settle.is_some() => Importance::Important,
        other => other,
    }
}

fn presence_importance(kind: PresenceType, stanza: &Stanza) -> Importance {
    match kind {
        PresenceType::Available | PresenceType::Unavailable => match has_own_room_status(stanza) {
            true => Importance::Important,
            false => Importance::CanWait,
        },
        PresenceType::Error
        | PresenceType::Probe
        | PresenceType::Subscribe
        | PresenceType::Subscribed
        | PresenceType::Unsubscribe
        | PresenceType::Unsubscribed => Importance::Important,
    }
}

/// Whether it is about the client itself in a room: joined, kicked, renamed (XEP-0045 §15.6.2).
fn has_own_room_status(stanza: &Stanza) -> bool {
    stanza
        .payload(ns::MUC_USER, "x")
        .is_some_and(|payload| memchr::memmem::find(payload.xml, b"110").is_some())
}

fn message_importance(stanza: &Stanza) -> Importance {
    let mut importance = Importance::Useless;
    for payload in stanza.payloads() {
        match payload_importance(payload) {
            Importance::Important => return Importance::Important,
            Importance::CanWait => importance = Importance::CanWait,
            Importance::Useless => {}
        }
    }
    importance
}

fn payload_importance(payload: Payload<'_>) -> Importance {
    match payload.ns {
        ns::CHAT_STATES | ns::HINTS | ns::STANZA_ID | ns::DELAY => Importance::Useless,
        ns::CLIENT if payload.name == "thread" => Importance::Useless,
        ns::CHAT_MARKERS | ns::PUBSUB_EVENT => Importance::CanWait,
        ns::RECEIPTS if payload.name == "received" => Importance::CanWait,
        _ => Importance::Important,
    }
}

/// The stanzas that wait for an inactive client, in the order in which they will be sent.
#[derive(Debug, Default)]
pub(super) struct Held {
    stanzas: Vec<HeldStanza>,
    bytes: usize,
}

#[derive(Debug)]
struct HeldStanza {
    /// Whose presence it is, if it is presence.
    presence_of: Option<Box<str>>,
    outgoing: Outgoing,
}

impl Held {
    /// Holds a stanza back.
    pub fn push(&mut self, delivery: &Delivery) {
        let stanza = &delivery.stanza;
        let presence_of = match stanza.kind_and_type() {
            Type::Presence(_) => stanza.from().map(|from| from.as_str().into()),
            Type::Message(_) | Type::Iq(_) => None,
        };
        if presence_of.is_some() {
            self.remove_presence(&presence_of);
        }
        let outgoing = Outgoing::new(delivery);
        self.bytes += outgoing.len();
        self.stanzas.push(HeldStanza { presence_of, outgoing });
    }

    fn remove_presence(&mut self, of: &Option<Box<str>>) {
        if let Some(index) = self.stanzas.iter().position(|held| held.presence_of == *of) {
            self.bytes -= self.stanzas.remove(index).outgoing.len();
        }
    }

    /// Whether it has reached its bound, and is to be sent.
    pub fn is_full(&self, config: &CsiConfig) -> bool {
        self.stanzas.len() >= config.held_stanzas_max || self.bytes >= config.held_bytes_max
    }

    pub fn stanzas(&self) -> usize {
        self.stanzas.len()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes everything out, in order. No memory stays behind.
    pub fn take(&mut self) -> impl Iterator<Item = Outgoing> + use<> {
        std::mem::take(self).stanzas.into_iter().map(|held| held.outgoing)
    }
}
