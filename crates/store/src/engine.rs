//! The contract of a storage engine.

use std::time::Duration;

use bytes::Bytes;
use jackdaw_jid::BareJid;

use crate::{Answer, Batch, Fence, StoreError, Table};

/// When a commit counts as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// When it survives the loss of power.
    Durable,
    /// When it is in memory, and will be on disk soon. Survives the process, usually; not the
    /// machine.
    Fast,
}

/// Which items of an account to list, in the order of their bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ItemRange {
    /// Only items greater than this (less, if reversed).
    pub after: Option<Bytes>,
    /// At most so many rows.
    pub limit: usize,
    /// From the greatest down.
    pub is_reversed: bool,
}

impl ItemRange {
    /// The first `limit` items.
    pub fn first(limit: usize) -> ItemRange {
        ItemRange { after: None, limit, is_reversed: false }
    }

    /// The first `limit` items greater than `item`.
    pub fn after(item: impl AsRef<[u8]>, limit: usize) -> ItemRange {
        let after = Some(Bytes::copy_from_slice(item.as_ref()));
        ItemRange { after, limit, is_reversed: false }
    }

    /// The last `limit` items, from the greatest down.
    pub fn last(limit: usize) -> ItemRange {
        ItemRange { after: None, limit, is_reversed: true }
    }
}

/// A row of a known table and account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Which.
    pub item: Bytes,
    /// What it holds.
    pub value: Bytes,
}

/// Called once with the outcome of a commit, on a thread of the engine. It must not block.
pub type Done = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// Counters of an engine, since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Batches that wait for the committer.
    pub queue_batches: u64,
    /// Bytes that wait for the committer.
    pub queue_bytes: u64,
    /// Commits that reached the disk; each covers one or more batches.
    pub commits: u64,
    /// Batches committed.
    pub batches: u64,
    /// Rows written or removed.
    pub rows: u64,
    /// Sum of the time from the start of a commit to its end.
    pub commit_time: Duration,
    /// The longest commit.
    pub commit_time_max: Duration,
    /// Segments of the write-ahead log whose rows are not all in tables yet; a growing number means
    /// that flushing falls behind.
    pub journals: u64,
    /// Commits that were given up because the database did not answer.
    pub commits_failed: u64,
    /// Connections for commits that were made anew.
    pub reconnects: u64,
    /// Whether every table was read and checked since the start.
    pub tables_checked: bool,
}

/// A storage engine. Every method may be called from any thread and returns at once.
///
/// Commits are applied in the order in which they were handed over. A read sees every commit that
/// was reported done before it began.
pub trait Engine: Send + Sync + 'static {
    /// One row's value.
    fn get(&self, table: Table, account: &BareJid, item: &[u8]) -> Answer<Option<Bytes>>;

    /// Rows of an account, in the order of their items.
    fn list(&self, table: Table, account: &BareJid, range: ItemRange) -> Answer<Vec<Row>>;

    /// Up to `limit` accounts that have rows in the table, in the order of their text, after
    /// `after`.
    fn accounts(&self, table: Table, after: Option<&BareJid>, limit: usize)
    -> Answer<Vec<BareJid>>;

    /// Commits the batch, all of it or nothing, and calls `done` exactly once: also when the store
    /// is closed meanwhile. Where the queue is full `done` gets [`StoreError::Busy`] at once.
    fn commit_then(&self, batch: Batch, durability: Durability, done: Done);

    /// [`commit_then`](Engine::commit_then) as a future.
    fn commit(&self, batch: Batch, durability: Durability) -> Answer<()> {
        let (sender, receiver) = crate::typed::outcome();
        self.commit_then(batch, durability, Box::new(move |result| sender.send(result)));
        Answer::pending(receiver)
    }

    /// Why the store takes no commits any more, if it does not.
    fn health(&self) -> Result<(), StoreError>;

    /// Counters.
    fn stats(&self) -> StoreStats;

    /// Commits what is queued, syncs and closes. Later commits get [`StoreError::Closed`]. Blocks.
    fn close(&self);
}

/// An engine that several nodes use at once, and that keeps former owners of a shard out.
pub trait Fenced: Engine {
    /// Raises the shards to these epochs. From the answer on no write of a lower epoch takes
    /// effect, and what took effect before is seen by every read that begins now. Each shard is
    /// answered for, in its order: with its epoch now, which is a later one if somebody claimed
    /// it for that.
    fn claim(&self, claims: &[Fence]) -> Answer<Vec<Fence>>;
}
