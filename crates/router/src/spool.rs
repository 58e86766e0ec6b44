//! Messages for those who are away, and for those who have not confirmed them yet.
//!
//! One table serves both. A row is written when a message has no resource to go to (XEP-0160), or
//! when a session under stream management has not acknowledged it within the linger. A row belongs
//! to one session from its delivery to the acknowledgement or the session's end; a row that belongs
//! to nobody is an offline message.
//!
//! While offline messages are flushed to a session, live ones for that account join the spool, so
//! that what is older arrives first; the flush goes on until nothing is left.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use dashmap::DashMap;
use jackdaw_ext::{Effect, Effects, Services, Timestamp};
use jackdaw_jid::BareJid;
use jackdaw_session::Session;
use jackdaw_stanza::{Settle, Stanza, StanzaError, ns};
use jackdaw_store::{Batch, Durability, ItemRange, StoreError, Table};
use jackdaw_xml::{Element, Limits, Scope};
use parking_lot::Mutex;

use crate::accept::Taken;
use crate::ledger::{Entry, Receipt, Row};
use crate::{Count, Router};

/// The table: account → position (8 bytes, big-endian) → row.
pub const SPOOL: Table = Table::new("spool");

/// Rows read at once while flushing.
const PAGE: usize = 100;

/// First byte of a row; a reader that does not know it leaves the row alone.
const ROW_VERSION: u8 = 1;

/// What is in memory about accounts with rows under way.
pub(crate) struct Spool {
    /// The last position given out: microseconds, made to rise.
    position: AtomicU64,
    accounts: DashMap<BareJid, Account>,
    /// Accounts being flushed; the hot path looks no further while it is zero.
    flushing: AtomicUsize,
    lingering: Mutex<VecDeque<Settle>>,
}

#[derive(Default)]
struct Account {
    /// Rows that belong to a session.
    claimed: HashSet<u64>,
    is_flushing: bool,
}

impl Spool {
    pub(crate) fn new(services: &Services) -> Spool {
        Spool {
            position: AtomicU64::new(services.clock.now().0.saturating_mul(1000)),
            accounts: DashMap::new(),
            flushing: AtomicUsize::new(0),
            lingering: Mutex::default(),
        }
    }

    /// The next position: about the time in microseconds, always rising.
    fn next(&self, now: Timestamp) -> u64 {
        let now = now.0.saturating_mul(1000);
        let step = |last: u64| Some(last.saturating_add(1).max(now));
        match self.position.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step) {
            Ok(last) | Err(last) => last.saturating_add(1).max(now),
        }
    }

    pub(crate) fn is_flushing(&self, account: &BareJid) -> bool {
        self.flushing.load(Ordering::Acquire) > 0
            && self.accounts.get(account.as_str()).is_some_and(|state| state.is_flushing)
    }

    /// Starts a flush; false if one is under way.
    fn begin_flush(&self, account: &BareJid) -> bool {
        let mut state = self.accounts.entry(account.clone()).or_default();
        if state.is_flushing {
            return false;
        }
        state.is_flushing = true;
        self.flushing.fetch_add(1, Ordering::AcqRel);
        true
    }

    fn end_flush(&self, account: &BareJid) {
        if let Some(mut state) = self.accounts.get_mut(account.as_str()) {
            state.is_flushing = false;
            self.flushing.fetch_sub(1, Ordering::AcqRel);
        }
        self.tidy(account);
    }

    fn claim(&self, account: &BareJid, position: u64) -> bool {
        self.accounts.entry(account.clone()).or_default().claimed.insert(position)
    }

    /// The row belongs to nobody any more: it was deleted, or is an offline message again.
    pub(crate) fn release(&self, account: &BareJid, position: u64) {
        if let Some(mut state) = self.accounts.get_mut(account.as_str()) {
            state.claimed.remove(&position);
        }
        self.tidy(account);
    }

    fn tidy(&self, account: &BareJid) {
        self.accounts
            .remove_if(account.as_str(), |_, state| state.claimed.is_empty() && !state.is_flushing);
    }
}

