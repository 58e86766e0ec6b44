//! Accounts without a session whose state was loaded a moment ago.
//!
//! Whoever writes to an account that is away goes on writing, and each message needs the account's
//! state: who is blocked, who is a contact. Loading it is a dozen reads of the store, more than all
//! the rest of such a message, so it is kept for the next one.
//!
//! What is kept is what the store holds: [`Away::watch`] puts itself between the store and who
//! commits, and a commit that may change an account's state makes it forgotten before the commit is
//! reported done.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use jackdaw_jid::BareJid;
use jackdaw_session::Account;
use jackdaw_store::{
    Answer, Batch, Done, Durability, Engine, ItemRange, Op, Row, StoreError, StoreStats, Stores,
    Table,
};
use parking_lot::Mutex;

/// Accounts that are kept at most: those of a busy minute. One without contacts is 200 bytes.
const ACCOUNTS_MAX: usize = 4_096;

/// Bytes of all that is kept. At either bound everything is forgotten, and loaded again as it is
/// needed.
const BYTES_MAX: usize = 8 << 20;

/// What an account may take: a roster of some hundred contacts. A larger one is loaded each time,
/// so that a few giants do not drive out all the others.
const ACCOUNT_BYTES_MAX: usize = 64 << 10;

/// What an account takes beside its state: itself, its place in the map, and its name twice.
const ACCOUNT_BYTES: usize = 200;

/// The accounts that are kept.
pub struct Away {
    kept: Mutex<Kept>,
    /// Tables that hold no state of an account: a message more in the spool changes nothing.
    apart: &'static [Table],
}

#[derive(Default)]
struct Kept {
    /// With the bytes that each takes.
    accounts: HashMap<BareJid, (Arc<Account>, usize)>,
    bytes: usize,
    changes: u64,
}

/// The moment before an account was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment(u64);

impl Away {
    /// Nothing is kept yet. Commits to tables of `apart` are nobody's state.
    pub fn new(apart: &'static [Table]) -> Arc<Away> {
        Arc::new(Away { kept: Mutex::default(), apart })
    }

    /// The same store; from now on, what is kept is forgotten when it changes there. Whoever
    /// commits to accounts that are kept must do so through this.
    pub fn watch(self: &Arc<Away>, stores: &Stores) -> Stores {
        let engine = Arc::clone(stores.engine());
        stores.over(Arc::new(Watched { engine, away: Arc::clone(self) }))
    }

    /// The account, if it is kept; else what [`keep`](Away::keep) is to be told once it is loaded.
    pub(crate) fn get(&self, jid: &BareJid) -> Result<Arc<Account>, Moment> {
        let kept = self.kept.lock();
        let found = kept.accounts.get(jid).map(|(account, _)| Arc::clone(account));
        found.ok_or(Moment(kept.changes))
    }

    /// Keeps an account whose state takes `bytes`, unless something changed while it was loaded.
    pub(crate) fn keep(&self, loading_since: Moment, account: &Arc<Account>, bytes: usize) {
        let bytes = bytes + ACCOUNT_BYTES;
        let mut kept = self.kept.lock();
        if kept.changes != loading_since.0 || bytes > ACCOUNT_BYTES_MAX {
            return;
        }
        if kept.accounts.len() >= ACCOUNTS_MAX || kept.bytes + bytes > BYTES_MAX {
            kept.clear();
        }
        kept.remove(account.jid());
        kept.bytes += bytes;
        kept.accounts.insert(account.jid().clone(), (Arc::clone(account), bytes));
    }

    fn forget(&self, accounts: &[BareJid]) {
        let mut kept = self.kept.lock();
        kept.changes += 1;
        accounts.iter().for_each(|account| kept.remove(account));
    }

    /// The accounts whose state the batch may change.
    fn changed_by(&self, batch: &Batch) -> Vec<BareJid> {
        let mut changed: Vec<BareJid> = Vec::new();
        for op in batch.ops() {
            let (table, account) = match op {
                Op::Put { table, account, .. }
                | Op::Delete { table, account, .. }
                | Op::Clear { table, account } => (table, account),
                Op::Require { .. } => continue,
            };
            if !self.apart.contains(table) && changed.last() != Some(account) {
                changed.push(account.clone());
            }
        }
        changed
    }
}

impl Kept {
    fn remove(&mut self, account: &BareJid) {
        if let Some((_, bytes)) = self.accounts.remove(account) {
            self.bytes -= bytes;
        }
    }

    fn clear(&mut self) {
        self.accounts.clear();
        self.bytes = 0;
    }
}

/// An engine that tells [`Away`] of what it commits.
struct Watched {
    engine: Arc<dyn Engine>,
    away: Arc<Away>,
}

