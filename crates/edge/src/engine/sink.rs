//! What the driver reports.

use std::io;
use std::net::SocketAddr;

use crate::address::Origin;
use crate::admission::Refused;
use crate::clock;
use crate::driver::{Sink, Socket};
use crate::engine::Engine;
use crate::link::Phase;
use crate::protocol::{CloseReason, Protocol};

impl<P: Protocol> Sink for Engine<P> {
    fn woke(&mut self) {
        self.core.now = clock::now();
        self.core.mailbox.letterboxes[usize::from(self.core.worker)].awake();
        self.resume_handshakes();
    }

    fn accepted(&mut self, listener: u16, peer: SocketAddr, socket: Socket) -> Option<u32> {
        self.core.gate.accepted();
        self.core.stats.accepted += 1;
        let origin = match self.listeners[usize::from(listener)].proxy_protocol {
            true => Origin::PROXY,
            false => Origin::from(peer.ip()),
        };
        match self.core.gate.house.enter(origin) {
            Ok(()) => {}
            Err(Refused::Address) => {
                self.core.stats.refused_address += 1;
                return None;
            }
            Err(Refused::Full) => {
                self.core.stats.refused_full += 1;
                return None;
            }
        }
        let Some(slot) = self.core.take_slot() else {
            self.core.gate.house.leave(origin);
            self.core.stats.refused_full += 1;
            return None;
        };
        self.core.stats.connections += 1;
        let link = &mut self.core.links[slot];
        link.phase = Phase::Open;
        link.socket = socket;
        link.origin = origin;
        self.begin(slot, listener, peer);
        self.settle();
        Some(slot)
    }

    fn accept_failed(&mut self, error: &io::Error) {
        self.core.stats.accept_errors += 1;
        tracing::warn!(worker = self.core.worker, %error, "accepting failed; pausing");
        self.core.gate.failed(self.core.now);
    }

    fn received(&mut self, slot: u32, bytes: &mut [u8]) -> bool {
        self.core.stats.bytes_in += bytes.len() as u64;
        self.take_bytes(slot, bytes);
        self.settle();
        let link = &mut self.core.links[slot];
        link.driver_paused |= link.wants_pause();
        !link.driver_paused
    }

    fn ended(&mut self, slot: u32) {
        self.end(slot);
    }

    fn progressed(&mut self, slot: u32) {
        if self.core.links[slot].phase == Phase::Open {
            self.core.set_deadline(slot, self.core.limits.stall);
        }
    }

    fn sent(&mut self, slot: u32, buffer: Vec<u8>) {
        self.core.pool.give(buffer);
        let link = &mut self.core.links[slot];
        link.sending = 0;
        if link.phase == Phase::Open {
            link.deadline = 0;
        }
        if link.owes_writable {
            self.core.mark_resumed(slot);
        }
        self.tell_sent(slot);
        let link = &self.core.links[slot];
        if !link.out.is_empty() || link.phase == Phase::Flushing {
            self.core.mark_dirty(slot);
        }
    }

    fn failed(&mut self, slot: u32) {
        self.core.abort(slot, CloseReason::Reset);
    }
}

impl<P: Protocol> Engine<P> {
    /// Bytes from the wire, or from behind a PROXY header.
    pub(super) fn take_bytes(&mut self, slot: u32, bytes: &mut [u8]) {
        let link = &self.core.links[slot];
        match link.phase {
            Phase::Open if link.tls.is_none() => self.deliver(slot, bytes),
            Phase::Open => self.unseal(slot, bytes),
            Phase::Handshake => self.shake_hands(slot, bytes),
            Phase::Proxy => self.read_proxy_header(slot, bytes),
            // We said good-bye; what still comes is not read.
            Phase::Flushing | Phase::Lingering | Phase::Free | Phase::Kept => {}
        }
    }

    /// The peer's side is closed, in TCP or in TLS.
    pub(super) fn end(&mut self, slot: u32) {
        let link = &mut self.core.links[slot];
        link.ended = true;
        match link.phase {
            Phase::Open => self.end_if_drained(slot),
            Phase::Lingering => self.core.abort(slot, CloseReason::Closed),
            Phase::Proxy | Phase::Handshake => self.core.abort(slot, CloseReason::PeerClosed),
            Phase::Free | Phase::Flushing | Phase::Kept => {}
        }
    }
}
