//! The completion driver: io_uring with direct descriptors.
//!
//! Accepted sockets live in tables of their rings and take no place in the process's descriptor
//! table. A table holds at most as many as the soft `nofile` limit, so a worker opens another ring
//! when the tables are full; it waits on the first, the hub, which polls the bells of the others.
//!
//! [`ring`] is one ring with its buffers and the only place that talks to the kernel,
//! [`sockets`] what is known of each socket, this file what is done when.

mod buffers;
mod ring;
mod sockets;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ring::{Completion, Op, Ring};
use sockets::{Receiving, Sockets};

use crate::clock;
use crate::config::UringConfig;
use crate::doorbell::Doorbell;

use super::{Driver, InUse, ListenSocket, Sending, Sink, Socket};

/// Accepts under way per listening socket: what a turn can bring, so that a flood of connections
/// does not keep established ones waiting.
const ACCEPTS_PER_TURN: usize = 16;

/// Bits of a [`Socket`] that number it within its ring; the rest number the ring.
const SLOT_BITS: u32 = 24;

/// In how many steps per idle time ([`UringConfig::idle`]) all sockets are looked through for
/// silent ones.
const IDLE_STEPS: u32 = 60;

/// Turns that [`Driver::finish`] waits for the kernel to let go of buffers.
const FINISH_TURNS: usize = 100;

/// Rings of a worker that a [`Socket`] can number.
const RINGS_MAX: usize = 1 << (u32::BITS - SLOT_BITS);

/// One worker's rings.
pub(crate) struct Uring {
    rings: Vec<RingSockets>,
    /// The ring that accepts connections, until its table is full.
    accepting: usize,
    /// How many rings there may be. Lowered when the kernel gives no more.
    rings_max: usize,
    config: UringConfig,
    doorbell: Arc<Doorbell>,
    completions: Vec<Completion>,
    /// Connections that may be under way to being accepted, all rings together.
    places: usize,
    clock: IdleClock,
}

struct RingSockets {
    ring: Ring,
    sockets: Sockets,
}

impl RingSockets {
    fn new(config: &UringConfig) -> io::Result<RingSockets> {
        let ring = Ring::new(config)?;
        let sockets = Sockets::new(ring.slots());
        Ok(RingSockets { ring, sockets })
    }
}

/// Counts the steps in which silent sockets are looked for.
struct IdleClock {
    step: u32,
    every: Duration,
    next: Instant,
}

impl Uring {
    /// Sets everything up; any error means that io_uring cannot be used here.
    pub(crate) fn new(config: &UringConfig, doorbell: Arc<Doorbell>) -> io::Result<Uring> {
        let mut hub = RingSockets::new(config)?;
        hub.ring.watch_doorbell(Op::Doorbell, 0, &doorbell)?;
        let every = config.idle / IDLE_STEPS;
        Ok(Uring {
            rings: vec![hub],
            accepting: 0,
            rings_max: usize::from(config.rings_max).clamp(1, RINGS_MAX),
            config: config.clone(),
            doorbell,
            completions: Vec::new(),
            places: 0,
            clock: IdleClock { step: 0, every, next: clock::now() + every },
        })
    }

    /// Sets the listening sockets; all rings accept from the same.
    pub(crate) fn listen(&mut self, listeners: Vec<ListenSocket>) -> io::Result<()> {
        for listener in listeners {
            self.rings[0].ring.listen(listener)?;
        }
        Ok(())
    }

    /// Arms as many accepts as there are places, and takes back those that are too many.
    fn arm_accepts(&mut self) -> io::Result<()> {
        if self.places > 0 && self.rings[self.accepting].sockets.room() == 0 {
            self.accept_elsewhere()?;
        }
        let RingSockets { ring, sockets } = &mut self.rings[self.accepting];
        let count = ring.listeners();
        if count == 0 {
            return Ok(());
        }
        let share = (self.places / count).clamp(usize::from(self.places > 0), ACCEPTS_PER_TURN);
        let mut left = self.places.min(sockets.room());
        for listener in 0..count {
            let wanted = share.min(left);
            ring.keep_accepts(listener, wanted)?;
            left -= wanted;
        }
        Ok(())
    }

