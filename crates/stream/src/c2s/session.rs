//! A bound session: what it is sent, and what is kept of that.

use super::Cx;
use super::config::C2sConfig;
use super::csi::{Held, Importance, importance};
use super::event::{ClientState, Event};
use super::outgoing::Outgoing;
use super::sm::Sm;
use crate::xml::{attribute, declare};
use jackdaw_jid::FullJid;
use jackdaw_stanza::{Delivery, ns};

/// The state of a session, which outlives its socket if it can be resumed.
#[derive(Debug)]
pub(super) struct Session {
    pub jid: FullJid,
    /// By this a resumption finds it.
    pub number: u64,
    pub sm: Option<Box<Sm>>,
    /// What waits for the client; none: it is active.
    pub held: Option<Box<Held>>,
}

/// Where a session's bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Socket {
    Open,
    /// They wait for a resumption.
    Gone,
}

/// How much more than the bound on what can wait may be unacknowledged in all, as what cannot wait
/// passes it: presence of a whole roster, answers, pushes. With the usual numbers as many bytes as
/// may wait for a socket.
const OVERFULL: usize = 8;

/// Whether an acknowledgement was requested, which is a probe of the peer too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    No,
    Yes,
}

impl Session {
    pub fn new(jid: FullJid, number: u64) -> Session {
        Session { jid, number, sm: None, held: None }
    }

    pub fn is_resumable(&self) -> bool {
        self.sm.as_ref().is_some_and(|sm| sm.is_resumable())
    }

    /// Whether it outlives the process.
    pub fn is_on_record(&self) -> bool {
        self.sm.as_ref().is_some_and(|sm| sm.is_resumable() && sm.inbound.is_on_record())
    }

    /// Sends, queues or holds back a delivery.
    pub fn send(
        &mut self,
        config: &C2sConfig,
        cx: &mut Cx<'_>,
        socket: Socket,
        delivery: Delivery,
    ) -> Asked {
        let importance = match self.held {
            Some(_) => importance(&delivery),
            None => Importance::Important,
        };
        match (&mut self.held, importance) {
            (Some(_), Importance::Useless) => {
                // Without stream management whoever sends it settles it.
                let settle = delivery.settle.filter(|_| self.sm.is_some());
                cx.events.extend(settle.map(Event::Settled));
                return Asked::No;
            }
            (Some(held), Importance::CanWait) => {
                held.push(&delivery);
                if !held.is_full(&config.csi) {
                    return Asked::No;
                }
                self.flush(cx, socket);
            }
            (Some(_) | None, _) => {
                self.flush(cx, socket);
                self.write(cx, socket, &delivery);
            }
        }
        self.ask(config, cx, socket)
    }

    /// Whether the client left as much unacknowledged as it may or, if it acknowledges nothing,
    /// unread. One stanza may pass the bound on bytes, so that any stanza can be sent.
    pub fn is_full(&self, config: &C2sConfig, cx: &Cx<'_>) -> bool {
        match &self.sm {
            Some(sm) => {
                self.is_above(sm, config.sm.unacked_stanzas_max, config.sm.unacked_bytes_max)
            }
            None => cx.out.len() + cx.unsent >= config.limits.unsent_bytes_max.max(1),
        }
    }

    /// Whether so much is unacknowledged that the session cannot go on.
    pub fn is_overfull(&self, config: &C2sConfig) -> bool {
        let (stanzas, bytes) = (config.sm.unacked_stanzas_max, config.sm.unacked_bytes_max);
        self.sm.as_ref().is_some_and(|sm| {
            self.is_above(sm, stanzas.saturating_mul(OVERFULL), bytes.saturating_mul(OVERFULL))
        })
    }

    /// Whether there is room for much more, so that it is worth beginning anew.
    pub fn has_room(&self, config: &C2sConfig, cx: &Cx<'_>) -> bool {
        match &self.sm {
            Some(sm) => {
                let (stanzas, bytes) = (config.sm.unacked_stanzas_max, config.sm.unacked_bytes_max);
                !self.is_above(sm, stanzas.div_ceil(2), bytes.div_ceil(2))
            }
            None => cx.out.len() + cx.unsent < (config.limits.unsent_bytes_max / 2).max(1),
        }
    }

