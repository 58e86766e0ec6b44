//! What happens to a connection, whatever driver moves its bytes: the sink of a worker's driver
//! on one side, the caller of its [`Protocol`] on the other.
//!
//! [`sink`] is what the driver reports, [`opening`] the way to an open connection, this file how
//! handlers are called, [`turn`] what no socket causes, [`flush`] the end of a turn.

mod flush;
mod opening;
mod sink;
mod turn;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::admission::RETRY;
use crate::config::ListenerConfig;
use crate::core::Core;
use crate::io::{Io, WorkerIo};
use crate::link::Phase;
use crate::mail::Envelope;
use crate::pages::Pages;
use crate::protocol::{CloseReason, ConnectionId, Protocol};
use crate::tls::TlsConfig;

/// Local mail delivered in a row; the rest waits for the next turn, so that two connections that
/// write to each other do not keep the others from the loop.
const LOCAL_MAIL_PER_TURN: usize = 4096;

/// Unconsumed bytes kept for a connection. What has been received when it pauses is kept, which
/// for io_uring can be all the buffers of a ring, 1 MiB; twice that, nobody is reading, and the
/// connection is closed.
const HELD_BYTES_MAX: usize = 2 * 1024 * 1024;

/// A worker's connections and the protocol they speak.
pub(crate) struct Engine<P: Protocol> {
    pub(crate) protocol: P,
    pub(crate) core: Core<P::Mail>,
    connections: Pages<Option<P::Connection>>,
    /// With their bound addresses.
    listeners: Vec<ListenerConfig>,
    tls: Option<TlsConfig>,
    /// Slots whose handshakes wait for the next turn.
    handshakes: VecDeque<u32>,
    handshakes_left: usize,
    envelopes: VecDeque<Envelope<P::Mail>>,
    due: Vec<u32>,
    shutting_down: bool,
}

impl<P: Protocol> Engine<P> {
    pub(crate) fn new(
        protocol: P,
        core: Core<P::Mail>,
        listeners: Vec<ListenerConfig>,
        tls: Option<TlsConfig>,
    ) -> Engine<P> {
        Engine {
            protocol,
            core,
            connections: Pages::new(),
            listeners,
            tls,
            handshakes: VecDeque::new(),
            handshakes_left: 0,
            envelopes: VecDeque::new(),
            due: Vec::new(),
            shutting_down: false,
        }
    }

