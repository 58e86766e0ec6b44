//! What happens in a turn without a socket: mail, timers, shutting down.

use crate::engine::Engine;
use crate::link::Phase;
use crate::mail::Envelope;
use crate::protocol::{CloseReason, Protocol};

impl<P: Protocol> Engine<P> {
    /// Everything of a turn that no socket caused.
    pub(crate) fn end_turn(&mut self) {
        self.collect_mail();
        self.fire_timers();
        self.settle();
        self.call_worker(|protocol, io| protocol.turn_ended(io));
        self.settle();
        self.core.stats.turns += 1;
    }

    fn collect_mail(&mut self) {
        let mut envelopes = std::mem::take(&mut self.envelopes);
        let worker = usize::from(self.core.worker);
        self.core.mailbox.letterboxes[worker].collect(&mut envelopes);
        for Envelope { to, mail } in envelopes.drain(..) {
            match to {
                Some(to) => self.deliver_mail(to, mail),
                None => self.call_worker(|protocol, io| protocol.worker_mail(io, mail)),
            }
            self.settle();
        }
        self.core.mailbox.letterboxes[worker].handed_out();
        self.envelopes = envelopes;
    }

    fn fire_timers(&mut self) {
        let now = self.core.tick_now();
        let mut due = std::mem::take(&mut self.due);
        self.core.timers.advance(now, &mut due);
        for slot in due.drain(..) {
            self.fire(slot, now);
        }
        self.due = due;
    }

    /// A slot's entry in the wheel came up: one of its two timers is due, or was moved.
    fn fire(&mut self, slot: u32, now: u64) {
        let link = &mut self.core.links[slot];
        if link.deadline != 0 && link.deadline <= now {
            link.deadline = 0;
            self.expire(slot);
        }
        let link = &mut self.core.links[slot];
        if link.timer != 0 && link.timer <= now {
            link.timer = 0;
            self.call(slot, |protocol, io, connection| protocol.timeout(io, connection));
        }
        let link = &self.core.links[slot];
        for at in [link.timer, link.deadline] {
            if at != 0 {
                self.core.timers.arm(slot, at);
            }
        }
    }

    /// The engine's own deadline passed.
    fn expire(&mut self, slot: u32) {
        match self.core.links[slot].phase {
            Phase::Open => {
                self.core.stats.stalled += 1;
                self.core.abort(slot, CloseReason::Stalled);
            }
            Phase::Handshake => {
                self.core.stats.tls_errors += 1;
                self.core.abort(slot, CloseReason::HandshakeTimeout);
            }
            Phase::Proxy => {
                self.core.stats.proxy_errors += 1;
                self.core.abort(slot, CloseReason::ProxyTimeout);
            }
            Phase::Flushing | Phase::Lingering => self.core.abort(slot, CloseReason::Closed),
            Phase::Free | Phase::Kept => {}
        }
    }

    /// Tells every connection that the edge shuts down. Later calls do nothing.
    pub(crate) fn shut_down(&mut self) {
        if std::mem::replace(&mut self.shutting_down, true) {
            return;
        }
        for slot in 0..self.core.slots() {
            let link = &self.core.links[slot];
            let is_known = link.opened && matches!(link.phase, Phase::Open | Phase::Handshake);
            // A kept connection has nobody to say good-bye to, but may have a session to end.
            if is_known || link.phase == Phase::Kept {
                self.call(slot, |protocol, io, connection| {
                    protocol.shutting_down(io, connection);
                });
            } else if link.has_socket() {
                self.core.close(slot, CloseReason::Shutdown);
            }
        }
        self.settle();
    }

    /// Cuts off every connection that is left.
    pub(crate) fn abort_all(&mut self) {
        for slot in 0..self.core.slots() {
            self.core.abort(slot, CloseReason::Shutdown);
        }
    }
}
