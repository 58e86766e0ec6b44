//! What happens to a connection, whatever driver moves its bytes: the [`Sink`] of a worker's
//! driver on one side, the caller of its [`Protocol`] on the other.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::address::Origin;
use crate::admission::RETRY;
use crate::clock;
use crate::core::Core;
use crate::driver::{Driver, Sending, Sink, Socket};
use crate::io::{Io, WorkerIo};
use crate::link::Phase;
use crate::mail::Envelope;
use crate::pages::Pages;
use crate::protocol::{CloseReason, ConnectionId, Fate, Peer, Protocol};

/// Local mail delivered in a row; the rest waits for the next turn, so that two connections that
/// write to each other do not keep the others from the loop.
const LOCAL_MAIL_PER_TURN: usize = 4096;

/// Unconsumed bytes kept for a connection: what one turn of either driver can bring. More of
/// them closes it.
const HELD_BYTES_MAX: usize = 256 * 1024;

/// A worker's connections and the protocol they speak.
pub(crate) struct Engine<P: Protocol> {
    pub(crate) protocol: P,
    pub(crate) core: Core<P::Mail>,
    connections: Pages<Option<P::Connection>>,
    /// Bound addresses, by listener.
    addresses: Vec<SocketAddr>,
    envelopes: VecDeque<Envelope<P::Mail>>,
    due: Vec<u32>,
    shutting_down: bool,
}

impl<P: Protocol> Engine<P> {
    pub(crate) fn new(protocol: P, core: Core<P::Mail>, addresses: Vec<SocketAddr>) -> Engine<P> {
        Engine {
            protocol,
            core,
            connections: Pages::new(),
            addresses,
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

    fn open(&mut self, slot: u32, peer: &Peer) {
        let mut io = Io::new(&mut self.core, slot);
        let protocol = &mut self.protocol;
        match catch_unwind(AssertUnwindSafe(|| protocol.open(&mut io, peer))) {
            Ok(Some(connection)) => {
                self.connections.reach(slot);
                self.connections[slot] = Some(connection);
                self.core.links[slot].opened = true;
            }
            Ok(None) => {
                self.core.stats.refused_protocol += 1;
                self.core.close(slot, CloseReason::Closed);
            }
            Err(_) => self.panicked(slot),
        }
    }

    /// Hands plaintext to the protocol, behind what it left over before.
    fn deliver(&mut self, slot: u32, bytes: &[u8]) {
        let link = &self.core.links[slot];
        if link.phase != Phase::Open || link.abort {
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
        if link.phase != Phase::Open {
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
        if held.is_empty() || link.phase != Phase::Open {
            self.core.pool.give(held);
        } else {
            link.held = held;
        }
    }

    /// Acts on the peer's end once the protocol has had all that came before it.
    fn end_if_drained(&mut self, slot: u32) {
        let link = &self.core.links[slot];
        let held_back = link.paused && !link.held.is_empty();
        if link.ended && !held_back {
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
        if !self.core.local.is_empty() || !self.core.resumed.is_empty() {
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
            if link.phase == Phase::Open && link.opened {
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
        let link = &mut self.core.links[slot];
        if link.phase == Phase::Flushing && link.pending_out() == 0 {
            if link.ended {
                return self.finish(slot, driver);
            }
            driver.shut(link.socket);
            link.phase = Phase::Lingering;
        }
        // A closing connection reads on, to see the peer's end.
        let pause = link.paused && link.phase == Phase::Open;
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

    fn send_out(&mut self, slot: u32, driver: &mut impl Driver) {
        let link = &mut self.core.links[slot];
        if link.sending != 0 || link.out.is_empty() || link.abort {
            return;
        }
        let buffer = std::mem::take(&mut link.out);
        let bytes = buffer.len();
        self.core.stats.sends += 1;
        self.core.stats.bytes_out += bytes as u64;
        match driver.send(link.socket, buffer) {
            Sending::Done(buffer) => {
                self.core.pool.give(buffer);
                if link.owes_writable {
                    self.core.mark_resumed(slot);
                }
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

    pub(crate) fn now(&self) -> Instant {
        self.core.now
    }
}

impl<P: Protocol> Sink for Engine<P> {
    fn woke(&mut self) {
        self.core.now = clock::now();
        self.core.mailbox.letterboxes[usize::from(self.core.worker)].awake();
    }

    fn accepted(&mut self, listener: u16, peer: SocketAddr, socket: Socket) -> Option<u32> {
        self.core.gate.accepted();
        self.core.stats.accepted += 1;
        let origin = Origin::from(peer.ip());
        if !self.core.gate.house.enter(origin) {
            self.core.stats.refused_address += 1;
            return None;
        }
        let Some(slot) = self.core.take_slot() else {
            self.core.gate.house.leave(origin);
            self.core.stats.refused_slots += 1;
            return None;
        };
        self.core.stats.connections += 1;
        let link = &mut self.core.links[slot];
        link.phase = Phase::Open;
        link.socket = socket;
        link.origin = origin;
        let local = self.addresses[usize::from(listener)];
        self.open(slot, &Peer { address: peer, local, listener, proxied: false });
        self.settle();
        Some(slot)
    }

    fn accept_failed(&mut self, error: &io::Error) {
        self.core.stats.accept_errors += 1;
        tracing::warn!(worker = self.core.worker, %error, "accepting failed; pausing");
        self.core.gate.failed(self.core.now);
    }

    fn received(&mut self, slot: u32, bytes: &mut [u8]) {
        self.core.stats.bytes_in += bytes.len() as u64;
        self.deliver(slot, bytes);
        self.settle();
    }

    fn ended(&mut self, slot: u32) {
        let link = &mut self.core.links[slot];
        link.ended = true;
        match link.phase {
            Phase::Open => self.end_if_drained(slot),
            Phase::Lingering => self.core.abort(slot, CloseReason::Closed),
            Phase::Free | Phase::Flushing | Phase::Kept => {}
        }
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
        let link = &self.core.links[slot];
        if !link.out.is_empty() || link.phase == Phase::Flushing {
            self.core.mark_dirty(slot);
        }
    }

    fn failed(&mut self, slot: u32) {
        self.core.abort(slot, CloseReason::Reset);
    }
}