impl Engine for Watched {
    fn get(&self, table: Table, account: &BareJid, item: &[u8]) -> Answer<Option<Bytes>> {
        self.engine.get(table, account, item)
    }

    fn list(&self, table: Table, account: &BareJid, range: ItemRange) -> Answer<Vec<Row>> {
        self.engine.list(table, account, range)
    }

    fn accounts(
        &self,
        table: Table,
        after: Option<&BareJid>,
        limit: usize,
    ) -> Answer<Vec<BareJid>> {
        self.engine.accounts(table, after, limit)
    }

    fn commit_then(&self, batch: Batch, durability: Durability, done: Done) {
        let changed = self.away.changed_by(&batch);
        if changed.is_empty() {
            return self.engine.commit_then(batch, durability, done);
        }
        let away = Arc::clone(&self.away);
        let told = Box::new(move |result| {
            // A commit that failed may have been written all the same.
            away.forget(&changed);
            done(result);
        });
        self.engine.commit_then(batch, durability, told);
    }

    fn health(&self) -> Result<(), StoreError> {
        self.engine.health()
    }

    fn stats(&self) -> StoreStats {
        self.engine.stats()
    }

    fn close(&self) {
        self.engine.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jackdaw_session::Slots;
    use jackdaw_store::MemoryEngine;
    use jackdaw_store::conformance::wait;

    const STATE: Table = Table::new("state");
    const QUEUE: Table = Table::new("queue");

    fn watched() -> (Arc<Away>, Stores) {
        let stores = Stores::new(Arc::new(MemoryEngine::new()), Durability::Durable);
        let away = Away::new(&[QUEUE]);
        let stores = away.watch(&stores);
        (away, stores)
    }

    fn bare(jid: &str) -> BareJid {
        BareJid::parse(jid).expect("a JID")
    }

    fn keep(away: &Away, jid: &str, bytes: usize) {
        let Err(moment) = away.get(&bare(jid)) else { return };
        away.keep(moment, &Arc::new(Account::new(bare(jid), Slots::default())), bytes);
    }

    fn write(stores: &Stores, table: Table, jid: &str) {
        let mut batch = Batch::new();
        batch.put(table, &bare(jid), b"item", Bytes::from_static(b"value"));
        wait(stores.commit(batch)).expect("committed");
    }

    #[test]
    fn an_account_is_kept_until_its_state_changes_in_the_store() {
        let (away, stores) = watched();
        keep(&away, "juliet@capulet.lit", 0);
        keep(&away, "nurse@capulet.lit", 0);
        write(&stores, QUEUE, "juliet@capulet.lit");
        assert!(away.get(&bare("juliet@capulet.lit")).is_ok(), "that was no state");
        write(&stores, STATE, "juliet@capulet.lit");
        assert!(away.get(&bare("juliet@capulet.lit")).is_err());
        assert!(away.get(&bare("nurse@capulet.lit")).is_ok(), "hers did not change");
    }

    #[test]
    fn what_is_removed_changes_too() {
        let (away, stores) = watched();
        keep(&away, "juliet@capulet.lit", 0);
        let mut batch = Batch::new();
        batch.clear(STATE, &bare("juliet@capulet.lit"));
        wait(stores.commit(batch)).expect("committed");
        assert!(away.get(&bare("juliet@capulet.lit")).is_err());
    }

    #[test]
    fn what_was_loaded_while_something_changed_is_not_kept() {
        let (away, stores) = watched();
        let moment = away.get(&bare("juliet@capulet.lit")).expect_err("not kept yet");
        write(&stores, STATE, "juliet@capulet.lit");
        let account = Account::new(bare("juliet@capulet.lit"), Slots::default());
        away.keep(moment, &Arc::new(account), 0);
        assert!(away.get(&bare("juliet@capulet.lit")).is_err());
    }

    #[test]
    fn a_giant_is_not_kept_and_many_do_not_stay() {
        let (away, _) = watched();
        keep(&away, "giant@capulet.lit", ACCOUNT_BYTES_MAX);
        assert!(away.get(&bare("giant@capulet.lit")).is_err());
        let large = ACCOUNT_BYTES_MAX - ACCOUNT_BYTES;
        for n in 0..=BYTES_MAX / ACCOUNT_BYTES_MAX {
            keep(&away, &format!("u{n}@capulet.lit"), large);
        }
        let kept = away.kept.lock();
        assert_eq!((kept.accounts.len(), kept.bytes), (1, ACCOUNT_BYTES_MAX), "the last one");
    }

    #[test]
    fn the_conformance_suite_passes_under_watch() {
        jackdaw_store::conformance::run(&|| {
            let stores = Stores::new(Arc::new(MemoryEngine::new()), Durability::Durable);
            Arc::clone(Away::new(&[]).watch(&stores).engine())
        });
    }
}
