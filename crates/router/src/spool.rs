//! What is in memory about messages in the spool: order, bound, and whose a row is.
//!
//! One table serves two ends. A row is written when a message has no resource to go to
//! ([`offline`](crate::offline), XEP-0160), or when a session under stream management has not
//! acknowledged it in time ([`linger`](crate::linger)). A row belongs to one delivery from its
//! claim to the acknowledgement or the session's end; a row that belongs to nobody is an offline
//! message.
//!
//! While older messages of an account are on their way through the spool, live ones queue behind
//! them: see `State::is_queueing`.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use jackdaw_ext::{Services, Timestamp};
use jackdaw_jid::BareJid;
use jackdaw_stanza::{Settle, Stanza, ns};
use jackdaw_store::{Batch, Table};
use jackdaw_xml::{Element, Limits, Scope};
use parking_lot::Mutex;

use jackdaw_session::SessionId;

use crate::flush::Flush;
use crate::ledger::Receipt;

/// The table: account → position (8 bytes, big-endian) → row.
pub const SPOOL: Table = Table::new("spool");

/// First byte of a row; a reader that does not know it leaves the row alone.
const ROW_VERSION: u8 = 1;

/// Accounts whose rows are counted. At the bound every count is forgotten, and read again when the
/// next message comes: 64 k entries are some 10 MB.
const COUNTED_MAX: usize = 65_536;

/// A message on its way into the spool.
pub(crate) struct Offline {
    pub position: u64,
    pub stanza: Stanza,
    /// Who waits for the commit.
    pub receipt: Option<Receipt>,
    /// A stream had it and gave it back.
    pub is_returned: bool,
}

impl Offline {
    /// One that goes there at once.
    pub fn new(position: u64, stanza: Stanza, receipt: Option<Receipt>) -> Offline {
        Offline { position, stanza, receipt, is_returned: false }
    }
}

/// What is known of one account's rows. Absent: nothing is under way.
#[derive(Default)]
pub(crate) struct State {
    /// Rows that belong to a delivery.
    claimed: HashSet<u64>,
    /// Rows that were deleted while a flush was under way. It may have read them before, so they
    /// stay claimed until it is over: else it would send them again.
    gone: Vec<u64>,
    /// Offline messages that wait for their commit.
    writing: u32,
    /// Messages that a stream gave back, and whose row is not written yet: older than what a flush
    /// would find.
    returning: u32,
    /// Sessions that are about to become available.
    coming: u32,
    /// Since when: what is accepted from there on is live, and only queues.
    live_from: Option<u64>,
    is_flushing: bool,
    /// Somebody asked for a flush while one was under way.
    is_flush_due: bool,
    /// The flush waits until nothing is returning.
    is_waiting: bool,
    /// The flush waits for a stream to come to a fence.
    paused: Option<Flush>,
    /// Rows in the store, once they were counted.
    rows: Option<usize>,
    /// Messages that wait for the count. They are in `writing` too.
    uncounted: Vec<Offline>,
}

impl State {
    /// Whether live messages join the spool, so that what is older arrives first: from the moment
    /// at which an older one may be in the store until the flush found nothing more.
    fn is_queueing(&self) -> bool {
        self.writing > 0 || self.returning > 0 || self.coming > 0 || self.is_flushing
    }

    fn is_under_way(&self) -> bool {
        self.is_queueing() || !self.claimed.is_empty()
    }

    fn is_idle(&self) -> bool {
        !self.is_under_way() && self.rows.unwrap_or(0) == 0
    }

    fn begin_flush(&mut self) -> bool {
        self.is_flush_due = self.is_flushing;
        !std::mem::replace(&mut self.is_flushing, true)
    }
}

/// Whether a message may join the spool.
pub(crate) enum Admission {
    /// It is counted: write it.
    Write(Offline),
    /// The account has as many as it may.
    Full(Offline),
    /// It waits for the count, which somebody else reads.
    Waits,
    /// It waits for the count, and the caller is to read it.
    Count,
}

/// The states of the accounts with messages under way.
pub(crate) struct Spool {
    /// The last position given out: microseconds, made to rise.
    position: AtomicU64,
    accounts: DashMap<BareJid, State>,
    /// Accounts whose live messages queue; the hot path looks no further while it is zero.
    queueing: AtomicUsize,
    /// Deliveries whose linger runs.
    pub lingering: Mutex<VecDeque<Settle>>,
}

impl Spool {
    pub(crate) fn new(services: &Services) -> Spool {
        Spool {
            position: AtomicU64::new(services.clock.now().0.saturating_mul(1000)),
            accounts: DashMap::new(),
            queueing: AtomicUsize::new(0),
            lingering: Mutex::default(),
        }
    }

