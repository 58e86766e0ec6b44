//! The record of a session that can be resumed: what outlives the process (XEP-0198 §5).
//!
//! Three rows by session, because they change at different times: who it is (once), how much of
//! what it sent is accepted (with every `h` it is told), what its contacts and extensions know of
//! it (when that changed, with the next `h`). A fourth table has a row for each message that the
//! session was to get and that is in the spool: its number, and where it is.
//!
//! A message with an origin-id (XEP-0359) from a session on record is claimed: the commit that
//! keeps the message also puts its number, or a hash of its id, into the sender's record. So a
//! client that sends it again after a crash is recognised. Rows of one session are handed over
//! under its lock, and commits happen in the order of their hand-over: a later row says all that
//! an earlier one said.

mod rows;

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use bytes::Bytes;
use jackdaw_ext::Command;
use jackdaw_jid::BareJid;
use jackdaw_session::{Session, SessionId};
use jackdaw_stanza::{Settle, Stanza, ns};
use jackdaw_store::{Batch, StoreError};
use parking_lot::Mutex;

use crate::Router;
use crate::ledger::Receipt;

pub(crate) use rows::{Accepted, Known, ORIGINS_MAX, Part, delete_parts, number_key, part_key};
pub use rows::{Identity, NUMBERS, SESSIONS};

/// A session's record, in memory: a slot of the session.
pub(crate) struct Record {
    account: BareJid,
    session: SessionId,
    /// The `h` that is durable.
    durable: AtomicU32,
    state: Mutex<State>,
    /// The presence of a session that was restored, until it is broadcast.
    pub returning: Mutex<Option<Bytes>>,
}

#[derive(Clone, Default)]
struct State {
    /// Up to where every stanza is accepted, or claimed by a commit that was handed over.
    handled: u32,
    /// Claimed beyond that: number and hash of the origin-id.
    claimed: Vec<(u32, u64)>,
    /// Accepted on an earlier stream beyond the `h` that the client was told when it resumed.
    recalled: VecDeque<u64>,
    /// The height then: a client sends them again at once, so they need not be known for ever.
    recalled_at: u32,
    /// Of the last state that was written.
    known: u64,
    is_over: bool,
}

impl State {
    fn claim(&mut self, number: u32, origin: u64) {
        self.recalled.retain(|recalled| *recalled != origin);
        if number.wrapping_sub(self.handled).wrapping_sub(1) > u32::MAX / 2 {
            return;
        }
        self.claimed.retain(|(claimed, _)| *claimed != number);
        self.claimed.push((number, origin));
        self.run_on();
    }

    /// Moves the height over what is claimed in turn.
    fn run_on(&mut self) {
        let is_next = |state: &State| {
            let next = state.handled.wrapping_add(1);
            state.claimed.iter().position(|(number, _)| *number == next)
        };
        while let Some(position) = is_next(self) {
            self.claimed.swap_remove(position);
            self.handled = self.handled.wrapping_add(1);
        }
    }

    fn raise(&mut self, h: u32) {
        if h.wrapping_sub(self.handled) <= u32::MAX / 2 {
            self.handled = h;
        }
        let handled = self.handled;
        self.claimed.retain(|(number, _)| number.wrapping_sub(handled) <= u32::MAX / 2);
        self.run_on();
        if self.handled.wrapping_sub(self.recalled_at) as usize > ORIGINS_MAX {
            self.recalled.clear();
        }
    }

    /// The client sends again what follows `h`.
    fn rewind(&mut self, h: u32) {
        self.recalled.extend(self.claimed.drain(..).map(|(_, origin)| origin));
        self.recalled.truncate(ORIGINS_MAX);
        self.recalled_at = h;
    }

    fn row(&self) -> Vec<u8> {
        let claimed = self.claimed.iter().map(|(_, origin)| *origin);
        let origins = claimed.chain(self.recalled.iter().copied()).collect();
        Accepted { handled: self.handled, origins }.encode()
    }
}