    /// The table of the accepting ring is full: another ring takes over, a new one if need be. If
    /// there is none, clients wait in the backlog until a socket is closed.
    fn accept_elsewhere(&mut self) -> io::Result<()> {
        let count = self.rings.len();
        let others = (1..count).map(|step| (self.accepting + step) % count);
        let with_room = others.into_iter().find(|other| self.rings[*other].sockets.room() > 0);
        let Some(next) = with_room.or_else(|| self.open_ring()) else { return Ok(()) };
        let full = &mut self.rings[self.accepting].ring;
        for listener in 0..full.listeners() {
            full.keep_accepts(listener, 0)?;
        }
        self.accepting = next;
        Ok(())
    }

    /// Opens one more ring, if there may be one; says where it is.
    fn open_ring(&mut self) -> Option<usize> {
        let index = self.rings.len();
        if index >= self.rings_max {
            return None;
        }
        match self.try_open_ring(index) {
            Ok(()) => {
                tracing::info!(rings = index + 1, "the tables of io_uring are full: one more ring");
                Some(index)
            }
            Err(error) => {
                self.rings_max = index;
                tracing::warn!(
                    rings = index, %error,
                    "no further io_uring; more connections wait until others are closed"
                );
                None
            }
        }
    }

    fn try_open_ring(&mut self, index: usize) -> io::Result<()> {
        let mut new = RingSockets::new(&self.config)?;
        let hub = &mut self.rings[0].ring;
        new.ring.share_listeners(hub);
        new.ring.ring_bell()?;
        hub.watch_doorbell(Op::Ring, index as u32, &new.ring.bell)?;
        self.rings.push(new);
        Ok(())
    }

    /// Submits what is queued, waits on the hub, and collects what is done.
    fn enter(&mut self, wait: Option<Duration>) -> io::Result<()> {
        let (hub, others) = self.rings.split_first_mut().expect("one at least");
        let mut busy = false;
        for other in others.iter_mut() {
            other.ring.submit()?;
            busy |= other.ring.is_busy();
        }
        // Sockets grow idle without anything happening, but they need looking after.
        let all = || others.iter().chain([&*hub]);
        let wait = if busy {
            Some(Duration::ZERO)
        } else if all().any(|ring| ring.sockets.receiving() > 0) {
            Some(wait.map_or(self.clock.every, |wait| wait.min(self.clock.every)))
        } else {
            wait
        };
        hub.ring.submit_and_wait(wait)?;
        for other in others {
            // Deferred work of a ring runs when somebody asks for it.
            other.ring.submit()?;
        }
        Ok(())
    }

    fn complete(&mut self, index: usize, completion: Completion, sink: &mut impl Sink) {
        let RingSockets { ring, sockets } = &mut self.rings[index];
        let slot = completion.slot;
        match completion.op {
            Op::Accept => self.accepted(index, completion, sink),
            Op::Receive => self.received(index, completion, sink),
            Op::Poll => {
                if sockets.is_current(slot, completion.generation) {
                    sockets[slot].receiving = Receiving::No;
                    receive_again(ring, sockets, slot);
                }
            }
            Op::Send => self.sent(index, completion, sink),
            Op::Shut => was_shut(ring, sockets, &completion),
            Op::Close => sockets.closed(),
            Op::Cancel => {}
            Op::Doorbell => {
                self.doorbell.silence();
                if !completion.more {
                    ring.poll_doorbell(Op::Doorbell, 0, &self.doorbell);
                }
            }
            Op::Ring => {
                let (hub, others) = self.rings.split_first_mut().expect("one at least");
                if let Some(other) = others.get((slot as usize).wrapping_sub(1)) {
                    other.ring.bell.silence();
                    if !completion.more {
                        hub.ring.poll_doorbell(Op::Ring, slot, &other.ring.bell);
                    }
                }
            }
        }
    }

    fn accepted(&mut self, index: usize, completion: Completion, sink: &mut impl Sink) {
        let RingSockets { ring, sockets } = &mut self.rings[index];
        let place = ring.take_accept(completion.slot);
        let slot = match completion.result {
            Ok(slot) => slot,
            Err(error) => {
                match error.raw_os_error() {
                    // We took it back, or the client gave up while it waited.
                    Some(libc::ECANCELED | libc::ECONNABORTED | libc::EINTR | libc::EAGAIN) => {}
                    _ => {
                        self.places = 0;
                        sink.accept_failed(&error);
                    }
                }
                return;
            }
        };
        self.places = self.places.saturating_sub(1);
        sockets.opened(slot);
        let socket = Socket((index as u32) << SLOT_BITS | slot);
        let admitted = place.and_then(|(listener, peer)| sink.accepted(listener, peer, socket));
        let RingSockets { ring, sockets } = &mut self.rings[index];
        match admitted {
            Some(owner) => {
                sockets[slot].owner = owner;
                receive_again(ring, sockets, slot);
            }
            None => close(ring, sockets, slot),
        }
    }

