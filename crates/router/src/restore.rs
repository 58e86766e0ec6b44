//! Sessions of an earlier process come back from their records (XEP-0198 §5), or do not.
//!
//! Nothing is read at start. A record is read when its client resumes, and looked at when another
//! session of its account is bound: rows of messages that are numbered for a session which may
//! still come back are not offline messages yet. When no session of an earlier process can come
//! back any more, what is left of them is swept away.

use std::sync::Arc;

use jackdaw_ext::{Effects, Lifecycle, Pending};
use jackdaw_faults::{Point, reach};
use jackdaw_jid::{BareJid, FullJid};
use jackdaw_session::{Address, Session, SessionId};
use jackdaw_stanza::{Delivery, Stanza};
use jackdaw_store::{Batch, ItemRange, Row as StoreRow, StoreError};
use jackdaw_stream::c2s::{Resume, SmId, Suspended};
use jackdaw_xml::{Limits, Scope};

use crate::Router;
use crate::ledger::{Entry, Row};
use crate::record::{
    Accepted, Identity, Known, NUMBERS, Part, Record, SESSIONS, delete_parts, number_key, part_key,
};
use crate::spool::{SPOOL, parse_row, position_of};

/// Rows read at once.
const PAGE: usize = 256;

/// Rows of an account that are looked at. An account may have some dozen sessions with a thousand
/// messages each; what lies beyond that becomes offline messages early.
const ROWS_MAX: usize = 65_536;

/// What became of the wish to resume a session that is not in the table.
pub enum Restoring {
    /// It is in the table by now: another stream was faster.
    Live(Arc<Session>),
    /// It is back.
    Restored(Box<Back>),
    /// There is no such session, or it waited too long.
    NotFound {
        /// How many of its stanzas were accepted, if that is known.
        h: Option<u32>,
    },
}

/// A session that is back from its record.
pub struct Back {
    /// The session, in the table.
    pub session: Arc<Session>,
    /// How long it waits to be resumed.
    pub resume_secs: u32,
    /// How many of its stanzas are accepted.
    pub handled: u32,
    /// What its client has not acknowledged, in order.
    pub unacknowledged: Vec<Delivery>,
}

/// A message that a session has a number for.
#[derive(Clone, Copy)]
struct Numbered {
    session: SessionId,
    number: u32,
    position: u64,
}

impl Numbered {
    fn read(row: &StoreRow) -> Option<Numbered> {
        let (session, number) = row.item.split_first_chunk::<8>()?;
        Some(Numbered {
            session: SessionId(u64::from_be_bytes(*session)),
            number: u32::from_be_bytes(number.try_into().ok()?),
            position: position_of(&row.value)?,
        })
    }
}

impl Router {
    /// Brings a session back from its record, for the stream at `address`. `generation` is that of
    /// the account now.
    pub async fn restore(
        self: &Arc<Self>,
        resume: &Resume,
        generation: Option<u64>,
        address: Address,
    ) -> Result<Restoring, StoreError> {
        let account = &resume.account;
        let id = SessionId(resume.id.session());
        let _changing = self.services.locks.lock(account).await;
        if let Some(session) = self.resumable(account, id) {
            return Ok(Restoring::Live(session));
        }
        let identity = self.part(account, id, Part::Identity).await?;
        let identity = identity.map(|row| Identity::decode(&row)).transpose()?.filter(|identity| {
            let kept = SmId::from_bytes(&identity.id);
            kept.is_some_and(|kept| kept.is(&resume.id)) && generation == Some(identity.generation)
        });
        let Some(identity) = identity else { return Ok(Restoring::NotFound { h: None }) };
        let accepted = self.part(account, id, Part::Accepted).await?;
        let accepted = accepted.map(|row| Accepted::decode(&row)).transpose()?.unwrap_or_default();
        let h = accepted.handled;
        let waited = self.services.clock.now().0.saturating_sub(self.started_at.0);
        if waited > u64::from(identity.resume_secs) * 1000 {
            return Ok(Restoring::NotFound { h: Some(h) });
        }
        let Some(session) = self.put_back(account, id, &identity, accepted, address).await? else {
            return Ok(Restoring::NotFound { h: Some(h) });
        };
        let unacknowledged = match self.take_up(&session, resume.h).await {
            Ok(unacknowledged) => unacknowledged,
            Err(error) => {
                self.services.sessions.unbind(&session);
                return Err(error);
            }
        };
        let resume_secs = identity.resume_secs;
        Ok(Restoring::Restored(Box::new(Back { session, resume_secs, handled: h, unacknowledged })))
    }