    /// Calls a handler of one connection; `None` if it has no state or panicked.
    fn call<R>(
        &mut self,
        slot: u32,
        handler: impl FnOnce(&mut P, &mut Io<'_, P::Mail>, &mut P::Connection) -> R,
    ) -> Option<R> {
        let connection = self.connections[slot].as_mut()?;
        let mut io = Io::new(&mut self.core, slot);
        let protocol = &mut self.protocol;
        // The connection's state may be half changed after a panic; it is closed and only
        // `closed` sees it again. What the protocol shares between connections is its concern.
        let result = catch_unwind(AssertUnwindSafe(|| handler(protocol, &mut io, connection)));
        if result.is_err() {
            self.panicked(slot);
        } else if self.core.links[slot].release {
            self.free(slot);
        }
        result.ok()
    }

    /// Calls a handler of the worker.
    fn call_worker(&mut self, handler: impl FnOnce(&mut P, &mut WorkerIo<'_, P::Mail>)) {
        let mut io = WorkerIo::new(&mut self.core);
        let protocol = &mut self.protocol;
        let result = catch_unwind(AssertUnwindSafe(|| handler(protocol, &mut io)));
        if result.is_err() {
            self.core.stats.panics += 1;
            tracing::error!(worker = self.core.worker, "a handler of the worker panicked");
        }
    }

    fn panicked(&mut self, slot: u32) {
        self.core.stats.panics += 1;
        let id = self.core.links[slot].id(self.core.worker, slot);
        tracing::error!(?id, "a handler panicked; its connection is closed");
        if self.core.links[slot].phase == Phase::Kept {
            self.free(slot);
        } else {
            self.core.abort(slot, CloseReason::Panicked);
        }
    }

    /// Drops a connection's state and ends its id.
    fn free(&mut self, slot: u32) {
        if self.core.links[slot].phase == Phase::Kept {
            self.core.stats.kept -= 1;
        }
        self.core.release_slot(slot);
        let connection = self.connections[slot].take();
        if catch_unwind(AssertUnwindSafe(|| drop(connection))).is_err() {
            self.core.stats.panics += 1;
        }
    }

    /// Hands plaintext to the protocol, behind what it left over before.
    fn deliver(&mut self, slot: u32, bytes: &[u8]) {
        let link = &self.core.links[slot];
        // What comes behind a request for STARTTLS was not protected by it and is discarded
        // (RFC 6120 §5.4.3.3).
        if link.phase != Phase::Open || link.abort || link.starttls {
            return;
        }
        if link.paused || !link.held.is_empty() {
            self.hold(slot, bytes);
            return self.offer_held(slot);
        }
        let consumed =
            self.call(slot, |protocol, io, connection| protocol.bytes(io, connection, bytes));
        if let Some(rest) = consumed.and_then(|consumed| bytes.get(consumed..))
            && !rest.is_empty()
        {
            self.hold(slot, rest);
        }
    }

    fn hold(&mut self, slot: u32, rest: &[u8]) {
        let link = &mut self.core.links[slot];
        if link.phase != Phase::Open || link.starttls {
            return;
        }
        if link.held.len() + rest.len() > HELD_BYTES_MAX {
            self.core.stats.overflows += 1;
            return self.core.abort(slot, CloseReason::Overflow);
        }
        if link.held.capacity() == 0 {
            link.held = self.core.pool.take();
        }
        link.held.extend_from_slice(rest);
    }

    /// Offers what was held back, unless the protocol still wants nothing.
    fn offer_held(&mut self, slot: u32) {
        let link = &mut self.core.links[slot];
        if link.phase != Phase::Open || link.abort || link.paused || link.held.is_empty() {
            return;
        }
        let mut held = std::mem::take(&mut link.held);
        let consumed =
            self.call(slot, |protocol, io, connection| protocol.bytes(io, connection, &held));
        held.drain(..consumed.unwrap_or(0).min(held.len()));
        let link = &mut self.core.links[slot];
        if held.is_empty() || link.phase != Phase::Open || link.starttls {
            self.core.pool.give(held);
        } else {
            link.held = held;
        }
    }

    /// Acts on the peer's end once the protocol has had all that came before it.
    fn end_if_drained(&mut self, slot: u32) {
        let link = &self.core.links[slot];
        let held_back = link.paused && !link.held.is_empty();
        if link.ended && !held_back && link.phase == Phase::Open {
            self.core.close(slot, CloseReason::PeerClosed);
        }
    }

    fn deliver_mail(&mut self, to: ConnectionId, mail: P::Mail) {
        match self.core.find(to) {
            Some(slot) if self.core.links[slot].opened => {
                self.core.stats.mail += 1;
                self.call(slot, |protocol, io, connection| protocol.mail(io, connection, mail));
            }
            _ => {
                self.core.stats.undelivered += 1;
                self.call_worker(|protocol, io| protocol.undelivered(io, to, mail));
            }
        }
    }

    /// Delivers what handlers caused: local mail, held bytes, `writable`.
    fn settle(&mut self) {
        for _ in 0..LOCAL_MAIL_PER_TURN {
            if let Some((to, mail)) = self.core.local.pop_front() {
                self.deliver_mail(to, mail);
            } else if let Some(slot) = self.core.resumed.pop_front() {
                self.core.links[slot].resumed = false;
                self.pay_writable(slot);
                self.offer_held(slot);
                self.end_if_drained(slot);
            } else {
                break;
            }
        }
    }

    /// Calls `writable` if that is owed and due.
    fn pay_writable(&mut self, slot: u32) {
        let link = &mut self.core.links[slot];
        let due = link.owes_writable && link.pending_out() <= self.core.limits.output_low;
        if due && link.phase == Phase::Open {
            link.owes_writable = false;
            self.call(slot, |protocol, io, connection| protocol.writable(io, connection));
        }
    }

    /// How long the driver may wait in its next turn.
    pub(crate) fn wait(&mut self, gate_is_open: bool) -> Option<Duration> {
        let core = &self.core;
        if !(core.local.is_empty() && core.resumed.is_empty() && self.handshakes.is_empty()) {
            return Some(Duration::ZERO);
        }
        let timer = self.core.until_next_timer();
        let retry = !gate_is_open && !self.core.gate.is_shut();
        match timer {
            Some(timer) if retry => Some(timer.min(RETRY)),
            None if retry => Some(RETRY),
            timer => timer,
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.core.now
    }
}