impl Router {
    /// Keeps a message for an account that is away. Accepted when the row is committed.
    pub(crate) fn store_offline(
        self: &Arc<Self>,
        account: &BareJid,
        stanza: Stanza,
        receipt: Option<Receipt>,
    ) -> Taken {
        let now = self.services.clock.now();
        let position = self.spool.next(now);
        let batch = row_batch(account, position, now, &stanza);
        let router = Arc::clone(self);
        let account = account.clone();
        let done = move |outcome: Result<(), StoreError>| match outcome {
            Ok(()) => {
                router.stats.add(Count::MessagesSpooled);
                if let Some(receipt) = receipt {
                    router.accepted(receipt);
                }
                // It may have become available while the row was written.
                router.flush_for(&account);
            }
            Err(error) => router.not_stored(&stanza, receipt, &error),
        };
        self.commit(batch, done);
        if receipt.is_some() { Taken::Later } else { Taken::Done }
    }

    fn commit(&self, batch: Batch, done: impl FnOnce(Result<(), StoreError>) + Send + 'static) {
        let durability =
            if self.config.is_durable { Durability::Durable } else { Durability::Fast };
        self.services.stores.engine().commit_then(batch, durability, Box::new(done));
    }

    /// The store refused: the sender is told, so the stanza is accounted for (P7).
    fn not_stored(self: &Arc<Self>, stanza: &Stanza, receipt: Option<Receipt>, error: &StoreError) {
        tracing::warn!(%error, "a message could not be stored");
        let mut effects = Effects::new();
        self.refuse(stanza, &StanzaError::resource_constraint(), &mut effects);
        self.start_detached(Box::pin(Arc::clone(self).drain(effects)));
        if let Some(receipt) = receipt {
            self.accepted(receipt);
        }
    }

    /// Sends the session what is in the spool of its account and belongs to nobody, oldest first.
    pub(crate) async fn flush(self: &Arc<Self>, session: &Arc<Session>) {
        let account = session.account().jid().clone();
        if !self.spool.begin_flush(&account) {
            return;
        }
        let mut after = None;
        loop {
            let range = match after {
                None => ItemRange::first(PAGE),
                Some(position) => ItemRange::after(u64::to_be_bytes(position), PAGE),
            };
            let rows = match self.services.stores.engine().list(SPOOL, &account, range).await {
                Ok(rows) => rows,
                Err(error) => {
                    tracing::error!(%error, "offline messages could not be read");
                    break;
                }
            };
            let Some(last) = rows.last().and_then(|row| position_of(&row.item)) else { break };
            for row in &rows {
                if let Some(position) = position_of(&row.item) {
                    self.flush_row(session, &account, position, &row.value);
                }
            }
            after = Some(last);
        }
        self.spool.end_flush(&account);
    }

    fn flush_row(
        self: &Arc<Self>,
        session: &Arc<Session>,
        account: &BareJid,
        position: u64,
        value: &Bytes,
    ) {
        let Some((stored_at, mut stanza)) = read_row(value) else {
            tracing::error!(%account, position, "a spool row is not readable; it stays");
            return;
        };
        if !self.spool.claim(account, position) {
            return;
        }
        if !stanza.has(ns::DELAY, "delay") {
            stanza.add_payload(&delay(account.as_jid_ref().domain(), stored_at));
        }
        let settle = self.ledger.open(Entry {
            account: account.clone(),
            stanza: stanza.clone(),
            receipt: None,
            waiting: 1,
            row: Row::Written(position),
        });
        if !self.hand_to(session, stanza, Some(settle)) {
            // Its queue is full: the row stays and is read again at the next login.
            self.ledger.abandon(settle);
            self.spool.release(account, position);
        }
    }

    /// A delivery that carries this token was acknowledged, or written where nobody acknowledges.
    pub fn settled(self: &Arc<Self>, settle: Settle) {
        let settled = self.ledger.with(settle, |entry| {
            entry.waiting = entry.waiting.saturating_sub(1);
            // A row that is being written closes the entry when it is done.
            (
                (entry.waiting == 0).then(|| entry.receipt.take()).flatten(),
                entry.waiting == 0 && entry.row != Row::Writing,
            )
        });
        let Some((receipt, closed)) = settled else { return };
        if let Some(receipt) = receipt {
            self.accepted(receipt);
        }
        if let Some(Entry { account, row: Row::Written(position), .. }) = closed {
            self.delete_row(account, position);
        }
    }

    fn delete_row(self: &Arc<Self>, account: BareJid, position: u64) {
        let mut batch = Batch::new();
        batch.delete(SPOOL, &account, &position.to_be_bytes());
        let router = Arc::clone(self);
        let done = move |outcome: Result<(), StoreError>| {
            if let Err(error) = outcome {
                tracing::warn!(%error, "an acknowledged spool row was not deleted");
            }
            router.spool.release(&account, position);
        };
        // Losing the deletion costs a repetition, not a message: nobody waits for the disk.
        self.services.stores.engine().commit_then(batch, Durability::Fast, Box::new(done));
    }

