//! Opening, reads, and the hand-over to the committer.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use jackdaw_jid::BareJid;
use jackdaw_store::{
    Answer, Batch, Done, Durability, Engine, ItemRange, Row, StoreError, StoreStats, Table,
};
use parking_lot::Mutex;

use crate::committer::{Committer, LogEnd};
use crate::directory::Directory;
use crate::key;
use crate::log::replay::{Found, Replayed, replay, unreadable};
use crate::log::{Segment, Witness, segment, witness};
use crate::queue::Queue;
use crate::tree::Tree;
use crate::upkeep::Upkeep;

/// Tells how many bytes are free where the path is.
pub type FreeBytes = Arc<dyn Fn(&Path) -> io::Result<u64> + Send + Sync>;

/// What an operator may set, and what tests do.
#[derive(Clone)]
pub struct Options {
    /// The directory; made if it is not there.
    pub path: PathBuf,
    /// Memory for blocks read from disk.
    pub cache_bytes: u64,
    /// Size of a segment of the log, and about that of a memtable. Up to four of them are read at
    /// a start.
    pub segment_bytes: u64,
    /// With less free on the disk nothing new is stored: a flush and a compaction need room as
    /// well, and so does whatever else is on that disk.
    pub free_bytes_min: u64,
    /// How to find out what is free.
    pub free_bytes: FreeBytes,
}

impl Options {
    /// The defaults, in this directory.
    pub fn new(path: impl AsRef<Path>) -> Options {
        Options {
            path: path.as_ref().to_owned(),
            cache_bytes: 64 << 20,
            segment_bytes: 16 << 20,
            free_bytes_min: 64 << 20,
            free_bytes: Arc::new(free_bytes),
        }
    }
}

fn free_bytes(path: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(path)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

/// Rows on the local disk.
pub struct FjallEngine {
    tree: Arc<Tree>,
    queue: Arc<Queue>,
    upkeep: Arc<Upkeep>,
    committer: Mutex<Option<JoinHandle<()>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    _directory: Directory,
}

impl FjallEngine {
    /// Opens the directory, after a crash as after a clean end. What is not whole at the end of the
    /// log was never acknowledged, and is cut off; what was and is not there is an error.
    pub fn open(options: &Options) -> Result<FjallEngine, StoreError> {
        let directory = Directory::open(&options.path, options.segment_bytes, Tree::make)?;
        let tree = Arc::new(Tree::open(&directory.rows, options.cache_bytes)?);
        let mut ended = VecDeque::new();
        let replayed = fill(&tree, &directory.log, &mut ended)?;
        let next_number = replayed.later.last().unwrap_or(&replayed.segment) + 1;
        let log = log_end(&directory.log, &replayed)
            .map_err(|error| unreadable(&directory.log, &error))?;
        let queue = Arc::new(Queue::default());
        let upkeep = Arc::new(Upkeep::new(
            Arc::clone(&tree),
            Arc::clone(&queue),
            directory.log.clone(),
            options.clone(),
            ended,
            next_number,
        ));
        let committer =
            Committer::new(Arc::clone(&tree), Arc::clone(&queue), Arc::clone(&upkeep), log);
        let engine = FjallEngine {
            tree,
            queue,
            upkeep,
            committer: Mutex::new(Some(spawn("store-commit", move || committer.run())?)),
            threads: Mutex::default(),
            _directory: directory,
        };
        engine.start("store-flush", Upkeep::run)?;
        engine.start("store-compact", Upkeep::compact)?;
        engine.start("store-check", Upkeep::check)?;
        Ok(engine)
    }

    fn start(&self, name: &str, work: fn(&Upkeep)) -> Result<(), StoreError> {
        let upkeep = Arc::clone(&self.upkeep);
        self.threads.lock().push(spawn(name, move || work(&upkeep))?);
        Ok(())
    }

    /// Has the tables checked if a read failed.
    fn watched<T>(&self, read: Result<T, StoreError>) -> Result<T, StoreError> {
        if read.is_err() {
            self.upkeep.suspect();
        }
        read
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
        let read = |row: Result<(lsm_tree::Slice, lsm_tree::Slice), StoreError>| {
            let (key, value) = row?;
            let item = Bytes::copy_from_slice(key.get(prefix.len()..).unwrap_or_default());
            Ok(Row { item, value: Bytes::copy_from_slice(&value) })
        };
        let found = self.tree.range(start..end);
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
            let Some(row) = self.tree.range(start..end.clone()).next() else { break };
            let (found, _) = row?;
            let name = key::account_of(table, &found).ok_or(StoreError::Corrupt("a key"))?;
            let account =
                BareJid::parse(name).map_err(|_| StoreError::Corrupt("a key is no JID"))?;
            start = key::above(&key::prefix(table, &account));
            accounts.push(account);
        }
        Ok(accounts)
    }
}

