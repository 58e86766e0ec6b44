//! Messages that a session under stream management has not acknowledged yet (promise P1).
//!
//! Each is in the [`ledger`](crate::ledger). The usual one is acknowledged within the linger and
//! never written; the others get a spool row, which lets the sender's `h` go on.

use std::sync::Arc;
use std::time::Duration;

use jackdaw_ext::{Command, Effects};
use jackdaw_faults::{Bug, has};
use jackdaw_jid::BareJid;
use jackdaw_session::SessionId;
use jackdaw_stanza::{Settle, Stanza};
use jackdaw_store::{Batch, Durability, StoreError};

use crate::Router;
use crate::ledger::{Abandoned, Entry, Receipt, Row};
use crate::record::{NUMBERS, Record, number_key};
use crate::spool::{Offline, SPOOL, row_batch};

/// How long a row waits that the store had no place for, or did not answer about: a full disk
/// passes, and so does a full queue, and a database comes back.
pub(crate) const WRITE_RETRY: Duration = Duration::from_secs(1);

/// Whether the same commit can be expected to go through later.
pub(crate) fn passes(error: &StoreError) -> bool {
    matches!(error, StoreError::Busy | StoreError::Full | StoreError::Unavailable)
}

impl Router {
    /// A delivery that carries this token was acknowledged or, where nobody acknowledges, its
    /// socket has it.
    pub fn settled(self: &Arc<Self>, settle: Settle) {
        let settled = self.ledger.with(settle, |entry| {
            entry.waiting = entry.waiting.saturating_sub(1);
            entry.is_taken = true;
            let is_over = entry.waiting == 0;
            // A row that is being written closes the entry when it is done.
            (is_over.then(|| entry.receipt.take()).flatten(), is_over && entry.row != Row::Writing)
        });
        let Some((receipt, closed)) = settled else { return };
        if let Some(receipt) = receipt {
            self.accepted(&receipt);
        }
        if let Some(entry) = closed.filter(|entry| entry.row == Row::Written) {
            self.delete_row(entry);
        }
    }

    /// A delivery that carries this token was written, and its socket did not take it.
    pub fn unsent(self: &Arc<Self>, settle: Settle) {
        let mut effects = Effects::new();
        self.given_up(settle, &mut effects);
        self.start_detached(Box::pin(Arc::clone(self).drain(effects)));
    }

    /// A session gives a delivery up: it ended, or takes no more.
    pub(crate) fn given_up(self: &Arc<Self>, settle: Settle, effects: &mut Effects) {
        match self.ledger.abandon(settle, |account| self.spool.goes_back(account)) {
            Abandoned::Open => {}
            Abandoned::Taken(entry) => self.close(entry),
            Abandoned::Lost(entry) => self.lost(entry, effects),
        }
    }

    /// Some session has it, and nobody else will confirm it.
    pub(crate) fn close(self: &Arc<Self>, entry: Entry) {
        if let Some(receipt) = &entry.receipt {
            self.accepted(receipt);
        }
        if entry.row == Row::Written {
            self.delete_row(entry);
        }
    }

    /// No session has it.
    pub(crate) fn lost(self: &Arc<Self>, entry: Entry, effects: &mut Effects) {
        let Entry { account, stanza, receipt, position, numbers, .. } = entry;
        match stanza {
            Some(stanza) => {
                let message = Offline { position, stanza, receipt, is_returned: true };
                self.redeliver_elsewhere(&account, message, effects);
            }
            // It is in the spool: an offline message from now on.
            None => {
                self.forget_numbers(&account, &numbers);
                self.spool.release(&account, position);
                self.flush_if_ready(&account);
            }
        }
    }

    /// An offline message, which no session has a number for any more.
    fn forget_numbers(&self, account: &BareJid, numbers: &[(SessionId, u32)]) {
        if numbers.is_empty() {
            return;
        }
        let mut batch = Batch::new();
        for (session, number) in numbers {
            batch.delete(NUMBERS, account, &number_key(*session, *number));
        }
        self.commit_unwatched(batch, "the number of a message stays");
    }

    fn delete_row(self: &Arc<Self>, entry: Entry) {
        let Entry { account, position, numbers, .. } = entry;
        if has(Bug::RowKept) {
            return self.spool.deleted(&account, position);
        }
        let mut batch = Batch::new();
        batch.delete(SPOOL, &account, &position.to_be_bytes());
        for (session, number) in &numbers {
            batch.delete(NUMBERS, &account, &number_key(*session, *number));
        }
        self.commit_deletion(account, position, batch);
    }

    fn commit_deletion(self: &Arc<Self>, account: BareJid, position: u64, batch: Batch) {
        let (router, again) = (Arc::clone(self), batch.clone());
        let done = move |outcome: Result<(), StoreError>| match outcome {
            // Until then the row is claimed, and nobody gets it again.
            Err(error) if passes(&error) => {
                let later = Arc::clone(&router);
                let retry = async move { later.commit_deletion(account, position, again) };
                router.services.spawn.after(WRITE_RETRY, Box::pin(retry));
            }
            outcome => {
                if let Err(error) = outcome {
                    tracing::warn!(%error, "an acknowledged spool row was not deleted");
                }
                router.spool.deleted(&account, position);
            }
        };
        // Losing the deletion costs a repetition, not a message: nobody waits for the disk.
        self.services.stores.engine().commit_then(batch, Durability::Fast, Box::new(done));
    }