impl Record {
    fn new(session: &Session) -> Record {
        Record::restored(session, Accepted::default(), None)
    }

    /// The record of a session that comes back; `presence` is broadcast when it is established.
    pub(crate) fn restored(
        session: &Session,
        accepted: Accepted,
        presence: Option<Bytes>,
    ) -> Record {
        let Accepted { handled, origins } = accepted;
        let recalled = origins.into();
        let state = State { handled, recalled, recalled_at: handled, ..State::default() };
        Record {
            account: session.account().jid().clone(),
            session: session.id(),
            durable: AtomicU32::new(handled),
            state: Mutex::new(state),
            returning: Mutex::new(presence),
        }
    }

    fn accepted_key(&self) -> [u8; 9] {
        part_key(self.session, Part::Accepted)
    }

    fn is_durable(&self, h: u32) -> bool {
        self.durable.load(Ordering::Acquire).wrapping_sub(h) <= u32::MAX / 2
    }

    fn committed(&self, h: u32) {
        let raise = |durable: u32| (h.wrapping_sub(durable) <= u32::MAX / 2).then_some(h);
        // It is refused where it is as high already.
        let _ = self.durable.fetch_update(Ordering::AcqRel, Ordering::Acquire, raise);
    }

    /// Whether a stanza with this origin-id is accepted already, beyond the `h` that the client was
    /// told when it resumed.
    pub(crate) fn recalls(&self, origin: u64) -> bool {
        self.state.lock().recalled.contains(&origin)
    }

    /// The session is over: nothing is written any more.
    pub(crate) fn end(&self) {
        self.state.lock().is_over = true;
    }
}

/// What a commit puts into the record of the sender of a message.
#[derive(Clone)]
pub struct Claim {
    record: Arc<Record>,
    origin: u64,
}

impl Claim {
    /// The claim for a message of this session, if it is on record and the message has an id that
    /// its client would send again.
    pub(crate) fn of(session: &Session, message: &Stanza) -> Option<Claim> {
        let origin = message.payload(ns::STANZA_ID, "origin-id")?;
        let record = session.slot::<Record>()?;
        Some(Claim { record, origin: hash(origin.xml) })
    }

    /// Whether the message was accepted on an earlier stream.
    pub(crate) fn is_recalled(&self) -> bool {
        self.record.recalls(self.origin)
    }
}

impl std::fmt::Debug for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Claim").field("session", &self.record.session).finish_non_exhaustive()
    }
}

/// FNV-1a: the same in every process. A client that makes two of its ids collide loses its own
/// message.
fn hash(bytes: &[u8]) -> u64 {
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    bytes.iter().fold(BASIS, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME))
}

impl Router {
    /// Makes the record of a session that is about to become resumable. True when it is durable.
    pub async fn keep(&self, session: &Arc<Session>, identity: Identity) -> bool {
        let known = Known::of(session, &self.registry).encode();
        let record = Record::new(session);
        record.state.lock().known = fingerprint(&known);
        session.set_slot(record);
        let account = session.account().jid();
        let mut batch = Batch::new();
        batch.put(SESSIONS, account, &part_key(session.id(), Part::Identity), identity.encode());
        batch.put(SESSIONS, account, &part_key(session.id(), Part::State), known);
        let kept = self.services.stores.commit(batch).await;
        if let Err(error) = &kept {
            tracing::warn!(%error, "a session could not be put on record");
            session.remove_slot::<Record>();
        }
        kept.is_ok()
    }

