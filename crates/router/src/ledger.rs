//! Deliveries that wait for an acknowledgement, and who waits for them (promise P1).

use jackdaw_jid::BareJid;
use jackdaw_session::{Address, SessionId};
use jackdaw_stanza::{Settle, Stanza};
use parking_lot::Mutex;

use crate::record::Claim;

/// Names an inbound stanza of a stream under stream management: its `h` waits for it.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// The sender's stream.
    pub address: Address,
    /// The stanza's number in that stream.
    pub number: u32,
    /// What the record of the sender's session says when the stanza is accepted.
    pub claim: Option<Claim>,
}

/// State of the spool row of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// Not written, and perhaps never.
    None,
    /// In the group committer's hands.
    Writing,
    /// Durable.
    Written,
}

/// One message under way to sessions that will confirm it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The recipient.
    pub account: BareJid,
    /// What was sent, as it was sent. None once it is in the store.
    pub stanza: Option<Stanza>,
    /// Who waits, until told.
    pub receipt: Option<Receipt>,
    /// Sessions that have not confirmed it.
    pub waiting: u32,
    /// Some session has it: confirmed it, or is of those that confirm nothing.
    pub is_taken: bool,
    /// Every session gave it up while its row was being written: it is on its way into the spool.
    pub is_returned: bool,
    /// Its place in the account's spool, also while there is no row: its order among the others.
    pub position: u64,
    /// Its spool row.
    pub row: Row,
    /// The sessions on record that it is for, and its numbers there.
    pub numbers: Vec<(SessionId, u32)>,
}

impl Entry {
    /// So many sessions do not confirm it. Says whether the entry stays open: for others, or for
    /// its row, which `returned` hears of if nobody has it.
    pub fn give_up(&mut self, sessions: u32, returned: impl FnOnce(&BareJid)) -> bool {
        self.waiting = self.waiting.saturating_sub(sessions);
        let is_writing = self.row == Row::Writing;
        if self.waiting == 0 && is_writing && !self.is_taken {
            self.is_returned = true;
            returned(&self.account);
        }
        self.waiting > 0 || is_writing
    }
}

/// What is left when a session has given up a delivery.
#[derive(Debug)]
pub enum Abandoned {
    /// Others may still confirm it, or its row is being written and decides.
    Open,
    /// Some session has it: it is settled.
    Taken(Entry),
    /// Nobody has it.
    Lost(Entry),
}

/// Enough that workers seldom meet in one.
const SHARDS: usize = 64;

/// Slots of a shard: what is left of the index bits. The highest bit of a token is
/// [`Settle::is_held`]'s. 2^25 messages under way in one shard are more
/// than memory holds; every session's queue is bounded long before.
const INDEX_BITS: u32 = 25;

#[derive(Default)]
struct Shard {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

#[derive(Default)]
struct Slot {
    generation: u32,
    entry: Option<Entry>,
}

/// Every open entry, by the token that travels with its deliveries.
pub struct Ledger {
    shards: Vec<Mutex<Shard>>,
    next: std::sync::atomic::AtomicUsize,
}

impl Default for Ledger {
    fn default() -> Ledger {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Ledger { shards, next: std::sync::atomic::AtomicUsize::new(0) }
    }
}

fn parts(settle: Settle) -> (usize, usize, u32) {
    let settle = settle.released();
    let shard = (settle.0 >> (INDEX_BITS + 32)) as usize;
    let index = (settle.0 >> 32) as usize & ((1 << INDEX_BITS) - 1);
    (shard, index, settle.0 as u32)
}

impl Ledger {
    /// Opens an entry; the token names it until it is closed.
    pub fn open(&self, entry: Entry) -> Settle {
        let at = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % SHARDS;
        let mut shard = self.shards[at].lock();
        let index = shard.free.pop().unwrap_or_else(|| {
            shard.slots.push(Slot::default());
            shard.slots.len() as u32 - 1
        });
        assert!(index < 1 << INDEX_BITS, "more messages under way than memory holds");
        let slot = &mut shard.slots[index as usize];
        slot.entry = Some(entry);
        let place = ((at as u64) << INDEX_BITS) | u64::from(index);
        Settle((place << 32) | u64::from(slot.generation))
    }

    /// Looks at an open entry and may change it. Returns None for one that is closed. Where
    /// `change` says true the entry is closed, and given back.
    pub fn with<R>(
        &self,
        settle: Settle,
        change: impl FnOnce(&mut Entry) -> (R, bool),
    ) -> Option<(R, Option<Entry>)> {
        let (at, index, generation) = parts(settle);
        let mut shard = self.shards.get(at)?.lock();
        let slot = shard.slots.get_mut(index)?;
        if slot.generation != generation {
            return None;
        }
        let (result, is_over) = change(slot.entry.as_mut()?);
        if !is_over {
            return Some((result, None));
        }
        let entry = slot.entry.take();
        slot.generation = slot.generation.wrapping_add(1);
        shard.free.push(index as u32);
        Some((result, entry))
    }

    /// A session ended, or refused the delivery, without confirming. `returned` hears of the
    /// account if nobody is left and the row is being written.
    pub fn abandon(&self, settle: Settle, returned: impl FnOnce(&BareJid)) -> Abandoned {
        let found = self.with(settle, |entry| {
            let is_open = entry.give_up(1, returned);
            ((), !is_open)
        });
        match found {
            Some((_, Some(entry))) if entry.is_taken => Abandoned::Taken(entry),
            Some((_, Some(entry))) => Abandoned::Lost(entry),
            Some((_, None)) | None => Abandoned::Open,
        }
    }

    /// Open entries.
    pub fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|s| {
                let s = s.lock();
                s.slots.len() - s.free.len()
            })
            .sum()
    }

    /// Whether nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
