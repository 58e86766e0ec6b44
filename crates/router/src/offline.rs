//! Messages for accounts that are away (XEP-0160): into the spool, and out of it again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jackdaw_ext::{Effects, stanza_error};
use jackdaw_jid::BareJid;
use jackdaw_session::Session;
use jackdaw_stanza::{Stanza, StanzaError};
use jackdaw_store::{Batch, Durability, ItemRange, StoreError};

use crate::accept::Taken;
use crate::ledger::{Entry, Receipt, Row};
use crate::record::Record;
use crate::select::Targets;
use crate::spool::{Admission, Offline, SPOOL, position_of, read_row, row_batch};
use crate::{Count, Router};

/// Rows read at once.
const PAGE: usize = 100;

/// How long a resource at its bound is left alone. Its client acknowledges in the meantime, or its
/// stream comes to an end.
const CONGESTION_RETRY: Duration = Duration::from_millis(500);

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
        self.store_at(account, Offline { position, stanza, receipt }, effects)
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
        let Offline { position, stanza, receipt } = message;
        let batch = row_batch(account, position, self.services.clock.now(), &stanza);
        let router = Arc::clone(self);
        let account = account.clone();
        let told = receipt.clone();
        self.commit_claimed(batch, receipt.as_ref(), move |outcome| {
            match &outcome {
                Ok(()) => router.stats.add(Count::MessagesSpooled),
                Err(error) => router.not_stored(&stanza, error),
            }
            if let Some(receipt) = told {
                router.accepted(&receipt);
            }
            // It may have become available while the row was written.
            let is_ready = router.ready_session(&account).is_some();
            if router.spool.written(&account, outcome.is_ok(), is_ready) {
                router.spawn_flush(account);
            }
        });
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

    /// A resource that gets messages to the bare JID.
    pub(crate) fn ready_session(&self, account: &BareJid) -> Option<Arc<Session>> {
        let sessions = self.services.sessions.of(account.as_str());
        sessions.into_iter().find(|session| session.priority().is_some_and(|p| p >= 0))
    }

    /// Rows became offline messages: whoever is ready gets them.
    pub(crate) fn flush_if_ready(self: &Arc<Self>, account: &BareJid) {
        let is_ready = self.ready_session(account).is_some();
        if is_ready && !self.spool.is_congested(account) && self.spool.begin_flush(account) {
            self.spawn_flush(account.clone());
        }
    }

    /// Not in place: the caller may be a thread of the store.
    fn spawn_flush(self: &Arc<Self>, account: BareJid) {
        let router = Arc::clone(self);
        self.services.spawn.spawn(Box::pin(async move {
            router.flush_begun(&account, None).await;
        }));
    }

    /// Sends the session what is in the spool of its account and belongs to nobody, oldest first.
    pub(crate) async fn flush(self: &Arc<Self>, session: &Arc<Session>) {
        let account = session.account().jid().clone();
        if self.spool.begin_flush(&account) {
            self.flush_begun(&account, Some(Arc::clone(session))).await;
        }
    }

    async fn flush_begun(self: &Arc<Self>, account: &BareJid, session: Option<Arc<Session>>) {
        let mut session = session;
        loop {
            if let Some(session) = session.take().or_else(|| self.ready_session(account)) {
                self.flush_rows(account, &session).await;
            }
            if !self.spool.end_flush(account) {
                return;
            }
        }
    }

    async fn flush_rows(self: &Arc<Self>, account: &BareJid, session: &Arc<Session>) {
        // Later ones are live messages that queued: they go to every resource, as they would have.
        let live_from = self.spool.next(self.services.clock.now());
        let mut range = ItemRange::first(PAGE);
        loop {
            let rows = match self.services.stores.engine().list(SPOOL, account, range).await {
                Ok(rows) => rows,
                Err(error) => {
                    tracing::error!(%error, "offline messages could not be read");
                    return;
                }
            };
            let Some(last) = rows.last() else { return };
            range = ItemRange::after(&last.item, PAGE);
            for row in &rows {
                let Some(position) = position_of(&row.item) else { continue };
                let targets = if position < live_from {
                    std::iter::once(Arc::clone(session)).collect()
                } else {
                    self.non_negative(account)
                };
                if self.spool.is_congested(account) || targets.is_empty() {
                    return;
                }
                self.flush_row(targets, account, position, &row.value);
            }
        }
    }

    fn flush_row(
        self: &Arc<Self>,
        targets: Targets,
        account: &BareJid,
        position: u64,
        value: &Bytes,
    ) {
        let Some(stanza) = read_row(account.domain(), value) else {
            tracing::error!(%account, position, "a spool row is not readable; it stays");
            return;
        };
        if !self.spool.claim(account, position) {
            return;
        }
        let settle = self.ledger.open(Entry {
            account: account.clone(),
            stanza: None,
            receipt: None,
            waiting: targets.len() as u32,
            is_taken: false,
            position,
            row: Row::Written,
            numbers: Vec::new(),
        });
        let mut effects = Effects::new();
        for session in &targets {
            // A session on record must not have it before it is known to have it.
            let token = if session.has_slot::<Record>() { settle.held() } else { settle };
            if !self.hand_to(session, stanza.clone(), Some(token)) {
                // The queue to it is full: the row stays.
                self.congested(account);
                self.given_up(settle, Some(session.address()), &mut effects);
            }
        }
        debug_assert!(effects.is_empty(), "a row that is written needs no error");
    }

    /// A resource takes no more. The account's messages wait in the spool until it is tried again.
    pub(crate) fn congested(self: &Arc<Self>, account: &BareJid) {
        if !self.spool.congest(account) {
            return;
        }
        let router = Arc::clone(self);
        let account = account.clone();
        let retry = async move {
            let is_ready = router.ready_session(&account).is_some();
            if router.spool.retry(&account, is_ready) {
                router.flush_begun(&account, None).await;
            }
        };
        self.services.spawn.after(CONGESTION_RETRY, Box::pin(retry));
    }
}