    /// Whether to hand it more. One that acknowledges nothing has to read on first.
    pub fn takes_more(&self, config: &C2sConfig, cx: &Cx<'_>) -> bool {
        match &self.sm {
            Some(_) => !self.is_full(config, cx),
            None => self.has_room(config, cx),
        }
    }

    fn is_above(&self, sm: &Sm, stanzas: usize, bytes: usize) -> bool {
        let (held, held_bytes) = self.held.as_ref().map_or((0, 0), |h| (h.stanzas(), h.bytes()));
        sm.outbound.stanzas() + held >= stanzas || sm.outbound.bytes() + held_bytes >= bytes
    }

    fn write(&mut self, cx: &mut Cx<'_>, socket: Socket, delivery: &Delivery) {
        let start = cx.out.len();
        match (&mut self.sm, socket) {
            (Some(sm), Socket::Open) if sm.outbound.is_open(delivery.settle) => {
                delivery.stanza.write_to(cx.out);
                let written = cx.out.get(start..).unwrap_or_default();
                sm.outbound.push_written(Outgoing::written(written, delivery.settle));
            }
            (Some(sm), _) => {
                let number = sm.outbound.push(Outgoing::new(delivery));
                if let Some(settle) = delivery.settle.filter(|settle| settle.is_held()) {
                    cx.events.push_back(Event::Numbered { settle: settle.released(), number });
                }
            }
            (None, _) => {
                delivery.stanza.write_to(cx.out);
            }
        }
    }

    /// Writes what waits in the queue, up to what is held.
    pub fn write_on(&mut self, out: &mut Vec<u8>) {
        if let Some(sm) = &mut self.sm {
            sm.outbound.write_on(out);
        }
    }

    /// Sends what was held back.
    pub fn flush(&mut self, cx: &mut Cx<'_>, socket: Socket) {
        let Some(held) = &mut self.held else { return };
        for outgoing in held.take() {
            match &mut self.sm {
                Some(sm) if socket == Socket::Open && sm.outbound.is_open(outgoing.settle) => {
                    outgoing.write_to(cx.out);
                    sm.outbound.push_written(outgoing);
                }
                Some(sm) => {
                    sm.outbound.push(outgoing);
                }
                None => {
                    outgoing.write_to(cx.out);
                }
            }
        }
    }

    /// Requests an acknowledgement if it is time.
    pub fn ask(&mut self, config: &C2sConfig, cx: &mut Cx<'_>, socket: Socket) -> Asked {
        let Some(sm) = &mut self.sm else { return Asked::No };
        if socket == Socket::Gone || !sm.outbound.should_ask(config.sm.request_every) {
            return Asked::No;
        }
        write_request(cx.out);
        Asked::Yes
    }

    /// Requests an acknowledgement of what was just sent again.
    pub fn ask_again(&mut self, cx: &mut Cx<'_>) {
        let Some(sm) = self.sm.as_mut().filter(|sm| sm.outbound.stanzas() > 0) else { return };
        sm.outbound.ask();
        write_request(cx.out);
    }

    /// The client says whether anybody looks at it.
    pub fn set_client_state(&mut self, cx: &mut Cx<'_>, state: ClientState) {
        match state {
            ClientState::Active => {
                self.flush(cx, Socket::Open);
                self.held = None;
            }
            ClientState::Inactive => {
                self.held.get_or_insert_default();
            }
        }
        cx.events.push_back(Event::ClientState(state));
    }

    /// Everything the client has not confirmed, in order.
    pub fn into_unacknowledged(self) -> Vec<Outgoing> {
        let queued = self.sm.map(|mut sm| sm.outbound.take()).into_iter().flatten();
        let held = self.held.map(|mut held| held.take()).into_iter().flatten();
        queued.chain(held).collect()
    }
}

/// `<r/>` (XEP-0198 §4).
pub(super) fn write_request(out: &mut Vec<u8>) {
    out.extend_from_slice(b"<r");
    declare(out, ns::SM);
    out.extend_from_slice(b"/>");
}

/// `<a/>` (XEP-0198 §4).
pub(super) fn write_acknowledgement(out: &mut Vec<u8>, h: u32) {
    out.extend_from_slice(b"<a");
    declare(out, ns::SM);
    attribute(out, "h", &h.to_string());
    out.extend_from_slice(b"/>");
}