    /// The next position, without a look at the clock: for a message that will hardly ever be
    /// written.
    pub(crate) fn next_unwritten(&self) -> u64 {
        self.position.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    /// The next position: about the time in microseconds, always rising. A message gets its own
    /// when it is accepted, so that rows have the order of acceptance whenever they are written.
    pub(crate) fn next(&self, now: Timestamp) -> u64 {
        let now = now.0.saturating_mul(1000);
        let step = |last: u64| Some(last.saturating_add(1).max(now));
        match self.position.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step) {
            Ok(last) | Err(last) => last.saturating_add(1).max(now),
        }
    }

    pub(crate) fn is_queueing(&self, account: &BareJid) -> bool {
        self.queueing.load(Ordering::Acquire) > 0
            && self.accounts.get(account.as_str()).is_some_and(|state| state.is_queueing())
    }

    /// Changes the state of an account; one that has become idle is forgotten.
    fn change<R>(&self, account: &BareJid, change: impl FnOnce(&mut State) -> R) -> R {
        let mut entry = match self.accounts.entry(account.clone()) {
            Entry::Occupied(entry) => entry,
            Entry::Vacant(vacant) => vacant.insert_entry(State::default()),
        };
        let state = entry.get_mut();
        let was_queueing = state.is_queueing();
        let result = change(state);
        match (was_queueing, state.is_queueing()) {
            (false, true) => {
                self.queueing.fetch_add(1, Ordering::AcqRel);
            }
            (true, false) => {
                self.queueing.fetch_sub(1, Ordering::AcqRel);
            }
            (false, false) | (true, true) => {}
        }
        if state.is_idle() {
            entry.remove();
        }
        result
    }

    /// A message wants to join the spool of at most `max` rows.
    pub(crate) fn admit(&self, account: &BareJid, message: Offline, max: usize) -> Admission {
        self.change(account, |state| match state.rows {
            Some(rows) if rows >= max => Admission::Full(message),
            Some(rows) => {
                state.rows = Some(rows + 1);
                state.writing += 1;
                state.returning += u32::from(message.is_returned);
                Admission::Write(message)
            }
            None => {
                state.writing += 1;
                state.returning += u32::from(message.is_returned);
                state.uncounted.push(message);
                if state.uncounted.len() == 1 { Admission::Count } else { Admission::Waits }
            }
        })
    }

    /// The rows were counted: gives the messages that waited for it, and how many of them may be
    /// written. None were counted if the store failed; then none may.
    pub(crate) fn counted(
        &self,
        account: &BareJid,
        rows: Option<usize>,
        max: usize,
    ) -> (Vec<Offline>, usize) {
        if self.accounts.len() > COUNTED_MAX {
            self.accounts.retain(|_, state| state.is_under_way());
        }
        self.change(account, |state| {
            let waiting = std::mem::take(&mut state.uncounted);
            let room = rows.map_or(0, |rows| max.saturating_sub(rows)).min(waiting.len());
            state.writing = state.writing.saturating_sub((waiting.len() - room) as u32);
            state.rows = rows.map(|rows| rows + room);
            (waiting, room)
        })
    }

    /// An offline message was written, or was not. Where a session is ready for it a flush begins,
    /// in the same step: nothing overtakes it. Says whether the caller is to flush.
    pub(crate) fn written(&self, account: &BareJid, is_kept: bool, is_ready: bool) -> bool {
        self.change(account, |state| {
            state.writing = state.writing.saturating_sub(1);
            if !is_kept {
                state.rows = state.rows.map(|rows| rows.saturating_sub(1));
            }
            is_kept && is_ready && state.begin_flush()
        })
    }

    /// A stream gave a message back whose row is being written.
    pub(crate) fn goes_back(&self, account: &BareJid) {
        self.change(account, |state| state.returning += 1);
    }

    /// A message that was given back is written, or is not. Says whether the caller is to flush.
    pub(crate) fn came_back(&self, account: &BareJid) -> bool {
        self.change(account, |state| {
            state.returning = state.returning.saturating_sub(1);
            state.returning == 0 && std::mem::take(&mut state.is_waiting)
        })
    }

    /// Whether the flush is to wait: somebody will be told to go on.
    pub(crate) fn waits_for_returned(&self, account: &BareJid) -> bool {
        self.change(account, |state| {
            state.is_waiting = state.returning > 0;
            state.is_waiting
        })
    }

    /// The flush waits for that session's stream.
    pub(crate) fn pause_flush(&self, account: &BareJid, flush: Flush) {
        self.change(account, |state| state.paused = Some(flush));
    }

    /// The flush that waits for this session's stream, if one does: the caller goes on with it.
    pub(crate) fn take_flush(&self, account: &BareJid, session: SessionId) -> Option<Flush> {
        if self.queueing.load(Ordering::Acquire) == 0 {
            return None;
        }
        self.change(account, |state| {
            let is_it = state.paused.is_some_and(|flush| flush.session == session);
            state.paused.take_if(|_| is_it)
        })
    }

    /// A session is about to become available: from here on live messages queue behind those that
    /// it will be sent first.
    pub(crate) fn coming(&self, account: &BareJid, position: u64) {
        self.change(account, |state| {
            if state.coming == 0 {
                state.live_from = Some(position);
            }
            state.coming += 1;
        });
    }

