//! The end of a turn: output, pauses and closes go to the driver.

use jackdaw_faults::{Point, reach};

use crate::driver::{Driver, Sending};
use crate::engine::Engine;
use crate::link::Phase;
use crate::protocol::{CloseReason, Fate, Protocol};

impl<P: Protocol> Engine<P> {
    /// Gives the driver what this turn brought for each connection: output, pauses, closes.
    pub(crate) fn flush(&mut self, driver: &mut impl Driver) {
        let mut next = 0;
        // Flushing one may put others, or itself, on the list.
        while let Some(&slot) = self.core.dirty.get(next) {
            next += 1;
            self.core.links[slot].dirty = false;
            self.flush_one(slot, driver);
        }
        self.core.dirty.clear();
    }

    fn flush_one(&mut self, slot: u32, driver: &mut impl Driver) {
        let link = &self.core.links[slot];
        if !link.has_socket() {
            return;
        }
        if link.abort {
            return self.finish(slot, driver);
        }
        self.watch_output(slot);
        self.send_out(slot, driver);
        let link = &self.core.links[slot];
        if link.starttls && link.phase == Phase::Open && link.out.is_empty() {
            // The answer is in the kernel's hands: what comes next was sent in its knowledge.
            self.begin_tls(slot, false);
        }
        let link = &mut self.core.links[slot];
        // What was written before a handshake that never ended cannot be sent.
        let unsent = if link.is_handshaking() { link.sending as usize } else { link.pending_out() };
        if link.phase == Phase::Flushing && unsent == 0 {
            if link.ended {
                return self.finish(slot, driver);
            }
            driver.shut(link.socket);
            link.phase = Phase::Lingering;
        }
        let pause = link.wants_pause();
        if link.driver_paused != pause {
            link.driver_paused = pause;
            match pause {
                true => driver.pause(link.socket),
                false => driver.resume(link.socket),
            }
        }
    }

    /// Notes when waiting output passes its marks.
    fn watch_output(&mut self, slot: u32) {
        let link = &mut self.core.links[slot];
        let waiting = link.pending_out();
        if waiting > self.core.limits.output_high {
            link.owes_writable = true;
        }
        if waiting > self.core.limits.output_bytes_max {
            self.core.stats.overflows += 1;
            self.core.abort(slot, CloseReason::Overflow);
        }
    }

    /// What goes out next: what was written or, with TLS, what it became.
    fn next_output(&mut self, slot: u32) -> Vec<u8> {
        let link = &mut self.core.links[slot];
        let Some(session) = &mut link.tls else {
            return std::mem::take(&mut link.out);
        };
        if session.outgoing.capacity() == 0 {
            session.outgoing = self.core.pool.take();
        }
        if session.is_handshaking() {
            return std::mem::take(&mut session.outgoing);
        }
        let sealed = session.seal(&link.out);
        self.core.pool.give(std::mem::take(&mut link.out));
        if link.phase == Phase::Flushing {
            session.close();
        }
        let outgoing = std::mem::take(&mut session.outgoing);
        if let Err(failed) = sealed {
            self.fail_tls(slot, &failed);
        }
        outgoing
    }

    fn send_out(&mut self, slot: u32, driver: &mut impl Driver) {
        let link = &self.core.links[slot];
        if link.sending != 0 || link.abort || (link.out.is_empty() && link.tls.is_none()) {
            return;
        }
        let buffer = self.next_output(slot);
        if buffer.is_empty() {
            return self.core.pool.give(buffer);
        }
        let link = &mut self.core.links[slot];
        if !link.is_handshaking() {
            link.sends = link.sends.wrapping_add(1);
            link.tells_sent = std::mem::take(&mut link.tells_next);
        }
        let bytes = buffer.len();
        self.core.stats.sends += 1;
        self.core.stats.bytes_out += bytes as u64;
        reach(Point::SendBefore);
        let sending = driver.send(link.socket, buffer);
        reach(Point::SendAfter);
        match sending {
            Sending::Done(buffer) => {
                self.core.pool.give(buffer);
                if link.owes_writable {
                    self.core.mark_resumed(slot);
                }
                self.tell_sent(slot);
            }
            Sending::Pending => {
                link.sending = bytes as u32;
                if link.phase == Phase::Open {
                    self.core.set_deadline(slot, self.core.limits.stall);
                }
            }
            Sending::Failed(buffer) => {
                self.core.pool.give(buffer);
                self.core.abort(slot, CloseReason::Reset);
            }
        }
    }

    /// Tells the protocol that a send is complete, if it wants to know.
    pub(super) fn tell_sent(&mut self, slot: u32) {
        let link = &mut self.core.links[slot];
        if std::mem::take(&mut link.tells_sent) {
            let send = link.sends;
            self.call(slot, |protocol, io, connection| protocol.sent(io, connection, send));
        }
    }

    /// Closes the socket and settles what becomes of the connection.
    fn finish(&mut self, slot: u32, driver: &mut impl Driver) {
        let link = &mut self.core.links[slot];
        driver.close(link.socket);
        self.core.gate.house.leave(link.origin);
        self.core.stats.connections -= 1;
        self.core.stats.kept += 1;
        let reason = link.reason.unwrap_or(CloseReason::Aborted);
        link.phase = Phase::Kept;
        link.deadline = 0;
        link.sending = 0;
        link.tls = None;
        let (out, held) = (std::mem::take(&mut link.out), std::mem::take(&mut link.held));
        self.core.pool.give(out);
        self.core.pool.give(held);
        let generation = link.generation;
        let fate =
            self.call(slot, |protocol, io, connection| protocol.closed(io, connection, reason));
        if self.core.links[slot].generation != generation {
            return; // It was freed from within.
        }
        let room = self.core.stats.kept <= self.core.limits.kept_max as u64;
        if fate != Some(Fate::Keep) || !room {
            self.free(slot);
        }
    }
}
