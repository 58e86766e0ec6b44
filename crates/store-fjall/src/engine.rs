//! Reads, and the hand-over to the committer.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions};
use jackdaw_jid::BareJid;
use jackdaw_store::{
    Answer, Batch, Done, Durability, Engine, ItemRange, Row, StoreError, StoreStats, Table,
};
use parking_lot::Mutex;

use crate::committer::{Committer, Queue};
use crate::key;

/// Format of the rows' keys; a directory of another format is refused.
const FORMAT: u32 = 1;

/// Flushes and compactions run beside each other: with one thread a long compaction holds up the
/// flush of memtables, and journals pile up.
const WORKERS: usize = 2;

/// What an operator may set.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory; made if it is not there.
    pub path: PathBuf,
    /// Memory for blocks read from disk.
    pub cache_bytes: u64,
}

impl Options {
    /// The defaults, in this directory.
    pub fn new(path: impl AsRef<Path>) -> Options {
        Options { path: path.as_ref().to_owned(), cache_bytes: 64 << 20 }
    }
}

/// Rows on the local disk.
pub struct FjallEngine {
    rows: Keyspace,
    database: Database,
    queue: Arc<Queue>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

pub(crate) fn failure(error: &fjall::Error) -> StoreError {
    StoreError::Failed(error.to_string())
}

impl FjallEngine {
    /// Opens the directory, after a crash as after a clean end. What is not whole at the end of the
    /// journal was never acknowledged, and is cut off.
    pub fn open(options: &Options) -> Result<FjallEngine, StoreError> {
        let database = Database::builder(&options.path)
            .cache_size(options.cache_bytes)
            .worker_threads(WORKERS)
            .open()
            .map_err(|error| match error {
                fjall::Error::Locked => StoreError::Locked(options.path.display().to_string()),
                other => failure(&other),
            })?;
        let meta = database
            .keyspace("meta", KeyspaceCreateOptions::default)
            .map_err(|error| failure(&error))?;
        check_format(&meta)?;
        let rows = database
            .keyspace("rows", KeyspaceCreateOptions::default)
            .map_err(|error| failure(&error))?;
        let queue = Arc::new(Queue::default());
        let committer = Committer::new(database.clone(), rows.clone(), Arc::clone(&queue));
        let thread = std::thread::Builder::new()
            .name("store-commit".into())
            .spawn(move || committer.run())
            .map_err(|error| StoreError::Failed(error.to_string()))?;
        Ok(FjallEngine { rows, database, queue, thread: Mutex::new(Some(thread)) })
    }

    fn list_now(
        &self,
        table: Table,
        account: &BareJid,
        range: &ItemRange,
    ) -> Result<Vec<Row>, StoreError> {
        let prefix = key::prefix(table, account);
        let mut start = prefix.clone();
        let mut end = key::above(&prefix);
        if let Some(after) = &range.after {
            let bound = if range.is_reversed { &mut end } else { &mut start };
            bound.truncate(0);
            bound.extend_from_slice(&prefix);
            bound.extend_from_slice(after);
            if !range.is_reversed {
                // The least key greater than this one.
                bound.push(0);
            }
        }
        if start >= end {
            return Ok(Vec::new());
        }
        let read = |guard: fjall::Guard| {
            let (key, value) = guard.into_inner().map_err(|error| failure(&error))?;
            let item = Bytes::copy_from_slice(key.get(prefix.len()..).unwrap_or_default());
            Ok(Row { item, value: Bytes::copy_from_slice(&value) })
        };
        let found = self.rows.range(start..end);
        if range.is_reversed {
            found.rev().take(range.limit).map(read).collect()
        } else {
            found.take(range.limit).map(read).collect()
        }
    }

    /// Skips from account to account: the cost is that of the page, not of the rows.
    fn accounts_now(
        &self,
        table: Table,
        after: Option<&BareJid>,
        limit: usize,
    ) -> Result<Vec<BareJid>, StoreError> {
        let end = key::above(&key::table_prefix(table));
        let mut start = match after {
            Some(account) => key::above(&key::prefix(table, account)),
            None => key::table_prefix(table),
        };
        let mut accounts = Vec::new();
        while accounts.len() < limit && start < end {
            let Some(guard) = self.rows.range(start..end.clone()).next() else { break };
            let found = guard.key().map_err(|error| failure(&error))?;
            let name = key::account_of(table, &found).ok_or(StoreError::Corrupt("a key"))?;
            let account =
                BareJid::parse(name).map_err(|_| StoreError::Corrupt("a key is no JID"))?;
            start = key::above(&key::prefix(table, &account));
            accounts.push(account);
        }
        Ok(accounts)
    }
}

fn check_format(meta: &Keyspace) -> Result<(), StoreError> {
    let found = meta.get("format").map_err(|error| failure(&error))?;
    match found.as_deref() {
        None => meta.insert("format", FORMAT.to_be_bytes()).map_err(|error| failure(&error)),
        Some(bytes) => match <[u8; 4]>::try_from(bytes).map(u32::from_be_bytes) {
            Ok(FORMAT) => Ok(()),
            Ok(found) => Err(StoreError::Version { found, known: FORMAT }),
            Err(_) => Err(StoreError::Corrupt("the format")),
        },
    }
}

impl Engine for FjallEngine {
    fn get(&self, table: Table, account: &BareJid, item: &[u8]) -> Answer<Option<Bytes>> {
        let found = self.rows.get(key::key(table, account, item));
        let copied = found.map(|value| value.map(|value| Bytes::copy_from_slice(&value)));
        Answer::ready(copied.map_err(|error| failure(&error)))
    }

    fn list(&self, table: Table, account: &BareJid, range: ItemRange) -> Answer<Vec<Row>> {
        Answer::ready(self.list_now(table, account, &range))
    }

    fn accounts(
        &self,
        table: Table,
        after: Option<&BareJid>,
        limit: usize,
    ) -> Answer<Vec<BareJid>> {
        Answer::ready(self.accounts_now(table, after, limit))
    }

    fn commit_then(&self, batch: Batch, durability: Durability, done: Done) {
        self.queue.push(batch, durability, done);
    }

    fn health(&self) -> Result<(), StoreError> {
        self.queue.health()
    }

    fn stats(&self) -> StoreStats {
        StoreStats { journals: self.database.journal_count() as u64, ..self.queue.stats() }
    }

    fn close(&self) {
        self.queue.close();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the committer panicked");
        }
    }
}

impl Drop for FjallEngine {
    fn drop(&mut self) {
        self.close();
    }
}