    fn received(&mut self, index: usize, completion: Completion, sink: &mut impl Sink) {
        let RingSockets { ring, sockets } = &mut self.rings[index];
        let slot = completion.slot;
        let current = sockets.is_current(slot, completion.generation);
        if current && !completion.more {
            sockets[slot].receiving = Receiving::No;
            sockets.stopped_receiving();
        }
        match completion.result {
            Ok(count) if count > 0 => {
                // Taken even for a socket that is gone: the buffer goes back to the kernel.
                let bytes = ring.received(&completion, count as usize);
                let go_on = !current || sink.received(sockets[slot].owner, bytes);
                ring.give_back(&completion, count as usize);
                if current {
                    sockets[slot].silent_steps = 0;
                }
                if !go_on {
                    pause(ring, sockets, slot);
                }
            }
            Ok(_) if current => {
                sockets[slot].ended = true;
                sink.ended(sockets[slot].owner);
            }
            Err(error) if current => match error.raw_os_error() {
                // Paused or demoted; or all buffers were full, and they are not any more.
                Some(libc::ECANCELED | libc::ENOBUFS | libc::EINTR | libc::EAGAIN) => {}
                _ => {
                    sockets[slot].ended = true;
                    sink.failed(sockets[slot].owner);
                }
            },
            _ => {}
        }
        if current {
            receive_again(ring, sockets, slot);
        }
    }

    fn sent(&mut self, index: usize, completion: Completion, sink: &mut impl Sink) {
        let RingSockets { ring, sockets } = &mut self.rings[index];
        let slot = completion.slot;
        let Some(mut unsent) = sockets.take_sending(slot) else { return };
        if !sockets.is_current(slot, completion.generation) {
            // It was closed meanwhile; only the buffer had to wait for the kernel.
            return let_go(ring, sockets, slot);
        }
        match completion.result {
            Ok(count) => {
                unsent.from += count as usize;
                let owner = sockets[slot].owner;
                if unsent.from >= unsent.buffer.len() {
                    return sink.sent(owner, unsent.buffer);
                }
                sink.progressed(owner);
                send(ring, sockets, slot, unsent);
            }
            Err(error) if error.raw_os_error() == Some(libc::EINTR) => {
                send(ring, sockets, slot, unsent);
            }
            Err(_) => sink.failed(sockets[slot].owner),
        }
    }

    /// Once in a while looks for sockets that have been silent, a part of them each time.
    fn demote_idle(&mut self) {
        let now = clock::now();
        if now < self.clock.next {
            return;
        }
        self.clock.next = now + self.clock.every;
        self.clock.step = (self.clock.step + 1) % IDLE_STEPS;
        for RingSockets { ring, sockets } in &mut self.rings {
            for slot in (self.clock.step..sockets.used()).step_by(IDLE_STEPS as usize) {
                let socket = &mut sockets[slot];
                if socket.receiving != Receiving::Yes {
                    continue;
                }
                // Each socket is seen once per idle time; at the second sight it has been one.
                socket.silent_steps = socket.silent_steps.saturating_add(1);
                if socket.silent_steps > 1 {
                    socket.receiving = Receiving::Stopping;
                    socket.idle = true;
                    ring.cancel(Op::Receive, slot, socket.generation);
                }
            }
        }
    }

    fn at(&mut self, Socket(number): Socket) -> (&mut Ring, &mut Sockets, u32) {
        let RingSockets { ring, sockets } = &mut self.rings[(number >> SLOT_BITS) as usize];
        (ring, sockets, number & ((1 << SLOT_BITS) - 1))
    }
}

/// Arms what a socket needs to hear from its peer, unless it has it or must not.
fn receive_again(ring: &mut Ring, sockets: &mut Sockets, slot: u32) {
    let socket = &mut sockets[slot];
    if socket.receiving != Receiving::No || socket.paused || socket.ended {
        return;
    }
    if std::mem::take(&mut socket.idle) {
        socket.receiving = Receiving::Polling;
        return ring.poll(slot, socket.generation);
    }
    socket.receiving = Receiving::Yes;
    socket.silent_steps = 0;
    ring.receive(slot, socket.generation);
    sockets.started_receiving();
}

fn pause(ring: &mut Ring, sockets: &mut Sockets, slot: u32) {
    let socket = &mut sockets[slot];
    socket.paused = true;
    if socket.receiving == Receiving::Yes {
        socket.receiving = Receiving::Stopping;
        ring.cancel(Op::Receive, slot, socket.generation);
    }
}

