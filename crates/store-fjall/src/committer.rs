//! The group committer.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fjall::{Database, Keyspace, PersistMode};
use jackdaw_store::{Batch, Done, Durability, Op, StoreError, StoreStats};
use parking_lot::{Condvar, Mutex};

use crate::engine::failure;
use crate::key;

/// Bytes that may wait for the committer. A second's worth of a slow disk; beyond it commits are
/// refused with [`StoreError::Busy`], and senders slow down instead of our memory growing.
const QUEUE_BYTES_MAX: usize = 64 << 20;

/// Batches that may wait: each costs some hundred bytes beside its rows.
const QUEUE_BATCHES_MAX: usize = 1 << 18;

/// Bytes in one group: what a sync writes at once without holding up the next for long.
const GROUP_BYTES_MAX: usize = 4 << 20;

/// Batches in one group.
const GROUP_BATCHES_MAX: usize = 4096;

/// How long a commit that did not ask for durability may stay in the page cache.
const SYNC_LATENCY: Duration = Duration::from_secs(1);

struct Job {
    batch: Batch,
    durability: Durability,
    done: Done,
}

/// What waits to be committed.
#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    bytes: usize,
    is_closed: bool,
    failure: Option<StoreError>,
    stats: StoreStats,
}

impl Queue {
    pub(crate) fn push(&self, batch: Batch, durability: Durability, done: Done) {
        let mut state = self.state.lock();
        let refusal = if let Some(failure) = &state.failure {
            Some(failure.clone())
        } else if state.is_closed {
            Some(StoreError::Closed)
        } else if state.bytes > QUEUE_BYTES_MAX || state.jobs.len() >= QUEUE_BATCHES_MAX {
            Some(StoreError::Busy)
        } else {
            None
        };
        if let Some(error) = refusal {
            drop(state);
            return done(Err(error));
        }
        state.bytes += batch.bytes();
        state.jobs.push_back(Job { batch, durability, done });
        let is_first = state.jobs.len() == 1;
        drop(state);
        if is_first {
            self.arrived.notify_one();
        }
    }

    pub(crate) fn health(&self) -> Result<(), StoreError> {
        let state = self.state.lock();
        match &state.failure {
            Some(failure) => Err(failure.clone()),
            None if state.is_closed => Err(StoreError::Closed),
            None => Ok(()),
        }
    }

    pub(crate) fn stats(&self) -> StoreStats {
        let state = self.state.lock();
        StoreStats {
            queue_batches: state.jobs.len() as u64,
            queue_bytes: state.bytes as u64,
            ..state.stats
        }
    }

    pub(crate) fn close(&self) {
        self.state.lock().is_closed = true;
        self.arrived.notify_all();
    }

    /// Waits for jobs and takes a group of them. Empty: it is time to sync what is not synced yet.
    /// None: closed, and nothing is left.
    fn take(&self, sync_at: Option<Instant>) -> Option<Vec<Job>> {
        let mut state = self.state.lock();
        while state.jobs.is_empty() {
            if state.is_closed {
                return None;
            }
            match sync_at {
                None => self.arrived.wait(&mut state),
                Some(at) => {
                    if self.arrived.wait_until(&mut state, at).timed_out() {
                        return Some(Vec::new());
                    }
                }
            }
        }
        let mut group = Vec::with_capacity(state.jobs.len().min(GROUP_BATCHES_MAX));
        let mut bytes = 0;
        while group.len() < GROUP_BATCHES_MAX && bytes < GROUP_BYTES_MAX {
            let Some(job) = state.jobs.pop_front() else { break };
            bytes += job.batch.bytes();
            group.push(job);
        }
        state.bytes = state.bytes.saturating_sub(bytes);
        Some(group)
    }

    fn committed(&self, batches: usize, rows: usize, time: Duration) {
        let stats = &mut self.state.lock().stats;
        stats.commits += 1;
        stats.batches += batches as u64;
        stats.rows += rows as u64;
        stats.commit_time += time;
        stats.commit_time_max = stats.commit_time_max.max(time);
    }

    fn fail(&self, error: &StoreError) {
        self.state.lock().failure.get_or_insert_with(|| error.clone());
    }
}

/// Rows of a group by key; the last write of a key counts. None removes.
type Writes = BTreeMap<Vec<u8>, Option<Bytes>>;

pub(crate) struct Committer {
    database: Database,
    rows: Keyspace,
    queue: Arc<Queue>,
    writes: Writes,
    waiting: Vec<Done>,
    is_durable: bool,
    /// When what was committed without a sync is synced at the latest.
    sync_at: Option<Instant>,
}