    async fn part(
        &self,
        account: &BareJid,
        session: SessionId,
        part: Part,
    ) -> Result<Option<bytes::Bytes>, StoreError> {
        self.services.stores.engine().get(SESSIONS, account, &part_key(session, part)).await
    }

    /// Into the table, with the state that its extensions had. Not available yet.
    async fn put_back(
        &self,
        account: &BareJid,
        id: SessionId,
        identity: &Identity,
        accepted: Accepted,
        address: Address,
    ) -> Result<Option<Arc<Session>>, StoreError> {
        let known = self.part(account, id, Part::State).await?;
        let known = known.map(|row| Known::decode(&row)).transpose()?.unwrap_or_default();
        let Some(state) = self.services.account(account).await? else { return Ok(None) };
        let Ok(jid) = account.with_resource(&identity.resource) else { return Ok(None) };
        let now = self.services.clock.now().secs();
        let max = self.config.sessions_per_account_max;
        let sessions = &self.services.sessions;
        let Ok(session) = sessions.restore(&state, id, jid, address, now, max) else {
            return Ok(None);
        };
        session.set_managed();
        if known.is_interested {
            session.set_interested();
        }
        for state in self.registry.session_states() {
            if let Some((_, saved)) = known.states.iter().find(|(name, _)| name == state.name) {
                (state.restore)(&session, saved);
            }
        }
        session.set_slot(Record::restored(&session, accepted, known.presence));
        Ok(Some(session))
    }

    /// What is in the spool for a session whose client has handled `h` stanzas: the rest, in order,
    /// numbered anew without gaps. What else was under way to it, such as presence, is lost; its
    /// client counts on from `h`.
    async fn take_up(
        self: &Arc<Self>,
        session: &Arc<Session>,
        h: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        let account = session.account().jid();
        let id = session.id();
        let (mut own, others): (Vec<_>, Vec<_>) =
            self.numbers(account).await?.into_iter().partition(|numbered| numbered.session == id);
        own.sort_by_key(|numbered| numbered.number.wrapping_sub(h.wrapping_add(1)));
        let mut batch = Batch::new();
        let mut rows = Vec::new();
        let mut handled = Vec::new();
        for numbered in own {
            batch.delete(NUMBERS, account, &number_key(id, numbered.number));
            let position = numbered.position;
            let is_handled = h.wrapping_sub(numbered.number) <= u32::MAX / 2;
            if !is_handled {
                rows.push(position);
            } else if !others.iter().any(|other| other.position == position) {
                batch.delete(SPOOL, account, &position.to_be_bytes());
                // Nobody else takes it before it is gone.
                self.spool.claim(account, position);
                handled.push(position);
            }
        }
        let mut deliveries = Vec::new();
        for position in rows {
            let Some(stanza) = self.spooled(account, position).await? else { continue };
            let number = h.wrapping_add(deliveries.len() as u32 + 1);
            let value = position.to_be_bytes().to_vec();
            batch.put(NUMBERS, account, &number_key(id, number), value);
            deliveries.push((position, number, stanza));
        }
        if !batch.is_empty() {
            // The client is sent nothing by a number that is not durable.
            reach(Point::RestoreBeforeCommit);
            let committed = self.services.stores.commit(batch).await;
            reach(Point::RestoreAfterCommit);
            for position in handled {
                match committed {
                    Ok(()) => self.spool.deleted(account, position),
                    Err(_) => self.spool.release(account, position),
                }
            }
            committed?;
        }
        let deliveries = deliveries.into_iter();
        Ok(deliveries
            .map(|(position, number, stanza)| self.redelivery(session, position, number, stanza))
            .collect())
    }