    /// Has the record of a session say that so many of its stanzas are accepted, and what others
    /// know of it now. Its stream hears [`Command::Recorded`]; true: the record says so already.
    pub fn record(self: &Arc<Self>, session: &Arc<Session>, h: u32) -> bool {
        let Some(record) = session.slot::<Record>().filter(|record| !record.is_durable(h)) else {
            return true;
        };
        let known = Known::of(session, &self.registry).encode();
        let fingerprint = fingerprint(&known);
        let mut state = record.state.lock();
        if state.is_over {
            return true;
        }
        let before = state.clone();
        state.raise(h);
        let mut batch = Batch::new();
        if state.known != fingerprint {
            state.known = fingerprint;
            let key = part_key(record.session, Part::State);
            batch.put(SESSIONS, &record.account, &key, known);
        }
        batch.put(SESSIONS, &record.account, &record.accepted_key(), state.row());
        let (outbox, session) = (Arc::clone(self.outbox()), Arc::clone(session));
        let handled = state.handled;
        let recorded = Arc::clone(&record);
        let refused = self.commit_or_refuse(&record, batch, move |outcome| {
            match outcome {
                Ok(()) => recorded.committed(handled),
                Err(error) => tracing::warn!(%error, "the record of a session was not written"),
            }
            let durable = recorded.durable.load(Ordering::Acquire);
            let told = if recorded.is_durable(h) { h } else { durable };
            outbox.command(session.address(), Command::Recorded(told));
        });
        if refused {
            *state = before;
        }
        false
    }

    /// Commits what says something in a record; true if the store refused at once. Then, or where
    /// the disk turns out to be full, a later commit may succeed, and must not say what this one
    /// was to say.
    fn commit_or_refuse(
        self: &Arc<Self>,
        record: &Arc<Record>,
        batch: Batch,
        done: impl FnOnce(Result<(), StoreError>) + Send + 'static,
    ) -> bool {
        const HANDED_OVER: u8 = 1;
        const FAILED: u8 = 2;
        let fate = Arc::new(AtomicU8::new(0));
        let (told, router, record) = (Arc::clone(&fate), Arc::clone(self), Arc::clone(record));
        self.commit(batch, move |outcome| {
            // Rows that were made meanwhile repeat what is not so: no record is better.
            if outcome.is_err() && told.swap(FAILED, Ordering::AcqRel) == HANDED_OVER {
                router.delete_record(&record);
            }
            done(outcome);
        });
        fate.swap(HANDED_OVER, Ordering::AcqRel) == FAILED
    }

    /// Commits what keeps a message, and with it what its sender's record says of that.
    pub(crate) fn commit_claimed(
        self: &Arc<Self>,
        mut batch: Batch,
        receipt: Option<&Receipt>,
        done: impl FnOnce(Result<(), StoreError>) + Send + 'static,
    ) {
        let claim = receipt.and_then(|receipt| Some((receipt.number, receipt.claim.as_ref()?)));
        let Some((number, Claim { record, origin })) = claim else {
            return self.commit(batch, done);
        };
        let mut state = record.state.lock();
        if state.is_over {
            drop(state);
            return self.commit(batch, done);
        }
        let before = state.clone();
        state.claim(number, *origin);
        batch.put(SESSIONS, &record.account, &record.accepted_key(), state.row());
        let (committed, handled) = (Arc::clone(record), state.handled);
        // Under the lock: rows are handed over in the order in which they are made.
        let refused = self.commit_or_refuse(record, batch, move |outcome| {
            if outcome.is_ok() {
                committed.committed(handled);
            }
            done(outcome);
        });
        if refused {
            *state = before;
        }
    }

    /// A message needs no row of its own: its sender's record alone says that it is accepted.
    pub(crate) fn accept_claimed(self: &Arc<Self>, receipt: Receipt) {
        let router = Arc::clone(self);
        let told = receipt.clone();
        self.commit_claimed(Batch::new(), Some(&receipt), move |outcome| {
            if let Err(error) = outcome {
                tracing::warn!(%error, "the record of a session was not written");
            }
            router.accepted(&told);
        });
    }