    /// Starts the clock of a delivery: unless it is settled when the linger is over, it is written.
    pub(crate) fn linger(self: &Arc<Self>, settle: Settle) {
        let mut lingering = self.spool.lingering.lock();
        lingering.push_back(settle);
        if lingering.len() == 1 {
            let router = Arc::clone(self);
            let write = async move { router.write_lingering() };
            self.services.spawn.after(self.config.spool_linger, Box::pin(write));
        }
    }

    /// Writes what was not settled in time. Everything queued by now has waited one linger at
    /// most: a batch is one commit.
    fn write_lingering(self: &Arc<Self>) {
        let settles = std::mem::take(&mut *self.spool.lingering.lock());
        for settle in settles {
            self.write_unsettled(settle);
        }
    }

    pub(crate) fn write_unsettled(self: &Arc<Self>, settle: Settle) {
        let found = self.ledger.with(settle, |entry| {
            let stanza = entry.stanza.as_mut().filter(|_| entry.row == Row::None);
            let Some(stanza) = stanza else { return (None, false) };
            // It stays longer than the buffer it came in should.
            stanza.unshare();
            if !self.registry.keeps_offline(stanza) {
                // Not to be stored (XEP-0334): it waits for its acknowledgement, or bounces.
                return (None, false);
            }
            entry.row = Row::Writing;
            (Some((entry.account.clone(), entry.position, stanza.clone())), false)
        });
        let Some((Some((account, position, stanza)), _)) = found else { return };
        self.write_row(settle, &account, position, &stanza, None);
        // The sessions have it: which number it has there is to be on record too.
        for session in self.services.sessions.of(account.as_str()) {
            if session.has_slot::<Record>() {
                self.outbox().command(session.address(), Command::Number(settle));
            }
        }
    }

    /// Writes the row of an entry that says that it is being written.
    pub(crate) fn write_row(
        self: &Arc<Self>,
        settle: Settle,
        account: &BareJid,
        position: u64,
        stanza: &Stanza,
        receipt: Option<&Receipt>,
    ) {
        self.spool.claim(account, position);
        let batch = row_batch(account, position, self.services.clock.now(), stanza);
        let (router, account, again) = (Arc::clone(self), account.clone(), batch.clone());
        self.commit_claimed(batch, receipt, move |outcome| match outcome {
            Err(StoreError::Unavailable) => router.row_in_doubt(settle, account, position, again),
            outcome => router.row_written(settle, account, position, outcome),
        });
    }

    /// The row may be there or not, so it is still being written: the same row again does no harm,
    /// and what comes of it is known. Until then nothing is decided that depends on it.
    fn row_in_doubt(
        self: &Arc<Self>,
        settle: Settle,
        account: BareJid,
        position: u64,
        batch: Batch,
    ) {
        let router = Arc::clone(self);
        let retry = async move {
            let (later, again) = (Arc::clone(&router), batch.clone());
            router.commit(batch, move |outcome| match outcome {
                Err(error) if passes(&error) => {
                    later.row_in_doubt(settle, account, position, again);
                }
                outcome => later.row_written(settle, account, position, outcome),
            });
        };
        self.services.spawn.after(WRITE_RETRY, Box::pin(retry));
    }

    fn row_written(
        self: &Arc<Self>,
        settle: Settle,
        account: BareJid,
        position: u64,
        outcome: Result<(), StoreError>,
    ) {
        let is_written = outcome.is_ok();
        if let Err(error) = &outcome {
            // The client may still confirm it; until then the sender's `h` waits.
            tracing::warn!(%error, "an unacknowledged message could not be written to the spool");
            self.spool.release(&account, position);
        } else {
            self.spool.added(&account);
        }
        let found = self.ledger.with(settle, |entry| {
            let receipt = if is_written { entry.receipt.take() } else { None };
            if is_written {
                entry.row = Row::Written;
                entry.stanza = None;
            } else {
                entry.row = Row::None;
            }
            (receipt, entry.waiting == 0)
        });
        let Some((receipt, closed)) = found else { return };
        if let Some(receipt) = receipt {
            self.accepted(&receipt);
        }
        if closed.is_none() && matches!(outcome, Err(StoreError::Busy | StoreError::Full)) {
            let router = Arc::clone(self);
            let again = async move { router.write_unsettled(settle) };
            self.services.spawn.after(WRITE_RETRY, Box::pin(again));
        }
        // Every session was done with it while the row was written.
        match closed {
            Some(entry) if entry.is_taken => self.close(entry),
            Some(entry) => {
                let is_returned = entry.is_returned;
                let mut effects = Effects::new();
                self.lost(entry, &mut effects);
                self.start_detached(Box::pin(Arc::clone(self).drain(effects)));
                if is_returned && self.spool.came_back(&account) {
                    self.spawn_flush(account);
                }
            }
            None => {}
        }
    }
}