    fn redelivery(
        self: &Arc<Self>,
        session: &Arc<Session>,
        position: u64,
        number: u32,
        stanza: Stanza,
    ) -> Delivery {
        let account = session.account().jid().clone();
        self.spool.claim(&account, position);
        let settle = self.ledger.open(Entry {
            account,
            stanza: None,
            receipt: None,
            waiting: 1,
            is_taken: false,
            is_returned: false,
            position,
            row: Row::Written,
            numbers: vec![(session.id(), number)],
        });
        Delivery::tracked(stanza, settle)
    }

    async fn spooled(
        &self,
        account: &BareJid,
        position: u64,
    ) -> Result<Option<Stanza>, StoreError> {
        let engine = self.services.stores.engine();
        let row = engine.get(SPOOL, account, &position.to_be_bytes()).await?;
        Ok(row.and_then(|row| parse_row(&row)))
    }

    async fn numbers(&self, account: &BareJid) -> Result<Vec<Numbered>, StoreError> {
        let rows = self.rows(NUMBERS, account).await?;
        Ok(rows.iter().filter_map(Numbered::read).collect())
    }

    async fn rows(
        &self,
        table: jackdaw_store::Table,
        account: &BareJid,
    ) -> Result<Vec<StoreRow>, StoreError> {
        let mut rows: Vec<StoreRow> = Vec::new();
        let mut range = ItemRange::first(PAGE);
        while rows.len() < ROWS_MAX {
            let page = self.services.stores.engine().list(table, account, range).await?;
            let is_last = page.len() < PAGE;
            rows.extend(page);
            match rows.last() {
                Some(last) if !is_last => range = ItemRange::after(&last.item, PAGE),
                Some(_) | None => break,
            }
        }
        Ok(rows)
    }

    /// The server stops, and the client may resume its session after that: the record is brought up
    /// to date, and what the client has not acknowledged is in the spool by its number.
    pub fn suspended(self: &Arc<Self>, session: &Arc<Session>, suspended: Suspended) {
        let Suspended { accepted, first, unacknowledged } = suspended;
        self.record(session, accepted);
        if let Some(record) = session.slot::<Record>() {
            record.end();
        }
        self.services.sessions.unbind(session);
        let mut effects = Effects::new();
        for (delivery, nth) in unacknowledged.into_iter().zip(0..) {
            let is_kept = self.registry.keeps_offline(&delivery.stanza);
            match delivery.settle.filter(|_| is_kept) {
                Some(settle) => {
                    self.write_unsettled(settle);
                    self.numbered(session, settle, first.wrapping_add(nth));
                }
                // Nobody else has heard of it, and it is not kept: as if the session were over.
                None => self.redeliver(delivery, &mut effects),
            }
        }
        self.start_detached(Box::pin(Arc::clone(self).drain(effects)));
    }

    /// A session that was restored is established: its contacts hear of it, and it of them.
    pub fn returned(self: &Arc<Self>, session: &Arc<Session>) {
        let record = session.slot::<Record>();
        let presence = record.as_ref().and_then(|record| record.returning.lock().clone());
        let mut effects = Effects::new();
        self.tell(Lifecycle::Bound, session, None, &mut effects);
        let (router, session) = (Arc::clone(self), Arc::clone(session));
        let job: Pending<()> = Box::pin(async move {
            Arc::clone(&router).drain(effects).await;
            let stanza = presence.and_then(|presence| {
                Stanza::parse(presence, &Scope::client(), &Limits::trusted()).ok()
            });
            // One that was not available heard of nobody, and nobody of it.
            let Some(stanza) = stanza else { return };
            let ctx = router.ctx_of(Some(&session), session.account());
            router.presence.restored(ctx.clone(), Arc::clone(&session)).await;
            Arc::clone(&router).drain(ctx.take_effects()).await;
            router.own_presence(session, stanza).await;
            // Until here a message that names it queues behind what is in the spool.
            if let Some(record) = record {
                record.returning.lock().take();
            }
        });
        self.start_detached(job);
    }

