//! What is kept for one shard.

use std::collections::{BTreeSet, HashSet};
use std::time::Instant;

use super::super::outgoing::Outgoing;
use super::super::session::Local;
use super::super::{ENTRY_BYTES, backoff};
use crate::frame::{Entry, Epoch, Incarnation, Item, Sends, Shard, Tenure};

/// The FIFO of one shard, and where it goes.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) epoch: Epoch,
    /// Nobody before the first assignment.
    pub(super) owner: Incarnation,
    pub(super) out: Outgoing<Pending>,
    pub(super) bytes: usize,
    /// Sessions refused because of this shard's bound.
    pub(super) waiting: HashSet<Local>,
    /// On the list of its owner.
    pub(super) queued: bool,
    /// Everything may be received, and yet something is not accepted: ask again.
    pub(super) asks: bool,
    timer: Option<Instant>,
    /// Timeouts since the last progress.
    attempts: u32,
}

/// An entry that is not accepted.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) item: Item,
    pub(super) session: Option<Local>,
    /// Its number in the session.
    pub(super) ordinal: u64,
    pub(super) bytes: usize,
}

impl Lane {
    pub(super) fn unassigned() -> Lane {
        Lane {
            epoch: Epoch::default(),
            owner: Incarnation::default(),
            out: Outgoing::starting_at(1),
            bytes: 0,
            waiting: HashSet::new(),
            queued: false,
            asks: false,
            timer: None,
            attempts: 0,
        }
    }

    /// Another owner, if the epoch is news.
    pub(super) fn assign(&mut self, epoch: Epoch, owner: Incarnation) -> bool {
        if epoch <= self.epoch {
            return false;
        }
        (self.epoch, self.owner) = (epoch, owner);
        self.out.restart();
        (self.queued, self.attempts) = (false, 0);
        self.asks = !self.out.is_empty();
        true
    }

    pub(super) fn push(&mut self, pending: Pending) {
        self.bytes += pending.bytes;
        self.out.push(pending);
    }

    pub(super) fn has_something(&self) -> bool {
        self.asks || self.out.has_unsent()
    }

    /// A run of entries from the cursor on, as much as there is room for; at least one.
    pub(super) fn transmit(&mut self, shard: Shard, room: &mut usize) -> Option<Sends> {
        if !self.has_something() {
            return None;
        }
        self.asks = false;
        let tenure = Tenure { shard, epoch: self.epoch };
        let (floor, first) = (self.out.floor(), self.out.cursor());
        let mut entries = Vec::new();
        while *room > 0
            && let Some(pending) = self.out.advance()
        {
            match (pending, entries.last_mut()) {
                (Some(pending), _) => {
                    *room = room.saturating_sub(pending.bytes);
                    entries.push(Entry::Item(pending.item.clone()));
                }
                (None, Some(Entry::Gap(count))) => *count += 1,
                (None, _) => {
                    *room = room.saturating_sub(ENTRY_BYTES);
                    entries.push(Entry::Gap(1));
                }
            }
        }
        Some(Sends { tenure, floor, first, entries })
    }

    /// Something was received or accepted: whoever answers is not to be hurried.
    pub(super) fn progress(
        &mut self,
        now: Instant,
        shard: Shard,
        timers: &mut BTreeSet<(Instant, Shard)>,
    ) {
        self.attempts = 0;
        if self.timer.is_some() {
            self.disarm(shard, timers);
            self.arm(now, shard, timers);
        }
    }

    /// An answer is due, unless everything is accepted.
    pub(super) fn arm(
        &mut self,
        now: Instant,
        shard: Shard,
        timers: &mut BTreeSet<(Instant, Shard)>,
    ) {
        if self.timer.is_none() && !self.out.is_empty() {
            let when = now + backoff(self.attempts);
            self.timer = Some(when);
            timers.insert((when, shard));
        }
    }

    pub(super) fn disarm(&mut self, shard: Shard, timers: &mut BTreeSet<(Instant, Shard)>) {
        if let Some(when) = self.timer.take() {
            timers.remove(&(when, shard));
        }
    }

    /// Nothing was heard: from the first unreceived again, or only a question.
    pub(super) fn handle_timeout(&mut self) {
        self.timer = None;
        self.attempts = self.attempts.saturating_add(1);
        if self.out.has_unreceived() {
            self.out.rewind();
        }
        self.asks = !self.out.is_empty();
    }

    pub(super) fn unaccepted(&self) -> impl Iterator<Item = (u64, &Item)> {
        self.out.iter_open().map(|(number, pending)| (number, &pending.item))
    }
}
