//! The group committer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jackdaw_faults::{Bug, Point, dawdle, has, reach};
use jackdaw_store::{Batch, Done, Durability, Op, StoreError};

use crate::key;
use crate::log::{LoggedRow, RecordBuffer, Segment, Stamp, Witness};
use crate::queue::{Job, Queue};
use crate::tree::{Tree, is_full};
use crate::upkeep::Upkeep;

/// How long a commit that did not ask for durability may stay in the page cache.
const SYNC_LATENCY: Duration = Duration::from_secs(1);

/// The part of a segment that only removals may use while there is no next one: on a full disk rows
/// can still go, above all those of messages that were delivered.
const REMOVALS_SHARE: u64 = 8;

/// Rows of a group by key; the last write of a key counts. None removes.
type Writes = BTreeMap<Vec<u8>, Option<Bytes>>;

/// What the committer works with, as the start found it.
pub(crate) struct LogEnd {
    pub segment: Segment,
    pub witness: Witness,
    /// The last group.
    pub number: u64,
}

pub(crate) struct Committer {
    tree: Arc<Tree>,
    queue: Arc<Queue>,
    upkeep: Arc<Upkeep>,
    log: LogEnd,
    /// The last group that is on disk.
    synced: u64,
    writes: Writes,
    record: RecordBuffer,
    waiting: Vec<Done>,
    is_durable: bool,
    /// When what was committed without a sync is synced at the latest.
    sync_at: Option<Instant>,
    /// The segment is half full, and the next one asked for.
    is_next_wanted: bool,
}

impl Committer {
    /// Goes on behind the last group; what was read at the start counts as synced.
    pub fn new(tree: Arc<Tree>, queue: Arc<Queue>, upkeep: Arc<Upkeep>, log: LogEnd) -> Committer {
        Committer {
            tree,
            queue,
            upkeep,
            synced: log.number,
            log,
            writes: Writes::new(),
            record: RecordBuffer::default(),
            waiting: Vec::new(),
            is_durable: false,
            sync_at: None,
            is_next_wanted: false,
        }
    }

    /// Commits until the queue is closed and empty.
    pub fn run(mut self) {
        while let Some(group) = self.queue.take(self.sync_at) {
            if group.is_empty() {
                self.sync_late();
            }
            for job in group {
                self.add(job);
            }
            self.flush();
        }
        self.sync_late();
    }

    /// Adds a job to the group in hand. One that looks at rows (a requirement, a clear) needs to
    /// see what came before it, so the group before it is committed first.
    fn add(&mut self, job: Job) {
        let looks = |op: &Op| matches!(op, Op::Require { .. } | Op::Clear { .. });
        if job.batch.ops().iter().any(looks) {
            self.flush();
            // Nothing of it is staged if a look fails: the group stays what it was.
            if let Err(error) = self.check(&job.batch) {
                return (job.done)(Err(error));
            }
            match self.cleared(&job.batch) {
                Ok(keys) => self.stage(job.batch, keys.into_iter()),
                Err(error) => return (job.done)(Err(error)),
            }
        } else {
            self.stage(job.batch, std::iter::empty());
        }
        self.is_durable |= job.durability == Durability::Durable;
        self.waiting.push(job.done);
    }

    fn check(&self, batch: &Batch) -> Result<(), StoreError> {
        for op in batch.ops() {
            let Op::Require { table, account, item, value } = op else { continue };
            let found = self.tree.get(&key::key(*table, account, item))?;
            if found.as_deref() != value.as_deref() {
                return Err(StoreError::Conflict);
            }
        }
        Ok(())
    }

    /// The rows that each clear of the batch removes.
    fn cleared(&self, batch: &Batch) -> Result<Vec<Vec<Vec<u8>>>, StoreError> {
        let mut cleared = Vec::new();
        for op in batch.ops() {
            let Op::Clear { table, account } = op else { continue };
            let prefix = key::prefix(*table, account);
            let end = key::above(&prefix);
            let rows = self.tree.range(prefix..end);
            let keys: Result<_, StoreError> = rows.map(|row| Ok(row?.0.to_vec())).collect();
            cleared.push(keys?);
        }
        Ok(cleared)
    }