    /// A resource is about to be bound. A session of an earlier process that had it cannot be
    /// resumed any more; what is numbered for the others waits for them.
    pub(crate) async fn supersede(
        &self,
        account: &BareJid,
        jid: &FullJid,
    ) -> Result<(), StoreError> {
        if self.services.clock.now().0 > self.restorable_until() {
            return Ok(());
        }
        let records = self.earlier(account).await?;
        if records.is_empty() {
            return Ok(());
        }
        let mut gone = Vec::new();
        for (id, identity) in &records {
            if identity.as_ref().is_none_or(|identity| identity.resource == jid.resource()) {
                gone.push(*id);
            }
        }
        let mut batch = Batch::new();
        for id in &gone {
            delete_parts(&mut batch, account, *id);
        }
        for numbered in self.numbers(account).await? {
            let is_waiting = records.iter().any(|(id, _)| *id == numbered.session);
            if gone.contains(&numbered.session) {
                batch.delete(NUMBERS, account, &number_key(numbered.session, numbered.number));
                self.spool.release(account, numbered.position);
            } else if is_waiting {
                self.spool.claim(account, numbered.position);
            }
        }
        if batch.is_empty() { Ok(()) } else { self.services.stores.commit(batch).await }
    }

    /// Until when a session of an earlier process may come back, in milliseconds.
    fn restorable_until(&self) -> u64 {
        let millis = u64::try_from(self.config.resume_timeout.as_millis()).unwrap_or(u64::MAX);
        self.started_at.0.saturating_add(millis)
    }

    /// The records of an account's sessions of earlier processes that have not come back.
    async fn earlier(
        &self,
        account: &BareJid,
    ) -> Result<Vec<(SessionId, Option<Identity>)>, StoreError> {
        let sessions = &self.services.sessions;
        let mut records: Vec<(SessionId, Option<Identity>)> = Vec::new();
        for row in self.rows(SESSIONS, account).await? {
            let Some((id, [part])) = row.item.split_first_chunk::<8>() else { continue };
            let id = SessionId(u64::from_be_bytes(*id));
            if !sessions.is_earlier(id) || sessions.find_id(account.as_str(), id).is_some() {
                continue;
            }
            if records.last().is_none_or(|(last, _)| *last != id) {
                records.push((id, None));
            }
            if let Some((_, identity)) =
                records.last_mut().filter(|_| *part == Part::Identity as u8)
            {
                *identity = Identity::decode(&row.value).ok();
            }
        }
        Ok(records)
    }

    /// Has what is left of earlier processes swept away when nothing of it can come back.
    pub fn sweep_later(self: &Arc<Self>) {
        let sweeping = Box::pin(Arc::clone(self).sweep());
        self.services.spawn.after(self.config.resume_timeout, sweeping);
    }

    async fn sweep(self: Arc<Self>) {
        let mut after = None;
        loop {
            let engine = self.services.stores.engine();
            let accounts = match engine.accounts(SESSIONS, after.as_ref(), PAGE).await {
                Ok(accounts) => accounts,
                Err(error) => return tracing::warn!(%error, "old sessions are not swept away"),
            };
            for account in &accounts {
                if let Err(error) = self.sweep_account(account).await {
                    tracing::warn!(%error, "old sessions of an account are not swept away");
                }
            }
            let Some(last) = accounts.last().filter(|_| accounts.len() == PAGE) else { return };
            after = Some(last.clone());
        }
    }

    /// What was numbered for sessions that did not come back are offline messages now.
    async fn sweep_account(self: &Arc<Self>, account: &BareJid) -> Result<(), StoreError> {
        let _changing = self.services.locks.lock(account).await;
        let gone = self.earlier(account).await?;
        if gone.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::new();
        for (id, _) in &gone {
            delete_parts(&mut batch, account, *id);
        }
        let mut freed = Vec::new();
        for numbered in self.numbers(account).await? {
            if gone.iter().any(|(id, _)| *id == numbered.session) {
                batch.delete(NUMBERS, account, &number_key(numbered.session, numbered.number));
                freed.push(numbered.position);
            }
        }
        self.services.stores.commit(batch).await?;
        for position in freed {
            self.spool.release(account, position);
        }
        self.flush_if_ready(account);
        Ok(())
    }
}
