//! What waits to be committed, and how the database is.

use std::collections::VecDeque;
use std::time::Duration;

use jackdaw_store::{Batch, Done, StoreError, StoreStats};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Bytes that may wait for the committer; beyond it commits are refused with
/// [`StoreError::Busy`], and senders slow down instead of our memory growing.
const QUEUE_BYTES_MAX: usize = 64 << 20;

/// Batches that may wait: each costs some hundred bytes beside its rows.
const QUEUE_BATCHES_MAX: usize = 1 << 18;

/// Bytes in one group: what a commit sends at once without holding up the next for long.
const GROUP_BYTES_MAX: usize = 4 << 20;

/// Batches in one group.
const GROUP_BATCHES_MAX: usize = 4096;

/// A batch, and who waits for it.
pub(crate) struct Job {
    pub batch: Batch,
    pub done: Done,
    /// When it was handed over.
    pub at: Instant,
}

/// Commits on their way to the committer.
#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    bytes: usize,
    is_closed: bool,
    /// Why the last commit was not written, until one is.
    impaired: Option<StoreError>,
    stats: StoreStats,
}

impl State {
    /// Whoever waited now would hear in the end what is known already.
    fn is_away(&self) -> bool {
        self.impaired == Some(StoreError::Unavailable)
    }

    fn is_full(&self) -> bool {
        self.bytes > QUEUE_BYTES_MAX || self.jobs.len() >= QUEUE_BATCHES_MAX
    }
}

impl Queue {
    /// Hands a batch over, or refuses it at once.
    pub fn push(&self, batch: Batch, done: Done) {
        let mut state = self.state.lock();
        let refusal = if state.is_closed {
            Some(StoreError::Closed)
        } else if state.is_away() || state.is_full() {
            Some(StoreError::Busy)
        } else {
            None
        };
        if let Some(error) = refusal {
            drop(state);
            return done(Err(error));
        }
        state.bytes += batch.bytes();
        state.jobs.push_back(Job { batch, done, at: Instant::now() });
        drop(state);
        self.changed.notify_one();
    }

    /// Waits for jobs and takes a group of them. None: closed, and nothing is left.
    pub async fn take(&self) -> Option<Vec<Job>> {
        loop {
            if let Some(group) = self.take_now() {
                return (!group.is_empty()).then_some(group);
            }
            self.changed.notified().await;
        }
    }

    /// Empty: closed. None: nothing is there yet.
    fn take_now(&self) -> Option<Vec<Job>> {
        let mut state = self.state.lock();
        if state.jobs.is_empty() {
            return state.is_closed.then(Vec::new);
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

    /// Counts a commit that was given up.
    pub fn failed(&self) {
        self.state.lock().stats.commits_failed += 1;
    }

    /// Counts a new connection in place of one that was lost.
    pub fn reconnected(&self) {
        self.state.lock().stats.reconnects += 1;
    }

    /// Whether the database is known not to answer.
    pub fn is_away(&self) -> bool {
        self.state.lock().is_away()
    }

    /// Says how the database is. A change is logged.
    pub fn set_impaired(&self, found: Option<StoreError>) {
        let mut state = self.state.lock();
        match (&state.impaired, &found) {
            (None, Some(error)) => tracing::error!(%error, "the database takes no commits"),
            (Some(_), None) => tracing::warn!("the database takes commits again"),
            (None, None) | (Some(_), Some(_)) => {}
        }
        state.impaired = found;
    }

    /// Whether commits are taken.
    pub fn health(&self) -> Result<(), StoreError> {
        let state = self.state.lock();
        if state.is_closed {
            return Err(StoreError::Closed);
        }
        state.impaired.clone().map_or(Ok(()), Err)
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
        self.changed.notify_one();
    }
}
