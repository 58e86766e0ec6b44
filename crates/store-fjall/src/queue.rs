//! What waits to be committed, and whether anything may.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use jackdaw_store::{Batch, Done, Durability, StoreError, StoreStats};
use parking_lot::{Condvar, Mutex};

/// Bytes that may wait for the committer. A second's worth of a slow disk; beyond it commits are
/// refused with [`StoreError::Busy`], and senders slow down instead of our memory growing.
const QUEUE_BYTES_MAX: usize = 64 << 20;

/// Batches that may wait: each costs some hundred bytes beside its rows.
const QUEUE_BATCHES_MAX: usize = 1 << 18;

/// Bytes in one group: what a sync writes at once without holding up the next for long.
const GROUP_BYTES_MAX: usize = 4 << 20;

/// Batches in one group.
const GROUP_BATCHES_MAX: usize = 4096;

/// A batch, and who waits for it.
pub(crate) struct Job {
    pub batch: Batch,
    pub durability: Durability,
    pub done: Done,
}

/// Commits on their way to the committer.
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
    /// There is no room on the disk: only what removes rows is taken.
    is_full: bool,
    /// Nothing is taken any more.
    failure: Option<StoreError>,
    /// A file is not what it was. What is whole goes on.
    damage: Option<StoreError>,
    stats: StoreStats,
}

impl State {
    fn refusal(&self, batch: &Batch) -> Option<StoreError> {
        if let Some(failure) = &self.failure {
            Some(failure.clone())
        } else if self.is_closed {
            Some(StoreError::Closed)
        } else if self.is_full && !batch.only_removes() {
            Some(StoreError::Full)
        } else if self.bytes > QUEUE_BYTES_MAX || self.jobs.len() >= QUEUE_BATCHES_MAX {
            Some(StoreError::Busy)
        } else {
            None
        }
    }
}

impl Queue {
    /// Hands a batch over, or refuses it at once.
    pub fn push(&self, batch: Batch, durability: Durability, done: Done) {
        let mut state = self.state.lock();
        if let Some(error) = state.refusal(&batch) {
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

    /// Why not everything is taken, or not everything can be read.
    pub fn health(&self) -> Result<(), StoreError> {
        let state = self.state.lock();
        if let Some(error) = state.failure.as_ref().or(state.damage.as_ref()) {
            return Err(error.clone());
        }
        match (state.is_closed, state.is_full) {
            (true, _) => Err(StoreError::Closed),
            (false, true) => Err(StoreError::Full),
            (false, false) => Ok(()),
        }
    }

    /// Why nothing is taken any more, if so.
    pub fn failure(&self) -> Option<StoreError> {
        self.state.lock().failure.clone()
    }

    /// Counters.
    pub fn stats(&self) -> StoreStats {
        let state = self.state.lock();
        StoreStats {
            queue_batches: state.jobs.len() as u64,
            queue_bytes: state.bytes as u64,
            ..state.stats
        }
    }

    /// Takes nothing any more; what is queued is committed.
    pub fn close(&self) {
        self.state.lock().is_closed = true;
        self.arrived.notify_all();
    }

    /// Waits for jobs and takes a group of them. Empty: it is time to sync what is not synced yet.
    /// None: closed, and nothing is left.
    pub fn take(&self, sync_at: Option<Instant>) -> Option<Vec<Job>> {
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

    /// Counts a commit.
    pub fn committed(&self, batches: usize, rows: usize, time: Duration) {
        let stats = &mut self.state.lock().stats;
        stats.commits += 1;
        stats.batches += batches as u64;
        stats.rows += rows as u64;
        stats.commit_time += time;
        stats.commit_time_max = stats.commit_time_max.max(time);
    }

    /// From here on nothing is taken any more.
    pub fn fail(&self, error: &StoreError) {
        let mut state = self.state.lock();
        if state.failure.is_none() {
            tracing::error!(%error, "the store takes no more until a restart has read it anew");
            state.failure = Some(error.clone());
        }
    }

    /// A file was found damaged.
    pub fn damaged(&self, error: &StoreError) {
        tracing::error!(%error, "what it held is lost, the rest goes on; restore a backup");
        self.state.lock().damage.get_or_insert_with(|| error.clone());
    }

    /// Whether there is room. A change is logged.
    pub fn set_full(&self, is_full: bool) {
        let was_full = std::mem::replace(&mut self.state.lock().is_full, is_full);
        match (was_full, is_full) {
            (false, true) => {
                tracing::error!("the disk is full: nothing new is stored until there is room");
            }
            (true, false) => tracing::warn!("there is room on the disk again"),
            (false, false) | (true, true) => {}
        }
    }
}
