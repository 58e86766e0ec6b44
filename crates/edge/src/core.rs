//! What a worker owns besides the protocol and its connections' states: the part that handlers
//! reach through [`Io`](crate::Io).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::admission::Gate;
use crate::clock;
use crate::config::Limits;
use crate::driver::InUse;
use crate::link::{Link, Phase};
use crate::mail::Mailbox;
use crate::pages::Pages;
use crate::pool::Pool;
use crate::protocol::{CloseReason, ConnectionId, GENERATIONS};
use crate::stats::WorkerStats;
use crate::timers::{TICK_MILLIS, Tick, Timers};

pub(crate) struct Core<M> {
    pub(crate) worker: u16,
    pub(crate) now: Instant,
    began: Instant,
    pub(crate) links: Pages<Link>,
    free: Vec<u32>,
    slots: u32,
    /// Slots to flush at the end of the turn.
    pub(crate) dirty: Vec<u32>,
    /// Slots that are owed held bytes or `writable`.
    pub(crate) resumed: VecDeque<u32>,
    /// Mail from this worker to itself.
    pub(crate) local: VecDeque<(ConnectionId, M)>,
    pub(crate) mailbox: Mailbox<M>,
    pub(crate) timers: Timers,
    pub(crate) pool: Pool,
    pub(crate) gate: Gate,
    pub(crate) limits: Limits,
    pub(crate) stats: WorkerStats,
    /// Takes what is written to a connection without a socket; emptied each time.
    pub(crate) dropped: Vec<u8>,
}

impl<M: Send> Core<M> {
    pub(crate) fn new(worker: u16, mailbox: Mailbox<M>, gate: Gate, limits: Limits) -> Core<M> {
        let now = clock::now();
        Core {
            worker,
            now,
            began: now,
            links: Pages::new(),
            free: Vec::new(),
            slots: 0,
            dirty: Vec::new(),
            resumed: VecDeque::new(),
            local: VecDeque::new(),
            mailbox,
            timers: Timers::new(),
            pool: Pool::default(),
            gate,
            limits,
            stats: WorkerStats::default(),
            dropped: Vec::new(),
        }
    }

    /// A free slot, or `None` if this worker has all that its limits allow.
    pub(crate) fn take_slot(&mut self) -> Option<u32> {
        if let Some(slot) = self.free.pop() {
            return Some(slot);
        }
        let most = self.limits.connections_max.saturating_add(self.limits.kept_max);
        if self.slots as usize >= most.min(u32::MAX as usize - 1) {
            return None;
        }
        let slot = self.slots;
        self.slots += 1;
        self.links.reach(slot);
        Some(slot)
    }

    /// Ends the slot's present life: ids of it are dead from here on.
    pub(crate) fn release_slot(&mut self, slot: u32) {
        let link = &mut self.links[slot];
        let fresh = Link {
            generation: (link.generation + 1) % GENERATIONS,
            dirty: link.dirty,
            resumed: link.resumed,
            ..Link::default()
        };
        let old = std::mem::replace(link, fresh);
        self.pool.give(old.out);
        self.pool.give(old.held);
        self.timers.disarm(slot);
        self.free.push(slot);
    }

    /// Notes for the counters what is in use at the end of a turn.
    pub(crate) fn count_in_use(&mut self, driver: InUse) {
        self.stats.slots = u64::from(self.slots) - self.free.len() as u64;
        self.stats.timers = u64::from(self.timers.set());
        (self.stats.sockets, self.stats.sending) = (driver.sockets, driver.sends);
    }

    /// All slots that were ever used.
    pub(crate) fn slots(&self) -> u32 {
        self.slots
    }

    /// The slot of a live connection.
    pub(crate) fn find(&self, id: ConnectionId) -> Option<u32> {
        let link = self.links.get(id.slot)?;
        let alive = link.generation == id.generation && link.phase != Phase::Free;
        (alive && id.worker == self.worker).then_some(id.slot)
    }

    /// Remembers that a slot is owed its held bytes or `writable`.
    pub(crate) fn mark_resumed(&mut self, slot: u32) {
        let link = &mut self.links[slot];
        if !link.resumed {
            link.resumed = true;
            self.resumed.push_back(slot);
        }
    }

    /// Puts a slot on the list of those to flush.
    pub(crate) fn mark_dirty(&mut self, slot: u32) {
        let link = &mut self.links[slot];
        if !link.dirty {
            link.dirty = true;
            self.dirty.push(slot);
        }
    }

    /// Begins to close: what is written still leaves, then the socket goes for `reason`.
    pub(crate) fn close(&mut self, slot: u32, reason: CloseReason) {
        let link = &mut self.links[slot];
        if matches!(link.phase, Phase::Proxy | Phase::Handshake | Phase::Open) {
            link.phase = Phase::Flushing;
            link.reason.get_or_insert(reason);
            self.set_deadline(slot, self.limits.linger);
            self.mark_dirty(slot);
        }
    }

    /// Cuts the socket off at the end of the turn.
    pub(crate) fn abort(&mut self, slot: u32, reason: CloseReason) {
        let link = &mut self.links[slot];
        if link.has_socket() && !link.abort {
            link.abort = true;
            link.reason.get_or_insert(reason);
            self.mark_dirty(slot);
        }
    }

    pub(crate) fn tick(&self, at: Instant) -> Tick {
        let passed = at.saturating_duration_since(self.began).as_millis();
        // Upwards, so that nothing fires early; 0 is taken by "none".
        u64::try_from(passed).unwrap_or(u64::MAX) / TICK_MILLIS + 1
    }

    /// The tick that has fully passed.
    pub(crate) fn tick_now(&self) -> Tick {
        self.tick(self.now) - 1
    }

    /// How long the driver may wait, so that the next timer is not late.
    pub(crate) fn until_next_timer(&self) -> Option<Duration> {
        let at = self.began + Duration::from_millis(self.timers.next()? * TICK_MILLIS);
        Some(at.saturating_duration_since(self.now))
    }

    pub(crate) fn set_timer(&mut self, slot: u32, at: Option<Instant>) {
        let tick = at.map_or(0, |at| self.tick(at));
        self.links[slot].timer = tick;
        if tick != 0 {
            self.timers.arm(slot, tick);
        }
    }

    pub(crate) fn set_deadline(&mut self, slot: u32, after: Duration) {
        let tick = self.tick(self.now + after);
        self.links[slot].deadline = tick;
        self.timers.arm(slot, tick);
    }

    /// Takes mail for connections of this worker, all of it unless the queue gets full.
    pub(crate) fn send_local(&mut self, mail: &mut VecDeque<(ConnectionId, M)>) {
        if self.local.is_empty() && mail.len() <= self.limits.local_mail_max {
            return std::mem::swap(&mut self.local, mail);
        }
        let places = self.limits.local_mail_max.saturating_sub(self.local.len());
        self.local.extend(mail.drain(..places.min(mail.len())));
    }

    pub(crate) fn send(&mut self, to: ConnectionId, mail: M) -> Result<(), M> {
        if to.worker != self.worker {
            return self.mailbox.send(to, mail);
        }
        if self.local.len() >= self.limits.local_mail_max {
            return Err(mail);
        }
        self.local.push_back((to, mail));
        Ok(())
    }
}