    /// Starts the clock of a delivery: unless it is settled when the linger is over, it is written.
    pub(crate) fn linger(self: &Arc<Self>, settle: Settle) {
        let mut lingering = self.spool.lingering.lock();
        lingering.push_back(settle);
        if lingering.len() == 1 {
            self.arm_linger();
        }
    }

    fn arm_linger(self: &Arc<Self>) {
        let router = Arc::clone(self);
        self.services.spawn.after(
            self.config.spool_linger,
            Box::pin(async move {
                router.write_lingering();
            }),
        );
    }

    /// Writes what was not settled in time. Everything queued by now has waited at most two
    /// lingers and at least none: a batch is one commit.
    fn write_lingering(self: &Arc<Self>) {
        let settles = std::mem::take(&mut *self.spool.lingering.lock());
        for settle in settles {
            self.write_unsettled(settle);
        }
    }

    fn write_unsettled(self: &Arc<Self>, settle: Settle) {
        let now = self.services.clock.now();
        let found = self.ledger.with(settle, |entry| {
            let is_due = entry.row == Row::None;
            if is_due {
                entry.row = Row::Writing;
            }
            (is_due.then(|| (entry.account.clone(), entry.stanza.clone())), false)
        });
        let Some((Some((account, stanza)), _)) = found else { return };
        let position = self.spool.next(now);
        self.spool.claim(&account, position);
        let batch = row_batch(&account, position, now, &stanza);
        let router = Arc::clone(self);
        self.commit(batch, move |outcome| router.row_written(settle, account, position, outcome));
    }

    fn row_written(
        self: &Arc<Self>,
        settle: Settle,
        account: BareJid,
        position: u64,
        outcome: Result<(), StoreError>,
    ) {
        if let Err(error) = &outcome {
            // The client may still confirm it; until then the sender's `h` waits.
            tracing::warn!(%error, "an unacknowledged message could not be written to the spool");
        }
        let is_written = outcome.is_ok();
        let found = self.ledger.with(settle, |entry| {
            entry.row = if is_written { Row::Written(position) } else { Row::None };
            let receipt = if is_written { entry.receipt.take() } else { None };
            (receipt, entry.waiting == 0)
        });
        match found {
            Some((receipt, closed)) => {
                if let Some(receipt) = receipt {
                    self.accepted(receipt);
                }
                if closed.is_some() && is_written {
                    self.delete_row(account, position);
                }
            }
            // Its session ended meanwhile, and the message went elsewhere with a row of its own.
            None if is_written => self.delete_row(account, position),
            None => self.spool.release(&account, position),
        }
    }
}

impl Router {
    /// Asks for a flush of this session's offline messages, as an effect.
    pub fn flush_effect(session: Arc<Session>) -> Effect {
        Effect::FlushOffline(session)
    }
}

fn row_batch(account: &BareJid, position: u64, now: Timestamp, stanza: &Stanza) -> Batch {
    let mut value = Vec::with_capacity(stanza.size() + 96);
    value.push(ROW_VERSION);
    value.extend_from_slice(&now.0.to_be_bytes());
    stanza.write_to(&mut value);
    let mut batch = Batch::new();
    batch.put(SPOOL, account, &position.to_be_bytes(), Bytes::from(value));
    batch
}

fn position_of(item: &[u8]) -> Option<u64> {
    item.try_into().ok().map(u64::from_be_bytes)
}

fn read_row(value: &Bytes) -> Option<(Timestamp, Stanza)> {
    let (&version, rest) = value.split_first()?;
    let time: [u8; 8] = rest.get(..8)?.try_into().ok()?;
    if version != ROW_VERSION {
        return None;
    }
    let stanza = Stanza::parse(value.slice(9..), &Scope::client(), &Limits::trusted()).ok()?;
    Some((Timestamp(u64::from_be_bytes(time)), stanza))
}

/// XEP-0203: when it was sent, and who says so.
fn delay(host: &str, at: Timestamp) -> Element {
    Element::new(ns::DELAY, "delay")
        .with_attr("from", host)
        .with_attr("stamp", at.to_string())
        .with_text("Offline Storage")
}