/// Puts what only the log has into the tree. `ended` gets the segments before the last.
fn fill(tree: &Tree, log: &Path, ended: &mut VecDeque<u64>) -> Result<Replayed, StoreError> {
    let flushed = tree.flushed()?;
    let replayed = replay(log, flushed, &mut |found| match found {
        Found::Row { row, sequence } => tree.write(row.key, row.value, sequence),
        Found::SegmentEnd { segment, number, sequence } => {
            tree.skip_to(sequence);
            tree.seal(number);
            ended.push_back(segment);
        }
    })?;
    tree.skip_to(replayed.sequence);
    tree.show(replayed.sequence);
    Ok(replayed)
}

/// Opens the log where it ends.
fn log_end(log: &Path, replayed: &Replayed) -> io::Result<LogEnd> {
    let segment = Segment::open(log, replayed.segment, replayed.end)?;
    if replayed.is_torn {
        tracing::warn!(number = replayed.number, "the log has a torn end, which is cut off");
        segment.clear_behind()?;
    }
    for later in &replayed.later {
        segment::retire(log, *later)?;
    }
    // The kernel may still hold back what the last process had no time to sync. Not asked without
    // need: on a busy disk a sync takes as long as all the rest of a start.
    let (known, witness) = (witness::read(log), Witness::open(log)?);
    if known < replayed.number {
        segment.sync()?;
        witness.say(replayed.number);
    }
    Ok(LogEnd { segment, witness, number: replayed.number })
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StoreError> {
    let thread = std::thread::Builder::new().name(name.into());
    thread.spawn(work).map_err(|error| StoreError::Failed(error.to_string()))
}

impl Engine for FjallEngine {
    fn get(&self, table: Table, account: &BareJid, item: &[u8]) -> Answer<Option<Bytes>> {
        let found = self.watched(self.tree.get(&key::key(table, account, item)));
        Answer::ready(found.map(|value| value.map(|value| Bytes::copy_from_slice(&value))))
    }

    fn list(&self, table: Table, account: &BareJid, range: ItemRange) -> Answer<Vec<Row>> {
        Answer::ready(self.watched(self.list_now(table, account, &range)))
    }

    fn accounts(
        &self,
        table: Table,
        after: Option<&BareJid>,
        limit: usize,
    ) -> Answer<Vec<BareJid>> {
        Answer::ready(self.watched(self.accounts_now(table, after, limit)))
    }

    fn commit_then(&self, batch: Batch, durability: Durability, done: Done) {
        self.queue.push(batch, durability, done);
    }

    fn health(&self) -> Result<(), StoreError> {
        self.queue.health()
    }

    fn stats(&self) -> StoreStats {
        StoreStats {
            journals: self.upkeep.segments() as u64,
            tables_checked: self.upkeep.is_checked(),
            ..self.queue.stats()
        }
    }

    fn close(&self) {
        self.queue.close();
        let join = |thread: JoinHandle<()>| {
            if thread.join().is_err() {
                tracing::error!("a thread of the store panicked");
            }
        };
        self.committer.lock().take().map(join);
        self.upkeep.close();
        self.threads.lock().drain(..).for_each(join);
    }
}

impl Drop for FjallEngine {
    fn drop(&mut self) {
        self.close();
    }
}