fn send(ring: &mut Ring, sockets: &mut Sockets, slot: u32, unsent: sockets::Unsent) {
    let generation = sockets[slot].generation;
    let unsent = sockets.put_sending(slot, unsent);
    // SAFETY: the buffer stays where it is, in `sockets`, until the completion of this request
    // takes it out; `Sockets` leaks what is under way when it is dropped.
    unsafe { ring.send(slot, generation, &unsent.buffer[unsent.from..]) };
}

/// Ends a socket: nothing is reported for it from here on.
fn close(ring: &mut Ring, sockets: &mut Sockets, slot: u32) {
    let socket = &sockets[slot];
    let generation = socket.generation;
    // A close does not stop requests that are under way, and they keep the socket open.
    match socket.receiving {
        Receiving::Yes => {
            ring.cancel(Op::Receive, slot, generation);
            sockets.stopped_receiving();
        }
        Receiving::Stopping => sockets.stopped_receiving(),
        Receiving::Polling => ring.cancel(Op::Poll, slot, generation),
        Receiving::No => {}
    }
    sockets.retire(slot);
    if sockets.is_sending(slot) {
        // The buffer is the kernel's until the send is over, and so is the place in the table.
        ring.cancel(Op::Send, slot, generation);
    }
    let_go(ring, sockets, slot);
}

fn was_shut(ring: &mut Ring, sockets: &mut Sockets, completion: &Completion) {
    sockets.was_shut(completion.slot);
    if !sockets.is_current(completion.slot, completion.generation) {
        let_go(ring, sockets, completion.slot);
    }
}

/// Empties the place of a socket that was closed, once nothing under way needs it.
fn let_go(ring: &mut Ring, sockets: &Sockets, slot: u32) {
    if !sockets.is_held(slot) {
        ring.close(slot);
    }
}

impl Driver for Uring {
    fn turn(&mut self, wait: Option<Duration>, sink: &mut impl Sink) -> io::Result<()> {
        self.arm_accepts()?;
        self.enter(wait)?;
        sink.woke();
        for index in 0..self.rings.len() {
            let mut completions = std::mem::take(&mut self.completions);
            self.rings[index].ring.collect(&mut completions);
            for completion in completions.drain(..) {
                self.complete(index, completion, sink);
            }
            self.completions = completions;
        }
        self.demote_idle();
        Ok(())
    }

    fn accept(&mut self, places: usize) {
        self.places = places;
    }

    fn send(&mut self, socket: Socket, buffer: Vec<u8>) -> Sending {
        let (ring, sockets, slot) = self.at(socket);
        send(ring, sockets, slot, sockets::Unsent { buffer, from: 0 });
        Sending::Pending
    }

    fn pause(&mut self, socket: Socket) {
        let (ring, sockets, slot) = self.at(socket);
        pause(ring, sockets, slot);
    }

    fn resume(&mut self, socket: Socket) {
        let (ring, sockets, slot) = self.at(socket);
        sockets[slot].paused = false;
        receive_again(ring, sockets, slot);
    }

    fn shut(&mut self, socket: Socket) {
        let (ring, sockets, slot) = self.at(socket);
        ring.shut(slot, sockets[slot].generation);
        sockets.shut(slot);
    }

    fn close(&mut self, socket: Socket) {
        let (ring, sockets, slot) = self.at(socket);
        close(ring, sockets, slot);
    }

    fn in_use(&self) -> InUse {
        let all = self.rings.iter().map(|ring| ring.sockets.in_use());
        all.fold(InUse::default(), |sum, ring| InUse {
            sockets: sum.sockets + ring.sockets,
            sends: sum.sends + ring.sends,
        })
    }

    fn finish(&mut self) {
        for _ in 0..FINISH_TURNS {
            let busy = self.rings.iter().any(|ring| ring.sockets.is_busy());
            if !busy || self.enter(Some(Duration::from_millis(10))).is_err() {
                return;
            }
            for RingSockets { ring, sockets } in &mut self.rings {
                let mut completions = Vec::new();
                ring.collect(&mut completions);
                for completion in completions {
                    match completion.op {
                        Op::Send if sockets.take_sending(completion.slot).is_some() => {
                            let_go(ring, sockets, completion.slot);
                        }
                        Op::Shut => was_shut(ring, sockets, &completion),
                        Op::Close => sockets.closed(),
                        _ => {}
                    }
                }
            }
        }
    }
}