impl Committer {
    pub(crate) fn new(database: Database, rows: Keyspace, queue: Arc<Queue>) -> Committer {
        Committer {
            database,
            rows,
            queue,
            writes: Writes::new(),
            waiting: Vec::new(),
            is_durable: false,
            sync_at: None,
        }
    }

    pub(crate) fn run(mut self) {
        while let Some(group) = self.queue.take(self.sync_at) {
            if group.is_empty() {
                self.sync();
            }
            for job in group {
                self.add(job);
            }
            self.flush();
        }
        self.sync();
    }

    /// Adds a job to the group in hand. One that looks at rows (a requirement, a clear) needs to
    /// see what came before it, so the group before it is committed first.
    fn add(&mut self, job: Job) {
        let looks = |op: &Op| matches!(op, Op::Require { .. } | Op::Clear { .. });
        if job.batch.ops().iter().any(looks) {
            self.flush();
            if let Err(error) = self.check(&job.batch) {
                return (job.done)(Err(error));
            }
        }
        for op in job.batch.into_ops() {
            if let Err(error) = self.stage(op) {
                // A read failed: rows of this job are in the group, which must not be written.
                self.writes.clear();
                self.queue.fail(&error);
                self.report(&Err(error.clone()));
                return (job.done)(Err(error));
            }
        }
        self.is_durable |= job.durability == Durability::Durable;
        self.waiting.push(job.done);
    }

    fn check(&self, batch: &Batch) -> Result<(), StoreError> {
        for op in batch.ops() {
            let Op::Require { table, account, item, value } = op else { continue };
            let key = key::key(*table, account, item);
            let found = self.rows.get(key).map_err(|error| failure(&error))?;
            if found.as_deref() != value.as_deref() {
                return Err(StoreError::Conflict);
            }
        }
        Ok(())
    }

    fn stage(&mut self, op: Op) -> Result<(), StoreError> {
        match op {
            Op::Put { table, account, item, value } => {
                self.writes.insert(key::key(table, &account, &item), Some(value));
            }
            Op::Delete { table, account, item } => {
                self.writes.insert(key::key(table, &account, &item), None);
            }
            Op::Clear { table, account } => self.clear(&key::prefix(table, &account))?,
            Op::Require { .. } => {}
        }
        Ok(())
    }

    fn clear(&mut self, prefix: &[u8]) -> Result<(), StoreError> {
        let end = key::above(prefix);
        for (_, write) in self.writes.range_mut(prefix.to_vec()..end.clone()) {
            *write = None;
        }
        for guard in self.rows.range(prefix.to_vec()..end) {
            let key = guard.key().map_err(|error| failure(&error))?;
            self.writes.insert(key.to_vec(), None);
        }
        Ok(())
    }

    /// Commits the group in hand and tells everybody in it.
    fn flush(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let result = match self.queue.health() {
            Err(error @ StoreError::Failed(_)) => Err(error),
            Ok(()) | Err(_) => self.write(),
        };
        if let Err(error) = &result {
            tracing::error!(%error, "a commit failed; the store takes no more");
            self.queue.fail(error);
        }
        self.report(&result);
    }

    fn write(&mut self) -> Result<(), StoreError> {
        let started = now();
        let rows = self.writes.len();
        let mode = if self.is_durable { PersistMode::SyncData } else { PersistMode::Buffer };
        let mut batch = self.database.batch().durability(Some(mode));
        for (key, value) in std::mem::take(&mut self.writes) {
            match value {
                Some(value) => batch.insert(&self.rows, key, &*value),
                None => batch.remove(&self.rows, key),
            }
        }
        batch.commit().map_err(|error| failure(&error))?;
        let ended = now();
        self.sync_at = match self.is_durable {
            true => None,
            false => Some(self.sync_at.unwrap_or(ended + SYNC_LATENCY)),
        };
        self.queue.committed(self.waiting.len(), rows, ended.duration_since(started));
        Ok(())
    }

    fn report(&mut self, result: &Result<(), StoreError>) {
        self.is_durable = false;
        for done in self.waiting.drain(..) {
            done(result.clone());
        }
    }

    fn sync(&mut self) {
        if self.sync_at.take().is_none() {
            return;
        }
        if let Err(error) = self.database.persist(PersistMode::SyncData) {
            tracing::error!(%error, "a sync failed; the store takes no more");
            self.queue.fail(&failure(&error));
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "an engine measures its commits; no logic hangs on it"
)]
fn now() -> Instant {
    Instant::now()
}
