//! An engine in memory: for tests, and for who wants nothing to last.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use jackdaw_jid::BareJid;
use parking_lot::Mutex;

use crate::{
    Answer, Batch, Done, Durability, Engine, ItemRange, Op, Row, StoreError, StoreStats, Table,
};

type Key = (Table, BareJid, Bytes);

/// Rows in a tree under one lock. Commits are done when they return.
#[derive(Default)]
pub struct MemoryEngine {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    rows: BTreeMap<Key, Bytes>,
    stats: StoreStats,
    is_closed: bool,
}

impl MemoryEngine {
    /// An empty one.
    pub fn new() -> MemoryEngine {
        MemoryEngine::default()
    }
}

impl State {
    fn commit(&mut self, batch: Batch) -> Result<(), StoreError> {
        if self.is_closed {
            return Err(StoreError::Closed);
        }
        for op in batch.ops() {
            if let Op::Require { table, account, item, value } = op {
                let found = self.rows.get(&(*table, account.clone(), item.clone()));
                if found != value.as_ref() {
                    return Err(StoreError::Conflict);
                }
            }
        }
        self.stats.commits += 1;
        self.stats.batches += 1;
        for op in batch.into_ops() {
            self.apply(op);
        }
        Ok(())
    }

    fn apply(&mut self, op: Op) {
        self.stats.rows += 1;
        match op {
            Op::Put { table, account, item, value } => {
                self.rows.insert((table, account, item), value);
            }
            Op::Delete { table, account, item } => {
                self.rows.remove(&(table, account, item));
            }
            Op::Clear { table, account } => {
                self.rows.retain(|(t, a, _), _| *t != table || *a != account);
            }
            Op::Require { .. } => {}
        }
    }

    fn list(&self, table: Table, account: &BareJid, range: &ItemRange) -> Vec<Row> {
        let key = |item: &Bytes| (table, account.clone(), item.clone());
        let first = Bound::Included(key(&Bytes::new()));
        let after = range.after.as_ref().map(|item| Bound::Excluded(key(item)));
        let of = |(key, value): (&Key, &Bytes)| Row { item: key.2.clone(), value: value.clone() };
        let is_own = |(key, _): &(&Key, &Bytes)| key.0 == table && key.1 == *account;
        if range.is_reversed {
            let rows = self.rows.range((first, after.unwrap_or(Bound::Unbounded)));
            // Without an upper bound the tail of the tree belongs to others.
            rows.rev()
                .skip_while(|row| !is_own(row))
                .take_while(is_own)
                .take(range.limit)
                .map(of)
                .collect()
        } else {
            let rows = self.rows.range((after.unwrap_or(first), Bound::Unbounded));
            rows.take_while(is_own).take(range.limit).map(of).collect()
        }
    }
}

impl Engine for MemoryEngine {
    fn get(&self, table: Table, account: &BareJid, item: &[u8]) -> Answer<Option<Bytes>> {
        let key = (table, account.clone(), Bytes::copy_from_slice(item));
        Answer::ready(Ok(self.state.lock().rows.get(&key).cloned()))
    }

    fn list(&self, table: Table, account: &BareJid, range: ItemRange) -> Answer<Vec<Row>> {
        Answer::ready(Ok(self.state.lock().list(table, account, &range)))
    }

    fn accounts(
        &self,
        table: Table,
        after: Option<&BareJid>,
        limit: usize,
    ) -> Answer<Vec<BareJid>> {
        let state = self.state.lock();
        let mut accounts: Vec<BareJid> = Vec::new();
        for (row_table, account, _) in state.rows.keys() {
            let is_next = after.is_none_or(|after| account > after);
            if *row_table != table || !is_next || accounts.last() == Some(account) {
                continue;
            }
            if accounts.len() == limit {
                break;
            }
            accounts.push(account.clone());
        }
        Answer::ready(Ok(accounts))
    }

    fn commit_then(&self, batch: Batch, _: Durability, done: Done) {
        let result = self.state.lock().commit(batch);
        done(result);
    }

    fn health(&self) -> Result<(), StoreError> {
        if self.state.lock().is_closed { Err(StoreError::Closed) } else { Ok(()) }
    }

    fn stats(&self) -> StoreStats {
        self.state.lock().stats
    }

    fn close(&self) {
        self.state.lock().is_closed = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn the_engine_in_memory_conforms() {
        crate::conformance::run(&|| Arc::new(MemoryEngine::new()));
    }
}