    /// Puts the writes of a batch into the group; `cleared` has what each of its clears removes.
    fn stage(&mut self, batch: Batch, mut cleared: impl Iterator<Item = Vec<Vec<u8>>>) {
        for op in batch.into_ops() {
            match op {
                Op::Put { .. } if has(Bug::RowDropped) => {}
                Op::Put { table, account, item, value } => {
                    self.writes.insert(key::key(table, &account, &item), Some(value));
                }
                Op::Delete { table, account, item } => {
                    self.writes.insert(key::key(table, &account, &item), None);
                }
                Op::Clear { table, account } => {
                    let prefix = key::prefix(table, &account);
                    let end = key::above(&prefix);
                    // What an earlier step of the batch wrote.
                    for (_, write) in self.writes.range_mut(prefix..end) {
                        *write = None;
                    }
                    let keys = cleared.next().unwrap_or_default();
                    self.writes.extend(keys.into_iter().map(|key| (key, None)));
                }
                Op::Require { .. } => {}
            }
        }
    }

    /// Commits the group in hand and tells everybody in it.
    fn flush(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        if has(Bug::AckBeforeSync) {
            self.waiting.drain(..).for_each(|done| done(Ok(())));
            dawdle();
        }
        let result = match self.queue.failure() {
            Some(error) => Err(error),
            None => self.write(),
        };
        match &result {
            Err(StoreError::Full) => self.queue.set_full(true),
            Err(error) => self.queue.fail(error),
            Ok(()) => {}
        }
        self.writes.clear();
        self.is_durable = false;
        for done in self.waiting.drain(..) {
            done(result.clone());
        }
    }

    /// First the log, then the tree: what is in the tree may be flushed, and stays.
    fn write(&mut self) -> Result<(), StoreError> {
        let started = now();
        let rows = self.writes.len();
        self.record.clear();
        for (key, value) in &self.writes {
            self.record.push(LoggedRow { key, value: value.as_deref() });
        }
        self.make_room(self.record.size())?;
        let number = self.log.number + 1;
        let sequence = self.tree.next_sequence();
        let stamp = Stamp { number, sequence, synced: self.synced };
        let record = self.record.finish(self.log.segment.number, stamp);
        reach(Point::CommitBeforeWrite);
        self.log.segment.append(record).map_err(|error| failure(&error))?;
        // From here on the number is taken, whatever becomes of the sync.
        self.log.number = number;
        let segment = &self.log.segment;
        if !self.is_next_wanted && segment.room() < segment.capacity / 2 {
            self.is_next_wanted = true;
            self.upkeep.want_next();
        }
        if self.is_durable {
            reach(Point::CommitBeforeSync);
            self.sync()?;
            reach(Point::CommitAfterSync);
        } else {
            self.sync_at.get_or_insert(started + SYNC_LATENCY);
        }
        for (key, value) in &self.writes {
            self.tree.write(key, value.as_deref(), sequence);
        }
        self.tree.show(sequence);
        self.queue.committed(self.waiting.len(), rows, now().duration_since(started));
        Ok(())
    }

    /// Goes on in the next segment if the record does not fit into this one.
    fn make_room(&mut self, size: usize) -> Result<(), StoreError> {
        let segment = &self.log.segment;
        let left = segment.room().saturating_sub(size as u64);
        if segment.has_room(size) {
            let is_reserved = left < segment.capacity / REMOVALS_SHARE;
            let only_removes = || self.writes.values().all(Option::is_none);
            if !is_reserved || self.upkeep.has_next() || only_removes() {
                return Ok(());
            }
        }
        let mut next = self.upkeep.next_segment()?;
        let needed = next.end + size as u64;
        if next.capacity < needed
            && let Err(error) = next.grow(needed)
        {
            self.upkeep.give_back(next);
            return Err(failure(&error));
        }
        // A segment that is followed by another one is on disk to its end: else its last groups
        // could be lost while later ones are kept.
        self.sync()?;
        let ended = std::mem::replace(&mut self.log.segment, next);
        self.is_next_wanted = false;
        self.tree.seal(self.log.number);
        self.upkeep.ended(ended.number);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        if self.synced == self.log.number {
            return Ok(());
        }
        self.log.segment.sync().map_err(|error| StoreError::Failed(error.to_string()))?;
        self.synced = self.log.number;
        self.sync_at = None;
        self.log.witness.say(self.synced);
        Ok(())
    }

    fn sync_late(&mut self) {
        self.sync_at = None;
        if self.queue.failure().is_none()
            && let Err(error) = self.sync()
        {
            self.queue.fail(&error);
        }
    }
}

/// A write that did not happen for want of room is one that can be tried again.
fn failure(error: &std::io::Error) -> StoreError {
    if is_full(error) { StoreError::Full } else { StoreError::Failed(error.to_string()) }
}

#[expect(
    clippy::disallowed_methods,
    reason = "an engine measures its commits; no logic hangs on it"
)]
fn now() -> Instant {
    Instant::now()
}