    /// A message for this session has its number there. A session on record keeps it beside the
    /// message's row; the stream may write the message when that is durable.
    pub fn numbered(&self, session: &Arc<Session>, settle: Settle, number: u32) {
        let is_recorded = session.has_slot::<Record>();
        let id = session.id();
        let found = self.ledger.with(settle, |entry| {
            if is_recorded && !entry.numbers.contains(&(id, number)) {
                entry.numbers.push((id, number));
            }
            ((entry.account.clone(), entry.position), false)
        });
        let mut batch = Batch::new();
        if let Some(((account, position), _)) = found.filter(|_| is_recorded) {
            batch.put(NUMBERS, &account, &number_key(id, number), position.to_be_bytes().to_vec());
        }
        let (outbox, session) = (Arc::clone(self.outbox()), Arc::clone(session));
        // Also without anything to write: what was handed over before, such as the message's row,
        // is durable when this is.
        self.commit(batch, move |outcome| {
            if let Err(error) = outcome {
                tracing::warn!(%error, "the number of a message was not written");
            }
            outbox.command(session.address(), Command::Write(number));
        });
    }

    /// The client of a session on record leaves. Its stream hears [`Command::Left`] when everything
    /// that was handed over before is durable: what it acknowledged is deleted then.
    pub fn leaving(&self, session: &Arc<Session>) {
        let (outbox, session) = (Arc::clone(self.outbox()), Arc::clone(session));
        self.commit(Batch::new(), move |outcome| {
            if let Err(error) = outcome {
                tracing::warn!(%error, "what a client acknowledged may come again");
            }
            outbox.command(session.address(), Command::Left);
        });
    }

    /// A session goes on, and its client was told `h`: what follows comes again.
    pub fn rewound(&self, session: &Session, h: u32) {
        if let Some(record) = session.slot::<Record>() {
            record.state.lock().rewind(h);
        }
    }

    /// Whether a session was restored and its presence is not broadcast yet.
    pub(crate) fn is_returning(&self, session: &Session) -> bool {
        session.slot::<Record>().is_some_and(|record| record.returning.lock().is_some())
    }

    /// The session is over for good: nobody may resume it after a restart.
    pub(crate) fn strike(&self, session: &Session) {
        if let Some(record) = session.slot::<Record>() {
            self.delete_record(&record);
        }
    }

    fn delete_record(&self, record: &Record) {
        record.end();
        let mut batch = Batch::new();
        delete_parts(&mut batch, &record.account, record.session);
        self.commit_unwatched(batch, "the record of a session that ended stays");
    }

    /// Commits what nobody waits for.
    pub(crate) fn commit_unwatched(&self, batch: Batch, failure: &'static str) {
        let done = move |outcome: Result<(), StoreError>| {
            if let Err(error) = outcome {
                tracing::warn!(%error, failure);
            }
        };
        let engine = self.services.stores.engine();
        engine.commit_then(batch, jackdaw_store::Durability::Fast, Box::new(done));
    }
}

/// Tells one state from another, within this process.
fn fingerprint(known: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(known);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_in_turn_raises_the_height_and_one_out_of_turn_waits() {
        let mut state = State::default();
        state.claim(2, 20);
        assert_eq!(Accepted::decode(&state.row()), Ok(Accepted { handled: 0, origins: vec![20] }));
        state.claim(1, 10);
        assert_eq!(Accepted::decode(&state.row()), Ok(Accepted { handled: 2, origins: vec![] }));
    }

    #[test]
    fn a_height_that_is_told_covers_what_was_claimed_below_and_runs_on_above() {
        let mut state = State { handled: u32::MAX - 1, ..State::default() };
        for number in [u32::MAX, 2, 3] {
            state.claim(number, number.into());
        }
        state.raise(1);
        assert_eq!(state.handled, 3);
        assert!(state.claimed.is_empty());
        state.raise(2);
        assert_eq!(state.handled, 3, "it never falls");
    }

    #[test]
    fn what_was_accepted_on_an_earlier_stream_does_not_raise_the_height() {
        let mut state = State { handled: 5, recalled: [70].into(), ..State::default() };
        state.claim(6, 60);
        assert_eq!(Accepted::decode(&state.row()), Ok(Accepted { handled: 6, origins: vec![70] }));
        state.claim(7, 70);
        assert_eq!(Accepted::decode(&state.row()), Ok(Accepted { handled: 7, origins: vec![] }));
    }
}
