//! An engine for tests of those who write: its commits and reads wait until they are let go, or
//! fail.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use bytes::Bytes;
use jackdaw_jid::BareJid;
use parking_lot::Mutex;

use crate::{
    Answer, Batch, Done, Durability, Engine, ItemRange, MemoryEngine, Row, StoreError, StoreStats,
    Table,
};

/// What becomes of a commit.
#[derive(Clone, Debug, Default)]
pub enum Mode {
    /// It is done at once.
    #[default]
    Through,
    /// It waits for [`HeldEngine::release`].
    Hold,
    /// It fails so.
    Fail(StoreError),
}

/// A [`MemoryEngine`] that does as the test says.
#[derive(Default)]
pub struct HeldEngine {
    /// Where what was committed is.
    pub memory: Arc<MemoryEngine>,
    mode: Mutex<Mode>,
    held: Mutex<Vec<(Batch, Durability, Done)>>,
    reads_wait: Arc<AtomicBool>,
    lists: Mutex<HashMap<Table, usize>>,
}

impl HeldEngine {
    /// Over rows that outlive it.
    pub fn over(memory: Arc<MemoryEngine>) -> HeldEngine {
        HeldEngine { memory, ..HeldEngine::default() }
    }

    /// What becomes of commits from now on.
    pub fn set(&self, mode: Mode) {
        *self.mode.lock() = mode;
    }

    /// Commits that wait.
    pub fn held(&self) -> usize {
        self.held.lock().len()
    }

    /// Lets every commit go that waits, in order.
    pub fn release(&self) {
        for (batch, durability, done) in std::mem::take(&mut *self.held.lock()) {
            self.memory.commit_then(batch, durability, done);
        }
    }

    /// Commits what waits, and loses the answers.
    pub fn lose(&self) {
        for (batch, durability, done) in std::mem::take(&mut *self.held.lock()) {
            self.memory.commit_then(batch, durability, Box::new(|_| {}));
            done(Err(StoreError::Unavailable));
        }
    }

    /// Fails every commit that waits.
    pub fn fail(&self, error: &StoreError) {
        for (_, _, done) in std::mem::take(&mut *self.held.lock()) {
            done(Err(error.clone()));
        }
    }

    /// Lists read from now on wait, or go on.
    pub fn set_reads_wait(&self, wait: bool) {
        self.reads_wait.store(wait, Ordering::Relaxed);
    }

    /// How often rows of this table were listed.
    pub fn lists(&self, table: Table) -> usize {
        self.lists.lock().get(&table).copied().unwrap_or_default()
    }
}

impl Engine for HeldEngine {
    fn get(&self, table: Table, account: &BareJid, item: &[u8]) -> Answer<Option<Bytes>> {
        self.memory.get(table, account, item)
    }

    fn list(&self, table: Table, account: &BareJid, range: ItemRange) -> Answer<Vec<Row>> {
        *self.lists.lock().entry(table).or_default() += 1;
        if !self.reads_wait.load(Ordering::Relaxed) {
            return self.memory.list(table, account, range);
        }
        let (wait, memory) = (Arc::clone(&self.reads_wait), Arc::clone(&self.memory));
        let account = account.clone();
        Answer::pending(async move {
            std::future::poll_fn(|_| match wait.load(Ordering::Relaxed) {
                true => Poll::Pending,
                false => Poll::Ready(()),
            })
            .await;
            memory.list(table, &account, range).await
        })
    }

    fn accounts(
        &self,
        table: Table,
        after: Option<&BareJid>,
        limit: usize,
    ) -> Answer<Vec<BareJid>> {
        self.memory.accounts(table, after, limit)
    }

    fn commit_then(&self, batch: Batch, durability: Durability, done: Done) {
        let mode = self.mode.lock().clone();
        match mode {
            Mode::Through => self.memory.commit_then(batch, durability, done),
            Mode::Hold => self.held.lock().push((batch, durability, done)),
            Mode::Fail(error) => done(Err(error)),
        }
    }

    fn health(&self) -> Result<(), StoreError> {
        self.memory.health()
    }

    fn stats(&self) -> StoreStats {
        self.memory.stats()
    }

    fn close(&self) {
        self.memory.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_that_is_let_go_at_once_conforms() {
        crate::conformance::run(&|| Arc::new(HeldEngine::default()));
    }
}