    /// Where the live messages begin that queue behind a flush, if that is before the flush: from
    /// the moment at which a session was about to become available.
    pub(crate) fn live_from(&self, account: &BareJid) -> Option<u64> {
        self.accounts.get(account)?.live_from
    }

    /// It is available, and its flush has begun; or it is not.
    pub(crate) fn came(&self, account: &BareJid) {
        self.change(account, |state| state.coming = state.coming.saturating_sub(1));
    }

    /// Says whether the caller is to flush; else who does will begin anew.
    pub(crate) fn begin_flush(&self, account: &BareJid) -> bool {
        self.change(account, State::begin_flush)
    }

    /// Nothing is left. Says whether to begin anew.
    pub(crate) fn end_flush(&self, account: &BareJid) -> bool {
        self.change(account, |state| {
            // What is read from here on is without them.
            for position in std::mem::take(&mut state.gone) {
                state.claimed.remove(&position);
            }
            let is_due = std::mem::take(&mut state.is_flush_due);
            state.is_flushing = is_due;
            is_due
        })
    }

    /// Gives the row to a delivery; false if it has one.
    pub(crate) fn claim(&self, account: &BareJid, position: u64) -> bool {
        self.change(account, |state| state.claimed.insert(position))
    }

    /// The row belongs to nobody any more.
    pub(crate) fn release(&self, account: &BareJid, position: u64) {
        self.change(account, |state| state.claimed.remove(&position));
    }

    /// A delivery's row was written.
    pub(crate) fn added(&self, account: &BareJid) {
        self.change(account, |state| state.rows = state.rows.map(|rows| rows + 1));
    }

    /// A row is gone.
    pub(crate) fn deleted(&self, account: &BareJid, position: u64) {
        self.change(account, |state| {
            if state.is_flushing {
                state.claimed.insert(position);
                state.gone.push(position);
            } else {
                state.claimed.remove(&position);
            }
            state.rows = state.rows.map(|rows| rows.saturating_sub(1));
        });
    }

    /// Every row of the account is gone.
    pub(crate) fn cleared(&self, account: &BareJid) {
        self.change(account, |state| state.rows = None);
    }

    /// Accounts with something under way. That the rows of others were counted is no such thing.
    pub(crate) fn under_way(&self) -> usize {
        self.accounts.iter().filter(|state| state.is_under_way()).count()
    }
}

/// The write of one row.
pub(crate) fn row_batch(account: &BareJid, position: u64, now: Timestamp, row: &Stanza) -> Batch {
    let mut value = Vec::with_capacity(row.size() + 96);
    value.push(ROW_VERSION);
    value.extend_from_slice(&now.0.to_be_bytes());
    row.write_to(&mut value);
    let mut batch = Batch::new();
    batch.put(SPOOL, account, &position.to_be_bytes(), Bytes::from(value));
    batch
}

pub(crate) fn position_of(item: &[u8]) -> Option<u64> {
    item.try_into().ok().map(u64::from_be_bytes)
}

/// The message of a row, as it was stored.
pub(crate) fn parse_row(value: &Bytes) -> Option<Stanza> {
    if value.len() < 9 || value.first() != Some(&ROW_VERSION) {
        return None;
    }
    Stanza::parse(value.slice(9..), &Scope::client(), &Limits::trusted()).ok()
}

/// The message of a row, with the time at which it was stored (XEP-0203) from this host.
pub(crate) fn read_row(host: &str, value: &Bytes) -> Option<Stanza> {
    let mut stanza = parse_row(value)?;
    let time: [u8; 8] = value.get(1..9)?.try_into().ok()?;
    if !stanza.has(ns::DELAY, "delay") {
        let at = Timestamp(u64::from_be_bytes(time)).to_string();
        let delay = Element::new(ns::DELAY, "delay").with_attr("from", host).with_attr("stamp", at);
        stanza.add_payload(&delay.with_text("Offline Storage"));
    }
    Some(stanza)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_is_deleted_during_a_flush_is_not_sent_by_it_again() {
        let spool = Spool {
            position: AtomicU64::new(0),
            accounts: DashMap::new(),
            queueing: AtomicUsize::new(0),
            lingering: Mutex::default(),
        };
        let juliet = BareJid::parse("juliet@example.net").expect("an address");
        assert!(spool.begin_flush(&juliet));
        assert!(spool.claim(&juliet, 7));
        // Sent, acknowledged and deleted; then a second flush is asked for, and the first one goes
        // on with rows that it read before.
        spool.deleted(&juliet, 7);
        assert!(!spool.begin_flush(&juliet));
        assert!(!spool.claim(&juliet, 7));
        assert!(spool.end_flush(&juliet), "the second one");
        assert!(!spool.end_flush(&juliet));
        assert_eq!(spool.under_way(), 0);
    }
}
