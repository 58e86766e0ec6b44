//! Messages for accounts that are away (XEP-0160): into the spool. [`flush`](crate::flush) has the
//! way out.

use std::sync::Arc;

use jackdaw_ext::{Effects, stanza_error};
use jackdaw_jid::BareJid;
use jackdaw_stanza::{Stanza, StanzaError};
use jackdaw_store::{Batch, Durability, ItemRange, StoreError};

use crate::accept::Taken;
use crate::ledger::Receipt;
use crate::linger::{WRITE_RETRY, passes};
use crate::spool::{Admission, Offline, SPOOL, row_batch};
use crate::{Count, Router};

/// Rows counted at once.
const PAGE: usize = 100;

impl Router {
    /// Keeps a message for an account that is away. Accepted when the row is committed.
    pub(crate) fn store_offline(
        self: &Arc<Self>,
        account: &BareJid,
        stanza: Stanza,
        receipt: Option<Receipt>,
        effects: &mut Effects,
    ) -> Taken {
        let position = self.spool.next(self.services.clock.now());
        self.store_at(account, Offline::new(position, stanza, receipt), effects)
    }

    /// The same at the position that the message got when it was accepted.
    pub(crate) fn store_at(
        self: &Arc<Self>,
        account: &BareJid,
        message: Offline,
        effects: &mut Effects,
    ) -> Taken {
        let later = if message.receipt.is_some() { Taken::Later } else { Taken::Done };
        match self.spool.admit(account, message, self.config.offline_messages_max) {
            Admission::Write(message) => {
                self.write_offline(account, message);
                later
            }
            Admission::Full(message) => {
                self.refuse(&message.stanza, &StanzaError::service_unavailable(), effects);
                Taken::Done
            }
            Admission::Waits => later,
            Admission::Count => {
                let counting = Arc::clone(self).count_rows(account.clone());
                self.start_detached(Box::pin(counting));
                later
            }
        }
    }

    /// Counts the rows of the account, once: from here on they are counted in memory.
    async fn count_rows(self: Arc<Self>, account: BareJid) {
        let max = self.config.offline_messages_max;
        let counted = self.rows_of(&account, max).await;
        let (waiting, room) = self.spool.counted(&account, counted.as_ref().ok().copied(), max);
        let error = match &counted {
            Ok(_) => StanzaError::service_unavailable(),
            Err(error) => stanza_error(error),
        };
        let mut effects = Effects::new();
        for (nth, message) in waiting.into_iter().enumerate() {
            if nth < room {
                self.write_offline(&account, message);
                continue;
            }
            self.refuse(&message.stanza, &error, &mut effects);
            if let Some(receipt) = message.receipt {
                self.accepted(&receipt);
            }
            if message.is_returned && self.spool.came_back(&account) {
                self.spawn_flush(account.clone());
            }
        }
        self.drain(effects).await;
    }

    /// How many rows there are, at most `max`.
    async fn rows_of(&self, account: &BareJid, max: usize) -> Result<usize, StoreError> {
        let mut count = 0;
        let mut range = ItemRange::first(PAGE);
        while count < max {
            let rows = self.services.stores.engine().list(SPOOL, account, range).await?;
            count += rows.len();
            match rows.last() {
                Some(last) if rows.len() == PAGE => range = ItemRange::after(&last.item, PAGE),
                Some(_) | None => break,
            }
        }
        Ok(count)
    }

    fn write_offline(self: &Arc<Self>, account: &BareJid, message: Offline) {
        let batch =
            row_batch(account, message.position, self.services.clock.now(), &message.stanza);
        let (router, account, again) = (Arc::clone(self), account.clone(), batch.clone());
        let receipt = message.receipt.clone();
        self.commit_claimed(batch, receipt.as_ref(), move |outcome| match outcome {
            Err(StoreError::Unavailable) => router.offline_in_doubt(account, message, again),
            outcome => router.offline_written(account, message, outcome),
        });
    }

    /// The row may be there or not: an error would be wrong where it is, and an acknowledgement
    /// where it is not. The same row again does no harm, and tells.
    fn offline_in_doubt(self: &Arc<Self>, account: BareJid, message: Offline, batch: Batch) {
        let router = Arc::clone(self);
        let retry = async move {
            let (later, again) = (Arc::clone(&router), batch.clone());
            router.commit(batch, move |outcome| match outcome {
                Err(error) if passes(&error) => later.offline_in_doubt(account, message, again),
                outcome => later.offline_written(account, message, outcome),
            });
        };
        self.services.spawn.after(WRITE_RETRY, Box::pin(retry));
    }

    fn offline_written(
        self: &Arc<Self>,
        account: BareJid,
        message: Offline,
        outcome: Result<(), StoreError>,
    ) {
        match &outcome {
            Ok(()) => self.stats.add(Count::MessagesSpooled),
            Err(error) => self.not_stored(&message.stanza, error),
        }
        if let Some(receipt) = message.receipt {
            self.accepted(&receipt);
        }
        // It may have become available while the row was written.
        let is_ready = self.ready_session(&account).is_some();
        let is_flush_due = self.spool.written(&account, outcome.is_ok(), is_ready);
        if is_flush_due | (message.is_returned && self.spool.came_back(&account)) {
            self.spawn_flush(account);
        }
    }

    pub(crate) fn commit(
        &self,
        batch: Batch,
        done: impl FnOnce(Result<(), StoreError>) + Send + 'static,
    ) {
        let durability =
            if self.config.is_durable { Durability::Durable } else { Durability::Fast };
        self.services.stores.engine().commit_then(batch, durability, Box::new(done));
    }

    /// The store refused: the sender is told, so the stanza is accounted for (P7).
    fn not_stored(self: &Arc<Self>, stanza: &Stanza, error: &StoreError) {
        tracing::warn!(%error, "a message could not be stored");
        let mut effects = Effects::new();
        self.refuse(stanza, &StanzaError::resource_constraint(), &mut effects);
        self.start_detached(Box::pin(Arc::clone(self).drain(effects)));
    }
}
